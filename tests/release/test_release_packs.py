"""Packs: the same bytes from every build, plain zip archives, and OME-Zarr collections that others read."""

from __future__ import annotations

import ast
import io
import json
import re
import shutil
import struct
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest
import zarr
from building import assert_equal_trees, tree
from hypothesis import given
from hypothesis import strategies as st
from releasing import build_store, everything, release_store
from zarr.storage import ZipStore

import miso_gen
from miso_gen.build import build
from miso_gen.errors import CorruptStoreError, MisoGenError
from miso_gen.recipe import load_recipe
from miso_gen.release.making import make_release
from miso_gen.release.packs import plan_packs, write_pack
from miso_gen.release.verify import verify
from miso_gen.store import ImageRecord, open_dataset, open_target, read_manifest, read_record

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("colour", "grey")


@pytest.fixture(scope="module", params=NAMES)
def place(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """A store and its release."""
    return request.getfixturevalue(f"{request.param}_store"), request.getfixturevalue(f"{request.param}_release")


def packs_of(release: Path) -> Iterator[tuple[Path, zipfile.ZipFile]]:
    for path in sorted(release.glob("*.ozx")):
        with zipfile.ZipFile(path) as archive:
            yield path, archive


# --- the same bytes ---------------------------------------------------------------------------------------------------


def test_equal_bytes_in_another_folder_with_other_tiles(colour_store: Path, colour_release: Path, tmp_path: Path) -> None:
    store = build_store(tmp_path / "quite/another place", tile=32)
    assert_equal_trees(store, colour_store)
    assert_equal_trees(release_store(store, tmp_path / "release 2"), colour_release)


def test_equal_bytes_with_two_workers(grey_store: Path, grey_release: Path, tmp_path: Path) -> None:
    store = build_store(tmp_path / "two", "grey", workers=2, tile=100)
    assert_equal_trees(release_store(store, tmp_path / "out"), grey_release)
    assert_equal_trees(store, grey_store)


def test_equal_bytes_from_an_archive_and_a_release(colour_store: Path, colour_release: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "store.zip", "w") as archive:
        for path, data in tree(colour_store).items():
            archive.writestr(path, data)
    assert_equal_trees(release_store(tmp_path / "store.zip", tmp_path / "zipped"), colour_release)


def test_a_release_beside_its_images_leaves_the_store_whole(colour_store: Path, colour_release: Path, tmp_path: Path) -> None:
    """The recipe maps splits to numbers of images: its order must stay as the build wrote it."""
    store = Path(shutil.copytree(colour_store, tmp_path / "store"))
    release_store(store, store)
    assert verify(store, pixels=True).ok
    both = tree(store)
    assert {path: both[path] for path in tree(colour_store)} == tree(colour_store)
    assert {path: both[path] for path in tree(colour_release)} == tree(colour_release)


@pytest.mark.full
def test_equal_bytes_at_full_size(tmp_path: Path) -> None:
    recipe = load_recipe("miso1-mini")
    for name, workers, tile in (("one", 1, 512), ("two", 2, 700)):
        build(recipe, tmp_path / name / "store", workers=workers, tile=tile)
        make_release(tmp_path / name / "store", tmp_path / name / "out", date="2026-11-21", pack_bytes=20_000_000)
    assert_equal_trees(tmp_path / "one/out", tmp_path / "two/out")
    assert len(list((tmp_path / "one/out").glob("*.ozx"))) > 3


# --- which images lie where -------------------------------------------------------------------------------------------


def literal_plan(sizes: dict[tuple[str, str], int], limit: int) -> dict[str, list[str]]:
    """Fill packs one after the other, in the order of ids, each split on its own."""
    plan: dict[str, list[str]] = {}
    for split in sorted({split for split, _ in sizes}):
        number, used = 1, 0
        for (own, image_id), size in sorted(sizes.items(), key=lambda item: item[0][1]):
            if own != split:
                continue
            name = f"{split}-{number:03d}.ozx"
            if name in plan and used + size > limit:
                number, used = number + 1, 0
                name = f"{split}-{number:03d}.ozx"
            plan.setdefault(name, []).append(image_id)
            used += size
    return plan


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["train", "test", "more"]), st.integers(0, 30).map(lambda n: f"a/x/{n:04d}")),
        st.integers(0, 60),
        max_size=25,
    ),
    st.integers(1, 100),
)
def test_packs_are_filled_in_order(sizes: dict[tuple[str, str], int], limit: int) -> None:
    by_id = {image_id: (split, size) for (split, image_id), size in sizes.items()}  # one split an image
    sizes = {(split, image_id): size for image_id, (split, size) in by_id.items()}
    records = [
        ImageRecord(f"images.zarr/{image_id}", {"id": image_id, "split": split, "files": {"half": "", "rest": ""}}, "")
        for split, image_id in reversed(list(sizes))
    ]
    lengths = {f"images.zarr/{image_id}": size for (_, image_id), size in sizes.items()}

    def size(path: str) -> int:
        folder, _, name = path.rpartition("/")
        return lengths[folder] // 2 if name == "half" else lengths[folder] - lengths[folder] // 2

    target: Any = SimpleNamespace(size=size)
    found = {pack.name: [record.image_id for record in pack.records] for pack in plan_packs(target, records, limit)}
    assert found == literal_plan(sizes, limit)


def test_every_image_is_in_its_pack(place: tuple[Path, Path]) -> None:
    store, release = place
    manifest = read_manifest(open_target(release))
    assert manifest is not None
    assert len(manifest.packs) >= 4
    seen = []
    for path, archive in packs_of(release):
        listed = json.loads(archive.read("OME/zarr.json"))["attributes"]["ome"]["series"]
        assert listed == sorted(i for i, entry in manifest.images.items() if entry.pack == path.name)
        assert {manifest.images[image_id].split for image_id in listed} == {path.name.partition("-")[0]}
        seen += listed
    assert sorted(seen) == open_dataset(store).ids


# --- plain zip archives -----------------------------------------------------------------------------------------------


def test_members(place: tuple[Path, Path]) -> None:
    store, release = place
    files = tree(store / "images.zarr")
    for path, archive in packs_of(release):
        assert json.loads(archive.comment) == {
            "ome": {"version": "0.5", "zipFile": {"centralDirectory": {"jsonFirst": True}}},
        }
        names = [info.filename for info in archive.infolist()]
        assert len(set(names)) == len(names)
        texts = [name for name in names if name.rpartition("/")[2] == "zarr.json"]
        assert names[: len(texts)] == texts
        assert texts == sorted(texts, key=lambda name: (name.count("/"), name))
        assert names[0] == "zarr.json"
        assert names[len(texts) :] == sorted(names[len(texts) :])
        ids = json.loads(archive.read("OME/zarr.json"))["attributes"]["ome"]["series"]
        own = {name for name in files if "/".join(name.split("/")[:3]) in ids}
        above = {f"{'/'.join(image_id.split('/')[:depth])}/zarr.json" for image_id in ids for depth in (1, 2)}
        assert set(names) == own | above | {"zarr.json", "OME/zarr.json", "OME/METADATA.ome.xml"}
        assert all(archive.read(name) == files[name] for name in own | above)
        data = path.read_bytes()
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert (info.create_system, info.external_attr, info.flag_bits, info.comment) == (3, 0o100644 << 16, 0, b"")
            assert not info.is_dir()
            parts = info.filename.split("/")
            assert not {"", ".", ".."} & set(parts)
            assert "\\" not in info.filename
            # The header by hand: signature, version, flags, method, time, day, CRC, sizes, then name and ZIP64 field.
            head = struct.unpack_from("<4sHHHHHIIIHH", data, info.header_offset)
            name_length, extra_length = head[-2:]
            extra = data[info.header_offset + 30 + name_length :][:extra_length]
            assert head[:6] == (b"PK\x03\x04", 45, 0, 0, 0, 33)
            assert (head[7], head[8]) == (2**32 - 1, 2**32 - 1)
            assert struct.unpack("<HHQQ", extra) == (1, 16, info.file_size, info.file_size)
            start = info.header_offset + 30 + name_length + extra_length
            assert data[start : start + info.file_size] == archive.read(info)


def test_the_description_names_every_image(place: tuple[Path, Path]) -> None:
    store, release = place
    dataset = open_dataset(store)
    space = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
    for _, archive in packs_of(release):
        root = ElementTree.fromstring(archive.read("OME/METADATA.ome.xml"))
        assert root.tag == f"{space}OME"
        series = json.loads(archive.read("OME/zarr.json"))["attributes"]["ome"]["series"]
        assert [image.get("Name") for image in root] == series
        for number, image in enumerate(root):
            (pixels,) = image
            channels, height, width = dataset[series[number]].shape
            assert image.get("ID") == f"Image:{number}"
            sizes = [int(pixels.attrib[f"Size{axis}"]) for axis in "XYZCT"]
            assert sizes == [width, height, 1, channels, 1]
            assert pixels.get("Type") == "uint8"
            assert [child.tag for child in pixels] == [f"{space}Channel"] * channels + [f"{space}MetadataOnly"]


def test_a_damaged_store_is_not_released(colour_store: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(colour_store, tmp_path / "broken"))
    manifest = release_store(colour_store, tmp_path / "whole")
    faults: tuple[tuple[str, Any], ...] = (
        ("zarr.json", lambda data: data + b" "),
        ("zarr.json", lambda data: None),
        ("0/c/0/0/0", lambda data: data[:-1]),
        ("labels/truth/0/c/0/0", lambda data: bytes([data[0] ^ 1]) + data[1:]),
        ("labels/truth/zarr.json", lambda data: None),
    )
    for number, (inner, fault) in enumerate(faults):
        path = broken / "images.zarr/gsp/train/0002" / inner
        data = path.read_bytes()
        wrong = fault(data)
        if wrong is None:
            path.unlink()
        else:
            path.write_bytes(wrong)
        out = tmp_path / f"out {number}"
        with pytest.raises(CorruptStoreError, match="gsp/train/0002"):
            make_release(broken, out)
        assert not (out / "manifest.json").exists()
        assert not list(out.glob("*.part"))
        path.write_bytes(data)
    assert_equal_trees(release_store(broken, tmp_path / "mended"), manifest)


def test_a_pack_is_the_same_wherever_it_is_written(colour_store: Path, tmp_path: Path) -> None:
    target = open_target(colour_store)
    records = [read_record(target, f"images.zarr/{image_id}") for image_id in open_dataset(colour_store).ids]
    (pack, *_) = plan_packs(target, records)
    one, other = io.BytesIO(), (tmp_path / "pack").open("w+b")
    with other:
        for file in (one, other):
            write_pack(file, pack, target, {"layout": 1})
    assert one.getvalue() == (tmp_path / "pack").read_bytes()


# --- other readers ----------------------------------------------------------------------------------------------------


def test_other_readers_see_the_same_pixels_in_the_archive(place: tuple[Path, Path]) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    store, release = place
    dataset = open_dataset(store)
    seen = 0
    for path, archive in packs_of(release):
        zipped = ZipStore(path, mode="r")
        for image_id in json.loads(archive.read("OME/zarr.json"))["attributes"]["ome"]["series"]:
            for name, pixels in arrays_of(dataset, image_id).items():
                assert np.array_equal(zarr.open_array(zipped, path=f"{image_id}/{name}", mode="r")[...], pixels)
                base = {"driver": "file", "path": str(path)}
                inner = {"driver": "zip", "base": base, "path": f"{image_id}/{name}/"}
                found = tensorstore.open({"driver": "zarr3", "kvstore": inner}).result().read().result()
                assert np.array_equal(found, pixels)
                seen += 1
        zipped.close()
    assert seen >= 2 * len(dataset)


def arrays_of(dataset: Any, image_id: str) -> dict[str, Any]:
    view = dataset[image_id]
    arrays = {"0": view.image.all(), "labels/truth/0": view.truth.all(), "summary": view.summary}
    if view.record.instances_digest is not None:
        arrays["labels/instances/0"] = view.instances.all()
    return arrays


def test_validators_accept_the_collection_and_every_image(place: tuple[Path, Path], tmp_path: Path) -> None:
    yaozarrs = pytest.importorskip("yaozarrs")
    models = pytest.importorskip("ome_zarr_models")
    pytest.importorskip("ome_zarr_models.v05")
    images = 0
    for path, archive in packs_of(place[1]):
        folder = tmp_path / f"{path.stem}.zarr"
        archive.extractall(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yaozarrs.validate_zarr_store(str(folder))
            root = zarr.open_group(folder, mode="r")
            assert models.v05.BioFormats2Raw.from_zarr(root).attributes.ome.bioformats2raw_layout == 3
            for image_id in root["OME"].attrs["ome"]["series"]:
                for inner, kind in (("", "Image"), ("labels", "Labels"), ("labels/truth", "ImageLabel")):
                    place_ = folder / image_id / inner
                    yaozarrs.validate_zarr_store(str(place_))
                    assert type(models.open_ome_zarr(zarr.open_group(place_, mode="r"))).__name__ == kind
                images += 1
    assert images == len(open_dataset(place[0]))


# --- nothing runs, nothing leaves its folder --------------------------------------------------------------------------


def test_members_that_point_elsewhere_write_nothing(colour_release: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(colour_release, tmp_path / "deep/er/release"))
    for path in folder.glob("*.ozx"):
        with zipfile.ZipFile(path, "a") as archive:
            for name in ("../../evil.txt", f"{tmp_path}/evil.txt", "..\\evil.txt", "gsp/test/0001/../../../../../evil.txt"):
                archive.writestr(zipfile.ZipInfo(name), b"evil")
    before = tree(tmp_path)
    dataset = open_dataset(folder)
    expected = open_dataset(colour_release)
    for image_id in dataset:
        assert np.array_equal(everything(dataset[image_id])["image"], expected[image_id].image.all())
    assert {problem.where for problem in verify(folder).problems} >= {path.name for path in folder.glob("*.ozx")}
    verify(folder, rebuild=True)
    assert tree(tmp_path) == before


def unsafe(tree: ast.AST) -> Iterator[str]:
    """Yield calls and imports that run what a file says, by their line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            for name in names:
                if name.partition(".")[0] in ("cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"):
                    yield f"{node.lineno}: import {name}"
        if isinstance(node, ast.ImportFrom) and node.module == "pickle":
            yield f"{node.lineno}: from pickle"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("pickle.load", "pickle.loads", "pickle.Unpickler"):
            yield f"{node.lineno}: {ast.unparse(node)}"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        options = {option.arg: ast.unparse(option.value) for option in node.keywords}
        if called in ("eval", "exec", "compile", "__import__"):
            yield f"{node.lineno}: {called}"
        if options.get("allow_pickle") not in (None, "False") or options.get("weights_only") == "False":
            yield f"{node.lineno}: {called}"
        if called.endswith(("torch.load", "torch.hub.load")) and options.get("weights_only") != "True":
            yield f"{node.lineno}: {called}"
        if called in ("yaml.load", "yaml.load_all") and not re.search("Safe|yaml.Base", options.get("Loader", "")):
            yield f"{node.lineno}: {called}"
        if called in ("yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all", "yaml.full_load_all"):
            yield f"{node.lineno}: {called}"
        if called.endswith((".extractall", ".extract", "unpack_archive")):
            yield f"{node.lineno}: {called}"
        if called in ("os.system", "os.popen") or options.get("shell") == "True":
            yield f"{node.lineno}: {called}"


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(x)",
        "load = pickle.loads",
        "from pickle import loads",
        "from joblib import load",
        "eval('1')",
        "np.load(x, allow_pickle=True)",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "yaml.load(x)",
        "yaml.load(x, Loader=yaml.Loader)",
        "yaml.full_load(x)",
        "ZipFile(x).extractall(y)",
        "subprocess.run(x, shell=True)",
    ],
)
def test_the_search_finds(line: str) -> None:
    assert list(unsafe(ast.parse(line)))


def test_no_reader_of_ours_runs_what_it_reads() -> None:
    sources = sorted(Path(miso_gen.__file__).parent.rglob("*.py"))
    assert len(sources) > 100
    found = {path.name: list(unsafe(ast.parse(path.read_text("utf-8")))) for path in sources}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_a_recipe_with_a_tag_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text(f"schema: 1\nname: !!python/object/apply:pathlib.Path.touch [{tmp_path}/evil]\n", "utf-8")
    with pytest.raises(MisoGenError):
        load_recipe(path)
    assert not (tmp_path / "evil").exists()
