"""The store of maps: what is read is what was written, zarr-python reads the same, and nothing half-written shows."""

from __future__ import annotations

import json
import os
import pickle
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from miso_gen.errors import CorruptStoreError, InputError, OutputError, StoreError, UnknownNameError
from miso_gen.store import MapGroup, MapStore, array_digest
from miso_gen.store.map_array import map_layout

DATASET = {"name": "miso1", "version": "1.0.0", "root_digest": "ab" * 32}
PIXELS = MapGroup("evp-vgg-att-0", "saliency", {"type": "saliency", "noise": 0.1}, "pixel", "pixel", signed=True)
CELLS = MapGroup("evp-vgg-att-0", "ppm", {"type": "ppm"}, "ppm", "grid", 48, facts={"size": (62, 62)})
AT = (PIXELS.model, PIXELS.explainer)
GRID = (CELLS.model, CELLS.explainer)


@pytest.fixture
def maps(tmp_path) -> MapStore:
    store = MapStore.create(tmp_path / "run" / "maps.zarr", dataset=DATASET, facts={"about": "tests"})
    store.add_group(PIXELS)
    store.add_group(CELLS)
    return store


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def tiles_of(values: np.ndarray, high: int, wide: int) -> list[tuple[int, int, np.ndarray]]:
    height, width = values.shape[-2:]
    places = [(top, left) for top in range(0, height, high) for left in range(0, width, wide)]
    return [(top, left, values[..., top : top + high, left : left + wide]) for top, left in places]


@pytest.mark.parametrize("shape", [(1, 1), (62, 62), (300, 280), (3, 40, 50), (257, 513)])
def test_what_is_read_is_what_was_written_and_zarr_reads_the_same(maps, shape):
    values = noise(*shape)
    maps.write(*AT, "evp/test/0007", values, target=1, facts={"seconds": 0.5})
    found = maps.read(*AT, "evp/test/0007", verify=True)
    np.testing.assert_array_equal(found.values, values)
    assert (found.values.dtype, found.image_id, found.target, found.facts) == (np.float32, "evp/test/0007", 1, {"seconds": 0.5})
    assert found.group == PIXELS
    assert found.digest == array_digest(values)
    foreign = zarr.open_group(maps.path, mode="r")["evp-vgg-att-0/saliency/evp/test/0007"]
    np.testing.assert_array_equal(foreign[...], values)
    assert foreign.dtype == np.float32
    assert foreign.attrs["miso"]["image_id"] == "evp/test/0007"
    assert foreign.metadata.dimension_names == (("map", "y", "x") if len(shape) == 3 else ("y", "x"))


def test_zarr_walks_over_every_group_without_a_warning(maps):
    for image in ("evp/test/0001", "evp/train/0002", "c/c/c"):  # an array's chunks are in a folder called c, too
        maps.write(*AT, image, noise(8, 8))
        maps.write(*GRID, image, noise(8, 8))
    inside = dict(zarr.open_group(maps.path, mode="r").members(max_depth=None))
    found = {name for name, node in inside.items() if isinstance(node, zarr.Array)}
    assert found == {
        f"evp-vgg-att-0/{name}/{image}" for name in ("saliency", "ppm") for image in ("evp/test/0001", "evp/train/0002", "c/c/c")
    }
    assert maps.ids(*AT) == maps.ids(*GRID) == ("c/c/c", "evp/test/0001", "evp/train/0002")
    assert inside["evp-vgg-att-0/ppm"].attrs["miso"]["cell_px"] == 48
    root = zarr.open_group(maps.path, mode="r").attrs["miso"]
    assert (root["maps_layout"], root["dataset"], root["facts"]) == (1, DATASET, {"about": "tests"})
    assert {"miso-gen", "numpy"} <= set(root["generator"])


@settings(max_examples=30, deadline=None)
@given(
    values=arrays(
        np.float32,
        st.one_of(st.tuples(*[st.integers(1, 20)] * 2), st.tuples(st.integers(2, 3), *[st.integers(1, 12)] * 2)),
        elements=st.one_of(
            st.just(0.0), st.just(1.0), st.just(np.nan), st.floats(width=32, allow_nan=True, allow_infinity=False)
        ),
    )
)
def test_flags_say_whether_a_map_says_anything(tmp_path_factory, values):
    store = MapStore.create(tmp_path_factory.getbasetemp() / "flags.zarr", dataset=DATASET)
    store.add_group(CELLS)
    store.write(*GRID, "a/b", values)
    found = store.read(*GRID, "a/b", verify=True)
    np.testing.assert_array_equal(found.values, values)
    there = {float(value) for value in values.ravel() if not np.isnan(value)}
    assert found.blank is (there <= {0.0})
    assert found.constant is (len(there) <= 1)


@pytest.mark.parametrize(
    ("values", "blank", "constant"),
    [
        (np.zeros((3, 3)), True, True),
        (np.full((3, 3), 2), False, True),
        (np.eye(3), False, False),
        (np.full((2, 2), -1), False, True),
    ],
)
def test_blank_and_constant_maps_of_other_types(maps, values, blank, constant):
    maps.write(*AT, "a/b", values)
    found = maps.read(*AT, "a/b")
    assert (found.blank, found.constant, found.target, found.facts) == (blank, constant, None, {})
    np.testing.assert_array_equal(found.values, values)


def test_a_single_map_of_a_stack_is_a_map(maps):
    maps.write(*AT, "a/b", noise(1, 6, 7))
    assert maps.read(*AT, "a/b").values.shape == (6, 7)
    maps.write_tiles(*AT, "a/c", (1, 6, 7), tiles_of(noise(1, 6, 7), 6, 4))
    np.testing.assert_array_equal(maps.read(*AT, "a/c").values, noise(1, 6, 7)[0])


@pytest.mark.parametrize("tile", [(1024, 1024), (2048, 700), (333, 4100), (1500, 1500)])
def test_large_maps_are_written_tile_by_tile(maps, tile):
    values = noise(1030, 4100)
    given = tiles_of(values, *tile)
    order = np.random.default_rng(0).permutation(len(given))
    maps.write_tiles(*AT, "a/large", values.shape, [given[number] for number in order], target=0)
    maps.write(*AT, "a/whole", values)
    large, whole = (maps.read(*AT, f"a/{name}", verify=True) for name in ("large", "whole"))
    np.testing.assert_array_equal(large.values, values)
    assert large.digest == whole.digest == array_digest(values)
    first, second = (maps.path / "evp-vgg-att-0/saliency/a" / name / "c" for name in ("large", "whole"))
    assert sorted(path.relative_to(first) for path in first.rglob("*")) == sorted(
        path.relative_to(second) for path in second.rglob("*")
    )
    assert len(list(first.glob("*/*"))) == 2 * 5
    foreign = zarr.open_array(maps.path / "evp-vgg-att-0/saliency/a/large", mode="r")
    np.testing.assert_array_equal(foreign[1000:, 4000:], values[1000:, 4000:])


def test_values_are_read_in_part(maps):
    values = noise(300, 4100)
    maps.write(*AT, "a/large", values)
    lazy = maps.open_values(*AT, "a/large")
    assert lazy.shape == values.shape
    np.testing.assert_array_equal(lazy[10:290:7, 1000:1100], values[10:290:7, 1000:1100])
    (maps.path / "evp-vgg-att-0/saliency/a/large/c/0/4").unlink()
    np.testing.assert_array_equal(lazy[:, :4096], values[:, :4096])
    with pytest.raises(CorruptStoreError, match="must exist"):
        lazy[:, 4096:]


@pytest.mark.parametrize(
    ("shape", "chunk"),
    [
        ((4096, 4096), (4096, 4096)),
        ((4097, 5), (1024, 1024)),
        ((16, 1024, 1024), (16, 1024, 1024)),
        ((17, 4096, 4096), (17, 512, 512)),
        ((300, 2000, 2000), (300, 256, 256)),
    ],
)
def test_chunks_stay_small_enough(shape, chunk):
    assert map_layout(shape).chunk == chunk
    assert map_layout(shape).metadata()["chunk_grid"]["configuration"]["chunk_shape"] == list(chunk)


def test_stacks_of_several_chunks(maps):
    values = noise(70, 520, 600)  # more than 2^24 values
    assert map_layout(values.shape).chunk == (70, 256, 256)
    maps.write(*AT, "a/b", values)
    np.testing.assert_array_equal(maps.read(*AT, "a/b", verify=True).values, values)


BAD_TILES = {
    "overlap": ([(0, 0, np.ones((4, 6))), (3, 0, np.ones((2, 6)))], "tiles must not overlap, got some of rows 3 to 4"),
    "again": ([(0, 0, np.ones((5, 6))), (0, 0, np.ones((1, 1)))], "tiles must not overlap, got some of rows 0 to 0"),
    "outside": ([(1, 0, np.ones((5, 6)))], "tile must lie inside the map"),
    "other axes": ([(0, 0, np.ones((2, 5, 6)))], "tile must lie inside the map"),
    "gap": ([(0, 0, np.ones((5, 5)))], "tiles must cover the map"),
    "none": ([], "tiles must cover the map"),
    "empty": ([(0, 0, np.ones((0, 6)))], "tile must lie inside the map"),
}


@pytest.mark.parametrize("case", BAD_TILES)
def test_tiles_must_cover_the_map_once(maps, case):
    tiles, words = BAD_TILES[case]
    with pytest.raises(InputError, match=words):
        maps.write_tiles(*AT, "a/b", (5, 6), tiles)
    assert not maps.has(*AT, "a/b")
    assert not list(maps.path.glob(".*"))


BAD_VALUES = {
    "nan": (np.array([[1.0, np.nan]]), "must be finite, got 1 that are not"),
    "too large": (np.array([[1.0, 1e300]]), "must be finite, got 1 that are not"),
    "complex": (np.ones((2, 2), complex), "must hold real numbers, got complex128"),
    "text": (np.array([["a"]]), "must hold real numbers, got <U1"),
    "one axis": (np.ones(4), r"must have shape \(H, W\)"),
    "four axes": (np.ones((2, 2, 2, 2)), r"must have shape \(H, W\)"),
    "nothing": (np.ones((0, 4)), r"must have shape \(H, W\)"),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_what_is_no_map_is_refused_and_leaves_nothing(maps, case):
    values, words = BAD_VALUES[case]
    maps.write(*AT, "a/b", np.ones((2, 2)))
    with pytest.raises(InputError, match=words):
        maps.write(*AT, "a/b", values)
    np.testing.assert_array_equal(maps.read(*AT, "a/b").values, np.ones((2, 2)))
    assert not list(maps.path.glob(".*"))


def test_cells_may_have_no_value_but_not_an_infinite_one(maps):
    maps.write(*GRID, "a/b", [[np.nan, 1.0]])
    np.testing.assert_array_equal(maps.read(*GRID, "a/b").values, [[np.nan, 1.0]])
    with pytest.raises(InputError, match="must be finite, or nan where a cell has no value, got 1 that are not"):
        maps.write(*GRID, "a/b", [[np.inf, np.nan]])


def test_half_written_maps_never_show(maps):
    def breaking():
        yield 0, 0, np.ones((1024, 1024))
        assert list(maps.path.glob(".tmp-*/c/0/0"))  # begun, and out of the way
        assert maps.ids(*AT) == ()
        assert not maps.has(*AT, "a/b")
        assert maps.models() == ("evp-vgg-att-0",)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        maps.write_tiles(*AT, "a/b", (1024, 5000), breaking())
    assert maps.ids(*AT) == ()
    assert not list(maps.path.glob(".*"))


def test_a_map_is_replaced_whole(maps):
    maps.write(*AT, "a/b", noise(300, 4200), target=0)
    maps.write(*AT, "a/b", noise(5, 6), target=1)
    found = maps.read(*AT, "a/b", verify=True)
    assert (found.values.shape, found.target) == ((5, 6), 1)
    assert sorted(path.name for path in maps.path.rglob("*") if path.is_file() and "c" in path.parts) == ["0"]


def test_ids_may_not_lie_in_each_other(maps):
    maps.write(*AT, "a/b", noise(2, 2))
    with pytest.raises(InputError, match="must not lie inside another with a map, got 'a/b/c' in 'a/b'"):
        maps.write(*AT, "a/b/c", noise(2, 2))
    with pytest.raises(InputError, match="must not hold other images with maps, got 'a'"):
        maps.write(*AT, "a", noise(2, 2))
    assert maps.ids(*AT) == ("a/b",)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "_private", "zarr.json", "a\\b", "con", "x" * 300, "a\nb"])
def test_names_are_safe_parts_of_a_path(maps, name):
    with pytest.raises(InputError, match="model must be a plain name of a folder"):
        maps.add_group(MapGroup(name, "saliency", {}, "pixel", "pixel"))
    with pytest.raises(InputError, match="explainer must be a plain name of a folder"):
        MapGroup("m", name, {}, "pixel", "pixel")
    for call in (maps.ids, maps.group, maps.remove):
        with pytest.raises(InputError, match="must be a plain name of a folder"):
            call("evp-vgg-att-0", name)
    with pytest.raises(InputError, match="model must be a plain name"):
        maps.explainers(name)


@pytest.mark.parametrize("image_id", ["", "/a", "a/../b", "a//b", "../../x", "a/.b", "a/_b", "a/zarr.json", "a\\b"])
def test_image_ids_stay_in_the_store(maps, image_id):
    for call in (
        lambda: maps.write(*AT, image_id, noise(2, 2)),
        lambda: maps.has(*AT, image_id),
        lambda: maps.read(*AT, image_id),
    ):
        with pytest.raises(InputError, match="image id must be plain names"):
            call()


def test_groups_are_added_once(maps):
    maps.add_group(CELLS)
    assert maps.group(*GRID) == CELLS
    assert maps.group(*GRID).facts == {"size": [62, 62]}
    with pytest.raises(OutputError, match=r"must be the same ones, got another cell_px: 48 is there, 16 was given"):
        maps.add_group(MapGroup("evp-vgg-att-0", "ppm", {"type": "ppm"}, "ppm", "grid", 16, facts={"size": (62, 62)}))
    maps.add_group(MapGroup("gsp-vgg19-1", "ppm", {}, "ppm", "grid", 16))
    assert maps.models() == ("evp-vgg-att-0", "gsp-vgg19-1")
    assert maps.explainers("evp-vgg-att-0") == ("ppm", "saliency")
    assert maps.explainers("none") == maps.ids("none", "ppm") == ()
    assert not maps.has("none", "ppm", "a/b")


BAD_GROUPS = {
    "kind": ({"kind": "picture"}, "kind of maps must be one of pixel, ssm"),
    "place": ({"at": "patch"}, "at of maps must be one of pixel, grid"),
    "cell at pixels": ({"cell_px": 4}, "cell_px must be at least 1 on a grid and None at pixels, got 4 at 'pixel'"),
    "no cell": ({"at": "grid", "cell_px": 0}, "cell_px must be at least 1"),
    "spec": ({"spec": {"a": np.float32(1)}}, "spec must be a mapping of plain JSON, got none"),
    "facts": ({"facts": {"a": float("nan")}}, "facts must be a mapping of plain JSON, got none"),
    "no mapping": ({"facts": 3}, "facts must be a mapping of plain JSON, got none"),
}


@pytest.mark.parametrize("case", BAD_GROUPS)
def test_groups_that_make_no_sense_are_refused(case):
    changes, words = BAD_GROUPS[case]
    with pytest.raises(InputError, match=words):
        MapGroup(**{"model": "m", "explainer": "e", "spec": {}, "kind": "pixel", "at": "pixel", **changes})


def test_unknown_names_are_told_with_the_nearest(maps):
    maps.write(*AT, "evp/test/0001", noise(2, 2))
    with pytest.raises(UnknownNameError, match=r"model of maps must be one of evp-vgg-att-0, got 'evp-vgg-att-1'. Did you mean"):
        maps.group("evp-vgg-att-1", "ppm")
    with pytest.raises(UnknownNameError, match=r"got 'salency'. Did you mean 'saliency'?"):
        maps.write("evp-vgg-att-0", "salency", "a/b", noise(2, 2))
    for call in (maps.read, maps.open_values):
        with pytest.raises(UnknownNameError, match=r"got 'evp/test/0002'. Did you mean 'evp/test/0001'?"):
            call(*AT, "evp/test/0002")
    with pytest.raises(UnknownNameError):
        maps.remove("evp-vgg-att-0", "ppm2")


def test_removing_a_group_leaves_the_others(maps):
    for group in (AT, GRID):
        maps.write(*group, "a/b", noise(2, 2))
    maps.remove(*AT)
    assert maps.explainers(AT[0]) == ("ppm",)
    assert maps.ids(*AT) == ()
    assert maps.ids(*GRID) == ("a/b",)
    maps.remove(*GRID)
    assert maps.models() == ()
    maps.add_group(PIXELS)
    assert maps.ids(*AT) == ()
    assert not list(maps.path.glob(".*"))


def test_a_store_is_opened_again_for_the_same_data_set(maps):
    maps.write(*AT, "a/b", noise(2, 2))
    again = MapStore.create(maps.path, dataset=DATASET, facts={"about": "others"})
    assert again.ids(*AT) == MapStore.open(str(maps.path)).ids(*AT) == ("a/b",)
    assert (again.dataset, again.facts) == (DATASET, {"about": "tests"})
    assert pickle.loads(pickle.dumps(again)).ids(*AT) == ("a/b",)
    assert repr(again).endswith("maps.zarr', miso1 1.0.0)")
    with pytest.raises(OutputError, match=r"must hold maps of miso1 1.0.1, got another version, '1.0.0' instead of '1.0.1'"):
        MapStore.create(maps.path, dataset={**DATASET, "version": "1.0.1"})
    with pytest.raises(InputError, match="must have name, version and root_digest, got no root_digest"):
        MapStore.create(maps.path, dataset={"name": "a", "version": "1"})


def test_what_is_no_store_of_maps(tmp_path, maps):
    with pytest.raises(StoreError, match="must be a store of maps, got nothing there"):
        MapStore.open(tmp_path / "none")
    (tmp_path / "full").mkdir()
    with pytest.raises(StoreError, match="must be a store of maps, got something else"):
        MapStore.open(tmp_path / "full")
    assert MapStore.create(tmp_path / "full", dataset=DATASET).models() == ()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("precious")
    with pytest.raises(OutputError, match="must be a store of maps or nothing, got something else"):
        MapStore.create(tmp_path / "other", dataset=DATASET)
    with pytest.raises(OutputError, match="must be a store of maps or nothing"):
        MapStore.create(tmp_path / "other" / "file", dataset=DATASET)
    assert (tmp_path / "other" / "file").read_text() == "precious"
    zarr.open_group(tmp_path / "foreign.zarr", mode="w")
    with pytest.raises(OutputError, match="must be a store of maps, got something else"):
        MapStore.create(tmp_path / "foreign.zarr", dataset=DATASET)
    document = json.loads((maps.path / "zarr.json").read_text())
    document["attributes"]["miso"]["maps_layout"] = 2
    (maps.path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(StoreError, match="must have layout 1, got 2"):
        MapStore.open(maps.path)
    document["attributes"]["miso"] = {"maps_layout": 1, "dataset": DATASET}
    (maps.path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(CorruptStoreError, match="must say its data set and facts, got no facts"):
        MapStore.open(maps.path)


def test_damage_is_told(maps):
    maps.write(*AT, "a/b", noise(20, 20))
    folder = maps.path / "evp-vgg-att-0/saliency/a/b"
    document = json.loads((folder / "zarr.json").read_text())
    document["attributes"]["miso"]["digest"] = "00" * 32
    (folder / "zarr.json").write_text(json.dumps(document))
    assert maps.read(*AT, "a/b").values.shape == (20, 20)
    with pytest.raises(CorruptStoreError, match="must match its digest"):
        maps.read(*AT, "a/b", verify=True)
    data = bytearray((folder / "c/0/0").read_bytes())
    data[40] ^= 1
    (folder / "c/0/0").write_bytes(data)
    with pytest.raises(CorruptStoreError, match="must match its checksum"):
        maps.read(*AT, "a/b")
    del document["attributes"]["miso"]["target"]
    (folder / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(CorruptStoreError, match="must say what map it is"):
        maps.read(*AT, "a/b")
    (maps.path / "evp-vgg-att-0/ppm/zarr.json").write_text('{"node_type": "group", "attributes": {"miso": {"model": "m"}}}')
    with pytest.raises(CorruptStoreError, match="must say what its maps are"):
        maps.group(*GRID)


def test_what_nobody_finished_is_swept_after_a_day(maps):
    for name, age in ((".tmp-1-old", 90_000), (".tmp-2-new", 10)):
        (maps.path / name).mkdir()
        (maps.path / name / "c").mkdir()
        os.utime(maps.path / name, (time.time() - age,) * 2)
    maps.write(*AT, "a/b", noise(2, 2))
    assert maps.models() == ("evp-vgg-att-0",)
    MapStore.create(maps.path, dataset=DATASET)
    assert [path.name for path in maps.path.glob(".*")] == [".tmp-2-new"]


def _write_some(path: str, first: int) -> None:
    store = MapStore.create(path, dataset=DATASET)
    store.add_group(PIXELS)
    for number in range(first, first + 20):
        store.write(*AT, f"evp/test/{number:04}", np.full((8, 8), number))
    for number in range(10):
        store.write(*AT, "evp/both/0000", np.full((8, 8), first + number))


def test_processes_write_to_one_store(tmp_path: Path):
    context = get_context("fork")
    workers = [context.Process(target=_write_some, args=(str(tmp_path / "maps.zarr"), first)) for first in (0, 10, 20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    store = MapStore.open(tmp_path / "maps.zarr")
    assert store.ids(*AT) == ("evp/both/0000", *(f"evp/test/{number:04}" for number in range(40)))
    for number in range(40):
        assert (store.read(*AT, f"evp/test/{number:04}", verify=True).values == number).all()
    assert store.read(*AT, "evp/both/0000", verify=True).constant
    assert not list(store.path.glob(".*"))
