"""U-Net as a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from miso_gen.models.interfaces import MODELS
from miso_gen.models.segmenters import Segmenter
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from torch import nn


@MODELS.register("unet")
class Unet(Segmenter):
    """U-Net with the encoder of a classifier; heat maps have the height and width of the image, logits are their greatest values.

    ::

        {type: unet, decoder_channels: [256, 128, 64, 64, 64]}

    Source: Preechakul et al. 2022 (the widths, and the pooling); Ronneberger et al., U-Net, 2015; network of
    segmentation-models-pytorch.
    """

    source: ClassVar[str] = "Preechakul et al. 2022; Ronneberger et al. 2015"
    architecture: ClassVar[str] = "Unet"

    decoder_channels: Annotated[tuple[PositiveInt, ...], Field(min_length=5, max_length=5)] = (256, 128, 64, 64, 64)
    """Channels of the five blocks of the decoder, from the deepest."""

    @property
    def decoder_layers(self) -> tuple[str, ...]:
        """See :attr:`Segmenter.decoder_layers`."""
        return tuple(f"blocks.{number}" for number in range(5))

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        return self.classifier(in_channels, num_classes, image_size, decoder_channels=self.decoder_channels)
