"""LayerCAM: activation maps times their positive gradients, place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.explain.channels import GradientCAM
from miso_gen.explain.interfaces import EXPLAINERS, Family

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.explain.layers import Tapped


@EXPLAINERS.register("layercam")
class LayerCAM(GradientCAM):
    """Activation maps A_k of a layer times their positive gradients, place by place: sum_k relu(dS / dA_k) A_k.

    Meant for early layers, too.

    ::

        {type: layercam, layer: all}

    Source: Jiang et al., LayerCAM, 2021; You, CAM family.
    """

    family: ClassVar[Family] = "cam"
    source: ClassVar[str] = "Jiang et al. 2021; You"
    signed: ClassVar[bool] = True

    def weighted(self, found: Tapped) -> Tensor:
        """See :meth:`GradientCAM.weighted`."""
        return found.gradient.clamp(min=0) * found.activation
