"""Relevance-CAM: activation maps, weighted by the mean of their relevance."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.explain.interfaces import EXPLAINERS
from miso_gen.explain.relevance_cams import RelevanceCAM as Base

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.explain.relevance import Relevant


@EXPLAINERS.register("relevance-cam")
class RelevanceCAM(Base):
    """Activation maps A_k of a layer with the mean of their relevance R_k as weights: sum_k mean_xy(R_k) A_k.

    Relevance is passed from the logits to what comes out of the layer, by alpha 1 - beta 0, all layers in one pass; it starts at
    1 for the class and -1 / N for each of the N - 1 others.

    ::

        {type: relevance-cam, layer: [layer3, layer4]}

    Source: Lee et al., Relevance-CAM: Your model already knows where to look, 2021; You, Relevance-CAM and XRelevance-CAM.
    """

    source: ClassVar[str] = "Lee et al. 2021; You"

    def weights(self, found: Relevant) -> Tensor:
        """See :meth:`~miso_gen.explain.relevance_cams.RelevanceCAM.weights`."""
        return found.relevance.mean((2, 3))
