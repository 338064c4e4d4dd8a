"""SmoothGrad: the mean gradient of noisy copies of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.explain.drawing import generators, normals
from miso_gen.explain.gradients import pixel_gradient
from miso_gen.explain.interfaces import EXPLAINERS, Family, Need, PixelExplainer, Subject
from miso_gen.recipe.parameters import NonNegativeFloat, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("smoothgrad")
class SmoothGrad(PixelExplainer):
    """Mean gradient of the logit over copies of the image with normal noise; its absolute value unless ``absolute: false``.

    The standard deviation of the noise is a share of the image's range, its greatest less its least value.

    ::

        {type: smoothgrad, noise: 0.15, samples: 50}

    Source: Smilkov et al., SmoothGrad, 2017.
    """

    family: ClassVar[Family] = "gradient"
    source: ClassVar[str] = "Smilkov et al. 2017"
    needs: ClassVar[frozenset[Need]] = frozenset({"gradients"})
    signed: ClassVar[bool] = True

    noise: NonNegativeFloat = 0.15
    """Standard deviation of the noise, as a share of the image's range."""

    samples: PositiveInt = 50
    """Noisy copies."""

    absolute: bool = True
    """Whether signs of the mean are dropped, channel by channel."""

    @property
    def is_signed(self) -> bool:
        """See :attr:`Explainer.is_signed`."""
        return super().is_signed and not self.absolute

    def relevance(self, subject: Subject) -> Tensor:
        """See :meth:`PixelExplainer.relevance`."""
        images, drawing = subject.images, generators(subject.seeds, "smoothgrad")
        flat = images.flatten(1)
        size = self.noise * (flat.amax(1) - flat.amin(1))[:, None, None, None]
        total = torch.zeros_like(images)
        for _ in range(self.samples):
            total += pixel_gradient(subject, images + size * normals(drawing, images))
        mean = total / self.samples
        return mean.abs() if self.absolute else mean
