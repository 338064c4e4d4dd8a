"""Scores of classifiers: against counting pairs and thresholds, scikit-learn and torchmetrics."""

from __future__ import annotations

from itertools import pairwise
from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as outside
from torchmetrics.functional import classification as tm

from miso_gen.errors import InputError
from miso_gen.metrics.classification import (
    accuracy,
    auprc,
    auroc,
    average_precision,
    binary_scores,
    class_scores,
    legacy_cumulative,
    macro,
    weighted,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

MEASURES = [auroc, auprc, average_precision]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]

#: Few different scores, so that many are equal.
SCORED = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30)


def tensors(scored: list[tuple[int, bool]]) -> tuple[Tensor, Tensor]:
    return torch.tensor([float(score) for score, _ in scored]), torch.tensor([positive for _, positive in scored])


def same(found: Tensor, wanted: float) -> None:
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(wanted, abs=1e-12, nan_ok=True)


# --- literally ----------------------------------------------------------------------------------------------------------


def pairs_in_order(scored: list[tuple[int, bool]]) -> float:
    high = [score for score, positive in scored if positive]
    low = [score for score, positive in scored if not positive]
    won = [1.0 if one > other else 0.5 if one == other else 0.0 for one in high for other in low]
    return sum(won) / len(won) if won else nan


def curve(scored: list[tuple[int, bool]]) -> list[tuple[float, float]]:
    """Return (recall, precision) at every threshold, from none chosen."""
    points = [(0.0, 1.0)]
    total = sum(positive for _, positive in scored)
    for threshold in sorted({score for score, _ in scored}, reverse=True):
        chosen = [positive for score, positive in scored if score >= threshold]
        points.append((sum(chosen) / total, sum(chosen) / len(chosen)))
    return points


def mixed(scored: list[tuple[int, bool]]) -> bool:
    return len({positive for _, positive in scored}) == 2


@given(SCORED)
def test_curves_are_those_of_every_threshold(scored: list[tuple[int, bool]]) -> None:
    found = tensors(scored)
    if not mixed(scored):
        assert all(measure(*found).isnan() for measure in MEASURES)
        return
    points = curve(scored)
    steps = list(pairwise(points))
    same(auroc(*found), pairs_in_order(scored))
    same(average_precision(*found), sum((b[0] - a[0]) * b[1] for a, b in steps))
    same(auprc(*found), sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in steps))


# --- outside ------------------------------------------------------------------------------------------------------------


def trapezoids(positive: Tensor, scores: Tensor) -> float:
    precision, recall, _ = outside.precision_recall_curve(positive, scores)
    return float(outside.auc(recall, precision))


@given(SCORED.filter(mixed))
def test_scikit_learn_and_torchmetrics_agree(scored: list[tuple[int, bool]]) -> None:
    scores, positive = tensors(scored)
    same(auroc(scores, positive), outside.roc_auc_score(positive, scores))
    same(average_precision(scores, positive), outside.average_precision_score(positive, scores))
    same(auprc(scores, positive), trapezoids(positive, scores))
    share = (scores + 3) / 6  # torchmetrics takes what leaves [0, 1] for logits
    assert auroc(scores, positive).item() == pytest.approx(tm.binary_auroc(share, positive.int()).item(), abs=1e-6)
    found = average_precision(scores, positive).item()
    assert found == pytest.approx(tm.binary_average_precision(share, positive.int()).item(), abs=1e-6)


def test_many_patches_are_counted_exactly() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(200_000) < 0.3
    scores = (rng.normal(size=200_000) + positive).astype(np.float32)
    found = torch.from_numpy(scores), torch.from_numpy(positive)
    same(auroc(*found), outside.roc_auc_score(positive, scores))
    same(average_precision(*found), outside.average_precision_score(positive, scores))
    same(auprc(*found), trapezoids(found[1], found[0]))


def test_large_logits_keep_their_order() -> None:
    scores, positive = torch.tensor([20.0, 25.0, 30.0, 35.0]), torch.tensor([False, False, True, True])
    same(auroc(scores, positive), 1.0)
    assert tm.binary_auroc(scores, positive.int()).item() == 0.5  # all are 1 after a sigmoid in float32
    same(auroc(torch.tensor([-inf, 0.0, inf, inf]), positive), 1.0)


# --- cases --------------------------------------------------------------------------------------------------------------


def test_one_score_for_all_on_balanced_data() -> None:
    scores, positive = torch.full((10,), 0.7), torch.arange(10) < 5
    same(auroc(scores, positive), 0.5)
    same(average_precision(scores, positive), 0.5)
    same(auprc(scores, positive), 0.75)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("scores", "positive"),
    [([], []), ([0.1, 0.2], [True, True]), ([0.1, 0.2], [False, False]), ([0.1, nan], [True, False])],
)
def test_undefined_is_nan(measure: Callable[..., Tensor], scores: list[float], positive: list[bool]) -> None:
    assert measure(torch.tensor(scores), torch.tensor(positive, dtype=torch.bool)).isnan()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("measure", MEASURES)
def test_a_batch_is_a_loop(measure: Callable[..., Tensor], device: str) -> None:
    rng = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 6, (3, 4, 17), generator=rng).to(torch.float32)
    positive = torch.rand(3, 4, 17, generator=rng) < 0.4
    positive[0, 0] = True
    found = measure(scores.to(device), positive.to(device))
    assert found.shape == (3, 4)
    assert found.device.type == device
    one_by_one = [measure(a, b) for a, b in zip(scores.reshape(12, 17), positive.reshape(12, 17), strict=True)]
    assert torch.allclose(found.cpu(), torch.stack(one_by_one).reshape(3, 4), rtol=0, atol=1e-15, equal_nan=True)


def test_binary_scores_say_all_of_several_labels() -> None:
    rng = torch.Generator().manual_seed(1)
    scores, positive = torch.rand(3, 40, generator=rng), torch.rand(3, 40, generator=rng) < 0.5
    positive[2] = False
    found = binary_scores(scores, positive, threshold=0.3)
    assert torch.equal(found.auroc[:2], auroc(scores, positive)[:2])
    assert torch.equal(found.auprc[:2], auprc(scores, positive)[:2])
    assert torch.equal(found.average_precision[:2], average_precision(scores, positive)[:2])
    assert found.auroc[2].isnan()
    assert found.accuracy.tolist() == [outside.accuracy_score(p, s >= 0.3) for s, p in zip(scores, positive, strict=True)]
    assert found.n.tolist() == [40, 40, 40]
    assert found.positives.tolist() == positive.sum(1).tolist()
    scores[0, 0] = nan
    assert binary_scores(scores, positive).accuracy.isnan().tolist() == [True, False, False]


def test_classes_one_against_the_rest() -> None:
    rng = np.random.default_rng(2)
    labels = np.r_[rng.integers(0, 3, 60), [0, 1, 2]]
    scores = rng.dirichlet(np.ones(4), 63) + np.eye(4)[labels] * 0.3
    scores[:, 3] = 0.0  # scikit-learn warns of a class that is predicted only
    found = class_scores(torch.from_numpy(scores), torch.from_numpy(labels))
    wanted = [outside.roc_auc_score(labels == c, scores[:, c]) for c in range(3)]
    assert found.auroc[:3].tolist() == pytest.approx(wanted, abs=1e-12)
    assert found.average_precision[:3].tolist() == pytest.approx(
        [outside.average_precision_score(labels == c, scores[:, c]) for c in range(3)], abs=1e-12
    )
    assert all(values[3].isnan() for values in found[:4])  # nothing belongs to the last class
    assert found.positives.tolist() == [*np.bincount(labels).tolist(), 0]
    recalls = outside.recall_score(labels, scores.argmax(1), average=None, labels=[0, 1, 2])
    assert found.accuracy[:3].tolist() == pytest.approx(recalls.tolist(), abs=1e-12)
    same(macro(found.accuracy), outside.balanced_accuracy_score(labels, scores.argmax(1)))
    same(macro(found.auroc), float(np.mean(wanted)))
    same(weighted(found.auroc, found.positives), float(np.average(wanted, weights=np.bincount(labels))))
    right = accuracy(torch.from_numpy(scores.argmax(1)), torch.from_numpy(labels))
    same(right, outside.accuracy_score(labels, scores.argmax(1)))


def test_means_over_no_class_are_nan() -> None:
    nothing = torch.full((2, 3), nan)
    assert macro(nothing).isnan().all()
    assert weighted(nothing, torch.ones(2, 3, dtype=torch.int64)).isnan().all()
    assert accuracy(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)).isnan()


@pytest.mark.parametrize("measure", MEASURES)
def test_the_released_code_never_empties_its_lists(measure: Callable[..., Tensor]) -> None:
    rng = torch.Generator().manual_seed(3)
    scores, positive = torch.rand(6, 20, generator=rng), torch.arange(20) % 2 == 0
    found = legacy_cumulative(measure, scores, positive)
    kept: list[float] = []
    labels: list[bool] = []
    for rule in range(6):
        kept += scores[rule].tolist()
        labels += positive.tolist()
        same(found[rule], measure(torch.tensor(kept), torch.tensor(labels)).item())
    assert not torch.allclose(found, measure(scores, positive.expand_as(scores)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auroc(torch.tensor([1, 2]), torch.tensor([True, False])), r"scores must be floating, got torch\.int64"),
        (lambda: auroc(torch.rand(2), torch.tensor([1, 0])), r"positive must be bool, got torch\.int64"),
        (lambda: auroc(torch.rand(2), torch.tensor([True])), r"shapes must be the same \(\.\.\., N\), got \(2,\) and \(1,\)"),
        (lambda: auroc(torch.tensor(1.0), torch.tensor(data=True)), r"shapes must be the same \(\.\.\., N\), got \(\) and \(\)"),
        (lambda: accuracy(torch.rand(2), torch.tensor([1, 0])), "labels must be whole numbers or bool"),
        (lambda: class_scores(torch.rand(2), torch.tensor([1, 0])), r"scores must be \(N, C\) and labels \(N,\)"),
        (lambda: class_scores(torch.rand(2, 2), torch.tensor([True, False])), r"labels must be whole numbers, got torch\.bool"),
        (lambda: class_scores(torch.rand(2, 2), torch.tensor([2, 0])), "labels must be 0 to 1, got 0 to 2"),
        (lambda: legacy_cumulative(auroc, torch.rand(2), torch.tensor([True, False])), r"scores must be \(R, N\)"),
    ],
)
def test_what_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
