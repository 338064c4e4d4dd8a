"""Files of labels -> an array of whole numbers: TIFF, PNG, NPY and Zarr, decoded without changing a value.

Colours, planes and numbers that are no labels are refused in words; nothing is guessed.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from miso_gen.errors import RefusedFilesError, listing, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_STRIP: Final = 256  #: rows looked at at a time, so that little memory is needed
_KINDS: Final = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG", ".npy": "NPY"}
_COLOURS: Final = (2, 3, 4)  #: grey and alpha, RGB, RGBA
_LOSSY: Final = frozenset({6, 7, 34892, 33007})  #: TIFF tags of JPEG


class LabelFile:
    """A file of labels, or a Zarr folder of them.

    Args:
        path: The file, or the folder of a Zarr array, of a label image, or of an image with one label image.

    Raises:
        RefusedFilesError: It is none.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, _shown(path)
        if path.is_dir() or any(part.endswith(".zarr") for part in path.parts):
            self.kind, self.place = "Zarr", self._zarr_place(path)
            return
        self.place = path
        if not path.is_file():
            raise self.refused("an existing file", "none. Paths are relative to the file that names them")
        suffix = path.suffix.lower()
        if suffix not in _KINDS:
            advice = "JPEG changes the values of labels" if suffix in {".jpg", ".jpeg"} else "Save it as one of these"
            raise self.refused(f"one of {listing(_KINDS)} or a Zarr folder", f"{suffix or 'no suffix'}. {advice}")
        self.kind = _KINDS[suffix]

    def refused(self, expected: str, got: str) -> RefusedFilesError:
        """Return the error that refuses the file."""
        return RefusedFilesError([(self.name, f"must be {expected}, got {got}.")])

    def digest(self) -> str:
        """Return sha256 of the bytes of the file, or of all files of the Zarr array and their names; hexadecimal."""
        if self.kind != "Zarr":
            with self.place.open("rb") as file:
                return file_digest(file, "sha256").hexdigest()
        hashed = sha256()
        for inner in sorted(inner for inner in self.place.rglob("*") if inner.is_file()):
            with inner.open("rb") as file:
                hashed.update(f"{inner.relative_to(self.place).as_posix()}\0{file_digest(file, 'sha256').hexdigest()}\n".encode())
        return hashed.hexdigest()

    def read(self) -> NDArray[Any]:
        """Return the labels, (h, w) of a signed or unsigned type, native byte order.

        Raises:
            RefusedFilesError: The file is broken, or holds no labels.
        """
        try:
            array = {"TIFF": self._tiff, "PNG": self._png, "NPY": self._npy, "Zarr": self._zarr}[self.kind]()
        except RefusedFilesError:
            raise
        except Exception as error:  # decoders raise whatever they like
            said = " ".join(str(error).split()) or type(error).__name__
            raise self.refused(f"a whole {self.kind} file", f"{said.rstrip('.')}. Save it again") from None
        return self._whole(self._flat(array))

    def _npy(self) -> NDArray[Any]:
        return np.asarray(np.load(self.place, mmap_mode="r", allow_pickle=False))

    def _tiff(self) -> NDArray[Any]:
        import tifffile

        with tifffile.TiffFile(self.place) as file:
            if not file.series:
                raise OSError("no picture in it")
            sizes = [" x ".join(map(str, series.shape)) for series in file.series]
            if len(sizes) != 1:
                raise self.refused("a single picture", f"{len(sizes)} of {listing(sizes, 5)}. Save the label image alone")
            series, page = file.series[0], file.series[0].keyframe
            if page.compression in _LOSSY:
                raise self.refused("compressed without loss", "JPEG, which changes the values of labels. Save it again")
            self._require_flat(series.shape if not series.axes.endswith("YX") or "S" not in series.axes else series.shape[1:])
            try:
                array = np.asarray(series.asarray())
            except (ValueError, KeyError) as error:
                if "imagecodecs" not in str(error):
                    raise
                array = _tiff_by_pillow(self.place, page.dtype, page.bitspersample, inverted=page.photometric == 0)
            return np.moveaxis(array, 0, -1) if series.axes == "SYX" else array

    def _png(self) -> NDArray[Any]:
        from PIL import Image

        with self.place.open("rb") as file:
            header = file.read(26)
        depth, colours = (header[24], header[25]) if len(header) == 26 else (8, 0)
        if depth == 16 and colours != 0:  # Pillow would drop the lower 8 bits
            import cv2

            array = cv2.imdecode(np.fromfile(self.place, np.uint8), cv2.IMREAD_UNCHANGED)
            if array is None:
                raise OSError("broken data")
            return np.asarray(array)
        with _any_size(), Image.open(self.place, formats=("PNG",)) as picture:
            return _raw(np.asarray(picture), depth if colours == 0 else 8)

    def _zarr(self) -> NDArray[Any]:
        with _quiet():
            import zarr

            array: Any = zarr.open_array(self.place, mode="r")
            self._require_flat(array.shape)
            return np.asarray(array[...])

    def _zarr_place(self, path: Path) -> Path:
        """Return the folder of the array of labels that a Zarr folder means."""
        with _quiet():
            import zarr

            try:
                node: Any = zarr.open(path, mode="r") if path.is_dir() else None
            except Exception:  # zarr raises whatever it likes
                node = None
            if node is None:
                raise self._no_zarr(path)
            if isinstance(node, zarr.Array):
                return path
            attributes = dict(node.attrs)
            ome = attributes.get("ome", attributes)
            inner = sorted(name for name, _ in node.members())
        if "labels" in inner and path.name != "labels":
            return self._zarr_place(path / "labels")
        if "labels" in ome or (path.name == "labels" and "multiscales" not in ome):
            names = [name for name in inner if (path / name).is_dir()]
            if len(names) != 1:
                advice = f"{listing(names)}. Name one: {_shown(path / names[0])}" if names else "none. Name another folder"
                raise self.refused("a Zarr folder with one label image", advice)
            return self._zarr_place(path / names[0])
        levels = (ome.get("multiscales") or [{}])[0]
        axes = [axis.get("name", axis) if isinstance(axis, dict) else axis for axis in levels.get("axes", [])]
        if not levels.get("datasets"):
            raise self.refused("a Zarr array or an OME-Zarr label image", f"a group of {listing(inner, 10)}. Name what is in it")
        if "c" in axes and "image-label" not in ome:
            raise self.refused("an OME-Zarr label image", "an image with channels and without labels/. Name a label image")
        return self._zarr_place(path / str(levels["datasets"][0]["path"]))

    def _no_zarr(self, path: Path) -> RefusedFilesError:
        around = path.parent
        names = sorted(inner.name for inner in around.iterdir() if inner.is_dir()) if around.is_dir() else []
        there = f"Beside it are {listing(names, 10)}.{suggestion(path.name, names)}" if names else "Nothing is beside it."
        got = "a folder without one" if path.is_dir() else "nothing there"
        return RefusedFilesError([(_shown(path), f"must be a Zarr array or group, got {got}. {there}")])

    def _require_flat(self, shape: tuple[int, ...]) -> None:
        """Raise RefusedFilesError unless the shape is that of a picture, but for axes of size 1 and colours."""
        large = [size for size in shape if size != 1]
        if 0 in shape or len(shape) < 2:
            raise self.refused("a picture (height, width)", f"shape {shape}. Save it again")
        if len(large) > 2 and shape[-1] not in _COLOURS:
            raise self.refused("a picture (height, width)", f"shape {shape}. Save one plane (z, time or channel) as a file")

    def _flat(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array as (h, w): without axes of size 1, without colours that are all alike."""
        self._require_flat(array.shape)
        while array.ndim > 2 and array.shape[0] == 1:
            array = array[0]
        while array.ndim > 2 and array.shape[-1] == 1:
            array = array[..., 0]
        if array.ndim == 2:
            return array
        if array.ndim > 3:
            raise self.refused("a picture (height, width)", f"shape {array.shape}. Save one plane (z, time or channel) as a file")
        colours = array[..., : 3 if array.shape[-1] > 2 else 1]
        for top in range(0, len(array), _STRIP):
            strip = colours[top : top + _STRIP]
            if (strip != strip[..., :1]).any():
                raise self.refused("labels, one number a pixel", "colours. Save the ids themselves, e.g. as 16-bit grey")
        return colours[..., 0]

    def _whole(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return numbers as an integer type, native byte order."""
        kind = array.dtype.kind
        if kind == "b":
            return array.astype(np.uint8)
        if kind in "iu":
            if array.dtype.itemsize == 8 and kind == "u" and int(array.max()) > np.iinfo(np.int64).max:
                raise self.refused("labels up to 9223372036854775807", f"{array.max()}. Number the objects anew")
            return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
        if kind != "f":
            raise self.refused("whole numbers", f"{array.dtype} values. Save the ids as whole numbers")
        large = float(np.abs(array).max()) >= 2.0**31
        out = np.empty(array.shape, np.int64 if large else np.int32)
        for top in range(0, len(array), _STRIP):
            strip = array[top : top + _STRIP].astype(np.float64)
            if not np.isfinite(strip).all():
                raise self.refused("whole numbers", "nan or infinite values. Save the background as 0")
            if (np.trunc(strip) != strip).any():
                found = strip[np.trunc(strip) != strip][0]
                raise self.refused("whole numbers", f"fractions such as {found:g}. Save labels, not probabilities")
            if (np.abs(strip) >= 2.0**63).any():
                raise self.refused("labels up to 9223372036854775807", "larger ones. Number the objects anew")
            out[top : top + _STRIP] = strip
        return out


def read_labels(path: Path) -> NDArray[Any]:
    """Return the labels of a file as they are written, (h, w) of an integer type, native byte order.

    Args:
        path: TIFF, PNG, NPY, or a Zarr folder.

    Raises:
        RefusedFilesError: It holds none; the reason says why.
    """
    return LabelFile(path).read()


def _shown(path: Path) -> str:
    """Return the name of a file; of a Zarr folder, its path from ``.zarr`` on."""
    store = next((place for place, part in enumerate(path.parts) if part.endswith(".zarr")), len(path.parts) - 1)
    return "/".join(path.parts[store:]) or str(path)


def _raw(values: NDArray[Any], depth: int) -> NDArray[Any]:
    """Return the stored numbers of grey of 2 or 4 bits, which Pillow stretches to 255."""
    return values // np.uint8({2: 85, 4: 17}[depth]) if depth in (2, 4) else values


def _tiff_by_pillow(path: Path, dtype: Any, depth: int, *, inverted: bool) -> NDArray[Any]:
    """Return a TIFF in a compression that tifffile alone can't read; as the numbers that are stored."""
    from PIL import Image

    with _any_size(), Image.open(path, formats=("TIFF",)) as picture:
        values = np.asarray(picture)
    if inverted and values.dtype.itemsize == 1:  # Pillow shows the least value as white
        values = ~values
    return _raw(values, depth).astype(dtype)


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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what zarr warns of foreign stores to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
