"""True and false, positive and negative: the four counts of a mask against truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from miso_gen.metrics.planes import checked, number

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


class Counts(NamedTuple):
    """Pixels of masks, each (...) int64.

    Attributes:
        tp: In mask and truth.
        fp: In the mask alone.
        fn: In the truth alone.
        tn: In neither.
    """

    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor


def count(mask: Tensor, truth: Tensor) -> Counts:
    """Return the counts of masks (..., H, W) bool against truth (..., H, W) bool.

    Raises:
        InputError: Shapes or types are other ones.
    """
    checked(mask, truth, binary=True)
    size = mask.shape[-2] * mask.shape[-1]
    tp, chosen, evidence = (number(plane) for plane in (mask & truth, mask, truth))
    return Counts(tp, chosen - tp, evidence - tp, size - chosen - evidence + tp)


def at_threshold(joint: Joint, threshold: Tensor) -> Counts:
    """Return the counts of maps binarised at thresholds (...) float64: a level is in the mask where its value is above."""
    above = joint.values > threshold[..., None]
    negative, positive = joint.by_truth.unbind(-2)
    fp, tp = ((part * above).sum(-1) for part in (negative, positive))
    return Counts(tp, fp, positive.sum(-1) - tp, negative.sum(-1) - fp)
