"""Ablation-CAM: activation maps, weighted by what the score loses without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.errors import InputError
from miso_gen.explain.asking import chunks
from miso_gen.explain.channels import ChannelLayerExplainer
from miso_gen.explain.interfaces import EXPLAINERS, Family, Need, Subject
from miso_gen.explain.layers import hooked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


@EXPLAINERS.register("ablationcam")
class AblationCAM(ChannelLayerExplainer):
    """Activation maps A_k with weights w_k = (S - S_k) / S, S_k being the score S of the class with channel k set to 0.

    The model is asked once for each channel; what lies before the layer is computed once for a batch of channels. Where S is
    negative, signs turn, as the paper has it; where S is 0, the weight is what is lost, S - S_k.

    ::

        {type: ablationcam, layer: last}

    Source: Desai & Ramaswamy, Ablation-CAM, 2020; You, CAM family.
    """

    family: ClassVar[Family] = "cam"
    source: ClassVar[str] = "Desai & Ramaswamy 2020; You"
    needs: ClassVar[frozenset[Need]] = frozenset({"module"})
    signed: ClassVar[bool] = True

    def channels_of(self, subject: Subject, layers: tuple[str, ...]) -> Iterator[Tensor]:
        """See :meth:`ChannelLayerExplainer.channels_of`."""
        calls: list[tuple[str, Tensor]] = []
        with torch.no_grad(), hooked(subject.module, layers, lambda name, output: calls.append((name, output.clone()))):
            whole = subject.scores(subject.images)
        for layer in layers:
            found = [output for name, output in calls if name == layer]
            if len(found) != 1:
                raise InputError(f"layer must be computed once by the model, got {layer!r}, computed {len(found)} times.")
            lost = whole[:, None] - _scores_without(subject, layer, found[0])
            weights = lost / whole.where(whole != 0, 1.0)[:, None]
            yield weights[:, :, None, None].to(found[0].dtype) * found[0]


def _scores_without(subject: Subject, layer: str, activation: Tensor) -> Tensor:
    """Return the score of each image without each channel of a layer, (B, K), of what comes out of it, (B, K, h, w)."""
    found = activation.new_empty(activation.shape[:2])
    alone = True  # whether one image may enter, and many leave the layer
    for number in range(len(activation)):
        for some in chunks(activation.shape[1], subject.batch):
            logits = _logits_without(subject, layer, activation[number], number, some, alone) if alone else None
            if logits is None:
                alone = False
                logits = _logits_without(subject, layer, activation[number], number, some, alone)
            assert logits is not None
            found[number, some] = logits[:, subject.target[number]].to(found.dtype)
    return found


@torch.no_grad()
def _logits_without(subject: Subject, layer: str, one: Tensor, number: int, some: slice, alone: bool) -> Tensor | None:
    """Return logits (n, classes) of an image without each of n channels; None if the model can't take it ``alone``.

    Alone, the image goes once through what lies before the layer. Networks that join the layer with what they computed before
    by adding or multiplying take that; those that stack them don't.
    """
    count = some.stop - some.start
    place = torch.arange(count, device=one.device)

    def cut(_name: str, _output: Tensor) -> Tensor:
        changed = one[None].repeat(count, 1, 1, 1)
        changed[place, some.start + place] = 0.0
        return changed

    image = subject.images[number : number + 1]
    with hooked(subject.module, [layer], cut):
        if not alone:
            return subject.model(image.expand(count, -1, -1, -1))
        try:
            logits = subject.model(image)
        except RuntimeError:  # shapes don't fit: the image must be repeated from the start
            return None
    return logits if logits.ndim == 2 and len(logits) == count else None
