"""Torch data sets over a store: every item is the crop of the stored image."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from building import small
from torch.utils.data import DataLoader

from miso_gen.build import build
from miso_gen.data import BagDataset, ImageDataset, PatchDataset, PatchLoader, PixelMean, PixelPool, patch_table
from miso_gen.data.pixels import StorePixels
from miso_gen.errors import InputError, UnknownNameError
from miso_gen.recipe import load_recipe
from miso_gen.store import Dataset, open_dataset

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 48


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """All six scenarios on 300 x 280 px, in chunks that patches straddle."""
    folder = tmp_path_factory.mktemp("store")
    build(small(), folder, workers=1, chunk=64)
    return open_dataset(folder)


@pytest.fixture(scope="module", params=["uint8", "uint16", "float32"])
def coloured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Fields of cells, RGB, with ids of many objects."""
    recipe = {
        "schema": 1,
        "name": "coloured",
        "canvas": {"shape": [260, 300], "channels": 3, "dtype": request.param},
        "splits": ["train"],
        "scenarios": [
            {
                "type": "cell-field",
                "images": 4,
                "reach_px": 20,
                "area_px": [100, 300],
                "points": {"type": "matern", "candidates_per_mpx": 900},
                "backgrounds": ["color-field"],
            }
        ],
    }
    folder = tmp_path_factory.mktemp(request.param)
    build(load_recipe(recipe), folder, workers=1, chunk=128)
    return open_dataset(folder)


def unit(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return stored pixels as float32 in [0, 1], by definition."""
    top = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}[pixels.dtype.name]
    return (pixels.astype(np.float64) / top).astype(np.float32)


def assert_item(item: dict[str, Any], dataset: Dataset, size: int, stored: bool = False) -> None:
    """Compare a patch with what is stored."""
    view = dataset[item["image_id"]]
    rows, cols = slice(item["row"], item["row"] + size), slice(item["col"], item["col"] + size)
    crop = view.image.all()[:, rows, cols]
    expected = crop if stored else unit(crop)
    assert item["image"].shape == (len(crop), size, size)
    assert item["image"].numpy().dtype == expected.dtype
    np.testing.assert_array_equal(item["image"].numpy(), expected)
    assert item["label"] == view.attributes["label"]
    if "truth" in item:
        assert item["truth"].dtype == torch.uint8
        np.testing.assert_array_equal(item["truth"].numpy(), view.truth.all()[rows, cols])
    if "instances" in item:
        assert item["instances"].dtype == torch.int32
        np.testing.assert_array_equal(item["instances"].numpy(), view.instances.all()[rows, cols])


def test_patches_are_crops(store):
    patches = PatchDataset(store, size=SIZE, truth=True, instances=True)
    assert 0 < len(patches) == len(patch_table(store, store.ids, size=SIZE))
    for place in range(0, len(patches), 7):
        item = patches[place]
        assert set(item) == {"image", "truth", "instances", "label", "row", "col", "image_id"}
        assert (item["row"], item["col"]) == (patches.table.row[place], patches.table.col[place])
        assert_item(item, store, SIZE)


@pytest.mark.parametrize("stored", [False, True])
def test_patches_of_several_channels_are_crops(coloured, stored):
    patches = PatchDataset(coloured, size=70, background="keep", truth=True, instances=True, stored=stored)
    for item in patches.__getitems__(range(len(patches))):
        assert_item(item, coloured, 70, stored)
    assert max(int(item["instances"].max()) for item in patches) > 1


def test_a_batch_holds_the_items(store):
    patches = PatchDataset(store, scenario="gsp", size=SIZE, truth=True)
    places = [5, 0, len(patches) - 1, 5]
    batch = patches.batch(places)
    assert batch["image"].shape == (4, 1, SIZE, SIZE)
    assert batch["label"].dtype == batch["row"].dtype == batch["col"].dtype == torch.int64
    for number, place in enumerate(places):
        item = patches[place]
        assert all(torch.equal(batch[name][number], item[name]) for name in ("image", "truth"))
        assert all(batch[name][number] == item[name] for name in ("label", "row", "col", "image_id"))
    with pytest.raises(InputError, match="at least one patch"):
        patches.batch([])
    with pytest.raises(IndexError):
        patches[len(patches)]
    assert sum(1 for _ in patches) == len(patches)


def test_batches_do_not_share_memory(store):
    """Arrays are used again, but only those that nobody holds: not even through a view."""
    patches = PatchDataset(store, scenario="evp", size=SIZE, background="keep")
    groups = [list(range(start, start + 5)) for start in range(0, 40, 5)]
    held = [patches.batch(group)["image"][2, 0, 3:9] for group in groups]
    arrays = [patches.batch(group)["image"].numpy()[1] for group in groups]
    for group, view, array in zip(groups, held, arrays, strict=True):
        fresh = PatchDataset(store, scenario="evp", size=SIZE, background="keep")
        assert torch.equal(view, fresh[group[2]]["image"][0, 3:9])
        np.testing.assert_array_equal(array, fresh[group[1]]["image"].numpy())


@pytest.mark.parametrize("pool_bytes", [0, 9000, 40_000, 200_000])
@pytest.mark.parametrize("scenario", ["evp", "dsp"])
def test_pools_of_any_size_give_the_same_pixels(store, pool_bytes, scenario):
    whole = PatchDataset(store, scenario=scenario, size=SIZE, truth=True, instances=True)
    narrow = PatchDataset(store, scenario=scenario, size=SIZE, truth=True, instances=True, pool_bytes=pool_bytes)
    order = np.random.default_rng(3).permutation(len(whole))
    for start in range(0, len(order), 50):
        mine, theirs = narrow.batch(order[start : start + 50]), whole.batch(order[start : start + 50])
        assert all(torch.equal(mine[name], theirs[name]) for name in ("image", "truth", "instances"))
        assert narrow.pool.held <= pool_bytes
    for place in range(0, len(order), 20):
        assert_item(narrow[place], store, SIZE)


def test_images_of_two_values_are_held_as_bits(store):
    image = store["evp/train/0001"].image
    assert set(np.unique(image.all())) == {0, 255}
    chunks = 5 * 5 * 64 * 64
    pool = PixelPool(StorePixels(store), capacity=chunks, least=4)
    pool.patches(["evp/train/0001"], [0], [0], 280)
    assert pool.held == chunks // 8
    grey = PixelPool(StorePixels(store), capacity=chunks, least=4)
    grey.patches(["dsp/train/0001"], [0], [0], 280)
    assert grey.held == chunks


def test_the_pool_decodes_a_chunk_once_and_only_those_needed(store):
    pool = PixelPool(StorePixels(store))
    for _ in range(3):
        pool.patches(["evp/train/0001"] * 2, [0, 70], [0, 70], 50)
    assert pool.decoded == 2
    pool.patches(["evp/train/0001"], [50], [50], 50)  # touches four, of which two are there
    assert pool.decoded == 4
    assert pool.held == 4 * 64 * 64
    assert len(pool) == 1


def test_the_pool_forgets_what_was_not_used_for_longest(store):
    pool = PixelPool(StorePixels(store), capacity=3 * 64 * 64, least=1)
    names = [f"dsp/train/000{number}" for number in range(1, 6)]
    for name in names[:3]:
        pool.patches([name], [0], [0], 10)
    pool.patches([names[0]], [0], [0], 10)
    pool.patches([names[3]], [0], [0], 10)  # takes the place of the second
    assert pool.decoded == 4
    pool.patches([names[0], names[2], names[3]], [0] * 3, [0] * 3, 10)
    assert pool.decoded == 4
    pool.patches([names[1]], [0], [0], 10)
    assert pool.decoded == 5
    assert pool.held == 3 * 64 * 64


def test_the_pool_closes_files(store, monkeypatch):
    """Whatever fits into its memory, no more files are open than systems allow."""
    monkeypatch.setattr("miso_gen.data.pixels._OPEN_FILES", 10)
    pool = PixelPool(StorePixels(open_dataset(store.target.describe(""))), ("image", "truth"))
    for image_id in store.ids:
        pool.patches([image_id], [0], [0], 100)
    assert len(pool) == 5
    assert pool.held <= 5 * 2 * 4 * 64 * 64


def test_a_pool_pickles_without_pixels(store):
    patches = PatchDataset(store, scenario="dsp", size=SIZE)
    empty = len(pickle.dumps(patches))
    patches.batch(np.arange(200))
    assert patches.pool.held > 100_000
    assert len(pickle.dumps(patches)) == empty
    copied = pickle.loads(pickle.dumps(patches))
    assert copied.pool.held == 0
    assert torch.equal(copied[3]["image"], patches[3]["image"])


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_processes_see_the_same(store, start):
    pixels = PixelPool(StorePixels(store), ("image", "truth"))
    asked = (["fm/test/0001", "gsp/test/0002"] * 4, list(range(8)), list(range(100, 108)), 60)
    here = pixels.patches(*asked)  # so that files are open and chunks decoded
    with get_context(start).Pool(1) as processes:
        there = processes.apply_async(pixels.patches, asked).get(timeout=120)
    assert there.keys() == here.keys()
    for name, array in here.items():
        np.testing.assert_array_equal(there[name], array)


def test_arguments_choose_images(store):
    patches = PatchDataset(store, split="test", scenario="md", size=SIZE)
    assert {item["image_id"].rsplit("/", 1)[0] for item in patches} == {"md/test"}
    names = ["gsp/train/0003", "evp/test/0001"]
    assert PatchDataset(store, ids=names, size=SIZE).table.ids == tuple(names)
    with pytest.raises(UnknownNameError, match=r"split must be one of .*, got 'tset'\. Did you mean 'test'"):
        PatchDataset(store, split="tset")
    with pytest.raises(UnknownNameError, match="scenario must be one of"):
        PatchDataset(store, scenario="evq")
    with pytest.raises(UnknownNameError, match="image must be one of"):
        PatchDataset(store, ids=["evp/train/9999"])
    with pytest.raises(InputError, match="must leave an image"):
        PatchDataset(store, split="test", ids=["evp/train/0001"])
    with pytest.raises(InputError, match="pool_bytes must be 0 or more"):
        PatchDataset(store, scenario="evp", pool_bytes=-1)


def test_filters_are_those_of_the_table(store):
    ids = [name for name in store.ids if name.startswith("gsp/train")]
    for arguments in ({"background": PixelMean(0.5, 0.05)}, {"shift": "none", "min_share": 0.3}, {"labels": "truth"}):
        patches = PatchDataset(store, split="train", scenario="gsp", size=SIZE, **arguments)
        table = patch_table(store, ids, size=SIZE, **arguments)
        kept = table.label >= 0
        assert kept.any()
        np.testing.assert_array_equal(patches.table.row, table.row[kept])
        np.testing.assert_array_equal(patches.table.label, table.label[kept])
        assert [item["label"] for item in patches] == table.label[kept].tolist()


def test_transforms_get_image_and_truth(store):
    def mirrored(item: dict[str, Any]) -> dict[str, Any]:
        assert item["image"].ndim == 3
        return {**item, "image": item["image"].flip(-1)[:, :40], "truth": item["truth"].flip(-1)[:40], "mean": 1.5}

    plain = PatchDataset(store, scenario="gsp", size=SIZE, truth=True)
    patches = PatchDataset(store, scenario="gsp", size=SIZE, truth=True, transform=mirrored)
    batch = patches.batch([3, 4])
    assert batch["image"].shape == (2, 1, 40, SIZE)
    assert batch["mean"] == [1.5, 1.5]
    for number, place in enumerate((3, 4)):
        assert torch.equal(batch["image"][number], plain[place]["image"].flip(-1)[:, :40])
        assert torch.equal(batch["truth"][number], plain[place]["truth"].flip(-1)[:40])
        assert torch.equal(patches[place]["image"], batch["image"][number])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_plain_loader_works(store, workers):
    patches = PatchDataset(store, scenario="evp", split="train", size=SIZE, truth=True)
    loader = DataLoader(patches, batch_size=16, shuffle=True, num_workers=workers, timeout=120 if workers else 0)
    seen = []
    for batch in loader:
        assert batch["image"].dtype == torch.float32
        names = zip(batch["image_id"], batch["row"].tolist(), batch["col"].tolist(), strict=True)
        seen += names
        item = {name: values[0] for name, values in batch.items()}
        assert_item({**item, "row": int(item["row"]), "col": int(item["col"])}, store, SIZE)
    frame = patches.table.frame()
    assert sorted(seen) == sorted(zip(frame["image_id"], frame["row"], frame["col"], strict=True))


def test_images_of_different_kinds_do_not_mix(tmp_path):
    recipe = small(scenarios=["evp"], splits=["test"]).to_dict()
    grey, rgb = tmp_path / "grey", tmp_path / "rgb"
    build(load_recipe(recipe), grey, workers=1)
    build(load_recipe({**recipe, "canvas": {**recipe["canvas"], "channels": 3}}), rgb, workers=1)

    class Both:
        def __init__(self) -> None:
            self.of = {"g": StorePixels(open_dataset(grey)), "c": StorePixels(open_dataset(rgb))}

        def open(self, image_id, pictures):
            return self.of[image_id[0]].open(image_id[1:], pictures)

        def two_values(self, image_id):
            return False

    pool = PixelPool(Both())
    with pytest.raises(InputError, match="same channels and type, got others in cevp/test/0001"):
        pool.patches(["gevp/test/0001", "cevp/test/0001"], [0, 0], [0, 0], 20)


# --- images and bags --------------------------------------------------------------------------------------------------


def test_images_are_whole(store, coloured):
    images = ImageDataset(store, scenario="gsp", split="test", truth=True, instances=True)
    assert len(images) == 8
    for item in images:
        view = store[item["image_id"]]
        np.testing.assert_array_equal(item["image"].numpy(), unit(view.image.all()))
        np.testing.assert_array_equal(item["truth"].numpy(), view.truth.all())
        np.testing.assert_array_equal(item["instances"].numpy(), view.instances.all())
        assert (item["row"], item["col"], item["label"]) == (0, 0, view.attributes["label"])
    first = ImageDataset(coloured, stored=True)[0]
    np.testing.assert_array_equal(first["image"].numpy(), coloured[first["image_id"]].image.all())
    batch = next(iter(DataLoader(images, batch_size=3)))
    assert batch["image"].shape == (3, 1, 300, 280)


def test_a_bag_holds_the_patches_of_an_image(store):
    bags = BagDataset(store, split="train", size=SIZE, truth=True)
    patches = PatchDataset(store, split="train", size=SIZE, truth=True)
    by_image: dict[str, list[dict[str, Any]]] = {}
    for item in patches:
        by_image.setdefault(item["image_id"], []).append(item)
    assert set(bags.ids) == set(by_image)
    for bag in bags:
        items = by_image[bag["image_id"]]
        assert bag["label"] == store[bag["image_id"]].attributes["label"]
        assert torch.equal(bag["image"], torch.stack([item["image"] for item in items]))
        assert torch.equal(bag["truth"], torch.stack([item["truth"] for item in items]))
        assert bag["rows"].tolist() == [item["row"] for item in items]
        assert bag["cols"].tolist() == [item["col"] for item in items]


def test_images_without_patches_make_no_bag(store):
    everything = BagDataset(store, scenario="evp", size=SIZE, min_share=0.0)
    table = patch_table(store, [name for name in store.ids if name.startswith("evp/")], size=SIZE, min_share=0.999)
    few = BagDataset(store, scenario="evp", size=SIZE, min_share=0.999)
    expected = [name for number, name in enumerate(table.ids) if (table.image == number).any()]
    assert list(few.ids) == expected
    assert len(few) < len(everything)
    assert [bag["image_id"] for bag in few] == expected


def test_most_patches_are_drawn_anew_in_each_epoch(store):
    whole = BagDataset(store, scenario="fm", split="test", size=SIZE)
    bags = BagDataset(store, scenario="fm", split="test", size=SIZE, most=5)
    drawn = {}
    for epoch in (0, 1):
        bags.epoch = epoch
        for place in range(len(bags)):
            bag, full = bags[place], whole[place]
            places = list(zip(bag["rows"].tolist(), bag["cols"].tolist(), strict=True))
            known = list(zip(full["rows"].tolist(), full["cols"].tolist(), strict=True))
            assert len(set(places)) == 5
            numbers = [known.index(there) for there in places]
            assert numbers == sorted(numbers)
            assert torch.equal(bag["image"], full["image"][numbers])
            drawn[epoch, place] = places
            assert places == list(zip(bags[place]["rows"].tolist(), bags[place]["cols"].tolist(), strict=True))
    assert any(drawn[0, place] != drawn[1, place] for place in range(len(bags)))
    with pytest.raises(InputError, match="most must be 1 patch or more"):
        BagDataset(store, most=0)


# --- torch ------------------------------------------------------------------------------------------------------------


def test_a_missing_torch_is_named():
    """In a process of its own: modules that are imported twice are two."""
    code = """
import sys
sys.modules["torch"] = None
import miso_gen.data
from miso_gen.errors import MissingExtraError
for name in ("PatchDataset", "PatchLoader", "BagDataset", "ImageDataset", "RecipeDataset"):
    try:
        getattr(miso_gen.data, name)
    except MissingExtraError as error:
        print(error)
for name in ("PatchTable", "PixelPool", "grid_patches", "EpochOrder"):
    assert getattr(miso_gen.data, name)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()
    names = ("PatchDataset", "PatchLoader", "BagDataset", "ImageDataset", "RecipeDataset")
    for name, line in zip(names, said, strict=True):
        assert re.match(rf"miso_gen\.data\.{name} needs the package 'torch'.*miso-gen\[eval\]", line)


def test_the_door_is_a_path(store, tmp_path: Path):
    location = store.target.describe("")
    assert len(PatchDataset(location, scenario="evp", size=SIZE)) == len(PatchDataset(store, scenario="evp", size=SIZE))
    assert len(PatchLoader(ImageDataset(location, scenario="evp"), batch=1)) == 16
