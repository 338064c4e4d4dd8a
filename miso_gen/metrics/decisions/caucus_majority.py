"""Blocks of cells agree on a mean each, and these decide: every block counts alike, however few of its cells are covered."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.deciding import DECISIONS, Decision, blocks, legacy_probabilities, probabilities
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.patch_maps import PredictionMaps


@DECISIONS.register("caucus-majority")
class CaucusMajority(Decision):
    """Mean over blocks of the mean probability of a block's covered cells; blocks without one don't count.

    ::

        type: caucus-majority
        block: 10

    Source: MISO, rule 6.
    """

    block: PositiveInt = 10
    """Side of a block, cells."""
    source: ClassVar[str] = "MISO, rule 6"

    def probability(self, maps: PredictionMaps) -> Tensor:
        """See :meth:`Decision.probability`."""
        return blocks(probabilities(maps), self.block, torch.nan).nanmean(-1).nanmean(-1)


@DECISIONS.register("caucus-majority-legacy")
class CaucusMajorityLegacy(Decision):
    """Mean over blocks of the mean of a block, padded with zeros: the mean of the canvas, a little less.

    ::

        type: caucus-majority-legacy
        block: 10

    Source: MISO, rule 6, released code.
    """

    block: PositiveInt = 10
    """Side of a block, cells."""
    source: ClassVar[str] = "MISO, rule 6, released code"
    legacy: ClassVar[bool] = True

    def probability(self, maps: PredictionMaps) -> Tensor:
        """See :meth:`Decision.probability`."""
        return blocks(legacy_probabilities(maps), self.block, 0.0).mean((-2, -1))
