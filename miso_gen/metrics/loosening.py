"""Truth made imprecise by a stated amount, to see how much a metric minds imprecise annotation.

Score the same maps against the truth and against the loosened truth: what the score loses, or gains, is the annotation's doing.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch

from miso_gen.errors import InputError
from miso_gen.metrics.objects import objects
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from miso_gen.metrics.objects import Objects

_PRECISE: Final = 1000  #: radius in px up to which squared distances are known to less than 1/2


def dilated(truth: Tensor, radius: int) -> Tensor:
    """Return truth grown by a disc: a pixel takes the greatest value of those whose centres are at most ``radius`` away.

    The image border is no border of truth: nothing grows in from outside.

    Args:
        truth: (..., H, W), a mask (bool), or levels.
        radius: In px, from 0. For instances see :func:`dilated_instances`.

    Returns:
        (..., H, W) of the same type.

    Raises:
        InputError: ``radius`` is negative.
    """
    _checked(truth, radius)
    if truth.dtype == torch.bool:
        return _grown(truth, radius)
    found = truth.clone()
    for level in torch.unique(truth).tolist()[1:]:  # they increase: the last one written is the greatest
        found = found.where(~_grown(truth >= level, radius), level)
    return found


def dilated_instances(instances: Tensor, radius: int) -> Tensor:
    """Return instances (..., H, W) grown by a disc into what is no object.

    A pixel joins the nearest object, at most ``radius`` away; of objects as near, the one with the least id.

    Raises:
        InputError: ``radius`` is negative or above 1000, or the instances can't be.
    """
    _checked(instances, radius)
    if radius > _PRECISE:
        raise InputError(f"radius must be at most {_PRECISE}, got {radius}.")
    found, (rows, cols) = objects(instances.cpu()), instances.shape[-2:]
    if not len(found.id):
        return instances.clone()
    flat = instances.cpu().to(torch.int64).reshape(-1, rows, cols).numpy()
    grown, reach = flat.copy(), radius * radius
    away = np.where(flat > 0, -1, reach + 1)  # squared distance to the object that a pixel is of
    for number, id, box in zip(found.map.tolist(), found.id.tolist(), _boxes(found), strict=True):
        top, bottom, left, right = box
        window = number, slice(max(top - radius, 0), bottom + radius), slice(max(left - radius, 0), right + radius)
        distance = _distance(flat[window] == id)
        nearer = (distance <= reach) & (distance < away[window])  # ids increase: of objects as near, the first one stays
        grown[window][nearer], away[window][nearer] = id, distance[nearer]
    return torch.from_numpy(grown).to(instances.dtype).reshape(instances.shape).to(instances.device)


def shifted(truth: Tensor, down: int, right: int) -> Tensor:
    """Return truth (..., H, W), of any kind, moved by whole pixels; negative: up, left. What leaves is lost, what enters is 0."""
    found = torch.zeros_like(truth)
    if abs(down) >= truth.shape[-2] or abs(right) >= truth.shape[-1]:
        return found
    moves = tuple(zip((down, right), truth.shape[-2:], strict=True))
    rows, cols = (slice(max(by, 0), size + min(by, 0)) for by, size in moves)
    from_rows, from_cols = (slice(max(-by, 0), size + min(-by, 0)) for by, size in moves)
    found[..., rows, cols] = truth[..., from_rows, from_cols]
    return found


def dropped(instances: Tensor, share: float, *, seed: int, ids: Sequence[str]) -> Tensor:
    """Return instances (..., H, W) without some of their objects: round(share n) of the n of each map, halves up.

    Which ones follows from ``seed`` and the id of the image alone, and a greater share drops the same ones, and more.

    Args:
        instances: Whole numbers, 0 for none.
        share: In [0, 1].
        seed: Of the draw.
        ids: Id of the image of each map, in order of the batch.

    Raises:
        InputError: ``share`` is not in [0, 1], or there are not as many ids as maps.
    """
    found = objects(instances)
    maps = instances.shape[:-2].numel()
    if not 0 <= share <= 1:
        raise InputError(f"share must be in [0, 1], got {share!r}.")
    if len(ids) != maps:
        raise InputError(f"ids must name each of the {maps} maps, got {len(ids)}.")
    counts = found.counts().flatten().tolist()
    lost = torch.zeros(len(found.id), dtype=torch.bool)
    first = 0
    for name, number in zip(ids, counts, strict=True):
        order = np.argsort(Stream(seed, "loosening", "dropped", name).raw(number), kind="stable")
        lost[first + torch.from_numpy(order[: int(share * number + 0.5)])] = True
        first += number
    kept = torch.ones(instances.numel(), dtype=torch.bool, device=instances.device)
    kept[found.pixel[lost.to(kept.device)[found.owner]]] = False
    return instances.where(kept.reshape(instances.shape), torch.zeros_like(instances))


def _checked(truth: Tensor, radius: int) -> None:
    if radius < 0:
        raise InputError(f"radius must be at least 0, got {radius}.")
    if truth.ndim < 2 or truth.is_floating_point():
        raise InputError(f"truth must be (..., H, W), bool or whole numbers, got {truth.dtype}, {tuple(truth.shape)}.")


def _boxes(found: Objects) -> list[tuple[int, int, int, int]]:
    """Return the box of each object: first row, row after the last, first column, column after the last."""
    pixel, owner = found.pixel.numpy(), found.owner.numpy()
    pixel = pixel[np.argsort(owner, kind="stable")]
    rows, cols = found.shape[-2:]
    starts = np.concatenate([[0], found.area.numpy().cumsum()[:-1]])
    sides = []
    for places in (pixel % (rows * cols) // cols, pixel % cols):
        sides += [np.minimum.reduceat(places, starts).tolist(), (np.maximum.reduceat(places, starts) + 1).tolist()]
    return list(zip(*sides, strict=True))


def _grown(mask: Tensor, radius: int) -> Tensor:
    """Return masks (..., H, W) bool grown by a disc."""
    rows, cols = mask.shape[-2:]
    if radius == 0 or not mask.numel():
        return mask.clone()
    if mask.device.type == "cpu" and radius <= _PRECISE:
        planes = mask.reshape(-1, rows, cols).numpy()
        return torch.from_numpy(
            np.stack([_distance(plane) <= radius * radius if plane.any() else plane for plane in planes])
        ).reshape(mask.shape)
    upto = torch.nn.functional.pad(mask.cumsum(-1, dtype=torch.int32), (1, 0))
    col, found = torch.arange(cols, device=mask.device), mask.clone()
    for down in range(-min(radius, rows - 1), min(radius, rows - 1) + 1):
        side = isqrt(radius * radius - down * down)
        line = upto[..., (col + side + 1).clamp(max=cols)] > upto[..., (col - side).clamp(min=0)]
        found |= shifted(line, down, 0)
    return found


def _distance(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the squared distance of each pixel (H, W) from the nearest one of a mask that has some; exact up to 1000 px."""
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.rint(np.asarray(away, np.float64) ** 2).astype(np.int64)
