"""VGG-16 with the shorter classifier that Tjoa & Guan put on it."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from miso_gen.models.interfaces import MODELS, Network, Reads
from miso_gen.models.parts import Stacked, convolutions, last_activations
from miso_gen.models.sizes import Sizes
from miso_gen.models.weights import Pretrained

BLOCKS = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)  #: channels of the convolutions of each block


@MODELS.register("vgg16")
class VGG16(Network):
    """VGG-16 as Tjoa & Guan altered it: dropout and LeakyReLU around two linear layers, 25088 - 4096 - classes.

    There is a LeakyReLU after the output too, as in the released code: negative logits are divided by 100. Images were
    224 px.

    ::

        {type: vgg16, weights: none}

    Source: Tjoa & Guan; Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, 2015.
    """

    reads: ClassVar[tuple[Reads, ...]] = ("image", "patch")
    source: ClassVar[str] = "Tjoa & Guan; Simonyan and Zisserman 2015"

    @property
    def sizes(self) -> Sizes:
        """See :attr:`Network.sizes`."""
        return Sizes(least=32)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The last activation of each block, at 1, 1/2, 1/4, 1/8 and 1/16 of the size of images."""
        return last_activations(BLOCKS)

    @property
    def head(self) -> tuple[str, ...]:
        """See :attr:`Network.head`."""
        return ("classifier.4",)

    @property
    def pretrained(self) -> Pretrained:
        """ImageNet weights of torchvision, of the convolutions."""
        return Pretrained("torchvision", "vgg16", fresh=("classifier",))

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(512 * 7 * 7, 4096),
            nn.LeakyReLU(),
            nn.Dropout(0.5),
            nn.Linear(4096, num_classes),
            nn.LeakyReLU(),
        )
        return Stacked(convolutions(in_channels, BLOCKS), nn.AdaptiveAvgPool2d((7, 7)), classifier)
