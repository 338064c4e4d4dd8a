"""Increase in confidence: whether the model is surer of what the map marks than of the whole image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.asking import answers, reader
from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, Explained, Takes
from miso_gen.metrics.keeping import KeepingMetric, WeighingMetric

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("increase-in-confidence")
class IncreaseInConfidence(KeepingMetric):
    """1 where the probability of the class is greater if only the mask of the map is kept, else 0.

    The mean over images, times 100, is the increase in confidence in percent.

    ::

        type: increase-in-confidence
        binarize: mean-std

    Source: Chattopadhyay et al., Grad-CAM++, 2018; You, whose code keeps a mask.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "continuous"
    source: ClassVar[str] = "Chattopadhyay et al. 2018; You 2022"

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        whole = answers(explained, explained.images, reader(self.output))
        return (self.kept(explained, self.binarize.binarize(explained.maps)) > whole).to(torch.float64)


@MODEL_METRICS.register("soft-increase-in-confidence")
class SoftIncreaseInConfidence(WeighingMetric):
    """Increase in confidence of the image times max(map, 0), without a mask.

    Normalise maps to [0, 1] first.

    ::

        type: soft-increase-in-confidence

    Source: Chattopadhyay et al., Grad-CAM++, 2018.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "unit"
    source: ClassVar[str] = "Chattopadhyay et al. 2018"

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        whole = answers(explained, explained.images, reader(self.output))
        return (self.weighed(explained) > whole).to(torch.float64)
