"""ResNeXt-50 (32x4d)."""

from __future__ import annotations

from typing import ClassVar

from miso_gen.models.interfaces import MODELS
from miso_gen.models.residual import Residual


@MODELS.register("resnext50")
class ResNeXt50(Residual):
    """ResNeXt-50 (32x4d): bottlenecks of 32 groups of 4 channels, 3, 4, 6 and 3 in four stages.

    ::

        {type: resnext50, weights: none}

    Source: You; Xie et al., Aggregated residual transformations for deep neural networks, 2017.
    """

    source: ClassVar[str] = "You; Xie et al. 2017"
    published: ClassVar[str] = "resnext50_32x4d.a1h_in1k"
