"""One table a split, for who looks before they download: the index, the pack of every image, and a small picture of it."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Final

import numpy as np

from miso_gen.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from miso_gen.store import Dataset, ImageView

SIDE: Final = 128  #: of the pictures, in pixels
_ROWS: Final = 512
_HIDDEN: Final = ("histogram",)
_WORDS: Final = {"string": "string", "int64": "int64", "double": "float64", "bool": "bool"}


def split_table(dataset: Dataset, split: str, packs: Mapping[str, str], seen: Callable[[str], None] | None = None) -> bytes:
    """Return the Parquet file of a split: the index without histograms, then ``pack`` and ``preview``.

    The preview is a PNG whose longer side is at most 128 px, of type ``Image`` for the Hugging Face library.

    Args:
        dataset: The store.
        split: The split.
        packs: The pack of every image, by id.
        seen: Called with the id of every image that is done.
    """
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    rows: pd.DataFrame = dataset.table[dataset.table["split"] == split].drop(columns=list(_HIDDEN))
    table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
    ids = [str(image_id) for image_id in rows["image_id"]]
    pictures = []
    for image_id in ids:
        pictures.append({"bytes": thumbnail(dataset[image_id]), "path": f"{image_id.replace('/', '-')}.png"})
        if seen is not None:
            seen(image_id)
    plain = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = table.append_column("pack", pa.array([packs[image_id] for image_id in ids], pa.string()))
    table = table.append_column("preview", pa.array(pictures, plain))
    features = {field.name: _feature(str(field.type)) for field in table.schema}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}}, sort_keys=True)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def thumbnail(image: ImageView, side: int = SIDE) -> bytes:
    """Return a small picture of an image, as PNG; grey where the image is."""
    from PIL import Image

    from miso_gen.render.pictures import block_means

    channels, height, width = image.shape
    factor = max(1, -(-max(height, width) // side))
    top_value = 1.0 if image.image.dtype.kind == "f" else float(np.iinfo(image.image.dtype).max)
    picture = np.zeros((-(-height // factor), -(-width // factor), channels), np.uint8)
    step = max(1, _ROWS // factor)  # rows of the picture that are read together
    for row in range(0, len(picture), step):
        pixels = image.image.read(Box(row * factor, 0, min(height, (row + step) * factor), width))
        means = [block_means(channel, factor) for channel in pixels]
        picture[row : row + step] = np.stack(means, axis=-1).clip(0, top_value) * (255 / top_value) + 0.5
    buffer = io.BytesIO()
    Image.fromarray(picture if channels == 3 else np.ascontiguousarray(picture[..., 0])).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _feature(kind: str) -> dict[str, str]:
    if kind.startswith("struct"):
        return {"_type": "Image"}
    return {"dtype": _WORDS.get(kind.removeprefix("large_"), "string"), "_type": "Value"}
