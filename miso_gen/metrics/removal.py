"""Removing the pixels of an image in the order of a map, and asking the model after each step."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import torch

from miso_gen.metrics.asking import Read, ask
from miso_gen.metrics.interfaces import Curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from miso_gen.metrics.interfaces import Explained


def places(map: Tensor) -> Tensor:
    """Return the place of each pixel in descending order, (..., H W) int64 from 0; of equal pixels the first in rows leads.

    Args:
        map: (..., H, W) floating.
    """
    order = map.flatten(-2).sort(dim=-1, descending=True, stable=True).indices
    rank = torch.arange(order.shape[-1], device=map.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, rank)


def even_counts(size: int, steps: int) -> list[int]:
    """Return how many of ``size`` pixels are changed after each step, from 0 to all: round(k size / steps), halves up.

    Steps that change no pixel, in images of fewer pixels than steps, are left out.
    """
    return sorted({(2 * k * size + steps) // (2 * steps) for k in range(steps + 1)})


def replaced(
    explained: Explained, put: Tensor, place: Tensor, owner: Tensor, count: Tensor, read: Read, start: Tensor | None = None
) -> Tensor:
    """Return what the model says of images of which some pixels are replaced, (n,) float64.

    Args:
        explained: The model and the classes.
        put: (B, C, H, W), what replaces pixels.
        place: (B, H W) int64, place of each pixel in the order of replacing; several may share one.
        owner: (n,) int64, image; the changed images of one should stand together.
        count: (n,) int64, places below this are replaced.
        read: What is read from the logits.
        start: (B, C, H, W), what pixels are replaced in; None: the images.
    """
    before = explained.images if start is None else start
    owners, short = owner.tolist(), place.to(torch.int32).reshape(-1, 1, *before.shape[-2:])
    limit = count.to(torch.int32)[:, None, None, None]

    def made(some: slice) -> Tensor:
        found, first = before.new_empty((some.stop - some.start, *before.shape[1:])), some.start
        for image, together in groupby(owners[some]):
            # All of one image at once: nothing of it is copied but what is asked.
            last = first + len(list(together))
            part = found[first - some.start : last - some.start]
            torch.where(short[image] < limit[first:last], put[image], before[image], out=part)
            first = last
        return found

    return ask(explained, owner, made, read)


def replacing_curve(explained: Explained, put: Tensor, counts: Sequence[int], read: Read, start: Tensor | None = None) -> Curve:
    """Return what the model says after so many pixels of each image, the highest of its map first, are replaced.

    Args:
        explained: The model, the classes and the maps.
        put: (B, C, H, W), what replaces pixels.
        counts: Numbers of pixels, increasing.
        read: What is read from the logits.
        start: (B, C, H, W), what pixels are replaced in; None: the images.

    Returns:
        x is the share of the pixels replaced.
    """
    images, size = len(explained.maps), explained.maps.shape[-2] * explained.maps.shape[-1]
    device = explained.maps.device
    number = torch.tensor(counts, dtype=torch.int64, device=device)
    owner = torch.arange(images, device=device).repeat_interleave(len(counts))
    found = replaced(explained, put, places(explained.maps), owner, number.repeat(images), read, start)
    return Curve(number.to(torch.float64) / size, found.reshape(images, len(counts)))


def area(curve: Curve) -> Tensor:
    """Return the mean height of a curve, (B,) float64: the area under it by the trapezoid rule, over its width.

    A curve of one point has its height.
    """
    if len(curve.x) == 1:
        return curve.y[:, 0]
    return torch.trapezoid(curve.y, curve.x, dim=-1) / (curve.x[-1] - curve.x[0])
