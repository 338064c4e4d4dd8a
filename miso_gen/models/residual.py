"""What the residual networks of timm share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from miso_gen.models.interfaces import Network, Reads
from miso_gen.models.libraries import library
from miso_gen.models.parts import hookable
from miso_gen.models.sizes import Sizes
from miso_gen.models.weights import Pretrained

if TYPE_CHECKING:
    from torch import nn


class Residual(Network):
    """A residual network of timm: four stages, global average, one linear layer. A plug-in names it."""

    reads: ClassVar[tuple[Reads, ...]] = ("image", "patch")
    published: ClassVar[str]  #: name of architecture and weights in timm

    @property
    def sizes(self) -> Sizes:
        """See :attr:`Network.sizes`."""
        return Sizes(least=32)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The output of each stage, at 1/4, 1/8, 1/16 and 1/32 of the size of images."""
        return ("layer1", "layer2", "layer3", "layer4")

    @property
    def head(self) -> tuple[str, ...]:
        """See :attr:`Network.head`."""
        return ("fc",)

    @property
    def pretrained(self) -> Pretrained:
        """ImageNet weights of timm."""
        return Pretrained("timm", self.published, fresh=self.head)

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        timm: Any = library("timm", f"the model {self.type_name}")
        model: nn.Module = timm.create_model(self.published.partition(".")[0], in_chans=in_channels, num_classes=num_classes)
        return hookable(model)
