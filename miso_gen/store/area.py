"""One area of an image (all of it, or one shard), tile by tile: encoded, hashed and summed while in cache.

Tiles may cut the area in any way. What matters is the *unit*: the smallest square of whole chunks and whole digest
blocks. Units that a tile covers are used where they are, the rest is gathered in buffers until it is complete, so the
files are the same for any tiling, and memory is bounded by the units that tiles left open.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.geometry import Box
from miso_gen.planes import Planes
from miso_gen.store.digests import BlockDigests, block_digest, constant_digest
from miso_gen.store.layout import BLOCK, CELL
from miso_gen.store.memo import encode_blocks, label_blocks
from miso_gen.store.shards import ShardEncoder
from miso_gen.store.summary import image_cells, image_planes_cells, truth_cells, truth_planes_cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from miso_gen.store.layout import ArrayName, ImageLayout
    from miso_gen.store.summary import ImageCells

    UInt64Array = NDArray[np.uint64]
    Plane = NDArray[Any] | Planes
    Parts = dict[ArrayName, Plane]
    Constants = list[list[float | None]]  # of every block the one value that it holds, None where it holds several

_PIECE_BYTES = 2 << 20  #: tiles larger than this are worked through in pieces, so that they stay in cache
_BLOCK_CELLS = BLOCK // CELL


@dataclass
class AreaResult:
    """What one area adds to an image.

    Attributes:
        files: Bytes of the area's shard of every array.
        digests: Digests of its blocks, by array.
        summary: (3, rows, columns) uint64, its part of the summary.
        histogram: (256,) int64.
        truth_counts: Pixels of truth >= 1 and of truth == 2.
    """

    files: dict[ArrayName, bytes]
    digests: dict[ArrayName, BlockDigests]
    summary: UInt64Array
    histogram: NDArray[np.int64]
    truth_counts: tuple[int, int]


class AreaEncoder:
    """Takes the tiles of one area at level 0 and yields its files and its part of digests and summary.

    Args:
        layout: The image.
        area: A shard of level 0, in pixels of the image.
    """

    def __init__(self, layout: ImageLayout, area: Box) -> None:
        self.layout, self.area = layout, area
        self._names = layout.names
        self._dtypes = {name: layout.array(name).np_dtype for name in self._names}
        self._encoders = {name: ShardEncoder(layout.array(name)) for name in self._names}
        self._digests = {name: BlockDigests(layout.array(name).dtype, layout.array(name).shape) for name in self._names}
        self._summary = np.zeros((3, -(-area.height // CELL), -(-area.width // CELL)), np.uint64)
        self._histogram = np.zeros(256, np.int64)
        self._open: dict[tuple[int, int], _OpenUnit] = {}
        self._written = 0

    def write(
        self,
        box: Box,
        image: Plane,
        truth: Plane,
        instances: Plane | None = None,
    ) -> None:
        """Take one tile. Each of its pictures may be an array, or ``Planes`` where it has few values.

        Args:
            box: Where it lies, in pixels of the image, inside the area. Tiles must not overlap.
            image: (C, h, w), the layout's dtype; as ``Planes`` only with one channel, shape (h, w). Not kept, so the caller
                may use the memory again.
            truth: (h, w) uint8, values 0, 1 and 2.
            instances: (h, w), the layout's instances dtype; given exactly when the layout stores them.

        Raises:
            ValueError: Shape or dtype is not the layout's, the box leaves the area, or truth holds other values.
        """
        planes: Parts = {"image": image, "truth": truth}
        if instances is not None:
            planes["instances"] = instances
        self._check(box, planes)
        area, unit = self.area, self.layout.unit
        tile = Box(box.top - area.top, box.left - area.left, box.bottom - area.top, box.right - area.left)
        core = self._core(tile)
        if core is not None:
            for piece in self._pieces(core):
                self._process(piece, _cut(planes, tile, piece))
        if core == tile:
            return
        for row in range(tile.top // unit, -(-tile.bottom // unit)):
            for col in range(tile.left // unit, -(-tile.right // unit)):
                whole = self._unit_box(row, col)
                if core is None or not _contains(core, whole):
                    self._gather((row, col), whole, _intersection(whole, tile), tile, planes)

    def finish(self) -> AreaResult:
        """Return what the area adds to the image.

        Raises:
            ValueError: The tiles did not cover the area exactly.
        """
        pixels = self.area.height * self.area.width
        if self._written != pixels or self._open:
            seen = self._written + sum(unit.seen for unit in self._open.values())
            raise ValueError(f"tiles must cover all {pixels} px of {self.area} once, got {seen} px. Write every tile once.")
        counts = self._summary[1:].sum(axis=(1, 2))
        files = {name: encoder.finish() for name, encoder in self._encoders.items()}
        return AreaResult(files, self._digests, self._summary, self._histogram, (int(counts[0]), int(counts[1])))

    def _check(self, box: Box, planes: Parts) -> None:
        if tuple(planes) != self._names:
            raise ValueError(f"tile must have the arrays {self._names}, got {tuple(planes)}. Follow the layout.")
        for name, plane in planes.items():
            shape: tuple[int, ...] = box.shape
            if name == "image" and not (isinstance(plane, Planes) and self.layout.channels == 1):
                shape = (self.layout.channels, *box.shape)
            if plane.shape != shape or plane.dtype != self._dtypes[name]:
                expected = f"{self._dtypes[name].name} of shape {shape}"
                raise ValueError(f"{name} of {box} must be {expected}, got {plane.dtype.name} of {plane.shape}.")
        if not _contains(self.area, box):
            raise ValueError(f"tile must lie inside {self.area}, got {box}. Cut it at the border.")

    def _core(self, tile: Box) -> Box | None:
        """Return the units that the tile covers, as one box."""
        unit, height, width = self.layout.unit, *self.area.shape
        top, left = -(-tile.top // unit) * unit, -(-tile.left // unit) * unit
        bottom = height if tile.bottom == height else tile.bottom // unit * unit
        right = width if tile.right == width else tile.right // unit * unit
        return Box(top, left, bottom, right) if top < bottom and left < right else None

    def _pieces(self, core: Box) -> Iterator[Box]:
        unit = self.layout.unit
        pixel_bytes = self.layout.channels * self._dtypes["image"].itemsize
        wide = max(unit, _PIECE_BYTES // (unit * pixel_bytes) // unit * unit)
        tall = max(unit, _PIECE_BYTES // (min(wide, core.width) * pixel_bytes) // unit * unit)
        for top in range(core.top, core.bottom, tall):
            for left in range(core.left, core.right, wide):
                yield Box(top, left, min(core.bottom, top + tall), min(core.right, left + wide))

    def _unit_box(self, row: int, col: int) -> Box:
        unit, height, width = self.layout.unit, *self.area.shape
        return Box(row * unit, col * unit, min(height, (row + 1) * unit), min(width, (col + 1) * unit))

    def _gather(self, place: tuple[int, int], whole: Box, part: Box, tile: Box, planes: Parts) -> None:
        unit = self._open.get(place)
        if unit is None:
            unit = self._open[place] = _OpenUnit(
                {name: np.empty((*self._lead(name), *whole.shape), p.dtype) for name, p in planes.items()}
            )
        inside = Box(part.top - whole.top, part.left - whole.left, part.bottom - whole.top, part.right - whole.left)
        for name, plane in _cut(planes, tile, part).items():
            unit.planes[name][(..., *inside.slices)] = plane.expand() if isinstance(plane, Planes) else plane
        unit.seen += part.height * part.width
        if unit.seen == whole.height * whole.width:
            del self._open[place]
            self._process(whole, dict(unit.planes))

    def _process(self, box: Box, planes: Parts) -> None:
        """Use whole units, in pixels from the area's corner."""
        top, left = box.top // CELL, box.left // CELL
        place = (slice(top, top - (-box.height // CELL)), slice(left, left - (-box.width // CELL)))
        # One array after the other: each is still in cache when it is encoded.
        image, truth = planes["image"], planes["truth"]
        cells = image_planes_cells(image) if isinstance(image, Planes) else image_cells(image)
        self._summary[(0, *place)] = cells.sums
        self._histogram += cells.histogram
        constants = _constant_planes(box, image) if isinstance(image, Planes) and not cells.binary else None
        if constants is None and image.dtype.kind == "u":
            constants = _constant_image(box, cells, self.layout.channels)
        self._encode("image", box, image, constants)
        counts = truth_planes_cells(truth) if isinstance(truth, Planes) else truth_cells(truth)
        self._summary[(1, *place)] = counts.ones
        self._summary[(2, *place)] = counts.twos
        constants = _constant_truth(box, counts.ones, counts.twos)
        self._encode("truth", box, truth, constants)
        if "instances" in planes:
            # An instance lies inside the truth, so a block without truth should have none.
            empty: Constants = [[0 if value == 0 else None for value in row] for row in constants]
            ids = planes["instances"]
            known = _constant_planes(box, ids) if isinstance(ids, Planes) else _checked_zeros(box, empty, ids)
            self._encode("instances", box, ids, known)
        self._written += box.height * box.width

    def _encode(self, name: ArrayName, box: Box, plane: Plane, constants: Constants | None) -> None:
        """Hash the blocks and encode the chunks."""
        if not isinstance(plane, Planes):
            self._encode_pixels(name, box, plane, constants)
        elif constants is None or self.layout.chunk != BLOCK or box.height % BLOCK or box.width % BLOCK:
            self._encode_pixels(name, box, plane.expand()[None] if name == "image" else plane.expand(), constants)
        else:
            self._encode_planes(name, box, plane, constants)

    def _encode_planes(self, name: ArrayName, box: Box, planes: Planes, constants: Constants) -> None:
        """Hash and encode a picture of few values whose blocks are whole, and chunks."""
        digests, encoder = self._digests[name], self._encoders[name]
        row, col = box.top // BLOCK, box.left // BLOCK
        above, before = self.area.top // BLOCK, self.area.left // BLOCK
        chosen = [number for number, value in enumerate(chain.from_iterable(constants)) if value is None]
        encode = encode_blocks if name == "image" else label_blocks.encode  # noise never comes back
        blocks = encode(planes, chosen, encoder.array)
        for i, values in enumerate(constants, row):
            for j, value in enumerate(values, col):
                if value is None:
                    digest, chunk = next(blocks)
                    encoder.put_encoded(i, j, chunk)
                else:
                    digest = constant_digest(encoder.array.dtype, encoder.array.chunk, value)
                    encoder.add_constant(i, j, value)
                digests.add(above + i, before + j, digest)

    def _encode_pixels(self, name: ArrayName, box: Box, pixels: NDArray[Any], constants: Constants | None) -> None:
        """Hash and encode an array; where blocks and chunks coincide, one copy in cache serves both."""
        digests, encoder, chunk = self._digests[name], self._encoders[name], self.layout.chunk
        dtype, lead, fused = self._dtypes[name], pixels.shape[:-2], chunk == BLOCK
        zeros = constant_digest(encoder.array.dtype, (*lead, BLOCK, BLOCK), 0)
        first_row, first_col = (self.area.top + box.top) // BLOCK, (self.area.left + box.left) // BLOCK
        chunk_row, chunk_col = box.top // BLOCK, box.left // BLOCK
        for i, (top, bottom) in enumerate(_cuts(box.height, BLOCK)):
            for j, (left, right) in enumerate(_cuts(box.width, BLOCK)):
                value = constants[i][j] if constants else None
                whole = bottom - top == right - left == BLOCK
                if value is not None:
                    shape = (*lead, bottom - top, right - left)
                    digests.add(first_row + i, first_col + j, constant_digest(encoder.array.dtype, shape, value))
                    if fused and whole:
                        encoder.add_constant(chunk_row + i, chunk_col + j, value)
                    elif fused and value:
                        encoder.add(chunk_row + i, chunk_col + j, pixels[..., top:bottom, left:right])
                    continue
                block = np.ascontiguousarray(pixels[..., top:bottom, left:right], dtype)
                digest = block_digest(block)
                digests.add(first_row + i, first_col + j, digest)
                if fused and whole:
                    if digest != zeros:
                        encoder.put(chunk_row + i, chunk_col + j, block)
                elif fused:
                    encoder.add(chunk_row + i, chunk_col + j, block)
        if not fused:
            for top, bottom in _cuts(box.height, chunk):
                for left, right in _cuts(box.width, chunk):
                    encoder.add((box.top + top) // chunk, (box.left + left) // chunk, pixels[..., top:bottom, left:right])

    def _lead(self, name: ArrayName) -> tuple[int, ...]:
        """Return the axes of an array before its rows."""
        return (self.layout.channels,) if name == "image" else ()


class _OpenUnit:
    """A unit of which some pixels are still to come."""

    def __init__(self, planes: dict[ArrayName, NDArray[Any]]) -> None:
        self.planes, self.seen = planes, 0


def _cuts(size: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(size, start + step)) for start in range(0, size, step)]


def _cut(planes: Parts, whole: Box, part: Box) -> Parts:
    if part == whole:
        return planes
    rows = slice(part.top - whole.top, part.bottom - whole.top)
    cols = slice(part.left - whole.left, part.right - whole.left)
    return {name: p.crop(rows, cols) if isinstance(p, Planes) else p[..., rows, cols] for name, p in planes.items()}


def _contains(outer: Box, inner: Box) -> bool:
    rows = outer.top <= inner.top and inner.bottom <= outer.bottom
    return rows and outer.left <= inner.left and inner.right <= outer.right


def _intersection(one: Box, other: Box) -> Box:
    top, left = max(one.top, other.top), max(one.left, other.left)
    return Box(top, left, min(one.bottom, other.bottom), min(one.right, other.right))


def _block_sums(cells: UInt64Array) -> list[list[int]]:
    rows, cols = cells.shape
    sums = np.add.reduceat(cells, np.arange(0, rows, _BLOCK_CELLS), axis=0)
    result: list[list[int]] = np.add.reduceat(sums, np.arange(0, cols, _BLOCK_CELLS), axis=1).tolist()
    return result


def _constant_planes(box: Box, picture: Planes) -> Constants:
    """Return, for every block, the one value it holds, None where it holds several."""
    sizes = _block_sizes(box)
    result: Constants = [[0] * len(row) for row in sizes]
    for value, bits in picture.planes.items():
        for i, row in enumerate(_block_sums(bits.cells())):
            for j, count in enumerate(row):
                if count:
                    result[i][j] = value if count == sizes[i][j] else None
    return result


def _block_sizes(box: Box) -> list[list[int]]:
    rows, cols = _cuts(box.height, BLOCK), _cuts(box.width, BLOCK)
    return [[(bottom - top) * (right - left) for left, right in cols] for top, bottom in rows]


def _constant_truth(box: Box, ones: UInt64Array, twos: UInt64Array) -> Constants:
    """Return the value of every block that holds one only: counts tell it without another look at the pixels."""
    rows = zip(_block_sums(ones), _block_sums(twos), _block_sizes(box), strict=True)
    return [[_truth_value(one, two, size) for one, two, size in zip(*row, strict=True)] for row in rows]


def _truth_value(ones: int, twos: int, size: int) -> int | None:
    if ones == 0:
        return 0
    if ones < size:
        return None
    return {0: 1, size: 2}.get(twos)


def _constant_image(box: Box, cells: ImageCells, channels: int) -> Constants:
    """Return the value of every block of an image of whole numbers that is all 0, or all 255 in a binary one."""
    rows = zip(_block_sums(cells.sums), _block_sizes(box), strict=True)
    full = 255 * channels if cells.binary else -1
    return [[{0: 0, full * size: 255}.get(total) for total, size in zip(*row, strict=True)] for row in rows]


def _checked_zeros(box: Box, values: Constants, plane: NDArray[Any]) -> Constants:
    """Keep a claimed 0 only where the pixels agree, so that a wrong instance map is stored as it is."""
    return [
        [
            None if value is None or plane[top:bottom, left:right].any() else 0
            for value, (left, right) in zip(row, _cuts(box.width, BLOCK), strict=True)
        ]
        for row, (top, bottom) in zip(values, _cuts(box.height, BLOCK), strict=True)
    ]
