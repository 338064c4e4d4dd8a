"""Explanations: maps of what made a network decide. Names are imported on first use, and need torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miso_gen.lazy import lazy_names

if TYPE_CHECKING:
    from miso_gen.explain.explaining import Explanation, explain, explained, explaining
    from miso_gen.explain.interfaces import EXPLAINERS, Explainer, LayerExplainer, PixelExplainer, Subject

_HOMES = {
    "explaining": ("Explanation", "explain", "explained", "explaining"),
    "interfaces": ("EXPLAINERS", "Explainer", "LayerExplainer", "PixelExplainer", "Subject"),
}

__all__ = [
    "EXPLAINERS",
    "Explainer",
    "Explanation",
    "LayerExplainer",
    "PixelExplainer",
    "Subject",
    "explain",
    "explained",
    "explaining",
]

__getattr__, __dir__ = lazy_names(
    __name__, _HOMES, extra="eval", packages=("torch", "torchmetrics", "captum", "zennit", "lime", "timm", "lightning")
)
