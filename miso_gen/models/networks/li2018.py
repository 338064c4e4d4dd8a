"""Li et al.'s thorax classifier: an image has a class where any of its places has."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from miso_gen.models.encoders import Encoder, check_levels, encoder_weights
from miso_gen.models.heatmaps import Deepest, HeatmapClassifier
from miso_gen.models.interfaces import MODELS, Heatmaps, Network, Reads
from miso_gen.models.parts import hookable
from miso_gen.models.sizes import Sizes
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.models.weights import Pretrained

SHARE = 0.02  #: of its probability that a place may use, so that a product over hundreds of places doesn't vanish


class AnyPlace(nn.Module):
    """Logit of "at least one place has the class", the places independent: maps (B, classes, h, w) -> (B, classes).

        p = 1 - prod (0.98 + 0.02 (1 - sigmoid(map))),    logit = ln(p / (1 - p))

    It is computed of logarithms; a product that single precision can't tell from 1 gives a logit of -87, not minus infinity.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Return logits of maps that are logits themselves."""
        absent = torch.log1p(-SHARE * maps.sigmoid()).sum((-2, -1))  # logarithm of the product
        absent = absent.clamp(max=-torch.finfo(absent.dtype).tiny)
        return torch.log(-torch.expm1(absent)) - absent


@MODELS.register("li2018")
class Li2018(Network):
    """Multiple-instance classifier on a grid of 20 x 20 places: an image has a class where any place has.

    The deepest features are resized to the grid, and two convolutions make a heat map of logits for each class. Of the source's
    loss, this is the part for images without boxes. Logits don't exceed 8.08 on 20 x 20 places, as no place may use more than
    0.02 of its probability.

    ::

        {type: li2018, grid: 20}

    Source: Li et al., Thoracic disease identification and localization with limited supervision, 2018, as compared by Preechakul
    et al. 2022.
    """

    reads: ClassVar[tuple[Reads, ...]] = ("image", "patch")
    source: ClassVar[str] = "Li et al. 2018; Preechakul et al. 2022"
    heatmap: ClassVar[Heatmaps] = "classes"

    encoder: str = "resnet50.tv_in1k"
    """Any network of timm with feature maps; a name after the dot is that of the weights that are fetched."""

    grid: PositiveInt = 20
    """Height and width of heat maps."""

    width: PositiveInt = 512
    """Channels of the decoder."""

    @property
    def sizes(self) -> Sizes:
        """Multiples of the stride of the encoder."""
        stride = check_levels(self.encoder, 1, "li2018").strides[-1]
        return Sizes(least=stride, multiple=stride)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The deepest level of the encoder."""
        return check_levels(self.encoder, 1, "li2018").named(1)

    @property
    def head(self) -> tuple[str, ...]:
        """See :attr:`Network.head`."""
        return ("head",)

    @property
    def pretrained(self) -> Pretrained:
        """ImageNet weights of the encoder."""
        return encoder_weights(self.encoder, fresh=("decoder", "head"))

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        encoder = Encoder(self.encoder, in_channels, image_size)
        decoder = nn.Sequential(
            Deepest(),
            nn.Upsample((self.grid, self.grid), mode="bilinear", align_corners=True),
            nn.Conv2d(encoder.channels[-1], self.width, 3, padding=1),
            nn.BatchNorm2d(self.width),
            nn.ReLU(),
        )
        return hookable(HeatmapClassifier(encoder, decoder, nn.Conv2d(self.width, num_classes, 1), AnyPlace()))
