"""Max-sensitivity: how much the map changes, at most, when the image changes a little."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from miso_gen.metrics.asking import AskingMetric, explain_again
from miso_gen.metrics.disturbing import Changes
from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, EmptyCases, Explained, Need, Takes
from miso_gen.recipe.parameters import PositiveFloat, PositiveInt
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("max-sensitivity")
class MaxSensitivity(AskingMetric):
    """max over d of ||E(x + d) - E(x)|| / ||E(x)||, E being the map, d uniform in [-radius, radius] in each pixel and channel.

    Norms are Euclidean. Every image gets the same draws d. Undefined where the norm below is 0. Nothing is cut to the range of
    the image.

    ::

        type: max-sensitivity
        samples: 200
        radius: 0.2

    Source: Yeh et al., On the (in)fidelity and sensitivity of explanations, 2019, without the division; Quantus, for the numbers
    and ``relative_to: image`` (in its older versions).
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, inf)
    takes: ClassVar[Takes] = "signed"
    needs: ClassVar[frozenset[Need]] = frozenset({"explain"})
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None, blank_map=nan)
    sized: ClassVar[bool] = False
    source: ClassVar[str] = "Yeh et al. 2019"

    samples: PositiveInt = 200
    """Number of draws d."""

    radius: PositiveFloat = 0.2
    """Greatest change of a value of the image."""

    relative_to: Literal["map", "image", "nothing"] = "map"
    """Norm that the change is divided by: that of the map, of the image, or 1."""

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        images, maps = explained.images, explained.maps.to(torch.float64)
        stream = Stream(explained.seed, "metrics", "max-sensitivity")
        changes = Changes(len(images), self.samples, lambda sample: _noise(stream.at(sample), images, self.radius), images.device)
        most = torch.zeros(len(images), dtype=torch.float64, device=images.device)
        owner = changes.owner
        for some, changed in explain_again(explained, owner, lambda some: images[owner[some]] + changes[some]):
            mine = owner[some]
            most = most.scatter_reduce(0, mine, _norm(changed - maps[mine]), "amax")
        if self.relative_to == "nothing":
            return most
        norm = _norm(maps if self.relative_to == "map" else images.to(torch.float64))
        return (most / norm).where(norm > 0, nan)


def _noise(stream: Stream, images: Tensor, radius: float) -> Tensor:
    """Return a change of an image, (C, H, W), uniform in [-radius, radius)."""
    shape = images.shape[1:]
    drawn = torch.from_numpy(stream.uniforms(shape.numel())).reshape(shape)
    return ((2 * drawn - 1) * radius).to(images.device, images.dtype)


def _norm(values: Tensor) -> Tensor:
    return values.flatten(1).norm(dim=1)
