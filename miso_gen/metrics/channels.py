"""The channels of a layer: what they are, and what the model says without one of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import torch

from miso_gen.errors import InputError
from miso_gen.metrics.asking import AskingMetric, Read, ask, reader

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.interfaces import Explained

#: What a map should add up to: the ``logit`` L of the class, or, for ``contrastive`` relevance that starts as L at the class and
#: as -L/N at each other of N classes, its sum L/N.
Start: TypeAlias = Literal["logit", "contrastive"]


class ChannelMetric(AskingMetric):
    """A score of what each channel of a layer adds to a map: ``maps`` are w_k A_k, (B, K, h, w), at the size of the layer.

    That is before anything is summed, cut at 0, normalised or resized. A plug-in writes :meth:`scored_channels`.
    """

    ndim: ClassVar[int] = 4
    sized: ClassVar[bool] = False

    start: Start = "logit"
    """What the map should add up to: the logit of the class, or for contrastive relevance a share of it."""

    def start_read(self) -> Read:
        """Return what reads the number that the map should add up to."""
        logit = reader("logit")
        if self.start == "logit":
            return logit
        return lambda logits, target: logit(logits, target) / logits.shape[1]

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        return self.scored_channels(explained, explained.maps.to(torch.float64).sum((2, 3)))

    @abstractmethod
    def scored_channels(self, explained: Explained, shares: Tensor) -> Tensor:
        """Return the score of each image, (B,) float64, from what each channel adds, (B, K) float64."""


def without_each(explained: Explained, read: Read) -> Tensor:
    """Return what the model says of each image without each channel of the layer, (B, K) float64: the channel is set to 0.

    Raises:
        InputError: The layer does not exist, is not used once, or has other channels than the maps.
    """
    images, channels = explained.images, explained.maps.shape[1]
    owner = torch.arange(len(images), device=images.device).repeat_interleave(channels)
    channel = torch.arange(channels, device=images.device).repeat(len(images))
    gone: Tensor = channel[:0]

    def cut(output: Tensor) -> Tensor:
        changed = output.clone()
        changed[torch.arange(len(gone), device=gone.device), gone] = 0.0
        return changed

    def made(some: slice) -> Tensor:
        nonlocal gone
        gone = channel[some]
        return images[owner[some]]

    with _changed(explained, cut):
        return ask(explained, owner, made, read).reshape(len(images), channels)


@contextmanager
def _changed(explained: Explained, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Change what the layer returns, with each image given to the model."""
    model, name = explained.model, explained.layer
    assert isinstance(model, torch.nn.Module)  # checked before, as is the name
    layers = dict(model.named_modules())
    if name not in layers:
        known = ", ".join(key for key in layers if key)
        raise InputError(f"layer must be one of {known}, got {name!r}.")
    channels, runs = explained.maps.shape[1], 0

    def begin(_module: object, _inputs: object) -> None:
        nonlocal runs
        runs = 0

    def check(_module: object, _inputs: object, _output: object) -> None:
        if runs != 1:
            raise InputError(f"layer must be used once by the model, got {name!r}, used {runs} times. Name another one.")

    def hook(_module: object, _inputs: object, output: object) -> Tensor:
        nonlocal runs
        runs += 1
        if not isinstance(output, torch.Tensor) or output.ndim != 4 or output.shape[1] != channels:
            shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise InputError(f"layer must return (B, {channels}, h, w), as many channels as the maps, got {shape}.")
        return change(output)

    handles = [
        model.register_forward_pre_hook(begin),
        layers[name].register_forward_hook(hook),
        model.register_forward_hook(check),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
