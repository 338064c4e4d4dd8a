"""Random numbers of explainers: drawn on the CPU, from the seed of each image, whatever batch and device it is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def generators(seeds: Sequence[int], name: str) -> list[torch.Generator]:
    """Return a generator for each image, seeded by its seed and the name of the explainer."""
    return [torch.Generator().manual_seed(Stream(seed, "explain", name).word() >> 1) for seed in seeds]


def normals(drawing: Sequence[torch.Generator], like: Tensor) -> Tensor:
    """Return the next standard normal numbers of each generator, of the shape, device and type of ``like``, (B, ...)."""
    return _drawn([torch.randn(like.shape[1:], generator=one) for one in drawing], like)


def uniforms(drawing: Sequence[torch.Generator], like: Tensor) -> Tensor:
    """Return the next number in [0, 1) of each generator, (B,), of the device and type of ``like``, (B, ...)."""
    return _drawn([torch.rand((), generator=one) for one in drawing], like)


def _drawn(found: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(found).to(like) if found else like.new_zeros((0, *like.shape[1:]))
