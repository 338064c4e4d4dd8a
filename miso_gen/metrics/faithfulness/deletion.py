"""Deletion: how fast the model loses a class as the most relevant pixels go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from miso_gen.metrics.asking import CurveMetric, Output, reader
from miso_gen.metrics.filling import BASELINES, Baseline
from miso_gen.metrics.interfaces import MODEL_METRICS, Curve, Direction, Explained, Takes
from miso_gen.metrics.removal import area, even_counts, replacing_curve
from miso_gen.recipe.parameters import OneOf, PositiveInt, chosen

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("deletion")
class Deletion(CurveMetric):
    """Area under the score of the class while pixels are removed, the highest of the map first, over the share removed.

    The trapezoid rule over ``steps`` equal steps, from the whole image to the baseline alone. Of equal pixels, the first in rows
    goes first. Between 0 and 1 for probabilities; any number for logits.

    ::

        type: deletion
        steps: 100
        baseline: mean

    Source: Petsiuk et al., RISE, 2018; You, who names it. The steps and the baseline are ours.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "continuous"
    source: ClassVar[str] = "Petsiuk et al. 2018; You 2022"

    steps: PositiveInt = 100
    """Number of steps; an image of fewer pixels loses one at a step."""

    baseline: Annotated[Baseline, OneOf(BASELINES)] = chosen("mean")
    """What stands where pixels are removed."""

    output: Output = "softmax"
    """What of the logits is the score of the class."""

    def curved(self, explained: Explained) -> Curve:
        """See :meth:`CurveMetric.curved`: x is the share removed, y the score of the class."""
        counts = even_counts(explained.maps[0].numel(), self.steps) if len(explained.maps) else [0, 1]
        return replacing_curve(explained, self.baseline.fill(explained.images), counts, reader(self.output))

    def summary(self, curve: Curve) -> Tensor:
        """See :meth:`CurveMetric.summary`."""
        return area(curve)
