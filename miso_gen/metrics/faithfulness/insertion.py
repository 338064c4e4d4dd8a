"""Insertion: how fast the model finds a class as the most relevant pixels come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from miso_gen.metrics.asking import CurveMetric, Output, reader
from miso_gen.metrics.filling import BASELINES, Baseline
from miso_gen.metrics.interfaces import MODEL_METRICS, Curve, Direction, Explained, Takes
from miso_gen.metrics.removal import area, even_counts, replacing_curve
from miso_gen.recipe.parameters import OneOf, PositiveInt, chosen

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("insertion")
class Insertion(CurveMetric):
    """Area under the score of the class while pixels come back, the highest of the map first, over the share that is back.

    The trapezoid rule over ``steps`` equal steps, from the baseline alone to the whole image. Of equal pixels, the first in rows
    comes first. Between 0 and 1 for probabilities; any number for logits.

    ::

        type: insertion
        baseline: {type: blur, sigma_px: 5}

    Source: Petsiuk et al., RISE, 2018; You, who names it. The steps and the baseline are ours.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "continuous"
    source: ClassVar[str] = "Petsiuk et al. 2018; You 2022"

    steps: PositiveInt = 100
    """Number of steps; an image of fewer pixels gets one back at a step."""

    baseline: Annotated[Baseline, OneOf(BASELINES)] = chosen("blur")
    """What the image is without its pixels."""

    output: Output = "softmax"
    """What of the logits is the score of the class."""

    def curved(self, explained: Explained) -> Curve:
        """See :meth:`CurveMetric.curved`: x is the share that is back, y the score of the class."""
        counts = even_counts(explained.maps[0].numel(), self.steps) if len(explained.maps) else [0, 1]
        start = self.baseline.fill(explained.images)
        return replacing_curve(explained, explained.images, counts, reader(self.output), start)

    def summary(self, curve: Curve) -> Tensor:
        """See :meth:`CurveMetric.summary`."""
        return area(curve)
