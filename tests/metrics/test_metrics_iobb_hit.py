"""IoBB and IoU hits: against a literal count."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.errors import RecipeError
from miso_gen.metrics.interfaces import METRICS, Metric
from miso_gen.metrics.scores.iobb_hit import bright


def metric(name: str, **fields: Any) -> Metric:
    return METRICS.get(name).from_spec(fields)


@settings(max_examples=80)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 8), st.integers(1, 9)),
    overlap=st.sampled_from([0.1, 0.25, 0.5]),
    low=st.sampled_from([0, -8]),
)
def test_hits_are_those_of_pixels(seed: int, shape: tuple[int, int], overlap: float, low: int) -> None:
    rng = np.random.default_rng(seed)
    map, truth = rng.integers(low, 9, shape) / 8, rng.random(shape) < 0.5
    found = [float(metric(name, overlap=overlap).score(*map_and(map, truth))) for name in ("iobb-hit", "iou-hit")]
    if not truth.any():
        assert all(isnan(value) for value in found)
        return
    mask = map / map.max() > 0.5 if map.max() > 0 else np.zeros(shape, bool)
    both, either = int((mask & truth).sum()), int((mask | truth).sum())
    assert found == [float(mask.any() and both / int(mask.sum()) > overlap), float(both / either > overlap)]


def map_and(map: np.ndarray, truth: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(map), torch.from_numpy(truth)


def test_exceeding_is_strict() -> None:
    map, truth = torch.tensor([[1.0, 0.9, 0.5, 0.0]]), torch.tensor([[True, False, True, False]])
    assert bright(map).tolist() == [[True, True, False, False]]  # 0.5 is not above half of 1
    assert float(metric("iobb-hit", overlap=0.5).score(map, truth)) == 0.0  # 1 / 2
    assert float(metric("iobb-hit", overlap=0.49).score(map, truth)) == 1.0
    assert float(metric("iou-hit", overlap=0.3).score(map, truth)) == 1.0  # 1 / 3
    assert float(metric("iou-hit", overlap=0.34).score(map, truth)) == 0.0


def test_one_bright_pixel_is_an_iobb_hit_but_no_iou_hit() -> None:
    truth = torch.zeros(10, 14, dtype=torch.bool)
    truth[2:8, 3:12] = True
    map = torch.zeros(10, 14)
    map[5, 5] = 1e-3
    assert float(metric("iobb-hit").score(map, truth)) == 1.0
    assert float(metric("iou-hit", overlap=0.1).score(map, truth)) == 0.0


def test_level_batches_and_empties() -> None:
    rng = np.random.default_rng(3)
    map, truth = torch.from_numpy(rng.random((2, 3, 6, 7)).astype(np.float32)), torch.from_numpy(rng.random((2, 3, 6, 7)) < 0.4)
    truth[0, 0], map[0, 1], map[0, 2], map[1, 0, 0, 0] = False, 0.0, -1.0, nan
    for name in ("iobb-hit", "iou-hit"):
        made = metric(name, level=0.8, overlap=0.2)
        found = made.score(map, truth)
        loop = torch.stack([made.score(*pair) for pair in zip(map.flatten(0, 1), truth.flatten(0, 1), strict=True)])
        assert torch.equal(found.flatten(0, 1).nan_to_num(9), loop.nan_to_num(9))
        assert found.isnan().tolist() == [[True, False, False], [True, False, False]]
        assert found[0, 1:].tolist() == [0.0, 0.0]
    share = float(map[1, 1].max()) * 0.8
    assert torch.equal(bright(map[1, 1], 0.8), map[1, 1].double() > share)


@pytest.mark.parametrize("fields", [{"level": 1.0}, {"level": -0.1}, {"overlap": 1.5}])
def test_parameters_that_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="must be"):
        metric("iou-hit", **fields)
