"""``index.csv``: a row for each exported image, for the formats that are a file an image."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from miso_gen.release.export_folder import ExportFolder
    from miso_gen.release.export_format import ExportSource
    from miso_gen.store.layout import ArrayName

INDEX_FILE: Final = "index.csv"


def write_index(source: ExportSource, folder: ExportFolder, file_of: Callable[[str, ArrayName], str]) -> None:
    """Write ``index.csv``: image_id, file, truth_file, instances_file, what is said of images, and ``params.*``.

    What an image lacks is an empty cell. Without truth, nothing that tells of it is written.

    Args:
        source: What is exported.
        folder: Where to.
        file_of: Path of the file of an image id and one of its arrays.
    """
    rows = [_row(source, row, file_of) for row in source.rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    with folder.open(INDEX_FILE) as file:
        file.write(text.getvalue().encode())


def _row(source: ExportSource, row: Mapping[str, Any], file_of: Callable[[str, ArrayName], str]) -> dict[str, Any]:
    image_id = str(row["image_id"])
    files: dict[str, str | None] = {"file": file_of(image_id, "image")}
    if source.truth:
        files["truth_file"] = file_of(image_id, "truth")
        files["instances_file"] = None if row["instances_digest"] is None else file_of(image_id, "instances")
    drawn = {name: value for name, value in row.items() if source.truth and name.startswith("params.")}
    return {"image_id": image_id, **files, **source.about(row), **drawn}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, bool | float) else str(value)
