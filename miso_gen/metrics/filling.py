"""What stands where pixels of an image are removed: the family of baselines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from miso_gen.recipe.plugins import Plugin
from miso_gen.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


class Baseline(Plugin, ABC):
    """An image without what the original shows."""

    source: ClassVar[str]  #: paper, and equation or section

    @abstractmethod
    def fill(self, images: Tensor) -> Tensor:
        """Return what stands for removed pixels, (B, C, H, W) of the type of the images; each image by itself.

        Args:
            images: (B, C, H, W) floating.

        Raises:
            InputError: It can't be made for such images.
        """


BASELINES: Registry[Baseline] = Registry("baseline", "miso_gen.metrics.baselines", "miso_gen.metrics.baselines")
