"""Input x gradient: pixels, times how much the score changes with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.explain.gradients import pixel_gradient
from miso_gen.explain.interfaces import EXPLAINERS, Family, Need, PixelExplainer, Subject

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("input-x-gradient")
class InputXGradient(PixelExplainer):
    """Image times the gradient of the logit of the class: r = x dS / dx.

    ::

        {type: input-x-gradient}

    Source: Shrikumar et al., Not just a black box, 2016; Tjoa & Guan.
    """

    family: ClassVar[Family] = "gradient"
    source: ClassVar[str] = "Shrikumar et al. 2016; Tjoa & Guan"
    needs: ClassVar[frozenset[Need]] = frozenset({"gradients"})
    signed: ClassVar[bool] = True

    def relevance(self, subject: Subject) -> Tensor:
        """See :meth:`PixelExplainer.relevance`."""
        return subject.images * pixel_gradient(subject)
