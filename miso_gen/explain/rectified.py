"""Guided backpropagation and deconvolution: ReLU that hands back positive gradients alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from miso_gen.errors import InputError
from miso_gen.explain.rewiring import Rule, operation_name, operations, rewired

if TYPE_CHECKING:
    from torch import Tensor


#: Activations for which there is no rule; a network with none at all is linear, and has the true gradient.
_BENT: Final = ("Gelu", "Silu", "Elu", "Tanh", "Sigmoid", "LeakyRelu", "Hardswish", "Hardtanh", "Mish", "Softplus", "Softmax")


def guided(module: nn.Module, given: Tensor, found: Tensor, gradient: Tensor) -> Tensor:
    """ReLU that hands back what is positive, where it was open."""
    return gradient.clamp(min=0) * (found > 0)


def deconvolved(module: nn.Module, given: Tensor, found: Tensor, gradient: Tensor) -> Tensor:
    """ReLU that hands back what is positive, open or not."""
    return gradient.clamp(min=0)


def rectified_gradient(model: nn.Module, images: Tensor, target: Tensor, rule: Rule, name: str) -> Tensor:
    """Return the gradient of the logits of targets with a rule in place of ReLU's own, (B, C, H, W).

    Args:
        model: The network, its parameters without gradients.
        images: (B, C, H, W).
        target: (B,) int64.
        rule: Of every ``torch.nn.ReLU``.
        name: Of the explainer, for the message.

    Raises:
        InputError: The network calls ReLU as a function, which no rule reaches, or has other activations alone.
    """
    at = images.detach().requires_grad_()
    with torch.enable_grad(), rewired(model, {nn.ReLU: rule}):
        logits = model(at)
        if any(operation_name(one) in ("Relu", "Threshold") for one in operations(logits)):
            raise InputError(
                f"model must have its ReLU as modules for {name}, got a ReLU called as a function. "
                "Put torch.nn.ReLU() modules in its place."
            )
        if not any(isinstance(one, nn.ReLU) for one in model.modules()):
            bent = next((one for one in map(operation_name, operations(logits)) if one in _BENT), None)
            if bent is not None:
                raise InputError(
                    f"model must have ReLU modules for {name}, got {bent} alone. Choose another explainer: saliency, say."
                )
        (gradient,) = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), at)
    return gradient
