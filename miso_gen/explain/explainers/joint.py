"""Joint maps: the mean of several explainers, each aligned to one distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from miso_gen.explain.calling import maps_of
from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, Subject
from miso_gen.explain.pooling import resized
from miso_gen.explain.scaling import scaled
from miso_gen.recipe.parameters import OneOf, chosen

if TYPE_CHECKING:
    from torch import Tensor

FINEST = 2.0**32  #: steps from 0 to the greatest value of a map; values within one have the same rank


@EXPLAINERS.register("joint")
class Joint(Explainer):
    """Mean of the maps of several explainers, at the size of the image, from 0 to 1.

    Values of one explainer are not comparable with those of another. By ``align: rank`` the value of each pixel becomes its rank
    among all pixels of the map, from 0 to 1, equal values sharing the mean of their ranks. The mean is scaled to [0, 1]. A
    constant map adds the same to every pixel.

    ::

        type: joint
        of: [{type: saliency}, {type: gradcam}]
        align: rank

    Source: Tetkova et al., aggregation of explanations with aligned distributions; ranks are our reading.
    """

    family: ClassVar[Family] = "joint"
    source: ClassVar[str] = "Tetkova et al."
    signed: ClassVar[bool] = False

    of: Annotated[tuple[Annotated[Explainer, OneOf(EXPLAINERS)], ...], Field(min_length=1)] = chosen(["saliency", "gradcam"])
    """Explainers, each with its parameters; which class is explained, and what its maps are called, is said here."""

    align: Literal["rank", "none"] = "rank"
    """Whether values become ranks, or stay as each explainer makes and scales them."""

    @field_validator("of")
    @classmethod
    def _say_nothing_of_the_whole(cls, value: tuple[Explainer, ...]) -> tuple[Explainer, ...]:
        for one in value:
            if one.name is not None or one.explains != "label" or one.scale.startswith("dataset"):
                raise PydanticCustomError(
                    "expected", "explainers without name and explains, which joint has itself, and not scaled by a data set"
                )
        return value

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        total = torch.zeros(len(subject.images), *subject.images.shape[-2:], dtype=torch.float64, device=subject.images.device)
        for one in self.of:
            large = resized(maps_of(one, subject).to(torch.float64), subject.images.shape[-2:])
            total += quantiles(large) if self.align == "rank" else large
        return scaled(total / len(self.of), "min-max")


def quantiles(maps: Tensor) -> Tensor:
    """Return the rank of each value within its map (B, h, w), float64 from 0 to 1; equal ones share the mean of their ranks."""
    flat = maps.flatten(1).to(torch.float64)
    size = flat.abs().amax(1, keepdim=True)
    flat = (flat / size.where(size > 0, 1.0) * FINEST).round()  # what only rounding tells apart is equal
    ordered = flat.sort(1).values
    below = torch.searchsorted(ordered, flat)
    up_to = torch.searchsorted(ordered, flat, right=True)
    ranks = (below + up_to - 1).to(torch.float64) / 2
    return (ranks / max(1, flat.shape[1] - 1)).reshape(maps.shape)
