"""SK-ResNeXt-50 (32x4d), with dropout after every block where wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import nn
from torch.nn.functional import dropout

from miso_gen.models.interfaces import MODELS
from miso_gen.models.residual import Residual

if TYPE_CHECKING:
    from torch import Tensor


class BlockDropout(nn.Module):
    """Dropout of single values, in training mode or in either mode.

    Args:
        share: Chance that a value becomes 0; the others are scaled by 1 / (1 - share).
        always: Whether in evaluation mode too.
    """

    def __init__(self, share: float, always: bool) -> None:
        super().__init__()
        self.share = share
        self.always = always

    def forward(self, values: Tensor) -> Tensor:
        """Return values with some of them dropped, same shape."""
        return dropout(values, self.share, self.training or self.always)

    def extra_repr(self) -> str:
        """What ``print(model)`` shows."""
        return f"share={self.share}, always={self.always}"


@MODELS.register("sk-resnext50")
class SKResNeXt50(Residual):
    """SK-ResNeXt-50 (32x4d): ResNeXt-50 whose grouped convolutions choose between two receptive fields.

    You trained it once more with ``dropout: 0.1`` after every block, active in evaluation too, and averaged ten passes of each
    image; such a network gives other logits every time.

    ::

        {type: sk-resnext50, dropout: 0.1, dropout_in: always}

    Source: You; Li et al., Selective kernel networks, 2019.
    """

    source: ClassVar[str] = "You; Li et al. 2019"
    published: ClassVar[str] = "skresnext50_32x4d.ra_in1k"

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Chance that a value of the output of a block becomes 0."""

    dropout_in: Literal["training", "always"] = "training"
    """When values are dropped: in training mode, or in evaluation mode too."""

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        model: Any = super().build(in_channels, num_classes, image_size)
        if self.dropout:
            for block in (block for stage in self.feature_layers for block in model.get_submodule(stage)):
                block.act = nn.Sequential(block.act, BlockDropout(self.dropout, self.dropout_in == "always"))
        return model
