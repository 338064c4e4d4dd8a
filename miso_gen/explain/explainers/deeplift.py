"""DeepLift: how the change from a baseline to the image went through the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.explain.interfaces import EXPLAINERS, Family, Need, PixelExplainer, Subject
from miso_gen.explain.multipliers import deeplift

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("deeplift")
class DeepLift(PixelExplainer):
    """Change from a baseline b to the image, times multipliers that go back through activations as ratios of changes.

    By the rescale rule: m = (f(x) - f(b)) / (x - b) at each activation, so that relevance adds up to S(x) - S(b). Activations
    and maxima must be modules; a network with other nonlinear steps, such as products of features, is refused.

    ::

        {type: deeplift, baseline: 0}

    Source: Shrikumar et al., Learning important features through propagating activation differences, 2017; Tjoa & Guan.
    """

    family: ClassVar[Family] = "gradient"
    source: ClassVar[str] = "Shrikumar et al. 2017; Tjoa & Guan"
    needs: ClassVar[frozenset[Need]] = frozenset({"gradients", "module"})
    signed: ClassVar[bool] = True

    baseline: float = 0.0
    """Value of every pixel of the baseline, in the units of images."""

    def relevance(self, subject: Subject) -> Tensor:
        """See :meth:`PixelExplainer.relevance`."""
        baselines = torch.full_like(subject.images, self.baseline)
        return deeplift(subject.module, subject.images, baselines, subject.target, subject.batch, self.type_name)
