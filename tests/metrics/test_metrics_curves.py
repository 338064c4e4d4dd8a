"""Scores over thresholds: against literal masks at each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from miso_gen.errors import InputError
from miso_gen.metrics import METRICS, joint_histogram
from miso_gen.metrics.curves import CurveMetric
from miso_gen.metrics.scores.f_beta import AdaptiveFBeta, FBeta, MaxFBeta, MeanFBeta

if TYPE_CHECKING:
    from torch import Tensor

MEASURES = ("dice", "f-beta", "jaccard")


@st.composite
def bytes_and_truth(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7))
    return draw(hnp.arrays(np.uint8, shape)), draw(hnp.arrays(bool, shape))


def literal_curve(bytes_: np.ndarray, truth: np.ndarray, measure: str) -> np.ndarray:
    """Score the mask of every threshold."""
    masks = torch.from_numpy(np.stack([bytes_ >= level for level in range(256)]))
    return METRICS.get(measure)().score(masks, torch.from_numpy(truth).expand_as(masks)).numpy()


@given(bytes_and_truth(), st.sampled_from(MEASURES))
def test_curves(drawn: tuple[np.ndarray, np.ndarray], measure: str) -> None:
    bytes_, truth = drawn
    expected = literal_curve(bytes_, truth, measure)
    for map in ((bytes_ / 255).astype(np.float32), bytes_ / 255):
        for name, reduced in ((f"mean-{measure}", np.mean), (f"max-{measure}", np.max)):
            metric = METRICS.get(name)()
            assert isinstance(metric, CurveMetric)
            found = metric.curve(torch.from_numpy(map), torch.from_numpy(truth))
            assert np.allclose(found.numpy(), expected, rtol=0, atol=1e-12, equal_nan=True)
            value = float(metric.score(torch.from_numpy(map), torch.from_numpy(truth)))
            assert value == pytest.approx(float(reduced(expected)), abs=1e-12, nan_ok=True)


@given(bytes_and_truth(), st.sampled_from(MEASURES))
def test_adaptive(drawn: tuple[np.ndarray, np.ndarray], measure: str) -> None:
    bytes_, truth = drawn
    for map in (bytes_ / 255, (bytes_ / 255).astype(np.float32)):
        threshold = min(2 * map.mean(dtype=np.float64), 1.0)
        mask = torch.from_numpy(map.astype(np.float64) >= threshold)
        expected = float(METRICS.get(measure)().score(mask, torch.from_numpy(truth)))
        found = float(METRICS.get(f"adaptive-{measure}")().score(torch.from_numpy(map), torch.from_numpy(truth)))
        assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_beta_reaches_the_variants() -> None:
    generator = torch.Generator().manual_seed(1)
    map, truth = torch.rand(3, 9, 8, generator=generator) ** 3, torch.rand(3, 9, 8, generator=generator) < 0.3
    for cls in (AdaptiveFBeta, MaxFBeta, MeanFBeta):
        metric = cls(beta_squared=4.0)
        assert metric.counted() == FBeta(beta_squared=4.0)
        assert not torch.allclose(metric.score(map, truth), cls().score(map, truth))


def undefined(found: Tensor) -> list[bool]:
    return found.isnan().tolist()


def test_maps_that_leave_the_range_are_undefined() -> None:
    maps = torch.rand(4, 5, 6)
    maps[0, 0, 0], maps[1, 1, 1], maps[2, 2, 2] = 1.5, -0.1, torch.nan
    truth = torch.zeros(4, 5, 6, dtype=torch.bool)
    truth[:, 2:4, 3] = True
    for measure in MEASURES:
        for kind in ("adaptive", "mean", "max"):
            assert undefined(METRICS.get(f"{kind}-{measure}")().score(maps, truth)) == [True, True, True, False]


def test_curves_need_their_levels() -> None:
    joint = joint_histogram(torch.rand(5, 6), torch.ones(5, 6, dtype=torch.bool), levels=100)
    with pytest.raises(InputError, match="joint histogram must have 256 levels, got 100"):
        MaxFBeta().from_joint(joint)
