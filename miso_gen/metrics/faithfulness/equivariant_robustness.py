"""Robustness to movements of the image, which a map should follow."""

from __future__ import annotations

from math import inf
from typing import Annotated, ClassVar

from miso_gen.metrics.augmenting import AUGMENTATIONS, Augmentation, RobustnessMetric
from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, EmptyCases, Takes
from miso_gen.recipe.parameters import OneOf, chosen


@MODEL_METRICS.register("equivariant-robustness")
class EquivariantRobustness(RobustnessMetric):
    """Area under the similarity of the moved map with the map of the moved image, over the area under the model's probability.

    Pixels that come from outside of the image don't count. Both curves are divided by their greatest value, and run from no
    change to both sides as long as at most ``fall`` of the probability is lost. 1: maps follow as far as the model does.
    Undefined where the first change costs more, and, by most similarities, for constant maps.

    ::

        type: equivariant-robustness
        augmentation: {type: translation, share: 0.4, axis: x}
        similarity: {type: top-k, k: 1000}

    Source: Tetkova & Hansen, Robustness of visual explanations to common data augmentation methods, 2023 (released code), where
    the mean curves over images decide; see :func:`~miso_gen.metrics.augmenting.robustness`.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (-inf, inf)
    takes: ClassVar[Takes] = "signed"
    moves: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None)
    source: ClassVar[str] = "Tetkova & Hansen 2023, code"

    augmentation: Annotated[Augmentation, OneOf(AUGMENTATIONS)] = chosen("rotation")
    """What is done to the images; one that moves pixels."""
