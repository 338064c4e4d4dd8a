"""The loader: every patch once, in the same order for any number of workers, ranks and stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from building import small

from miso_gen.build import build
from miso_gen.data import BagDataset, EpochOrder, ImageDataset, PatchDataset, PatchLoader
from miso_gen.errors import InputError
from miso_gen.store import Dataset, open_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable

SIZE = 40
WAIT = 120  # seconds, instead of hanging


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three scenarios, 16 images each."""
    folder = tmp_path_factory.mktemp("store")
    build(small(scenarios=["evp", "gsp", "fm"]), folder, workers=1, chunk=128)
    return open_dataset(folder)


@pytest.fixture
def patches(store: Dataset) -> PatchDataset:
    """The patches of the training images."""
    return PatchDataset(store, split="train", size=SIZE, truth=True)


def places(batches: Iterable[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Return what identifies the patches of batches, in order."""
    return [
        place for batch in batches for place in zip(batch["image_id"], batch["row"].tolist(), batch["col"].tolist(), strict=True)
    ]


def table_places(patches: PatchDataset) -> list[tuple[str, int, int]]:
    table = patches.table
    return [
        (table.ids[image], row, col)
        for image, row, col in zip(table.image.tolist(), table.row.tolist(), table.col.tolist(), strict=True)
    ]


def assert_same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    """Compare batches, bit by bit."""
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert left.keys() == right.keys()
        for name, value in left.items():
            assert torch.equal(value, right[name]) if isinstance(value, torch.Tensor) else value == right[name]


def jittered(item: dict[str, Any]) -> dict[str, Any]:
    """Add noise and flip, by torch's own generator."""
    image = item["image"] + torch.rand(item["image"].shape)
    return {**item, "image": image.flip(-1) if torch.rand(()) < 0.5 else image}


# --- order ------------------------------------------------------------------------------------------------------------


def test_an_epoch_shows_every_patch_once_in_the_order(patches):
    loader = PatchLoader(patches, batch=36, seed=7, pool=3)
    known = table_places(patches)
    for epoch in range(2):
        batches = list(loader)
        assert len(batches) == len(loader) == -(-len(patches) // 36)
        assert [len(batch["label"]) for batch in batches[:-1]] == [36] * (len(batches) - 1)
        order = EpochOrder(patches.table.image, seed=7, pool=3).indices(epoch)
        assert places(batches) == [known[number] for number in order.tolist()]
        assert sorted(places(batches)) == sorted(known)
    assert loader.epoch == 2


def test_batches_hold_the_patches(patches):
    known = {place: number for number, place in enumerate(table_places(patches))}
    for batch in PatchLoader(patches, batch=50):
        plain = patches.batch([known[place] for place in places([batch])])
        assert_same([batch], [plain])


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4")  # more than there are cores
@pytest.mark.parametrize(("workers", "start"), [(1, "spawn"), (2, "fork"), (4, "fork")])
def test_workers_change_nothing(store, workers, start):
    """Neither the order, nor what transforms draw, nor where a resumed epoch goes on."""
    patches = PatchDataset(
        store, split="train", scenario="gsp", size=SIZE, truth=True, transform=None if start == "spawn" else jittered
    )
    alone = PatchLoader(patches, batch=16, seed=1)
    expected = [list(alone), list(alone)]
    loader = PatchLoader(patches, batch=16, seed=1, workers=workers, start=start, timeout=WAIT)
    assert_same(list(loader), expected[0])
    assert_same(list(loader), expected[1])
    resumed = PatchLoader(patches, batch=16, seed=1)
    loader.set_epoch(0)
    for number, _ in enumerate(loader, 1):
        if number == 3:
            break
    resumed.load_state_dict(loader.state_dict())
    assert_same(list(resumed), expected[0][3:])
    assert_same(list(loader), expected[0])  # broken off: from the start


def test_transforms_leave_the_generator_alone(store):
    patches = PatchDataset(store, split="train", scenario="evp", size=SIZE, transform=jittered)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    one = list(PatchLoader(patches, seed=5))
    assert torch.equal(torch.rand(4), expected)
    two = list(PatchLoader(patches, seed=5))
    assert_same(one, two)
    plain = list(PatchLoader(PatchDataset(store, split="train", scenario="evp", size=SIZE), seed=5))
    noise = torch.cat([left["image"] - right["image"] for left, right in zip(one, plain, strict=True)])
    assert len(torch.unique(noise[:, 0, 0, 0])) > len(noise) // 2  # each patch has its own


def test_unshuffled_is_the_table(patches):
    loader = PatchLoader(patches, batch=64, shuffle=False)
    assert places(loader) == places(loader) == table_places(patches)


def test_an_epoch_decodes_an_image_once(patches):
    touched = set()
    for image, row, col in table_places(patches):
        corners = [(row, col), (row, col + SIZE - 1), (row + SIZE - 1, col), (row + SIZE - 1, col + SIZE - 1)]
        touched.update((image, y // 128, x // 128) for y, x in corners)
    capacity = (4 + 1) * 2 * 9 * 128 * 128  # pool + 1 images and their truths: far from all 24
    limited = PatchDataset(patches.dataset, split="train", size=SIZE, truth=True, pool_bytes=capacity)
    loader = PatchLoader(limited, pool=4, seed=2)
    for epoch in (1, 2):
        for _ in loader:
            assert limited.pool.held <= capacity
        assert limited.pool.decoded <= epoch * 2 * len(touched)  # image and truth
    assert limited.pool.decoded > 2 * len(touched)  # it forgot what it had seen


def test_weights_draw_patches(patches):
    weights = np.zeros(len(patches))
    weights[[3, 10]] = 1.0, 3.0
    shown = places(PatchLoader(patches, weights=weights))
    known = table_places(patches)
    assert len(shown) == len(patches)
    assert set(shown) == {known[3], known[10]}
    assert shown.count(known[10]) > shown.count(known[3])


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_cover_the_set_without_overlap(patches, ranks, drop_last):
    loaders = [PatchLoader(patches, batch=25, seed=4, rank=rank, ranks=ranks, drop_last=drop_last) for rank in range(ranks)]
    parts = [list(loader) for loader in loaders]
    assert [len(part) for part in parts] == [len(loader) for loader in loaders]
    shown = [place for part in parts for place in places(part)]
    assert len(set(shown)) == len(shown)
    if drop_last:
        assert {len(part) for part in parts} == {len(patches) // ranks // 25}
        assert {len(batch["label"]) for part in parts for batch in part} == {25}
        assert set(shown) <= set(table_places(patches))
    else:
        assert sorted(shown) == sorted(table_places(patches))


def test_a_process_group_gives_the_rank(patches, tmp_path):
    loader = PatchLoader(patches, seed=4)
    whole = len(loader)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    try:
        assert len(loader) == whole
        assert sorted(places(loader)) == sorted(table_places(patches))
    finally:
        torch.distributed.destroy_process_group()


# --- state ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [1, 5, 11])
@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_resumes(store, workers, stop):
    patches = PatchDataset(store, split="train", scenario="fm", size=SIZE)
    whole = PatchLoader(patches, batch=16, seed=9)
    expected = [list(whole), list(whole)]
    assert len(expected[0]) > 11
    first = PatchLoader(patches, batch=16, seed=9, workers=workers, timeout=WAIT)
    for number, _ in enumerate(first, 1):
        if number == stop:
            break
    state = first.state_dict()
    assert (state["epoch"], state["batches"]) == (0, stop)
    second = PatchLoader(patches, batch=16, seed=9)
    second.load_state_dict(state)
    assert second.state_dict() == state
    second.set_epoch(0)  # as Lightning does
    assert_same(list(second), expected[0][stop:])
    assert_same(list(second), expected[1])


def test_the_last_batch_ends_the_epoch(patches):
    """Whoever knows the length stops before the iterator does."""
    loader = PatchLoader(patches, batch=36)
    batches = iter(loader)
    for _ in range(len(loader)):
        next(batches)
    state = loader.state_dict()
    assert (state["epoch"], state["batches"]) == (1, 0)
    fresh = PatchLoader(patches, batch=36)
    fresh.load_state_dict(state)
    fresh.set_epoch(1)
    order = EpochOrder(patches.table.image).indices(1)
    assert places(fresh) == [table_places(patches)[number] for number in order.tolist()]


def test_epochs_are_chosen(patches):
    loader = PatchLoader(patches, batch=36)
    list(loader)
    second = places(loader)
    loader.set_epoch(1)
    assert places(loader) == second
    assert places(loader) != second


def test_states_of_other_loaders_are_refused(patches, store):
    state = PatchLoader(patches, batch=36).state_dict()
    fewer = PatchDataset(store, split="train", scenario="evp", size=SIZE)
    others = {
        "batch": PatchLoader(patches, batch=35),
        "seed": PatchLoader(patches, seed=1),
        "pool": PatchLoader(patches, pool=2),
        "shuffle": PatchLoader(patches, shuffle=False),
        "drop_last": PatchLoader(patches, drop_last=True),
        "ranks": PatchLoader(patches, rank=1, ranks=2),
        "items": PatchLoader(fewer),
    }
    for name, loader in others.items():
        with pytest.raises(InputError, match=f"{name} of the loader must be that of the state"):
            loader.load_state_dict(state)


def test_arguments_are_checked(patches):
    for arguments, text in (
        ({"batch": 0}, "batch must be a whole number from 1, got 0"),
        ({"batch": 1.5}, "batch must be a whole number from 1, got 1.5"),
        ({"workers": -1}, "workers must be a whole number from 0, got -1"),
        ({"prefetch": 0}, "prefetch must be a whole number from 1"),
        ({"rank": 0}, "rank and ranks must be given together"),
        ({"rank": 2, "ranks": 2}, "rank must be from 0 and below ranks"),
        ({"pool": 0}, "pool must be 1 image or more"),
        ({"weights": [1.0]}, "weights must be one number a patch"),
    ):
        with pytest.raises(InputError, match=text):
            PatchLoader(patches, **arguments)


# --- images and bags --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_images_and_bags_load(store, workers):
    images = ImageDataset(store, split="test", truth=True)
    batches = list(PatchLoader(images, batch=5, workers=workers, timeout=WAIT))
    assert sorted(name for batch in batches for name in batch["image_id"]) == sorted(images.ids)
    assert batches[0]["image"].shape == (5, 1, 300, 280)
    assert batches[0]["truth"].shape == (5, 300, 280)

    bags = BagDataset(store, split="test", size=SIZE, most=7)
    loader = PatchLoader(bags, batch=4, workers=workers, timeout=WAIT)
    epochs = [list(loader), list(loader)]
    for epoch, shown in enumerate(epochs):
        bags.epoch = epoch
        assert sorted(name for batch in shown for name in batch["image_id"]) == sorted(bags.ids)
        for batch in shown:
            assert batch["label"].dtype == torch.int64
            for number, name in enumerate(batch["image_id"]):
                bag = bags[bags.ids.index(name)]
                assert torch.equal(batch["image"][number], bag["image"])
                assert torch.equal(torch.as_tensor(batch["rows"][number]), bag["rows"])
                assert batch["label"][number] == bag["label"]
