"""Where relevance starts: what each logit is given before it is passed on through a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor

#: ``onehot``: 1 at the target. ``contrastive``: 1 at the target, and as much against it as ``contrast`` says at each other class.
#: ``softmax-gradient``: the derivative of the target's share in the softmax.
Start: TypeAlias = Literal["onehot", "contrastive", "softmax-gradient"]

#: What the others have of N classes in a contrastive start: ``n``: -1 / N each; ``n-1``: -1 / (N - 1), so that the sum is 0.
Contrast: TypeAlias = Literal["n", "n-1"]


def start_of(logits: Tensor, target: Tensor, start: Start, contrast: Contrast, scale_by_logit: bool) -> Tensor:
    """Return the relevance of each logit, (B, N).

    Args:
        logits: (B, N).
        target: (B,) int64, the class to explain.
        start: ``onehot``: 1, others 0. ``contrastive``: 1, others -1 / N or -1 / (N - 1). ``softmax-gradient``: s_t (1 - s_t),
            others -s_t s_i, with s the softmax.
        contrast: Of a contrastive start; one class alone has no others.
        scale_by_logit: Whether all of it is multiplied by the logit of the target, which turns its signs where that is negative.

    Source: You, LRP rules and CLRP start; Gu et al., Understanding individual decisions of CNNs via contrastive
    backpropagation, 2018; Iwana et al., Explaining convolutional neural networks using softmax gradient layer-wise relevance
    propagation, 2019.
    """
    chosen = torch.zeros_like(logits).scatter_(1, target[:, None], 1.0)
    classes = logits.shape[1]
    if start == "onehot":
        found = chosen
    elif start == "contrastive":
        others = classes if contrast == "n" else max(classes - 1, 1)
        found = chosen - (1 - chosen) / others
    else:
        share = logits.softmax(1)
        found = share.gather(1, target[:, None]) * (chosen - share)
    return found * logits.gather(1, target[:, None]) if scale_by_logit else found
