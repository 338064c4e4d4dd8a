"""All cells vote, each as far as it is sure."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.deciding import DECISIONS, Decision, legacy_probabilities, probabilities

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.patch_maps import PredictionMaps


@DECISIONS.register("all-weighted-majority")
class AllWeightedMajority(Decision):
    """Share of votes for class 1 among covered cells, each weighted by its confidence c = max(P, 1 - P).

        sum of c over cells with PPM 1 / sum of c over all cells

    ::

        type: all-weighted-majority

    Source: MISO, rule 4. Its formula, sum(PPM P) / cells, has no weight for class 0 and does not reach 0.5 where votes are +-0.5;
    this is the weighted majority that its name says.
    """

    source: ClassVar[str] = "MISO, rule 4, weights normalised"

    def probability(self, maps: PredictionMaps) -> Tensor:
        """See :meth:`Decision.probability`."""
        pcm = probabilities(maps)
        weight = torch.maximum(pcm, 1.0 - pcm).nan_to_num(0.0)
        return (weight * (maps.ppm == 1)).sum((-2, -1)) / weight.sum((-2, -1))


@DECISIONS.register("all-weighted-majority-legacy")
class AllWeightedMajorityLegacy(Decision):
    """Sum of PPM x probability over the whole canvas, divided by its cells: at most 0.5, and reached by no real image.

    ::

        type: all-weighted-majority-legacy

    Source: MISO, rule 4, released code.
    """

    source: ClassVar[str] = "MISO, rule 4, released code"
    legacy: ClassVar[bool] = True

    def probability(self, maps: PredictionMaps) -> Tensor:
        """See :meth:`Decision.probability`."""
        return (maps.ppm.to(torch.float64) * legacy_probabilities(maps)).mean((-2, -1))
