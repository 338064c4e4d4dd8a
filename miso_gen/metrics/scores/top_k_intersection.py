"""Top-k intersection: how many of the k highest values lie on evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases
from miso_gen.metrics.ranks import RankMetric, Ranks, top_of_ranks
from miso_gen.metrics.top import top_of_joint, top_share
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


def top_k_intersection(map: Tensor, truth: Tensor, k: int = 1000) -> Tensor:
    """Return the share of evidence among the k highest pixels, (...) float64; see :class:`TopKIntersection`."""
    return top_share(map, truth, k)


@METRICS.register("top-k-intersection")
class TopKIntersection(RankMetric):
    """Top-k intersection: of the k pixels with the highest values, the share with evidence.

    Where the map has fewer than k pixels, k is their number. Ties count as in ``relevance-rank``. Less evidence than k pixels
    keeps the score below 1. Undefined without truth.

    ::

        type: top-k-intersection
        k: 1000

    Source: Theiner et al., Interpretable semantic photo geolocation, 2022.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    sorts: ClassVar[bool] = False
    empty: ClassVar[EmptyCases] = EmptyCases(full_truth=1.0)
    chance: ClassVar[str | None] = "p"
    source: ClassVar[str] = "Theiner et al. 2022"

    k: PositiveInt = 1000
    """Number of pixels."""

    @property
    def best(self) -> float | None:
        """None: 1 where there is evidence of k pixels, else less."""
        return None

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return top_k_intersection(map, truth, self.k)

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`Metric.from_joint`."""
        return top_of_joint(joint, torch.full_like(joint.size, self.k))

    def from_ranks(self, ranks: Ranks) -> Tensor:
        """See :meth:`RankMetric.from_ranks`."""
        return top_of_ranks(ranks, torch.full_like(ranks.background[..., 0], self.k))
