"""Metrics of counts: against the definitions pixel by pixel, scikit-learn and torchmetrics."""

from __future__ import annotations

from itertools import product
from math import isnan, nan

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk
from torchmetrics.functional import classification as tm

from miso_gen.errors import InputError
from miso_gen.metrics import METRICS, score
from miso_gen.metrics.counts import count
from miso_gen.metrics.scores.dice import dice
from miso_gen.metrics.scores.difference import difference
from miso_gen.metrics.scores.f_beta import f_beta
from miso_gen.metrics.scores.jaccard import jaccard
from miso_gen.metrics.scores.overlap import overlap
from miso_gen.metrics.scores.sensitivity import sensitivity
from miso_gen.metrics.scores.specificity import specificity

MASKS = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


def counts_of(mask: np.ndarray, truth: np.ndarray) -> tuple[int, int, int, int]:
    """Count tp, fp, fn, tn, pixel by pixel."""
    pairs = [(bool(a), bool(b)) for a, b in zip(mask.flat, truth.flat, strict=True)]
    return pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True)), pairs.count((False, False))


def over(upper: float, lower: float) -> float:
    return upper / lower if lower else nan


LITERAL = {
    "dice": lambda tp, fp, fn, tn: over(2 * tp, 2 * tp + fn + fp) if tp + fn else nan,
    "f-beta": lambda tp, fp, fn, tn: over(1.3 * tp, 1.3 * tp + 0.3 * fn + fp) if tp + fn else nan,
    "jaccard": lambda tp, fp, fn, tn: over(tp, tp + fp + fn) if tp + fn else nan,
    "overlap": lambda tp, fp, fn, tn: (over(tp, min(tp + fp, tp + fn)) if tp + fp else 0.0) if tp + fn else nan,
    "sensitivity": lambda tp, fp, fn, tn: over(tp, tp + fn),
    "specificity": lambda tp, fp, fn, tn: over(tn, tn + fp),
    "difference": lambda tp, fp, fn, tn: (fp + fn) / (tp + fp + fn + tn),
    # MISO's code
    "dice-legacy": lambda tp, fp, fn, tn: over(2 * tp, 2 * tp + fn + fp) if tp + fp + fn else 1.0,
    "f-beta-legacy": lambda tp, fp, fn, tn: over(1.3 * tp, 1.3 * tp + 0.3 * fn + fp) if tp + fp + fn else 1.0,
    "jaccard-legacy": lambda tp, fp, fn, tn: over(tp, tp + fp + fn),
    "overlap-legacy": lambda tp, fp, fn, tn: over(tp, min(tp + fp, tp + fn)) if min(tp + fp, tp + fn) else 0.0,
    "sensitivity-legacy": lambda tp, fp, fn, tn: over(tp, tp + fn) if tp + fn else 1.0,
    "specificity-legacy": lambda tp, fp, fn, tn: over(tn, tn + fp) if tn + fp else 1.0,
}


@given(MASKS)
def test_definitions(masks: tuple[np.ndarray, np.ndarray]) -> None:
    mask, truth = masks
    tensors = torch.from_numpy(mask), torch.from_numpy(truth)
    numbers = counts_of(mask, truth)
    assert tuple(int(part) for part in count(*tensors)) == numbers
    for name, literal in LITERAL.items():
        assert float(METRICS.get(name)().score(*tensors)) == pytest.approx(literal(*numbers), abs=1e-12, nan_ok=True), name


@pytest.mark.parametrize("name", LITERAL)
def test_all_small_counts(name: str) -> None:
    """Every way to fill four pixels, the empty cases among them."""
    for mask, truth in product(product([False, True], repeat=4), repeat=2):
        found = METRICS.get(name)().score(*(torch.tensor(part).reshape(2, 2) for part in (mask, truth)))
        assert float(found) == pytest.approx(LITERAL[name](*counts_of(np.array(mask), np.array(truth))), abs=1e-12, nan_ok=True)


@given(MASKS)
def test_scikit_learn_and_torchmetrics(masks: tuple[np.ndarray, np.ndarray]) -> None:
    """Where the truth has pixels of both kinds, they agree; elsewhere they have numbers of their own where ours is nan."""
    mask, truth = masks
    assume(truth.any() and not truth.all())
    one, two = torch.from_numpy(mask), torch.from_numpy(truth)
    flat = truth.ravel(), mask.ravel()
    pairs = [
        (dice, sk.f1_score(*flat, zero_division=0.0), tm.binary_f1_score),
        (f_beta, sk.fbeta_score(*flat, beta=0.3**0.5, zero_division=0.0), None),
        (jaccard, sk.jaccard_score(*flat, zero_division=0.0), tm.binary_jaccard_index),
        (sensitivity, sk.recall_score(*flat), tm.binary_recall),
        (specificity, sk.recall_score(~flat[0], ~flat[1]), tm.binary_specificity),
        (difference, sk.zero_one_loss(*flat), tm.binary_hamming_distance),
    ]
    for ours, other, torchmetric in pairs:
        assert float(ours(one, two)) == pytest.approx(other, abs=1e-12)
        if torchmetric is not None:
            assert float(ours(one, two)) == pytest.approx(float(torchmetric(one.int().flatten(), two.int().flatten())), abs=1e-6)


def test_vectors_of_miso() -> None:
    truth = torch.zeros(3, 4, dtype=torch.bool)
    truth.view(-1)[:5] = True
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask.view(-1)[2:6] = True  # TP 3, FP 1, FN 2
    assert float(f_beta(mask, truth)) == pytest.approx(3.9 / 5.5)
    assert float(f_beta(mask, truth)) == pytest.approx(0.709091, abs=1e-6)
    assert float(f_beta(mask, truth, beta_squared=1.0)) == pytest.approx(float(dice(mask, truth)))
    assert float(overlap(mask, truth)) == 0.75
    assert float(difference(mask, truth)) == 0.25


def test_overlap_of_a_part_is_one() -> None:
    truth = torch.zeros(5, 5, dtype=torch.bool)
    truth[1:4, 1:4] = True
    part = torch.zeros_like(truth)
    part[2, 2] = True
    assert float(overlap(part, truth)) == 1.0
    assert isnan(float(overlap(part, torch.zeros_like(truth))))


def test_averages_of_scores_with_undefined_ones() -> None:
    """Scores 1, 0, 1, 0 and an undefined one: mean 0.5, n stays 4."""
    truth = np.zeros((5, 2, 2), bool)
    truth[:4, 0, 0] = True
    mask = np.zeros_like(truth)
    mask[[0, 2], 0, 0] = True
    found = score(mask, truth, ["dice"])["dice"]
    assert isinstance(found, np.ndarray)
    assert found.tolist()[:4] == [1, 0, 1, 0]
    assert np.isnan(found[4])
    assert np.nanmean(found) == 0.5


def test_masks_must_be_bool() -> None:
    with pytest.raises(InputError, match=r"map must be a mask, of bool, got torch\.float32\. Give it to a binariser first"):
        dice(torch.rand(3, 3), torch.zeros(3, 3, dtype=torch.bool))
