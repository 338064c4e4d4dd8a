"""Imported contents: digests, files, where they are looked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from miso_gen import contents
from miso_gen.contents import Content, FolderSource, all_needed, content_path, keep, look_in, once, recall
from miso_gen.errors import CorruptStoreError, InputError, OutputError, StoreError


def content(number: int = 1, **facts: object) -> Content:
    return Content(
        "points", facts, {"places": np.arange(number * 4, dtype=np.int64).reshape(-1, 2), "b": np.array([3], np.int32)}
    )


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(contents, "_memory", type(contents._memory)())
    monkeypatch.setattr(contents, "_sources", type(contents._sources)())
    monkeypatch.setenv("MISO_GEN_CACHE", str(tmp_path / "cache"))


def forget() -> None:
    contents._memory.clear()


def test_a_content_comes_back_from_its_file() -> None:
    mine = content(3, height=5, names=["a", "b"])
    back = Content.from_bytes(mine.to_bytes(), mine.digest)
    assert (back.kind, back.facts, back.needs) == (mine.kind, mine.facts, mine.needs)
    assert all(np.array_equal(back.arrays[name], array) for name, array in mine.arrays.items())
    assert mine.to_bytes() == back.to_bytes()


def test_the_digest_knows_everything_and_no_byte_order() -> None:
    mine = content(2, height=5)
    swapped = Content(
        mine.kind, mine.facts, {name: array.astype(array.dtype.newbyteorder(">")) for name, array in mine.arrays.items()}
    )
    assert swapped.digest == mine.digest
    others = [
        content(2, height=6),
        content(3, height=5),
        Content("labels", mine.facts, mine.arrays),
        Content(mine.kind, mine.facts, mine.arrays, ("0" * 64,)),
        Content(mine.kind, mine.facts, {**mine.arrays, "b": np.array([3], np.int64)}),
        Content(mine.kind, mine.facts, {**mine.arrays, "places": mine.arrays["places"].reshape(2, -1)}),
    ]
    assert len({thing.digest for thing in (mine, *others)}) == 7


def test_numpy_opens_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(content(2).to_bytes())
    with np.load(tmp_path / "x.npz") as file:
        assert set(file.files) == {"content", "places", "b"}


def test_what_is_kept_is_found_in_the_cache_and_elsewhere(tmp_path: Path) -> None:
    digest = keep(content())
    forget()
    assert recall(digest).digest == digest
    cached = tmp_path / "cache" / content_path(digest)
    (tmp_path / "store/imports").mkdir(parents=True)
    cached.rename(tmp_path / "store" / content_path(digest))
    forget()
    with pytest.raises(InputError, match="must be in the store, in imports/ beside the recipe, or in the cache"):
        recall(digest)
    look_in("store", FolderSource(tmp_path / "store"))
    assert recall(digest).digest == digest


def test_a_damaged_store_is_named_and_a_damaged_cache_is_as_good_as_none(tmp_path: Path) -> None:
    digest = keep(content())
    cached = tmp_path / "cache" / content_path(digest)
    other = content(5)
    for bad in (b"", cached.read_bytes()[:-30], b"no zip at all", other.to_bytes()):
        cached.write_bytes(bad)
        forget()
        with pytest.raises(InputError, match="got it nowhere"):
            recall(digest)
        with pytest.raises(CorruptStoreError, match="imported content"):
            Content.from_bytes(bad, digest)


def test_a_place_out_of_reach_is_passed_over(tmp_path: Path) -> None:
    class Gone:
        def read(self, path: str) -> bytes:
            raise StoreError(f"{path} must be reachable, got no answer. Check the network.")

    digest = keep(content())
    forget()
    look_in("gone", Gone())
    assert recall(digest).digest == digest
    with pytest.raises(InputError, match="got it nowhere"):
        recall("0" * 64)


def test_needs_are_followed() -> None:
    first = content(1)
    second = Content("samples", {}, {}, (keep(first),))
    third = Content("samples", {"a": 1}, {}, (keep(second), keep(first)))
    assert all_needed([keep(third)]) == tuple(sorted([first.digest, second.digest, third.digest]))


def test_once_imports_once() -> None:
    calls = []

    def make() -> Content:
        calls.append(1)
        return content()

    assert once("key", make).digest == once("key", make).digest
    forget()
    assert once("key", make).digest == content().digest
    assert len(calls) == 1
    once("other", make)
    assert len(calls) == 2


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_KEPT_BYTES", 1000)
    for number in range(20, 40):
        keep(content(number))
    assert len(contents._memory) == 1


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MISO_GEN_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(OutputError, match=r"must be writable, got .* Set MISO_GEN_CACHE"):
        keep(content())
