"""Guided backpropagation: only positive gradients go back through open ReLU."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.explain.interfaces import EXPLAINERS, Family, Need, PixelExplainer, Subject
from miso_gen.explain.rectified import guided, rectified_gradient

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("guided-backprop")
class GuidedBackprop(PixelExplainer):
    """Gradient of the logit where every ReLU hands back max(g, 0) where it was open: r = g [g > 0] [a > 0] at each.

    ReLU must be modules (``torch.nn.ReLU``); a network that calls it as a function is refused.

    ::

        {type: guided-backprop}

    Source: Springenberg et al., Striving for simplicity, 2015; Tjoa & Guan.
    """

    family: ClassVar[Family] = "gradient"
    source: ClassVar[str] = "Springenberg et al. 2015; Tjoa & Guan"
    needs: ClassVar[frozenset[Need]] = frozenset({"gradients", "module"})
    signed: ClassVar[bool] = True

    def relevance(self, subject: Subject) -> Tensor:
        """See :meth:`PixelExplainer.relevance`."""
        return rectified_gradient(subject.module, subject.images, subject.target, guided, self.type_name)
