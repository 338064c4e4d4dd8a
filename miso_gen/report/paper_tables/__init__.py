"""Tables of the source papers in their own shape, filled from results, with the published numbers beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miso_gen.report.paper_tables import miso, pylon, you

if TYPE_CHECKING:
    from miso_gen.report.results import Results
    from miso_gen.report.tables import Table


def paper_tables(results: Results) -> list[Table]:
    """Return the tables of papers in which the results fill a number at least: MISO, You, PYLON."""
    return [*miso.tables(results), *you.tables(results), *pylon.tables(results)]
