"""How maps are scaled, each by itself or by all maps of a data set, and which of them say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor

#: ``none``: as it is. ``max``: divided by the greatest absolute value. ``p99``: divided by the 99th percentile of the absolute
#: values, and clipped to [-1, 1]. ``min-max``: the least value becomes 0 and the greatest 1. ``dataset-max`` and ``dataset-p99``:
#: as ``max`` and ``p99``, of all maps that an experiment made by one explainer of one network.
Scale: TypeAlias = Literal["none", "max", "p99", "min-max", "dataset-max", "dataset-p99"]

PERCENTILE = 0.99


def scaled(maps: Tensor, scale: Scale) -> Tensor:
    """Return each map (B, h, w) scaled by itself; ``dataset-`` scales are left for when all maps are there.

    A map of zeros stays one, and a constant map becomes 0 by ``min-max``: nothing is divided by 0.

    Source: Tetkova et al., normalisation; You, post-processing.
    """
    if scale == "min-max":
        least, most = maps.flatten(1).amin(1)[:, None, None], maps.flatten(1).amax(1)[:, None, None]
        return (maps - least) / (most - least).where(most > least, 1.0)
    if scale == "max":
        return by(maps, maps.abs().flatten(1).amax(1))
    if scale == "p99":
        return by(maps, percentile(maps)).clamp(-1, 1)
    return maps


def by(maps: Tensor, size: Tensor) -> Tensor:
    """Return maps (B, h, w) divided by a number each, (B,); by none where that is 0."""
    return maps / size.where(size > 0, 1.0)[:, None, None]


def percentile(maps: Tensor) -> Tensor:
    """Return the 99th percentile of the absolute values of each map, (B,), interpolated linearly; nearly 0 becomes the maximum.

    A map that is 0 in all but a few pixels has a percentile of 0: its greatest value serves.
    """
    size = maps.abs().flatten(1)
    place = PERCENTILE * (size.shape[1] - 1)
    low, share = int(place), place - int(place)
    ordered = torch.sort(size, 1).values  # torch.quantile refuses more than 2^24 values
    found = ordered[:, low] + share * (ordered[:, min(low + 1, size.shape[1] - 1)] - ordered[:, low])
    return found.where(found > 0, ordered[:, -1])


def is_blank(maps: Tensor) -> Tensor:
    """Return which maps (B, h, w) are 0 everywhere, (B,) bool."""
    return (maps == 0).flatten(1).all(1)


def is_constant(maps: Tensor) -> Tensor:
    """Return which maps (B, h, w) have one value everywhere, (B,) bool: they say nothing of where."""
    return (maps == maps[:, :1, :1]).flatten(1).all(1)
