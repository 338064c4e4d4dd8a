"""HiResCAM: activation maps times their gradients, place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.explain.channels import GradientCAM
from miso_gen.explain.interfaces import EXPLAINERS, Family

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.explain.layers import Tapped


@EXPLAINERS.register("hirescam")
class HiResCAM(GradientCAM):
    """Activation maps A_k of a layer times their gradients, place by place: sum_k (dS / dA_k) A_k.

    ::

        {type: hirescam, layer: last}

    Source: Draelos & Carin, Use HiResCAM instead of Grad-CAM, 2020; You, CAM family.
    """

    family: ClassVar[Family] = "cam"
    source: ClassVar[str] = "Draelos & Carin 2020; You"
    signed: ClassVar[bool] = True

    def weighted(self, found: Tapped) -> Tensor:
        """See :meth:`GradientCAM.weighted`."""
        return found.gradient * found.activation
