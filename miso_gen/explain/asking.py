"""Asking the model of changed images: a few at a time, without gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from miso_gen.metrics.asking import Output, chunks, reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from miso_gen.explain.interfaces import Subject

__all__ = ["Output", "asked", "chunks"]


@torch.no_grad()
def asked(subject: Subject, owner: Tensor, made: Callable[[slice], Tensor], output: Output = "logit") -> Tensor:
    """Return the score of the class of changed images, (n,) float64, ``subject.batch`` of them in memory at a time.

    Args:
        subject: The model, and the classes asked for.
        owner: (n,) int64, image of the batch that each changed one is made of.
        made: Makes some of the n changed images, (b, C, H, W).
        output: What of the logits is the score.
    """
    read, found = reader(output), torch.empty(len(owner), dtype=torch.float64, device=owner.device)
    for some in chunks(len(owner), subject.batch):
        found[some] = read(subject.model(made(some)), subject.target[owner[some]])
    return found
