"""Infidelity: how far the map is from telling what the model loses when the image changes."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.asking import AskingMetric, Output, answers, ask, reader
from miso_gen.metrics.disturbing import Changes
from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, Explained, Takes
from miso_gen.recipe.parameters import PositiveFloat, PositiveInt
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("infidelity")
class Infidelity(AskingMetric):
    """Mean over d of (sum_xy d E - (S(x) - S(x - d)))^2, E being the map, S the score of the class, d a change of the image.

    d is normal in each pixel, and the same in all channels, as a map has none: E is the sum over channels of what the explainer
    finds. The scale of the map counts. Every image gets the same draws d.

    ::

        type: infidelity
        samples: 100
        std: 0.1
        output: logit

    Source: Yeh et al., On the (in)fidelity and sensitivity of explanations, 2019, without its best scale.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, inf)
    takes: ClassVar[Takes] = "signed"
    source: ClassVar[str] = "Yeh et al. 2019"

    samples: PositiveInt = 100
    """Number of draws d."""

    std: PositiveFloat = 0.1
    """Standard deviation of d."""

    output: Output = "softmax"
    """What of the logits is the score of the class."""

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        images, maps, read = explained.images, explained.maps.to(torch.float64), reader(self.output)
        stream = Stream(explained.seed, "metrics", "infidelity")
        changes = Changes(len(images), self.samples, lambda sample: _change(stream.at(sample), images, self.std), images.device)
        owner = changes.owner
        told = torch.empty(len(owner), dtype=torch.float64, device=images.device)

        def made(some: slice) -> Tensor:
            mine, change = owner[some], changes[some]
            told[some] = (maps[mine] * change).sum((1, 2))
            return images[mine] - change[:, None]

        changed = ask(explained, owner, made, read)
        lost = answers(explained, images, read).repeat(self.samples) - changed
        return (told - lost).square().reshape(self.samples, len(images)).mean(0)


def _change(stream: Stream, images: Tensor, std: float) -> Tensor:
    """Return a change of an image, (H, W)."""
    shape = images.shape[2:]
    return (torch.from_numpy(stream.normals(shape.numel())).reshape(shape) * std).to(images.device, images.dtype)
