"""Average drop: what the model loses when only what the map marks is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.asking import answers, reader
from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, Explained, Takes
from miso_gen.metrics.keeping import KeepingMetric, WeighingMetric, drop

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("average-drop")
class AverageDrop(KeepingMetric):
    """max(0, S - S of what is kept) / S, S being the probability of the class: the mask of the map is kept.

    The mean over images, times 100, is the average drop in percent. Undefined where S < 1e-8.

    ::

        type: average-drop
        binarize: mean-std

    Source: Chattopadhyay et al., Grad-CAM++, 2018; You, whose code keeps a mask.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "continuous"
    source: ClassVar[str] = "Chattopadhyay et al. 2018; You 2022"

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        whole = answers(explained, explained.images, reader(self.output))
        return drop(whole, self.kept(explained, self.binarize.binarize(explained.maps)))


@MODEL_METRICS.register("soft-average-drop")
class SoftAverageDrop(WeighingMetric):
    """Average drop of the image times max(map, 0), without a mask.

    Normalise maps to [0, 1] first. Undefined where S < 1e-8.

    ::

        type: soft-average-drop

    Source: Chattopadhyay et al., Grad-CAM++, 2018.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "unit"
    source: ClassVar[str] = "Chattopadhyay et al. 2018"

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        return drop(answers(explained, explained.images, reader(self.output)), self.weighed(explained))
