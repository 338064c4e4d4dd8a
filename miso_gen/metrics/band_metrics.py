"""What five-band scores have in common: parameters, thresholds, and one pass over the pixels for several of them."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeAlias

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from miso_gen.errors import InputError
from miso_gen.metrics.bands import BandCounts, BandScores, Scale, Sign, band_counts, band_scores, heat, soft_thresholds
from miso_gen.metrics.interfaces import Metric, Takes, Truth
from miso_gen.recipe.parameters import NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Part: TypeAlias = Literal["accuracy", "precision", "recall", "false_positive_rate"]  #: a score of bands


class FiveBand(Metric, ABC):
    """Base of the scores of bands.

    The map is divided by its greatest absolute value, unless ``scale`` says otherwise: then the greatest value is of band 2
    whatever the truth there, so that no map reaches the best score on truth without level 2.
    """

    inner: PositiveFloat = 0.3
    """First threshold of bands -1 and 1."""

    outer: PositiveFloat = 0.5
    """First threshold of bands -2 and 2."""

    step: NonNegativeFloat = 0.005
    """What both thresholds shrink by from one pair to the next."""

    count: PositiveInt = 56
    """Pairs of thresholds."""

    over: Literal["best", "mean"] = "best"
    """What is made of the scores at all thresholds of a map."""

    sign: Sign = "signed"
    """What is done with negative values, before anything else."""

    scale: Scale = "peak"
    """What values are divided by: the greatest absolute value of the map, or nothing."""

    part: ClassVar[Part]  #: which of the scores it is
    takes: ClassVar[Takes] = "signed"
    truth: ClassVar[Truth] = "levels"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    source: ClassVar[str] = "Tjoa & Guan, five-band score"

    @model_validator(mode="after")
    def _thresholds_can_be(self) -> Self:
        try:
            self.thresholds  # noqa: B018
        except InputError:
            raise PydanticCustomError("expected", "such that 0 < inner <= outer to the last pair of thresholds") from None
        return self

    @property
    def thresholds(self) -> tuple[tuple[float, float], ...]:
        """All pairs (inner, outer)."""
        return soft_thresholds(self.inner, self.outer, self.step, self.count)

    @property
    def best(self) -> float | None:
        """None: which score can be reached depends on the truth and on the thresholds."""
        return None

    def oracle(self, truth: Tensor) -> Tensor:
        """See :meth:`Metric.oracle`: 0, 0.4 and 0.9 by level."""
        return heat(truth)

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return self.summary(self.curves(map, truth))

    def curves(self, map: Tensor, truth: Tensor) -> BandScores:
        """Return all scores at all thresholds; ``truth`` (..., H, W) of levels 0, 1, 2."""
        return self.rates(band_counts(map, truth, self.thresholds, sign=self.sign, scale=self.scale))

    def rates(self, counts: BandCounts) -> BandScores:
        """Return all scores of counts."""
        return band_scores(counts)

    def summary(self, scores: BandScores) -> Tensor:
        """Return the best or the mean (...) over all thresholds of the score that this is."""
        curve: Tensor = getattr(scores, self.part)
        if self.over == "mean":
            return curve.mean(-1)
        return curve.amin(-1) if self.direction == "lower" else curve.amax(-1)


def five_band_scores(metrics: Sequence[FiveBand], map: Tensor, truth: Tensor) -> list[Tensor]:
    """Return the score (...) float64 of each metric, those of the same thresholds from one pass over the pixels.

    Args:
        metrics: Any of the five-band scores.
        map: (..., H, W) floating.
        truth: (..., H, W) of levels 0, 1, 2.

    Raises:
        InputError: Shapes or types are other ones.
    """
    counted: dict[tuple[object, ...], BandCounts] = {}
    found = []
    for metric in metrics:
        key = (metric.thresholds, metric.sign, metric.scale)
        if key not in counted:
            counted[key] = band_counts(map, truth, metric.thresholds, sign=metric.sign, scale=metric.scale)
        found.append(metric.summary(metric.rates(counted[key])))
    return found
