"""What released code scores where there is little to score: metrics that differ from ours in that alone.

Ours call a score without truth undefined (nan), and averages leave it out. The code of MISO gives numbers, which its published
means hold. They are metrics of their own, named ``<metric>-legacy``, and in no default set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.interfaces import METRICS, EmptyCases
from miso_gen.metrics.scores.dice import Dice
from miso_gen.metrics.scores.f_beta import FBeta
from miso_gen.metrics.scores.jaccard import Jaccard
from miso_gen.metrics.scores.overlap import Overlap
from miso_gen.metrics.scores.sensitivity import Sensitivity
from miso_gen.metrics.scores.specificity import Specificity

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.counts import Counts


def _is_empty(counts: Counts) -> tuple[Tensor, Tensor]:
    """Return where the mask is blank, and where the truth is empty."""
    return counts.tp + counts.fp == 0, counts.tp + counts.fn == 0


@METRICS.register("dice-legacy")
class DiceLegacy(Dice):
    """Dice coefficient; without truth, a blank mask scores 1 and any other 0.

    ::

        type: dice-legacy

    Source: MISO, released code.
    """

    legacy: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=0.0, blank_map=0.0)
    source: ClassVar[str] = "MISO, code"

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        blank, empty = _is_empty(counts)
        return torch.where(empty, blank.to(torch.float64), super().from_counts(counts))


@METRICS.register("f-beta-legacy")
class FBetaLegacy(FBeta):
    """F-measure; without truth, a blank mask scores 1 and any other 0.

    ::

        type: f-beta-legacy
        beta_squared: 0.3

    Source: MISO, released code.
    """

    legacy: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=0.0, blank_map=0.0)
    source: ClassVar[str] = "MISO, code"

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        blank, empty = _is_empty(counts)
        return torch.where(empty, blank.to(torch.float64), super().from_counts(counts))


@METRICS.register("jaccard-legacy")
class JaccardLegacy(Jaccard):
    """Jaccard index; without truth, a blank mask is undefined and any other scores 0.

    ::

        type: jaccard-legacy

    Source: MISO, released code.
    """

    legacy: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=0.0, blank_map=0.0)
    source: ClassVar[str] = "MISO, code"

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        blank, empty = _is_empty(counts)
        return torch.where(empty & ~blank, 0.0, super().from_counts(counts))


@METRICS.register("overlap-legacy")
class OverlapLegacy(Overlap):
    """Overlap coefficient; without truth, any mask scores 0.

    ::

        type: overlap-legacy

    Source: MISO, released code.
    """

    legacy: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=0.0, full_truth=1.0, blank_map=0.0, constant_map=1.0)
    source: ClassVar[str] = "MISO, code"

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        return torch.where(_is_empty(counts)[1], 0.0, super().from_counts(counts))


@METRICS.register("sensitivity-legacy")
class SensitivityLegacy(Sensitivity):
    """Sensitivity; without truth, any mask scores 1.

    ::

        type: sensitivity-legacy

    Source: MISO, released code.
    """

    legacy: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=1.0, blank_map=0.0, constant_map=1.0)
    source: ClassVar[str] = "MISO, code"

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        return torch.where(_is_empty(counts)[1], 1.0, super().from_counts(counts))


@METRICS.register("specificity-legacy")
class SpecificityLegacy(Specificity):
    """Specificity; where the truth is full, any mask scores 1.

    ::

        type: specificity-legacy

    Source: MISO, released code.
    """

    legacy: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None, full_truth=1.0, blank_map=1.0, constant_map=0.0)
    source: ClassVar[str] = "MISO, code"

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        return torch.where(counts.tn + counts.fp == 0, 1.0, super().from_counts(counts))
