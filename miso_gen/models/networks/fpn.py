"""Feature pyramid network as a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError
from torch import nn

from miso_gen.models.interfaces import MODELS
from miso_gen.models.segmenters import Segmenter
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from miso_gen.models.heatmaps import HeatmapClassifier

GROUPS = 32  #: of group normalisation


@MODELS.register("fpn")
class FeaturePyramid(Segmenter):
    """Feature pyramid network; heat maps have a quarter of the height and width of the image, logits are their greatest values.

    ``norm: batch`` is what PYLON compares with; ``group``, 32 groups as first published, classifies as well, but its heat maps
    are of no use. No dropout.

    ::

        {type: fpn, norm: batch}

    Source: Preechakul et al. 2022; Lin et al., Feature pyramid networks for object detection, 2017; Kirillov et al., Panoptic
    feature pyramid networks, 2019; network of segmentation-models-pytorch.
    """

    source: ClassVar[str] = "Preechakul et al. 2022; Lin et al. 2017; Kirillov et al. 2019"
    architecture: ClassVar[str] = "FPN"

    pyramid_channels: PositiveInt = 256
    """Channels of the pyramid."""

    segmentation_channels: PositiveInt = 128
    """Channels after the pyramid; a multiple of 32 for ``norm: group``."""

    norm: Literal["batch", "group"] = "batch"
    """Normalisation after the pyramid: ``batch``, or ``group`` of 32 groups."""

    @model_validator(mode="after")
    def _groups_divide_the_channels(self) -> Self:
        if self.norm == "group" and self.segmentation_channels % GROUPS:
            raise PydanticCustomError("expected", f"segmentation_channels of a multiple of {GROUPS} for norm: group")
        return self

    @property
    def decoder_layers(self) -> tuple[str, ...]:
        """See :attr:`Segmenter.decoder_layers`."""
        return ("p5", "p4", "p3", "p2", "")

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        built = self.classifier(
            in_channels,
            num_classes,
            image_size,
            decoder_pyramid_channels=self.pyramid_channels,
            decoder_segmentation_channels=self.segmentation_channels,
            decoder_dropout=0.0,
            upsampling=1,
        )
        return with_batch_norm(built) if self.norm == "batch" else built


def with_batch_norm(model: HeatmapClassifier) -> HeatmapClassifier:
    """Put batch in place of group normalisation in the decoder of a network, and return it."""
    for parent in list(model.decoder.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, nn.GroupNorm):
                setattr(parent, name, nn.BatchNorm2d(module.num_channels))
    return model
