"""What stays as it is in the first of two phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

if TYPE_CHECKING:
    from collections.abc import Sequence


def encoder_modules(model: nn.Module, head: Sequence[str]) -> list[nn.Module]:
    """Return the modules of the encoder: that of the name ``encoder``, or all that hold no part of the head.

    Args:
        model: A network.
        head: Names of the modules whose weights depend on the number of classes.
    """
    encoder = getattr(model, "encoder", None)
    if isinstance(encoder, nn.Module):
        return [encoder]
    heads = {id(inner) for name in head for inner in model.get_submodule(name).modules()}
    leaves = [module for module in model.modules() if not list(module.children())]
    return [module for module in leaves if id(module) not in heads]


def set_frozen(modules: Sequence[nn.Module], frozen: bool) -> None:
    """Switch the gradients of modules off or on."""
    for module in modules:
        module.requires_grad_(not frozen)


def still(modules: Sequence[nn.Module]) -> None:
    """Let running statistics of modules stay as they are, until the network is set to training again."""
    for module in modules:
        for inner in module.modules():
            if isinstance(inner, _NormBase):
                inner.eval()
