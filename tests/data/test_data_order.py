"""Order of an epoch: everything once, the same for everybody, few images open at a time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.data.order import EpochOrder
from miso_gen.errors import InputError
from miso_gen.rng import Stream

TABLES = st.lists(st.integers(0, 9), max_size=60)  # the image of each patch, in any order


def literal(images: list[int], seed: int, epoch: int, pool: int) -> list[int]:
    """Give every patch its time, one by one, and sort."""
    kinds = sorted(set(images))
    stream = Stream(seed, "epoch", epoch)
    words = [stream.at(0).word()] + [stream.word() for _ in kinds[1:]] if kinds else []
    turn = {kind: sorted(range(len(kinds)), key=lambda n: (words[n], n)).index(n) for n, kind in enumerate(kinds)}
    stream = Stream(seed, "epoch", epoch).at(1)
    times = []
    for image in images:
        k = turn[image]
        opens, closes = max(0, k - pool + 1), min(k, max(0, len(kinds) - pool)) + 1
        times.append(opens + (closes - opens) * stream.uniform())
    return sorted(range(len(images)), key=lambda patch: (times[patch], patch))


@given(TABLES, st.integers(0, 5), st.integers(0, 3), st.integers(1, 12))
def test_the_order_is_the_definition(images: list[int], seed: int, epoch: int, pool: int) -> None:
    found = EpochOrder(images, seed=seed, pool=pool).indices(epoch)
    assert found.dtype == np.int64
    assert found.tolist() == literal(images, seed, epoch, pool)


@given(TABLES, st.integers(1, 12), st.booleans(), st.integers(1, 5))
def test_ranks_share_every_patch_once(images: list[int], pool: int, shuffle: bool, ranks: int) -> None:
    whole = EpochOrder(images, pool=pool, shuffle=shuffle).indices(3)
    assert sorted(whole.tolist()) == list(range(len(images)))
    orders = [EpochOrder(images, pool=pool, shuffle=shuffle, rank=rank, ranks=ranks) for rank in range(ranks)]
    parts = [order.indices(3) for order in orders]
    assert np.concatenate(parts).tolist() == whole.tolist()
    assert [len(order) for order in orders] == [len(part) for part in parts]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(1, 20), st.integers(1, 30), st.integers(1, 25))
def test_few_images_are_open_at_a_time(count: int, patches: int, pool: int) -> None:
    images = np.repeat(np.arange(count), patches)
    shown = images[EpochOrder(images, pool=pool).indices(0)].tolist()
    first = {image: shown.index(image) for image in set(shown)}
    last = {image: len(shown) - 1 - shown[::-1].index(image) for image in set(shown)}
    open_at = [sum(first[image] <= place <= last[image] for image in first) for place in range(len(shown))]
    assert max(open_at) <= pool


def test_open_images_are_mixed() -> None:
    images = np.repeat(np.arange(40), 200)
    shown = images[EpochOrder(images, seed=1, pool=8).indices(0)]
    for batch in shown[: len(shown) // 100 * 100].reshape(-1, 100):
        counts = Counter(batch.tolist())
        assert len(counts) >= 5  # eight are open
        assert max(counts.values()) <= 60


def test_without_shuffling_it_is_the_table() -> None:
    order = EpochOrder([3, 1, 1, 2], shuffle=False)
    assert order.indices(0).tolist() == order.indices(7).tolist() == [0, 1, 2, 3]


def test_epochs_and_seeds_differ_and_repeat() -> None:
    images = np.repeat(np.arange(10), 20)
    orders = {(seed, epoch): tuple(EpochOrder(images, seed=seed).indices(epoch).tolist()) for seed in (0, 1) for epoch in (0, 1)}
    assert len(set(orders.values())) == 4
    other = EpochOrder(images, seed=1)
    other.indices(5)
    assert tuple(other.indices(1).tolist()) == orders[1, 1]


def test_a_wide_pool_shuffles_all() -> None:
    images = np.repeat(np.arange(6), 100)
    shown = images[EpochOrder(images, pool=6).indices(0)]
    halves = Counter(shown[:300].tolist())
    assert all(30 <= halves[image] <= 70 for image in range(6))


def test_weights_decide_how_often() -> None:
    images = np.repeat(np.arange(20), 100)
    weights = np.tile([0.0, 1.0, 3.0, 0.0], 500)
    order = EpochOrder(images, weights=weights, pool=4)
    drawn = np.concatenate([order.indices(epoch) for epoch in range(10)])
    assert len(drawn) == 20000
    counts = np.bincount(drawn, minlength=2000).reshape(500, 4).sum(axis=0)
    assert counts[[0, 3]].tolist() == [0, 0]
    assert abs(counts[2] - 15000) < 5 * (20000 * 0.75 * 0.25) ** 0.5
    singles = np.bincount(drawn, minlength=2000)[2::4]  # 30 draws each in the mean, as independent draws scatter
    assert 15 < singles.var() < 60


def test_weighted_draws_are_ordered_like_all_others() -> None:
    images = np.repeat(np.arange(12), 50)
    weights = np.random.default_rng(0).random(600)
    drawn = EpochOrder(images, weights=weights, pool=3).indices(2)
    shown = images[drawn].tolist()
    spans = {image: (shown.index(image), len(shown) - shown[::-1].index(image)) for image in set(shown)}
    assert max(sum(low <= place < high for low, high in spans.values()) for place in range(600)) <= 3
    assert sorted(drawn.tolist()) == EpochOrder(images, weights=weights, shuffle=False).indices(2).tolist()
    ranks = [EpochOrder(images, weights=weights, pool=3, rank=rank, ranks=2).indices(2) for rank in range(2)]
    assert np.concatenate(ranks).tolist() == drawn.tolist()


@given(st.lists(st.sampled_from([0.0, 1e-300, 1.0, 1e300]), min_size=1, max_size=20).filter(any))
def test_patches_without_weight_are_never_drawn(weights: list[float]) -> None:
    for epoch in range(3):
        drawn = EpochOrder([0] * len(weights), weights=weights).indices(epoch)
        assert len(drawn) == len(weights)
        assert all(weights[patch] > 0 for patch in drawn.tolist())


def test_no_patches() -> None:
    for options in ({}, {"shuffle": False}, {"weights": []}):
        order = EpochOrder([], **options)
        assert len(order) == 0
        assert order.indices(0).tolist() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": 0}, "pool must be 1 image or more, got 0"),
        ({"rank": 2, "ranks": 2}, "rank must be from 0 and below ranks, got rank 2 of 2"),
        ({"rank": -1}, "rank must be from 0 and below ranks, got rank -1 of 1"),
        ({"weights": [1.0]}, r"weights must be one number a patch, shape \(3,\), got shape \(1,\)"),
        ({"weights": [1.0, -1.0, 1.0]}, "weights must be finite, 0 or more, and not all 0"),
        ({"weights": [0.0, 0.0, 0.0]}, "weights must be finite, 0 or more, and not all 0"),
        ({"weights": [1.0, float("nan"), 1.0]}, "weights must be finite, 0 or more, and not all 0"),
    ],
)
def test_arguments_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EpochOrder([0, 0, 1], **options)


def test_images_must_be_one_a_patch() -> None:
    with pytest.raises(InputError, match=r"images must be one number a patch, shape \(n,\), got shape \(1, 2\)"):
        EpochOrder([[0, 1]])
