"""Complexity: how many pixels share the relevance, as an entropy. Asks no model."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.asking import AskingMetric
from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, EmptyCases, Explained, Takes
from miso_gen.metrics.planes import checked, finite

if TYPE_CHECKING:
    from torch import Tensor


def complexity(map: Tensor) -> Tensor:
    """Return the entropy of abs(map) / sum of abs(map) of maps (..., H, W), (...) float64 in nats; see :class:`Complexity`."""
    checked(map)
    size = map.abs().flatten(-2).to(torch.float64)
    share = size / size.sum(-1, keepdim=True)
    return (-torch.xlogy(share, share).sum(-1)).clamp(min=0).where(finite(map), nan)


@MODEL_METRICS.register("complexity")
class Complexity(AskingMetric):
    """Entropy of the relevance: -sum p ln p, p being a pixel's share of abs(map).

    0 where one pixel has it all, ln(pixels) for a constant map. Undefined for a map of zeros. The model is not asked.

    ::

        type: complexity

    Source: Bhatt et al., Evaluating and aggregating feature-based model explanations, 2020.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, inf)
    takes: ClassVar[Takes] = "signed"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None, blank_map=nan)
    chance: ClassVar[str | None] = "ln(pixels) - 0.19"
    sized: ClassVar[bool] = False
    source: ClassVar[str] = "Bhatt et al. 2020"

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        return complexity(explained.maps)
