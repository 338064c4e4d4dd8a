"""All cells decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.deciding import DECISIONS, Decision, legacy_probabilities, probabilities

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.patch_maps import PredictionMaps


@DECISIONS.register("all-majority")
class AllMajority(Decision):
    """Mean probability of class 1 over covered cells.

    ::

        type: all-majority

    Source: MISO, rule 3.
    """

    source: ClassVar[str] = "MISO, rule 3"

    def probability(self, maps: PredictionMaps) -> Tensor:
        """See :meth:`Decision.probability`."""
        return probabilities(maps).nanmean((-2, -1))


@DECISIONS.register("all-majority-legacy")
class AllMajorityLegacy(Decision):
    """Mean over the whole canvas, where background counts as 0: the larger it is, the likelier class 0.

    ::

        type: all-majority-legacy

    Source: MISO, rule 3, released code.
    """

    source: ClassVar[str] = "MISO, rule 3, released code"
    legacy: ClassVar[bool] = True

    def probability(self, maps: PredictionMaps) -> Tensor:
        """See :meth:`Decision.probability`."""
        return legacy_probabilities(maps).mean((-2, -1))
