"""ResNet-34 with a convolution for its last layer, as Tjoa & Guan altered it."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from miso_gen.models.interfaces import MODELS
from miso_gen.models.residual import Residual


@MODELS.register("resnet34")
class ResNet34(Residual):
    """ResNet-34 as Tjoa & Guan altered it: a 1 x 1 convolution of the averaged features stands for the linear layer.

    Images were 512 px.

    ::

        {type: resnet34, weights: none}

    Source: Tjoa & Guan; He et al., Deep residual learning for image recognition, 2016.
    """

    source: ClassVar[str] = "Tjoa & Guan; He et al. 2016"
    published: ClassVar[str] = "resnet34.tv_in1k"

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        model: Any = super().build(in_channels, num_classes, image_size)
        model.global_pool = nn.AdaptiveAvgPool2d(1)
        model.fc = nn.Sequential(nn.Conv2d(model.num_features, num_classes, 1), nn.Flatten())
        return model
