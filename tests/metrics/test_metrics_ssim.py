"""SSIM: the definition, window by window, and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from miso_gen.errors import InputError, RecipeError
from miso_gen.metrics import METRICS
from miso_gen.metrics.scores import ssim as ssim_module
from miso_gen.metrics.scores.ssim import ssim


def literal(x: np.ndarray, y: np.ndarray, window: int, data_range: float) -> float:
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = []
    for row in range(x.shape[0] - window + 1):
        for col in range(x.shape[1] - window + 1):
            place = slice(row, row + window), slice(col, col + window)
            a, b = x[place].ravel(), y[place].ravel()
            (sxx, sxy), (_, syy) = np.cov(a, b)
            alike = (2 * a.mean() * b.mean() + c1) * (2 * sxy + c2)
            values.append(alike / ((a.mean() ** 2 + b.mean() ** 2 + c1) * (sxx + syy + c2)))
    return float(np.mean(values))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_is_the_definition(data: st.DataObject) -> None:
    window = data.draw(st.sampled_from([3, 5, 7]))
    data_range = data.draw(st.sampled_from([1.0, 2.0, 0.25]))
    shape = data.draw(st.tuples(st.integers(7, 11), st.integers(7, 11)))
    map = data.draw(hnp.arrays(np.float64, shape, elements=st.floats(-1, 1, width=16)))
    truth = data.draw(hnp.arrays(np.bool_, shape))
    found = ssim(torch.from_numpy(map), torch.from_numpy(truth), window, data_range)
    assert float(found) == pytest.approx(literal(map, truth.astype(float), window, data_range), abs=1e-9)


@pytest.mark.parametrize(("rows", "cols"), [(7, 7), (40, 61), (300, 210)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_is_that_of_scikit_image(rows: int, cols: int, dtype: torch.dtype) -> None:
    map = torch.rand(rows, cols, dtype=torch.float64, generator=torch.Generator().manual_seed(rows)).to(dtype)
    truth = torch.zeros(rows, cols, dtype=torch.bool)
    truth[rows // 4 : rows // 2, cols // 3 :] = True
    for target in (truth, map.flip(0)):
        y = target.to(torch.float64).numpy()
        for data_range in (2.0, 1.0):
            expected = structural_similarity(map.double().numpy(), y, data_range=data_range)
            assert float(ssim(map, target, data_range=data_range)) == pytest.approx(expected, abs=1e-9)
        expected = structural_similarity(map.double().numpy(), y, data_range=1.0, win_size=5 if rows == 7 else 11)
        assert float(ssim(map, target, 5 if rows == 7 else 11, 1.0)) == pytest.approx(expected, abs=1e-9)
    assert float(METRICS.get("ssim")().score(map, truth)) == float(ssim(map, truth))


def test_torchmetrics_divides_by_n_and_counts_windows_past_the_edge() -> None:
    """Its variances are those of a population, and its mean has the windows that reach past the image, mirrored there."""
    map = torch.rand(64, 80, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    truth = torch.zeros(64, 80, dtype=torch.bool)
    truth[20:40, 10:50] = True
    theirs = float(
        structural_similarity_index_measure(
            map[None, None], truth.double()[None, None], gaussian_kernel=False, kernel_size=7, data_range=1.0
        )
    )
    y = truth.double().numpy()
    _, every = structural_similarity(map.numpy(), y, data_range=1.0, use_sample_covariance=False, full=True)
    assert theirs == pytest.approx(every.mean(), abs=1e-6)
    _, every = structural_similarity(map.numpy(), y, data_range=1.0, full=True)
    assert float(ssim(map, truth, data_range=1.0)) == pytest.approx(every[3:-3, 3:-3].mean(), abs=1e-9)


def test_tiles_and_batches_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles are the way of large maps on the CPU, pooling that of CUDA and of small ones."""
    generator = torch.Generator().manual_seed(3)
    maps, truth = torch.rand(3, 61, 83, generator=generator), torch.rand(3, 61, 83, generator=generator) > 0.7
    monkeypatch.setattr(ssim_module, "_BLOCK", 61 * 83)
    monkeypatch.setattr(ssim_module, "_LARGE", 1 << 20)
    pooled = ssim(maps, truth)
    monkeypatch.setattr(ssim_module, "_LARGE", 1)
    for side in (16, 55, 77, 500):
        monkeypatch.setattr(ssim_module, "_TILE", side)
        assert torch.allclose(ssim(maps, truth), pooled, rtol=0, atol=1e-12)


def test_no_window_fits_is_undefined() -> None:
    map, truth = torch.rand(2, 6, 40), torch.zeros(2, 6, 40, dtype=torch.bool)
    assert ssim(map, truth).isnan().all()
    assert ssim(map, truth, 5).isfinite().all()
    assert ssim(map[:0], truth[:0]).shape == (0,)
    assert ssim(torch.rand(0, 9, 9), torch.zeros(0, 9, 9, dtype=torch.bool)).shape == (0,)


def test_parameters_are_checked() -> None:
    cls = METRICS.get("ssim")
    with pytest.raises(RecipeError, match="odd"):
        cls.from_spec({"window": 6})
    with pytest.raises(RecipeError, match="window"):
        cls.from_spec({"window": 1})
    with pytest.raises(RecipeError, match="data_range"):
        cls.from_spec({"data_range": 0})
    with pytest.raises(InputError, match="bool"):
        cls().score(torch.rand(9, 9), torch.rand(9, 9))
