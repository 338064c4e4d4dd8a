"""Pixel flipping: what the model loses with the first pixels of the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from miso_gen.metrics.asking import CurveMetric, Probability, reader
from miso_gen.metrics.filling import BASELINES, Baseline
from miso_gen.metrics.interfaces import MODEL_METRICS, Curve, Direction, Explained, Takes
from miso_gen.metrics.removal import area, replacing_curve
from miso_gen.recipe.parameters import OneOf, PositiveInt, chosen

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("pixel-flipping")
class PixelFlipping(CurveMetric):
    """1 - area under the probability of the class while pixels are removed in steps of so many, the highest of the map first.

    The curve ends with the first step that removes the share ``until``, at most with the whole image; its area, by the trapezoid
    rule, is divided by its width. Of equal pixels, the first in rows goes first. Pixels lose all their channels at once.

    ::

        type: pixel-flipping
        step_px: 512
        until: 0.2

    Source: Bach et al., On pixel-wise explanations, 2015; Tetkova & Hansen, Robustness of visual explanations to common data
    augmentation methods, 2023 (released code), for the steps and the first fifth.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "continuous"
    source: ClassVar[str] = "Bach et al. 2015; Tetkova & Hansen 2023, code"

    step_px: PositiveInt = 512
    """Pixels (number, not side) that go at a step."""

    until: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of the pixels at which the curve ends."""

    baseline: Annotated[Baseline, OneOf(BASELINES)] = chosen("mean")
    """What stands where pixels are removed."""

    output: Probability = "softmax"
    """What of the logits is the probability of the class."""

    def curved(self, explained: Explained) -> Curve:
        """See :meth:`CurveMetric.curved`: x is the share removed, y the probability of the class."""
        size = explained.maps.shape[-2] * explained.maps.shape[-1]
        counts = [0]
        while counts[-1] < self.until * size:
            counts.append(min(counts[-1] + self.step_px, size))
        return replacing_curve(explained, self.baseline.fill(explained.images), counts, reader(self.output))

    def summary(self, curve: Curve) -> Tensor:
        """See :meth:`CurveMetric.summary`."""
        return 1.0 - area(curve)
