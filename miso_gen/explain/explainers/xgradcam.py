"""XGrad-CAM: activation maps, weighted by their gradients where they are active."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.explain.channels import GradientCAM
from miso_gen.explain.interfaces import EXPLAINERS, Family

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.explain.layers import Tapped

LEAST = 1e-7  #: what is added to the denominator


@EXPLAINERS.register("xgradcam")
class XGradCAM(GradientCAM):
    """Activation maps A_k with weights w_k = sum_xy (A_k / (sum_xy A_k + 1e-7)) dS / dA_k.

    Meant for activations that are not negative: the sum of others may be near 0.

    ::

        {type: xgradcam, layer: last}

    Source: Fu et al., Axiom-based Grad-CAM, 2020; You, CAM family.
    """

    family: ClassVar[Family] = "cam"
    source: ClassVar[str] = "Fu et al. 2020; You"
    signed: ClassVar[bool] = True

    def weighted(self, found: Tapped) -> Tensor:
        """See :meth:`GradientCAM.weighted`."""
        below = found.activation.sum((2, 3), keepdim=True) + LEAST
        weights = (found.activation * found.gradient).sum((2, 3), keepdim=True) / below
        return weights.where(below != 0, 0.0) * found.activation
