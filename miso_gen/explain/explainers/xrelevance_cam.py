"""XRelevance-CAM: activation maps, weighted so that the map holds the relevance of the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.explain.interfaces import EXPLAINERS
from miso_gen.explain.relevance_cams import RelevanceCAM

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.explain.relevance import Relevant

LEAST = 1e-7  #: added to the sum of a channel's activations


@EXPLAINERS.register("xrelevance-cam")
class XRelevanceCAM(RelevanceCAM):
    """Activation maps A_k of a layer with their relevance R_k over their sum as weights: sum_k (sum R_k / sum A_k) A_k.

    The map sums up to the relevance of the layer, and that of each channel to its own; 1e-7 is added to sum A_k, so that a dead
    channel has no map. It is meant for layers after a ReLU: where activations have both signs, a sum near 0 makes a weight of any
    size.

    ::

        {type: xrelevance-cam, layer: layer3}

    Source: You, Relevance-CAM and XRelevance-CAM.
    """

    source: ClassVar[str] = "You"

    def weights(self, found: Relevant) -> Tensor:
        """See :meth:`~miso_gen.explain.relevance_cams.RelevanceCAM.weights`."""
        return found.relevance.sum((2, 3)) / (LEAST + found.activation.sum((2, 3)))
