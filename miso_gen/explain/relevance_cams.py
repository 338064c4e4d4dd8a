"""What CAMs by relevance share: one pass of relevance, from which a plug-in takes its weights."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from miso_gen.explain.channels import ChannelLayerExplainer
from miso_gen.explain.interfaces import Family
from miso_gen.explain.relevance import Relevant, relevance_of_layers
from miso_gen.explain.relevance_rules import Bias, Composite, rules_of
from miso_gen.explain.relevance_starts import Contrast, Start, start_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from miso_gen.explain.interfaces import Subject


class RelevanceCAM(ChannelLayerExplainer):
    """A CAM whose weights are made of the relevance of each channel. A plug-in writes :meth:`weights`."""

    family: ClassVar[Family] = "relevance"
    signed: ClassVar[bool] = True

    relu: bool = False
    """Whether negative values become 0; they don't in the source."""

    rule: Composite = "alpha1-beta0"
    """Rules of relevance: see :func:`~miso_gen.explain.relevance_rules.rules_of`."""

    start: Start = "contrastive"
    """Relevance of the logits: see :func:`~miso_gen.explain.relevance_starts.start_of`."""

    contrast: Contrast = "n"
    """What other classes have in a ``contrastive`` start: ``n``: -1 / N each; ``n-1``: -1 / (N - 1)."""

    scale_by_logit: bool = False
    """Whether relevance is multiplied by the logit of the class; a negative one turns the map over."""

    bias: Bias = "both"
    """Biases in ``alpha1-beta0``: added to ``both`` partial sums, as in the released code, or ``none``."""

    batch_norm: Literal["identity", "merged"] = "identity"
    """Whether batch normalisation passes relevance on, or is merged into the layer before it."""

    @abstractmethod
    def weights(self, found: Relevant) -> Tensor:
        """Return the weight of each channel of a layer, (B, K)."""

    def channels_of(self, subject: Subject, layers: tuple[str, ...]) -> Iterator[Tensor]:
        """See :meth:`ChannelLayerExplainer.channels_of`."""
        found = relevance_of_layers(
            subject.module,
            subject.images,
            layers,
            lambda logits: start_of(logits, subject.target, self.start, self.contrast, self.scale_by_logit),
            rules_of(self.rule, bias=self.bias, merge=self.batch_norm == "merged"),
        )
        return (self.weights(one)[:, :, None, None] * one.activation for one in found.values())
