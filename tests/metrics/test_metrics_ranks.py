"""AUROC and average precision: against scikit-learn, torchmetrics and the definitions, with ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from miso_gen.metrics import joint_histogram, ranks
from miso_gen.metrics.ranks import rank_scores
from miso_gen.metrics.scores.auroc import Auroc, auroc
from miso_gen.metrics.scores.average_precision import AveragePrecision, average_precision
from miso_gen.metrics.scores.relevance_rank import RelevanceRank
from miso_gen.metrics.scores.top_k_intersection import TopKIntersection

VALUES = st.sampled_from([-2.0, -0.5, -0.0, 0.0, 0.1, 0.25, 0.5, 1.0, 30.0])


@st.composite
def maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return draw(hnp.arrays(dtype, shape, elements=VALUES)), draw(hnp.arrays(bool, shape))


def literal_auroc(map: np.ndarray, truth: np.ndarray) -> float:
    """Compare every pixel with evidence with every one without."""
    pairs = [(float(a), float(b)) for a in map[truth] for b in map[~truth]]
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs) if pairs else float("nan")


def literal_average_precision(map: np.ndarray, truth: np.ndarray) -> float:
    """Walk down the distinct values."""
    if not truth.any():
        return float("nan")
    found, recall = 0.0, 0.0
    for value in sorted(set(map.ravel().tolist()), reverse=True):
        chosen = map >= value
        hits = (chosen & truth).sum()
        found += (hits / truth.sum() - recall) * hits / chosen.sum()
        recall = hits / truth.sum()
    return float(found)


@given(maps())
def test_definitions(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    map, truth = (torch.from_numpy(part) for part in drawn)
    assert float(auroc(map, truth)) == pytest.approx(literal_auroc(*drawn), abs=1e-12, nan_ok=True)
    assert float(average_precision(map, truth)) == pytest.approx(literal_average_precision(*drawn), abs=1e-12, nan_ok=True)


@given(maps())
def test_scikit_learn_and_torchmetrics(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    map, truth = drawn
    assume(truth.any() and not truth.all())
    flat = truth.ravel(), map.ravel()
    tensors = torch.from_numpy(map), torch.from_numpy(truth)
    assert float(auroc(*tensors)) == pytest.approx(roc_auc_score(*flat), abs=1e-12)
    assert float(average_precision(*tensors)) == pytest.approx(average_precision_score(*flat), abs=1e-12)
    unit = (torch.from_numpy(map).flatten() - map.min()) / 64  # torchmetrics takes values beyond [0, 1] for logits
    assert float(auroc(*tensors)) == pytest.approx(float(binary_auroc(unit, tensors[1].int().flatten())), abs=1e-6)
    other = float(binary_average_precision(unit, tensors[1].int().flatten()))
    assert float(average_precision(*tensors)) == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("steps", [None, 3, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_large_maps_are_sorted_apart(steps: int | None, dtype: torch.dtype) -> None:
    """Maps of 2^11 pixels and more go another way, with the same scores."""
    rng = np.random.default_rng(3)
    values = rng.random((2, 270, 260)) if steps is None else rng.integers(0, steps, (2, 270, 260)) / steps - 0.5
    map = torch.from_numpy(values).to(dtype)
    truth = torch.from_numpy(rng.random((2, 270, 260)) < 0.2 + 0.2 * values)
    found = rank_scores((Auroc(), AveragePrecision()), map, truth)
    joint = joint_histogram(map, truth, levels=None)
    for k, metric in enumerate((Auroc(), AveragePrecision())):
        assert torch.allclose(found[k], metric.from_joint(joint), rtol=0, atol=1e-12)
    for number in range(2):
        flat = truth[number].numpy().ravel(), map[number].numpy().astype(np.float64).ravel()
        assert float(found[0][number]) == pytest.approx(roc_auc_score(*flat), abs=1e-10)
        assert float(found[1][number]) == pytest.approx(average_precision_score(*flat), abs=1e-10)


SPREADS = {
    "uniform": lambda rng, n: rng.random(n),
    "steps": lambda rng, n: rng.integers(0, 9, n) / 9 - 0.5,
    "peak": lambda rng, n: rng.random(n) ** 40,
    "all floats": lambda rng, n: (2 * rng.random(n) - 1) * 3.3e38,
    "denormal": lambda rng, n: rng.random(n) * 1e-40,
    "two ends": lambda rng, n: np.where(rng.random(n) < 0.5, 1e-45, 3e38),
    "constant": lambda rng, n: np.full(n, 0.3),
}


@pytest.mark.parametrize("share", [0.0, 1e-4, 0.05, 0.6, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spread", SPREADS)
def test_pixels_that_need_no_sorting_are_counted(spread: str, dtype: type, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether all of the background is sorted, or what shares a cell with evidence, the ranks are the same numbers."""
    rng = np.random.default_rng(8)
    values = SPREADS[spread](rng, 5000).astype(dtype)
    truth = rng.random(5000) < share
    monkeypatch.setattr(ranks, "_MANY", 1 << 40)
    whole = ranks._ranks(values, truth)
    monkeypatch.setattr(ranks, "_MANY", 1)
    monkeypatch.setattr(ranks, "_STRIP", 777)
    for cells in (4, 64, 1 << 22):
        monkeypatch.setattr(ranks, "_CELLS", cells)
        near = ranks._ranks(values, truth)
        for one, other in zip(whole, near, strict=True):
            assert torch.equal(one, other)


@given(maps(), st.integers(1, 90))
def test_the_highest_pixels_from_ranks(drawn: tuple[np.ndarray, np.ndarray], k: int) -> None:
    map, truth = (torch.from_numpy(part) for part in drawn)
    for metric in (RelevanceRank(), TopKIntersection(k=k)):
        alone, (shared,) = metric.score(map, truth), rank_scores((metric,), map, truth)
        assert float(shared) == pytest.approx(float(alone), abs=1e-12, nan_ok=True)


def test_large_maps_without_evidence_or_not_finite() -> None:
    map, truth = torch.rand(4, 256, 256), torch.rand(4, 256, 256) < 0.5
    truth[0], truth[1] = False, True
    map[2, 5, 5] = torch.nan
    areas, precisions = rank_scores((Auroc(), AveragePrecision()), map, truth)
    assert areas.isnan().tolist() == [True, True, True, False]
    assert precisions.isnan().tolist() == [True, False, True, False]
    assert float(precisions[1]) == pytest.approx(1.0)


def test_rounding_to_levels_changes_little() -> None:
    rng = np.random.default_rng(5)
    values, truth = rng.random((300, 300)), rng.random((300, 300)) < 0.3
    map, marks = torch.from_numpy(np.clip(values + 0.2 * truth, 0, 1)), torch.from_numpy(truth)
    for metric in (Auroc(), AveragePrecision()):  # precision is that of few pixels at the top
        rounded = metric.from_joint(joint_histogram(map, marks))
        assert float(rounded) == pytest.approx(float(metric.score(map, marks)), abs=1e-2)


def test_a_constant_classifier() -> None:
    """On balanced truth: AUROC 0.5, AP 0.5."""
    map, truth = torch.full((4, 6), 0.7), torch.arange(24).reshape(4, 6) % 2 == 0
    assert float(auroc(map, truth)) == 0.5
    assert float(average_precision(map, truth)) == 0.5
