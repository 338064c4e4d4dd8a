"""Masked-out area: how much of an image must go until the model no longer sees the class."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from pydantic import Field

from miso_gen.metrics.asking import AskingMetric, Probability, answers, reader
from miso_gen.metrics.filling import BASELINES, Baseline
from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, Explained, Takes
from miso_gen.metrics.removal import places, replaced
from miso_gen.recipe.parameters import OneOf, UnitInterval, chosen

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("masked-out-area")
class MaskedOutArea(AskingMetric):
    """Share of the pixels that are removed, the highest of the map first, when the class is first no longer predicted.

    After step k, round(k x step x pixels) pixels are gone, halves up. The class is predicted while its probability is above the
    threshold. 1 where the prediction never flips; undefined where the class is not predicted to begin with. Of equal pixels, the
    first in rows goes first.

    ::

        type: masked-out-area
        step: 0.005
        output: sigmoid

    Source: PYLON, which sets pixels to zero; whether before or after normalisation it does not say.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "continuous"
    source: ClassVar[str] = "PYLON, masked-out area"

    step: Annotated[float, Field(gt=0, le=1)] = 0.005
    """Share of the pixels that go at a step."""

    threshold: UnitInterval = 0.5
    """Probability above which the class is predicted."""

    baseline: Annotated[Baseline, OneOf(BASELINES)] = chosen("zero")
    """What stands where pixels are removed."""

    output: Probability = "softmax"
    """What of the logits is the probability of the class."""

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        images, size = explained.images, explained.images.shape[-2] * explained.images.shape[-1]
        put, place, read = self.baseline.fill(images), places(explained.maps), reader(self.output)
        first = answers(explained, images, read)
        found = torch.full_like(first, nan).where(~(first > self.threshold), 1.0)
        left = (first > self.threshold).nonzero()[:, 0]
        counts = self.counts(size)
        while counts and len(left):
            # Images that still show the class are asked of as many steps as fill a batch.
            some, counts = counts[: max(1, explained.batch // len(left))], counts[max(1, explained.batch // len(left)) :]
            number = torch.tensor(some, dtype=torch.int64, device=images.device)
            owner = left.repeat_interleave(len(some))
            score = replaced(explained, put, place, owner, number.repeat(len(left)), read).reshape(len(left), len(some))
            flipped = ~(score > self.threshold)
            step = flipped.to(torch.uint8).argmax(1)
            is_out = flipped.any(1)
            found[left[is_out]] = number[step[is_out]].to(torch.float64) / size
            left = left[~is_out]
        return found

    def counts(self, size: int) -> list[int]:
        """Return how many of ``size`` pixels are gone after each step, to all of them."""
        counts, k = [0], 0
        while counts[-1] < size:
            k += 1
            count = min(int(k * self.step * size + 0.5), size)
            if count > counts[-1]:
                counts.append(count)
        return counts[1:]
