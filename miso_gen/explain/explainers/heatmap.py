"""Heat map: where the network itself says the evidence is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.errors import InputError
from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, Need, Subject
from miso_gen.models.interfaces import MapsItself

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("heatmap")
class Heatmap(Explainer):
    """Heat map of a network that makes such maps: that of the class, or the one there is.

    PYLON, CAM, Li 2018 and the segmenters have one for each class, of logits. The mab head of SPA has one, 0.4 where the
    likeliest label of a pixel is object, 0.9 where it is evidence; it learnt that from the truth.

    ::

        {type: heatmap}

    Source: Preechakul et al., Improved image classification explainability with high-accuracy heatmaps, 2022; Tjoa &
    Guan (mabCAM).
    """

    family: ClassVar[Family] = "network"
    source: ClassVar[str] = "Preechakul et al. 2022; Tjoa & Guan"
    needs: ClassVar[frozenset[Need]] = frozenset({"heatmap"})
    signed: ClassVar[bool] = True

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        assert isinstance(subject.model, MapsItself)  # checked before
        count = len(subject.images)
        with torch.no_grad():
            every = subject.model.heatmap(subject.images)
        if every.ndim != 4 or len(every) != count or every.shape[1] == 0:
            raise InputError(f"heatmap must be ({count}, maps, h, w), got {tuple(every.shape)}. Choose another explainer.")
        if every.shape[1] == 1:
            return every[:, 0]
        if count and int(subject.target.max()) >= every.shape[1]:
            raise InputError(f"heatmap must have a map for class {int(subject.target.max())}, or one, got {every.shape[1]} maps.")
        return every[torch.arange(count, device=every.device), subject.target]
