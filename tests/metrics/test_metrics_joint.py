"""The joint histogram: against counting pixel by pixel, however the maps are counted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from miso_gen.errors import InputError
from miso_gen.metrics import Joint, joint_histogram
from miso_gen.metrics.joint import centroid

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))


def literal(map: np.ndarray, truth: np.ndarray, cut: tuple[int, int] | None) -> Counter[tuple[int, int, float]]:
    """Count (quadrant, truth, value), pixel by pixel."""
    found: Counter[tuple[int, int, float]] = Counter()
    for row in range(map.shape[0]):
        for col in range(map.shape[1]):
            quadrant = 0 if cut is None else 2 * (row >= cut[0]) + (col >= cut[1])
            found[quadrant, int(truth[row, col]), float(map[row, col])] += 1
    return found


def counted(joint: Joint, number: int) -> Counter[tuple[int, int, float]]:
    """Return the counts of one map of a batch by (quadrant, truth, value)."""
    values = joint.values if joint.values.ndim == 1 else joint.values[number]
    assert (values.diff() >= 0).all()
    found: Counter[tuple[int, int, float]] = Counter()
    for quadrant, mark, level in joint.counts[number].nonzero().tolist():
        found[quadrant, mark, float(values[level])] += int(joint.counts[number, quadrant, mark, level])
    return found


@given(st.data())
def test_exact_counts(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    dtype = data.draw(st.sampled_from([np.float32, np.float64, np.float16]))
    values = st.sampled_from([-1.5, -0.0, 0.0, 1e-30, 0.25, 0.5, 7.0, -1e30 if dtype != np.float16 else -100.0])
    map = data.draw(hnp.arrays(dtype, shape, elements=st.sampled_from([0.0, 0.25, 3.0]) if data.draw(st.booleans()) else values))
    truth = data.draw(hnp.arrays(bool, shape))
    cut = data.draw(st.none() | st.tuples(st.integers(-2, 11), st.integers(-2, 11)))
    split = None if cut is None else torch.tensor(cut).expand(shape[0], 2)
    joint = joint_histogram(torch.from_numpy(map), torch.from_numpy(truth), levels=None, split=split)
    assert joint.error == 0
    assert joint.counts.dtype == torch.int64
    for number in range(shape[0]):
        assert counted(joint, number) == literal(map[number], truth[number], cut)
        assert int(joint.size[number]) == map[number].size
        assert float(joint.mean[number]) == pytest.approx(map[number].astype(np.float64).mean(), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("side", [40, 200])  # counted together, and one by one
@pytest.mark.parametrize("cut", [None, (17, 5), (0, 3), (500, -2)])
def test_bytes_and_levels(side: int, cut: tuple[int, int] | None) -> None:
    rng = np.random.default_rng(side)
    bytes_ = rng.integers(0, 256, (2, side, side + 7), np.uint8)
    truth = rng.random(bytes_.shape) < 0.3
    split = None if cut is None else torch.tensor([cut, cut])
    joint = joint_histogram(torch.from_numpy(bytes_), torch.from_numpy(truth), split=split)
    assert joint.error == 0
    assert joint.counts.shape == (2, 1 if cut is None else 4, 2, 256)
    assert torch.equal(joint.values, torch.arange(256, dtype=torch.float64) / 255)
    for number in range(2):
        assert counted(joint, number) == literal(bytes_[number] / 255, truth[number], cut)
    for dtype in (np.float32, np.float64):
        floats = joint_histogram(torch.from_numpy((bytes_ / 255).astype(dtype)), torch.from_numpy(truth), split=split)
        assert torch.equal(floats.counts, joint.counts)
        assert floats.error == pytest.approx(0.5 / 255)


@pytest.mark.parametrize("levels", [2, 100, 256, 1000])
def test_rounding_is_to_the_nearest_level(levels: int) -> None:
    rng = np.random.default_rng(levels)
    map, truth = rng.uniform(-2, 3, (3, 150, 130)), rng.random((3, 150, 130)) < 0.5
    joint = joint_histogram(torch.from_numpy(map), torch.from_numpy(truth), levels=levels, low=-2, high=3)
    grid = np.linspace(-2, 3, levels)
    assert np.allclose(joint.values.numpy(), grid, atol=1e-12)
    assert joint.error == pytest.approx(2.5 / (levels - 1))
    for number in range(3):
        nearest = (
            np.abs(map[number][..., None] - grid[::1]).argmin(-1)
            if levels <= 100
            else np.rint((map[number] + 2) / 5 * (levels - 1))
        )
        for mark in (0, 1):
            expected = np.bincount(nearest[truth[number] == mark].astype(int), minlength=levels)
            assert joint.counts[number, 0, mark].tolist() == expected.tolist()


@given(st.data())
def test_tiles_add_up(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(2, 12), st.integers(2, 12)))
    map = torch.from_numpy(data.draw(hnp.arrays(np.float32, (2, *shape), elements=st.sampled_from([0.0, 0.2, 0.5, 1.0]))))
    truth = torch.from_numpy(data.draw(hnp.arrays(bool, (2, *shape))))
    row, col = data.draw(st.integers(1, shape[0] - 1)), data.draw(st.integers(1, shape[1] - 1))
    for levels in (None, 256):
        split = torch.tensor([[3, 4], [1, 1]])
        parts = []
        for top, bottom in ((0, row), (row, shape[0])):
            for left, right in ((0, col), (col, shape[1])):
                place = (slice(None), slice(top, bottom), slice(left, right))
                cut = split - torch.tensor([top, left])
                parts.append(joint_histogram(map[place], truth[place], levels=levels, split=cut))
        streamed = parts[3] + parts[0] + (parts[2] + parts[1])
        whole = joint_histogram(map, truth, levels=levels, split=split)
        for number in range(2):
            assert counted(streamed, number) == counted(whole, number)


def test_sums_of_different_kinds_are_refused() -> None:
    map, truth = torch.rand(2, 3, 4), torch.zeros(2, 3, 4, dtype=torch.bool)
    rounded = joint_histogram(map, truth)
    with pytest.raises(InputError, match="must be of the same batch and quadrants"):
        _ = rounded + joint_histogram(map[:1], truth[:1])
    with pytest.raises(InputError, match="must have the same levels"):
        _ = rounded + joint_histogram(map, truth, levels=100)


def test_errors() -> None:
    map, truth = torch.rand(3, 4), torch.zeros(3, 4, dtype=torch.bool)
    with pytest.raises(InputError, match=r"map must be from 0 to 1, got 0 to 1\.5"):
        joint_histogram(torch.linspace(0, 1.5, 12).reshape(3, 4), truth)
    with pytest.raises(InputError, match="map must be finite"):
        joint_histogram(map * torch.nan, truth, levels=None)
    with pytest.raises(InputError, match="levels must be"):
        joint_histogram(map, truth, levels=1)
    with pytest.raises(InputError, match="low must be less than high"):
        joint_histogram(map, truth, low=1, high=1)
    with pytest.raises(InputError, match="truth must be bool"):
        joint_histogram(map, truth.int())
    with pytest.raises(InputError, match="truth must be bool"):
        joint_histogram((map * 255).to(torch.uint8), truth.int())
    with pytest.raises(InputError, match="truth must have the shape"):
        joint_histogram(map, truth[:2])


@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_centroid(truth: np.ndarray) -> None:
    places = np.argwhere(truth)
    expected = np.round(places.mean(0)) if len(places) else [round(side / 2) for side in truth.shape]
    assert centroid(torch.from_numpy(truth)).tolist() == list(expected)
    assert centroid(torch.from_numpy(truth)[None]).shape == (1, 2)
