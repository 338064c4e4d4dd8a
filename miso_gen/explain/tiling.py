"""Maps of whole images of any size, tile by tile, in memory that the tile bounds.

::

    values = explain_tiled(model, dataset["evp/test/0007"].image, "saliency", target=1)
    for top, left, part in tiles_of_map(model, image, "gradcam", layer="layer4"):
        ...

**What is exact.** Networks that read whole images pool over all places at their end. Passes over the tiles find what is pooled
(:mod:`miso_gen.explain.streaming`); then each tile is explained as a part of the whole. A tile is read with so much around it
that nothing on the way from its pixels to the pooling is cut off: the receptive field less one pixel on each side, rounded up to
the strides of the network. The map is that of the whole image but for rounding.

**What is blended.** Where no end of the receptive field is known (pooling within the network, as of squeeze and excitation,
attention, or resizing by corners), or a smaller overlap is asked for, tiles overlap, and their maps change over into one another
linearly. ``exact`` says so, and ``why``. What is pooled at the end is that of all tiles there, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np
import torch

from miso_gen.errors import InputError, listing
from miso_gen.explain.calling import Chosen, explainer_of, maps_of, resting
from miso_gen.explain.interfaces import PixelExplainer, Subject
from miso_gen.explain.layers import chosen_layers, hooked
from miso_gen.explain.receptive import field_of
from miso_gen.explain.streaming import LacksError, Streaming
from miso_gen.explain.windows import Window, rounded_up, tent, windows_of
from miso_gen.geometry import Box
from miso_gen.train.feeding import as_images

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    Tile = tuple[int, int, NDArray[np.float32]]  # top, left, values

#: Explainers that look at an image as it is, place by place, but for poolings over all places.
BY_TILES: Final = frozenset(
    {
        *("saliency", "input-x-gradient", "guided-backprop", "deconvolution", "heatmap"),
        *("cam", "gradcam", "gradcam++", "xgradcam", "hirescam", "layercam"),
    }
)
_PROBE: Final = 512  #: side of what the network is followed on, px
_MARGIN: Final = 2  #: values of a layer around those of a tile that its pixels need, when it is resized


class Pixels(Protocol):
    """An image that is read by slices, (C, H, W): a stored array, an array of numpy, a tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""

    def __getitem__(self, key: Any) -> Any:
        """Return ``[:, top:bottom, left:right]``."""


def explain_tiled(
    model: nn.Module,
    image: Pixels,
    explainer: Chosen = "saliency",
    *,
    target: int | None = None,
    tile: int = 1024,
    overlap: int | Literal["auto"] = "auto",
    blend: bool = True,
    out: Any = None,
    **parameters: Any,
) -> NDArray[np.float32] | None:
    """Return the map of a whole image, (H, W) float32; or fill an array and return None.

    Args:
        model: See :class:`MapTiles`.
        image: As there.
        explainer: As there.
        target: As there.
        tile: As there.
        overlap: As there.
        blend: As there.
        out: Array (H, W) to fill by slices, such as a memory map; None: a new one.
        parameters: Of the explainer, where it is given by name.

    Raises:
        InputError: As of :class:`MapTiles`; or ``out`` has another shape.
    """
    tiles = MapTiles(model, image, explainer_of(explainer, parameters), target=target, tile=tile, overlap=overlap, blend=blend)
    found = np.empty(tiles.shape, np.float32) if out is None else out
    if tuple(found.shape) != tiles.shape:
        raise InputError(f"out must have the size of the image, {tiles.shape}, got {tuple(found.shape)}.")
    for top, left, values in tiles:
        found[top : top + values.shape[0], left : left + values.shape[1]] = values
    return found if out is None else None


def tiles_of_map(model: nn.Module, image: Pixels, explainer: Chosen = "saliency", **options: Any) -> MapTiles:
    """Return the map of a whole image as an iterable of tiles, (top, left, (h, w) float32), that cover it once.

    ::

        tiles = tiles_of_map(model, image, "gradcam", layer="layer4")
        store.write_tiles(name, "gradcam", image_id, tiles.shape, tiles, target=tiles.target)

    Args:
        model: See :class:`MapTiles`.
        image: As there.
        explainer: As there.
        options: ``target``, ``tile``, ``overlap``, ``blend`` as there, and parameters of an explainer that is given by name.

    Raises:
        InputError: As of :class:`MapTiles`.
    """
    given = {key: options.pop(key) for key in ("target", "tile", "overlap", "blend") if key in options}
    return MapTiles(model, image, explainer_of(explainer, options), **given)


class MapTiles:
    """The map of a whole image, made tile by tile whenever it is iterated over.

    Attributes:
        shape: (H, W) of the image and the map.
        target: The class that is explained.
        logits: (classes,) float64, of the whole image.
        signed: Whether negative values speak against the class.
        tile: Side of a tile, px.
        overlap: What is read around a tile, px.
        exact: Whether the map is that of the whole image but for rounding.
        why: Why it is not; empty: it is.

    Args:
        model: A network that pools over all places before its logits, on any device; left as it was.
        image: (C, H, W), read by slices: floating as the model takes it, or uint8 and uint16, which become [0, 1].
        explainer: One of :data:`BY_TILES`, of one layer, without ``scale``, and without a ``clamp`` that is a share.
        target: Class to explain; None: the one that the model predicts.
        tile: Side of a tile, px; rounded up to the strides of the network. Memory grows with its square, and with that of what
            is read around it.
        overlap: What is read around a tile, px; rounded up likewise. ``auto``: what an exact map needs, where that is known, else
            a quarter of a tile. Less than an exact map needs, or anything where that isn't known, is blended.
        blend: Whether maps may be blended; False: only exact ones are made.

    Raises:
        InputError: The model, the image or the explainer can't be explained by tiles; or the map can't be exact, and must.
    """

    def __init__(
        self,
        model: nn.Module,
        image: Pixels,
        explainer: Chosen = "saliency",
        *,
        target: int | None = None,
        tile: int = 1024,
        overlap: int | Literal["auto"] = "auto",
        blend: bool = True,
    ) -> None:
        self._explainer = explainer_of(explainer)
        self._model, self._image = model, image
        self._check(target, tile, overlap)
        self.shape = (int(image.shape[1]), int(image.shape[2]))
        self.signed = self._explainer.is_signed
        with resting(model):
            self._layer = self._one_layer()
            names = () if self._layer is None else (self._layer,)
            probe = self._read(Box(0, 0, min(_PROBE, self.shape[0]), min(_PROBE, self.shape[1])))
            self._field = field = field_of(model, probe, names)
            self._strides = self._map_strides()
            self._plan(tile, overlap)
            if not self.exact and not blend:
                raise InputError(f"overlap must be enough for an exact map, got {self.overlap} px: {self.why}. Allow blend.")
            self._stream = Streaming(field, self._strides)
            self._layer_size = (0, 0)
            self._ready = self._strides is None  # explainers of pixels pool nothing
            self._find_heads()
            with torch.no_grad(), self._stream.tile(model, None):
                logits = model(probe)
        if logits.ndim != 2 or not logits.shape[1]:
            raise InputError(f"model must give logits (B, classes), got {tuple(logits.shape)}.")
        self.logits: NDArray[np.float64] = logits[0].double().cpu().numpy()
        self.target = int(self.logits.argmax()) if target is None else target
        if not 0 <= self.target < len(self.logits):
            raise InputError(f"target must be from 0 to {len(self.logits) - 1}, the classes of the model, got {target}.")

    def __iter__(self) -> Iterator[Tile]:
        """Yield (top, left, values (h, w)) of tiles that cover the map once."""
        windows = self._cut(self.overlap)
        while not self._try(windows[0]):  # a pass of its own for each pooling of the explainer
            for window in windows[1:]:
                self._try(window)
            self._stream.found_one()
        if not self.exact:
            yield from self._blended(windows)
            return
        for window in windows:
            yield window.core.top, window.core.left, self._at_pixels(self._values(window), window, window.core)

    def _try(self, window: Window) -> bool:
        """Explain a tile, and return whether everything was known for it."""
        if self._ready:
            return True
        try:
            self._values(window)
        except LacksError:
            return False
        self._ready = True
        return True

    # --- before ---

    def _check(self, target: int | None, tile: int, overlap: int | Literal["auto"]) -> None:
        explainer, image = self._explainer, self._image
        if not isinstance(self._model, torch.nn.Module):
            raise InputError(f"model must be a torch.nn.Module to be explained by tiles, got {type(self._model).__name__}.")
        if explainer.type_name not in BY_TILES:
            known = listing(sorted(BY_TILES))
            raise InputError(f"explainer must be one that works by tiles, {known}, got {explainer.type_name}.")
        if explainer.scale != "none":
            raise InputError(f"scale must be 'none' for a map made by tiles, got {explainer.scale!r}. Scale the finished map.")
        if isinstance(explainer, PixelExplainer) and explainer.clamp is not None and explainer.clamp_of == "share":
            raise InputError("clamp_of must be 'value' for a map made by tiles, got 'share': no tile knows the greatest value.")
        shape = tuple(getattr(image, "shape", ()))
        if len(shape) != 3 or 0 in shape:
            raise InputError(f"image must be (C, H, W) with pixels, got {shape or type(image).__name__}.")
        if target is not None and (isinstance(target, bool) or not isinstance(target, int)):
            raise InputError(f"target must be a whole number, or None, got {target!r}.")
        if tile < 1 or (overlap != "auto" and overlap < 0):
            raise InputError(f"tile must be positive, and overlap 'auto' or 0 px or more, got {tile} and {overlap!r}.")

    def _one_layer(self) -> str | None:
        wanted = getattr(self._explainer, "layer", None)
        if wanted is None:
            return None
        layers = chosen_layers(self._model, wanted)
        if len(layers) > 1:
            raise InputError(f"layer must be one for a map made by tiles, got {listing(layers)}. Choose one of them.")
        return layers[0]

    def _map_strides(self) -> tuple[int, int] | None:
        """Return the strides of the maps of the explainer; None: they are of pixels."""
        if isinstance(self._explainer, PixelExplainer):
            return None
        if self._layer is None:  # the heat map, which is what is pooled
            return next(iter(self._field.heads.values()))
        if self._layer not in self._field.layers:
            raise InputError(f"layer must be computed on the way to the logits, got {self._layer!r}. Choose another layer.")
        return self._field.layers[self._layer]

    def _plan(self, tile: int, overlap: int | Literal["auto"]) -> None:
        """Choose sides of tiles and of what is read around them, and find out whether maps are exact."""
        field = self._field
        self._step = step = field.step
        around = 0 if self._strides is None else _MARGIN * max(self._strides)
        needed = rounded_up(field.reach + around, step)
        self.tile = rounded_up(tile, step)
        if overlap == "auto":
            self.overlap = rounded_up(self.tile // 4, step) if field.why else needed
        else:
            self.overlap = rounded_up(overlap, step)
        self.exact, self.why = not field.why and self.overlap >= needed, field.why
        if not self.exact:
            self.tile = max(self.tile, 2 * self.overlap)  # so that a pixel is in two tiles at most, each way
            self.why = self.why or f"its values depend on {needed} px around them"
        self._ahead = min(self.overlap, rounded_up(field.ahead, step)) if self.exact else self.overlap
        if self.tile >= max(self.shape):  # one tile
            self.exact, self.why = True, ""

    def _cut(self, overlap: int) -> list[Window]:
        return windows_of(self.shape, self.tile, overlap, self._step)

    def _find_heads(self) -> None:
        """Make the pass that finds what the network pools over the whole image."""
        layers = () if self._layer is None else (self._layer,)
        strides = self._strides or (1, 1)
        for window in self._cut(self._ahead):

            def keep(_: str, output: Tensor, window: Window = window) -> None:
                down, across = window.offset(strides)
                size = down + output.shape[-2], across + output.shape[-1]
                self._layer_size = max(self._layer_size[0], size[0]), max(self._layer_size[1], size[1])

            with torch.no_grad(), hooked(self._model, layers, keep), self._stream.tile(self._model, window):
                self._model(self._read(window.read))
        self._stream.learns = False
        if not self._layer and self._strides:
            self._layer_size = next(iter(self._stream.heads.values())).shape

    # --- a tile ---

    def _read(self, box: Box) -> Tensor:
        found = self._image[:, box.top : box.bottom, box.left : box.right]
        pixels = found.detach() if isinstance(found, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(found))
        first = next(self._model.parameters(), None)
        device = pixels.device if first is None else first.device
        if pixels.is_floating_point():
            return pixels.to(device)[None]
        if pixels.dtype not in (torch.uint8, torch.uint16):
            raise InputError(f"image must be floating, uint8 or uint16, got {pixels.dtype}. Convert it.")
        return as_images(pixels, device)[None]

    def _values(self, window: Window) -> Tensor:
        """Return the map of what is read for a tile, at its own size."""
        heads = self._stream.heads.values()
        if self._strides is None:
            read = window.read
            sizes = [(-(-read.height // one.strides[0]) + 1, -(-read.width // one.strides[1]) + 1) for one in heads]
            if not any(one.matters(window, size) for one, size in zip(heads, sizes, strict=True)):
                return torch.zeros(read.shape)
        images = self._read(window.read)
        target = torch.full((1,), self.target, dtype=torch.int64, device=images.device)
        with resting(self._model), self._stream.tile(self._model, window):
            return maps_of(self._explainer, Subject(self._model, images, target, (0,)))[0]

    def _at_pixels(self, values: Tensor, window: Window, box: Box) -> NDArray[np.float32]:
        """Return some pixels of the map of what is read for a tile; layers are resized, bilinear, as the whole one is."""
        read = window.read
        if self._strides is None:
            part = values[box.top - read.top : box.bottom - read.top, box.left - read.left : box.right - read.left]
            return part.cpu().numpy()
        offset = window.offset(self._strides)
        for axis, (first, last) in enumerate(((box.top, box.bottom), (box.left, box.right))):
            place = np.maximum((np.arange(first, last) + 0.5) * (self._layer_size[axis] / self.shape[axis]) - 0.5, 0)
            low = np.minimum(place.astype(np.int64), self._layer_size[axis] - 1)
            share = torch.from_numpy((place - low).astype(np.float32)).to(values.device)
            high = np.minimum(low + 1, self._layer_size[axis] - 1)
            inside = (np.clip(one - offset[axis], 0, values.shape[axis] - 1) for one in (low, high))
            near, far = (values.index_select(axis, torch.from_numpy(one).to(values.device)) for one in inside)
            values = torch.lerp(near, far, share[:, None] if axis == 0 else share)
        return values.cpu().numpy()

    def _blended(self, windows: list[Window]) -> Iterator[Tile]:
        """Yield rows of the map, each pixel the mean of those of the tiles that read it, weighted by tents."""
        height, width = self.shape
        base, rows = 0, np.zeros((0, width), np.float32)
        for window in windows:
            core, read = window.core, window.read
            if read.bottom - base > len(rows):
                rows = np.concatenate([rows, np.zeros((read.bottom - base - len(rows), width), np.float32)])
            down = tent(core.top, core.bottom, read.top, read.bottom, height, self.overlap)
            across = tent(core.left, core.right, read.left, read.right, width, self.overlap)
            shown = self._at_pixels(self._values(window), window, read) * down[:, None] * across
            first = max(read.top, base)  # weights above are 0
            rows[first - base : read.bottom - base, read.left : read.right] += shown[first - read.top :]
            if core.right == width:
                done = height if core.bottom == height else core.bottom - self.overlap
                if done > base:
                    yield base, 0, rows[: done - base].copy()
                    base, rows = done, rows[done - base :].copy()
