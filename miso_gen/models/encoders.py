"""Networks of timm without their heads: the feature maps that other networks are built on."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from miso_gen.errors import InputError, suggestion
from miso_gen.models.libraries import library
from miso_gen.models.weights import Pretrained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

PREFIX = "encoder.model.model."  #: what stands before timm's names in a network whose encoder is called ``encoder``
_DEEPEST = "encoder.deepest"
#: What timm, and torch inside it, raise of a size or an option that a network doesn't take.
_REFUSALS = (AssertionError, AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Levels:
    """Feature maps of an encoder, from the finest to the deepest.

    Attributes:
        channels: Of each map.
        strides: Pixels of the image to a pixel of each map.
        layers: Name of the module whose output is the map, in a network whose encoder is called ``encoder``; None: there is none.
        places: Number of each map among all that timm counts in the network.
        channels_last: Whether the network computes with (B, h, w, channels) inside.
        size: Height and width of images that timm itself builds it for, where it must know; None: any.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    layers: tuple[str | None, ...]
    places: tuple[int, ...]
    channels_last: bool
    size: tuple[int, int] | None

    def named(self, count: int) -> tuple[str, ...]:
        """Return the feature layers among the last ``count`` maps, the deepest always."""
        *fine, deepest = self.layers[-count:]
        return (*(name for name in fine if name is not None), deepest or _DEEPEST)


@lru_cache(maxsize=64)
def levels_of(name: str) -> Levels:
    """Return which feature maps an encoder of timm has; nothing is computed, nor fetched.

    Raises:
        InputError: timm has no such network, or it has no feature maps.
        MissingExtraError: timm is not installed.
    """
    timm = library("timm", f"encoder {name}")
    if not timm.is_model(name):
        raise InputError(
            f"encoder must be a network of timm, got {name!r}.{suggestion(name, timm.list_models())} "
            "List them: python -c 'import timm; print(timm.list_models())'"
        )
    with torch.device("meta"), explained(name):
        published = timm.get_pretrained_cfg(name)
        size = (224, 224) if published is None else tuple(published.input_size[1:])
        features = timm.create_model(name, features_only=True, feature_cls="getter").eval()
        info = features.feature_info
        outputs: dict[str, Any] = {}
        parts = dict(features.model.named_modules())
        for layer in info.module_name():
            if layer in parts:  # some names are those of a step, not of a module
                parts[layer].register_forward_hook(_keep(outputs, layer))
        maps = features(torch.empty(1, 3, *size))
    layers = tuple(
        # A map between two modules, or one of (B, h, w, channels) inside, is the output of none.
        PREFIX + layer if isinstance(outputs.get(layer), torch.Tensor) and outputs[layer].shape == found.shape else None
        for layer, found in zip(info.module_name(), maps, strict=True)
    )
    return Levels(
        channels=tuple(info.channels()),
        strides=tuple(info.reduction()),
        layers=layers,
        places=tuple(info.out_indices),
        channels_last=getattr(features.model, "output_fmt", None) == "NHWC",
        size=size if published is not None and published.fixed_input_size else None,
    )


def check_levels(name: str, count: int, network: str) -> Levels:
    """Return the levels of an encoder that must have the last ``count`` ones, each coarser than the one before.

    Raises:
        InputError: It has others, or timm has no such network.
    """
    levels = levels_of(name)
    strides = levels.strides[-count:]
    if len(strides) < count or any(fine >= coarse for fine, coarse in pairwise(strides)):
        raise InputError(
            f"encoder of {network} must have features at {count} growing strides, got {name!r} with {levels.strides}. "
            "Take a pyramid, such as resnet50."
        )
    return levels


def encoder_weights(name: str, fresh: tuple[str, ...]) -> Pretrained:
    """Return timm's weights of an encoder, for a network whose other modules are ``fresh``."""
    return Pretrained("timm", name, fresh=fresh, prefix=PREFIX, unused=_unused(name))


@lru_cache(maxsize=64)
def _unused(name: str) -> tuple[str, ...]:
    """Return the modules of timm's whole network that its features don't need: its head, and what is before it."""
    timm = library("timm", f"encoder {name}")
    with torch.device("meta"), explained(name):
        features = timm.create_model(name, features_only=True, feature_cls="getter")
        whole = timm.create_model(name)
    kept = features.model.state_dict()
    return tuple(key for key in whole.state_dict() if key not in kept)


class Encoder(nn.Module):
    """The last feature maps of a network of timm, whose weights keep timm's names under ``model.model``.

    Args:
        name: timm's name of the network, with or without that of weights: ``resnet50``, ``resnet50.tv_in1k``.
        in_channels: Channels of images.
        image_size: Height and width of images, for networks that must know.
        count: How many maps, counted from the deepest.

    Raises:
        InputError: timm has no such network, or it can't be built so.
    """

    def __init__(self, name: str, in_channels: int, image_size: tuple[int, int], count: int = 1) -> None:
        super().__init__()
        levels = levels_of(name)
        self.channels = levels.channels[-count:]
        with explained(name, f", for images of {image_size[0]} x {image_size[1]} px"):
            self.model = library("timm", f"encoder {name}").create_model(
                name,
                features_only=True,
                feature_cls="getter",
                out_indices=levels.places[-count:],
                in_chans=in_channels,
                **size_option(name, image_size),
            )
        self.deepest = nn.Identity()  # a module to hook, whatever the network is made of

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return feature maps (B, channels, h, w) of images (B, C, H, W), from the finest to the deepest."""
        *fine, deepest = self.model(images)
        return [*fine, self.deepest(deepest)]


def size_option(name: str, image_size: tuple[int, int]) -> dict[str, Any]:
    """Return the argument that tells timm the size of images, where the network must know it."""
    return {} if levels_of(name).size is None else {"img_size": image_size}


@contextmanager
def explained(name: str, purpose: str = "") -> Iterator[None]:
    """Say which encoder other libraries refuse, where they do.

    Args:
        name: Of the encoder.
        purpose: What it was meant for, with a comma before.

    Raises:
        InputError: They refuse it.
    """
    try:
        yield
    except _REFUSALS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"encoder must be a network of timm with feature maps{purpose}, got {name!r} ({reason}). Take resnet50, say."
        ) from error


def _keep(outputs: dict[str, Any], layer: str) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        outputs[layer] = output

    return hook
