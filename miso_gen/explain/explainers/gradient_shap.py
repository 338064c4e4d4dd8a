"""GradientShap: gradients at drawn points between drawn baselines and the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.explain.drawing import generators, normals, uniforms
from miso_gen.explain.gradients import pixel_gradient
from miso_gen.explain.interfaces import EXPLAINERS, Family, Need, PixelExplainer, Subject
from miso_gen.recipe.parameters import NonNegativeFloat, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("gradient-shap")
class GradientShap(PixelExplainer):
    """Mean of (x - b) dS(b + t (x - b)) / dx over samples, each with a baseline b of several, and t uniform in [0, 1).

    Baselines are normal noise around 0, drawn for each image.

    ::

        {type: gradient-shap, baselines: 4, std: 0.001, samples: 5}

    Source: Lundberg and Lee, A unified approach to interpreting model predictions, 2017; Tjoa & Guan.
    """

    family: ClassVar[Family] = "gradient"
    source: ClassVar[str] = "Lundberg and Lee 2017; Tjoa & Guan"
    needs: ClassVar[frozenset[Need]] = frozenset({"gradients"})
    signed: ClassVar[bool] = True

    baselines: PositiveInt = 4
    """Baselines of an image, of which each sample takes one."""

    std: NonNegativeFloat = 0.001
    """Standard deviation of their pixels, in the units of images."""

    samples: PositiveInt = 5
    """Samples of an image."""

    def relevance(self, subject: Subject) -> Tensor:
        """See :meth:`PixelExplainer.relevance`."""
        images, drawing = subject.images, generators(subject.seeds, "gradient-shap")
        every = torch.stack([self.std * normals(drawing, images) for _ in range(self.baselines)], 1)
        place = torch.arange(len(images), device=images.device)
        total = torch.zeros_like(images)
        for _ in range(self.samples):
            chosen = (uniforms(drawing, images) * self.baselines).to(torch.int64).clamp(max=self.baselines - 1)
            share = uniforms(drawing, images)[:, None, None, None]
            change = images - every[place, chosen]
            total += change * pixel_gradient(subject, images - (1 - share) * change)
        return total / self.samples
