"""A given colour, such as the mean of a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.errors import InputError
from miso_gen.metrics.filling import BASELINES, Baseline

if TYPE_CHECKING:
    from torch import Tensor


@BASELINES.register("value")
class Value(Baseline):
    """A given value, or one for each channel, such as the mean of a data set.

    ::

        type: value
        value: [0.485, 0.456, 0.406]

    Source: You, confidence drop.
    """

    source: ClassVar[str] = "You 2022"

    value: float | tuple[float, ...] = 0.5
    """One number, or one for each channel, as the model is given them."""

    def fill(self, images: Tensor) -> Tensor:
        """See :meth:`Baseline.fill`."""
        values = self.value if isinstance(self.value, tuple) else (self.value,) * images.shape[1]
        if len(values) != images.shape[1]:
            raise InputError(f"value must have a number for each of {images.shape[1]} channels, got {len(values)}.")
        colour = torch.tensor(values, dtype=images.dtype, device=images.device)
        return colour[:, None, None].expand_as(images)
