"""What changed between two data sets, and pictures of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from miso_gen.errors import MisoGenError, StoreError
from miso_gen.geometry import Box
from miso_gen.release.contents import contents_of
from miso_gen.release.differences import Difference, compare
from miso_gen.store import open_dataset

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from miso_gen.render.pictures import Cell, Row
    from miso_gen.store import Dataset, ImageView

_DRAWN: Final = ("pixels", "truth")  #: changes that can be seen


def diff(old: str | os.PathLike[str], new: str | os.PathLike[str]) -> Difference:
    """Return what changed from one data set to another, by content digests; no pixel is read.

    Args:
        old: The one before: a store, a release (with images or without), a manifest, or ``name@version``.
        new: The one after.

    Raises:
        StoreError: One is none of these.
    """
    return compare(contents_of(old), contents_of(new))


def draw_difference(
    difference: Difference, old: str | os.PathLike[str], new: str | os.PathLike[str], *, examples: int = 4, side: int = 192
) -> bytes | None:
    """Return examples of changed images as PNG: before, after, and where they differ; None where no pixels or truth changed.

    Args:
        difference: What changed.
        old: The data set before, with its images.
        new: The data set after, with its images.
        examples: Images shown.
        side: Longest side of a picture in pixels.

    Raises:
        StoreError: One of both has no images here.
    """
    from miso_gen.render.pictures import contact_sheet, png

    ids = sorted({image_id for aspect in _DRAWN for image_id in difference.changed.get(aspect, ())})
    if not ids:
        return None
    sides = (_opened(old), _opened(new))
    step = max(1, len(ids) // examples)
    rows = [_row(difference, sides[0][image_id], sides[1][image_id], side) for image_id in ids[::step][:examples]]
    both = " and ".join(f"{side.name} {side.version}" for side in (difference.old, difference.new))
    heading = f"{both}  ·  {len(ids)} images differ"
    return png(contact_sheet(heading, rows, side))


def _opened(location: str | os.PathLike[str]) -> Dataset:
    try:
        return open_dataset(location)
    except MisoGenError as error:
        raise StoreError(f"{location} must have images to draw, got none that can be read: {error}") from error


def _row(difference: Difference, old: ImageView, new: ImageView, side: int) -> Row:
    from miso_gen.render.pictures import Row

    image_id = old.id
    what = ", ".join(aspect for aspect, ids in difference.changed.items() if image_id in ids)
    cells = [_cell("before", old, side), _cell("after", new, side)]
    if old.shape == new.shape:
        cells.append(_between(old, new, side))
    return Row(image_id, f"other {what}", tuple(cells))


def _cell(caption: str, image: ImageView, side: int) -> Cell:
    from miso_gen.render.pictures import Cell, shrink

    facts = image.attributes
    whole = Box(0, 0, *image.shape[1:])
    return Cell(caption, f"{facts['label']} {facts['class_name']}", shrink(image.read, whole, side))


def _between(old: ImageView, new: ImageView, side: int) -> Cell:
    """Return where two images differ: white in the picture, and in the colour of level 2 beside it for truth."""
    from miso_gen.render.pictures import Cell, shrink

    count = 0

    def read(box: Box) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        nonlocal count
        (pixels, truth), (others, levels) = old.read(box), new.read(box)
        apart = (pixels != others).any(axis=0)
        count += int(np.count_nonzero(apart))
        return (255 * apart.astype(np.uint8))[None], 2 * (truth != levels).astype(np.uint8)

    shrunk = shrink(read, Box(0, 0, *old.shape[1:]), side)
    return Cell("difference", f"{count:,} px", shrunk)
