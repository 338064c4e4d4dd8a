"""Losses of items and weights of classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from miso_gen.errors import InputError
from miso_gen.train.losses import class_weights, item_losses

LOGITS = torch.tensor([[0.5, -1.0, 2.0], [3.0, 0.0, -2.0]])
LABELS = torch.tensor([2, 1])
SEVERAL = torch.tensor([[1, 0, 1], [0, 0, 1]])


def test_cross_entropy_by_its_definition():
    expected = [
        -math.log(math.exp(row[label]) / sum(map(math.exp, row))) for row, label in zip(LOGITS.tolist(), [2, 1], strict=True)
    ]
    assert item_losses(LOGITS, LABELS).tolist() == pytest.approx(expected, rel=1e-6)
    weights = torch.tensor([1.0, 3.0, 0.5])
    weighted = [expected[0] * 0.5, expected[1] * 3.0]
    assert item_losses(LOGITS, LABELS, "cross-entropy", weights).tolist() == pytest.approx(weighted, rel=1e-6)
    peer = functional.cross_entropy(LOGITS, LABELS, weights, reduction="sum")
    assert float(item_losses(LOGITS, LABELS, "auto", weights).sum()) == pytest.approx(float(peer))


def literal_binary(row, labels, weights=(1.0, 1.0, 1.0)):
    shares = [1 / (1 + math.exp(-value)) for value in row]
    terms = [-w * math.log(s if y else 1 - s) for s, y, w in zip(shares, labels, weights, strict=True)]
    return sum(terms) / len(terms)


def test_several_labels_have_a_binary_cross_entropy_each():
    expected = [literal_binary(*pair) for pair in zip(LOGITS.tolist(), SEVERAL.tolist(), strict=True)]
    assert item_losses(LOGITS, SEVERAL).tolist() == pytest.approx(expected, rel=1e-6)
    assert item_losses(LOGITS, SEVERAL, "binary-cross-entropy").tolist() == pytest.approx(expected, rel=1e-6)
    one = [literal_binary(LOGITS[0].tolist(), [0, 0, 1], (1, 3, 0.5)), literal_binary(LOGITS[1].tolist(), [0, 1, 0], (1, 3, 0.5))]
    found = item_losses(LOGITS, LABELS, "binary-cross-entropy", torch.tensor([1.0, 3.0, 0.5]))
    assert found.tolist() == pytest.approx(one, rel=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="labels must be one class each"):
        item_losses(LOGITS, SEVERAL, "cross-entropy")
    with pytest.raises(InputError, match=r"labels must have the shape of logits, \(2, 3\), got \(2, 2\)"):
        item_losses(LOGITS, SEVERAL[:, :2])


def test_balanced_weights_give_each_class_the_same_sum():
    labels = np.array([0, 0, 0, 1, 3, 3])
    found = class_weights("balanced", labels, 4)
    assert found.tolist() == pytest.approx([6 / 12, 6 / 4, 0.0, 6 / 8])
    sums = np.bincount(labels, found.numpy()[labels], 4)
    assert sums.tolist() == pytest.approx([1.5, 1.5, 0.0, 1.5])
    several = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 0], [0, 0, 1]])  # items / (classes x items of the class)
    assert class_weights("balanced", several, 3).tolist() == pytest.approx([4 / 9, 0.0, 4 / 6])
    assert class_weights("none", labels, 4) is None
    assert class_weights((1.0, 2.0), labels, 2).tolist() == [1.0, 2.0]
