"""VGG-Att: a VGG that decides by three attention maps, computed before its features are pooled."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from miso_gen.models.interfaces import MODELS, Network, Reads
from miso_gen.models.parts import check_only
from miso_gen.models.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

CHANNELS = 512  #: of features that attention weighs


def block(in_channels: int, *channels: int, pool: bool = False) -> nn.Sequential:
    """Return 3 x 3 convolutions, each with batch normalisation and ReLU, and a maximum over 2 x 2 after each where wanted."""

    def layers() -> Iterator[nn.Module]:
        known = in_channels
        for wide in channels:
            yield from (nn.Conv2d(known, wide, 3, padding=1), nn.BatchNorm2d(wide), nn.ReLU())
            if pool:
                yield nn.MaxPool2d(2)
            known = wide

    return nn.Sequential(*layers())


class Attention(nn.Module):
    """How much each place of local features agrees with the features of the whole image: c = conv1x1(local + whole).

    The local features are then averaged with softmax(c) as weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Conv2d(CHANNELS, 1, 1, bias=False)

    def forward(self, local: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        """Return c (B, h, w) before the softmax, and the weighted mean (B, channels).

        Args:
            local: (B, channels, h, w).
            whole: (B, channels, 1, 1).
        """
        agreement = self.score(local + whole)
        weights = agreement.flatten(2).softmax(2)
        return agreement[:, 0], (weights * local.flatten(2)).sum(2)


class VGGAttNet(nn.Module):
    """The network of :class:`VGGAtt`.

    Args:
        in_channels: Channels of images.
        num_classes: Number of logits.
        image_size: Height and width, multiples of 32.
    """

    def __init__(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.only = image_size
        self.block1 = block(in_channels, 64, 64)
        self.block2 = block(64, 128, 128)
        self.block3 = block(128, 256, 256, 256)
        self.block4 = block(256, CHANNELS, CHANNELS, CHANNELS)
        self.block5 = block(CHANNELS, CHANNELS, CHANNELS, CHANNELS)
        self.block6 = block(CHANNELS, CHANNELS, CHANNELS, pool=True)
        self.pool = nn.MaxPool2d(2)
        self.whole = nn.Conv2d(CHANNELS, CHANNELS, (image_size[0] // 32, image_size[1] // 32))
        self.project = nn.Conv2d(256, CHANNELS, 1, bias=False)
        self.attention1 = Attention()
        self.attention2 = Attention()
        self.attention3 = Attention()
        self.classifier = nn.Linear(3 * CHANNELS, num_classes)
        self.apply(_start)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) of images (B, C, H, W).

        Raises:
            InputError: Images have another size than the network was built for.
        """
        return self.classifier(torch.cat([seen for _, seen in self._look(images)], 1))

    def attention(self, images: Tensor) -> dict[str, Tensor]:
        """Return the three attention maps before their softmax: (B, H, W), (B, H/2, W/2), (B, H/4, W/4)."""
        return {name: map for name, (map, _) in zip(VGGAtt.attention, self._look(images), strict=True)}

    def _look(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        check_only(images, self.only)
        first = self.block3(self.block2(self.block1(images)))
        second = self.block4(self.pool(first))
        third = self.block5(self.pool(second))
        whole = self.whole(self.block6(self.pool(third)))
        return [
            self.attention1(self.project(first), whole),
            self.attention2(second, whole),
            self.attention3(third, whole),
        ]


def _start(module: nn.Module) -> None:
    """Draw the weights of a layer: Xavier uniform for ReLU, biases 0; scales of normalisation uniform in [0, 1)."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight, gain=sqrt(2))
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.uniform_(module.weight)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


@MODELS.register("vgg-att")
class VGGAtt(Network):
    """VGG-Att as MISO trained it: what it decides by is three means of local features, weighted by attention.

    The maps that ``attention(images)`` gives are those before the softmax, of which MISO scores the second. 21,939,138
    parameters at 96 px, 32,424,898 at 224 px, with one channel and two classes.

    ::

        {type: vgg-att}

    Source: MISO; Jetley et al., Learn to pay attention, 2018.
    """

    reads: ClassVar[tuple[Reads, ...]] = ("patch", "image")
    source: ClassVar[str] = "MISO; Jetley et al. 2018"
    attention: ClassVar[tuple[str, ...]] = ("attention1", "attention2", "attention3")

    @property
    def sizes(self) -> Sizes:
        """See :attr:`Network.sizes`."""
        return Sizes(least=32, multiple=32)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The six blocks: three at the size of images, then 1/2, 1/4 and 1/32 of it."""
        return ("block1", "block2", "block3", "block4", "block5", "block6")

    @property
    def head(self) -> tuple[str, ...]:
        """See :attr:`Network.head`."""
        return ("classifier",)

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        return VGGAttNet(in_channels, num_classes, image_size)
