"""Pyramid attention network as a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from miso_gen.models.encoders import check_levels
from miso_gen.models.interfaces import MODELS
from miso_gen.models.segmenters import Segmenter
from miso_gen.models.sizes import Sizes
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor


class Constant(nn.Module):
    """One number in place of what a branch gave: (B, C, h, w) -> (B, 1, 1, 1)."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, maps: Tensor) -> Tensor:
        """Return the number, once for each image."""
        return maps.new_full((len(maps), 1, 1, 1), self.value)


@MODELS.register("pan")
class Pan(Segmenter):
    """Pyramid attention network; heat maps have a quarter of the height and width of the image, logits are their greatest values.

    The encoder is not dilated, the head has 3 x 3 kernels. Branches that average over the whole image tell every place what is
    elsewhere; ``global_pooling: false`` leaves them out. Batches for training must have two images or more.

    ::

        {type: pan, global_pooling: true}

    Source: Preechakul et al. 2022; Li et al., Pyramid attention network for semantic segmentation, 2018; network of
    segmentation-models-pytorch.
    """

    source: ClassVar[str] = "Preechakul et al. 2022; Li et al. 2018"
    architecture: ClassVar[str] = "PAN"

    width: PositiveInt = 128
    """Channels of the decoder."""

    global_pooling: bool = True
    """Whether there are branches that average over the whole image."""

    @property
    def sizes(self) -> Sizes:
        """Multiples of the stride of the encoder; its deepest features are halved three times."""
        stride = check_levels(self.encoder, 4, "pan").strides[-1]
        return Sizes(least=8 * stride, multiple=stride)

    @property
    def decoder_layers(self) -> tuple[str, ...]:
        """See :attr:`Segmenter.decoder_layers`."""
        return ("fpa", "gau3", "gau2", "gau1")

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        built = self.classifier(
            in_channels, num_classes, image_size, decoder_channels=self.width, encoder_output_stride=32, upsampling=1
        )
        if not self.global_pooling:
            decoder: Any = built.decoder
            decoder.fpa.branch1 = Constant(0.0)  # it is added
            for gate in (decoder.gau3, decoder.gau2, decoder.gau1):
                gate.conv1 = Constant(1.0)  # it is multiplied
        return built
