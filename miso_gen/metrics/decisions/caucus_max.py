"""Blocks of cells send the cell most sure of class 1, and these decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.deciding import DECISIONS, Decision, blocks, legacy_probabilities, probabilities
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.patch_maps import PredictionMaps


@DECISIONS.register("caucus-max")
class CaucusMax(Decision):
    """Mean over blocks of the greatest probability in a block; blocks without a covered cell don't count.

    ::

        type: caucus-max
        block: 10

    Source: MISO, rule 5.
    """

    block: PositiveInt = 10
    """Side of a block, cells."""
    source: ClassVar[str] = "MISO, rule 5"

    def probability(self, maps: PredictionMaps) -> Tensor:
        """See :meth:`Decision.probability`."""
        found = blocks(probabilities(maps), self.block, torch.nan).nan_to_num(-1.0).amax(-1)
        return found.where(found >= 0, torch.nan).nanmean(-1)


@DECISIONS.register("caucus-max-legacy")
class CaucusMaxLegacy(Decision):
    """Mean over blocks of the whole canvas of the greatest value in a block.

    ::

        type: caucus-max-legacy
        block: 10

    Source: MISO, rule 5, released code.
    """

    block: PositiveInt = 10
    """Side of a block, cells."""
    source: ClassVar[str] = "MISO, rule 5, released code"
    legacy: ClassVar[bool] = True

    def probability(self, maps: PredictionMaps) -> Tensor:
        """See :meth:`Decision.probability`."""
        return blocks(legacy_probabilities(maps), self.block, 0.0).amax(-1).mean(-1)
