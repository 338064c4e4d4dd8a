"""How well a network does on validation items, gathered over all processes that train."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from miso_gen.metrics import binary_scores, class_scores
from miso_gen.train.feeding import Rows, all_logits, targets_of_items
from miso_gen.train.losses import item_losses

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from miso_gen.train.feeding import Items
    from miso_gen.train.tasks import Task


def validate(model: nn.Module, task: Task, items: Items, weights: Tensor | None, device: torch.device) -> dict[str, float]:
    """Return ``val_loss``, ``val_auroc``, ``val_accuracy``, and of patches ``val_image_auroc``, over all ranks.

    Of more than two classes, or of several at once, AUROC is the mean over classes, each against the rest. An image has the mean
    probability of its patches.
    """
    logits = gathered(all_logits(model, task, items, device))
    labels = targets_of_items(task, items)
    losses = item_losses(logits, labels, task.loss, None if weights is None else weights.cpu())
    shares = probabilities(logits, task.loss)
    found = {
        "val_loss": float(losses.double().mean()),
        "val_auroc": _auroc(shares, labels),
        "val_accuracy": accuracy(logits, labels),
    }
    if task.reads == "patch":
        found["val_image_auroc"] = _auroc(*_of_images(shares, labels, items.images))
    return found


def look(model: nn.Module, task: Task, items: Items, start: int, count: int, device: torch.device) -> float:
    """Return the accuracy on so many items in a row, from item ``start`` on."""
    rows = np.arange(start, min(start + count, len(items)))
    logits = gathered(all_logits(model, task, Rows(items, rows), device))
    return accuracy(logits, targets_of_items(task, items)[rows])


def probabilities(logits: Tensor, loss: str) -> Tensor:
    """Return the probability of each class, (n, classes) float64: softmax, or sigmoid of a network trained class by class."""
    wide = logits.double()
    return wide.sigmoid() if loss == "binary-cross-entropy" else wide.softmax(1)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of items whose greatest logit is that of their label; nan without items.

    Of labels (n, classes), the share of all 0 and 1 that the sign of their logit tells.
    """
    if labels.ndim == 2:
        return float(((logits > 0) == (labels == 1)).double().mean())
    return float((logits.argmax(1) == labels).double().mean()) if len(labels) else nan


def gathered(part: Tensor) -> Tensor:
    """Return the rows of all ranks, in order of rank."""
    group = torch.distributed
    if not (group.is_available() and group.is_initialized()):
        return part
    parts: list[Any] = [None] * group.get_world_size()
    group.all_gather_object(parts, part.numpy())
    return torch.cat([torch.from_numpy(one) for one in parts])


def _auroc(shares: Tensor, labels: Tensor) -> float:
    if labels.ndim == 2:
        return float(binary_scores(shares.T, (labels == 1).T).auroc.nanmean())
    if shares.shape[1] == 2:
        return float(binary_scores(shares[:, 1], labels == 1).auroc)
    return float(class_scores(shares, labels).auroc.nanmean())


def _of_images(shares: Tensor, labels: Tensor, images: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Return the mean probabilities of the patches of each image, and the greatest of their labels."""
    names, places = np.unique(images, return_inverse=True)
    where = torch.from_numpy(places)
    sums = torch.zeros(len(names), shares.shape[1], dtype=torch.float64).index_add_(0, where, shares)
    counts = torch.bincount(where, minlength=len(names))
    places_of = where.view(-1, *[1] * (labels.ndim - 1)).expand_as(labels)
    greatest = torch.zeros(len(names), *labels.shape[1:], dtype=torch.int64).scatter_reduce_(0, places_of, labels, "amax")
    return sums / counts[:, None], greatest
