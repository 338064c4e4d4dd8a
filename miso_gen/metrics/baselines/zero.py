"""Zero: black, or grey where images are normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.filling import BASELINES, Baseline

if TYPE_CHECKING:
    from torch import Tensor


@BASELINES.register("zero")
class Zero(Baseline):
    """Zeros: black, or the mean of a data set whose images are normalised by it.

    ::

        type: zero

    Source: You, average drop; PYLON, masked-out area.
    """

    source: ClassVar[str] = "You 2022; PYLON"

    def fill(self, images: Tensor) -> Tensor:
        """See :meth:`Baseline.fill`."""
        return torch.zeros_like(images)
