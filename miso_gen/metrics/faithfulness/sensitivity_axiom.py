"""Sensitivity axiom: whether each channel adds what the class loses without it."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.asking import answers
from miso_gen.metrics.channels import ChannelMetric, without_each
from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, EmptyCases, Explained, Need, Takes

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("sensitivity-axiom")
class SensitivityAxiom(ChannelMetric):
    """sum_k abs(S - S_k - sum_xy w_k A_k) / sum_k abs(S - S_k), S_k being the logit S of the class with channel k set to 0.

    ``maps`` are w_k A_k of a layer, (B, K, h, w). Undefined where no channel matters; 1 for maps of zeros.

    ::

        type: sensitivity-axiom
        start: logit

    Source: Fu et al., XGrad-CAM, 2020; You, where R is printed for A.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, inf)
    takes: ClassVar[Takes] = "signed"
    needs: ClassVar[frozenset[Need]] = frozenset({"module", "layer"})
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None, blank_map=1.0)
    source: ClassVar[str] = "Fu et al. 2020; You 2022"

    def scored_channels(self, explained: Explained, shares: Tensor) -> Tensor:
        """See :meth:`ChannelMetric.scored_channels`."""
        read = self.start_read()
        lost = answers(explained, explained.images, read)[:, None] - without_each(explained, read)
        below = lost.abs().sum(1)
        return ((lost - shares).abs().sum(1) / below).where(below > 0, nan)
