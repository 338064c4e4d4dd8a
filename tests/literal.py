"""The definitions of FACTS and EXACT, written down again slowly and literally: what the tests compare the package with.

Nothing here calls the code under test, except :func:`plans_of` and :func:`whole`, which make the images to be judged.
"""

from __future__ import annotations

import json
import math
from fractions import Fraction
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np

from miso_gen.recipe import SCENARIOS, ImagePlan, load_recipe, plan_images
from miso_gen.render import Rendered, render_box
from miso_gen.scene import make_scene
from miso_gen.scene.morphologies.builtin import Builtin

TWO = {"each": [0.0, 0.1]}

#: numbers of each scenario that suit a canvas of some 200 pixels; md takes those of :func:`deformations`
SMALL: dict[str, dict[str, Any]] = {
    "md": {"contour_px": 5},
    "evsp": {"radius_px": 4, "points": {"type": "matern", "candidates_per_mpx": 9000}},
    "gsp": {"radius_px": {"uniform": [7, 20]}, "window_px": 4},
    "fm": {"line_px": 13, "pad_px": 4, "corner_px": 4, "shrink": 5},
    "cell": {"images": 40, "scale": 0.25},
    "cell-field": {
        "images": 4,
        "reach_px": 25,
        "area_px": [150, 300],
        "points": {"type": "matern", "candidates_per_mpx": 500},
    },
    "tissue": {"tissue": {"type": "simulated", "images": 4, "gland_radius_px": [50, 70], "nest_radius_px": [50, 80]}},
}
COLOURED = ("cell", "cell-field")  #: scenarios that need three channels


def channels_of(type_: str, channels: int = 1) -> int:
    """Return a number of channels that the scenario works with: those asked for, or three."""
    return 3 if type_ in COLOURED else channels


def deformations(height: int, width: int) -> list[dict[str, Any]]:
    """Return the ten of MD, the affine ones about the middle of the canvas."""
    out: list[dict[str, Any]] = [
        {"type": "sine", "cycles": cycles, "axis": axis, "function": function}
        for axis in "xy"
        for function in ("cos", "sin")
        for cycles in (1, 3)
    ]
    for r, s in ((1.3, 0.7), (1.5, 0.5)):
        x = (1 - math.cos(r)) * width / 2 + math.sin(r + s) * height / 2
        y = (1 - math.cos(r + s)) * height / 2 - math.sin(r) * width / 2
        out.append({"type": "affine", "rotation_rad": r, "shear_rad": s, "translation_px": [round(x, 1), round(y, 1)]})
    return out


# --- images -----------------------------------------------------------------------------------------------------------


def plans_of(scenario: dict[str, Any], shape: tuple[int, int] = (200, 200), **head: Any) -> dict[str, ImagePlan]:
    """Return the plans of a recipe of one scenario by id; ``channels`` and ``dtype`` go to the canvas."""
    canvas = {"shape": list(shape), **{key: head.pop(key) for key in ("channels", "dtype") if key in head}}
    canvas.setdefault("channels", channels_of(scenario["type"]))
    recipe = {"schema": 1, "name": "test", "seed": 2022, "splits": ["test"], "canvas": canvas, **head, "scenarios": [scenario]}
    return {plan.id: plan for plan in plan_images(load_recipe(recipe))}


def counted(type_: str, **fields: Any) -> dict[str, Any]:
    """Return a scenario with its defaults, of 10 images where it must be told, and those of the fields that it has."""
    known = {key: value for key, value in fields.items() if key in SCENARIOS.get(type_).model_fields}
    needed = {"images": 10} if "images" in SCENARIOS.get(type_).model_fields else {}
    needed |= {"tissue": {"type": "simulated", "images": 10}} if type_ == "tissue" else {}
    return {"type": type_, **needed, **known}


def small(
    type_: str, shape: tuple[int, int] = (200, 200), only: tuple[str, ...] = ("canary", "teapot"), **fields: Any
) -> dict[str, Any]:
    """Return a scenario of a recipe that suits a canvas of some 200 pixels; of silhouettes, with both kinds of fuzz."""
    numbers = {**SMALL.get(type_, {}), **({"deformations": deformations(*shape)} if type_ == "md" else {})}
    shapes = {"morphologies": {"type": "builtin", "only": list(only)}, "fuzz": TWO}
    known = {key: value for key, value in shapes.items() if key in SCENARIOS.get(type_).model_fields}
    return {"type": type_, **known, **numbers, **fields}


def whole(plan: ImagePlan) -> Rendered:
    """Return a whole image."""
    scene = make_scene(plan)
    return render_box(scene, scene.box)


def address(plan: ImagePlan, thing: str, *, shared: bool) -> tuple[str | int, ...]:
    """Return (seed, scenario, split, unit, thing): the unit is the pair's number for what a pair shares, else the image's."""
    scenario, split, number = plan.id.split("/")
    unit = plan.pair.split("/")[2] if shared and plan.pair else number
    return (plan.seed, scenario, split, unit, thing)


# --- random words -----------------------------------------------------------------------------------------------------

M32, M64, M128 = 2**32 - 1, 2**64 - 1, 2**128 - 1


def entropy(place: tuple[str | int, ...]) -> list[int]:
    """Return the 8 words of an address: sha256 of its canonical JSON, little endian."""
    digest = sha256(json.dumps(list(place), separators=(",", ":")).encode("ascii")).digest()
    return [int.from_bytes(digest[at : at + 4], "little") for at in range(0, 32, 4)]


def seed_words(words: list[int]) -> list[int]:
    """numpy's SeedSequence in whole numbers: the four 64-bit words that seed a PCG64DXSM."""
    constant = 0x43B0D7E5

    def hashed(value: int) -> int:
        nonlocal constant
        value ^= constant
        constant = constant * 0x931E8875 & M32
        value = value * constant & M32
        return value ^ value >> 16

    def mixed(x: int, y: int) -> int:
        value = (0xCA01F9DD * x - 0x4973F715 * y) & M32
        return value ^ value >> 16

    pool = [hashed(word) for word in words[:4]]
    for source in range(4):
        for target in range(4):
            if source != target:
                pool[target] = mixed(pool[target], hashed(pool[source]))
    for word in words[4:]:
        for target in range(4):
            pool[target] = mixed(pool[target], hashed(word))
    constant, out = 0x8B51F9DD, []
    for index in range(8):
        value = pool[index % 4] ^ constant
        constant = constant * 0x58F38DED & M32
        value = value * constant & M32
        out.append(value ^ value >> 16)
    return [out[2 * index] | out[2 * index + 1] << 32 for index in range(4)]


#: words between the streams of two blocks: numpy's own jump, the golden ratio's fraction of 2**128
JUMP = 0x9E3779B97F4A7C15F39CC0605CEDC835


def block_number(row: int, column: int) -> int:
    """Count the blocks along the antidiagonals, each from its lower left end, up to this one."""
    number = 0
    for diagonal in range(row + column + 1):
        for place in range(diagonal + 1):
            if (diagonal - place, place) == (row, column):
                return number
            number += 1
    raise AssertionError


def pcg64dxsm(seeds: list[int], skip: int = 0) -> Any:
    """Yield the words of a PCG64DXSM (M. O'Neill; numpy's seeding) from a position on."""
    increment = ((seeds[2] << 64 | seeds[3]) << 1 | 1) & M128
    state = (increment + (seeds[0] << 64 | seeds[1])) & M128
    state = (state * 0x2360ED051FC65DA44385DF649FCCF645 + increment) & M128
    factor, term = 0xDA942042E4DD58B5, increment  # state -> factor state + term, doubled for each binary digit of the position
    while skip:
        if skip & 1:
            state = (state * factor + term) & M128
        factor, term, skip = factor * factor & M128, (factor + 1) * term & M128, skip >> 1
    while True:
        high, low = state >> 64, state & M64 | 1
        high ^= high >> 32
        high = high * 0xDA942042E4DD58B5 & M64
        high ^= high >> 48
        yield high * low & M64
        state = (state * 0xDA942042E4DD58B5 + increment) & M128


def raw_words(place: tuple[str | int, ...], count: int, skip: int = 0) -> list[int]:
    """Return the words of an address from a position on, in whole numbers."""
    generator = pcg64dxsm(seed_words(entropy(place)), skip)
    return [next(generator) for _ in range(count)]


def integer(word: int, low: int, high: int) -> int:
    return low + ((word >> 32) * (high - low) >> 32)


def _noise(place: tuple[str | int, ...], height: int, width: int, bits: int) -> np.ndarray:
    """Return ``bits`` random bits per pixel, lowest bits of each word first.

    Each 512 x 512 block has the field's stream after as many of numpy's jumps as its number says.
    """
    stream = np.random.PCG64DXSM(np.random.SeedSequence(entropy(place)))
    rows, columns = -(-height // 512), -(-width // 512)
    out = np.empty((rows * 512, columns * 512), np.int64)
    shifts = np.arange(0, 64, bits, dtype=np.uint64)
    for row in range(rows):
        for column in range(columns):
            words = stream.jumped(block_number(row, column)).random_raw(512 * 512 * bits // 64)
            values = (words[:, None] >> shifts) & np.uint64(2**bits - 1)
            out[row * 512 :, column * 512 :][:512, :512] = values.reshape(512, 512)
    return out[:height, :width]


def bits(place: tuple[str | int, ...], height: int, width: int) -> np.ndarray:
    return _noise(place, height, width, 1)


def words16(place: tuple[str | int, ...], height: int, width: int) -> np.ndarray:
    return _noise(place, height, width, 16)


def bernoulli(place: tuple[str | int, ...], p: Fraction, height: int, width: int) -> np.ndarray:
    """1 where 16 bits are below round(65536 p); single bits for 1/2."""
    if p == Fraction(1, 2):
        return bits(place, height, width)
    return (words16(place, height, width) < int(65536 * p + Fraction(1, 2))).astype(np.int64)


# --- polygons ---------------------------------------------------------------------------------------------------------


def raster(rings: list[list[tuple[int, int]]], height: int, width: int) -> np.ndarray:
    """Even-odd rule on pixel centres, lattice 1/256 px: edges whose crossing is at or left of the centre are counted."""
    out = np.zeros((height, width), np.uint8)
    for y in range(height):
        centre = 256 * y + 128
        crossings = []
        for ring in rings:
            for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
                if (y0 < centre) != (y1 < centre):
                    crossings.append(x0 + Fraction((centre - y0) * (x1 - x0), y1 - y0))
        for x in range(width):
            out[y, x] = sum(crossing <= 256 * x + 128 for crossing in crossings) % 2
    return out


def near_change(mask: np.ndarray, reach: int) -> np.ndarray:
    """Return the pixels with both kinds of pixels within ``reach`` rows and columns."""
    padded = np.pad(mask, reach, mode="edge")
    height, width = mask.shape
    views = [padded[y : y + height, x : x + width] for y in range(2 * reach + 1) for x in range(2 * reach + 1)]
    return np.max(views, axis=0) != np.min(views, axis=0)


def outline(name: str, height: int, width: int) -> list[list[tuple[int, int]]]:
    """Return the rings of a builtin silhouette; tests/scene holds them to the design."""
    return [[(int(x), int(y)) for x, y in ring] for ring in Builtin().rings(name, height, width)]


@cache
def picture(name: str, height: int, width: int) -> np.ndarray:
    """Return a builtin silhouette, rasterised literally."""
    return raster(outline(name, height, width), height, width)


# --- levels -----------------------------------------------------------------------------------------------------------


def stored(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return values in [0, 1] as stored pixels: nearest level, halves up; float32 as it is."""
    if dtype == "float32":
        return values.astype(np.float32)
    top = {"uint8": 255, "uint16": 65535}[dtype]
    return np.floor(values * top + 0.5).astype(dtype)


def greys(words: np.ndarray, low: float, high: float, dtype: str) -> np.ndarray:
    """Return uniform greys in [low, high] as values: low + (r n >> 16) in whole levels of the type."""
    top = 255 if dtype == "uint8" else 65535
    first, last = math.floor(low * top + 0.5), math.floor(high * top + 0.5)
    return (first + (words * (last - first + 1) >> 16)) / top


def busy(mask: np.ndarray, corner: int) -> bool:
    """White fraction > .5, or a border row or column > 50 % white, or a corner with more than 1 white pixel."""
    if mask.mean() > 0.5:
        return True
    if any(line.mean() > 0.5 for line in (mask[0], mask[-1], mask[:, 0], mask[:, -1])):
        return True
    corners = (mask[:corner, :corner], mask[:corner, -corner:], mask[-corner:, :corner], mask[-corner:, -corner:])
    return any(part.sum() > 1 for part in corners)


def crop(mask: np.ndarray, line: int, pad: int) -> tuple[int, int, int, int]:
    """From the first to the last row and column with more than ``line`` pixels, padded: top, left, bottom, right."""
    rows = [y for y in range(mask.shape[0]) if mask[y].sum() > line]
    columns = [x for x in range(mask.shape[1]) if mask[:, x].sum() > line]
    return rows[0] - pad, columns[0] - pad, rows[-1] + 1 + pad, columns[-1] + 1 + pad


def area_tile(mask: np.ndarray, box: tuple[int, int, int, int], height: int, width: int) -> np.ndarray:
    """Return (510 S + HW) // (2 HW) for every pixel of the shrunk box, S = sum of whole overlaps; outside the mask is 0."""
    top, left, bottom, right = box
    rows, columns = bottom - top, right - left
    source = np.zeros((rows, columns), np.int64)
    for y in range(rows):
        for x in range(columns):
            if 0 <= top + y < mask.shape[0] and 0 <= left + x < mask.shape[1]:
                source[y, x] = mask[top + y, left + x]

    def overlaps(big: int, few: int) -> np.ndarray:
        """(few, big): common length of output cell i = [i big, (i+1) big) and source cell j = [j few, (j+1) few)."""
        return np.array(
            [[max(0, min((i + 1) * big, (j + 1) * few) - max(i * big, j * few)) for j in range(big)] for i in range(few)]
        )

    total = overlaps(rows, height) @ source @ overlaps(columns, width).T
    return (510 * total + rows * columns) // (2 * rows * columns)
