"""Relevance of layers and of pixels: what a network decided is divided, step by step, among what it was computed from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from miso_gen.errors import InputError
from miso_gen.explain.layers import hooked
from miso_gen.explain.relevance_flow import Flow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from miso_gen.explain.interfaces import Model
    from miso_gen.explain.relevance_rules import Rules


class Relevant(NamedTuple):
    """What comes out of a layer, and how relevant it is.

    Attributes:
        activation: (B, channels, h, w).
        relevance: Of each value, same shape.
    """

    activation: Tensor
    relevance: Tensor


def relevance_of_pixels(model: Model, images: Tensor, start: Callable[[Tensor], Tensor], rules: Rules) -> Tensor:
    """Return the relevance of each pixel and channel, (B, C, H, W); 0 where no logit depends on the images.

    Args:
        model: The network, in evaluation mode, its parameters without gradients.
        images: (B, C, H, W).
        start: Logits (B, classes) -> their relevance, (B, classes).
        rules: How layers divide relevance.

    Raises:
        InputError: The network has a step without a rule; the message names the module.
    """
    flow = Flow(rules, model)
    leaf = flow.follow(images.detach().clone().requires_grad_(), raw=True)
    with torch.enable_grad(), flow:
        logits = model(leaf)
    return _passed(flow, logits, start, [leaf])[0]


def relevance_of_layers(
    model: nn.Module, images: Tensor, layers: Sequence[str], start: Callable[[Tensor], Tensor], rules: Rules
) -> dict[str, Relevant]:
    """Return the relevance of what comes out of layers, in the order given, by one pass back for all of them.

    Nothing is kept or passed on before the first layer that is computed.

    Args:
        model: As in :func:`relevance_of_pixels`.
        images: (B, C, H, W).
        layers: Names of modules.
        start: As there.
        rules: As there.

    Raises:
        InputError: A layer was not computed, or its output is no (B, channels, h, w), or a step has no rule.
    """
    flow = Flow(rules, model)
    kept: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> Tensor:
        if output.requires_grad:
            kept[name] = output
        else:
            kept[name] = flow.follow(output.detach().clone().requires_grad_())
        return kept[name].clone()  # a tensor of its own, which no layer made: nothing is merged over it

    seen = flow.follow(images.detach().clone(), raw=True)
    with torch.enable_grad(), flow, hooked(model, layers, keep):
        logits = model(seen)
    missing = [name for name in layers if name not in kept]
    if missing:
        raise InputError(f"layer must be computed on the way to the logits, got {missing[0]!r}, which is not.")
    found = _passed(flow, logits, start, [kept[name] for name in layers])
    return {name: Relevant(kept[name].detach(), one) for name, one in zip(layers, found, strict=True)}


def _passed(flow: Flow, logits: Tensor, start: Callable[[Tensor], Tensor], wanted: list[Tensor]) -> list[Tensor]:
    """Return the relevance of some tensors that logits were computed from."""
    if not flow.carries(logits):
        return [torch.zeros_like(one).detach() for one in wanted]
    given = start(logits.detach())
    found = torch.autograd.grad(logits, wanted, given, allow_unused=True)
    return [torch.zeros_like(one).detach() if part is None else part for one, part in zip(wanted, found, strict=True)]
