"""Binarisers: against numpy and scikit-image, and the shares of a map that they can reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.filters import threshold_otsu

from miso_gen.metrics import joint_histogram
from miso_gen.metrics.binarizers.fixed import Fixed
from miso_gen.metrics.binarizers.mean_std import MeanStd
from miso_gen.metrics.binarizers.otsu import Otsu
from miso_gen.metrics.binarizers.quantile import Quantile
from miso_gen.metrics.binarizers.two_mean import TwoMean
from miso_gen.metrics.planes import over, reaches, rounded_down

MAPS = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.floats(-1000, 1000, width=16),
)


@given(MAPS)
def test_thresholds(map: np.ndarray) -> None:
    wide, shown = map.astype(np.float64), torch.from_numpy(map)
    assert float(TwoMean().threshold(shown)) == pytest.approx(2 * np.abs(wide).mean(), abs=1e-9)
    assert float(TwoMean(factor=3).threshold(shown)) == pytest.approx(3 * np.abs(wide).mean(), abs=1e-9)
    for k in (1.0, 2.5, -1.0):
        assert float(MeanStd(k=k).threshold(shown)) == pytest.approx(wide.mean() + k * wide.std(), abs=1e-9)
    assert float(Fixed(value=0.25).threshold(shown)) == 0.25


@given(MAPS, st.sampled_from([0.0, 0.01, 0.25, 0.5, 0.9, 1.0]))
def test_quantiles(map: np.ndarray, q: float) -> None:
    expected = np.quantile(map.astype(np.float64), q, method="inverted_cdf")
    shown = torch.from_numpy(map)
    assert float(Quantile(q=q).threshold(shown)) == expected
    assert Quantile(q=q).binarize(shown).double().mean() <= 1 - q + 1e-12
    joint = joint_histogram(shown, shown > 0, levels=None)
    assert float(Quantile(q=q).from_joint(joint)) == expected


@given(MAPS)
def test_shares_that_masks_can_reach(map: np.ndarray) -> None:
    shown = torch.from_numpy(map)
    assert TwoMean().binarize(shown).double().mean() < 0.5
    assert MeanStd().binarize(shown).double().mean() <= 0.5
    assert MeanStd(k=3).binarize(shown).double().mean() <= 0.1


@pytest.mark.parametrize("seed", range(6))
def test_otsu_is_that_of_scikit_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    map = rng.normal(0.0, 0.3, (50, 61)) + (rng.random((50, 61)) < 0.2 + 0.1 * seed) * 1.7
    assert float(Otsu().threshold(torch.from_numpy(map))) == pytest.approx(threshold_otsu(map), abs=1e-9)
    assert float(Otsu(bins=40).threshold(torch.from_numpy(map))) == pytest.approx(threshold_otsu(map, nbins=40), abs=1e-9)


def test_otsu_parts_two_values() -> None:
    map = torch.full((2, 6, 7), 0.2)
    map[0, :3], map[1, 2, 2] = 0.9, 1.0
    assert torch.equal(Otsu().binarize(map), map > 0.5)


def test_vectors() -> None:
    """MISO: twice the mean keeps 40 % of a map, and none of 50 % or 60 %. You: [0, 0, 0, 1] leaves one pixel."""
    for share, kept in ((40, 40), (50, 0), (60, 0)):
        map = torch.zeros(10, 10)
        map.view(-1)[:share] = 1.0
        assert int(TwoMean().binarize(map).sum()) == kept
    map = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    assert float(MeanStd().threshold(map)) == pytest.approx(0.25 + 0.4330127)
    assert MeanStd().binarize(map).tolist() == [[False, False, False, True]]


@pytest.mark.parametrize("value", [0.1, 0.3, 0.7])
def test_masks_of_constants_are_blank_whatever_the_rounding(value: float) -> None:
    for size in (3, 10, 101):
        for dtype in (torch.float32, torch.float64):
            map = torch.full((size, size), value, dtype=dtype)
            assert not MeanStd().binarize(map).any()
            assert not Otsu().binarize(map).any()


@given(st.floats(-1e30, 1e30), st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]))
def test_thresholds_are_compared_exactly(threshold: float, dtype: torch.dtype) -> None:
    """A pixel is above a threshold as if both were widened; so are the numbers next to the threshold."""
    exact = torch.tensor(threshold, dtype=torch.float64)
    near = exact.to(dtype)
    map = torch.stack([near, *(torch.nextafter(near, torch.full_like(near, far)) for far in (-torch.inf, torch.inf))])
    assert torch.equal(over(map[None], exact), map[None].to(torch.float64) > exact)
    assert torch.equal(reaches(map[None], exact), map[None].to(torch.float64) >= exact)


@given(st.floats(-1e30, 1e30))
def test_rounding_down(threshold: float) -> None:
    exact = torch.tensor(threshold, dtype=torch.float64)
    found = rounded_down(exact)
    assert found.dtype == torch.float32
    assert found.double() <= exact
    assert torch.nextafter(found, torch.tensor(torch.inf)).double() > exact
