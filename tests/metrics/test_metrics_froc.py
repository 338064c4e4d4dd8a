"""Marks and FROC: against literal definitions, and scikit-image where it computes the same."""

from __future__ import annotations

from itertools import product
from math import isnan, nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import peak_local_max
from skimage.measure import label

from miso_gen.errors import InputError
from miso_gen.metrics.marks import _greatest_near, _greatest_near_on_device, marks
from miso_gen.metrics.pooled import PooledFroc
from miso_gen.metrics.scores.froc import RATES, detections, froc, froc_curve

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 12))


def literal_marks(map: np.ndarray, distance: int) -> list[tuple[int, int, float]]:
    """Return row, column and value of each mark, by looking around every pixel."""
    rows, cols = map.shape
    top = np.zeros(map.shape, bool)
    for i, j in product(range(rows), range(cols)):
        window = map[max(i - distance, 0) : i + distance + 1, max(j - distance, 0) : j + distance + 1]
        top[i, j] = map[i, j] == window.max() and map[i, j] > map.min()
    parts, found = label(top, connectivity=2), []
    for number in range(1, parts.max() + 1):
        places = np.argwhere(parts == number)
        away = ((places - places.mean(0)) ** 2).sum(1)
        i, j = places[np.flatnonzero(away <= away.min() + 1e-9)[0]]
        found.append((int(i), int(j), float(map[i, j])))
    kept: list[tuple[int, int, float]] = []
    for i, j, score in sorted(found):
        if all(max(abs(i - k), abs(j - m)) > distance for k, m, _ in kept):
            kept.append((i, j, score))
    return kept


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES, distance=st.integers(1, 14), values=st.sampled_from([2, 3, 6, 1000]))
def test_marks_are_those_of_the_definition(seed: int, shape: tuple[int, int], distance: int, values: int) -> None:
    map = np.random.default_rng(seed).integers(-1, values, shape) / 4
    found = marks(torch.from_numpy(map), distance)
    assert list(zip(found.row.tolist(), found.col.tolist(), found.score.tolist(), strict=True)) == literal_marks(map, distance)


@pytest.mark.parametrize("distance", [1, 4, 9])
def test_marks_without_ties_are_the_peaks_of_scikit_image(distance: int) -> None:
    map = np.random.default_rng(0).permutation(40 * 57).reshape(40, 57).astype(np.float32)
    found = marks(torch.from_numpy(map), distance)
    peaks = peak_local_max(map, min_distance=distance, exclude_border=False)
    assert sorted(zip(found.row.tolist(), found.col.tolist(), strict=True)) == sorted(
        map for map in (tuple(p) for p in peaks.tolist())
    )


def test_marks_of_batches_types_and_constants() -> None:
    map = torch.from_numpy(np.random.default_rng(1).random((2, 3, 11, 17)).astype(np.float32))
    map[0, 1], map[1, 0, 3, 3] = 0.5, nan
    found = marks(map, 2)
    for number, plane in enumerate(map.flatten(0, 1)):
        alone, here = marks(plane, 2), found.map == number
        assert [part[here].tolist() for part in found[1:]] == [part.tolist() for part in alone[1:]]
        assert bool(here.any()) == (number not in (1, 3))
    strided = map[1, 1].T
    assert sorted(marks(strided, 2).score.tolist()) == sorted(marks(map[1, 1], 2).score.tolist())
    half = map[1, 1].half()
    assert marks(half, 2).score.tolist() == marks(half.float(), 2).score.tolist()
    assert len(marks(map.requires_grad_(), 2).score) == len(found.score)
    with pytest.raises(InputError, match="distance"):
        marks(map, 0)


@pytest.mark.parametrize("distance", [1, 3, 20])
def test_devices_look_around_alike(distance: int) -> None:
    for dtype in (np.float32, np.float64):
        map = np.random.default_rng(2).standard_normal((9, 14)).astype(dtype)
        assert np.array_equal(_greatest_near(map, distance), _greatest_near_on_device(torch.from_numpy(map), distance).numpy())


def test_mark_of_a_disc_is_its_middle() -> None:
    row, col = torch.meshgrid(torch.arange(30), torch.arange(40), indexing="ij")
    found = marks(((row - 12) ** 2 + (col - 25) ** 2 <= 49).float(), 3)
    assert (found.row.tolist(), found.col.tolist(), found.score.tolist()) == ([12], [25], [1.0])


def literal_sensitivity(scored: list[tuple[np.ndarray, np.ndarray]], distance: int, rate: float) -> float:
    """Return the greatest sensitivity over all thresholds with at most ``rate`` false positives of an image."""
    found = [(literal_marks(map, distance), instances) for map, instances in scored]
    total = sum(len(set(instances.flatten().tolist()) - {0}) for _, instances in found)
    best = 0.0
    for threshold in [np.inf, *(mark[2] for some, _ in found for mark in some)]:
        hits, false = set(), 0
        for number, (some, instances) in enumerate(found):
            for i, j, score in some:
                if score >= threshold and instances[i, j]:
                    hits.add((number, int(instances[i, j])))
                elif score >= threshold:
                    false += 1
        if false / len(scored) <= rate:
            best = max(best, len(hits) / total if total else nan)
    return best


def images(seed: int, number: int, shape: tuple[int, int], values: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    map = rng.integers(0, values, (number, *shape)) / values
    instances = np.zeros((number, *shape), np.int64)
    for k in range(number):
        for id in range(1, rng.integers(0, 4) + 1):
            i, j = rng.integers(0, shape[0]), rng.integers(0, shape[1])
            instances[k, i : i + 3, j : j + 4] = id
    return torch.from_numpy(map), torch.from_numpy(instances)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES, distance=st.integers(1, 3), values=st.sampled_from([3, 50]))
def test_froc_is_that_of_the_definition(seed: int, shape: tuple[int, int], distance: int, values: int) -> None:
    map, instances = images(seed, 3, shape, values)
    pairs = list(zip(map.numpy(), instances.numpy(), strict=True))
    for k, found in enumerate(froc(map, instances, distance).tolist()):
        some = bool(instances[k].any())
        wanted = np.mean([literal_sensitivity(pairs[k : k + 1], distance, rate) for rate in RATES])
        assert found == pytest.approx(wanted) if some else isnan(found)
    pooled = PooledFroc(distance)
    pooled.update(map, instances)
    if bool(instances.any()):
        assert float(pooled.compute()) == pytest.approx(np.mean([literal_sensitivity(pairs, distance, r) for r in RATES]))
    else:
        assert isnan(float(pooled.compute()))


def test_curve_of_known_marks() -> None:
    hits, misses = (torch.tensor(part, dtype=torch.float64) for part in ([0.9, 0.4], [0.6, 0.4, 0.2]))
    curve = froc_curve(hits, misses, objects=4, images=2)
    assert curve.threshold.tolist() == [np.inf, 0.9, 0.6, 0.4, 0.2]
    assert curve.false_positives.tolist() == [0.0, 0.0, 0.5, 1.0, 1.5]
    assert curve.sensitivity.tolist() == [0.0, 0.25, 0.25, 0.5, 0.5]
    assert curve.at([0.0, 0.99, 1.0, 8.0]).tolist() == [0.25, 0.25, 0.5, 0.5]
    with pytest.raises(InputError, match="rates"):
        curve.at([-1.0])


def test_hits_and_misses() -> None:
    map, instances = torch.zeros(10, 40), torch.zeros(10, 40, dtype=torch.uint8)
    instances[2:8, 4:30], instances[1, 38] = 5, 6
    map[3, 6], map[5, 20], map[9, 34] = 0.5, 0.8, 0.7
    found = detections(map, instances, 2)
    assert found.hits.tolist() == pytest.approx([0.8])  # two marks on one object: the greater
    assert found.misses.tolist() == pytest.approx([0.7])
    assert found.objects.tolist() == [2]
    assert float(froc(map, instances, 2)) == 0.5
    assert float(froc(torch.ones(10, 40), instances)) == 0.0


def test_pooling_merges_and_leaves_broken_maps_out() -> None:
    map, instances = images(11, 6, (14, 23), 500)
    instances[2] = 0
    whole, one, two = (PooledFroc(2, (0.5, 1, 2)) for _ in range(3))
    whole.update(map, instances)
    one.update(map[:1], instances[:1])
    one.update(map[1:4], instances[1:4])
    two.update(map[4:], instances[4:])
    one.merge_state(two)
    assert float(one.compute()) == float(whole.compute())
    assert int(whole.images) == 6
    broken = map.clone()
    broken[3, 0, 0] = nan
    with_broken, without = PooledFroc(2), PooledFroc(2)
    with_broken.update(broken, instances)
    kept = [0, 1, 2, 4, 5]
    without.update(map[kept], instances[kept])
    assert float(with_broken.compute()) == float(without.compute())
    assert (int(with_broken.images), int(with_broken.undefined)) == (5, 1)
    assert isnan(float(froc(broken, instances)[3]))


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_no_image_at_all() -> None:
    assert isnan(float(PooledFroc().compute()))
