"""Robustness to changes of colour, which a map should not mind."""

from __future__ import annotations

from math import inf
from typing import Annotated, ClassVar

from miso_gen.metrics.augmenting import AUGMENTATIONS, Augmentation, RobustnessMetric
from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, EmptyCases, Takes
from miso_gen.recipe.parameters import OneOf, chosen


@MODEL_METRICS.register("invariant-robustness")
class InvariantRobustness(RobustnessMetric):
    """Area under the similarity of the map with that of the recoloured image, over the area under the model's probability.

    Both curves are divided by their greatest value, and run from no change to both sides as long as at most ``fall`` of the
    probability is lost. 1: maps withstand what the model withstands. Undefined where the first change costs more, and, by most
    similarities, for constant maps.

    ::

        type: invariant-robustness
        augmentation: {type: hue, turns: 0.4}
        similarity: spearman

    Source: Tetkova & Hansen, Robustness of visual explanations to common data augmentation methods, 2023 (released code), where
    the mean curves over images decide; see :func:`~miso_gen.metrics.augmenting.robustness`.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (-inf, inf)
    takes: ClassVar[Takes] = "signed"
    moves: ClassVar[bool] = False
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None)
    source: ClassVar[str] = "Tetkova & Hansen 2023, code"

    augmentation: Annotated[Augmentation, OneOf(AUGMENTATIONS)] = chosen("brightness")
    """What is done to the images; one of colours."""
