"""Score-CAM: activation maps, weighted by the score of what they let through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from torch.nn import functional as F  # noqa: N812  # torch's own habit

from miso_gen.explain.asking import asked
from miso_gen.explain.interfaces import EXPLAINERS, Family, LayerExplainer, Need, Subject
from miso_gen.explain.layers import activations
from miso_gen.metrics.filling import BASELINES, Baseline
from miso_gen.recipe.parameters import OneOf, chosen

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("scorecam")
class ScoreCAM(LayerExplainer):
    """Activation maps A_k with weights w_k = S(x n(A_k)) - S(baseline), n(A_k) being the map at the size of the image, in [0, 1].

    The model is asked once for each channel. A constant channel lets nothing through, and has weight 0. The ``library`` variant
    has no baseline: its weights are the softmax over channels of S(x n(A_k)), which sum to 1 even where nothing matters.

    ::

        {type: scorecam, layer: last, variant: paper, baseline: zero}

    Source: Wang et al., Score-CAM, 2020; You, CAM family.
    """

    family: ClassVar[Family] = "cam"
    source: ClassVar[str] = "Wang et al. 2020; You"
    needs: ClassVar[frozenset[Need]] = frozenset({"module"})
    signed: ClassVar[bool] = True

    variant: Literal["paper", "library"] = "paper"
    """``paper``: the increase over a baseline. ``library``: softmax over channels; maps are resized with aligned corners."""

    baseline: Annotated[Baseline, OneOf(BASELINES)] = chosen("zero")
    """Image that shows nothing; it cancels in the softmax of ``library``."""

    def layer_maps(self, subject: Subject, layers: tuple[str, ...]) -> list[Tensor]:
        """See :meth:`LayerExplainer.layer_maps`."""
        found = activations(subject.module, subject.images, layers)
        every = torch.arange(len(subject.images), device=subject.images.device)
        shown = self.baseline.fill(subject.images)
        base = asked(subject, every, lambda some: shown[some])
        return [self._map(subject, one, base) for one in found.values()]

    def _map(self, subject: Subject, activation: Tensor, base: Tensor) -> Tensor:
        images, (count, channels) = subject.images, activation.shape[:2]
        owner = torch.arange(count, device=images.device).repeat_interleave(channels)
        every = activation.flatten(0, 1)

        def made(some: slice) -> Tensor:
            return images[owner[some]] * self._mask(every[some], images.shape[-2:])

        scores = asked(subject, owner, made).reshape(count, channels) - base[:, None]
        if self.variant == "library":
            weights = scores.softmax(1)
        else:
            weights = scores.where(activation.flatten(2).amax(2) > activation.flatten(2).amin(2), 0.0)
        return torch.einsum("bk,bkhw->bhw", weights.to(activation.dtype), activation)

    def _mask(self, maps: Tensor, size: torch.Size) -> Tensor:
        """Return maps (n, h, w) at the size of the image, each from 0 to 1, (n, 1, H, W); of a constant one 0."""
        large = F.interpolate(maps[:, None], size=tuple(size), mode="bilinear", align_corners=self.variant == "library")
        least, most = large.amin((2, 3), keepdim=True), large.amax((2, 3), keepdim=True)
        same = (maps.amax((1, 2)) == maps.amin((1, 2)))[:, None, None, None]  # rounding apart, when it is resized
        return ((large - least) / (most - least).where(most > least, 1.0)).where(~same, 0.0)
