"""Guided Grad-CAM: guided backpropagation, weighted by Grad-CAM."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from torch.nn import functional as F  # noqa: N812  # torch's own habit

from miso_gen.errors import InputError, listing
from miso_gen.explain.interfaces import EXPLAINERS, Family, LayerName, Need, PixelExplainer, Subject
from miso_gen.explain.layers import chosen_layers, tapped
from miso_gen.explain.rectified import guided, rectified_gradient

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("guided-gradcam")
class GuidedGradCAM(PixelExplainer):
    """Guided backpropagation times the Grad-CAM of a layer, after its ReLU and resized to the image: r = g max(L, 0).

    Tjoa & Guan take the first convolution as layer, and ``resize: nearest``.

    ::

        {type: guided-gradcam, layer: last}

    Source: Selvaraju et al., Grad-CAM, 2017; Tjoa & Guan.
    """

    family: ClassVar[Family] = "gradient"
    source: ClassVar[str] = "Selvaraju et al. 2017; Tjoa & Guan"
    needs: ClassVar[frozenset[Need]] = frozenset({"gradients", "module"})
    signed: ClassVar[bool] = True

    layer: LayerName = "last"
    """Layer of the Grad-CAM: a dotted name; a number among the feature layers, -1 for the last; ``last``."""

    resize: Literal["bilinear", "nearest"] = "bilinear"
    """How the Grad-CAM is brought to the size of the image."""

    def relevance(self, subject: Subject) -> Tensor:
        """See :meth:`PixelExplainer.relevance`."""
        layers = chosen_layers(subject.module, self.layer)
        if len(layers) != 1:
            raise InputError(f"layer must be one layer for guided-gradcam, got {listing(layers)}.")
        goals = subject.target[:, None]
        (found,) = tapped(subject.module, subject.images, layers, lambda logits: logits.gather(1, goals)[:, 0]).values()
        cam = (found.gradient.mean((2, 3), keepdim=True) * found.activation).sum(1, keepdim=True).clamp(min=0)
        corners = False if self.resize == "bilinear" else None
        cam = F.interpolate(cam, size=subject.images.shape[-2:], mode=self.resize, align_corners=corners)
        return cam * rectified_gradient(subject.module, subject.images, subject.target, guided, self.type_name)
