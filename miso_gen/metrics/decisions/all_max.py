"""The cell most sure of class 1 decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.deciding import DECISIONS, Decision, legacy_probabilities, probabilities

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.patch_maps import PredictionMaps


@DECISIONS.register("all-max")
class AllMax(Decision):
    """Greatest probability of class 1 over covered cells.

    ::

        type: all-max

    Source: MISO, rule 2.
    """

    source: ClassVar[str] = "MISO, rule 2"

    def probability(self, maps: PredictionMaps) -> Tensor:
        """See :meth:`Decision.probability`."""
        found = probabilities(maps).nan_to_num(-1.0).amax((-2, -1))
        return found.where(found >= 0, torch.nan)


@DECISIONS.register("all-max-legacy")
class AllMaxLegacy(Decision):
    """Greatest value of the whole canvas.

    A sure cell of class 0 that one patch covers is -0.25, read as 0.75: such images are all called class 1.

    ::

        type: all-max-legacy

    Source: MISO, rule 2, released code.
    """

    source: ClassVar[str] = "MISO, rule 2, released code"
    legacy: ClassVar[bool] = True

    def probability(self, maps: PredictionMaps) -> Tensor:
        """See :meth:`Decision.probability`."""
        return legacy_probabilities(maps).amax((-2, -1))
