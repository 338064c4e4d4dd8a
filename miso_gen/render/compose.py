"""A scene and a box -> the pixels and the truth of that box. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.geometry import Box
    from miso_gen.scene.pixels import PixelType
    from miso_gen.scene.scene import Layer, Scene


@dataclass(frozen=True, eq=False)
class Rendered:
    """The pixels of one box.

    Attributes:
        image: (channels, h, w), of the scene's pixel type.
        truth: (h, w) uint8: 0 irrelevant, 1 localisation, 2 discriminative.
        instances: (h, w) uint16 or uint32 object ids, 0 for none; None where the scene stores none.
    """

    image: NDArray[Any]
    truth: NDArray[np.uint8]
    instances: NDArray[Any] | None


def render_box(scene: Scene, box: Box) -> Rendered:
    """Render a box of a scene: equal to the same part of the whole image.

    Raises:
        ValueError: The box is empty or reaches beyond the image.
    """
    if box.empty or box.intersection(scene.box) != box:
        raise ValueError(f"box must lie on the {scene.height} x {scene.width} image and hold a pixel, got {box}.")
    shape = (scene.channels, *box.shape)
    pixels = scene.pixels
    ground = scene.background.paint(box, pixels)
    if scene.channels == 1 and ground.ndim == 2:
        image = ground[None]
    else:
        image = np.empty(shape, pixels.dtype)
        image[...] = ground
    truth = np.zeros(box.shape, np.uint8)
    instances = None if scene.instances is None else np.zeros(box.shape, scene.instances)
    for layer in scene.layers:
        inside = layer.region.bounds.intersection(box)
        if inside.empty:
            continue
        place = inside.shifted(-box.top, -box.left).slices
        target = None if instances is None else instances[place]
        _lay(layer, inside, pixels, image[:, *place], truth[place], target)
    return Rendered(image, truth, instances)


def _lay(
    layer: Layer, box: Box, pixels: PixelType, image: NDArray[Any], truth: NDArray[np.uint8], instances: NDArray[Any] | None
) -> None:
    """Put one layer on the pixels of a box, in place."""
    labels = None
    labelled = None if instances is None else getattr(layer.region, "labels", None)
    if instances is not None and labelled is not None:
        labels = labelled(box, instances.dtype)
        mask = None if labels is None else (labels != 0).view(np.uint8)
    else:
        mask = layer.region.mask(box)
    if mask is None or not mask.any():
        return
    full = np.negative(mask)
    if layer.texture is not None:
        shown = mask if layer.stencil is None else mask & layer.stencil.mask(box)
        pixels.blend(image, pixels.full(shown), layer.texture.paint(box, pixels))
    if layer.truth is None:
        return
    truth ^= (truth ^ np.uint8(layer.truth)) & full
    if instances is not None:
        ids = instances.dtype.type(layer.instance) if labels is None else labels
        instances ^= (instances ^ ids) * mask
