"""The baseline of PYLON: class activation maps that are pooled to logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import nn

from miso_gen.models.encoders import Encoder, check_levels, encoder_weights
from miso_gen.models.heatmaps import Deepest, HeatmapClassifier
from miso_gen.models.interfaces import MODELS, Heatmaps, Network, Reads
from miso_gen.models.parts import hookable
from miso_gen.models.sizes import Sizes

if TYPE_CHECKING:
    from miso_gen.models.weights import Pretrained


@MODELS.register("cam")
class Cam(Network):
    """Class activation maps that are pooled: the logit of a class is the greatest value of its heat map.

    A 1 x 1 convolution makes heat maps of the deepest features, of 1/32 of the height and width of the image. CAM as first
    published averages; PYLON compares with the maximum.

    ::

        {type: cam, encoder: resnet50.tv_in1k}

    Source: Preechakul et al., Improved image classification explainability with high-accuracy heatmaps, 2022; Zhou et al.,
    Learning deep features for discriminative localization, 2016.
    """

    reads: ClassVar[tuple[Reads, ...]] = ("image", "patch")
    source: ClassVar[str] = "Preechakul et al. 2022; Zhou et al. 2016"
    heatmap: ClassVar[Heatmaps] = "classes"

    encoder: str = "resnet50.tv_in1k"
    """Any network of timm with feature maps; a name after the dot is that of the weights that are fetched."""

    @property
    def sizes(self) -> Sizes:
        """Multiples of the stride of the encoder."""
        stride = check_levels(self.encoder, 1, "cam").strides[-1]
        return Sizes(least=stride, multiple=stride)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The deepest level of the encoder."""
        return check_levels(self.encoder, 1, "cam").named(1)

    @property
    def head(self) -> tuple[str, ...]:
        """See :attr:`Network.head`."""
        return ("head",)

    @property
    def pretrained(self) -> Pretrained:
        """ImageNet weights of the encoder."""
        return encoder_weights(self.encoder, fresh=("head",))

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        encoder = Encoder(self.encoder, in_channels, image_size)
        return hookable(HeatmapClassifier(encoder, Deepest(), nn.Conv2d(encoder.channels[-1], num_classes, 1)))
