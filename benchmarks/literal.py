"""The literal baseline: MISO's pixel rules as a numpy user writes them at first.

Whole images of float64, one array after the other, as the formulas of the paper and its released script say. Nothing here is
slow on purpose, and nothing is tuned. It yields the image only: no truth, no instances, no summary, no digests.

The silhouette (float64, 0 or 1), the centres of the discs and the numbers drawn for an image are given: making them is no part
of the comparison. Source of the rules: MISO, tables of pixel rules and scenarios.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from skimage.draw import disk
from skimage.transform import warp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Field = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Given:
    """What the baseline starts from.

    Attributes:
        mask: The silhouette, (H, W) float64, 0 or 1.
        label: 0 or 1.
        fuzz: Chance of a fleck; 0 for the simple variant.
        seed: Seed of the image.
        extra: Numbers of the scenario: ``centres`` and ``radius`` (evsp), ``disc`` as (row, column, radius) (gsp),
            ``deformation`` as a mapping (md).
    """

    mask: Field
    label: int
    fuzz: float
    seed: int
    extra: Mapping[str, Any]


def bernoulli(probability: float, shape: tuple[int, ...], rng: np.random.Generator) -> Field:
    """Return 1 with a chance, else 0, per pixel."""
    return (rng.random(shape) < probability).astype(np.float64)


def hot(mask: Field, fuzz: float, rng: np.random.Generator) -> Field:
    """M + (1 - M) N, or M K + (1 - M) N."""
    noise = bernoulli(0.5, mask.shape, rng)
    if fuzz:
        return mask * bernoulli(1 - fuzz, mask.shape, rng) + (1 - mask) * noise
    return mask + (1 - mask) * noise


def cold(mask: Field, fuzz: float, rng: np.random.Generator) -> Field:
    """(1 - M) N, or M S + (1 - M) N."""
    noise = bernoulli(0.5, mask.shape, rng)
    if fuzz:
        return mask * bernoulli(fuzz, mask.shape, rng) + (1 - mask) * noise
    return (1 - mask) * noise


def fractional(mask: Field, fuzz: float, rng: np.random.Generator) -> Field:
    """Hot rule of masks with values between 0 and 1: noise only where the mask is 0, elsewhere its value, times K."""
    noise = bernoulli(0.5, mask.shape, rng)
    if fuzz:
        return mask * bernoulli(1 - fuzz, mask.shape, rng) + (mask == 0) * noise
    return mask + (mask == 0) * noise


def evp(given: Given, rng: np.random.Generator) -> Field:
    """Object white or black."""
    return (hot if given.label else cold)(given.mask, given.fuzz, rng)


def dsp(given: Given, rng: np.random.Generator) -> Field:
    """Object of high greys U or low greys 1 - U."""
    mask, fuzz = given.mask, given.fuzz
    noise = bernoulli(0.5, mask.shape, rng)
    greys = rng.uniform(0.6, 1, mask.shape)
    if given.label:
        if fuzz:
            greys = greys * bernoulli(1 - fuzz, mask.shape, rng)
    else:
        greys = 1 - greys
        if fuzz:
            greys = np.minimum(1, greys + 2 * bernoulli(fuzz, mask.shape, rng))
    return mask * greys + (1 - mask) * noise


def md(given: Given, rng: np.random.Generator) -> Field:
    """White silhouette, perhaps deformed."""
    deformation = given.extra.get("deformation")
    if deformation is None:
        return hot(given.mask, given.fuzz, rng)
    if deformation["type"] == "sine":
        return hot(_rolled(given.mask, deformation), given.fuzz, rng)
    return fractional(_warped(given.mask, deformation), given.fuzz, rng)


def _rolled(mask: Field, deformation: Mapping[str, Any]) -> Field:
    """Roll line t by int(A f(k pi t / W)), A = H / 3."""
    height, width = mask.shape
    function = {"cos": np.cos, "sin": np.sin}[deformation["function"]]
    out = np.empty_like(mask)
    for t in range(width if deformation["axis"] == "x" else height):
        shift = int(height / deformation["amplitude_divisor"] * function(deformation["cycles"] * np.pi * t / width))
        if deformation["axis"] == "x":
            out[:, t] = np.roll(mask[:, t], shift)
        else:
            out[t] = np.roll(mask[t], shift)
    return out


def _warped(mask: Field, deformation: Mapping[str, Any]) -> Field:
    """Bilinear warp by a matrix from output to input, 0 outside."""
    turn, shear = deformation["rotation_rad"], deformation["shear_rad"]
    tx, ty = deformation["translation_px"]
    matrix = np.array([[np.cos(turn), -np.sin(turn + shear), tx], [np.sin(turn), np.cos(turn + shear), ty], [0, 0, 1]])
    return warp(mask, matrix, order=1)


def evsp(given: Given, rng: np.random.Generator) -> Field:
    """Small discs inside the silhouette, white or black."""
    cells = np.zeros(given.mask.shape)
    for centre in given.extra["centres"]:
        cells[disk(centre, given.extra["radius"], shape=cells.shape)] = 1
    return (hot if given.label else cold)(given.mask * cells, given.fuzz, rng)


def gsp(given: Given, rng: np.random.Generator) -> Field:
    """White silhouette, intact or with one black disc."""
    image = hot(given.mask, given.fuzz, rng)
    if given.label:
        row, column, radius = given.extra["disc"]
        image[disk((row, column), radius, shape=image.shape)] = 0
    return image


def fm(given: Given, rng: np.random.Generator, dtype: type = np.float64) -> Field:
    """White silhouette, whole or tiled with small copies of itself."""
    if not given.label:
        return hot(given.mask, given.fuzz, rng)
    return fractional(_tiling(given.mask, dtype) * given.mask, given.fuzz, rng)


def fm_bytes(given: Given, rng: np.random.Generator) -> Field:
    """The same, the tiles kept in bytes until they are normalised: a third of the memory traffic of the literal way."""
    return fm(given, rng, np.uint8)


def _tiling(mask: Field, dtype: type) -> Field:
    """Shrink the mask, or its crop, to a tenth, tile it, normalise it, and cut the middle out."""
    height, width = mask.shape
    corners = (mask[:50, :50], mask[:50, -50:], mask[-50:, :50], mask[-50:, -50:])
    borders = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    if mask.mean() > 0.5 or any(line.mean() > 0.5 for line in borders) or any(corner.sum() > 1 for corner in corners):
        tiles = np.tile(
            _shrunk(mask, height // 10, width // 10, dtype), (11, 11)
        )  # 11: covers what 10 miss where 10 is no divisor
        return (tiles / tiles.max())[:height, :width]
    rows, columns = np.flatnonzero(mask.sum(axis=1) > 200), np.flatnonzero(mask.sum(axis=0) > 200)
    crop = np.pad(mask, 50)[rows[0] : rows[-1] + 101, columns[0] : columns[-1] + 101]
    tiles = np.tile(_shrunk(crop, height // 10, width // 10, dtype), (60, 60))
    top, left = (tiles.shape[0] - height) // 2, (tiles.shape[1] - width) // 2
    return (tiles / tiles.max())[top : top + height, left : left + width]


def _shrunk(mask: Field, height: int, width: int, dtype: type) -> NDArray[Any]:
    """Resize by area to the levels 0 .. 255, as the published tiles have."""
    return np.rint(cv2.resize(mask * 255, (width, height), interpolation=cv2.INTER_AREA)).astype(dtype)


SCENARIOS: dict[str, Callable[[Given, np.random.Generator], Field]] = {
    "evp": evp,
    "dsp": dsp,
    "md": md,
    "evsp": evsp,
    "gsp": gsp,
    "fm": fm,
    "fm-bytes": fm_bytes,
}


def draw(scenario: str, given: Given) -> Field:
    """Return the image of a scenario, (H, W) float64 in [0, 1]."""
    return SCENARIOS[scenario](given, np.random.default_rng(given.seed))
