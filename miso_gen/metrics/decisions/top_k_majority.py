"""The k cells that a network is surest of decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.deciding import DECISIONS, Decision, legacy_probabilities, probabilities
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.patch_maps import PredictionMaps


@DECISIONS.register("top-k-majority")
class TopKMajority(Decision):
    """Mean probability of class 1 over the k covered cells of greatest confidence, max(P, 1 - P).

    Where several cells are equally sure and not all have a place among the k, they share the places that are left: the rule
    does not depend on where in the image a cell lies. With fewer than k covered cells, all of them decide.

    ::

        type: top-k-majority
        k: 20

    Source: MISO, rule 1. Its released code takes the signed map, where a cell that one patch covers has a quarter of its
    confidence.
    """

    k: PositiveInt = 20
    """Cells that decide."""
    source: ClassVar[str] = "MISO, rule 1"

    def probability(self, maps: PredictionMaps) -> Tensor:
        """See :meth:`Decision.probability`."""
        pcm = probabilities(maps).flatten(-2)
        sure = torch.maximum(pcm, 1.0 - pcm).nan_to_num(-1.0)
        least = sure.topk(min(self.k, sure.shape[-1])).values[..., -1:]
        above, level = (sure > least) & (sure >= 0), (sure == least) & (sure >= 0)
        places = (self.k - above.sum(-1)).clamp(max=level.sum(-1))
        known = pcm.nan_to_num(0.0)
        at_level = (known * level).sum(-1) / level.sum(-1).clamp(min=1)
        return ((known * above).sum(-1) + at_level * places) / (above.sum(-1) + places)


@DECISIONS.register("top-k-majority-legacy")
class TopKMajorityLegacy(Decision):
    """Mean over the k cells of the whole canvas with the greatest absolute signed confidence, upper left first where equal.

    ::

        type: top-k-majority-legacy
        k: 20

    Source: MISO, rule 1, released code; which of equal cells it takes is not known.
    """

    k: PositiveInt = 20
    """Cells that decide."""
    source: ClassVar[str] = "MISO, rule 1, released code"
    legacy: ClassVar[bool] = True

    def probability(self, maps: PredictionMaps) -> Tensor:
        """See :meth:`Decision.probability`."""
        one = legacy_probabilities(maps).flatten(-2)
        order = maps.pcm.abs().flatten(-2).argsort(dim=-1, descending=True, stable=True)
        return one.gather(-1, order[..., : self.k]).mean(-1)
