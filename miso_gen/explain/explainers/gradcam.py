"""Grad-CAM: activation maps, weighted by the mean of their gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.explain.interfaces import EXPLAINERS, Family, LayerExplainer, Subject
from miso_gen.explain.layers import tapped

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("gradcam")
class GradCAM(LayerExplainer):
    """Activation maps A_k of a layer with the mean of their gradients as weights: sum_k mean_xy(dS / dA_k) A_k.

    PYLON compares with it without the final ReLU: ``relu: false``.

    ::

        {type: gradcam, layer: last}

    Source: Selvaraju et al., Grad-CAM, 2017; You, CAM family.
    """

    family: ClassVar[Family] = "cam"
    source: ClassVar[str] = "Selvaraju et al. 2017; You"
    signed: ClassVar[bool] = True

    def layer_maps(self, subject: Subject, layers: tuple[str, ...]) -> list[Tensor]:
        """See :meth:`LayerExplainer.layer_maps`."""
        found = tapped(subject.module, subject.images, layers, lambda logits: logits.gather(1, subject.target[:, None])[:, 0])
        return [(one.gradient.mean((2, 3), keepdim=True) * one.activation).sum(1) for one in found.values()]
