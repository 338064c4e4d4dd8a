"""Layer-wise relevance propagation to the pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from miso_gen.explain.interfaces import EXPLAINERS, Family, Need, PixelExplainer, Subject
from miso_gen.explain.relevance import relevance_of_pixels
from miso_gen.explain.relevance_rules import Bias, Composite, rules_of
from miso_gen.explain.relevance_starts import Contrast, Start, start_of
from miso_gen.recipe.parameters import NonNegativeFloat, PositiveFloat

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("lrp")
class LRP(PixelExplainer):
    """Relevance of each pixel: what the class is given at the logits, divided layer by layer down to the image.

    ``composite`` names the rules of convolutions, linear layers and the first layer, as in zennit, whose rules these are;
    ``alpha1-beta0`` is that of the CAMs by relevance. Residual additions, averages and sums over branches divide in proportion,
    the greatest value of a pooling has all, activations and dropout pass relevance on; gates are constants. The network is not
    changed: any one goes whose steps have a rule, which leaves out attention between tokens and normalisation within a layer.

    ::

        {type: lrp, composite: epsilon-plus-flat, channels: mean}

    Source: Bach et al., On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance propagation, 2015;
    Tetkova et al.; You, LRP rules.
    """

    family: ClassVar[Family] = "relevance"
    source: ClassVar[str] = "Bach et al. 2015; Tetkova et al.; You"
    needs: ClassVar[frozenset[Need]] = frozenset({"gradients"})
    signed: ClassVar[bool] = True

    composite: Composite = "epsilon-plus-flat"
    """Rules of relevance: see :func:`~miso_gen.explain.relevance_rules.rules_of`."""

    epsilon: PositiveFloat = 1e-6
    """Added to denominators of linear layers, with their sign; not in ``alpha1-beta0``."""

    gamma: NonNegativeFloat = 0.25
    """By how much positive weights weigh more, in ``epsilon-gamma-box``."""

    low: float | None = 0.0
    """Least value of pixels, where the first layer has a box; null: the least of each image."""

    high: float | None = 1.0
    """Greatest value of pixels, likewise."""

    stabilizer: PositiveFloat = 1e-6
    """Added to all other denominators, with their sign; ``alpha1-beta0`` has it in its box alone."""

    bias: Bias = "both"
    """Biases in ``alpha1-beta0``: added to ``both`` partial sums, as in the released code, or ``none``."""

    batch_norm: Literal["merged", "identity"] = "merged"
    """Whether batch normalisation is merged into the layer before it, or passes relevance on."""

    start: Start = "onehot"
    """Relevance of the logits: see :func:`~miso_gen.explain.relevance_starts.start_of`."""

    contrast: Contrast = "n"
    """What other classes have in a ``contrastive`` start: ``n``: -1 / N each; ``n-1``: -1 / (N - 1)."""

    scale_by_logit: bool = False
    """Whether relevance is multiplied by the logit of the class."""

    @model_validator(mode="after")
    def _box_is_one(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise PydanticCustomError("expected", "low below high")
        return self

    def relevance(self, subject: Subject) -> Tensor:
        """See :meth:`PixelExplainer.relevance`."""
        rules = rules_of(
            self.composite,
            epsilon=self.epsilon,
            gamma=self.gamma,
            low=self.low,
            high=self.high,
            stabilizer=self.stabilizer,
            bias=self.bias,
            merge=self.batch_norm == "merged",
        )
        return relevance_of_pixels(
            subject.model,
            subject.images,
            lambda logits: start_of(logits, subject.target, self.start, self.contrast, self.scale_by_logit),
            rules,
        )
