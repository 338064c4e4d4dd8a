"""The two tables of a store: one row an image, one row an object. Deterministic bytes for the same rows and pyarrow."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.errors import CorruptStoreError
from miso_gen.store.objects import REQUIRED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]

    from miso_gen.store.objects import ObjectTable
    from miso_gen.store.target import Target

INDEX = "index.parquet"
INSTANCES = "instances.parquet"

#: Fixed columns of the index, then ``params.<name>`` in alphabetical order.
INDEX_COLUMNS = (
    "image_id",
    "path",
    "scenario",
    "split",
    "label",
    "class_name",
    "pair",
    "morphology",
    "height",
    "width",
    "truth_1_share",
    "truth_2_share",
    "truth_2_known",
    "histogram",
    "image_digest",
    "truth_digest",
    "instances_digest",
    "checksum",
)


def index_table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Return the index: rows sorted by ``image_id``; a parameter an image lacks is null, lists are JSON text."""
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]

    ordered = sorted(rows, key=lambda row: str(row["image_id"]))
    types = dict.fromkeys(INDEX_COLUMNS, pa.string())
    types |= dict.fromkeys(("label", "height", "width"), pa.int64())
    types |= dict.fromkeys(("truth_1_share", "truth_2_share"), pa.float64())
    types["truth_2_known"] = pa.bool_()
    types["histogram"] = pa.list_(pa.int64())
    columns = {name: pa.array([row[name] for row in ordered], types[name]) for name in INDEX_COLUMNS}
    for name in sorted({name for row in ordered for name in row} - set(INDEX_COLUMNS)):
        columns[name] = _parameter_column([row.get(name) for row in ordered])
    return pa.table(columns)


def instances_table(tables: Iterable[tuple[str, ObjectTable]]) -> pa.Table:
    """Return the objects of all images: image_id, id, kind, box, then drawn parameters, nan where an object has none."""
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]

    ordered = sorted(tables, key=lambda item: item[0])
    extra = sorted({name for _, table in ordered for name in table.columns} - set(REQUIRED))
    ids: list[str] = []
    kinds: list[str] = []
    parts: dict[str, list[Any]] = {name: [np.empty(0)] for name in (*REQUIRED, *extra)}
    for image_id, table in ordered:
        ids += [image_id] * len(table)
        kinds += [table.kinds[code] for code in table.codes.tolist()]
        own = {name: table.values[:, place] for place, name in enumerate(table.columns)}
        for name, values in parts.items():
            values.append(own.get(name, np.full(len(table), np.nan)))
    numbers = {name: np.concatenate(values) for name, values in parts.items()}
    columns = {"image_id": pa.array(ids, pa.string()), "id": pa.array(numbers["id"].astype(np.int64))}
    columns["kind"] = pa.array(kinds, pa.string())
    columns |= {name: pa.array(numbers[name].astype(np.int64)) for name in REQUIRED[1:]}
    columns |= {name: pa.array(numbers[name]) for name in extra}
    return pa.table(columns)


def to_parquet(table: pa.Table) -> bytes:
    """Return the bytes of a Parquet file."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_parquet(target: Target, path: str) -> pa.Table:
    """Return the table of a Parquet file.

    Raises:
        CorruptStoreError: The file is missing, cut off, or no Parquet.
    """
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    name = target.describe(path)
    advice = "Build the store again, or fetch it again."
    try:
        return pq.read_table(io.BytesIO(target.read(path)))
    except FileNotFoundError:
        raise CorruptStoreError(f"{name} must exist in a complete store, got no such file. {advice}") from None
    except (pa.ArrowException, OSError) as error:
        raise CorruptStoreError(f"{name} must be a Parquet file, got {error}. It was cut off or edited. {advice}") from error


def _parameter_column(values: Sequence[Any]) -> pa.Array:
    """Return whole numbers, numbers, switches and texts as such, anything else (lists, mixtures) as JSON text."""
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]

    present = [value for value in values if value is not None]
    for kind, dtype in ((bool, pa.bool_()), (int, pa.int64()), (str, pa.string())):
        if present and all(type(value) is kind for value in present):
            return pa.array(values, dtype)
    if present and all(type(value) in (int, float) for value in present):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    text = [None if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False) for value in values]
    return pa.array(text, pa.string())
