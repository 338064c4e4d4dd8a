"""Scores of maps: against truth, and against the model. Names are imported on first use, and need torch.

Plug-ins are one file each: in ``scores`` (map against truth), ``faithfulness`` (ask the model), ``binarizers``, and ``decisions``
(from patches to images). ``summarise``, ``compare`` and ``rank`` work on tables, and need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from miso_gen.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES, extra="eval", packages=("torch", "torchmetrics"))
