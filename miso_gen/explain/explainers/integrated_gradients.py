"""Integrated gradients: gradients along the way from a baseline to the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from miso_gen.explain.gradients import pixel_gradient
from miso_gen.explain.interfaces import EXPLAINERS, Family, Need, PixelExplainer, Subject
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("integrated-gradients")
class IntegratedGradients(PixelExplainer):
    """Mean gradient along the straight way from a baseline b to the image: r = (x - b) integral_0^1 dS(b + t (x - b)) / dx dt.

    Relevance adds up to S(x) - S(b), the better the more steps. By Gauss-Legendre quadrature, one
    step of the batch after the other, so that memory does not grow with steps.

    ::

        {type: integrated-gradients, n_steps: 50, baseline: 0}

    Source: Sundararajan et al., Axiomatic attribution for deep networks, 2017; Tjoa & Guan.
    """

    family: ClassVar[Family] = "gradient"
    source: ClassVar[str] = "Sundararajan et al. 2017; Tjoa & Guan"
    needs: ClassVar[frozenset[Need]] = frozenset({"gradients"})
    signed: ClassVar[bool] = True

    n_steps: PositiveInt = 50
    """Points on the way where the gradient is taken."""

    baseline: float = 0.0
    """Value of every pixel of the baseline, in the units of images."""

    def relevance(self, subject: Subject) -> Tensor:
        """See :meth:`PixelExplainer.relevance`."""
        images = subject.images
        places, weights = np.polynomial.legendre.leggauss(self.n_steps)
        total = torch.zeros_like(images)
        for place, weight in zip(places.tolist(), weights.tolist(), strict=True):
            total += weight / 2 * pixel_gradient(subject, self.baseline + (1 + place) / 2 * (images - self.baseline))
        return (images - self.baseline) * total
