"""Scores -> report cards: pages that open from disk, and figures. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miso_gen.lazy import lazy_names

if TYPE_CHECKING:
    from miso_gen.report.figure import card_figure
    from miso_gen.report.pages import Report, write_report
    from miso_gen.report.results import Results, Run

_HOMES = {
    "figure": ("card_figure",),
    "pages": ("Report", "write_report"),
    "results": ("Results", "Run"),
}

__all__ = ["Report", "Results", "Run", "card_figure", "write_report"]

__getattr__, __dir__ = lazy_names(
    __name__, _HOMES, extra="eval", packages=("torch", "jinja2", "matplotlib", "lightning", "torchmetrics")
)
