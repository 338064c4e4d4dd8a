"""Layers of a network: which there are, what comes out of them, and how a score changes with that."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import nn

from miso_gen.errors import InputError, UnknownNameError, listing
from miso_gen.models import Offer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from miso_gen.explain.interfaces import LayerName


_STRETCH: Final = 4  #: how much longer than the image, for its width, what comes out of a layer may be


class Tapped(NamedTuple):
    """What comes out of a layer.

    Attributes:
        activation: (B, channels, h, w).
        gradient: Of the score with respect to it, same shape.
    """

    activation: Tensor
    gradient: Tensor


def feature_layers(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the feature layers that a network offers; none of a network that wasn't made by ``create_model``."""
    offer = getattr(model, "offer", None)
    return offer.feature_layers if isinstance(offer, Offer) else ()


def chosen_layers(model: nn.Module, layer: LayerName | Sequence[LayerName]) -> tuple[str, ...]:
    """Return the names of the modules that a parameter ``layer`` stands for, at least one, in its order.

    Raises:
        UnknownNameError: The network has no such module.
        InputError: ``last``, ``all`` or a number is asked of a network that offers no feature layers, or a layer comes twice.
    """
    wanted = (layer,) if isinstance(layer, str | int) else tuple(layer)
    modules, offered = dict(model.named_modules()), feature_layers(model)
    found: list[str] = []
    for one in wanted:
        if one == "all" or one == "last" or isinstance(one, int):
            found += _offered(one, offered, modules)
        elif one in modules and one:
            found.append(str(one))
        else:
            raise UnknownNameError("layer", str(one), offered or tuple(name for name in modules if name))
    if not found or len(set(found)) < len(found):
        raise InputError(f"layer must name different layers, at least one, got {listing(map(repr, wanted))}.")
    return tuple(found)


def _offered(one: str | int, offered: tuple[str, ...], modules: dict[str, nn.Module]) -> list[str]:
    if not offered:
        names = [name for name, one in modules.items() if name and isinstance(one, nn.Conv2d)] or [
            name for name in modules if name
        ]
        raise InputError(
            f"layer must be the name of a module for a network that offers no feature layers, got {one!r}. "
            f"Name one, such as {names[-1]!r}."
            if names
            else "model must have modules, got none."
        )
    if one == "all":
        return list(offered)
    place = -1 if one == "last" else int(one)
    if not -len(offered) <= place < len(offered):
        raise InputError(f"layer must be from {-len(offered)} to {len(offered) - 1}, got {place}. Layers: {listing(offered)}.")
    return [offered[place]]


@contextmanager
def hooked(model: nn.Module, layers: Sequence[str], hook: Callable[[str, Tensor], Tensor | None]) -> Iterator[None]:
    """Call ``hook(name, output)`` whenever one of some layers was computed; what it returns, if anything, takes its place.

    Raises:
        InputError: The output of a layer is no (B, channels, h, w).
    """
    modules = dict(model.named_modules())

    def called(name: str) -> Callable[..., Tensor | None]:
        def call(module: nn.Module, inputs: object, output: Tensor) -> Tensor | None:
            if not isinstance(output, torch.Tensor) or output.ndim != 4:
                what = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
                raise InputError(f"layer must give (B, channels, h, w), got {what} of {name!r}. Choose another layer.")
            return hook(name, output)

        return call

    handles = [modules[name].register_forward_hook(called(name)) for name in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def tapped(model: nn.Module, images: Tensor, layers: Sequence[str], score: Callable[[Tensor], Tensor]) -> dict[str, Tapped]:
    """Return activations and gradients of layers, in the order given.

    Gradients start at the first layer that is computed: nothing is kept or back-propagated before it.

    Args:
        model: The network, its parameters without gradients.
        images: (B, C, H, W).
        layers: Names of modules.
        score: Of logits (B, classes): (B,).

    Raises:
        InputError: A layer was not computed, or its output is no (B, channels, h, w).
    """
    kept: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> Tensor | None:
        if kept:
            kept[name] = output
            return None
        kept[name] = output.detach().requires_grad_()
        return kept[name].clone()  # so that what changes its input in place doesn't touch the leaf

    with torch.enable_grad(), hooked(model, layers, keep):
        found = score(model(images))
        _check_all(layers, kept, images)
        gradients = torch.autograd.grad(found.sum(), [kept[name] for name in layers], allow_unused=True)
    return {
        name: Tapped(kept[name].detach(), torch.zeros_like(kept[name]) if gradient is None else gradient)
        for name, gradient in zip(layers, gradients, strict=True)
    }


@torch.no_grad()
def activations(model: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Return what comes out of layers, (B, channels, h, w) each, in the order given.

    Raises:
        InputError: A layer was not computed, or its output is no (B, channels, h, w).
    """
    kept: dict[str, Tensor] = {}
    with hooked(model, layers, lambda name, output: kept.update({name: output.clone()})):
        model(images)
    _check_all(layers, kept, images)
    return {name: kept[name] for name in layers}


def _check_all(layers: Sequence[str], kept: dict[str, Tensor], images: Tensor) -> None:
    missing = [name for name in layers if name not in kept]
    if missing:
        raise InputError(f"layer must be computed on the way to the logits, got {missing[0]!r}, which is not.")
    for name in layers:
        size, wanted = kept[name].shape[-2:], images.shape[-2:]
        if max(size[0] * wanted[1], size[1] * wanted[0]) > _STRETCH * max(1, min(size[0] * wanted[1], size[1] * wanted[0])):
            raise InputError(
                f"layer must lie over the image, {tuple(wanted)}, got {tuple(size)} of {name!r}. "
                "Channels may come last there: choose another layer."
            )
