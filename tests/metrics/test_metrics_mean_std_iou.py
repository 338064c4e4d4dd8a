"""The mask above mean + std, and the IoU of pooled images: the vectors of the source."""

from __future__ import annotations

from math import isnan, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

from miso_gen.metrics.accumulate import MapScore
from miso_gen.metrics.interfaces import MAP_BINARIZERS
from miso_gen.metrics.scores.dice import dice
from miso_gen.metrics.scores.iou_sum_denominator import IouSumDenominator, iou_sum_denominator
from miso_gen.metrics.scores.jaccard import jaccard

MASKS = MAP_BINARIZERS.get("mean-std")()


def test_mask_of_the_vector() -> None:
    map = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    assert float(MASKS.threshold(map)) == pytest.approx(0.25 + sqrt(3) / 4)
    assert float(MASKS.threshold(map)) == pytest.approx(0.683, abs=1e-3)
    assert MASKS.binarize(map).tolist() == [[False, False, False, True]]
    for value in (0.0, 1.0, 0.1, -3.0):
        assert not MASKS.binarize(torch.full((5, 7), value)).any()


def test_iou_of_the_vector() -> None:
    mask, truth = torch.zeros(3, 4, dtype=torch.bool), torch.zeros(3, 4, dtype=torch.bool)
    mask[0], truth[0, 2:], truth[1, :2] = True, True, True
    assert (int(mask.sum()), int(truth.sum()), int((mask & truth).sum())) == (4, 4, 2)
    assert float(jaccard(mask, truth)) == pytest.approx(1 / 3)
    assert float(iou_sum_denominator(mask, truth)) == 0.25


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), shape=st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 9)))
def test_printed_iou_follows_from_the_true_one(seed: int, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(seed)
    mask, truth = (torch.from_numpy(rng.random(shape) < 0.5) for _ in range(2))
    printed, true = iou_sum_denominator(mask, truth), jaccard(mask, truth)
    assert torch.allclose(printed, true / (1 + true), equal_nan=True)
    assert torch.allclose(printed, dice(mask, truth) / 2, equal_nan=True)
    assert torch.equal(printed.isnan(), ~truth.flatten(1).any(1))


def test_printed_iou_ends_at_one_half() -> None:
    truth = torch.tensor([[True, False, True]])
    assert float(iou_sum_denominator(truth, truth)) == 0.5
    assert IouSumDenominator().best == 0.5
    assert IouSumDenominator.legacy
    assert float(iou_sum_denominator(~truth & False, truth)) == 0.0


def test_chance_of_the_printed_iou() -> None:
    rng = np.random.default_rng(0)
    mask, truth = (torch.from_numpy(rng.random((400, 500)) < share) for share in (0.5, 0.3))
    assert float(iou_sum_denominator(mask, truth)) == pytest.approx(IouSumDenominator().chance_level(0.3), abs=0.005)


def test_pooled_iou_is_sums_over_sums() -> None:
    rng = np.random.default_rng(1)
    map, truth = torch.from_numpy(rng.random((6, 9, 14))), torch.from_numpy(rng.random((6, 9, 14)) < 0.3)
    truth[2, 3:] = False
    masks = torch.stack([plane > plane.mean() + plane.std(correction=0) for plane in map])
    assert torch.equal(MASKS.binarize(map), masks)
    correct = torch.tensor([True, True, True, False, True, False])
    pooled, other = (MapScore("jaccard", binarize="mean-std", average="pooled") for _ in range(2))
    pooled.update(map[:3], truth[:3])
    other.update(map[3:][correct[3:]], truth[3:][correct[3:]])
    pooled.merge_state(other)
    found = float(pooled.compute()["mean"])
    both, either = (masks & truth)[correct], (masks | truth)[correct]
    assert found == pytest.approx(int(both.sum()) / int(either.sum()))
    assert found == pytest.approx(jaccard_score(truth[correct].flatten().numpy(), masks[correct].flatten().numpy()))
    mean = float(jaccard(masks, truth)[correct].mean())
    assert abs(found - mean) > 1e-4  # the mean of ratios is another number
    assert not isnan(mean)
