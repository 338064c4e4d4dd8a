"""Gradients of the score of a class with respect to pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.explain.interfaces import Subject


def pixel_gradient(subject: Subject, images: Tensor | None = None) -> Tensor:
    """Return how much the logit of the target changes with each pixel and channel, (B, C, H, W), signs kept.

    Args:
        subject: What is explained.
        images: Others in place of its images, (B, C, H, W), in the same order.
    """
    at = (subject.images if images is None else images).detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(subject.scores(at).sum(), at)
    return gradient
