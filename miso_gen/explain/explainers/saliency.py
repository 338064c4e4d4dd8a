"""Saliency: how much the score changes with each pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.explain.interfaces import EXPLAINERS, Family, Need, PixelExplainer, Subject

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("saliency")
class Saliency(PixelExplainer):
    """Absolute gradient of the logit of the class with respect to the image: r = abs(dS / dx).

    ``absolute: false`` keeps its signs. MISO takes the mean over a patch, which is what patches are stitched by.

    ::

        {type: saliency}

    Source: Simonyan et al., Deep inside convolutional networks, 2014; MISO, explanation maps; Tjoa & Guan.
    """

    family: ClassVar[Family] = "gradient"
    source: ClassVar[str] = "Simonyan et al. 2014; MISO; Tjoa & Guan"
    needs: ClassVar[frozenset[Need]] = frozenset({"gradients"})
    signed: ClassVar[bool] = True

    absolute: bool = True
    """Whether signs are dropped, channel by channel."""

    @property
    def is_signed(self) -> bool:
        """See :attr:`Explainer.is_signed`."""
        return super().is_signed and not self.absolute

    def relevance(self, subject: Subject) -> Tensor:
        """See :meth:`PixelExplainer.relevance`."""
        images = subject.images.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(subject.scores(images).sum(), images)
        return gradient.abs() if self.absolute else gradient
