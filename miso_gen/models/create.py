"""Build a network by name, and ask it for the sizes of its feature layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import torch
from torch.func import functional_call

from miso_gen.errors import InputError
from miso_gen.models.interfaces import MODELS, Network, Offer, offer_of
from miso_gen.models.weights import WeightsFile, fit, read_state

if TYPE_CHECKING:
    from torch import Tensor, nn


def network_of(value: str | Mapping[str, Any] | Network) -> Network:
    """Return the parameters of a network that a value stands for: a name, ``{"type": name, ...}``, or themselves.

    Raises:
        UnknownNameError: There is no network of that name.
        RecipeError: A parameter is wrong.
        InputError: The value is none of these.
    """
    if isinstance(value, str):
        value = {"type": value}
    if isinstance(value, Mapping) and isinstance(value.get("type"), str):
        return MODELS.get(value["type"]).from_spec(value)
    if isinstance(value, Network):
        return value
    raise InputError(f"model must be a name or {{'type': name, ...}}, got {value!r}.")


def create_model(
    model: str | Mapping[str, Any] | Network,
    *,
    in_channels: int,
    num_classes: int,
    image_size: int | Sequence[int],
    weights: str | Path | Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build a network: a plain ``torch.nn.Module`` in training mode, on torch's default device.

    ::

        model = create_model("vgg-att", in_channels=1, num_classes=2, image_size=96)
        logits = model(images)                # (B, 1, 96, 96) -> (B, 2)
        offer_of(model).feature_layers        # names of modules, for CAMs

    Args:
        model: A name, ``{"type": name, parameters...}``, or the parameters.
        in_channels: Channels of images.
        num_classes: Number of logits.
        image_size: Height and width of images in pixels, or one number for both.
        weights: In place of the ``weights`` of the parameters: ``"none"`` (drawn from torch's global generator),
            ``"pretrained"`` (fetched; the head, and whatever else nobody published, is drawn), the path of a file, or
            ``{"file": path, "holds": "all" | "features" | "pretrained"}``. None: those of the parameters.

    Raises:
        InputError: The network doesn't take such a size (the nearest one is told), a number is not positive, there are no
            pretrained weights, or a file doesn't fit (what is missing and strange is told).
        UnknownNameError: There is no network of that name.
        RecipeError: A parameter is wrong.
        WorkError: Pretrained weights can't be reached.
        MissingExtraError: timm, torchvision or safetensors is needed and not installed.
    """
    network = network_of(model)
    if weights is not None:
        source = dict(weights) if isinstance(weights, Mapping) else str(weights)
        network = network.from_spec({**network.to_spec(), "weights": source})
    in_channels, num_classes = _positive("in_channels", in_channels), _positive("num_classes", num_classes)
    sides = tuple(image_size) if isinstance(image_size, Sequence) else (image_size, image_size)
    if len(sides) != 2:
        raise InputError(f"image_size must be one number, or height and width, got {image_size}.")
    size = (_positive("image_size", sides[0]), _positive("image_size", sides[1]))
    network.sizes.check(size, network.type_name)
    built = network.build(in_channels, num_classes, size)
    load(built, network)
    built.offer = Offer(  # type: ignore[assignment]  # plain data beside the modules: no part of its state
        spec=network.to_spec(),
        reads=network.reads,
        in_channels=in_channels,
        num_classes=num_classes,
        image_size=size,
        feature_layers=network.feature_layers,
        attention=network.attention,
        heatmap=network.heatmap,
        pixel_levels=network.pixel_levels,
    )
    return built


def _positive(what: str, value: SupportsIndex) -> int:
    whole = 0 if isinstance(value, bool) or not isinstance(value, SupportsIndex) else index(value)
    if whole < 1:
        raise InputError(f"{what} must be a whole number from 1, got {value!r}.")
    return whole


def load(model: nn.Module, network: Network) -> None:
    """Give a built network the weights that its parameters name.

    Raises:
        InputError: There are none, or they don't fit.
        WorkError: They can't be reached.
    """
    weights = network.weights
    if weights == "none":
        return
    name, published = network.type_name, network.pretrained
    if weights == "pretrained" or (isinstance(weights, WeightsFile) and weights.holds == "pretrained"):
        if published is None:
            raise InputError(f"weights of {name} must be none or a file, got pretrained. Nobody published any.")
        state = read_state(weights.file) if isinstance(weights, WeightsFile) else published.fetch()
        origin = weights.file if isinstance(weights, WeightsFile) else published.name
        fit(model, published.renamed(state), origin, published.fresh)
        return
    source = weights if isinstance(weights, WeightsFile) else WeightsFile(file=weights)
    fit(model, read_state(source.file), source.file, network.head if source.holds == "features" else ())


def blank_images(model: nn.Module, batch: int = 2, bag: int = 3, device: str | torch.device = "meta") -> Tensor:
    """Return images of zeros that a network takes: (batch, C, H, W), or for a network of bags (batch, bag, C, H, W)."""
    offer = offer_of(model)
    each = (bag,) if offer.reads[0] == "bag" else ()
    return torch.zeros(batch, *each, offer.in_channels, *offer.image_size, device=device)


def feature_sizes(model: nn.Module, images: Tensor | None = None) -> dict[str, tuple[int, ...]]:
    """Return (channels, h, w) of each feature layer, from the input to the output; nothing is computed.

    Args:
        model: A network of :func:`create_model`; stays as it is.
        images: Images that it takes, of which only the shape is read; None: of the size that it was built for.

    Raises:
        InputError: The network was made otherwise.
    """
    offer, found = offer_of(model), {}
    shape = blank_images(model).shape if images is None else (2, *images.shape[1:])

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            found[name] = tuple(output.shape[1:])

        return hook

    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in offer.feature_layers]
    tensors = chain(model.named_parameters(), model.named_buffers())
    state = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors}
    try:
        with torch.no_grad():
            functional_call(model, state, (torch.empty(shape, device="meta"),))
    finally:
        for handle in handles:
            handle.remove()
    return {name: found[name] for name in offer.feature_layers}


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers of a network are learned."""
    return sum(one.numel() for one in model.parameters())
