"""The manifest of a release: canonical, and any edit shows."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import blake3
import pytest
from building import literal_root_digest
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.errors import CorruptStoreError, IncompleteStoreError, StoreError
from miso_gen.store import FileEntry, ImageEntry, Manifest, open_target, read_manifest, root_digest

if TYPE_CHECKING:
    from pathlib import Path

HEX = "0123456789abcdef"
digests = st.text(HEX, min_size=64, max_size=64)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
entries = st.builds(
    ImageEntry,
    image_id=names,
    scenario=names,
    split=names,
    label=st.integers(-1, 2**40),
    class_name=names,
    pair=st.none() | names,
    image_digest=digests,
    truth_digest=digests,
    instances_digest=st.none() | digests,
    objects_digest=st.none() | digests,
    checksum=st.none() | digests,
    pack=st.none() | st.sampled_from(["test-001.ozx", "train-001.ozx"]),
)


@st.composite
def manifests(draw: Any) -> Manifest:
    images = {entry.image_id: entry for entry in draw(st.lists(entries, max_size=5))}
    return Manifest(
        **{name: draw(names) for name in ("name", "version", "title", "license", "date")},
        previous=draw(st.none() | names),
        recipe_digest=draw(digests),
        root_digest=root_digest(entry._asdict() for entry in images.values()),
        files=draw(st.dictionaries(names, st.builds(FileEntry, st.integers(0, 2**50), digests), max_size=4)),
        images=images,
    )


def example() -> Manifest:
    images = {}
    for number, split in enumerate(("test", "train")):
        image_id = f"gsp/{split}/0001"
        images[image_id] = ImageEntry(
            image_id,
            "gsp",
            split,
            number,
            "guilty",
            None,
            "ab" * 32,
            "cd" * 32,
            "ef" * 32 if number else None,
            None,
            "12" * 32,
            f"{split}-001.ozx",
        )
    files = {"train-001.ozx": FileEntry(12, "00" * 32), "README.md": FileEntry(3, "11" * 32)}
    digest = root_digest(entry._asdict() for entry in images.values())
    return Manifest("toy", "1.2.0", "Töy \u2028 \U0001f642", "MIT", "2026-11-21", "1.1.0", "aa" * 32, digest, files, images)


def literal(manifest: Manifest) -> bytes:
    """The text by its definition, written out."""
    say = lambda value: json.dumps(value, ensure_ascii=False)  # noqa: E731
    head = ("name", "version", "title", "license", "date", "previous", "recipe_digest", "root_digest")
    lines = ['"format": 1', *(f'"{key}": {say(getattr(manifest, key))}' for key in head)]
    files = [f"{say(path)}: {say([entry.size, entry.sha256])}" for path, entry in sorted(manifest.files.items())]
    lines.append('"files": {' + ("\n  " + ",\n  ".join(files) + "\n" if files else "") + "}")
    rows = [say(list(manifest.images[image_id])) for image_id in sorted(manifest.images)]
    lines.append(f'"columns": {say(list(ImageEntry._fields))}')
    lines.append('"images": [' + ("\n  " + ",\n  ".join(rows) + "\n" if rows else "") + "]")
    checksum = blake3.blake3("\n".join(lines).encode()).hexdigest()
    return ("{\n" + ",\n".join([*lines, f'"checksum": "{checksum}"']) + "\n}\n").encode()


@given(manifests())
def test_round_trip(manifest: Manifest) -> None:
    data = manifest.to_bytes()
    again = Manifest.from_bytes(data)
    assert again == manifest
    assert again.to_bytes() == data == literal(manifest)
    assert json.loads(data)["format"] == 1  # plain JSON for anybody


@given(manifests(), st.randoms(use_true_random=False))
def test_order_does_not_count(manifest: Manifest, rng: random.Random) -> None:
    def shuffled(mapping: Any) -> dict[Any, Any]:
        items = list(mapping.items())
        rng.shuffle(items)
        return dict(items)

    other = replace(manifest, files=shuffled(manifest.files), images=shuffled(manifest.images))
    assert other.to_bytes() == manifest.to_bytes()


def test_what_it_says() -> None:
    manifest = example()
    document = json.loads(manifest.to_bytes())
    assert list(document) == [
        "format",
        "name",
        "version",
        "title",
        "license",
        "date",
        "previous",
        "recipe_digest",
        "root_digest",
        "files",
        "columns",
        "images",
        "checksum",
    ]
    assert document["files"]["README.md"] == [3, "11" * 32]
    assert [dict(zip(document["columns"], row, strict=True))["label"] for row in document["images"]] == [0, 1]
    assert manifest.packs == ("test-001.ozx", "train-001.ozx")
    assert manifest.size == 15
    assert document["root_digest"] == literal_root_digest([entry._asdict() for entry in manifest.images.values()])
    empty = Manifest("e", "1.0.0", "", "", "", None, "", root_digest([]))
    assert Manifest.from_bytes(empty.to_bytes()) == empty
    assert (empty.packs, empty.size) == ((), 0)


def test_no_byte_can_be_edited() -> None:
    """Every byte, by every bit: nothing is read as if nothing were."""
    data = example().to_bytes()
    for at in range(len(data)):
        for bit in range(8):
            wrong = bytearray(data)
            wrong[at] ^= 1 << bit
            with pytest.raises(StoreError):
                Manifest.from_bytes(bytes(wrong))


@given(st.data())
def test_no_edit_of_any_kind_is_read(data: Any) -> None:
    text = example().to_bytes()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    word = st.sampled_from([b"NaN", b"null", b"[]", b"{}", b"-1", b"1e999", b'"x"', b"\n", b" ", b",", b"[" * 5000, b""])
    wrong = text[:start] + data.draw(word | st.binary(max_size=12)) + text[end:]
    if wrong != text:
        with pytest.raises(StoreError, match=r"manifest\.json must be"):
            Manifest.from_bytes(wrong)


def test_cut_off() -> None:
    text = example().to_bytes()
    for length in range(len(text)):
        with pytest.raises(CorruptStoreError, match="must be the manifest that a release wrote"):
            Manifest.from_bytes(text[:length], "manifest.json")


def forged(change: Any) -> bytes:
    """A text whose checksum is right, of a document that a release never writes."""
    document = json.loads(example().to_bytes())
    change(document)
    del document["checksum"]
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in document.items()]
    checksum = blake3.blake3("\n".join(lines).encode()).hexdigest()
    return ("{\n" + ",\n".join([*lines, f'"checksum": "{checksum}"']) + "\n}\n").encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format="1"),
        lambda d: d.update(format=0),
        lambda d: d.update(more=1),
        lambda d: d.pop("title"),
        lambda d: d.update(files=[]),
        lambda d: d.update(files={"a": 1}),
        lambda d: d.update(files={"a": [1]}),
        lambda d: d.update(columns=d["columns"][::-1]),
        lambda d: d.update(images={}),
        lambda d: d.update(images=[1]),
        lambda d: d.update(images=[[]]),
        lambda d: d.update(images=[d["images"][0][:-1]]),
        lambda d: d["images"][0].__setitem__(0, []),
        lambda d: d["images"][0].__setitem__(0, 7),
        lambda d: d["images"][0].__setitem__(3, math.nan),
        lambda d: d["images"].append(d["images"][0]),
        lambda d: d["images"].reverse(),
        lambda d: d.update(title=math.inf),
        lambda d: d.update(title="\ud800"),
    ],
)
def test_a_forged_text(change: Any) -> None:
    try:
        text = forged(change)
    except UnicodeEncodeError:  # half a character, which JSON can say
        text = example().to_bytes().replace("Töy".encode(), b"\\ud800")
    with pytest.raises(CorruptStoreError, match="must be the manifest that a release wrote"):
        Manifest.from_bytes(text)


def test_labels_that_are_swapped() -> None:
    """The checksum is right; the root digest still tells."""
    manifest = example()
    one, two = manifest.images.values()
    images = {one.image_id: one._replace(label=two.label), two.image_id: two._replace(label=one.label)}
    with pytest.raises(CorruptStoreError, match="images of another root digest"):
        Manifest.from_bytes(replace(manifest, images=images).to_bytes())


@pytest.mark.parametrize("form", [2, 3, 99])
def test_a_newer_format_is_refused(form: int) -> None:
    text = example().to_bytes().replace(b'"format": 1', b'"format": %d' % form)
    with pytest.raises(StoreError, match=rf"format of here must be at most 1, got {form}\. Upgrade") as caught:
        Manifest.from_bytes(text, "here")
    assert not isinstance(caught.value, CorruptStoreError)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"1", b"null", b"\xff", b"[" * 100_000, b'{"format": 1}', b'{"format": null}']
)
def test_something_else(text: bytes) -> None:
    with pytest.raises(CorruptStoreError, match="must be the manifest that a release wrote"):
        Manifest.from_bytes(text)


def test_reading(tmp_path: Any) -> None:
    target = open_target(tmp_path / "release")
    assert read_manifest(target) is None
    target.write("manifest.json", example().to_bytes())
    assert read_manifest(target) == example()
    assert read_manifest(open_target(tmp_path / "release/manifest.json")) is None
    target.write("manifest.json", b"{")
    with pytest.raises(CorruptStoreError, match=r"release/manifest\.json must be the manifest"):
        read_manifest(target)


def test_a_place_that_a_fetch_has_not_filled(tmp_path: Path) -> None:
    assert read_manifest(open_target(str(tmp_path))) is None
    (tmp_path / "manifest.json.part").write_bytes(b"")
    with pytest.raises(IncompleteStoreError, match=r"got a download that has not finished\. Run the same miso-gen fetch again"):
        read_manifest(open_target(str(tmp_path)))
    (tmp_path / "manifest.json").write_bytes(example().to_bytes())
    assert read_manifest(open_target(str(tmp_path))) == example()
