"""LIME: a linear model of which segments of the image raise the score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from miso_gen.explain.asking import Output, asked
from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, Subject
from miso_gen.explain.segmenting import Segmentation, Slic
from miso_gen.metrics.filling import BASELINES, Baseline
from miso_gen.models.libraries import library
from miso_gen.recipe.parameters import NonNegativeFloat, OneOf, PositiveFloat, chosen
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


@EXPLAINERS.register("lime")
class Lime(Explainer):
    """Coefficient of each segment in a linear model of the score, fitted to copies of the image that hide random segments.

    Copies count sqrt(exp(-d^2 / width^2)), d being the cosine distance between the segments shown and all; the first copy shows
    all. The model is fitted by the lime package: ridge regression with an intercept.

    ::

        type: lime
        segmentation: {type: slic, segments: 100, compactness: 10}
        samples: 1000
        baseline: mean

    Source: Ribeiro et al., Why should I trust you?, 2016; Tetkova et al., who compare segmentations.
    """

    family: ClassVar[Family] = "perturbation"
    source: ClassVar[str] = "Ribeiro et al. 2016; Tetkova et al."
    signed: ClassVar[bool] = True

    segmentation: Segmentation = Slic()
    """Pieces of the image: ``{type: grid, cells}`` or ``{type: slic, segments, compactness}``."""

    samples: Annotated[int, Field(ge=2)] = 1000
    """Copies of the image, the whole one among them."""

    keep: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability that a copy shows a segment."""

    baseline: Annotated[Baseline, OneOf(BASELINES)] = chosen("mean")
    """What stands where segments are hidden."""

    width: PositiveFloat = 0.25
    """Width of the kernel: how fast copies count less that show less."""

    alpha: NonNegativeFloat = 1.0
    """Strength of the ridge."""

    output: Output = "softmax"
    """What of the logits is the score: the probability that ``softmax`` or ``sigmoid`` makes of it, or the ``logit`` itself."""

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`.

        Raises:
            MissingExtraError: lime, or scikit-image for ``slic``, is not installed.
        """
        fill = self.baseline.fill(subject.images)
        return torch.stack([self._map(subject, number, fill[number]) for number in range(len(subject.images))])

    def _map(self, subject: Subject, number: int, fill: Tensor) -> Tensor:
        image = subject.images[number]
        segments = self.segmentation.of(image)
        count = int(segments.max()) + 1
        shown = Stream(subject.seeds[number], "explain", "lime").uniforms(self.samples * count) < self.keep
        shown = shown.reshape(self.samples, count)
        shown[0] = True
        keep = torch.from_numpy(shown).to(image.device)
        owner = torch.full((self.samples,), number, device=image.device)
        scores = asked(subject, owner, lambda some: image.where(keep[some][:, segments][:, None], fill), self.output)
        scores = scores - scores[0]  # the intercept takes it, and a score that never changes becomes exactly 0
        found = self._coefficients(shown.astype(np.float64), scores.cpu().numpy())
        return torch.from_numpy(found).to(image.device)[segments]

    def _coefficients(self, shown: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the coefficient of each segment from which are shown (n, segments), the whole image first, and scores (n,)."""
        base: Any = library("lime.lime_base", "the explainer lime").LimeBase(self._weights, random_state=0)
        ridge = library("sklearn.linear_model", "the explainer lime").Ridge(alpha=self.alpha, fit_intercept=True)
        share = shown.sum(1) / shown.shape[1]  # the square of the cosine of each copy with the whole image
        _, pairs, _, _ = base.explain_instance_with_data(
            shown, scores[:, None], 1 - np.sqrt(share), 0, shown.shape[1], feature_selection="none", model_regressor=ridge
        )
        found = np.zeros(shown.shape[1])
        for place, value in pairs:
            found[place] = value
        return found

    def _weights(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sqrt(np.exp(-(distances**2) / self.width**2))
