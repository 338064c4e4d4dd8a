"""Scores of what a map keeps of an image, the rest being removed."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Annotated

import torch

from miso_gen.metrics.asking import LEAST, AskingMetric, Probability, answers, reader
from miso_gen.metrics.filling import BASELINES, Baseline
from miso_gen.metrics.interfaces import MAP_BINARIZERS, Explained, MapBinarizer
from miso_gen.recipe.parameters import OneOf, chosen

if TYPE_CHECKING:
    from torch import Tensor


class KeepingMetric(AskingMetric):
    """A score of the image where only some of it is kept. A plug-in writes ``scored`` with :meth:`kept`."""

    binarize: Annotated[MapBinarizer, OneOf(MAP_BINARIZERS)] = chosen("mean-std")
    """What makes the mask."""

    baseline: Annotated[Baseline, OneOf(BASELINES)] = chosen("zero")
    """What stands outside of what is kept."""

    output: Probability = "softmax"
    """What of the logits is the probability of the class."""

    def kept(self, explained: Explained, mask: Tensor) -> Tensor:
        """Return the probability of the class of images of which only a mask (B, H, W) bool is kept, (B,) float64."""
        images = torch.where(mask[:, None], explained.images, self.baseline.fill(explained.images))
        return answers(explained, images, reader(self.output))


class WeighingMetric(AskingMetric):
    """A score of the image times its map."""

    output: Probability = "softmax"
    """What of the logits is the probability of the class."""

    def weighed(self, explained: Explained) -> Tensor:
        """Return the probability of the class of images times max(map, 0), (B,) float64."""
        images = explained.images * explained.maps.clamp(min=0)[:, None].to(explained.images.dtype)
        return answers(explained, images, reader(self.output))


def drop(whole: Tensor, kept: Tensor) -> Tensor:
    """Return max(0, S - S of what is kept) / S, (B,) float64; nan where S < 1e-8."""
    return ((whole - kept).clamp(min=0) / whole).where(whole >= LEAST, nan)
