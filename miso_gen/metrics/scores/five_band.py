"""Five-band scores: how a map in five bands agrees with truth of levels 0, 1, 2."""

from __future__ import annotations

from math import nan
from typing import ClassVar

from miso_gen.metrics.band_metrics import FiveBand, Part
from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases


@METRICS.register("five-band-accuracy")
class FiveBandAccuracy(FiveBand):
    """Share of the pixels whose band is that of the truth: (TP + TN) / (H W).

    TP: pixels of the right band, where the truth is not 0; TN: both are 0. A blank map scores the share without truth.

    ::

        type: five-band-accuracy
        inner: 0.3
        outer: 0.5
        over: best

    Source: Tjoa & Guan, five-band score and soft thresholds.
    """

    part: ClassVar[Part] = "accuracy"
    direction: ClassVar[Direction] = "higher"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None)


@METRICS.register("five-band-precision")
class FiveBandPrecision(FiveBand):
    """Share of the right ones of all pixels whose band is not 0: TP / (TP + FP).

    A wrong band is an FP, on the truth and off it. A blank map scores 0; without truth the score is undefined, where the paper
    counts a 0 (``five-band-precision-legacy``).

    ::

        type: five-band-precision
        over: mean

    Source: Tjoa & Guan, five-band score and soft thresholds.
    """

    part: ClassVar[Part] = "precision"
    direction: ClassVar[Direction] = "higher"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=nan, blank_map=0.0)


@METRICS.register("five-band-recall")
class FiveBandRecall(FiveBand):
    """Right pixels over right and missed ones: TP / (TP + FN).

    FN: pixels of band 0 where the truth is not 0. A pixel of the truth in a wrong band is none of the two, so this is not the
    usual recall: one right pixel, and all others of wrong bands, score 1. A blank map scores 0; without truth the score is
    undefined, where the paper counts a 0 (``five-band-recall-legacy``).

    ::

        type: five-band-recall
        over: mean

    Source: Tjoa & Guan, five-band score and soft thresholds.
    """

    part: ClassVar[Part] = "recall"
    direction: ClassVar[Direction] = "higher"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=nan, blank_map=0.0)


@METRICS.register("five-band-fpr")
class FiveBandFpr(FiveBand):
    """False positive rate, of which wrong bands on the truth are a part: FP / (FP + TN); 0 where there is neither.

    ``over: best`` takes the least over the thresholds.

    ::

        type: five-band-fpr
        over: mean

    Source: Tjoa & Guan, five-band score and soft thresholds.
    """

    part: ClassVar[Part] = "false_positive_rate"
    direction: ClassVar[Direction] = "lower"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None, blank_map=0.0)
