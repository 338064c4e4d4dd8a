"""Pieces of an image that are removed as a whole: cells of a grid, or superpixels."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch

from miso_gen.errors import MissingExtraError

if TYPE_CHECKING:
    from torch import Tensor

#: ``grid``: cells of a regular grid, as square as can be; ``slic``: superpixels of scikit-image, with its defaults.
Segmentation: TypeAlias = Literal["grid", "slic"]


def segments_of(images: Tensor, segmentation: Segmentation, number: int) -> Tensor:
    """Return the piece that each pixel belongs to, (B, H, W) int64, numbered from 0 without gaps in each image.

    Args:
        images: (B, C, H, W) floating.
        segmentation: Which pieces.
        number: About how many.

    Raises:
        MissingExtraError: ``slic`` without scikit-image.
    """
    if segmentation == "grid":
        rows, cols = images.shape[-2:]
        return grid(rows, cols, number).to(images.device).expand(len(images), -1, -1)
    found = [_slic(image, number) for image in images]
    return torch.stack(found).to(images.device) if found else images.new_zeros((0, *images.shape[-2:]), dtype=torch.int64)


def grid(rows: int, cols: int, number: int) -> Tensor:
    """Return the cell of each pixel of an image, (rows, cols) int64: cells differ by a pixel at most in height and in width.

    There are round(rows / side) x round(cols / side) cells, one at least each way, of side = sqrt(rows cols / number).
    """
    side = sqrt(rows * cols / number)
    down, across = (min(max(1, int(length / side + 0.5)), length) for length in (rows, cols))
    row, col = torch.arange(rows) * down // rows, torch.arange(cols) * across // cols
    return row[:, None] * across + col


def _slic(image: Tensor, number: int) -> Tensor:
    try:
        from skimage.segmentation import slic
    except ModuleNotFoundError:
        raise MissingExtraError("scikit-image", "eval", "IROF with superpixels") from None
    values = np.moveaxis(image.cpu().to(torch.float64).numpy(), 0, -1)
    labels = slic(values, n_segments=number, start_label=0, channel_axis=-1)
    return torch.from_numpy(np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64))
