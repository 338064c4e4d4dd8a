"""Label masks -> objects, numbered from 1, as runs of pixels."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from miso_gen.contents import Content, once
from miso_gen.errors import listing
from miso_gen.imports.label_files import LabelFile, read_labels
from miso_gen.runs import LabelRuns

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Objects", "import_labels", "labels_of", "read_labels"]

Objects = Literal["auto", "ids", "pieces"]

_REVISION: Final = 1  #: raised when the same file gives another content
_STRIP: Final = 256  #: rows taken apart at a time, so that little memory is needed


def import_labels(path: Path, *, background: int | Literal["none"] | None = 0, objects: Objects = "auto") -> Content:
    """Return the objects of a label mask; kept, so that the next call for the same bytes reads nothing.

    Objects are numbered from 1 in the order of their ids in the file; pieces of one id in the order of their first pixels, row
    by row. Pieces are 8-connected.

    Args:
        path: TIFF, PNG, NPY, or a Zarr folder: an array, a label image, or an image with one label image.
        background: The id of what is no object; ``none``: every pixel is of an object.
        objects: What an object is: ``ids``, all pixels of an id; ``pieces``, a connected piece of them; ``auto``, a piece where
            the mask has but one id besides the background, else an id.

    Returns:
        Content ``labels``: facts ``height`` and ``width``; arrays ``starts``, ``first``, ``stop``, ``ids`` of ``LabelRuns`` and
        ``original``, (k,) int64, the id in the file of each object. A mask of one id numbers nothing: with ``auto``, ``original``
        is 1 to k.

    Raises:
        RefusedFilesError: The file can't be read, or holds no labels, no object or no background.
        OutputError: The cache can't be written.
    """
    file = LabelFile(Path(path))
    ground = None if background == "none" else background
    options = ["labels", _REVISION, file.kind, ground, objects, file.digest()]
    return once(sha256(json.dumps(options).encode()).hexdigest(), lambda: _content(file, ground, objects))


def labels_of(content: Content) -> LabelRuns:
    """Return the picture of a content of :func:`import_labels`."""
    arrays: Any = content.arrays
    facts = content.facts
    return LabelRuns(facts["height"], facts["width"], arrays["starts"], arrays["first"], arrays["stop"], arrays["ids"])


def _content(file: LabelFile, background: int | None, objects: Objects) -> Content:
    labels = file.read()
    height, width = labels.shape
    rows, first, stop, ids, bare = _runs(labels, background)
    del labels
    if not bare and background is not None:
        known = listing(map(str, np.unique(ids).tolist()), 10)
        raise file.refused(
            f"a mask with background, pixels of id {background}",
            f"none of it among the ids {known}. Write background: <id> if it has another, background: none if it has none",
        )
    if not len(ids):
        raise file.refused("a mask with objects", f"nothing but {background}. Leave the file out")
    if int(ids.min()) < 0:
        raise file.refused("labels from 0", f"{ids.min()}. If that is the background, write background: {ids.min()}")
    original, numbers = np.unique(ids, return_inverse=True)
    binary = objects == "auto" and len(original) == 1
    if binary or objects == "pieces":
        pieces = _pieces(rows, first, stop, ids)
        heads = np.flatnonzero(pieces == np.arange(len(pieces)))  # the first run of each piece
        order = heads[np.argsort(ids[heads], kind="stable")]
        places = np.empty(len(pieces), np.int64)
        places[order] = np.arange(len(order))
        original, numbers = ids[order], places[pieces]
    if binary:
        original = np.arange(1, len(original) + 1)
    arrays: dict[str, NDArray[Any]] = {
        "starts": np.searchsorted(rows, np.arange(height + 1)).astype(np.int64),
        "first": first.astype(np.int32),
        "stop": stop.astype(np.int32),
        "ids": (numbers + 1).astype(np.uint32),
        "original": original.astype(np.int64),
    }
    return Content("labels", {"height": height, "width": width}, arrays)


def _runs(labels: NDArray[Any], background: int | None) -> tuple[Any, Any, Any, Any, bool]:
    """Return row, first column, stop and id of the runs of pixels of one id, in order, and whether there is background.

    All int64 but the columns, which are int32.
    """
    height, width = labels.shape
    parts, bare = [], False
    for top in range(0, height, _STRIP):
        strip = labels[top : top + _STRIP]
        begins = np.ones(strip.shape, np.bool_)
        np.not_equal(strip[:, 1:], strip[:, :-1], out=begins[:, 1:])
        places = np.flatnonzero(begins)
        ids = strip.reshape(-1)[places].astype(np.int64)
        rows, first = np.divmod(places, width)
        stop = np.append(places[1:], strip.size) - rows * width  # a run ends where the next begins
        if background is not None:
            kept = ids != background
            bare |= not kept.all()
            rows, first, stop, ids = rows[kept], first[kept], stop[kept], ids[kept]
        parts.append((rows + top, first.astype(np.int32), stop.astype(np.int32), ids))
    rows, first, stop, ids = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, first, stop, ids, bare


def _pieces(rows: NDArray[Any], first: NDArray[Any], stop: NDArray[Any], ids: NDArray[Any]) -> NDArray[np.int64]:
    """Return for each run the first run of its piece: runs of one id that touch, corners included, are of one piece."""
    across = np.int64(stop.max()) + 2
    starts, stops = rows * across + first, rows * across + stop
    # Above run b touch: those that end at its first column or later and begin at its stop or earlier.
    low = np.searchsorted(stops, (rows - 1) * across + first, side="left")
    counts = np.searchsorted(starts, (rows - 1) * across + stop, side="right") - low
    lower = np.repeat(np.arange(len(rows)), counts)
    upper = np.arange(len(lower)) - np.repeat(np.cumsum(counts) - counts, counts) + low[lower]
    same = ids[lower] == ids[upper]
    lower, upper = lower[same], upper[same]
    heads = np.arange(len(rows))
    while True:
        one, other = heads[lower], heads[upper]
        apart = one != other
        if not apart.any():
            return heads
        lower, upper, one, other = lower[apart], upper[apart], one[apart], other[apart]
        np.minimum.at(heads, np.maximum(one, other), np.minimum(one, other))
        while True:  # every run points at the head of its piece, not at a run on the way there
            further = heads[heads]
            if np.array_equal(further, heads):
                break
            heads = further
