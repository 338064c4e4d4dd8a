"""Picture files -> greys, opacity and colours, whatever their format and mode.

Pillow decodes; OpenCV reads TIFF files that Pillow can't. What comes out is turned as EXIF says.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from miso_gen.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

MOST_PIXELS: Final = 2**26  #: of a picture: 67 megapixels
MOST_BYTES: Final = 2**29  #: of a file
LUMINANCE: Final = (0.2125, 0.7154, 0.0721)  #: weights of red, green, blue. Source: MISO, appendix A2
SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp"})
_KNOWN: Final = "a PNG, JPEG, GIF, BMP, TIFF or WebP picture"
_MAGIC: Final = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"RIFF": "WebP",
}
_ORIENTATION: Final = 0x0112
_STRIP: Final = 256


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes:
        grey: (h, w) float32 in [0, 1]: luminance; what is transparent lies on white.
        alpha: (h, w) uint8, 0 transparent to 255 opaque; None where the file has no opacity.
        colours: (h, w) of some type: equal where, and only where, two pixels have the same colour.
    """

    grey: NDArray[np.float32]
    alpha: NDArray[np.uint8] | None
    colours: NDArray[Any]


def read_picture(data: bytes) -> Picture:
    """Return the picture of a file.

    Args:
        data: The bytes of the file.

    Raises:
        InputError: It is no picture, broken, too large, or several pictures. The message says what it must be, without a name.
    """
    if len(data) > MOST_BYTES:
        raise InputError(f"must be a file of at most {MOST_BYTES >> 20} MiB, got {len(data) >> 20} MiB. Save it smaller.")
    kind = next((name for magic, name in _MAGIC.items() if data.startswith(magic)), None)
    if kind == "WebP" and data[8:12] != b"WEBP":
        kind = None
    if kind is None:
        raise InputError(f"must be {_KNOWN}, got {_described(data)}. Save it as PNG.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoders warn of what is refused, or harmless
        try:
            return _of_pillow(data, kind)
        except InputError:
            raise
        except Exception as error:  # on broken bytes decoders raise whatever they like
            picture = _of_opencv(data) if kind == "TIFF" else None
            if picture is None:
                said = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
                if "cannot identify" in said:  # what follows is an address in memory
                    said = "nothing can be made of it"
                raise InputError(f"must be a whole {kind} picture, got a broken one: {said}. Save it again.") from None
            return picture


def _described(data: bytes) -> str:
    if not data:
        return "an empty file"
    try:
        text = data[:4096].decode()
    except UnicodeDecodeError as error:
        text = data[: error.start].decode() if error.start > 4000 else "\0"  # the cut may lie within a letter
    return "a file of another kind" if "\0" in text else "text"


def _of_pillow(data: bytes, kind: str) -> Picture:
    from PIL import Image

    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=[kind])
    except Image.DecompressionBombError:
        raise InputError(f"must have at most {MOST_PIXELS} pixels, got more than twice as many. Scale it down.") from None
    with image:
        _check_size(image.height, image.width)
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # the other pictures of an MPO are views of the first
            raise _several(frames)
        image.load()
        colour, alpha = _channels(image)
        orientation = int(image.getexif().get(_ORIENTATION, 1))
    return _picture(_turned(colour, orientation), None if alpha is None else _turned(alpha, orientation))


def _check_size(height: int, width: int) -> None:
    if height * width > MOST_PIXELS:
        raise InputError(f"must have at most {MOST_PIXELS} pixels, got {width} x {height}. Scale it down.")


def _several(count: int) -> InputError:
    return InputError(f"must hold one picture, got {count} frames or pages. Save the one that you want by itself.")


def _channels(image: Image) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """Return colours, (h, w) or (h, w, 3), and opacity."""
    mode = image.mode
    if mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16), None
    if mode in ("I", "F"):
        values = np.asarray(image)
        sixteen = mode == "I" and image.format == "PNG"  # as older versions of Pillow read 16 bits
        return (values.astype(np.uint16) if sixteen else _stretched(values)), None
    if mode == "LA" or (mode in ("1", "L") and "transparency" in image.info):
        both = np.asarray(image.convert("RGBA") if mode != "LA" else image)
        return both[..., 0], both[..., -1]
    if mode in ("1", "L"):
        return np.asarray(image.convert("L")), None
    if mode in ("RGBA", "RGBa", "PA") or "transparency" in image.info:
        both = np.asarray(image.convert("RGBA"))
        return both[..., :3], both[..., 3]
    return np.asarray(image.convert("RGB")), None


def _stretched(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return numbers of no known range as float32 in [0, 1]: as they are where they lie there, else from least to greatest."""
    if not np.isfinite(values).all():
        raise InputError("must hold numbers, got infinite ones or none (nan). Save it again without them.")
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind == "f" and low >= 0.0 and high <= 1.0:
        return values.astype(np.float32)
    return ((values.astype(np.float64) - low) / ((high - low) or 1.0)).astype(np.float32)


def _of_opencv(data: bytes) -> Picture | None:
    """Return a TIFF picture that Pillow can't read; None where OpenCV can't, either."""
    import cv2

    logging = cv2.utils.logging
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # it prints what is wrong; returns the level before
    try:
        found, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    finally:
        logging.setLogLevel(level)
    if not found or not pages:
        return None
    if len(pages) > 1:
        raise _several(len(pages))
    values = np.asarray(pages[0])
    _check_size(*values.shape[:2])
    if values.dtype not in (np.uint8, np.uint16):
        values = _stretched(values)
    alpha = None
    if values.ndim == 3:
        top = 1.0 if values.dtype == np.float32 else float(np.iinfo(values.dtype).max)
        if values.shape[2] == 4:
            alpha = (values[..., 3] * (255.0 / top) + 0.5).astype(np.uint8)
        values = values[..., 2::-1] if values.shape[2] >= 3 else values[..., 0]
    if alpha is not None and values.dtype != np.uint8:
        values = (values * (255.0 / top) + 0.5).astype(np.uint8)
    return _picture(values, alpha)


def _turned(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return rows and columns as EXIF orientation 1 to 8 says that they are to be seen."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def _picture(colour: NDArray[Any], alpha: NDArray[np.uint8] | None) -> Picture:
    """Return the picture of colours, uint8, uint16 or float32 in [0, 1]; with opacity: uint8."""
    if alpha is not None:
        colour = _on_white(colour, alpha)
    if colour.ndim == 2:
        grey = _shares(colour)
        return Picture(grey, alpha, grey)
    grey = np.empty(colour.shape[:2], np.float32)
    for top in range(0, len(grey), _STRIP):
        red, green, blue = np.moveaxis(_shares(colour[top : top + _STRIP]), -1, 0)
        mixed = LUMINANCE[0] * red + LUMINANCE[1] * green + LUMINANCE[2] * blue
        grey[top : top + _STRIP] = np.where((red == green) & (green == blue), red, mixed)  # greys without rounding
    kind = np.uint32 if colour.dtype == np.uint8 else np.uint64
    codes = np.zeros(grey.shape, kind)
    for channel in np.moveaxis(colour, -1, 0):
        codes <<= kind(8 if colour.dtype == np.uint8 else 16)
        codes |= channel if channel.dtype.kind == "u" else (channel * 65535.0 + 0.5).astype(np.uint16)
    return Picture(grey, alpha, codes)


def _on_white(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    opacity = alpha.astype(np.uint32) if colour.ndim == 2 else alpha.astype(np.uint32)[..., None]
    return ((colour * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


def _shares(values: NDArray[Any]) -> NDArray[np.float32]:
    return values if values.dtype == np.float32 else values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
