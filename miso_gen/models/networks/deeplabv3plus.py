"""DeepLabV3+ as a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from miso_gen.models.interfaces import MODELS
from miso_gen.models.segmenters import Segmenter
from miso_gen.models.sizes import Sizes
from miso_gen.recipe.parameters import PositiveInt, UnitInterval

if TYPE_CHECKING:
    from miso_gen.models.heatmaps import HeatmapClassifier


@MODELS.register("deeplabv3plus")
class DeepLabV3Plus(Segmenter):
    """DeepLabV3+; heat maps have a quarter of the height and width of the image, logits are their greatest values.

    The last stage of the encoder is dilated, so that its features have stride 16. ``image_pooling: false`` leaves out the branch
    that averages over the whole image. Batches for training must have two images or more.

    ::

        {type: deeplabv3plus, rates: [12, 24, 36], image_pooling: true}

    Source: Preechakul et al. 2022; Chen et al., Encoder-decoder with atrous separable convolution for semantic image
    segmentation, 2018; network of segmentation-models-pytorch.
    """

    source: ClassVar[str] = "Preechakul et al. 2022; Chen et al. 2018"
    architecture: ClassVar[str] = "DeepLabV3Plus"

    width: PositiveInt = 256
    """Channels of the decoder."""

    rates: tuple[PositiveInt, PositiveInt, PositiveInt] = (12, 24, 36)
    """Dilation of the three wide convolutions."""

    image_pooling: bool = True
    """Whether a branch averages over the whole image."""

    dropout: UnitInterval = 0.5
    """Chance that a value is dropped after the branches are joined."""

    @property
    def sizes(self) -> Sizes:
        """Multiples of 16, the stride of the dilated encoder."""
        return Sizes(least=16, multiple=16)

    @property
    def decoder_layers(self) -> tuple[str, ...]:
        """See :attr:`Segmenter.decoder_layers`."""
        return ("aspp", "block1", "block2")

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        built = self.classifier(
            in_channels,
            num_classes,
            image_size,
            encoder_output_stride=16,
            decoder_channels=self.width,
            decoder_atrous_rates=self.rates,
            decoder_aspp_dropout=self.dropout,
            upsampling=1,
        )
        return built if self.image_pooling else without_image_pooling(built, self.width)


def without_image_pooling(model: HeatmapClassifier, width: int) -> HeatmapClassifier:
    """Take the branch that averages over the whole image out of a network, and return it."""
    decoder: Any = model.decoder
    branches = decoder.aspp[0]
    branches.convs = nn.ModuleList(list(branches.convs)[:-1])
    branches.project[0] = nn.Conv2d(len(branches.convs) * width, width, 1, bias=False)
    return model
