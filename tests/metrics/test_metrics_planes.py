"""What scores are made of, on maps large enough to be worked on one by one: the same as the definitions on all at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from miso_gen.metrics import marks as marks_module
from miso_gen.metrics.joint import centroid
from miso_gen.metrics.marks import marks
from miso_gen.metrics.planes import distance, extremes, from_level, over, reaches, strips, total, total_on

SHAPE = (2, 3, 130, 131)
PIXELS = SHAPE[-2] * SHAPE[-1]
types = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])


def drawn(dtype: torch.dtype = torch.float64, *, seed: int = 0) -> Tensor:
    return (torch.rand(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 0.3).to(dtype)


def test_these_maps_are_large() -> None:
    from miso_gen.metrics import joint, planes

    assert max(planes._LARGE, joint._LARGE) <= PIXELS


@types
def test_masks_at_and_around_values_of_the_map(dtype: torch.dtype) -> None:
    map = drawn(dtype)
    values = map.to(torch.float64)[..., 7, 9]  # one pixel is at the threshold
    for way in (-torch.inf, torch.inf, torch.nan):
        near = values if way != way else torch.nextafter(values, torch.full_like(values, way))
        planes = near[..., None, None]
        assert torch.equal(over(map, near), map.to(torch.float64) > planes)
        assert torch.equal(reaches(map, near), map.to(torch.float64) >= planes)
    nowhere = torch.full(SHAPE[:2], torch.nan, dtype=torch.float64)
    assert not over(map, nowhere).any()
    assert not reaches(map, nowhere).any()


def test_bytes_from_a_level() -> None:
    bytes_ = (drawn() * 255 + 77).round().clamp(0, 255).to(torch.uint8)
    levels = torch.tensor([[0, 1, 100], [254, 255, 256]])
    assert torch.equal(from_level(bytes_, levels), bytes_.to(torch.int64) >= levels[..., None, None])
    assert not from_level(bytes_, levels)[1, 2].any()


@types
def test_extremes(dtype: torch.dtype) -> None:
    map = drawn(dtype)
    map[0, 1, 3, 3], map[1, 0, 0, 0], map[1, 2, -1, -1] = torch.nan, torch.inf, -torch.inf
    found = extremes(map)
    for edge, expected in zip(found, (map.flatten(-2).amin(-1), map.flatten(-2).amax(-1)), strict=True):
        assert edge.dtype == dtype
        assert torch.equal(edge.nan_to_num(nan=99.0), expected.nan_to_num(nan=99.0))
    bytes_ = torch.arange(2 * PIXELS, dtype=torch.int64).remainder(201).to(torch.uint8).reshape(2, *SHAPE[-2:])
    assert [edge.tolist() for edge in extremes(bytes_)] == [[0, 0], [200, 200]]


@types
def test_sums(dtype: torch.dtype) -> None:
    map, mask = drawn(dtype), drawn(seed=1) > 0.2
    wide = map.to(torch.float64)
    assert torch.allclose(total(map), wide.sum((-2, -1)), rtol=0, atol=1e-6)
    assert torch.allclose(total_on(map, mask), (wide * mask).sum((-2, -1)), rtol=0, atol=1e-6)
    for target in (mask, drawn(dtype, seed=2), drawn(torch.bfloat16, seed=3)):
        expected = (wide - target.to(torch.float64)).abs().mean((-2, -1))
        assert torch.allclose(distance(map, target), expected, rtol=0, atol=1e-12)


def test_strips_cover_the_rows_once() -> None:
    for rows, cols in ((1, 1), (130, 131), (5, 1 << 20), (70_000, 1), (0, 9)):
        covered = [row for strip in strips(rows, cols) for row in range(rows)[strip]]
        assert covered == list(range(rows))
    assert list(strips(5, 0)) == []


def test_centroids() -> None:
    masks = drawn() > 0.4
    masks[0, 0], masks[0, 1], masks[1, 2] = False, True, False
    masks[1, 2, 11, 120] = True
    for mask, place in zip(masks.flatten(0, 1).numpy(), centroid(masks).reshape(-1, 2).tolist(), strict=True):
        rows, cols = np.nonzero(mask if mask.any() else ~mask)
        middle = [rows.mean(), cols.mean()] if mask.any() else [SHAPE[-2] / 2, SHAPE[-1] / 2]
        assert place == [round(value) for value in middle]


def test_marks_that_are_alone_need_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only marks with others in the squares around them can be too near to one: the rest stays unseen."""
    for levels, distance_ in ((3, 2), (40, 2), (40, 5), (1000, 3)):
        map = (drawn(seed=levels) * levels).round()
        found = marks(map, distance_)
        with monkeypatch.context() as patch:
            patch.setattr(marks_module, "_has_neighbour", lambda rows, _cols: np.ones(len(rows), bool))
            every = marks(map, distance_)
        assert all(torch.equal(one, other) for one, other in zip(found, every, strict=True))
        assert len(found.map) > 20
