"""One file of a map, of anybody's method: NPY, TIFF or PNG -> float32, or what is wrong with it in words.

Nothing is unpickled, and no value is guessed: colours, volumes and several pictures in a file are refused.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

#: Endings of files that are read, in lower case.
MAP_SUFFIXES: Final = (".npy", ".tif", ".tiff", ".png")
_GREY: Final = 0  #: colour type of PNG
_INVERTED: Final = 0  #: photometric interpretation of TIFF, the least value is white


class Fault(NamedTuple):
    """Why a file is no map.

    Attributes:
        what: What is wrong: ``has 3 axes, shape (3, 64, 64)``.
        advice: What to do, a sentence.
    """

    what: str
    advice: str


class _UnfitError(Exception):
    """Carries a fault out of a decoder."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.fault = Fault(what, advice)


def read_map_file(path: Path) -> NDArray[np.float32] | Fault:
    """Return the values of a file, (H, W) float32, or what is wrong with it.

    NPY and TIFF: numbers as they are. PNG: grey of up to 8 bits divided by 255, of 16 by 65535. Bool, and PNG of 1 bit: 0 and 1.
    One axis of 1 before or after the other two is left out. nan and infinity are kept, also of values too large for float32.
    """
    kind = path.suffix.lower()
    try:
        array = {".npy": _npy, ".png": _png, ".tif": _tiff, ".tiff": _tiff}[kind](path)
        return _flat(array)
    except _UnfitError as unfit:
        return unfit.fault
    except Exception as error:  # decoders raise whatever they like
        said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        return Fault(f"can't be read: {said}", "Save it again.")


def _flat(array: NDArray[Any]) -> NDArray[np.float32]:
    if array.dtype.kind not in "biuf":
        raise _UnfitError(f"holds {array.dtype} values", "Save real numbers, such as float32.")
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    elif array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2:
        raise _UnfitError(f"has {array.ndim} axes, shape {array.shape}", "Save one value for each place: (height, width).")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, np.float32)


def _npy(path: Path) -> NDArray[Any]:
    # open_memmap reads this format alone: no archive, and no pickled objects.
    return np.asarray(np.lib.format.open_memmap(path, mode="r"))


def _png(path: Path) -> NDArray[Any]:
    from PIL import Image

    with path.open("rb") as file:
        header = file.read(26)
    if len(header) == 26 and header[25] != _GREY:
        raise _UnfitError("holds colours", "Save the values themselves: as .npy, or as grey without alpha.")
    with _any_size(), Image.open(path, formats=("PNG",)) as picture:
        values = np.asarray(picture)
    if values.dtype.kind == "b":
        return values
    return values.astype(np.float32) / np.float32(65535 if header[24] == 16 else 255)


def _tiff(path: Path) -> NDArray[Any]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        if len(file.series) != 1:
            raise _UnfitError(f"holds {len(file.series)} pictures", "Save one map a file.")
        page = file.series[0].keyframe
        try:
            return np.asarray(file.series[0].asarray())
        except (ValueError, KeyError) as error:
            if "imagecodecs" not in str(error):
                raise
            if page.photometric == _INVERTED or len(file.series[0].shape) != 2:
                raise _UnfitError(
                    f"is compressed by {getattr(page.compression, 'name', page.compression)}",
                    "Save it without compression, or as .npy.",
                ) from None
            dtype = page.dtype
    return _tiff_by_pillow(path).astype(dtype, copy=False)


def _tiff_by_pillow(path: Path) -> NDArray[Any]:
    """Return a flat TIFF in a compression that tifffile alone can't read."""
    from PIL import Image

    with _any_size(), Image.open(path, formats=("TIFF",)) as picture:
        return np.asarray(picture)


@contextmanager
def _any_size() -> Iterator[None]:
    """Let Pillow open pictures of any size: they are large on purpose."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
