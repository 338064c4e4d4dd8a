"""PYLON: a classifier whose decoder keeps the accurate places of early features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own habit

from miso_gen.models.encoders import Encoder, check_levels, encoder_weights
from miso_gen.models.heatmaps import HeatmapClassifier, initialize
from miso_gen.models.interfaces import MODELS, Heatmaps, Network, Reads
from miso_gen.models.parts import hookable
from miso_gen.models.sizes import Sizes
from miso_gen.recipe.parameters import PositiveInt, Whole

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.models.weights import Pretrained


def block(kernel: int, in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a convolution that keeps height and width, batch normalisation and ReLU."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU())


def resized(maps: Tensor, like: Tensor) -> Tensor:
    """Return maps (B, C, h, w) at the height and width of another tensor, bilinear, corners on corners."""
    return F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=True)


class PyramidAttention(nn.Module):
    """Features, times a mask of one channel that three coarser scales of them vote on.

    The source scales by 2; sizes are explicit here, which is the same where height and width are multiples of 8.

    Args:
        in_channels: Channels of the deepest features.
        width: Channels of what comes out.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.main = block(1, in_channels, width)
        kernels = (7, 5, 3)
        self.down = nn.ModuleList(block(kernel, one, 1) for kernel, one in zip(kernels, (in_channels, 1, 1), strict=True))
        self.side = nn.ModuleList(block(kernel, 1, 1) for kernel in kernels)

    def mask(self, features: Tensor) -> Tensor:
        """Return the mask (B, 1, h, w) of features (B, C, h, w), at least 0, without an upper end."""
        scales = [features]
        for down in self.down:
            scales.append(down(F.max_pool2d(scales[-1], 2)))
        above: Tensor | None = None
        for side, finer, coarse in zip(reversed(self.side), scales[-2::-1], scales[:0:-1], strict=True):
            votes = side(coarse)
            above = resized(votes if above is None else votes + above, finer)
        assert above is not None  # there are three scales
        return above

    def forward(self, features: Tensor) -> Tensor:
        """Return masked features (B, width, h, w) of features (B, C, h, w)."""
        return self.main(features) * self.mask(features)


class Up(nn.Module):
    """Finer features beside the resized output of the level below: their sum, without an activation.

    Args:
        in_channels: Channels of the finer features.
        width: Channels of what comes out.
        small: One block in place of two.
        kernel: Of the convolutions, 1 or 3.
    """

    def __init__(self, in_channels: int, width: int, small: bool, kernel: int) -> None:
        super().__init__()
        first = [] if small else [block(kernel, in_channels, in_channels)]
        self.skip = nn.Sequential(*first, block(kernel, in_channels, width))

    def forward(self, finer: Tensor, below: Tensor) -> Tensor:
        """Return (B, width, h, w) of finer features (B, C, h, w) and (B, width, h', w')."""
        return self.skip(finer) + resized(below, finer)


class Decoder(nn.Module):
    """The deepest features, then those of finer levels, one after the other.

    Args:
        channels: Of the features, from the finest level to the deepest.
        width: Channels of what comes out.
        pyramid: Whether the deepest features get their mask.
        small: One block in place of two in each upsampling.
        kernel: Of the convolutions in each upsampling.
    """

    def __init__(self, channels: tuple[int, ...], width: int, pyramid: bool, small: bool, kernel: int) -> None:
        super().__init__()
        *fine, deepest = channels
        self.bottom = PyramidAttention(deepest, width) if pyramid else block(1, deepest, width)
        self.ups = nn.ModuleList(Up(wide, width, small, kernel) for wide in reversed(fine))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return (B, width, h, w), as fine as the finest of the features."""
        maps: Tensor = self.bottom(features[-1])
        for up, finer in zip(self.ups, reversed(features[:-1]), strict=True):
            maps = up(finer, maps)
        return maps


@MODELS.register("pylon")
class Pylon(Network):
    """PYLON: a heat map of a quarter of the height and width of the image, whose greatest value is the logit.

    Pyramid attention over the deepest features, then three upsamplings; 25,478,741 parameters with one channel and 14 classes.
    The source takes multiples of 256 px, as it scales maps by 2; here any multiple of 32 px from 256 px goes, with the same
    result for multiples of 256. Batches for training must have two images or more: at 256 px the coarsest scale is one pixel.

    ::

        {type: pylon, encoder: resnet50.tv_in1k, n_up: 3}

    Source: Preechakul et al., Improved image classification explainability with high-accuracy heatmaps, 2022.
    """

    reads: ClassVar[tuple[Reads, ...]] = ("image", "patch")
    source: ClassVar[str] = "Preechakul et al. 2022"
    heatmap: ClassVar[Heatmaps] = "classes"

    encoder: str = "resnet50.tv_in1k"
    """Any network of timm with features at several strides; a name after the dot is that of the weights that are fetched."""

    n_up: Annotated[int, Field(ge=0, le=3), Whole] = 3
    """Upsamplings: heat maps have 1/4, 1/8, 1/16 or 1/32 of the height and width of the image for 3, 2, 1, 0."""

    width: PositiveInt = 128
    """Channels of the decoder."""

    pyramid: bool = True
    """Whether there is pyramid attention. Without it smaller images go: from 32 px."""

    small: bool = False
    """Whether an upsampling has one block in place of two."""

    up_kernel: Literal[1, 3] = 1
    """Kernel of the convolutions in an upsampling."""

    head_kernel: Literal[1, 3] = 1
    """Kernel of the head."""

    @property
    def sizes(self) -> Sizes:
        """Multiples of the stride of the encoder; pyramid attention halves the deepest features three times."""
        stride = check_levels(self.encoder, self.n_up + 1, "pylon").strides[-1]
        return Sizes(least=8 * stride if self.pyramid else stride, multiple=stride)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """Levels of the encoder, then what each step of the decoder gives."""
        encoder = check_levels(self.encoder, self.n_up + 1, "pylon").named(self.n_up + 1)
        return (*encoder, "decoder.bottom", *(f"decoder.ups.{number}" for number in range(self.n_up)))

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
        encoder = Encoder(self.encoder, in_channels, image_size, self.n_up + 1)
        decoder = Decoder(encoder.channels, self.width, self.pyramid, self.small, self.up_kernel)
        head = nn.Conv2d(self.width, num_classes, self.head_kernel, padding=self.head_kernel // 2)
        initialize(decoder, head)
        return hookable(HeatmapClassifier(encoder, decoder, head))
