"""Export: tiled OME-TIFF with resolution levels."""

from __future__ import annotations

import zlib
from typing import IO, TYPE_CHECKING, Any, ClassVar, Final
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from miso_gen.errors import InputError
from miso_gen.geometry import Box
from miso_gen.release.export_format import ExportFormat
from miso_gen.release.export_index import write_index
from miso_gen.release.exports import EXPORTS
from miso_gen.store import ImageLayout
from miso_gen.store.pyramid import halve_label, halve_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from miso_gen.release.export_folder import ExportFolder, ImageFiles
    from miso_gen.release.export_format import ExportImage, ExportSource
    from miso_gen.store.layout import ArrayName

TILE: Final = 512  #: side of a tile, px
LAST_SIDE: Final = 1024  #: levels are added until the longer side is at most this, px
_CLASSIC_BYTES = 2**32 - 2**25  # what a TIFF of 32 bit addresses holds
_DEFLATE, _LEVEL = 8, 6  # the deflate that every reader knows
_TYPES = {"uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "float32": "float"}
_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


@EXPORTS.register("ome-tiff")
class OmeTiffExport(ExportFormat):
    """``gsp/test/0007.ome.tif`` with ``.truth.ome.tif`` and, where stored, ``.instances.ome.tif``; ``index.csv``.

    Tiles of 512 px, deflate, levels in SubIFDs, each half of the one before until the longer side is at most 1024 px: images by
    the mean of 2 x 2 pixels, labels by the upper left, as in a store. Colour of 8 bit is one plane of three samples (RGB), of 16
    bit and float three planes. BigTIFF where the pixels need it. No pixel size: synthetic pixels have none. No times and no UUID.

    Source: the OME data model 2016-06 and the OME-TIFF specification.
    """

    cannot_hold: ClassVar[tuple[str, ...]] = (
        "Names, colours and heat of the levels of the truth are not in the label image: it has the values 0, 1, 2.",
        "Tables of objects (kinds, boxes, drawn numbers), summaries and histograms stay in the store.",
    )

    def write(self, source: ExportSource, image: ExportImage, files: ImageFiles) -> None:
        """See :class:`ExportFormat`."""
        for name in image.planes:
            levels = list(_levels(image, name))
            with files.open(_file(image.id, name)) as file:
                _write(file, image, levels, _description(source, image, name, levels[0]))

    def finish(self, source: ExportSource, folder: ExportFolder) -> None:
        """See :class:`ExportFormat`."""
        write_index(source, folder, _file)


def _file(image_id: str, name: ArrayName) -> str:
    return f"{image_id}.ome.tif" if name == "image" else f"{image_id}.{name}.ome.tif"


# --- levels -----------------------------------------------------------------------------------------------------------


class _Held:
    """A level that is not stored, because the store ends with larger ones."""

    def __init__(self, pixels: NDArray[Any]) -> None:
        self._pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype

    def read(self, box: Box) -> NDArray[Any]:
        return self._pixels[..., box.top : box.bottom, box.left : box.right]

    def all(self) -> NDArray[Any]:
        return self._pixels


def _levels(image: ExportImage, name: ArrayName) -> Iterator[Any]:
    """Yield the levels, each with ``shape``, ``dtype`` and ``read``: those of the store, then halves of its last, kept."""
    halve = halve_mean if name == "image" else halve_label
    plane: Any = image.plane(name)
    stored = len(ImageLayout(plane.shape[-2], plane.shape[-1]).levels)
    level = 0
    yield plane
    while max(plane.shape[-2:]) > LAST_SIDE:
        level += 1
        plane = image.plane(name, level) if level < stored else _Held(halve(plane.all()))
        yield plane


# --- file -------------------------------------------------------------------------------------------------------------


def _write(file: IO[bytes], image: ExportImage, levels: list[Any], description: str) -> None:
    from tifffile import TiffWriter

    size = sum(int(np.prod(level.shape)) * level.dtype.itemsize for level in levels)
    if levels[0].dtype.name not in _TYPES:
        raise InputError(f"pixels of {image.id} must be one of {', '.join(_TYPES)} for OME-TIFF, got {levels[0].dtype}.")
    with TiffWriter(file, bigtiff=size > _CLASSIC_BYTES, byteorder="<") as tiff:
        for number, level in enumerate(levels):
            samples = _is_rgb(level)
            lead = level.shape[:-2] if len(level.shape) == 3 and level.shape[0] > 1 and not samples else ()
            tiff.write(
                _tiles(image, level, samples),
                shape=(*lead, *level.shape[-2:], *((3,) if samples else ())),
                dtype=level.dtype.newbyteorder("<"),
                tile=(TILE, TILE),
                photometric="rgb" if samples else "minisblack",
                planarconfig="contig" if samples else None,
                compression=_DEFLATE,
                subfiletype=1 if number else 0,
                subifds=len(levels) - 1 if not number and len(levels) > 1 else None,
                description=None if number else description.encode(),
                software="" if number else "miso-gen",
                metadata=None,
                contiguous=False,
            )


def _is_rgb(level: Any) -> bool:
    """Whether a level is one plane of three samples: what viewers of slides show as colour."""
    return len(level.shape) == 3 and level.shape[0] == 3 and level.dtype == np.uint8


def _tiles(image: ExportImage, level: Any, samples: bool) -> Iterator[bytes]:
    """Yield compressed tiles in the order of the file: plane by plane, row by row; filled up with zeros at the border."""
    height, width = level.shape[-2:]
    planes = 1 if samples or len(level.shape) == 2 else level.shape[0]
    for plane in range(planes):
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                pixels = image.read(level, Box(top, left, min(height, top + TILE), min(width, left + TILE)))
                if pixels.ndim == 3 and not samples:
                    pixels = pixels[..., plane]
                tile = np.zeros((TILE, TILE, *pixels.shape[2:]), pixels.dtype.newbyteorder("<"))
                tile[: pixels.shape[0], : pixels.shape[1]] = pixels
                yield zlib.compress(tile.data, _LEVEL)


# --- description ------------------------------------------------------------------------------------------------------


def _description(source: ExportSource, image: ExportImage, name: ArrayName, plane: Any) -> str:
    """Return the OME-XML of a file."""
    height, width = plane.shape[-2:]
    channels = plane.shape[0] if len(plane.shape) == 3 else 1
    samples = 3 if _is_rgb(plane) else 1
    title = image.id if name == "image" else f"{image.id} {name}"
    names = ("red", "green", "blue") if channels == 3 and samples == 1 else (None,) * (channels // samples)
    channel_tags = "".join(
        f'<Channel ID="Channel:0:{number}"{f" Name={quoteattr(given)}" if given else ""} SamplesPerPixel="{samples}"/>'
        for number, given in enumerate(names)
    )
    planes = "".join(
        f'<TiffData IFD="{number}" FirstC="{number}" FirstZ="0" FirstT="0" PlaneCount="1"/>' for number in range(len(names))
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="{_SCHEMA}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{_SCHEMA} {_SCHEMA}/ome.xsd" Creator="miso-gen">'
        f'<Image ID="Image:0" Name={quoteattr(title)}>'
        f"<Description>{escape(source.title)}</Description>"
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="{_TYPES[plane.dtype.name]}" BigEndian="false" '
        f'Interleaved="{"true" if samples == 3 else "false"}" SizeX="{width}" SizeY="{height}" SizeC="{channels}" '
        'SizeZ="1" SizeT="1">'
        f"{channel_tags}{planes}</Pixels>"
        '<AnnotationRef ID="Annotation:0"/></Image>'
        '<StructuredAnnotations><MapAnnotation ID="Annotation:0" Namespace="miso-gen"><Value>'
        f"{_facts(source, image.row)}</Value></MapAnnotation></StructuredAnnotations></OME>"
    )


def _facts(source: ExportSource, row: Mapping[str, Any]) -> str:
    facts = {"data_set": source.dataset.name, "version": source.dataset.version, **source.about(row)}
    return "".join(f"<M K={quoteattr(name)}>{escape(str(value))}</M>" for name, value in facts.items() if value is not None)
