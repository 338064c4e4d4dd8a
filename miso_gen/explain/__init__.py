"""Explanations: maps of what made a network decide. Names are imported on first use, and need torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miso_gen.lazy import lazy_names

if TYPE_CHECKING:
    from miso_gen.explain.calling import Explanation, explain, explained, explaining
    from miso_gen.explain.experiment import check_explain, entries_of
    from miso_gen.explain.interfaces import EXPLAINERS, Explainer, LayerExplainer, PixelExplainer, Subject
    from miso_gen.explain.sanity import sanity_study
    from miso_gen.explain.stage import ExplainResult, explain_experiment
    from miso_gen.explain.tiling import BY_TILES, MapTiles, explain_tiled, tiles_of_map

_HOMES = {
    "experiment": ("check_explain", "entries_of"),
    "calling": ("Explanation", "explain", "explained", "explaining"),
    "interfaces": ("EXPLAINERS", "Explainer", "LayerExplainer", "PixelExplainer", "Subject"),
    "sanity": ("sanity_study",),
    "stage": ("ExplainResult", "explain_experiment"),
    "tiling": ("BY_TILES", "MapTiles", "explain_tiled", "tiles_of_map"),
}

__all__ = [
    "BY_TILES",
    "EXPLAINERS",
    "ExplainResult",
    "Explainer",
    "Explanation",
    "LayerExplainer",
    "MapTiles",
    "PixelExplainer",
    "Subject",
    "check_explain",
    "entries_of",
    "explain",
    "explain_experiment",
    "explain_tiled",
    "explained",
    "explaining",
    "sanity_study",
    "tiles_of_map",
]

__getattr__, __dir__ = lazy_names(
    __name__, _HOMES, extra="eval", packages=("torch", "torchmetrics", "captum", "zennit", "lime", "timm", "lightning")
)
