"""IoU at the threshold of the greatest geometric mean: the vectors of the source, and literal searches."""

from __future__ import annotations

from math import isnan, nan, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

from miso_gen.errors import InputError
from miso_gen.metrics.interfaces import METRICS
from miso_gen.metrics.joint import joint_histogram
from miso_gen.metrics.scores.g_mean_iou import g_mean_threshold, iou_at


def g_mean(scores: list[float], labels: list[bool], threshold: float) -> float:
    positive = [score >= threshold for score, label in zip(scores, labels, strict=True) if label]
    negative = [score < threshold for score, label in zip(scores, labels, strict=True) if not label]
    return sqrt(sum(positive) / len(positive) * sum(negative) / len(negative))


def test_vector() -> None:
    scores, labels = [0.1, 0.4, 0.35, 0.8], [False, False, True, True]
    assert g_mean(scores, labels, 0.35) == pytest.approx(0.7071, abs=1e-4)
    assert g_mean(scores, labels, 0.8) == pytest.approx(0.7071, abs=1e-4)
    assert g_mean(scores, labels, 0.4) == pytest.approx(0.5)
    assert float(g_mean_threshold(torch.tensor(scores, dtype=torch.float64), torch.tensor(labels))) == 0.35  # the least on ties


@settings(max_examples=100)
@given(data=st.lists(st.tuples(st.integers(-4, 4), st.booleans()), max_size=14))
def test_threshold_is_that_of_a_search(data: list[tuple[int, bool]]) -> None:
    scores, labels = [score / 8 for score, _ in data], [label for _, label in data]
    found = float(g_mean_threshold(torch.tensor(scores, dtype=torch.float64), torch.tensor(labels, dtype=torch.bool)))
    if all(labels) or not any(labels):
        assert isnan(found)
        return
    best = max(g_mean(scores, labels, threshold) for threshold in scores)
    assert found == min(threshold for threshold in scores if abs(g_mean(scores, labels, threshold) - best) < 1e-12)


def test_classes_have_thresholds_of_their_own() -> None:
    rng = np.random.default_rng(0)
    scores, labels = torch.from_numpy(rng.random((30, 2, 3)).astype(np.float32)), torch.from_numpy(rng.random((30, 2, 3)) < 0.5)
    labels[:, 1, 1] = True
    found = g_mean_threshold(scores, labels)
    assert found.shape == (2, 3)
    assert found.dtype == torch.float64
    for i, j in np.ndindex(2, 3):
        alone = g_mean_threshold(scores[:, i, j], labels[:, i, j])
        assert float(alone) == float(found[i, j]) or (isnan(alone) and (i, j) == (1, 1))
    for scores_, labels_, match in (
        (torch.zeros(3), torch.zeros(4, dtype=torch.bool), "shape"),
        (torch.zeros(3), torch.zeros(3), "bool"),
        (torch.full((3,), nan), torch.zeros(3, dtype=torch.bool), "nan"),
    ):
        with pytest.raises(InputError, match=match):
            g_mean_threshold(scores_, labels_)


def test_iou_includes_the_threshold() -> None:
    rng = np.random.default_rng(1)
    map, truth = torch.from_numpy(rng.integers(0, 8, (5, 6, 9)) / 8).float(), torch.from_numpy(rng.random((5, 6, 9)) < 0.4)
    for threshold in (0.25, 0.3, 0.875):
        wanted = [jaccard_score(t.flatten().numpy(), (m >= threshold).flatten().numpy()) for m, t in zip(map, truth, strict=True)]
        assert iou_at(map, truth, threshold).tolist() == pytest.approx(wanted)
    # 0.35 of float32 is less than that of float64, and reaches the threshold that was taken from it.
    score = torch.tensor([0.35, 0.1])
    threshold = float(g_mean_threshold(score, torch.tensor([True, False])))
    plane, one = torch.tensor([[0.35, 0.1]]), torch.tensor([[True, False]])
    assert float(iou_at(plane, one, threshold)) == 1.0
    assert float(iou_at(plane, one, 0.35)) == 0.0


def test_from_the_joint_histogram() -> None:
    rng = np.random.default_rng(2)
    map, truth = torch.from_numpy(rng.integers(0, 20, (4, 7, 9)) / 19), torch.from_numpy(rng.random((4, 7, 9)) < 0.4)
    truth[2] = False
    for threshold in (0.0, 7 / 19, 0.5, 1.0, 2.0):
        metric = METRICS.get("g-mean-iou").from_spec({"threshold": threshold})
        found = metric.from_joint(joint_histogram(map, truth, levels=None))
        assert torch.equal(found.nan_to_num(9), metric.score(map, truth).nan_to_num(9))
        assert isnan(float(found[2]))


def test_undefined() -> None:
    truth = torch.ones(2, 3, dtype=torch.bool)
    assert isnan(float(iou_at(torch.tensor([[nan, 1, 1], [1, 1, 1]]), truth, 0.5)))
    assert isnan(float(iou_at(torch.ones(2, 3), ~truth, 0.5)))
    assert float(iou_at(torch.zeros(2, 3), truth, 0.5)) == 0.0
