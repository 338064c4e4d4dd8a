"""Segments: pieces of an image that are shown or hidden as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import numpy as np
import torch
from pydantic import BeforeValidator, Field

from miso_gen.metrics.segments import grid
from miso_gen.models.libraries import library
from miso_gen.recipe.parameters import Parameters, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor


class Grid(Parameters):
    """Cells of a regular grid, as square as can be; they differ by a pixel at most in height and in width."""

    type: Literal["grid"] = "grid"
    """``grid``."""

    cells: PositiveInt = 100
    """About how many cells."""

    def of(self, image: Tensor) -> Tensor:
        """Return the segment of each pixel of an image (C, H, W), (H, W) int64 on its device, numbered from 0 without gaps."""
        rows, cols = image.shape[-2:]
        return grid(rows, cols, self.cells).to(image.device)


class Slic(Parameters):
    """Superpixels: connected, and of nearly one colour. Of three channels they are found in CIE Lab.

    Source: Achanta et al., SLIC superpixels compared to state-of-the-art superpixel methods, 2012.
    """

    type: Literal["slic"] = "slic"
    """``slic``."""

    segments: PositiveInt = 100
    """About how many superpixels."""

    compactness: PositiveFloat = 10.0
    """How much nearness counts against colour: the higher, the squarer."""

    def of(self, image: Tensor) -> Tensor:
        """See :meth:`Grid.of`.

        Raises:
            MissingExtraError: scikit-image is not installed.
        """
        slic = library("skimage.segmentation", "superpixels").slic
        values = np.moveaxis(image.detach().cpu().to(torch.float64).numpy(), 0, -1)
        found = slic(values, n_segments=self.segments, compactness=self.compactness, start_label=0, channel_axis=-1)
        numbers = np.unique(found, return_inverse=True)[1].reshape(found.shape)  # from 0 without gaps
        return torch.from_numpy(numbers.astype(np.int64)).to(image.device)


def _named(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


#: ``grid`` or ``slic``, or ``{type: slic, segments: 50, compactness: 10}``.
Segmentation: TypeAlias = Annotated[Grid | Slic, BeforeValidator(_named), Field(discriminator="type")]
