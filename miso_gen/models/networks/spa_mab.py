"""SPA with a mab head: a small classifier by spatial products, which also labels every pixel."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import torch
from torch import nn

from miso_gen.models.interfaces import MODELS, Heatmaps, Network, Reads
from miso_gen.models.sizes import Sizes

if TYPE_CHECKING:
    from torch import Tensor

HALF = 48  #: channels of the queries, and of the keys
Half: TypeAlias = Literal["keys", "queries"]


class SpaMabNet(nn.Module):
    """The network of :class:`SpaMab`.

    Args:
        in_channels: Channels of images.
        num_classes: Number of logits.
        head_reads: Which half of the features the head reads.
    """

    def __init__(self, in_channels: int, num_classes: int, head_reads: Half) -> None:
        super().__init__()
        self.head_reads = head_reads
        widths, kernels = (in_channels, 7, 7, 17, 2 * HALF), (7, 3, 3, 3)
        self.features = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(before, after, kernel, stride=2), nn.BatchNorm2d(after), nn.ReLU())
                for before, after, kernel in zip(widths, widths[1:], kernels, strict=False)
            )
        )
        self.classifier = nn.Linear(HALF * HALF, num_classes)
        self.mab = nn.Sequential(
            nn.ConvTranspose2d(HALF, 17, 7, stride=2),
            nn.ConvTranspose2d(17, 7, 3, stride=2),
            nn.ConvTranspose2d(7, 7, 3, stride=2),
            nn.ConvTranspose2d(7, len(SpaMab.pixel_levels), 3, stride=2, bias=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) of images (B, C, H, W)."""
        return self._classify(self.features(images))

    def logits_and_pixels(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, classes), and pixel logits (B, 3, H, W): background, object, evidence."""
        features = self.features(images)
        return self._classify(features), self._label(features, images)

    def heatmap(self, images: Tensor) -> Tensor:
        """Return the relevance of each pixel's likeliest label, (B, 1, H, W), one of 0, 0.4, 0.9; without gradient."""
        labels = self._label(self.features(images), images).argmax(1, keepdim=True)
        return torch.tensor(SpaMab.pixel_levels, dtype=images.dtype, device=images.device)[labels]

    def _classify(self, features: Tensor) -> Tensor:
        queries, keys = features[:, :HALF].flatten(2), features[:, HALF:].flatten(2)
        products = queries @ keys.transpose(1, 2) / sqrt(HALF)
        return self.classifier(products.softmax(-1).flatten(1))

    def _label(self, features: Tensor, images: Tensor) -> Tensor:
        half = features[:, HALF:] if self.head_reads == "keys" else features[:, :HALF]
        return self.mab(half)[..., : images.shape[-2], : images.shape[-1]]


@MODELS.register("spa-mab")
class SpaMab(Network):
    """SPA classifier with a mab head (mabCAM): 82,376 parameters with three channels and ten classes.

    Half of the features are queries, half keys; the softmax of their products over all places, 48 x 48, decides. The head
    brings one half back to pixels and says for each whether it is background, object or evidence; it learns from the truth
    of pixels, so its map is no explanation after the fact. Images were 512 px.

    ::

        {type: spa-mab, head_reads: keys}

    Source: Tjoa & Guan (their text says that the head reads the queries, their code has it read the keys).
    """

    reads: ClassVar[tuple[Reads, ...]] = ("image", "patch")
    source: ClassVar[str] = "Tjoa & Guan"
    heatmap: ClassVar[Heatmaps] = "one"
    pixel_levels: ClassVar[tuple[float, ...]] = (0.0, 0.4, 0.9)

    head_reads: Half = "keys"
    """Which half of the features the head reads: ``keys`` as in the released code, ``queries`` as in the text."""

    @property
    def sizes(self) -> Sizes:
        """See :attr:`Network.sizes`."""
        return Sizes(least=35)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The four convolutions with normalisation and ReLU, at about 1/2, 1/4, 1/8 and 1/16 of the size of images."""
        return ("features.0", "features.1", "features.2", "features.3")

    @property
    def head(self) -> tuple[str, ...]:
        """See :attr:`Network.head`."""
        return ("classifier",)

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        return SpaMabNet(in_channels, num_classes, self.head_reads)
