"""DeepLiftShap: the mean of DeepLift over drawn baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.explain.drawing import generators, normals
from miso_gen.explain.interfaces import EXPLAINERS, Family, Need, PixelExplainer, Subject
from miso_gen.explain.multipliers import deeplift
from miso_gen.recipe.parameters import NonNegativeFloat, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("deeplift-shap")
class DeepLiftShap(PixelExplainer):
    """Mean of DeepLift over baselines of normal noise around 0, drawn for each image.

    ::

        {type: deeplift-shap, baselines: 4, std: 0.001}

    Source: Lundberg and Lee, A unified approach to interpreting model predictions, 2017; Tjoa & Guan.
    """

    family: ClassVar[Family] = "gradient"
    source: ClassVar[str] = "Lundberg and Lee 2017; Tjoa & Guan"
    needs: ClassVar[frozenset[Need]] = frozenset({"gradients", "module"})
    signed: ClassVar[bool] = True

    baselines: PositiveInt = 4
    """Baselines of an image."""

    std: NonNegativeFloat = 0.001
    """Standard deviation of their pixels, in the units of images."""

    def relevance(self, subject: Subject) -> Tensor:
        """See :meth:`PixelExplainer.relevance`."""
        images, drawing = subject.images, generators(subject.seeds, "deeplift-shap")
        total = torch.zeros_like(images)
        for _ in range(self.baselines):
            baselines = self.std * normals(drawing, images)
            total += deeplift(subject.module, images, baselines, subject.target, subject.batch, self.type_name)
        return total / self.baselines
