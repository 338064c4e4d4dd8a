"""Networks that say where: a heat map for each class, and logits that are pooled from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class HeatmapClassifier(nn.Module):
    """Encoder, decoder, head, and what makes one number of each map.

    Args:
        encoder: Images (B, C, H, W) -> a list of feature maps, the deepest last.
        decoder: That list -> one map (B, channels, h, w).
        head: That map -> heat maps (B, classes, h, w).
        pool: Heat maps -> logits (B, classes); default the greatest value of each.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, head: nn.Module, pool: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = head
        self.pool = GlobalMax() if pool is None else pool

    def heatmap(self, images: Tensor) -> Tensor:
        """Return the evidence for each class, (B, classes, h, w), as logits of at least single precision."""
        maps = self.head(self.decoder(self.encoder(images)))
        return maps.to(torch.promote_types(maps.dtype, torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) of images (B, C, H, W)."""
        return self.pool(self.heatmap(images))


class GlobalMax(nn.Module):
    """The greatest value of each map, (B, classes, h, w) -> (B, classes); of equal ones, the first has the gradient."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return the greatest value of each map."""
        return nn.functional.adaptive_max_pool2d(maps, 1).flatten(1)


class Deepest(nn.Module):
    """The decoder that does nothing: the deepest feature map."""

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the last map of a list."""
        return features[-1]


def initialize(decoder: nn.Module, head: nn.Module) -> None:
    """Start the convolutions of a decoder Kaiming uniform (fan-in, ReLU), those of a head Xavier uniform, and all biases at 0."""
    for part, draw in ((decoder, _kaiming), (head, nn.init.xavier_uniform_)):
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                draw(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def _kaiming(weight: Tensor) -> Tensor:
    return nn.init.kaiming_uniform_(weight, mode="fan_in", nonlinearity="relu")
