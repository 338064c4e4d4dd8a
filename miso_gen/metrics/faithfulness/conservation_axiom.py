"""Conservation axiom: whether a map adds up to the score of the class."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.asking import answers
from miso_gen.metrics.channels import ChannelMetric
from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, EmptyCases, Explained, Takes

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("conservation-axiom")
class ConservationAxiom(ChannelMetric):
    """abs(S - sum_k sum_xy w_k A_k) / abs(S), S being the logit of the class: 0 where the map adds up to it.

    ``maps`` are w_k A_k of a layer, (B, K, h, w). Undefined where S = 0; 1 for maps of zeros.

    ::

        type: conservation-axiom
        start: contrastive

    Source: Fu et al., XGrad-CAM, 2020; You, where R is printed for A.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, inf)
    takes: ClassVar[Takes] = "signed"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None, blank_map=1.0)
    source: ClassVar[str] = "Fu et al. 2020; You 2022"

    def scored_channels(self, explained: Explained, shares: Tensor) -> Tensor:
        """See :meth:`ChannelMetric.scored_channels`."""
        whole = answers(explained, explained.images, self.start_read())
        return ((whole - shares.sum(1)).abs() / whole.abs()).where(whole != 0, nan)
