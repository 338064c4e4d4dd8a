"""What several networks are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from miso_gen.errors import InputError
from miso_gen.models.sizes import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor


class Stacked(nn.Module):
    """Feature layers in a row, an average that brings them to one size, and a classifier of what every place shows.

    The names of its parts are those of AlexNet and VGG in torchvision, so that weights of one fit the other.

    Args:
        features: Images (B, C, H, W) -> (B, channels, h, w).
        avgpool: Brings features to a size that the classifier takes.
        classifier: Features, flattened, -> logits (B, classes).
        only: The only height and width that the classifier takes; None: any.
    """

    def __init__(
        self, features: nn.Module, avgpool: nn.Module, classifier: nn.Module, only: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = avgpool
        self.classifier = classifier
        self.only = only

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) of images (B, C, H, W).

        Raises:
            InputError: Images have another size than the only one.
        """
        check_only(images, self.only)
        return self.classifier(self.avgpool(self.features(images)).flatten(1))


def check_only(images: Tensor, only: tuple[int, int] | None) -> None:
    """Refuse images (B, C, H, W) of another size than the only one that a built network takes.

    Raises:
        InputError: It says the size.
    """
    if only is not None and tuple(images.shape[-2:]) != only:
        raise InputError(
            f"images must have the size that the model was built for, {shown(only)}, got {shown(tuple(images.shape[-2:]))}. "
            "Build one with another image_size."
        )


def convolutions(in_channels: int, blocks: Sequence[Sequence[int]]) -> nn.Sequential:
    """Return blocks of 3 x 3 convolutions with ReLU, as in VGG; a maximum over 2 x 2 ends each block.

    Args:
        in_channels: Channels of images.
        blocks: Channels of the convolutions of each block.
    """

    def layers() -> Iterator[nn.Module]:
        channels = in_channels
        for block in blocks:
            for wide in block:
                yield from (nn.Conv2d(channels, wide, 3, padding=1), nn.ReLU())
                channels = wide
            yield nn.MaxPool2d(2)

    return nn.Sequential(*layers())


def last_activations(blocks: Sequence[Sequence[int]]) -> tuple[str, ...]:
    """Return the name of the last activation of each block of :func:`convolutions` in a :class:`Stacked` network."""
    ends = [sum(2 * len(block) + 1 for block in blocks[: number + 1]) for number in range(len(blocks))]
    return tuple(f"features.{end - 2}" for end in ends)


def hookable(model: nn.Module) -> nn.Module:
    """Let no module of a network overwrite its input: explainers hook what goes in and out."""
    for module in model.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]  # a plain bool of activations and dropout
    return model
