"""Networks that are trained on data sets and explained. Names are imported on first use, and need torch.

Networks are one file each in ``networks``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from miso_gen.errors import MissingExtraError

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
_HOME = {name: module for module, names in _HOMES.items() for name in names}
_EXTRA = ("torch",)  #: packages of the extra "eval" that every network needs

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA:
            raise
        raise MissingExtraError(package, "eval", f"{__name__}.{name}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
