"""Edges: a map that bets on contours, whatever they enclose."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional as F  # noqa: N812  # torch's own habit

from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, Subject

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("edges")
class Edges(Explainer):
    """Sobel magnitude of the mean over channels, sqrt(gx^2 + gy^2); pixels of the border are repeated outwards.

    ::

        {type: edges}

    Source: Adebayo et al., Sanity checks for saliency maps, 2018 (edge detector).
    """

    family: ClassVar[Family] = "null"
    source: ClassVar[str] = "Adebayo et al. 2018"
    class_sensitive: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        gray = F.pad(subject.images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        across = gray.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
        found = F.conv2d(gray, torch.stack([across, across.T])[:, None])
        return found.square().sum(1).sqrt()
