"""Objects of truth with instances: which there are, how large they are, and what of a map lies on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import torch

from miso_gen.errors import InputError
from miso_gen.metrics.planes import checked

if TYPE_CHECKING:
    from torch import Tensor

_WHOLE: Final = frozenset({torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32})
_SIGNED: Final = {torch.uint16: torch.int16, torch.uint32: torch.int32}  #: types of the same bits that torch looks through
_ROOM: Final = 4  #: counters per pixel up to which ids are counted as they are; beyond, they are numbered anew


class Objects(NamedTuple):
    """K objects of instances (..., H, W), by map and id.

    Attributes:
        map: (K,) int64, number of the map among all of the batch.
        id: (K,) int64, from 1.
        area: (K,) int64, pixels.
        pixel: (P,) int64, number of each pixel that is on an object, among all pixels of the batch; increasing.
        owner: (P,) int64, number of the object that each of these pixels is on, 0 to K - 1.
        shape: Shape of the instances.
    """

    map: Tensor
    id: Tensor
    area: Tensor
    pixel: Tensor
    owner: Tensor
    shape: torch.Size

    def sums(self, values: Tensor) -> Tensor:
        """Return the sum of values (..., H, W) over each object, (K,) float64; pixels of a mask (int64), if they are bool."""
        picked = values.flatten()[self.pixel]
        if picked.dtype == torch.bool:
            return torch.bincount(self.owner[picked], minlength=len(self.id))
        return torch.bincount(self.owner, picked.to(torch.float64), minlength=len(self.id)).to(torch.float64)

    def by_map(self, values: Tensor) -> Tensor:
        """Return the sum of values (K,) over the objects of each map, (...) float64."""
        n = self.shape[:-2].numel()
        totals = torch.bincount(self.map, values.to(torch.float64), minlength=n)
        return totals.to(torch.float64).reshape(self.shape[:-2])  # of no values it is float32

    def counts(self) -> Tensor:
        """Return how many objects each map has, (...) int64."""
        return torch.bincount(self.map, minlength=self.shape[:-2].numel()).reshape(self.shape[:-2])


def objects(instances: Tensor) -> Objects:
    """Return the objects of instances (..., H, W), whole numbers: 0 for none, else the id of the object.

    Raises:
        InputError: They are no whole numbers from 0, or of another shape.
    """
    _checked_instances(instances)
    n, size = instances.shape[:-2].numel(), instances.shape[-1] * instances.shape[-2]
    flat = instances.flatten()
    pixel = flat.view(_SIGNED.get(flat.dtype, flat.dtype)).nonzero()[:, 0]
    ids = flat[pixel].to(torch.int64)
    least, most = (int(value) for value in ids.aminmax()) if len(ids) else (1, 0)
    if least < 0:
        raise InputError(f"truth must be of instances, whole numbers from 0, got {least}.")
    room = most + 1
    key = ids if n == 1 else ids + pixel // size * room
    if n * room <= _ROOM * n * size + 65536:
        areas = torch.bincount(key, minlength=n * room)
        keys = areas.nonzero()[:, 0]
        number = torch.zeros_like(areas)
        number[keys] = torch.arange(len(keys), device=keys.device)
        owner, areas = number[key], areas[keys]
    else:
        keys, owner, areas = torch.unique(key, return_inverse=True, return_counts=True)
    return Objects(keys // room if room else keys, keys % room if room else keys, areas, pixel, owner, instances.shape)


def evidence_instances(instances: Tensor, levels: Tensor, positive: int = 2) -> Tensor:
    """Return instances (..., H, W) where the truth has at least a level, 0 elsewhere: objects without evidence are gone."""
    return instances.where(levels >= positive, torch.zeros_like(instances))


def pointed(instances: Tensor) -> Tensor:
    """Return the map that points at objects, (..., H, W) float64: 1 at the first pixel of each, 1/2 on the rest, else 0."""
    found = objects(instances)
    map = torch.zeros(instances.numel(), dtype=torch.float64, device=instances.device)
    map[found.pixel] = 0.5
    first = torch.full_like(found.id, instances.numel()).scatter_reduce_(0, found.owner, found.pixel, "amin")
    map[first] = 1.0
    return map.reshape(instances.shape)


def checked_whole(map: Tensor, truth: Tensor, *, binary: bool = False, low: int = 0, high: int | None = None) -> None:
    """Raise :class:`InputError` unless map and truth are what a metric takes whose truth is no mask.

    Args:
        map: Must be (..., H, W) of at least one pixel; bool if ``binary``, else floating.
        truth: Must have the map's shape and device, and hold whole numbers from ``low`` to ``high``.
        binary: Whether the metric takes a mask.
        low: Least value of the truth.
        high: Greatest value of the truth; None: neither bound is checked here.
    """
    checked(map, truth, binary=binary, mask=False)
    _checked_type(truth)
    if high is not None and truth.numel():
        narrow = truth if truth.dtype not in (torch.uint16, torch.uint32) else truth.to(torch.int64)
        least, most = (int(value) for value in narrow.aminmax())
        if least < low or most > high:
            raise InputError(f"truth must be of levels from {low} to {high}, got {least} to {most}.")


def _checked_instances(instances: Tensor) -> None:
    if instances.ndim < 2 or not instances.shape[-1] * instances.shape[-2]:
        raise InputError(f"truth must have shape (..., H, W) with a pixel at least, got {tuple(instances.shape)}.")
    _checked_type(instances)


def _checked_type(truth: Tensor) -> None:
    if truth.dtype not in _WHOLE:
        raise InputError(f"truth must be of whole numbers, got {truth.dtype}. Give levels or instances, not a mask or a map.")
