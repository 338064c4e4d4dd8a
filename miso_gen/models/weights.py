"""Weights from elsewhere: read a file, fetch what others published, and fit it into a network."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import torch
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from miso_gen.errors import InputError, WorkError, listing
from miso_gen.models.libraries import library
from miso_gen.recipe.parameters import Parameters

if TYPE_CHECKING:
    from torch import Tensor, nn

State: TypeAlias = dict[str, "Tensor"]  #: tensors by their name in a network

#: What a file holds: ``all``, every weight of this very network; ``features``, those of such a network with other classes or
#: channels; ``pretrained``, what ``weights: pretrained`` fetches, for machines that reach no network.
Holds: TypeAlias = Literal["all", "features", "pretrained"]


class WeightsFile(Parameters):
    """A file of weights, and what it holds.

    ::

        {file: resnet50.safetensors, holds: pretrained}
    """

    file: str
    """Path of a ``.safetensors`` file, or of one that ``torch.save`` wrote."""

    holds: Holds = "all"
    """``all``; ``features``: the head starts anew; ``pretrained``: what the publishers of pretrained weights give."""


def _source(value: Any) -> Any:
    if isinstance(value, Mapping):
        return WeightsFile.from_spec(value)
    if isinstance(value, str | WeightsFile):
        return value
    raise PydanticCustomError("expected", "none, pretrained, the path of a file, or {file: path, holds: all}")


#: Where weights come from: ``none`` (drawn), ``pretrained`` (fetched), the path of a file, or ``{file, holds}``.
WeightsSource: TypeAlias = Annotated[str | WeightsFile, BeforeValidator(_source)]


@dataclass(frozen=True)
class Pretrained:
    """Published weights that fit a part of a network.

    Attributes:
        library: Who publishes them.
        name: Their name there, such as ``resnet50.a1_in1k``.
        fresh: Modules of ours that they say nothing of.
        prefix: What stands before their names in our network, such as ``encoder.``.
        unused: Modules of theirs that we don't take, by their names there.
    """

    library: Literal["timm", "torchvision"]
    name: str
    fresh: tuple[str, ...]
    prefix: str = ""
    unused: tuple[str, ...] = ()

    def fetch(self) -> State:
        """Return the published weights under the names of their library, which keeps what it once downloaded.

        Raises:
            WorkError: They can't be reached.
        """
        module = library(self.library, "weights: pretrained")
        try:
            if self.library == "timm":
                state: State = module.create_model(self.name, pretrained=True).state_dict()
            else:
                state = module.models.get_model_weights(self.name)["IMAGENET1K_V1"].get_state_dict(progress=False)
        except (OSError, RuntimeError, ValueError) as error:  # either library raises one of these where there is no network
            raise WorkError(
                f"pretrained weights {self.name} of {self.library} must be reachable, got {type(error).__name__}: {error} "
                "Fetch them on another machine, and write weights: {file: PATH, holds: pretrained}."
            ) from error
        return state

    def renamed(self, state: State) -> State:
        """Return published weights under the names of our network."""
        return {self.prefix + name: tensor for name, tensor in state.items() if not _within(name, self.unused)}


def read_state(path: str | Path) -> State:
    """Return the tensors of a file by name, on the CPU: a state dict, or a dict that holds one as ``state_dict``.

    Only tensors are read: a file can't run code.

    Raises:
        InputError: There is no such file, or it is none of tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"weights must be none, pretrained, or the path of a file, got {str(path)!r}. There is no such file.")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in content.values()):
        raise _no_weights(path, f"a {type(content).__name__} of other things")
    return dict(content)


def _read_safetensors(path: Path) -> Any:
    safetensors = library("safetensors", str(path))
    try:
        return library("safetensors.torch", str(path)).load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise _no_weights(path, str(error)) from error


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, struct.error, pickle.UnpicklingError) as error:
        raise _no_weights(path, type(error).__name__) from error


def _no_weights(path: Path, got: str) -> InputError:
    return InputError(
        f"{path} must be a .safetensors file, or a state dict that torch.save wrote, got {got}. "
        "Save model.state_dict() with torch.save or safetensors.torch.save_file."
    )


def fit(model: nn.Module, state: State, origin: str, fresh: tuple[str, ...] = ()) -> None:
    """Copy weights into a network.

    Args:
        model: The network.
        state: Tensors by their name in it.
        origin: Where they are from, for the message.
        fresh: Modules that keep the weights they have, whatever ``state`` says of them; where there are any, the first
            convolution is fitted to the channels of the network (:func:`fit_channels`).

    Raises:
        InputError: Names or shapes are others; it lists what is missing, what is strange, and what has another shape.
    """
    own = model.state_dict()
    wanted = {name: tensor for name, tensor in own.items() if not _within(name, fresh)}
    given = {name: tensor for name, tensor in state.items() if not _within(name, fresh)}
    if fresh:
        first = f"{first_convolution(model)}.weight"
        if first in wanted and first in given and given[first].ndim == wanted[first].ndim:
            given[first] = fit_channels(given[first], wanted[first].shape[1])
    found = {
        "missing": [name for name in wanted if name not in given],
        "strange": [name for name in given if name not in wanted],
        "other shapes": [
            f"{name} {tuple(given[name].shape)} for {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in given and given[name].shape != tensor.shape
        ],
    }
    if any(found.values()):
        text = "; ".join(f"{what}: {listing(names, 8)}" for what, names in found.items() if names)
        advice = (
            "Take a file of the same network"
            if fresh
            else "Where classes or channels differ, write {file: PATH, holds: features}"
        )
        raise InputError(f"{origin} must hold the weights of this network, got {text}. {advice}.")
    model.load_state_dict(given, strict=False)


def first_convolution(model: nn.Module) -> str:
    """Return the name of the first convolution of a network, the one that sees the image.

    Raises:
        InputError: There is none.
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            return name
    raise InputError("model must have a convolution, got none. Its weights can't be fitted to other channels.")


def fit_channels(weight: Tensor, channels: int) -> Tensor:
    """Return weights (out, in, h, w) of a first convolution for another number of input channels.

    For one channel they are summed, so that a grey image gives what it gave in every channel. For more channels they are
    repeated in turn, and scaled by old / new channels, so that responses keep their size.
    """
    known = weight.shape[1]
    if known == channels:
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, torch.arange(channels) % known] * (known / channels)


def _within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
