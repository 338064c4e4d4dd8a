"""Confidence drop: what the model loses without the pixels that stand out in the map."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch

from miso_gen.metrics.asking import LEAST, AskingMetric, Output, answers, reader
from miso_gen.metrics.filling import BASELINES, Baseline
from miso_gen.metrics.interfaces import MAP_BINARIZERS, MODEL_METRICS, Direction, EmptyCases, Explained, MapBinarizer, Takes
from miso_gen.recipe.parameters import OneOf, chosen

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("confidence-drop")
class ConfidenceDrop(AskingMetric):
    """(S - S without the mask) / S, S being the score of the class: the mask of the map is covered by the baseline.

    Negative where the class gains. At most 1 for probabilities; any number for logits. A blank mask drops nothing: 0. Undefined
    where S < 1e-8.

    ::

        type: confidence-drop
        binarize: mean-std
        baseline: {type: value, value: [0.485, 0.456, 0.406]}

    Source: You, confidence drop, where the baseline is the mean of the data set; ours by default is that of the image.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (-inf, 1.0)
    takes: ClassVar[Takes] = "continuous"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None, blank_map=0.0, constant_map=0.0)
    source: ClassVar[str] = "You 2022"

    binarize: Annotated[MapBinarizer, OneOf(MAP_BINARIZERS)] = chosen("mean-std")
    """What makes the mask."""

    baseline: Annotated[Baseline, OneOf(BASELINES)] = chosen("mean")
    """What covers the mask."""

    output: Output = "softmax"
    """What of the logits is the score of the class."""

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        read = reader(self.output)
        whole = answers(explained, explained.images, read)
        covered = answers(explained, self.covered(explained), read)
        return ((whole - covered) / whole).where(whole >= LEAST, nan)

    def covered(self, explained: Explained) -> Tensor:
        """Return the images under their masks, (B, C, H, W)."""
        mask = self.binarize.binarize(explained.maps)
        return torch.where(mask[:, None], self.baseline.fill(explained.images), explained.images)


@MODEL_METRICS.register("confidence-drop-legacy")
class ConfidenceDropLegacy(AskingMetric):
    """Confidence drop of logits, where the covered image counts with its greatest logit, of whatever class.

    Undefined where the logit of the class is 0.

    ::

        type: confidence-drop-legacy
        binarize: mean-std
        baseline: {type: value, value: [0.485, 0.456, 0.406]}

    Source: You, released code.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (-inf, inf)
    takes: ClassVar[Takes] = "continuous"
    legacy: ClassVar[bool] = True
    source: ClassVar[str] = "You 2022, code"

    binarize: Annotated[MapBinarizer, OneOf(MAP_BINARIZERS)] = chosen("mean-std")
    """What makes the mask."""

    baseline: Annotated[Baseline, OneOf(BASELINES)] = chosen("mean")
    """What covers the mask."""

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        plain = ConfidenceDrop(binarize=self.binarize, baseline=self.baseline)
        whole = answers(explained, explained.images, reader("logit"))
        covered = answers(explained, plain.covered(explained), lambda logits, _: logits.to(torch.float64).amax(1))
        return ((whole - covered) / whole).where(whole != 0, nan)
