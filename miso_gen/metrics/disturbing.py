"""Drawn changes of images: the same for every image, so that no score depends on the batch it is computed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Changes:
    """Each of ``samples`` changes for each of some images, sample after sample; only those in use are in memory.

    Args:
        images: Number of images.
        samples: Number of changes.
        draw: Number of the change -> the change.
        device: Of ``owner``.

    Attributes:
        owner: (samples x images,) int64, image that each is for.
    """

    def __init__(self, images: int, samples: int, draw: Callable[[int], Tensor], device: torch.device) -> None:
        self.images = images
        self.owner = torch.arange(images, device=device).repeat(samples)
        self._draw = draw
        self._drawn: dict[int, Tensor] = {}

    def __getitem__(self, some: slice) -> Tensor:
        wanted = [place // self.images for place in range(some.start, some.stop)]
        self._drawn = {sample: self._drawn[sample] for sample in wanted if sample in self._drawn}
        for sample in wanted:
            if sample not in self._drawn:
                self._drawn[sample] = self._draw(sample)
        return torch.stack([self._drawn[sample] for sample in wanted])
