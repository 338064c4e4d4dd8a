"""Writing: any tiling, any chunking, one image; interruptions; what others left."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.errors import OutputError, SpaceError
from miso_gen.geometry import Box
from miso_gen.store import ImageLayout, ImageWriter, ShardedImage, array_digest, finished_record, open_target, read_record
from miso_gen.store.area import AreaEncoder
from miso_gen.store.local import LocalTarget
from miso_gen.store.metadata import canonical
from miso_gen.store.read import ImageView
from miso_gen.store.validate import validate_image

PATH = "images.zarr/gsp/test/0007"


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(64, 700),
    width=st.integers(64, 700),
    channels=st.sampled_from([1, 3]),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    kind=st.sampled_from(["noise", "binary", "zero"]),
    chunk=st.sampled_from([64, 96, 128, 250, 256, 512]),
    codec=st.sampled_from(["lz4", "zstd"]),
)
def test_round_trip(kit, new_folder, height, width, channels, dtype, kind, chunk, codec):
    planes = kit.sample((channels, height, width), dtype, kind)
    folder = new_folder()
    layout = kit.layout_of(planes, instances=True, chunk=chunk, codec=codec)
    record = kit.write(open_target(folder), PATH, planes, layout, tile=250, objects=kit.table())
    view = ImageView(open_target(folder), PATH)
    for name, pixels in planes.items():
        assert np.array_equal(getattr(view, name).all(), pixels)
        assert record.miso["digests"][name] == array_digest(pixels)
    assert validate_image(folder / PATH) == []


@settings(max_examples=12, deadline=None)
@given(
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(64, 600), st.integers(64, 600)),
    dtype=st.sampled_from(["uint8", "float32"]),
    chunk=st.sampled_from([128, 256, 384, 512]),
    tile=st.sampled_from([16, 37, 64, 100, 250, 256, 512, (256, 4096), (1, 4096), (4096, 31)]),
)
def test_any_tiling_gives_the_same_files(kit, new_folder, shape, dtype, chunk, tile):
    planes = kit.sample(shape, dtype, "binary")
    layout = kit.layout_of(planes, instances=True, chunk=chunk)
    whole, cut = new_folder(), new_folder()
    kit.write(open_target(whole), PATH, planes, layout)
    kit.write(open_target(cut), PATH, planes, layout, tile=tile)
    assert kit.contents(whole) == kit.contents(cut)


@pytest.mark.parametrize("tile", [16, 37, 64, 100, 250])
def test_small_tiles_give_the_same_files(kit, tmp_path, tile):
    planes = kit.sample((1, 300, 531), kind="binary")
    layout = kit.layout_of(planes)
    kit.write(open_target(tmp_path / "whole"), PATH, planes, layout)
    kit.write(open_target(tmp_path / "cut"), PATH, planes, layout, tile=tile)
    assert kit.contents(tmp_path / "whole") == kit.contents(tmp_path / "cut")


def test_order_of_tiles_does_not_matter(kit):
    planes = kit.sample((1, 530, 520), kind="binary")
    layout = kit.layout_of(planes)
    results = []
    for step in (1, -1):
        area = AreaEncoder(layout, Box(0, 0, 530, 520))
        for box in list(kit.tiles(530, 520, 100, 90))[::step]:
            rows, cols = slice(box.top, box.bottom), slice(box.left, box.right)
            area.write(box, planes["image"][:, rows, cols], planes["truth"][rows, cols])
        results.append(area.finish())
    assert results[0].files == results[1].files


def test_open_units_are_bounded_by_a_row_of_tiles(kit):
    planes = kit.sample((1, 2048, 512), kind="binary")
    area = AreaEncoder(kit.layout_of(planes), Box(0, 0, 2048, 512))
    for box in kit.tiles(2048, 512, 100, 100):
        rows, cols = slice(box.top, box.bottom), slice(box.left, box.right)
        area.write(box, planes["image"][:, rows, cols], planes["truth"][rows, cols])
        assert len(area._open) <= 4
    area.finish()


def test_chunks_and_shards_never_change_a_digest(kit, new_folder):
    planes = kit.sample((3, 700, 900), kind="binary")
    options = [{}, {"chunk": 64}, {"chunk": 512, "codec": "zstd"}, {"shard": 256}, {"chunk": 128, "shard": 512}, {"chunk": 250}]
    records = [kit.write(open_target(new_folder()), PATH, planes, kit.layout_of(planes, True, **o), 100) for o in options]
    plain = [{key: value for key, value in record.miso.items() if key != "files"} for record in records]
    assert all(miso == plain[0] for miso in plain)


def test_empty_chunks_are_not_stored(kit, tmp_path):
    planes = kit.sample((1, 512, 512), kind="zero")
    kit.write(open_target(tmp_path), PATH, planes, kit.layout_of(planes))
    assert (tmp_path / PATH / "0/c/0/0/0").stat().st_size == 4 * 16 + 4


def test_empty_instances_inside_a_truth_are_not_stored(kit, tmp_path):
    planes = kit.sample((1, 512, 512))
    planes["truth"][:] = 1
    planes["truth"][5, 5] = 2
    planes["instances"][:] = 0
    kit.write(open_target(tmp_path), PATH, planes, kit.layout_of(planes, instances=True))
    assert (tmp_path / PATH / "labels/instances/0/c/0/0").stat().st_size == 4 * 16 + 4


def test_minus_zero_is_stored(kit, tmp_path):
    planes = kit.sample((1, 64, 64), "float32", "zero")
    planes["image"][:] = -0.0
    kit.write(open_target(tmp_path), PATH, planes, kit.layout_of(planes))
    stored = ImageView(open_target(tmp_path), PATH).image.all()
    assert np.signbit(stored).all()


def test_attributes(kit, tmp_path):
    planes = kit.sample((1, 100, 130), kind="binary")
    record = kit.write(open_target(tmp_path), PATH, planes, kit.layout_of(planes), objects=kit.table())
    text = (tmp_path / PATH / "zarr.json").read_text()
    document = json.loads(text)
    assert text == json.dumps(document, sort_keys=True, indent=2) + "\n"
    miso = document["attributes"]["miso"]
    assert miso == record.miso
    assert miso["truth_1_share"] == np.mean(planes["truth"] >= 1)
    assert miso["truth_2_share"] == np.mean(planes["truth"] == 2)
    assert set(miso["digests"]) == {"image", "truth", "objects"}
    assert record.instances_digest is None
    ome = json.loads((tmp_path / PATH / "labels/truth/zarr.json").read_text())["attributes"]["ome"]
    assert [(p["label-value"], p["level"], p["heat"]) for p in ome["image-label"]["properties"]] == [
        (0, "irrelevant", 0.0),
        (1, "localisation", 0.4),
        (2, "discriminative", 0.9),
    ]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"b": [], "a": {}},
        {"é": [1, [2, "x\n"], {"z": None, "a": True}], "n": [1.5, 1], "big": 2**70, "t": (1, 2), "b": [True, 1]},
    ],
)
def test_canonical_text_is_that_of_json(document):
    expected = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    assert canonical(document) == expected.encode()


def test_canonical_text_refuses_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": [float("nan")]})


def test_a_finished_image_is_found(kit, tmp_path):
    planes, target = kit.sample((1, 64, 64)), open_target(tmp_path)
    layout = kit.layout_of(planes)
    assert finished_record(target, PATH, layout, {}) is None
    record = kit.write(target, PATH, planes, layout)
    assert finished_record(target, PATH, layout, {"label": 1, "parameters": record.miso["parameters"]}) == record
    assert finished_record(target, PATH, layout, {"label": 0}) is None
    assert finished_record(target, PATH, kit.layout_of(planes, chunk=64), {}) is None
    target.remove(f"{PATH}/0/c/0/0/0")
    assert finished_record(target, PATH, layout, {}) is None


def test_no_objects_and_an_empty_table(kit, tmp_path):
    planes = kit.sample((1, 64, 64))
    kit.write(open_target(tmp_path), PATH, planes, kit.layout_of(planes), objects=kit.table(0))
    view = ImageView(open_target(tmp_path), PATH)
    assert len(view.objects) == 0
    assert view.objects.columns[-1] == "radius_px"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((1, 64, 63), np.uint8)}, "image of .* must be uint8 of shape"),
        ({"image": np.zeros((1, 64, 64), np.uint16)}, "must be uint8 of shape"),
        ({"truth": np.full((64, 64), 7, np.uint8)}, "truth must hold 0, 1 and 2 only"),
        ({"instances": np.zeros((64, 64), np.uint16)}, "tile must have the arrays"),
    ],
)
def test_wrong_tiles_are_refused(change, message):
    planes = {"image": np.zeros((1, 64, 64), np.uint8), "truth": np.zeros((64, 64), np.uint8), **change}
    area = AreaEncoder(ImageLayout(64, 64), Box(0, 0, 64, 64))
    with pytest.raises(ValueError, match=message):
        area.write(Box(0, 0, 64, 64), **planes)


def test_missing_tiles_are_refused(kit):
    planes = kit.sample((1, 300, 300))
    area = AreaEncoder(kit.layout_of(planes), Box(0, 0, 300, 300))
    area.write(Box(0, 0, 300, 299), planes["image"][:, :, :299], planes["truth"][:, :299])
    with pytest.raises(ValueError, match=r"must cover all 90000 px .* got 89700 px"):
        area.finish()


def test_missing_attributes_are_refused(kit, tmp_path):
    planes = kit.sample((1, 64, 64))
    writer = ImageWriter(open_target(tmp_path), PATH, kit.layout_of(planes))
    writer.write(Box(0, 0, 64, 64), planes["image"], planes["truth"])
    with pytest.raises(ValueError, match="got none for label"):
        writer.finish({name: value for name, value in kit.given().items() if name != "label"})
    assert kit.contents(tmp_path) == {}


def test_the_same_image_is_kept(kit, tmp_path):
    planes, target = kit.sample((1, 64, 64)), open_target(tmp_path)
    kit.write(target, PATH, planes, kit.layout_of(planes))
    before = (tmp_path / PATH).stat().st_ino
    kit.write(target, PATH, planes, kit.layout_of(planes))
    assert (tmp_path / PATH).stat().st_ino == before
    assert [path.name for path in (tmp_path / "images.zarr/gsp/test").iterdir()] == ["0007"]


@pytest.mark.parametrize("damage", ["other pixels", "no group", "no shard", "empty folder", "a file"])
def test_a_broken_or_other_image_is_replaced(kit, tmp_path, damage):
    planes, target = kit.sample((1, 64, 64)), open_target(tmp_path)
    kit.write(target, PATH, planes, kit.layout_of(planes))
    expected = kit.contents(tmp_path)
    match damage:
        case "other pixels":
            target.remove(PATH)
            other = kit.sample((1, 64, 64), seed=9)
            kit.write(target, PATH, other, kit.layout_of(other))
        case "no group":
            target.remove(f"{PATH}/zarr.json")
        case "no shard":
            target.remove(f"{PATH}/labels/truth/0/c/0/0")
        case "empty folder":
            target.remove(PATH)
            (tmp_path / PATH).mkdir()
        case "a file":
            target.remove(PATH)
            (tmp_path / PATH).write_bytes(b"")
    kit.write(target, PATH, planes, kit.layout_of(planes))
    assert kit.contents(tmp_path) == expected


@pytest.mark.parametrize("other_seed", [0, 9])
def test_another_attempt_is_faster(kit, tmp_path, monkeypatch, other_seed):
    """Whoever comes second keeps the same image, and replaces another one."""
    planes, other = kit.sample((1, 64, 64)), kit.sample((1, 64, 64), seed=other_seed)
    rename = LocalTarget.rename

    def beaten(self, source, destination):
        monkeypatch.setattr(LocalTarget, "rename", rename)
        kit.write(open_target(tmp_path), PATH, other, kit.layout_of(other))
        rename(self, source, destination)

    monkeypatch.setattr(LocalTarget, "rename", beaten)
    record = kit.write(open_target(tmp_path), PATH, planes, kit.layout_of(planes))
    assert read_record(open_target(tmp_path), PATH) == record
    assert validate_image(tmp_path / PATH) == []
    assert [path.name for path in (tmp_path / "images.zarr/gsp/test").iterdir()] == ["0007"]


def test_an_image_that_others_keep_changing(kit, tmp_path, monkeypatch):
    planes, target = kit.sample((1, 64, 64)), open_target(tmp_path)

    def always(self, source, destination):
        raise FileExistsError(destination)

    monkeypatch.setattr(LocalTarget, "rename", always)
    with pytest.raises(OutputError, match="must be written by one build"):
        kit.write(target, PATH, planes, kit.layout_of(planes))
    assert [path.name for path in (tmp_path / "images.zarr/gsp/test").iterdir()] == []


def test_a_failed_attempt_leaves_nothing(kit, tmp_path, monkeypatch):
    planes, target = kit.sample((1, 64, 64)), open_target(tmp_path)

    def full(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(SpaceError, match="must fit on its disk"):
            kit.write(target, PATH, planes, kit.layout_of(planes))
    assert kit.contents(tmp_path) == {}
    assert [path.name for path in (tmp_path / "images.zarr/gsp/test").iterdir()] == []


def test_a_place_that_cannot_be_written(kit, tmp_path):
    (tmp_path / "images.zarr").write_text("a file in the way")
    planes = kit.sample((1, 64, 64))
    with pytest.raises(OutputError, match="must be writable"):
        kit.write(open_target(tmp_path), PATH, planes, kit.layout_of(planes))


def test_several_shards_need_the_other_writer():
    with pytest.raises(ValueError, match="Use ShardedImage"):
        ImageWriter(open_target("x"), PATH, ImageLayout(600, 600, shard=256))
    assert ShardedImage(open_target("x"), PATH, ImageLayout(600, 600, shard=256)).levels == 1
