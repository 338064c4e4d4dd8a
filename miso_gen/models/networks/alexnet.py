"""AlexNet with the LeakyReLU classifier that Tjoa & Guan put on it."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from miso_gen.models.interfaces import MODELS, Network, Reads
from miso_gen.models.parts import Stacked
from miso_gen.models.sizes import Sizes
from miso_gen.models.weights import Pretrained


@MODELS.register("alexnet")
class AlexNet(Network):
    """AlexNet as Tjoa & Guan altered it: dropout and LeakyReLU in the classifier, 9216 - 4096 - 4096 - classes.

    The convolutions are those of torchvision, of 64 to 384 channels. Images were 224 px.

    ::

        {type: alexnet, weights: none}

    Source: Tjoa & Guan; Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014.
    """

    reads: ClassVar[tuple[Reads, ...]] = ("image", "patch")
    source: ClassVar[str] = "Tjoa & Guan; Krizhevsky 2014"

    @property
    def sizes(self) -> Sizes:
        """See :attr:`Network.sizes`."""
        return Sizes(least=63)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The activations of the five convolutions."""
        return ("features.1", "features.4", "features.7", "features.9", "features.11")

    @property
    def head(self) -> tuple[str, ...]:
        """See :attr:`Network.head`."""
        return ("classifier.6",)

    @property
    def pretrained(self) -> Pretrained:
        """ImageNet weights of torchvision, of the convolutions."""
        return Pretrained("torchvision", "alexnet", fresh=("classifier",))

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        features = nn.Sequential(
            nn.Conv2d(in_channels, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(256 * 6 * 6, 4096),
            nn.LeakyReLU(),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.LeakyReLU(),
            nn.Linear(4096, num_classes),
        )
        return Stacked(features, nn.AdaptiveAvgPool2d((6, 6)), classifier)
