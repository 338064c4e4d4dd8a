"""Independent parameter randomisation: whether maps change as the model forgets one stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, EmptyCases, Takes
from miso_gen.metrics.randomizing import RandomizationMetric, randomize, restored

if TYPE_CHECKING:
    from collections.abc import Generator

    from torch.nn import Module


@MODEL_METRICS.register("independent-randomization")
class IndependentRandomization(RandomizationMetric):
    """Mean similarity of the map with those of the model of which one stage at a time is randomised, the others being trained.

    Weights and biases of convolutions and linear layers are drawn anew, as torch starts them; normalisation stays. A map that
    does not depend on what was learned stays like itself. Stages whose map is such that the similarity is undefined don't count.

    ::

        type: independent-randomization
        stages: [fc, layer4, layer3, layer2, layer1]
        similarity: spearman

    Source: Adebayo et al., Sanity checks for saliency maps, 2018; You, who shows pictures.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    takes: ClassVar[Takes] = "signed"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None)
    source: ClassVar[str] = "Adebayo et al. 2018; You 2022"

    def randomized(self, stages: list[list[tuple[str, Module]]], seed: int) -> Generator[None, None, None]:
        """See :meth:`RandomizationMetric.randomized`."""
        for layers in stages:
            with restored(layers):
                for name, layer in layers:
                    randomize(name, layer, seed)
                yield
