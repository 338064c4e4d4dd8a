"""Relevance rank accuracy: how much of the evidence is among the highest values."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases
from miso_gen.metrics.ranks import RankMetric, Ranks, top_of_ranks
from miso_gen.metrics.top import top_of_joint, top_share

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


def relevance_rank(map: Tensor, truth: Tensor) -> Tensor:
    """Return the share of evidence among as many highest pixels, (...) float64; see :class:`RelevanceRank`."""
    return top_share(map, truth, None)


@METRICS.register("relevance-rank")
class RelevanceRank(RankMetric):
    """Relevance rank accuracy: of the K highest pixels, the share with evidence; K pixels have evidence.

    Where several pixels share the last value that fits, each of them counts in part: the mean over all orders of ties. So a
    constant map scores the share of evidence. Undefined without truth.

    ::

        type: relevance-rank

    Source: Arras et al., CLEVR-XAI, 2022.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    sorts: ClassVar[bool] = False
    empty: ClassVar[EmptyCases] = EmptyCases(full_truth=1.0)
    chance: ClassVar[str | None] = "p"
    source: ClassVar[str] = "Arras et al. 2022"

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return relevance_rank(map, truth)

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`Metric.from_joint`."""
        return top_of_joint(joint, joint.evidence.sum(-1))

    def from_ranks(self, ranks: Ranks) -> Tensor:
        """See :meth:`RankMetric.from_ranks`."""
        return top_of_ranks(ranks, ranks.evidence.sum(-1))
