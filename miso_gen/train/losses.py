"""What training makes smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from miso_gen.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def item_losses(logits: Tensor, labels: Tensor, loss: str = "auto", weights: Tensor | None = None) -> Tensor:
    """Return the loss of each item, (B,) float32.

    Cross-entropy: -w_y log softmax(logits)_y. Binary cross-entropy: the mean over classes c of
    -w_c (y_c log s_c + (1 - y_c) log(1 - s_c)) with s = sigmoid(logits).

    Their mean is the loss of a batch: unlike torch's weighted mean it isn't divided by the sum of weights, so that the mean over
    two batches is that of both together.

    Args:
        logits: (B, classes).
        labels: (B,) of whole numbers, one class each; or (B, classes), 0 or 1 each.
        loss: ``cross-entropy``, ``binary-cross-entropy`` (one label: that class and no other), or ``auto``: cross-entropy of one
            label, binary cross-entropy of several.
        weights: (classes,) of each class; None: 1.

    Raises:
        InputError: Several labels and cross-entropy, or shapes that don't fit.
    """
    logits = logits.float()
    several = labels.ndim == 2
    if several and loss == "cross-entropy":
        raise InputError("labels must be one class each for cross-entropy, got several. Use binary-cross-entropy.")
    if several and labels.shape != logits.shape:
        raise InputError(f"labels must have the shape of logits, {tuple(logits.shape)}, got {tuple(labels.shape)}.")
    if not several and loss != "binary-cross-entropy":
        values = functional.cross_entropy(logits, labels, reduction="none")
        return values if weights is None else values * weights[labels]
    targets = labels if several else functional.one_hot(labels, logits.shape[1])
    values = functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none")
    return (values if weights is None else values * weights).mean(1)


def pixel_losses(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the loss of the pixels of each image, (B,) float32: the mean over its pixels of -log softmax(logits)_truth.

    Args:
        logits: (B, levels, H, W), of each pixel's level.
        truth: (B, H, W) of whole numbers from 0 to levels - 1.

    Raises:
        InputError: Shapes don't fit.

    Source: Tjoa & Guan (mabCAM), who add 5 times it to the cross-entropy of the class.
    """
    if (len(logits), *logits.shape[2:]) != tuple(truth.shape):
        raise InputError(f"truth must have the pixels of logits, {tuple(logits.shape)}, got {tuple(truth.shape)}.")
    return functional.cross_entropy(logits.float(), truth.long(), reduction="none").mean((1, 2))


def class_weights(weights: Any, labels: NDArray[np.int64], classes: int) -> Tensor | None:
    """Return the weight of each class, (classes,) float32; None: all 1.

    Args:
        weights: ``none``; ``balanced``: items / (classes x items of the class), 0 for a class without items; or numbers.
        labels: Of what is trained on: (n,), one class each; or (n, classes), 0 or 1 each.
        classes: Number of classes.
    """
    if weights == "none":
        return None
    if weights == "balanced":
        counts = labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=classes)
        shares = np.divide(len(labels), classes * counts, out=np.zeros(classes), where=counts > 0)
        return torch.from_numpy(shares.astype(np.float32))
    return torch.tensor(weights, dtype=torch.float32)
