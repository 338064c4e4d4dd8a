"""Scores -> report cards: pages that open from disk, and figures. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miso_gen.lazy import lazy_names

if TYPE_CHECKING:
    from miso_gen.report.figure import card_figure
    from miso_gen.report.pages import Report, write_report
    from miso_gen.report.results import Results, Run
    from miso_gen.report.table_files import comparison_html, write_tables

_HOMES = {
    "figure": ("card_figure",),
    "pages": ("Report", "write_report"),
    "results": ("Results", "Run"),
    "table_files": ("comparison_html", "write_tables"),
}

__all__ = ["Report", "Results", "Run", "card_figure", "comparison_html", "write_report", "write_tables"]

__getattr__, __dir__ = lazy_names(
    __name__, _HOMES, extra="eval", packages=("torch", "jinja2", "matplotlib", "lightning", "torchmetrics")
)
