"""Five-band scores with the small number of the paper in their denominators, which makes them 0 without truth."""

from __future__ import annotations

from typing import ClassVar

from miso_gen.metrics.band_metrics import FiveBand, Part
from miso_gen.metrics.bands import BandCounts, BandScores, band_scores_legacy
from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases


class _Legacy(FiveBand):
    legacy: ClassVar[bool] = True

    def rates(self, counts: BandCounts) -> BandScores:
        return band_scores_legacy(counts)


@METRICS.register("five-band-precision-legacy")
class FiveBandPrecisionLegacy(_Legacy):
    """Precision over bands as printed: TP / (TP + FP + 1e-6), which is 0 without truth.

    ::

        type: five-band-precision-legacy

    Source: Tjoa & Guan, five-band score.
    """

    part: ClassVar[Part] = "precision"
    direction: ClassVar[Direction] = "higher"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=0.0, blank_map=0.0)


@METRICS.register("five-band-recall-legacy")
class FiveBandRecallLegacy(_Legacy):
    """Recall over bands as printed: TP / (TP + FN + 1e-6), which is 0 without truth.

    ::

        type: five-band-recall-legacy

    Source: Tjoa & Guan, five-band score.
    """

    part: ClassVar[Part] = "recall"
    direction: ClassVar[Direction] = "higher"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=0.0, blank_map=0.0)


@METRICS.register("five-band-fpr-legacy")
class FiveBandFprLegacy(_Legacy):
    """False positive rate over bands as printed: FP / (FP + TN + 1e-6).

    ::

        type: five-band-fpr-legacy

    Source: Tjoa & Guan, five-band score.
    """

    part: ClassVar[Part] = "false_positive_rate"
    direction: ClassVar[Direction] = "lower"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None, blank_map=0.0)
