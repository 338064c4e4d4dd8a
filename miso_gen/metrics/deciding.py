"""From what a network says of patches to the class of the image: the family of decision rules.

``miso_gen/metrics/decisions`` has one file for each of the six rules of MISO: the rule over the cells that a patch covers, and as
``legacy`` what the released code computes. Cells without a patch are nan, so that maps of images of different sizes can be
padded with nan below and at the right, and stacked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final

import torch
from torch.nn.functional import pad

from miso_gen.errors import InputError
from miso_gen.recipe.plugins import Plugin
from miso_gen.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.patch_maps import PredictionMaps

UNDECIDED: Final = -1  #: class of an image of which no patch was kept


class Decision(Plugin, ABC):
    """A rule that makes the probability of class 1 of an image from its maps.

    A plug-in writes :meth:`probability`. A corrected rule takes maps of
    :func:`~miso_gen.metrics.patch_maps.prediction_maps`, a ``legacy`` one those of ``legacy_prediction_maps``.
    """

    source: ClassVar[str]  #: paper, and equation or section
    legacy: ClassVar[bool] = False  #: whether it repeats released code where that differs

    @abstractmethod
    def probability(self, maps: PredictionMaps) -> Tensor:
        """Return the probability of class 1 of each image, (...) float64.

        Corrected rules: in [0, 1], nan for an image without any covered cell. Legacy rules may leave [0, 1].

        Args:
            maps: Each (..., rows, cols) floating.

        Raises:
            InputError: The maps are of the other kind, or their shapes differ.
        """


def decide(probability: Tensor) -> Tensor:
    """Return the class of each image, (...) int64: 1 where the probability is at least 0.5, else 0; -1 where it is nan."""
    return (probability >= 0.5).to(torch.int64).where(~probability.isnan(), UNDECIDED)


def probabilities(maps: PredictionMaps) -> Tensor:
    """Return the PCM of corrected rules, (..., rows, cols) float64: in [0, 1], nan where there is no patch.

    Raises:
        InputError: The maps are legacy ones, or their shapes differ.
    """
    pcm = _checked(maps)
    if bool(((pcm < 0) | (pcm > 1)).any()):
        raise InputError("pcm must hold probabilities in [0, 1], got other values. Legacy maps need a legacy rule.")
    return pcm.to(torch.float64)


def legacy_probabilities(maps: PredictionMaps) -> Tensor:
    """Return the PCM as legacy rules read it, (..., rows, cols) float64: p, or 1 + p where that is negative.

    The released code writes this over the map before the second rule, which changes nothing: the first reads the map as it was,
    and what is not negative stays.

    Raises:
        InputError: The maps have nan, leave [-1, 1], or their shapes differ.
    """
    pcm = _checked(maps).to(torch.float64)
    if not bool(((pcm >= -1) & (pcm <= 1)).all()):
        raise InputError("pcm must be the signed map of legacy_prediction_maps, in [-1, 1], got nan or other values.")
    return torch.where(pcm < 0, 1.0 + pcm, pcm)


def blocks(map: Tensor, size: int, fill: float) -> Tensor:
    """Return maps (..., rows, cols) as blocks of size x size cells from the upper left, (..., blocks, size x size).

    What is missing at the right and below is ``fill``.
    """
    rows, cols = map.shape[-2:]
    padded = pad(map, (0, -cols % size, 0, -rows % size), value=fill)
    tall, wide = padded.shape[-2] // size, padded.shape[-1] // size
    cut = padded.reshape(*map.shape[:-2], tall, size, wide, size)
    return cut.transpose(-3, -2).reshape(*map.shape[:-2], tall * wide, size * size)


def _checked(maps: PredictionMaps) -> Tensor:
    if maps.pcm.ndim < 2 or not maps.pcm.shape[-1] * maps.pcm.shape[-2] or maps.ppm.shape != maps.pcm.shape:
        raise InputError(
            f"ppm and pcm must have one shape (..., rows, cols), got {tuple(maps.ppm.shape)} and {tuple(maps.pcm.shape)}."
        )
    return maps.pcm


DECISIONS: Registry[Decision] = Registry("decision rule", "miso_gen.metrics.decisions", "miso_gen.metrics.decisions")
