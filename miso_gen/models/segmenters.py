"""Networks of segmentation-models-pytorch as classifiers: the greatest value of each class's map is its logit."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from miso_gen.errors import InputError
from miso_gen.models.encoders import check_levels, encoder_weights, explained, size_option
from miso_gen.models.heatmaps import HeatmapClassifier
from miso_gen.models.interfaces import Heatmaps, Network, Reads
from miso_gen.models.libraries import library
from miso_gen.models.parts import hookable
from miso_gen.models.sizes import Sizes

if TYPE_CHECKING:
    from torch import nn

    from miso_gen.models.weights import Pretrained

_LEVELS = 4  #: feature maps that every decoder reads, at strides 4, 8, 16, 32


class Segmenter(Network):
    """Parameters that every network of this kind has; a plug-in says its class, its options and its decoder's layers."""

    reads: ClassVar[tuple[Reads, ...]] = ("image", "patch")
    heatmap: ClassVar[Heatmaps] = "classes"
    architecture: ClassVar[str]  #: name of the class in segmentation-models-pytorch

    encoder: str = "resnet50.tv_in1k"
    """Network of timm with features at strides 4, 8, 16, 32; a name after the dot is that of the weights that are fetched."""

    @property
    def sizes(self) -> Sizes:
        """Multiples of the stride of the encoder."""
        stride = check_levels(self.encoder, _LEVELS, self.type_name).strides[-1]
        return Sizes(least=stride, multiple=stride)

    @property
    @abstractmethod
    def decoder_layers(self) -> tuple[str, ...]:
        """Names of the feature layers in the decoder, from the deepest to the output; an empty one is the decoder itself."""

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """Levels of the encoder, then those of the decoder."""
        levels = check_levels(self.encoder, _LEVELS, self.type_name)
        found = tuple(name for name in levels.layers[-_LEVELS:] if name is not None)
        return (*found, *(f"decoder.{name}" if name else "decoder" for name in self.decoder_layers))

    @property
    def head(self) -> tuple[str, ...]:
        """See :attr:`Network.head`."""
        return ("head",)

    @property
    def pretrained(self) -> Pretrained:
        """ImageNet weights of the encoder."""
        return encoder_weights(self.encoder, fresh=("decoder", "head"))

    def classifier(self, in_channels: int, num_classes: int, image_size: tuple[int, int], **options: Any) -> HeatmapClassifier:
        """Return the classifier, with options of its architecture; no module overwrites its input.

        Raises:
            InputError: The encoder doesn't fit.
        """
        if check_levels(self.encoder, _LEVELS, self.type_name).channels_last:
            raise InputError(
                f"encoder of {self.type_name} must compute with (B, channels, h, w), got {self.encoder!r}. "
                "Take another one, such as resnet50, or pylon, which takes any."
            )
        smp = library("segmentation_models_pytorch", f"model {self.type_name}")
        with explained(self.encoder, f", for {self.type_name} on images of {image_size[0]} x {image_size[1]} px"):
            net = getattr(smp, self.architecture)(
                f"tu-{self.encoder}",
                encoder_weights=None,
                in_channels=in_channels,
                classes=num_classes,
                feature_cls="getter",  # weights of the encoder keep timm's names
                **options,
                **size_option(self.encoder, image_size),
            )
        built: nn.Module = hookable(HeatmapClassifier(net.encoder, net.decoder, net.segmentation_head))
        assert isinstance(built, HeatmapClassifier)  # the same object
        return built
