"""How well a network tells classes apart, patch by patch or image by image: AUROC, AUPRC, average precision, accuracy.

All follow from how many positives and negatives score at least each threshold, counted in whole numbers. Only the order of scores
counts, so logits and probabilities of any range and precision do alike. (torchmetrics squashes logits with a sigmoid first, where
large ones become equal, divides in float32, and gives 0 for a single class.)
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, NamedTuple

import torch

from miso_gen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class ClassificationScores(NamedTuple):
    """Scores of a classifier: of one class against the rest, or (C,) of each class.

    Attributes:
        auroc: Area under the ROC curve, (...) float64.
        auprc: Area under the precision-recall curve by trapezoids, (...) float64.
        average_precision: Mean of precisions weighted by steps of recall, (...) float64.
        accuracy: Share that was decided right, (...) float64.
        n: Patches or images, (...) int64.
        positives: Those of the class, (...) int64.
    """

    auroc: Tensor
    auprc: Tensor
    average_precision: Tensor
    accuracy: Tensor
    n: Tensor
    positives: Tensor


def auroc(scores: Tensor, positive: Tensor) -> Tensor:
    """Return the area under the ROC curve: the chance that a positive scores above a negative, where equal ones count half.

    Args:
        scores: (..., N) floating, the higher the more positive; infinite ones too.
        positive: (..., N) bool.

    Returns:
        (...) float64 in [0, 1]; chance level 0.5; nan without positives, without negatives, or with a score that is nan.

    Raises:
        InputError: Shapes or types are other ones.
    """
    return _auroc(_roc(scores, positive))


def auprc(scores: Tensor, positive: Tensor) -> Tensor:
    """Return the area under the precision-recall curve by trapezoids, from recall 0 with precision 1.

    This is what MISO reports. Trapezoids are too kind where many scores are equal: one score for all gives (1 + share of
    positives) / 2, where :func:`average_precision` gives the share.

    Args:
        scores: (..., N) floating, the higher the more positive.
        positive: (..., N) bool.

    Returns:
        (...) float64 in [0, 1]; nan without positives, without negatives, or with a score that is nan.

    Raises:
        InputError: Shapes or types are other ones.
    """
    return _auprc(_roc(scores, positive))


def average_precision(scores: Tensor, positive: Tensor) -> Tensor:
    """Return the sum of precision x step of recall over all thresholds.

    Args:
        scores: (..., N) floating, the higher the more positive.
        positive: (..., N) bool.

    Returns:
        (...) float64 in [0, 1]; chance level is the share of positives; nan without positives, without negatives, or with a score
        that is nan.

    Raises:
        InputError: Shapes or types are other ones.
    """
    return _average_precision(_roc(scores, positive))


def accuracy(predicted: Tensor, labels: Tensor) -> Tensor:
    """Return the share of equal labels, (...) float64; nan where there are none.

    Args:
        predicted: (..., N) of whole numbers, or bool.
        labels: (..., N), the same.

    Raises:
        InputError: Shapes differ, or one is floating.
    """
    if predicted.is_floating_point() or labels.is_floating_point():
        raise InputError(f"labels must be whole numbers or bool, got {predicted.dtype} and {labels.dtype}. Decide first.")
    _same_shape(predicted, labels)
    return (predicted == labels).sum(-1).to(torch.float64) / labels.shape[-1]


def binary_scores(scores: Tensor, positive: Tensor, *, threshold: float = 0.5) -> ClassificationScores:
    """Return the scores of deciding whether something is positive: two classes, or each of several labels, (C, N).

    Args:
        scores: (..., N) floating, the higher the more positive.
        positive: (..., N) bool.
        threshold: Who scores at least this is called positive, for accuracy; 0 for logits.

    Returns:
        Each (...). Scores that are nan make those of their row nan: leave such patches or images out, and say how many.

    Raises:
        InputError: Shapes or types are other ones.
    """
    curve = _roc(scores, positive)
    right = accuracy(scores >= threshold, positive).where(~scores.isnan().any(-1), nan)
    n = torch.full_like(curve.positives, scores.shape[-1])
    return ClassificationScores(_auroc(curve), _auprc(curve), _average_precision(curve), right, n, curve.positives)


def class_scores(scores: Tensor, labels: Tensor) -> ClassificationScores:
    """Return the scores of each class against all others.

    The accuracy of a class is the share of its own images whose greatest score is that of the class (its recall), so that the
    macro average is the balanced accuracy; for that of all images see :func:`accuracy`.

    Args:
        scores: (N, C) floating, logits or probabilities.
        labels: (N,) of whole numbers, 0 to C - 1.

    Returns:
        Each (C,). A class that nothing, or everything, belongs to has nan, but for its accuracy.

    Raises:
        InputError: Shapes, types or labels are other ones.
    """
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise InputError(f"scores must be (N, C) and labels (N,), got {tuple(scores.shape)} and {tuple(labels.shape)}.")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(f"labels must be whole numbers, got {labels.dtype}. Use binary_scores for bool.")
    classes = torch.arange(scores.shape[1], device=scores.device)
    if labels.numel() and not (bool((labels >= 0).all()) and bool((labels < len(classes)).all())):
        raise InputError(f"labels must be 0 to {len(classes) - 1}, got {int(labels.min())} to {int(labels.max())}.")
    own = labels == classes[:, None]
    curve = _roc(scores.T, own)
    chosen = scores.argmax(1) == classes[:, None] if len(classes) else own
    right = (own & chosen).sum(-1).to(torch.float64) / curve.positives
    right = right.where(~scores.isnan().any(), nan)
    n = torch.full_like(curve.positives, len(labels))
    return ClassificationScores(_auroc(curve), _auprc(curve), _average_precision(curve), right, n, curve.positives)


def macro(values: Tensor) -> Tensor:
    """Return the mean over classes, (..., C) -> (...) float64, of those that are defined; nan where none is."""
    return values.to(torch.float64).nanmean(-1)


def weighted(values: Tensor, positives: Tensor) -> Tensor:
    """Return the mean over classes, (..., C) -> (...) float64, each by its images; undefined ones are left out.

    PYLON calls it micro.
    """
    values = values.to(torch.float64)
    weights = positives.to(torch.float64).where(~values.isnan(), 0.0)
    return (values.nan_to_num(0.0) * weights).sum(-1) / weights.sum(-1)


def legacy_cumulative(measure: Callable[[Tensor, Tensor], Tensor], scores: Tensor, positive: Tensor) -> Tensor:
    """Return a measure of each decision rule as the released code of MISO reports it: over the images of all rules up to it.

    That code never empties its lists between rules, so only the first value is that of its rule. Right is
    ``measure(scores, positive.expand_as(scores))``.

    Args:
        measure: Such as :func:`auroc`.
        scores: (R, N) floating, of R rules in the order of the paper.
        positive: (N,) bool.

    Returns:
        (R,) float64.

    Raises:
        InputError: Shapes or types are other ones.

    Source: MISO, released code.
    """
    if scores.ndim != 2 or positive.shape != scores.shape[1:]:
        raise InputError(f"scores must be (R, N) and positive (N,), got {tuple(scores.shape)} and {tuple(positive.shape)}.")
    rules = range(1, len(scores) + 1)
    return torch.stack([measure(scores[:rule].flatten(), positive.repeat(rule)) for rule in rules])


# --- one curve for all --------------------------------------------------------------------------------------------------


class _Roc(NamedTuple):
    """True and false positives (..., N + 1) int64 at thresholds that fall from infinity; equal scores enter together.

    A place within a run of equal scores repeats the counts before the run, so that a step there has no width.
    """

    tp: Tensor
    fp: Tensor
    positives: Tensor
    defined: Tensor


def _roc(scores: Tensor, positive: Tensor) -> _Roc:
    if not scores.is_floating_point():
        raise InputError(f"scores must be floating, got {scores.dtype}. Convert them first.")
    if positive.dtype != torch.bool:
        raise InputError(f"positive must be bool, got {positive.dtype}. Say which label is positive, such as labels == 1.")
    _same_shape(scores, positive)
    falling, order = scores.sort(-1, descending=True)
    tp = positive.gather(-1, order).cumsum(-1, dtype=torch.int64)
    fp = torch.arange(1, scores.shape[-1] + 1, device=scores.device) - tp
    if scores.shape[-1]:
        last = torch.cat([falling[..., 1:] != falling[..., :-1], torch.ones_like(positive[..., :1])], -1)
        tp, fp = (count.where(last, 0).cummax(-1).values for count in (tp, fp))
    start = tp.new_zeros((*scores.shape[:-1], 1))
    tp, fp = torch.cat([start, tp], -1), torch.cat([start, fp], -1)
    positives, negatives = tp[..., -1], fp[..., -1]
    return _Roc(tp, fp, positives, (positives > 0) & (negatives > 0) & ~scores.isnan().any(-1))


def _auroc(curve: _Roc) -> Tensor:
    twice = (curve.fp.diff(dim=-1) * (curve.tp[..., 1:] + curve.tp[..., :-1])).sum(-1)
    pairs = curve.positives * curve.fp[..., -1]
    return (twice.to(torch.float64) / (2 * pairs)).where(curve.defined, nan)


def _auprc(curve: _Roc) -> Tensor:
    precision = _precision(curve)
    twice = (curve.tp.diff(dim=-1) * (precision[..., 1:] + precision[..., :-1])).sum(-1)
    return (twice / (2 * curve.positives)).where(curve.defined, nan)


def _average_precision(curve: _Roc) -> Tensor:
    return ((curve.tp.diff(dim=-1) * _precision(curve)[..., 1:]).sum(-1) / curve.positives).where(curve.defined, nan)


def _precision(curve: _Roc) -> Tensor:
    chosen = curve.tp + curve.fp
    return (curve.tp.to(torch.float64) / chosen).where(chosen > 0, 1.0)


def _same_shape(first: Tensor, second: Tensor) -> None:
    if first.ndim < 1 or first.shape != second.shape:
        raise InputError(f"shapes must be the same (..., N), got {tuple(first.shape)} and {tuple(second.shape)}.")
