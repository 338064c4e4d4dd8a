"""Scores of what a map marks, kept or covered: against loops, and the test vectors of the thesis."""

from __future__ import annotations

from dataclasses import replace
from math import exp, isnan

import pytest
import torch
from networks import Weighted, explained, random
from torch import Tensor

from miso_gen.metrics.faithfulness.average_drop import AverageDrop, SoftAverageDrop
from miso_gen.metrics.faithfulness.confidence_drop import ConfidenceDrop, ConfidenceDropLegacy
from miso_gen.metrics.faithfulness.increase_in_confidence import IncreaseInConfidence, SoftIncreaseInConfidence
from miso_gen.metrics.faithfulness.inverse_mask_confidence import InverseMaskConfidence
from miso_gen.metrics.interfaces import Explained


def logits_of(found: Explained, k: int, image: Tensor) -> list[float]:
    with torch.no_grad():
        return found.model(image[None])[0].tolist()


def softmax(logits: list[float], target: int) -> float:
    return exp(logits[target]) / sum(map(exp, logits))


def mask_of(map: Tensor) -> list[tuple[int, int]]:
    """Return the pixels above mean + std."""
    values = map.flatten().tolist()
    middle = sum(values) / len(values)
    spread = (sum((value - middle) ** 2 for value in values) / len(values)) ** 0.5
    return [(i, j) for i in range(map.shape[0]) for j in range(map.shape[1]) if map[i, j] > middle + spread]


def test_the_mask_of_the_thesis() -> None:
    """[0, 0, 0, 1] has mean 0.25 and std 0.433: one pixel is covered. A constant map covers none."""
    maps = torch.tensor([[[0.0, 0.0, 0.0, 1.0]], [[1.0, 1.0, 1.0, 1.0]]], dtype=torch.float64)
    images = torch.ones(2, 1, 1, 4, dtype=torch.float64)
    found = Explained(Weighted(torch.ones(1, 1, 4, dtype=torch.float64)), images, maps, torch.ones(2, dtype=torch.int64))
    covered = ConfidenceDrop(baseline="zero").covered(found)
    assert covered[:, 0, 0].tolist() == [[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]
    # logits 4 and 3: dropped by a quarter; and 0
    assert ConfidenceDrop(baseline="zero", output="logit").score(found).tolist() == pytest.approx([0.25, 0.0])


@pytest.mark.parametrize("number", [15])
def test_literally(number: int) -> None:
    found = explained(number, 7, 9)
    metrics = {
        "drop": ConfidenceDrop(),
        "logit": ConfidenceDrop(output="logit", baseline="zero"),
        "legacy": ConfidenceDropLegacy(baseline={"type": "value", "value": [0.4, 0.5, 0.6]}),
        "average": AverageDrop(),
        "increase": IncreaseInConfidence(),
        "inverse": InverseMaskConfidence(),
    }
    scores = {name: metric.score(found) for name, metric in metrics.items()}
    for k in range(number):
        image, target, mask = found.images[k], int(found.target[k]), mask_of(found.maps[k])
        mean, zero, value, kept = image.clone(), image.clone(), image.clone(), torch.zeros_like(image)
        for i, j in mask:
            mean[:, i, j] = image.mean((1, 2))
            zero[:, i, j] = 0.0
            value[:, i, j] = torch.tensor([0.4, 0.5, 0.6])
            kept[:, i, j] = image[:, i, j]
        whole = logits_of(found, k, image)
        sure = softmax(whole, target)
        wanted = {
            "drop": (sure - softmax(logits_of(found, k, mean), target)) / sure,
            "logit": (whole[target] - logits_of(found, k, zero)[target]) / whole[target] if whole[target] > 0 else None,
            "legacy": (whole[target] - max(logits_of(found, k, value))) / whole[target],
            "average": max(0.0, sure - softmax(logits_of(found, k, kept), target)) / sure,
            "increase": float(softmax(logits_of(found, k, kept), target) > sure),
            "inverse": softmax(logits_of(found, k, zero), target),
        }
        for name, expected in wanted.items():
            if expected is None:
                assert isnan(scores[name][k])
            else:
                assert scores[name][k].item() == pytest.approx(expected, rel=1e-5), name  # 0.4 in float32


def test_soft_variants_literally() -> None:
    found = explained(30, 7, 9)
    found = replace(found, maps=random(30, 7, 9, seed=4) - 0.2)
    drop, increase = SoftAverageDrop().score(found), SoftIncreaseInConfidence().score(found)
    for k in range(30):
        target = int(found.target[k])
        sure = softmax(logits_of(found, k, found.images[k]), target)
        kept = softmax(logits_of(found, k, found.images[k] * found.maps[k].clamp(min=0)), target)
        assert drop[k].item() == pytest.approx(max(0.0, sure - kept) / sure)
        assert increase[k].item() == float(kept > sure)
    assert 0 < increase.mean() < 1


def test_a_class_without_probability_is_undefined() -> None:
    images, maps = random(2, 1, 4, 5), random(2, 4, 5, seed=1)
    sure = Explained(Weighted(torch.zeros(1, 4, 5, dtype=torch.float64), bias=20.0), images, maps, torch.tensor([0, 1]))
    for metric in (ConfidenceDrop(), AverageDrop(), SoftAverageDrop()):
        assert metric.score(sure).isnan().tolist() == [True, False]
    assert IncreaseInConfidence().score(sure).tolist() == [0.0, 0.0]


def test_average_drop_and_drop_of_a_linear_model() -> None:
    """All weight on one pixel, marked: keeping it loses nothing, covering it everything; the reverse for another pixel."""
    weights = torch.zeros(1, 3, 4, dtype=torch.float64)
    weights[0, 1, 2] = 1.0
    images = torch.full((2, 1, 3, 4), 2.0, dtype=torch.float64)
    maps = torch.zeros(2, 3, 4, dtype=torch.float64)
    maps[0, 1, 2] = maps[1, 2, 1] = 1.0
    found = Explained(Weighted(weights), images, maps, torch.ones(2, dtype=torch.int64))
    sure, half = 1 / (1 + exp(-4.0)), 0.5
    assert AverageDrop().score(found).tolist() == pytest.approx([0.0, (sure - half) / sure])
    assert ConfidenceDrop(baseline="zero").score(found).tolist() == pytest.approx([(sure - half) / sure, 0.0])
    assert InverseMaskConfidence().score(found).tolist() == pytest.approx([half, sure])


def test_the_legacy_drop_counts_any_class() -> None:
    """Covered, the other class has the logit that the class had: nothing seems lost."""
    weights = torch.ones(1, 1, 5, dtype=torch.float64)
    images = torch.tensor([[[[3.0, 0.0, 0.0, 0.0, 0.0]]]], dtype=torch.float64)
    maps = torch.tensor([[[1.0, 0.0, 0.0, 0.0, 0.0]]], dtype=torch.float64)
    found = Explained(Weighted(weights), images, maps, torch.ones(1, dtype=torch.int64))
    baseline = {"type": "value", "value": -3.0}
    assert ConfidenceDropLegacy(baseline=baseline).score(found).tolist() == [0.0]
    assert ConfidenceDrop(baseline=baseline, output="logit").score(found).tolist() == [2.0]


def test_binarisers_are_chosen() -> None:
    found = explained(5)
    other = AverageDrop(binarize="two-mean")
    assert not torch.allclose(other.score(found), AverageDrop().score(found))
