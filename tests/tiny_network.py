"""A network so small that a test trains it, with an encoder, normalisation and dropout; registered while a test needs it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from miso_gen.models import MODELS, Network
from miso_gen.models.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miso_gen.models.interfaces import Heatmaps, Reads

NAME = "tiny-for-tests"


class TinyModule(nn.Module):
    """An encoder, whose maps the head makes one map a class of; logits are their means."""

    def __init__(self, in_channels: int, num_classes: int, norm: bool, dropout: float) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(in_channels, 6, 3, stride=2),
            nn.BatchNorm2d(6) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, stride=2),
            nn.ReLU(),
        )
        self.drop = nn.Dropout(dropout)
        self.head = nn.Conv2d(8, num_classes, 1)

    def heatmap(self, images: Tensor) -> Tensor:
        return self.head(self.drop(self.encoder(images)))

    def forward(self, images: Tensor) -> Tensor:
        return self.heatmap(images).mean((2, 3))


class Tiny(Network):
    """Parameters of the network."""

    type_name: ClassVar[str] = NAME
    reads: ClassVar[tuple[Reads, ...]] = ("patch", "image")
    source: ClassVar[str] = "tests"
    heatmap: ClassVar[Heatmaps] = "classes"

    norm: bool = True
    dropout: float = 0.25

    @property
    def sizes(self) -> Sizes:
        return Sizes(least=16, multiple=1)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        return ("encoder.2", "encoder.4")

    @property
    def head(self) -> tuple[str, ...]:
        return ("head",)

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        return TinyModule(in_channels, num_classes, self.norm, self.dropout)


_asked: list[str] = []


@contextmanager
def registered() -> Iterator[None]:
    """Let experiments name the network; afterwards none does, so that tests over all networks don't see it."""
    MODELS.names()  # so that the others are there
    members: dict[str, Any] = MODELS._members
    members[NAME] = Tiny
    _asked.append(NAME)
    try:
        yield
    finally:
        _asked.pop()
        if not _asked:  # packages of tests overlap: the last one that asked for it removes it
            del members[NAME]
