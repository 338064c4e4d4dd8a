"""How alike two maps are: the family of similarities, for metrics that compare a map with another one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.recipe.plugins import Plugin
from miso_gen.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


class Similarity(Plugin, ABC):
    """How alike two maps are; 1 for equal ones. A plug-in writes :meth:`compared`."""

    range: ClassVar[tuple[float, float]]  #: least and greatest
    source: ClassVar[str]  #: paper, and equation or section

    @abstractmethod
    def compared(self, one: Tensor, other: Tensor, inside: Tensor) -> Tensor:
        """Return the similarity of pairs of finite maps, (n,) float64; nan where it is undefined.

        Args:
            one: (n, H, W) float64.
            other: (n, H, W) float64.
            inside: (n, H, W) bool, pixels that count.
        """

    def compare(self, one: Tensor, other: Tensor, inside: Tensor | None = None) -> Tensor:
        """Return the similarity of pairs of maps, (n,) float64; nan where one is not finite, or no pixel counts.

        Args:
            one: (n, H, W) floating.
            other: (n, H, W) floating.
            inside: (n, H, W) bool, pixels that count; None: all.
        """
        if inside is None:
            inside = torch.ones_like(one, dtype=torch.bool)
        first, second = (torch.where(inside, map.to(torch.float64), 0.0) for map in (one, other))
        known = inside.flatten(1).any(1) & (torch.isfinite(first) & torch.isfinite(second)).flatten(1).all(1)
        first, second = (map.where(known[:, None, None], 0.0) for map in (first, second))
        return self.compared(first, second, inside).where(known, nan)


SIMILARITIES: Registry[Similarity] = Registry("similarity", "miso_gen.metrics.similarities", "miso_gen.metrics.similarities")


def correlation(one: Tensor, other: Tensor, inside: Tensor) -> Tensor:
    """Return Pearson's correlation of values (n, N) float64 where ``inside`` (n, N), (n,); nan where one is constant there."""
    number = inside.sum(1, keepdim=True)
    product, defined = torch.ones_like(one).where(inside, 0.0), torch.ones(len(one), dtype=torch.bool, device=one.device)
    scale = torch.ones(len(one), dtype=torch.float64, device=one.device)
    for values in (one, other):
        most = values.where(inside, -torch.inf).amax(1)
        defined &= values.where(inside, torch.inf).amin(1) < most  # no rounding of a mean makes a constant map vary
        size = values.where(inside, 0.0).abs().amax(1, keepdim=True)
        unit = values / size.where(size > 0, 1.0)  # so that squares neither vanish nor overflow
        apart = (unit - unit.where(inside, 0.0).sum(1, keepdim=True) / number).where(inside, 0.0)
        product = product * apart
        scale = scale * apart.square().sum(1).sqrt()
    return (product.sum(1) / scale).clamp(-1, 1).where(defined, nan)
