"""Scores of maps: against truth, and against the model. Names are imported on first use, and need torch.

Plug-ins are one file each: in ``scores`` (map against truth), ``faithfulness`` (ask the model), ``binarizers``, and ``decisions``
(from patches to images). ``summarise``, ``compare`` and ``rank`` work on tables, and need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from miso_gen.errors import MissingExtraError

if TYPE_CHECKING:
    from miso_gen.metrics.accumulate import MapScore
    from miso_gen.metrics.appendix import metric_table
    from miso_gen.metrics.classification import binary_scores, class_scores
    from miso_gen.metrics.deciding import DECISIONS, decide
    from miso_gen.metrics.interfaces import (
        MAP_BINARIZERS,
        METRICS,
        MODEL_METRICS,
        CountMetric,
        EmptyCases,
        Explained,
        MapBinarizer,
        Metric,
        ModelMetric,
    )
    from miso_gen.metrics.joint import Joint, joint_histogram
    from miso_gen.metrics.patch_maps import prediction_maps
    from miso_gen.metrics.scoring import score
    from miso_gen.metrics.summaries import compare, rank, summarise

_HOMES = {
    "accumulate": ("MapScore",),
    "appendix": ("metric_table",),
    "classification": ("binary_scores", "class_scores"),
    "deciding": ("DECISIONS", "decide"),
    "interfaces": (
        "MAP_BINARIZERS",
        "METRICS",
        "MODEL_METRICS",
        "CountMetric",
        "EmptyCases",
        "Explained",
        "MapBinarizer",
        "Metric",
        "ModelMetric",
    ),
    "joint": ("Joint", "joint_histogram"),
    "patch_maps": ("prediction_maps",),
    "scoring": ("score",),
    "summaries": ("compare", "rank", "summarise"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}
_EXTRA = ("torch", "torchmetrics")  #: packages of the extra "eval"

__all__ = [
    "DECISIONS",
    "MAP_BINARIZERS",
    "METRICS",
    "MODEL_METRICS",
    "CountMetric",
    "EmptyCases",
    "Explained",
    "Joint",
    "MapBinarizer",
    "MapScore",
    "Metric",
    "ModelMetric",
    "binary_scores",
    "class_scores",
    "compare",
    "decide",
    "joint_histogram",
    "metric_table",
    "prediction_maps",
    "rank",
    "score",
    "summarise",
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
