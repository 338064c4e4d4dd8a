"""Confidence with the inverse mask: what the model still sees without what the map marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, Explained, Takes
from miso_gen.metrics.keeping import KeepingMetric

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("inverse-mask-confidence")
class InverseMaskConfidence(KeepingMetric):
    """Probability of the class where only what is outside of the mask of the map is kept.

    ::

        type: inverse-mask-confidence
        binarize: mean-std

    Source: You, released code, average confidence with the inverse mask.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "continuous"
    source: ClassVar[str] = "You 2022, code"

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        return self.kept(explained, ~self.binarize.binarize(explained.maps))
