"""Images, truth and instances as PNG files, for the formats that are made of them."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from miso_gen.errors import InputError
from miso_gen.release.export_format import FLOAT_NOTE
from miso_gen.release.png_encoder import write_png
from miso_gen.store.metadata import TRUTH_LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.release.export_format import ExportImage, ExportSource
    from miso_gen.store.layout import ArrayName

PALETTE: Final = tuple((rgba[0], rgba[1], rgba[2]) for _, _, _, rgba in TRUTH_LEVELS)  #: colours of the values of a truth
GREATEST_ID: Final = 65535  #: of an object in a PNG
COLOUR_NOTE: Final = "Pillow reads colour of 16 bit as 8 bit; read it with OpenCV (IMREAD_UNCHANGED) or imageio."


def write_plane(file: IO[bytes], image: ExportImage, name: ArrayName, *, coloured: bool = True) -> set[str]:
    """Write one array of an image as a PNG, and return what is to be noted.

    ``image`` is grey or colour, 8 bit (uint8) or 16 bit (uint16; float32 as floor(65535 v + 1/2)); ``truth`` has a palette and
    the values 0, 1, 2, or is grey of these values where not ``coloured``; ``instances`` is grey of 16 bit.

    Raises:
        InputError: An id of an object is above 65535, or the image has neither 1 nor 3 channels.
    """
    plane = image.plane(name)
    shape = (plane.shape[-2], plane.shape[-1])
    if name == "truth":
        write_png(file, image.bands("truth"), shape, PALETTE if coloured else None)
        return set()
    if name == "instances":
        write_png(file, (_ids(band, image.id) for band in image.bands("instances")), shape)
        return set()
    if plane.shape[0] not in (1, 3):
        raise InputError(f"channels of {image.id} must be 1 or 3 for a PNG, got {plane.shape[0]}. Export to ome-tiff.")
    write_png(file, (sixteen_bit(band) for band in image.bands("image")), shape)
    notes = {FLOAT_NOTE} if plane.dtype.kind == "f" else set()
    return notes | ({COLOUR_NOTE} if plane.shape[0] == 3 and plane.dtype != np.uint8 else set())


def sixteen_bit(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return float pixels in [0, 1] as floor(65535 v + 1/2), uint16, and whole numbers as they are."""
    if pixels.dtype.kind != "f":
        return pixels
    return np.floor(np.clip(pixels.astype(np.float64), 0.0, 1.0) * 65535.0 + 0.5).astype(np.uint16)


def check_ids(source: ExportSource) -> None:
    """Refuse, before anything is written, images whose tables of objects have ids that no PNG holds.

    Raises:
        InputError: There are such images.
    """
    stored = {row["image_id"] for row in source.rows if row["instances_digest"] is not None} if source.truth else set()
    if not stored:
        return
    objects = source.dataset.objects
    for image_id, top in objects.groupby("image_id")["id"].max().items():
        if image_id in stored and top > GREATEST_ID:
            raise _too_many(str(image_id), int(top))


def _ids(band: NDArray[Any], image_id: str) -> NDArray[np.uint16]:
    top = int(band.max(initial=0))
    if top > GREATEST_ID:
        raise _too_many(image_id, top)
    return band.astype(np.uint16)


def _too_many(image_id: str, top: int) -> InputError:
    return InputError(
        f"object ids of {image_id} must be at most {GREATEST_ID} in a PNG, got {top}. Export to ome-tiff, or leave the image out."
    )
