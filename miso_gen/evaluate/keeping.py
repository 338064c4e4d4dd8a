"""Results on disk: two tables, and a file that says what else a report needs."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import blake3

from miso_gen.errors import StoreError
from miso_gen.report.results import Results, Run
from miso_gen.store import open_dataset
from miso_gen.store.map_files import open_maps
from miso_gen.train.recording import write_json, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

SCORES_FILE: Final = "scores.parquet"
CLASSIFICATION_FILE: Final = "classification.parquet"
RESULTS_FILE: Final = "results.json"
_FORMAT: Final = 1
_PLAIN: Final = ("explainers", "patches", "experiment", "command", "problems", "digests")


def write_tables(folder: Path, scores: pd.DataFrame, classification: pd.DataFrame) -> str:
    """Write both tables, and return the digest of the scores, BLAKE3, hexadecimal."""
    data = scores.to_parquet(index=False)
    write_whole(folder / SCORES_FILE, data)
    write_whole(folder / CLASSIFICATION_FILE, classification.to_parquet(index=False))
    return blake3.blake3(data).hexdigest()


def write_results(folder: Path, results: Results, dataset: str, maps: Sequence[str | Path]) -> None:
    """Write what a report needs beside the tables.

    Args:
        folder: Where the tables are.
        results: What is written.
        dataset: How the data set is found again; a path is kept relative to the folder.
        maps: Where the maps are; places within the folder are kept relative to it.
    """
    places = [_relative(Path(place), folder) for place in maps]
    plain: dict[str, Any] = {name: getattr(results, name) for name in _PLAIN}
    runs = [asdict(run) for run in results.runs]
    data = os.path.relpath(dataset, folder) if Path(dataset).exists() else dataset
    write_json(folder / RESULTS_FILE, {"format": _FORMAT, "dataset": data, "maps": places, "runs": runs, **plain})


def read_results(folder: str | Path) -> Results:
    """Return results that were written, from which a report is made without a network.

    Raises:
        StoreError: There are none, or the data set or maps are no longer where they were.
    """
    import pandas as pd

    place = Path(folder)
    try:
        said = json.loads((place / RESULTS_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        raise StoreError(f"{folder} must be the folder of an evaluation, got no {RESULTS_FILE}. Evaluate first.") from None
    if said.get("format") != _FORMAT:
        raise StoreError(f"{place / RESULTS_FILE} must be of format {_FORMAT}, got {said.get('format')}. Use a newer miso-gen.")
    return Results(
        scores=pd.read_parquet(place / SCORES_FILE),
        classification=pd.read_parquet(place / CLASSIFICATION_FILE),
        dataset=open_dataset(str(place / said["dataset"]) if (place / said["dataset"]).exists() else said["dataset"]),
        maps=[open_maps(place / one) for one in said["maps"]],
        runs=[Run(**run) for run in said["runs"]],
        **{name: said[name] for name in _PLAIN},
    )


def _relative(place: Path, folder: Path) -> str:
    here, there = place.absolute(), folder.absolute()
    return str(here.relative_to(there)) if here.is_relative_to(there) else str(here)
