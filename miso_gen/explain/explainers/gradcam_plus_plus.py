"""Grad-CAM++: activation maps, weighted by their positive gradients, each place by how much it matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.explain.channels import GradientCAM
from miso_gen.explain.interfaces import EXPLAINERS, Family

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.explain.layers import Tapped

LEAST = 1e-6  #: what is added to the denominator


@EXPLAINERS.register("gradcam++")
class GradCAMPlusPlus(GradientCAM):
    """Activation maps A_k with weights w_k = sum_xy a relu(g), where a = g^2 / (2 g^2 + g^3 sum_xy A_k + 1e-6), g = dS / dA_k.

    Places whose gradient is not positive add nothing; nor do those of a channel whose denominator is 0.

    ::

        {type: gradcam++, layer: last}

    Source: Chattopadhay et al., Grad-CAM++, 2018; You, CAM family.
    """

    family: ClassVar[Family] = "cam"
    source: ClassVar[str] = "Chattopadhay et al. 2018; You"
    signed: ClassVar[bool] = True

    def weighted(self, found: Tapped) -> Tensor:
        """See :meth:`GradientCAM.weighted`."""
        rise = found.gradient.clamp(min=0)  # where it is not positive, the weight of the place is 0
        square = rise.square()
        below = 2 * square + square * rise * found.activation.sum((2, 3), keepdim=True) + LEAST
        share = (square / below).where(below != 0, 0.0)
        return (share * rise).sum((2, 3), keepdim=True) * found.activation
