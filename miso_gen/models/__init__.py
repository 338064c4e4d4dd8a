"""Networks that are trained on data sets and explained. Names are imported on first use, and need torch.

Networks are one file each in ``networks``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from miso_gen.lazy import lazy_names

if TYPE_CHECKING:
    from miso_gen.models.create import blank_images, count_parameters, create_model, feature_sizes, network_of
    from miso_gen.models.interfaces import MODELS, Attends, LabelsPixels, MapsItself, Network, Offer, offer_of
    from miso_gen.models.sizes import Sizes
    from miso_gen.models.weights import Pretrained, WeightsFile

_HOMES = {
    "create": ("blank_images", "count_parameters", "create_model", "feature_sizes", "network_of"),
    "interfaces": ("MODELS", "Attends", "LabelsPixels", "MapsItself", "Network", "Offer", "offer_of"),
    "sizes": ("Sizes",),
    "weights": ("Pretrained", "WeightsFile"),
}

__all__ = [
    "MODELS",
    "Attends",
    "LabelsPixels",
    "MapsItself",
    "Network",
    "Offer",
    "Pretrained",
    "Sizes",
    "WeightsFile",
    "blank_images",
    "count_parameters",
    "create_model",
    "feature_sizes",
    "network_of",
    "offer_of",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES, extra="eval", packages=("torch",))
