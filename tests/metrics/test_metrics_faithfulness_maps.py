"""Scores of a map alone, and similarities of two maps: against loops, scipy and scikit-image."""

from __future__ import annotations

import warnings
from math import isnan, log
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from networks import random
from scipy import stats
from skimage.metrics import structural_similarity

from miso_gen.errors import InputError
from miso_gen.metrics.faithfulness.complexity import complexity
from miso_gen.metrics.faithfulness.sparseness import sparseness
from miso_gen.metrics.similarity import SIMILARITIES, Similarity

MAPS = hnp.arrays(np.float64, (4, 6), elements=st.sampled_from([-2.0, -0.5, 0.0, 0.1, 0.3, 1.0, 7.0]))


def similarity(name: str, **spec: Any) -> Similarity:
    return SIMILARITIES.get(name).from_spec(spec)


# --- complexity and sparseness ----------------------------------------------------------------------------------------


@given(MAPS)
def test_complexity_literally(map: np.ndarray) -> None:
    found = complexity(torch.from_numpy(map)).item()
    total = sum(abs(value) for value in map.flat)
    if total == 0:
        assert isnan(found)
        return
    shares = [abs(value) / total for value in map.flat]
    assert found == pytest.approx(-sum(share * log(share) for share in shares if share), abs=1e-12)
    assert found == pytest.approx(float(stats.entropy(np.abs(map).ravel())), abs=1e-12)


@given(MAPS)
def test_sparseness_literally(map: np.ndarray) -> None:
    found = sparseness(torch.from_numpy(map)).item()
    values = [abs(value) for value in map.flat]
    if not any(values):
        assert isnan(found)
        return
    # Gini: mean difference of all pairs over twice the mean.
    pairs = sum(abs(a - b) for a in values for b in values)
    assert found == pytest.approx(pairs / (2 * len(values) * sum(values)), abs=1e-12)


def test_bounds() -> None:
    one = torch.zeros(5, 8, dtype=torch.float64)
    one[3, 4] = -2.0
    flat = torch.full((5, 8), 0.3)
    assert complexity(one).item() == 0.0
    assert complexity(flat).item() == pytest.approx(log(40))
    assert sparseness(one).item() == pytest.approx(1 - 1 / 40)
    assert sparseness(flat).item() == pytest.approx(0.0, abs=1e-9)
    assert complexity(torch.stack([one, one]).reshape(2, 1, 5, 8)).shape == (2, 1)
    with pytest.raises(InputError, match="floating"):
        complexity(one.long())


def test_chance_levels_of_uniform_maps() -> None:
    maps = random(50, 100, 100)
    assert complexity(maps).mean().item() == pytest.approx(log(10_000) - 0.193, abs=2e-3)
    assert sparseness(maps).mean().item() == pytest.approx(1 / 3, abs=2e-3)


# --- similarities -----------------------------------------------------------------------------------------------------


@given(MAPS, MAPS, hnp.arrays(np.bool_, (4, 6)))
def test_correlations_are_those_of_scipy(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> None:
    pair = torch.from_numpy(np.stack([one, one])), torch.from_numpy(np.stack([other, other]))
    masks = torch.from_numpy(np.stack([inside, np.ones_like(inside)]))
    for name, scipy in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        found = similarity(name).compare(*pair, masks)
        for value, mask in zip(found, masks.numpy(), strict=True):
            a, b = one[mask], other[mask]
            if len(set(a)) < 2 or len(set(b)) < 2:
                assert isnan(value)
            else:
                assert value.item() == pytest.approx(float(scipy(a, b).statistic), abs=1e-12)


@given(MAPS, MAPS, hnp.arrays(np.bool_, (4, 6)))
def test_cosine_and_top_k_literally(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> None:
    pair = torch.from_numpy(one)[None], torch.from_numpy(other)[None]
    mask = torch.from_numpy(inside)[None]
    a, b = one[inside], other[inside]
    cosine = similarity("cosine").compare(*pair, mask).item()
    if not a.any() or not b.any():
        assert isnan(cosine)
    else:
        assert cosine == pytest.approx(float(a @ b / np.sqrt((a @ a) * (b @ b))), abs=1e-12)
    for k in (1, 5, 100):
        overlap = similarity("top-k", k=k).compare(*pair, mask).item()
        if not len(a):
            assert isnan(overlap)
            continue
        high = [set(sorted(range(len(values)), key=lambda i, values=values: -values[i])[:k]) for values in (a, b)]
        assert overlap == pytest.approx(len(high[0] & high[1]) / min(k, len(a)))


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1.0, 1e30, 1e200])
def test_scale_does_not_count(scale: float) -> None:
    one, other = random(2, 5, 6), random(2, 5, 6, seed=1)
    for name in ("pearson", "spearman", "cosine"):
        wanted = similarity(name).compare(one, other)
        assert torch.allclose(similarity(name).compare(one * scale, other), wanted, atol=1e-12)
        assert torch.allclose(similarity(name).compare(one, other * scale), wanted, atol=1e-12)


@pytest.mark.parametrize("normalize", ["min-max", "max-abs"])
def test_ssim_is_that_of_scikit_image(normalize: str) -> None:
    one, other = random(3, 13, 18) - 0.3, random(3, 13, 18, seed=1) * 4 - 1
    found = similarity("ssim", normalize=normalize).compare(one, other)
    for k in range(3):
        pair, span = [one[k].numpy(), other[k].numpy()], 1.0
        if normalize == "min-max":
            pair = [(map - map.min()) / (map.max() - map.min()) for map in pair]
        else:
            pair, span = [map / np.abs(map).max() for map in pair], 2.0
        assert found[k].item() == pytest.approx(structural_similarity(*pair, data_range=span), abs=1e-9)


def test_ssim_inside() -> None:
    """The windows inside a mask are those of the part alone; without one, it is undefined."""
    one, other = random(2, 20, 18), random(2, 20, 18, seed=1)
    inside = torch.zeros(2, 20, 18, dtype=torch.bool)
    inside[0, 3:14, 5:16] = True
    inside[1, 3:9] = True
    one[0, 0], other[0, :, 0] = 100.0, -50.0
    found = similarity("ssim").compare(one, other, inside)
    part = similarity("ssim").compare(one[:1, 3:14, 5:16], other[:1, 3:14, 5:16])
    assert found[0].item() == pytest.approx(part.item(), abs=1e-9)
    assert isnan(found[1])
    with pytest.raises(InputError, match="at least 7 px"):
        similarity("ssim").compare(one[:, :5], other[:, :5])


@pytest.mark.parametrize("name", SIMILARITIES.names())
def test_every_similarity(name: str) -> None:
    plugin = similarity(name)
    one, other = random(5, 9, 14) - 0.3, random(5, 9, 14, seed=1) - 0.3
    found = plugin.compare(one, other)
    assert found.dtype == torch.float64
    assert ((found >= plugin.range[0]) & (found <= plugin.range[1])).all()
    assert torch.allclose(plugin.compare(one, one), torch.ones(5, dtype=torch.float64))
    assert torch.allclose(plugin.compare(other, one), found)
    assert torch.allclose(plugin.compare(one.mT, other.mT), found)  # no axis is special
    alone = torch.cat([plugin.compare(one[k : k + 1], other[k : k + 1]) for k in range(5)])
    assert torch.allclose(alone, found)
    assert torch.allclose(plugin.compare(one.float(), other.float()), found, atol=1e-5)
    lost = one.clone()
    lost[2, 3, 4] = torch.nan
    assert plugin.compare(lost, other).isnan().tolist() == [False, False, True, False, False]
    nowhere = torch.zeros(5, 9, 14, dtype=torch.bool)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plugin.compare(one, other, nowhere).isnan().all()
    inside = torch.ones(5, 9, 14, dtype=torch.bool)
    inside[:, 0] = False
    moved = one.clone()
    moved[:, 0] = torch.nan  # what is outside does not count
    assert torch.allclose(plugin.compare(moved, other, inside), plugin.compare(one, other, inside))
