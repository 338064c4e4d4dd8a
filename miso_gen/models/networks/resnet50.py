"""ResNet-50."""

from __future__ import annotations

from typing import ClassVar

from miso_gen.models.interfaces import MODELS
from miso_gen.models.residual import Residual


@MODELS.register("resnet50")
class ResNet50(Residual):
    """ResNet-50: bottlenecks, 3, 4, 6 and 3 in four stages.

    ::

        {type: resnet50, weights: none}

    Source: You; He et al., Deep residual learning for image recognition, 2016.
    """

    source: ClassVar[str] = "You; He et al. 2016"
    published: ClassVar[str] = "resnet50.a1_in1k"
