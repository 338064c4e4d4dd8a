"""A scene and a box -> the pixels and the truth of that box. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from miso_gen.geometry import Box
from miso_gen.planes import Planes
from miso_gen.scene.crowd import Crowd
from miso_gen.scene.figures import FULL
from miso_gen.scene.textures import array_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.planes import Bits
    from miso_gen.scene.figures import Colour
    from miso_gen.scene.pixels import PixelType
    from miso_gen.scene.scene import Layer, Scene
    from miso_gen.scene.textures import Painted, Texture

_TRUTH = np.dtype(np.uint8)


@dataclass(frozen=True, eq=False)
class Rendered:
    """The pixels of one box, as they were composed: pictures of few values stay a bit a pixel until somebody wants bytes.

    Attributes:
        channels: Channels of the image.
        painted: The image: few values, the same in all channels, or an array, (h, w) or (channels, h, w).
        levels: The truth.
        labels: Object ids; None where the scene stores none.
    """

    channels: int
    painted: Painted
    levels: Painted
    labels: Painted | None

    @cached_property
    def image(self) -> NDArray[Any]:
        """(channels, h, w), of the scene's pixel type."""
        pixels = array_of(self.painted)
        if pixels.ndim == 3:
            return pixels
        return pixels[None] if self.channels == 1 else np.repeat(pixels[None], self.channels, axis=0)

    @cached_property
    def truth(self) -> NDArray[np.uint8]:
        """(h, w) uint8: 0 irrelevant, 1 localisation, 2 discriminative."""
        return array_of(self.levels)

    @cached_property
    def instances(self) -> NDArray[Any] | None:
        """(h, w) uint16 or uint32 object ids, 0 for none; None where the scene stores none."""
        return None if self.labels is None else array_of(self.labels)


class Writer(Protocol):
    """Whoever takes rendered boxes."""

    def write(self, box: Box, image: Painted, truth: Painted, instances: Painted | None = None) -> None:
        """Take a box."""


def send(scene: Scene, box: Box, writer: Writer) -> None:
    """Render a box and hand it to a writer, without making bytes of what the writer takes as bits."""
    part = render_box(scene, box)
    few = isinstance(part.painted, Planes) and scene.channels == 1
    writer.write(box, part.painted if few else part.image, part.levels, part.labels)


def render_box(scene: Scene, box: Box) -> Rendered:
    """Render a box of a scene: equal to the same part of the whole image.

    Raises:
        ValueError: The box is empty or reaches beyond the image.
    """
    if box.empty or box.intersection(scene.box) != box:
        raise ValueError(f"box must lie on the {scene.height} x {scene.width} image and hold a pixel, got {box}.")
    painted = scene.background.paint(box, scene.pixels, box)
    levels: Painted = Planes(_TRUTH, box.shape, {})
    labels: Painted | None = None if scene.instances is None else Planes(scene.instances, box.shape, {})
    for layer in scene.layers:
        if isinstance(layer, Crowd):
            painted, levels, labels = _crowded(layer, box, scene, painted, levels, labels)
            continue
        if not layer.region.bounds.overlaps(box):
            continue
        mask, ids = _region(layer, box, labels)
        if mask is None or not (rows := mask.rows()).stop:
            continue
        if layer.texture is not None:
            painted = _over(painted, layer, layer.texture, mask, rows, box, scene.pixels)
        if layer.truth is None:
            continue
        levels = _relabelled(levels, mask, Planes(_TRUTH, box.shape, {layer.truth: mask} if layer.truth else {}))
        if labels is not None:
            labels = _relabelled(labels, mask, ids)
    return Rendered(scene.channels, painted, levels, labels)


def _region(layer: Layer, box: Box, labels: Painted | None) -> tuple[Bits | None, Painted | None]:
    """Return where a layer is in a box, and the object ids that it puts there, if these are asked for."""
    if labels is None or layer.truth is None:
        return layer.region.mask(box), None
    labelled = getattr(layer.region, "labels", None)
    if labelled is not None:
        found: tuple[Bits, Painted] | None = labelled(box, labels.dtype)
        return (None, None) if found is None else found
    mask = layer.region.mask(box)
    return mask, None if mask is None else Planes(labels.dtype, box.shape, {layer.instance: mask})


def _over(below: Painted, layer: Layer, texture: Texture, mask: Bits, rows: slice, box: Box, pixels: PixelType) -> Painted:
    """Return the picture of a box with a layer's texture on top of it where the mask, which has pixels in these rows, is."""
    touched = Box(box.top + rows.start, box.left, box.top + rows.stop, box.right)
    if not texture.few_valued:  # bytes cost more than bits: only the rows that the layer touches are painted
        mask = mask.crop(rows, slice(0, box.width))
    part = box if texture.few_valued else touched
    shown = mask if layer.stencil is None else mask & layer.stencil.mask(part)
    top = texture.paint(part, pixels, touched.intersection(layer.region.bounds))
    if texture.few_valued and isinstance(below, Planes) and isinstance(top, Planes):
        return below.over(shown, top)
    top, out = array_of(top), array_of(below)
    if top.ndim > out.ndim:  # the background may have one channel
        out = np.array(np.broadcast_to(out, (*max(out.shape[:-2], top.shape[:-2]), *box.shape)))
    place = (..., *part.shifted(-box.top, -box.left).slices)
    out[place] = pixels.select(shown, top, out[place])
    return out


def _relabelled(labels: Painted, mask: Bits, ids: Painted | None) -> Painted:
    """Return object ids with those of another layer on top of them where its mask is."""
    if isinstance(labels, Planes) and isinstance(ids, Planes):
        return labels.over(mask, ids)
    top = 0 if ids is None else array_of(ids)
    if isinstance(labels, Planes) and not labels.planes:
        return np.asarray(top)
    return np.where(mask.unpack(), top, array_of(labels)).astype(labels.dtype, copy=False)


def _crowded(
    crowd: Crowd, box: Box, scene: Scene, painted: Painted, levels: Painted, labels: Painted | None
) -> tuple[Painted, Painted, Painted | None]:
    """Return pixels, truth and object ids with cells on top of them."""
    stamps = list(crowd.stamps(box))
    if not stamps:
        return painted, levels, labels
    image = array_of(painted)
    if image.ndim == 2:
        image = np.repeat(image[None], scene.channels, axis=0)
    truth, ids = array_of(levels), None if labels is None else array_of(labels)
    for cell, stamp in stamps:
        place = stamp.box.within(box)
        for (part, weight), colour in zip(stamp.covers, cell.figure.colours, strict=True):
            if not part.empty:
                _blend(image[(slice(None), *part.within(box))], weight, colour, scene.pixels)
        covered = stamp.codes != 0
        np.copyto(truth[place], np.take(cell.levels, stamp.codes), where=covered)
        if ids is not None:
            np.copyto(ids[place], ids.dtype.type(cell.instance), where=covered)
    return image, truth, ids


def _blend(image: NDArray[Any], weight: NDArray[np.uint16], colour: Colour, pixels: PixelType) -> None:
    """Lay a colour over pixels (channels, h, w): (below (256 - w) + colour w + 128) >> 8, in whole numbers."""
    word = np.uint16 if pixels.top == 255 else np.uint32
    weight = weight.astype(word, copy=False)
    left = word(FULL) - weight
    for values, value in zip(image, colour, strict=True):
        levels = pixels.to_levels(values) * left
        levels += weight * word(pixels.level(value))
        levels += word(FULL // 2)
        levels >>= word(8)
        values[...] = pixels.of_levels(levels)
