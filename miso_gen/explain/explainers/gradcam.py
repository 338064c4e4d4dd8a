"""Grad-CAM: activation maps, weighted by the mean of their gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.explain.channels import GradientCAM
from miso_gen.explain.interfaces import EXPLAINERS, Family

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.explain.layers import Tapped


@EXPLAINERS.register("gradcam")
class GradCAM(GradientCAM):
    """Activation maps A_k of a layer with the mean of their gradients as weights: sum_k mean_xy(dS / dA_k) A_k.

    PYLON compares with it without the final ReLU: ``relu: false``.

    ::

        {type: gradcam, layer: last}

    Source: Selvaraju et al., Grad-CAM, 2017; You, CAM family.
    """

    family: ClassVar[Family] = "cam"
    source: ClassVar[str] = "Selvaraju et al. 2017; You"
    signed: ClassVar[bool] = True

    def weighted(self, found: Tapped) -> Tensor:
        """See :meth:`GradientCAM.weighted`."""
        return found.gradient.mean((2, 3), keepdim=True) * found.activation
