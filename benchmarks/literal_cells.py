"""The literal baseline of synthetic cells: the published generator's rules as a numpy user writes them at first.

Whole images of float64: every part is a coloured picture of its own and goes through the same rotation and the same cubic shift
as the image does. Nothing here is slow on purpose, and nothing is tuned. The tests compare with it, too, so the numbers drawn for
a cell are given; only the nodes of the noise, and of the backgrounds where they aren't given, come from a generator.

Order of the draws: noise of the outline; noise added to x, noise added to y (bar, pole and tails; of a rectangle one more field,
drawn and not used, as published); background. Noise of 0 pixels draws nothing.

Source of the rules: Tjoa & Guan, canvas and classes, drawing, heat map and backgrounds; where paper and code differ, the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import shift
from skimage.transform import resize, rotate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Field = NDArray[np.float64]  # (512, 512)
    Picture = NDArray[np.float64]  # (512, 512, 3)
    Mask = NDArray[np.bool_]  # (512, 512)

SIDE = 512
MIDDLE = SIDE // 2  #: origin of x and y; half a pixel right of and below the point about which the image is turned
RECTANGLES = (3, 4, 5)
PLAIN = (0, *RECTANGLES)  #: classes whose border is the feature
EMPTY = 9
TAIL_DEGREES = {6: (0,), 7: (0, 120, 240), 8: (0, 45, 90, 135, 180, 225, 270, 315)}
FEWEST_TAIL_PERCENT = 0.3  #: of class 6; a sample with less is drawn again


@dataclass(frozen=True)
class LiteralCell:
    """What the published generator makes of one sample.

    Attributes:
        image: (512, 512, 3) in [0, 1].
        heatmap: (512, 512), 0, 0.4 or 0.9.
        parts: Coloured pictures, (512, 512, 3), moved and clipped: "rim" and "inner", of classes with bar, pole or tails also
            "feature". The rim and the inside are whole: what the feature covers isn't cut out. Empty for class 9.
    """

    image: NDArray[np.float64]
    heatmap: NDArray[np.float64]
    parts: dict[str, NDArray[np.float64]]


def draw_cell(
    number: int,
    parameters: Mapping[str, float],
    *,
    background: int = 0,
    generator: np.random.Generator | None = None,
    background_parameters: Mapping[str, Any] | None = None,
    threshold: float | None = 0.05,
) -> LiteralCell:
    """Draw one sample.

    Args:
        number: Class, 0 to 9.
        parameters: Numbers drawn for the cell, by the names of our recipes; unused for class 9.
        background: 0 none, 1 colour field, 2 rings.
        generator: Source of the noise, and of what ``background_parameters`` leaves out.
        background_parameters: See `color_field` and `rings`.
        threshold: Strength above which a part is present in the heat map; None: half the strength of the part's own colour.

    Returns:
        Image, heat map and parts. Class 6 may have too small a tail, see `tail_percent`.
    """
    image, heat = np.zeros((SIDE, SIDE, 3)), np.zeros((SIDE, SIDE))
    parts: dict[str, Picture] = {}
    if number != EMPTY:
        colors = _colors(number, parameters)
        masks = (rectangle if number in RECTANGLES else cell)(number, parameters, generator)
        drawn = {name: mask[:, :, None] * colors[name] for name, mask in masks.items()}
        image = drawn["rim"] + drawn["inner"]
        if "feature" in drawn:
            image = image * (1 - masks["feature"][:, :, None]) + drawn["feature"]
        image = moved(image, number, parameters)
        parts = {name: moved(part, number, parameters) for name, part in drawn.items()}
        limits = {name: strength(colors[name]) / 2 if threshold is None else threshold for name in parts}
        heat = heatmap(number, parts, limits)
    if background:
        behind = (color_field if background == 1 else rings)(generator, background_parameters)
        image = np.clip(image + (image < 0.01) * np.clip(behind, 0, 1), 0, 1)
    return LiteralCell(image, heat, parts)


def noise_field(generator: np.random.Generator | None, noise_px: float, roughness_px: float) -> Field:
    """Return N(0, noise) on an int(512 / roughness) square grid, up-sampled; (512, 512) in pixels."""
    if not noise_px:
        return np.zeros((SIDE, SIDE))
    nodes = int(SIDE / roughness_px)
    return _upsampled(_given(generator).normal(0, noise_px, (nodes, nodes)))


def cell(number: int, parameters: Mapping[str, float], generator: np.random.Generator | None) -> dict[str, Mask]:
    """Return the parts of a round cell, in the middle and upright."""
    amount, rough = parameters["noise_px"], parameters["roughness_px"]
    rim, inner = ellipse(parameters, noise_field(generator, amount, rough))
    if number == 0:
        return {"rim": rim, "inner": inner}
    x, y = _coordinates()
    x = x + noise_field(generator, amount, rough)
    y = y + noise_field(generator, amount, rough)
    return {"rim": rim, "inner": inner, "feature": (tails if number in TAIL_DEGREES else bars)(number, parameters, x, y)}


def ellipse(parameters: Mapping[str, float], noise: Field) -> tuple[Mask, Mask]:
    """Return border, r - t <= d <= r, and inside, d < r - t, where d = sqrt(x^2 + (y / stretch)^2) + noise."""
    x, y = _coordinates()
    distance = np.sqrt(x**2 + (y / parameters["stretch"]) ** 2) + noise
    outer, border = parameters["radius_px"], parameters["border_px"]
    return (distance >= outer - border) & (distance <= outer), distance < outer - border


def bars(number: int, parameters: Mapping[str, float], x: Field, y: Field) -> Mask:
    """Return the horizontal bar, of class 2 with the upright pole; 2 int(thickness / 2) + 1 pixels thick without noise."""
    radius = parameters["radius_px"]
    bar = (np.abs(x) <= radius) & (np.abs(y) <= int(parameters["bar_px"] / 2))
    if number == 1:
        return bar
    pole = (np.abs(y) <= radius * parameters["stretch"]) & (np.abs(x) <= int(parameters["pole_px"] / 2))
    return bar | pole


def tails(number: int, parameters: Mapping[str, float], x: Field, y: Field) -> Mask:
    """Return the tails, the first one downwards; their reach follows the vertical stretch in every direction."""
    reach = parameters["stretch"] * parameters["radius_px"]
    begin = parameters.get("tail_start", 0.8) * reach
    end = parameters.get("tail_ratio", 1.5) * reach + parameters["border_px"]
    union = np.zeros((SIDE, SIDE), dtype=bool)
    for angle in np.deg2rad(TAIL_DEGREES[number]):
        across = np.cos(angle) * x - np.sin(angle) * y
        along = np.sin(angle) * x + np.cos(angle) * y
        union |= (np.abs(across) <= parameters["tail_px"] / 2) & (along >= begin) & (along <= end)
    return union


def rectangle(number: int, parameters: Mapping[str, float], generator: np.random.Generator | None) -> dict[str, Mask]:
    """Return the parts of a rectangle, displaced and upright: columns by ``offset_columns``, rows by ``offset_rows``."""
    x, y = _coordinates()
    noise = noise_field(generator, parameters["noise_px"], parameters["roughness_px"])
    noise_field(generator, parameters["noise_px"], parameters["roughness_px"])  # meant for y; published code leaves it unused
    across = np.abs(x + noise - parameters["offset_columns"])
    down = np.abs(y + noise - parameters["offset_rows"])
    half_width, half_height = int(parameters["width_px"] / 2), int(parameters["height_px"] / 2)
    border = parameters["border_px"]
    outer = (across <= half_width) & (down <= half_height)
    inner = (across <= half_width - border) & (down <= half_height - border)
    return {"rim": outer & ~inner, "inner": inner}


def moved(part: NDArray[np.float64], number: int, parameters: Mapping[str, float]) -> NDArray[np.float64]:
    """Turn a picture counter-clockwise about the middle of the pixel grid, shift it unless it is a rectangle's, and clip it."""
    part = rotate(part, parameters["rotation_deg"], order=1, mode="constant", cval=0)
    if number not in RECTANGLES:
        offset = (parameters["offset_rows"], parameters["offset_columns"], 0)[: part.ndim]
        part = shift(part, offset, order=3, mode="constant", cval=0)
    return np.clip(part, 0, 1)


def visible(parameters: Mapping[str, float], number: int) -> Field:
    """Return how much canvas is behind each pixel, (512, 512): below 0.999 the published raster had nothing to turn or shift."""
    canvas = np.ones((SIDE, SIDE))
    return canvas if number == EMPTY else moved(canvas, number, parameters)


def strength(colors: NDArray[np.float64]) -> Any:
    """Return e = sqrt(red^2 + green^2 + blue^2) / 3, over the last axis."""
    return np.sqrt((colors**2).sum(axis=-1)) / 3


def heatmap(number: int, parts: Mapping[str, Picture], limits: Mapping[str, float]) -> Field:
    """Return 0.9 on the feature of the class, 0.4 on the rest of the cell, 0 elsewhere; parts are where they pass their limit."""
    present = {name: strength(part) > limits[name] for name, part in parts.items()}
    if not present:
        return np.zeros((SIDE, SIDE))
    feature = present["rim" if number in PLAIN else "feature"]
    rest = (present["rim"] | present["inner"]) & ~feature
    return 0.9 * feature + 0.4 * rest


def tail_percent(tail: Picture, parameters: Mapping[str, float]) -> float:
    """Return the share of the canvas that a moved tail covers, in percent rounded to 2 digits.

    The mean of the mask, moved like the part: the part's sum over its colour's. Below 0.3 the published generator draws a sample
    of class 6 again.
    """
    color = _colors(6, parameters)["feature"]
    return float(np.round(100 * tail.sum() / (SIDE**2 * color.sum()), 2))


def color_field(generator: np.random.Generator | None, given: Mapping[str, Any] | None = None) -> Picture:
    """Background 1: per channel U(.2, .7) on an 8 x 8 grid, up-sampled.

    Args:
        generator: Source of the nodes.
        given: Perhaps ``nodes``, (3, 8, 8), or ``fields``, (3, 512, 512).
    """
    return np.stack([_field(generator, given or {}, channel, 0.2, 0.7, 8) for channel in range(3)], axis=-1)


def rings(generator: np.random.Generator | None, given: Mapping[str, Any] | None = None) -> Picture:
    """Background 2: .5 (.5 sin(s (d + m d) 180 / pi) + .5) of the distance d to a point below and right of the middle.

    Args:
        generator: Source of what isn't given.
        given: Perhaps ``centre_row`` and ``centre_column``, counted from the middle of the image, 128 to 383; ``frequencies``,
            the three s, U(1e-4, 1e-3); ``nodes``, (3, 16, 16), of the field m, U(-.3, .3); ``fields``, (3, 512, 512), m itself.
    """
    given = given or {}
    x, y = _coordinates()
    column = given["centre_column"] if "centre_column" in given else _given(generator).integers(128, 384)
    row = given["centre_row"] if "centre_row" in given else _given(generator).integers(128, 384)
    distance = np.sqrt((x - column) ** 2 + (y - row) ** 2)
    channels = []
    for channel in range(3):
        field = _field(generator, given, channel, -0.3, 0.3, 16)
        scale = given["frequencies"][channel] if "frequencies" in given else _given(generator).uniform(1e-4, 1e-3)
        channels.append(0.5 * (0.5 * np.sin(scale * (distance + field * distance) * 180 / np.pi) + 0.5))
    return np.stack(channels, axis=-1)


def _coordinates() -> tuple[Field, Field]:
    """Return x and y of every pixel, counted from column and row 256."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64) - MIDDLE
    return x, y


def _upsampled(nodes: NDArray[np.float64]) -> Field:
    """Resize bilinearly: pixel centres at halves, nothing beyond the outermost nodes."""
    return resize(nodes, (SIDE, SIDE), order=1, mode="edge", anti_aliasing=False)


def _field(
    generator: np.random.Generator | None, given: Mapping[str, Any], channel: int, low: float, high: float, nodes: int
) -> Field:
    """Return one channel's field of a background: given, from given nodes, or drawn."""
    if "fields" in given:
        return np.asarray(given["fields"][channel], dtype=np.float64)
    if "nodes" in given:
        return _upsampled(np.asarray(given["nodes"][channel], dtype=np.float64))
    return _upsampled(_given(generator).uniform(low, high, (nodes, nodes)))


def _colors(number: int, parameters: Mapping[str, float]) -> dict[str, NDArray[np.float64]]:
    """Return red, green and blue of each part: bar and pole are coloured like the border, tails darker."""
    border, inner = (
        np.array([parameters[f"{part}_{channel}"] for channel in ("red", "green", "blue")]) for part in ("border", "inner")
    )
    shade = parameters.get("tail_shade", 0.75) if number in TAIL_DEGREES else 1
    return {"rim": border, "inner": inner, "feature": shade * border}


def _given(generator: np.random.Generator | None) -> np.random.Generator:
    """Return the generator; noise and drawn backgrounds can't do without."""
    if generator is None:
        raise ValueError("generator must be a numpy Generator, got None. Give one, or draw neither noise nor background.")
    return generator
