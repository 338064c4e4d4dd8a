"""VGG-19 without normalisation: the widened form for small patches, and the standard one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from torch import nn

from miso_gen.models.interfaces import MODELS, Network, Reads
from miso_gen.models.parts import Stacked, convolutions, last_activations
from miso_gen.models.sizes import Sizes
from miso_gen.models.weights import Pretrained

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDE = ((128, 128), (256, 256), (256,) * 4, (512,) * 4, (512,) * 4)  #: channels of the convolutions of each block
STANDARD = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)


@MODELS.register("vgg19")
class VGG19(Network):
    """VGG-19 as MISO trained it on patches.

    ``wide``: the first two blocks are twice as wide, the linear layers see the last map as it is, weights start as torch starts
    them; 56,761,218 parameters at 96 px with one channel and two classes. ``standard``: the network of the VGG paper, whose
    last map is averaged to 7 x 7; convolutions start Kaiming normal, linear layers N(0, 0.01).

    ::

        {type: vgg19, form: wide}

    Source: MISO; Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, 2015.
    """

    reads: ClassVar[tuple[Reads, ...]] = ("patch", "image")
    source: ClassVar[str] = "MISO; Simonyan and Zisserman 2015"

    form: Literal["wide", "standard"] = "wide"
    """``wide``, which MISO took for patches of 96 px, or ``standard``, for 224 px."""

    @property
    def blocks(self) -> Sequence[Sequence[int]]:
        """Channels of the convolutions of each block."""
        return WIDE if self.form == "wide" else STANDARD

    @property
    def sizes(self) -> Sizes:
        """See :attr:`Network.sizes`."""
        return Sizes(least=32, multiple=32 if self.form == "wide" else 1)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The last activation of each block, at 1, 1/2, 1/4, 1/8 and 1/16 of the size of images."""
        return last_activations(self.blocks)

    @property
    def head(self) -> tuple[str, ...]:
        """See :attr:`Network.head`."""
        return ("classifier.6",)

    @property
    def pretrained(self) -> Pretrained | None:
        """ImageNet weights of torchvision, of the standard form."""
        return Pretrained("torchvision", "vgg19", fresh=self.head) if self.form == "standard" else None

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        wide = self.form == "wide"
        rows, cols = (image_size[0] // 32, image_size[1] // 32) if wide else (7, 7)
        classifier = nn.Sequential(
            nn.Linear(512 * rows * cols, 4096),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(4096, num_classes),
        )
        features = convolutions(in_channels, self.blocks)
        if wide:
            return Stacked(features, nn.Identity(), classifier, only=image_size)
        model = Stacked(features, nn.AdaptiveAvgPool2d((7, 7)), classifier)
        model.apply(_start)
        return model


def _start(module: nn.Module) -> None:
    """Draw the weights of a layer of the standard form."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, 0.01)
    else:
        return
    assert module.bias is not None  # all of them have one
    nn.init.zeros_(module.bias)
