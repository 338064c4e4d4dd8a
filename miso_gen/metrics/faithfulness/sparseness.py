"""Sparseness: how unequally pixels share the relevance. Asks no model."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.asking import AskingMetric
from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, EmptyCases, Explained, Takes
from miso_gen.metrics.planes import checked, finite

if TYPE_CHECKING:
    from torch import Tensor


def sparseness(map: Tensor) -> Tensor:
    """Return the Gini index of abs(map) of maps (..., H, W), (...) float64; see :class:`Sparseness`."""
    checked(map)
    size = map.abs().flatten(-2).to(torch.float64).sort(-1).values
    number = size.shape[-1]
    weight = 2.0 * torch.arange(1, number + 1, dtype=torch.float64, device=map.device) - number - 1
    return ((size * weight).sum(-1) / (number * size.sum(-1))).clamp(min=0).where(finite(map), nan)


@MODEL_METRICS.register("sparseness")
class Sparseness(AskingMetric):
    """Gini index of abs(map): sum_i (2 i - n - 1) a_i / (n sum a), the a_i ascending.

    0 for a constant map, 1 - 1/n where one of n pixels has it all. Undefined for a map of zeros. The model is not asked.

    ::

        type: sparseness

    Source: Chalasani et al., Concise explanations of neural networks using adversarial training, 2020.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "signed"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None, blank_map=nan, constant_map=0.0)
    chance: ClassVar[str | None] = "1/3"
    sized: ClassVar[bool] = False
    source: ClassVar[str] = "Chalasani et al. 2020"

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        return sparseness(explained.maps)
