"""Named steps from relevance to a map: clamping, pooling of channels, joining of the maps of several layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch.nn import functional as F  # noqa: N812  # torch's own habit

from miso_gen.explain.scaling import scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

#: What becomes of the channels of a pixel: ``sum``, ``mean`` and ``max`` keep signs; ``max-abs`` and ``l2`` lose them.
Pool: TypeAlias = Literal["sum", "mean", "max", "max-abs", "l2"]


def pooled(relevance: Tensor, pool: Pool) -> Tensor:
    """Return relevance (B, C, H, W) with its channels pooled, (B, H, W).

    Source: Tetkova et al. (mean, max); Tjoa & Guan, five-band score (sum).
    """
    if pool == "sum":
        return relevance.sum(1)
    if pool == "mean":
        return relevance.mean(1)
    if pool == "max":
        return relevance.amax(1)
    if pool == "max-abs":
        return relevance.abs().amax(1)
    return relevance.square().sum(1).sqrt()


def clamped(relevance: Tensor, bound: float | None, of: Literal["share", "value"]) -> Tensor:
    """Return relevance (B, C, H, W) clamped to [-bound, bound].

    ``share``: of each image's relevance divided by its greatest absolute value, as the paper has it; zeros stay. ``value``: as it
    is, as the released code has it. None: nothing is clamped.

    Source: Tjoa & Guan, clamping.
    """
    if bound is None:
        return relevance
    if of == "share":
        most = relevance.abs().flatten(1).amax(1)[:, None, None, None]
        relevance = relevance / most.where(most > 0, 1.0)
    return relevance.clamp(-bound, bound)


def joined(maps: Sequence[Tensor], size: Sequence[int], join: Literal["mean", "max"]) -> Tensor:
    """Return the maps of several layers as one, (B, H, W) in [0, 1].

    Each is scaled to [0, 1] and resized; then comes the mean, or the maximum, of each pixel, scaled again. Constant maps are 0.

    Args:
        maps: (B, h, w) each.
        size: Height and width of what comes out.
        join: ``mean`` as the thesis has it, ``max`` as one of its programs does.

    Source: You, aggregation over layers.
    """
    every = torch.stack([resized(scaled(one, "min-max"), size) for one in maps])
    return scaled(every.mean(0) if join == "mean" else every.amax(0), "min-max")


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Return maps (B, h, w) at another height and width: bilinear, of pixel areas (corners are not aligned)."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]
