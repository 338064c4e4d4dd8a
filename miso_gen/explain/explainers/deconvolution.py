"""Deconvolution: only positive gradients go back through ReLU, open or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.explain.interfaces import EXPLAINERS, Family, Need, PixelExplainer, Subject
from miso_gen.explain.rectified import deconvolved, rectified_gradient

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("deconvolution")
class Deconvolution(PixelExplainer):
    """Gradient of the logit where every ReLU hands back max(g, 0), open or not.

    ReLU must be modules (``torch.nn.ReLU``); a network that calls it as a function is refused.

    ::

        {type: deconvolution}

    Source: Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014; Tjoa & Guan.
    """

    family: ClassVar[Family] = "gradient"
    source: ClassVar[str] = "Zeiler and Fergus 2014; Tjoa & Guan"
    needs: ClassVar[frozenset[Need]] = frozenset({"gradients", "module"})
    signed: ClassVar[bool] = True

    def relevance(self, subject: Subject) -> Tensor:
        """See :meth:`PixelExplainer.relevance`."""
        return rectified_gradient(subject.module, subject.images, subject.target, deconvolved, self.type_name)
