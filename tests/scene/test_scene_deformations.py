"""MD's deformations, pixel by pixel against rolls and point sampling of the plain picture."""

from __future__ import annotations

import math
from typing import Any

import literal
import numpy as np
import pytest

from miso_gen.errors import RecipeError
from miso_gen.geometry import Box, Spans
from miso_gen.scene.deformations.affine import Affine
from miso_gen.scene.deformations.sine import Sine
from miso_gen.scene.morphologies.builtin import Builtin
from miso_gen.scene.regions import Silhouette


def picture(shape: Silhouette, height: int, width: int) -> np.ndarray:
    mask = shape.mask(Box(0, 0, height, width))
    assert mask is not None
    assert mask.shape == (height, width)
    found = mask.unpack()
    assert found.dtype == np.uint8
    return found


def plain(name: str, height: int, width: int) -> np.ndarray:
    return Spans.of_polygon(Builtin().rings(name, height, width), height, width).mask(Box(0, 0, height, width))


def near_rolls(line: np.ndarray, value: float) -> list[np.ndarray]:
    """Return the line rolled by int(value); by both neighbours where the sine's table (4e-7) could decide either way."""
    return [np.roll(line, shift) for shift in sorted({math.trunc(value - 1e-3), math.trunc(value + 1e-3)})]


@pytest.mark.parametrize("shape", [(192, 192), (150, 210), (230, 131)])
@pytest.mark.parametrize("function", ["cos", "sin"])
@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("cycles", [1, 3])
def test_sine_rolls_every_line(cycles: int, axis: str, function: str, shape: tuple[int, int]) -> None:
    height, width = shape
    source = plain("canary", height, width)
    deformation = Sine(cycles=cycles, axis=axis, function=function)
    found = picture(deformation.deform(Builtin().rings("canary", height, width), height, width), height, width)
    wave = {"cos": math.cos, "sin": math.sin}[function]
    undecided = 0
    for t in range(width if axis == "x" else height):
        value = height / 3 * wave(cycles * math.pi * t / width)
        line, now = (source[:, t], found[:, t]) if axis == "x" else (source[t], found[t])
        rolls = near_rolls(line, value)
        undecided += len(rolls) > 1
        assert any(np.array_equal(now, roll) for roll in rolls), t
    assert undecided <= 6
    assert found.sum() == source.sum()  # a roll loses nothing
    assert not np.array_equal(found, source)


def test_sine_rolls_the_lines_beyond_the_published_loop() -> None:
    """With H < W the published loop left the last W - H columns untouched."""
    height, width = 100, 160
    shifts = Sine(cycles=1, axis="x", function="cos").shifts(width, height, width)
    assert len(shifts) == width
    assert shifts[0] == 33
    assert shifts[-1] == math.trunc(-100 / 3 * math.cos(math.pi / width))  # -33: half a wave over the width
    assert shifts[width // 2] == 0


def test_sine_truncates_toward_zero() -> None:
    shifts = Sine(cycles=2, axis="y", function="sin").shifts(64, 64, 64)
    assert shifts.tolist() == [math.trunc(64 / 3 * math.sin(2 * math.pi * t / 64)) for t in range(64)]
    assert shifts.min() == -21
    assert shifts.max() == 21


# Some silhouettes have edges through pixel centres at some sizes (the canary at 28 of those from 64 to 1099 px): there the
# picture rolled by columns must be cut like the plain one (EXACT: mask'(y, x) = mask((y - s[x]) mod H, x)).
@pytest.mark.parametrize(("name", "side"), [("canary", 1024), ("canary", 809), ("key", 1024), ("viaduct", 1024)])
def test_sine_by_columns_is_a_roll_of_the_plain_picture_even_where_edges_meet_centres(name: str, side: int) -> None:
    deformation = Sine(cycles=3, axis="x", function="sin")
    found = picture(deformation.deform(Builtin().rings(name, side, side), side, side), side, side)
    source = plain(name, side, side)
    wanted = np.stack([np.roll(source[:, t], s) for t, s in enumerate(deformation.shifts(side, side, side))], axis=1)
    different = int((found != wanted).sum())
    assert different == 0


AFFINE: list[dict[str, Any]] = [
    {"rotation_rad": 1.3, "shear_rad": 0.7, "translation_px": (3000 / 12, 800 / 12)},
    {"rotation_rad": 1.5, "shear_rad": 0.5, "translation_px": (3000 / 12, 800 / 12)},
    {"rotation_rad": -0.4, "shear_rad": 0.2, "translation_px": (10.0, 70.0)},
    {"rotation_rad": 0.0, "shear_rad": 0.0, "translation_px": (-20.0, 13.0)},
    {"rotation_rad": 3.0, "shear_rad": -0.3, "translation_px": (250.0, 230.0)},
]


def source_points(height: int, width: int, deformation: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Map every output pixel's centre to the input: [[cos r, -sin(r + s)], [sin r, cos(r + s)]] (x, y) + (tx, ty)."""
    r, s, (tx, ty) = deformation["rotation_rad"], deformation["shear_rad"], deformation["translation_px"]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return math.cos(r) * x - math.sin(r + s) * y + tx, math.sin(r) * x + math.cos(r + s) * y + ty


@pytest.mark.parametrize("shape", [(256, 256), (256, 200)])
@pytest.mark.parametrize("deformation", AFFINE)
def test_affine_is_the_picture_sampled_at_the_mapped_centres(deformation: dict[str, Any], shape: tuple[int, int]) -> None:
    height, width = shape
    rings = Builtin().rings("canary", height, width)
    found = picture(Affine(**deformation).deform(rings, height, width), height, width)
    x, y = source_points(height, width, deformation)
    on_canvas = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    source = plain("canary", height, width)
    nearest = np.where(on_canvas, source[np.clip(y, 0, height - 1).astype(int), np.clip(x, 0, width - 1).astype(int)], 0)
    assert set(np.unique(found)) == {0, 1}
    assert found.any()
    differ = found != nearest
    assert not (differ & ~literal.near_change(nearest, 1)).any()  # the rim only
    assert differ.sum() < 0.02 * found.size


@pytest.mark.parametrize("deformation", AFFINE)
def test_affine_is_the_outline_at_the_mapped_centres(deformation: dict[str, Any]) -> None:
    """Even-odd rule in float64 at the mapped centres: nothing but the rounding to 1/128 px may differ."""
    height, width = 128, 128
    small = {**deformation, "translation_px": tuple(t / 2 for t in deformation["translation_px"])}
    rings = Builtin().rings("teapot", height, width)
    found = picture(Affine(**small).deform(rings, height, width), height, width)
    x, y = source_points(height, width, small)
    inside = np.zeros((height, width), bool)
    for ring in rings:
        points = ring / 256
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if y0 != y1:
                crosses = (y0 <= y) != (y1 <= y)
                inside ^= crosses & (x0 + (y - y0) * (x1 - x0) / (y1 - y0) < x)
    assert (found != inside).sum() <= 0.001 * found.size


def test_affine_identity_changes_nothing() -> None:
    rings = Builtin().rings("bicycle", 200, 200)
    assert np.array_equal(picture(Affine().deform(rings, 200, 200), 200, 200), plain("bicycle", 200, 200))


def test_a_flat_affine_map_is_refused() -> None:
    flat = Affine(rotation_rad=0.3, shear_rad=math.pi / 2)
    with pytest.raises(RecipeError, match="must make a map with an inverse"):
        flat.deform(Builtin().rings("canary", 64, 64), 64, 64)


def test_a_flat_affine_map_in_a_recipe_is_a_recipe_error() -> None:
    # A user's number: no bare ValueError (DESIGN: no traceback reaches a user for a user's mistake).
    entry = {"type": "md", "deformations": [{"type": "affine", "rotation_rad": 0.3, "shear_rad": math.pi / 2}]}
    with pytest.raises(RecipeError, match="inverse"):
        literal.plans_of({**entry, "morphologies": {"only": ["canary", "key"]}}, (64, 64))
