"""Synthetic cells against FACTS B1 to B6 and B14: drawn again from the random words, one pixel centre after the other."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import literal
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.stats import kstest, spearmanr

import miso_gen
from miso_gen.errors import RecipeError
from miso_gen.geometry import Box
from miso_gen.recipe import ImagePlan, load_recipe
from miso_gen.recipe.counts import SplitCounts
from miso_gen.recipe.plugins import BACKGROUNDS, CELLS, SCENARIOS
from miso_gen.recipe.prototype import Prototype
from miso_gen.render import Rendered, render_box
from miso_gen.rng import Stream
from miso_gen.scene import Scene, make_scene
from miso_gen.scene.crowd import Crowd
from miso_gen.scene.figures import DrawnCell, Figure
from miso_gen.scene.shapes import Frame, Pose
from miso_gen.scene.textures import array_of

# --- FACTS B1 and B2 ------------------------------------------------------------------------------------------------------

RGB = ("red", "green", "blue")
WOBBLE = {"rotation_deg": (-60, 60), "noise_px": (6, 12), "roughness_px": (31, 64)}
INNER = {"inner_red": (0.1, 0.3), "inner_green": (0.1, 0.3), "inner_blue": (0.3, 0.5)}
ELLIPSE = {
    **WOBBLE,
    "radius_px": (90, 110),
    "border_px": (10, 30),
    "stretch": (0.5, 1.5),
    **{f"border_{colour}": (0.5, 0.9) for colour in RGB},
    **INNER,
}
TAIL = {**ELLIPSE, "tail_px": (10, 30), "tail_start": 0.8, "tail_ratio": 1.5, "tail_shade": 0.75}
BAR = {**ELLIPSE, "bar_px": (10, 30)}


def rectangle(strong: str) -> dict[str, Any]:
    lengths = {"width_px": (100, 200), "height_px": (100, 200), "border_px": (10, 30)}
    border = {f"border_{colour}": (0.6, 0.9) if colour == strong else (0, 0.2) for colour in RGB}
    return {**WOBBLE, **lengths, **border, **INNER}


#: every field by type, in the order of the classes: its range, or its constant
FIELDS: dict[str, dict[str, Any]] = {
    "cell": ELLIPSE,
    "cell-bar": BAR,
    "cell-plus": {**BAR, "pole_px": (5, 40)},
    **{f"rect-{colour}": rectangle(colour) for colour in RGB},
    "tail-1": {**TAIL, "tail_share": 0.003},
    "tail-3": TAIL,
    "tail-8": TAIL,
}
TYPES = (*FIELDS, "none")
#: parts by type, bottom to top, and those of level 2
PARTS = {
    "cell": ("rim", "inner"),
    "cell-bar": ("rim", "inner", "bar"),
    "cell-plus": ("rim", "inner", "bar", "pole"),
    **{f"rect-{colour}": ("rim", "inner") for colour in RGB},
    **{f"tail-{count}": ("rim", "inner", "tail") for count in (1, 3, 8)},
}
TELLS = {name: set(parts) - {"inner", "rim"} or {"rim"} for name, parts in PARTS.items()}
ANGLES = {"tail-1": [0], "tail-3": [0, 120, 240], "tail-8": list(range(0, 360, 45))}
GROUNDS = ("black", "color-field", "rings")
NEAR = 1e-3  #: pixels so near to an outline may fall to either side: our sines are within 4e-7


@dataclass
class LiteralPart:
    name: str
    level: int
    colour: tuple[float, ...]
    depth: np.ndarray  #: how far inside each pixel centre is, in pixels


def shares(place: tuple[str | int, ...], branch: int, count: int) -> list[float]:
    return [(word >> 11) * 2.0**-53 for word in literal.raw_words(place, count, skip=branch * literal.JUMP)]


def numbers_of(name: str, place: tuple[str | int, ...], **given: float) -> dict[str, float]:
    """Draw each field from branch 64 n, n its place in the class."""
    out = {}
    for number, (field, value) in enumerate(FIELDS[name].items()):
        if field in given:
            out[field] = given[field]
        elif isinstance(value, tuple):
            out[field] = value[0] + (value[1] - value[0]) * shares(place, 64 * number, 1)[0]
        else:
            out[field] = value
    return out


@cache
def quantiles() -> np.ndarray:
    return np.load(Path(miso_gen.__file__).parent / "tables" / "normal.npy").astype(float) * 2.0**-28


def noise_of(numbers: dict[str, float], place: tuple[str | int, ...], number: int, x: np.ndarray, y: np.ndarray) -> Any:
    """N(0, noise) on int(512 / roughness) nodes a side over 512 px about the cell, bilinear, its border continued."""
    if not numbers["noise_px"]:
        return 0.0
    side = int(512 / numbers["roughness_px"])
    drawn = np.array(shares(place, (1 << 16) + number, side * side)).reshape(side, side)
    normals = np.interp(drawn * 4096 - 0.5, np.arange(4096), quantiles())
    nodes = np.floor(normals * numbers["noise_px"] * 65536 + 0.5) / 65536
    return map_coordinates(nodes, [(v + 256) * side / 512 - 0.5 for v in (y, x)], order=1, mode="nearest")


def centre_of(name: str, numbers: dict[str, float], place: tuple[str | int, ...], shape: tuple[int, int], offset: float) -> Any:
    """int(U(-offset side, offset side)), first rows, then columns; a rectangle's is (columns, rows), and turns with it."""
    first, second = (2 * shares(place, (1 << 20) + axis, 1)[0] - 1 for axis in range(2))
    if not name.startswith("rect"):
        return shape[0] // 2 + 0.5 + int(first * offset * shape[0]), shape[1] // 2 + 0.5 + int(second * offset * shape[1])
    x, y = int(first * offset * shape[1]), int(second * offset * shape[0])
    angle = math.radians(numbers["rotation_deg"])
    return (
        shape[0] // 2 + 0.5 + y * math.cos(angle) - x * math.sin(angle),
        shape[1] // 2 + 0.5 + x * math.cos(angle) + y * math.sin(angle),
    )


def half_of(p: dict[str, float], length: float) -> float:
    """Along the axes of a cell: whole pixels where no noise moves them off their grid."""
    return math.floor(length) + 0.5 if p["noise_px"] == 0 else length


def drawing(
    name: str, p: dict[str, float], place: tuple[str | int, ...], row: float, column: float, scale: float, shape: tuple[int, int]
) -> list[LiteralPart]:
    """The parts of a cell, bottom to top, on the pixel centres of a canvas: FACTS B3 in the frame of the cell."""
    down, right = np.mgrid[: shape[0], : shape[1]] + 0.5
    down, right = (down - row) / scale, (right - column) / scale
    angle = math.radians(p["rotation_deg"])
    x, y = right * math.cos(angle) - down * math.sin(angle), right * math.sin(angle) + down * math.cos(angle)

    def band(across: np.ndarray, half: float, along: np.ndarray, near: float, far: float) -> np.ndarray:
        return np.min([half - across, half + across, far - along, along - near], axis=0)

    outline = noise_of(p, place, 0, x, y)
    found = {}
    if name.startswith("rect"):
        half_x, half_y = math.floor(p["width_px"] / 2), math.floor(p["height_px"] / 2)
        for part, border in (("rim", 0), ("inner", p["border_px"])):
            half = half_of(p, half_y - border)
            found[part] = band(x + outline, half_of(p, half_x - border), y + outline, -half, half)
    else:
        distance = np.sqrt(x**2 + (y / p["stretch"]) ** 2) + outline
        found = {"rim": p["radius_px"] - distance, "inner": p["radius_px"] - p["border_px"] - distance}
    if len(PARTS[name]) > 2:
        x, y = x + noise_of(p, place, 1, x, y), y + noise_of(p, place, 2, x, y)
    if "bar" in PARTS[name]:
        half = half_of(p, p["radius_px"])
        found["bar"] = band(y, half_of(p, math.floor(p["bar_px"] / 2)), x, -half, half)
    if "pole" in PARTS[name]:
        half = half_of(p, p["radius_px"] * p["stretch"])
        found["pole"] = band(x, half_of(p, math.floor(p["pole_px"] / 2)), y, -half, half)
    if "tail" in PARTS[name]:
        height, tails = p["stretch"] * p["radius_px"], []
        for degrees in ANGLES[name]:
            a = math.radians(degrees)
            u, v = math.cos(a) * x - math.sin(a) * y, math.sin(a) * x + math.cos(a) * y
            half, near, far = p["tail_px"] / 2, p["tail_start"] * height, p["tail_ratio"] * height + p["border_px"]
            if degrees % 90 == 0 and p["noise_px"] == 0:
                half, near, far = half_of(p, half), math.ceil(near) - 0.5, half_of(p, far)
            tails.append(band(u, half, v, near, far))
        found["tail"] = np.max(tails, axis=0)
    border, inner = (tuple(p[f"{part}_{colour}"] for colour in RGB) for part in ("border", "inner"))
    shaded = tuple(0.75 * channel for channel in border)
    colours = {"inner": inner, "tail": shaded}
    return [LiteralPart(n, 2 if n in TELLS[name] else 1, colours.get(n, border), d * scale) for n, d in found.items()]


def truth_of(parts: list[LiteralPart]) -> np.ndarray:
    truth = np.zeros(parts[0].depth.shape, int)
    for part in parts:
        truth[part.depth >= 0] = part.level
    return truth


@dataclass
class Expected:
    numbers: dict[str, float]
    row: float
    column: float
    parts: list[LiteralPart]
    tries: int

    @property
    def certain(self) -> np.ndarray:
        return np.min([np.abs(part.depth) for part in self.parts], axis=0) > NEAR


def expected(plan: ImagePlan) -> Expected:
    """The cell of a plan, drawn again until a tail-1 shows enough of its tail."""
    name, shape, scale, offset = plan.class_name, plan.canvas.shape, plan.spec["scale"], plan.spec["offset"]
    given = {key: v for key, v in plan.spec["cells"][plan.label].items() if isinstance(v, int | float)}
    for tries in range(200):
        place = (*literal.address(plan, "cell", shared=False), tries)
        numbers = numbers_of(name, place, **given)
        row, column = centre_of(name, numbers, place, shape, offset)
        parts = drawing(name, numbers, place, row, column, scale, shape)
        if name != "tail-1" or (truth_of(parts) == 2).mean() >= numbers["tail_share"]:
            return Expected(numbers, row, column, parts, tries)
    raise AssertionError("never enough tail")


def cell_plans(shape: tuple[int, int] = (512, 512), images: int = 30, **fields: Any) -> list[ImagePlan]:
    head = {key: fields.pop(key) for key in ("dtype", "seed") if key in fields}
    scenario = {"type": "cell", "images": images, **fields}
    return list(literal.plans_of(scenario, shape, channels=3, **head).values())


def ground(scene: Scene) -> np.ndarray:
    pixels = array_of(scene.background.paint(scene.box, scene.pixels, scene.box))
    return pixels if pixels.ndim == 3 else np.repeat(pixels[None], 3, axis=0)


def levels_of(pixels: np.ndarray) -> np.ndarray:
    """Pixels as whole numbers, 0 .. 255 or 0 .. 65535."""
    return np.rint(pixels.astype(float) * 65535).astype(int) if pixels.dtype == np.float32 else pixels.astype(int)


def same(first: Rendered, second: Rendered, crop: tuple[slice, slice] = (slice(None), slice(None))) -> bool:
    return np.array_equal(first.image, second.image[(slice(None), *crop)]) and np.array_equal(first.truth, second.truth[crop])


# --- every type on every background ---------------------------------------------------------------------------------------


def test_the_types_are_those_registered() -> None:
    assert set(TYPES) == set(CELLS.names())
    assert {CELLS.aliases[str(number)]: number for number in range(10)} == {name: number for number, name in enumerate(TYPES)}
    assert [BACKGROUNDS.aliases[str(number)] for number in range(3)] == list(GROUNDS)
    for number, name in enumerate(TYPES):
        model = CELLS.get(name)
        assert model is CELLS.get(str(number))
        assert model.number == number  # type: ignore[attr-defined]
        if name == "none":
            assert not issubclass(model, DrawnCell)
            continue
        cell = Prototype(CELLS, {"type": name}).sample(Stream(1))
        assert tuple(part.name for part in cell.parts()) == PARTS[name]
        assert {part.name for part in cell.parts() if part.level == 2} == TELLS[name]
        colour = f"{name[5:]} " if name.startswith("rect") else ""  # a red border is none that another type has
        called = {part: f"{colour}{part}" if part == "rim" else part for part in PARTS[name]}
        assert set(model.tells) == {called[part] for part in TELLS[name]}  # type: ignore[attr-defined]
        assert set(model.draws) == set(called.values())  # type: ignore[attr-defined]


SETTINGS: dict[str, dict[str, Any]] = {
    "as published": {},
    "hard": {"shape": (131, 140), "scale": 0.25, "edges": "hard"},
    "soft": {"shape": (128, 151), "scale": 0.25, "edges": "soft", "seed": 3},
    "no noise": {
        "shape": (130, 130),
        "scale": 0.25,
        "edges": "hard",
        "cells": [{"type": t, "noise_px": 0} for t in FIELDS] + ["none"],
    },
    "hard 16 bits": {"shape": (131, 120), "scale": 0.25, "edges": "hard", "dtype": "uint16"},
    "hard floats": {"shape": (128, 128), "scale": 0.25, "edges": "hard", "dtype": "float32"},
}


@pytest.mark.parametrize("case", SETTINGS)
def test_every_type_on_every_background(case: str) -> None:
    """Numbers, place, truth and colours are those of the definition, but for pixels within 1/1000 px of an outline."""
    plans = cell_plans(**SETTINGS[case])
    seen: dict[str, set[str]] = {name: set() for name in TYPES}
    telling = 0
    for plan in plans:
        scene = make_scene(plan)
        found = render_box(scene, scene.box)
        below, background = ground(scene), str(scene.drawn["background_type"])
        seen[plan.class_name].add(background)
        assert found.image.dtype == plan.canvas.dtype
        assert found.truth.dtype == np.uint8
        assert found.instances is None
        assert (below == 0).all() == (background == "black")
        if plan.class_name == "none":
            assert np.array_equal(found.image, below)
            assert not found.truth.any()
            assert not scene.objects
            assert scene.drawn == {"background_type": background}
            continue
        wanted = expected(plan)
        drawn = dict(scene.drawn)
        assert drawn.pop("background_type") == background
        assert abs(drawn.pop("row") - wanted.row) < NEAR  # type: ignore[operator]
        assert abs(drawn.pop("column") - wanted.column) < NEAR  # type: ignore[operator]
        assert drawn == wanted.numbers
        certain = wanted.certain
        assert certain.mean() > 0.998
        truth = truth_of(wanted.parts)
        assert np.array_equal(found.truth[certain], truth[certain])
        telling += 2 in truth
        if plan.spec["edges"] == "hard":
            values = np.zeros((3, *truth.shape))
            for part in wanted.parts:
                values[:, part.depth >= 0] = np.array(part.colour)[:, None]
            picture = np.where(truth > 0, literal.stored(values, plan.canvas.dtype), below)
            if plan.canvas.dtype == "float32":  # greys step as those of 16 bits
                picture = np.where(truth > 0, np.float32(np.floor(values * 65535 + 0.5) / 65535), below)
            assert np.array_equal(found.image[:, certain], picture[:, certain])
        else:
            levels = below.astype(int)
            for part in wanted.parts:
                weight = np.floor(256 * np.clip(part.depth + 0.5, 0, 1)).astype(int)
                for channel, value in enumerate(part.colour):
                    level = math.floor(255 * value + 0.5)
                    levels[channel] = (levels[channel] * (256 - weight) + level * weight + 128) >> 8
            off = np.abs(levels - found.image)
            assert off.max() <= 2  # a weight may be 1/256 off
            assert (off > 0).mean() < 1e-3
        assert_object(plan, scene, found, wanted)
    assert seen == {name: set(GROUNDS) for name in TYPES}
    assert telling > 24


def assert_object(plan: ImagePlan, scene: Scene, found: Rendered, wanted: Expected) -> None:
    """One row, whose box holds the cell, and the numbers of the image table."""
    (table,) = scene.objects
    assert table.kind == plan.class_name
    assert table.ids.tolist() == [1]
    top, left, bottom, right = table.boxes[0].tolist()
    outside = found.truth.copy()
    outside[top:bottom, left:right] = 0
    assert not outside.any()
    assert Box(0, 0, *plan.canvas.shape).intersection(Box(top, left, bottom, right)) == Box(top, left, bottom, right)
    assert {name: value[0] for name, value in table.params.items()} == {
        name: value for name, value in scene.drawn.items() if name != "background_type"
    }
    assert set(wanted.numbers) < set(table.params)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_backgrounds_are_their_definition(dtype: str) -> None:
    """FACTS B5 from the random words; our rings are cut to 1/4096 of a turn."""
    shape, top = (150, 131), 255 if dtype == "uint8" else 65535
    plans = cell_plans(shape, 3, cells=["none", "cell"], backgrounds=["color-field", "rings"], dtype=dtype)
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5

    def field(place: tuple[str | int, ...], channel: int, low: float, high: float, step: int) -> np.ndarray:
        rows, columns = (-(-size // step) for size in shape)
        nodes = low + (high - low) * np.array(shares((*place, "nodes"), channel, rows * columns)).reshape(rows, columns)
        return map_coordinates(nodes, [y / step - 0.5, x / step - 0.5], order=1, mode="nearest")

    for plan in (plans[0], plans[2]):
        scene = make_scene(plan)
        found, place = levels_of(render_box(scene, scene.box).image), literal.address(plan, "background", shared=False)
        if plan is plans[0]:
            for channel in range(3):
                value = field(place, channel, 0.2, 0.7, 64) * top + 0.5
                assert np.abs(value - 0.5 - found[channel]).max() < 0.5 + 1e-3 + top / 65536  # nodes are whole 65536ths
            assert found.std(axis=(1, 2)).min() > 0.02 * top
            continue
        drawn = (*literal.address(plan, "background", shared=False), "numbers")
        five = [
            low + (high - low) * shares(drawn, 64 * n, 1)[0]
            for n, (low, high) in enumerate([(0.75, 1.25), (0.75, 1.25), *[(1e-4, 1e-3)] * 3])
        ]
        distance = np.hypot(y - five[0] * shape[0], x - five[1] * shape[1])
        for channel in range(3):
            m = field(place, channel, -0.3, 0.3, 32)
            value = 0.5 * (0.5 * np.sin(five[2 + channel] * (distance + m * distance) * 180 / math.pi) + 0.5)
            assert np.abs(value * top - found[channel]).max() < 0.5 + top * 0.25 * (2 * math.pi / 4096 + 1e-3)
        assert found.max() <= (top + 1) // 2


# --- areas, bounds, edges -------------------------------------------------------------------------------------------------


def sampled(name: str, *address: str | int, **fields: Any) -> tuple[DrawnCell, Figure]:
    stream = Stream(*address)
    cell = Prototype(CELLS, {"type": name, **fields}).sample(stream)
    assert isinstance(cell, DrawnCell)
    return cell, cell.figure(stream)


@pytest.mark.parametrize("name", FIELDS)
def test_areas_of_cells_without_noise(name: str) -> None:
    """FACTS B14: pi r^2 stretch / 512^2 in [.0485, .2175], rectangles w h / 512^2 in [.038, .153]."""
    for number in range(12):
        cell, figure = sampled(name, "area", name, number, noise_px=0)
        bare = Figure(figure.parts[:2], figure.wobble)  # rim and inner: without bars and tails
        share = bare.area(1.0) / 512**2
        if name.startswith("rect"):
            ours = (2 * (cell.width_px // 2) + 1) * (2 * (cell.height_px // 2) + 1)  # type: ignore[attr-defined]
            low, high = 0.038, 0.153
        else:
            ours = math.pi * cell.radius_px**2 * cell.stretch  # type: ignore[attr-defined]
            low, high = 0.0485, 0.2175
        assert low <= share <= high
        assert abs(share * 512**2 / ours - 1) < 0.01
        assert abs(bare.area(0.5) / ours - 1) < 0.03
        assert figure.area(1.0) >= bare.area(1.0)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(FIELDS)),
    st.integers(0, 10**6),
    st.sampled_from([0.2, 0.5, 1.0]),
    st.floats(-60, 60),
    st.floats(-60, 60),
    st.sampled_from([0, 9, 40]),
)
def test_nothing_lies_beyond_bounds_and_reach(
    name: str, number: int, scale: float, row: float, column: float, noise: float
) -> None:
    cell, figure = sampled(name, "bounds", number, noise_px=noise)
    pose = Pose.turned(row, column, cell.rotation_deg, scale)
    bounds = figure.bounds(pose)
    wide = bounds.expanded(25)
    for edges in ("hard", "soft"):
        stamp = figure.stamp(wide, pose, edges)  # type: ignore[arg-type]
        y, x = np.mgrid[wide.top : wide.bottom, wide.left : wide.right] + 0.5
        far = np.hypot(y - row, x - column) > figure.reach * scale
        assert not stamp.codes[far].any()
        outside = np.ones(wide.shape, bool)
        outside[bounds.within(wide)] = False
        assert not stamp.codes[outside].any()
        touched = np.zeros(wide.shape, bool)
        for around, weight in stamp.covers:
            assert weight.shape == around.shape
            touched[around.within(wide)] |= weight > 0
        assert not touched[outside].any()
        assert (stamp.codes > 0).any()
        assert not (touched & (np.hypot(y - row, x - column) > figure.reach * scale + 1.5)).any()
        assert (stamp.codes > 0).sum() > 0.9 * math.pi * 30**2 * 0.5 * scale**2
    # The bounds must not be idle, either: without noise they are tight.
    if noise == 0:
        rows, columns = np.nonzero(touched)
        tight = (rows.min(), columns.min(), wide.height - 1 - rows.max(), wide.width - 1 - columns.max())
        assert max(tight) <= 25 + 3


@pytest.mark.parametrize("name", FIELDS)
def test_a_part_of_the_canvas_is_the_same_in_a_larger_one(name: str) -> None:
    """A cell that leaves the canvas is cut, not squeezed."""
    cut = 0
    for plan in cell_plans((140, 120), 8, scale=0.4, offset=0.5, cells=[name, "none"]):
        if plan.class_name == "none":
            continue
        scene = make_scene(plan)
        (crowd,) = scene.layers
        assert isinstance(crowd, Crowd)
        (placed,) = crowd.cells
        beyond = scene.box.expanded(200)
        stamp = placed.figure.stamp(beyond, placed.pose, "soft")
        assert placed.bounds.intersection(beyond) == placed.bounds
        codes = placed.levels[stamp.codes]
        cut += int((codes > 0).sum() > (codes[scene.box.within(beyond)] > 0).sum())
        found = render_box(scene, scene.box)
        assert np.array_equal(found.truth, codes[scene.box.within(beyond)])
        assert np.array_equal(found.image, blended(scene, stamp.crop(scene.box), placed.figure))
    assert cut >= 2


def blended(scene: Scene, stamp: Any, figure: Figure) -> np.ndarray:
    """(below (256 - w) + colour w + 128) >> 8, part by part, in Python's whole numbers."""
    top = 255 if scene.pixels.name == "uint8" else 65535
    levels = levels_of(ground(scene)).astype(object)
    for (around, weight), colour in zip(stamp.covers, figure.colours, strict=True):
        for channel, value in enumerate(colour):
            part, w = levels[channel][around.slices], weight.astype(object)
            levels[channel][around.slices] = (part * (256 - w) + math.floor(top * value + 0.5) * w + 128) // 256
    levels = levels.astype(int)
    return (levels / 65535).astype(np.float32) if scene.pixels.name == "float32" else levels.astype(scene.pixels.dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_soft_and_hard_edges(dtype: str) -> None:
    """The same truth; pixels differ only within half a pixel of an outline, where the parts are blended."""
    soft, hard = (cell_plans((110, 121), 30, scale=0.2, edges=edges, dtype=dtype) for edges in ("soft", "hard"))
    differing = 0
    for first, second in zip(soft, hard, strict=True):
        if first.class_name == "none":
            continue
        scene, other = make_scene(first), make_scene(second)
        faded, sharp = render_box(scene, scene.box), render_box(other, other.box)
        assert scene.drawn == other.drawn
        assert np.array_equal(faded.truth, sharp.truth)
        (crowd,) = scene.layers
        assert isinstance(crowd, Crowd)
        ((placed, stamp),) = crowd.stamps(scene.box)
        place, partly = stamp.box.slices, np.zeros((110, 121), bool)
        for part, (around, weight) in zip(expected(first).parts, stamp.covers, strict=True):
            assert weight.max(initial=0) <= 256
            partly[around.slices] |= (weight > 0) & (weight < 256)
            depth = part.depth[around.slices]
            assert np.abs(weight - np.floor(256 * np.clip(depth + 0.5, 0, 1))).max(initial=0) <= 1
        unequal = (faded.image != sharp.image).any(axis=0)
        assert not (unequal & ~partly).any()
        differing += int(unequal.sum())
        assert np.array_equal(stamp.codes, crowd.cells[0].figure.stamp(stamp.box, placed.pose, "hard").codes)
        assert np.array_equal(faded.truth[place], placed.levels[stamp.codes])
        assert np.array_equal(faded.image, blended(scene, stamp.crop(stamp.box), placed.figure))
    assert differing > 1000


# --- boxes ----------------------------------------------------------------------------------------------------------------


@cache
def rendered(name: str, background: str, edges: str, dtype: str) -> tuple[ImagePlan, Rendered]:
    plans = cell_plans((130, 150), 2, cells=[name, "none"], backgrounds=[background], scale=0.3, edges=edges, dtype=dtype)
    return plans[0], literal.whole(plans[0])


@st.composite
def boxes(draw: Any, height: int, width: int) -> Box:
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Box(top, left, draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width)))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(list(FIELDS)),
    st.sampled_from(GROUNDS),
    st.sampled_from(["soft", "hard"]),
    st.sampled_from(["uint8", "uint16", "float32"]),
    st.lists(boxes(130, 150), min_size=1, max_size=3),
)
def test_any_box_is_the_crop_of_the_whole(name: str, background: str, edges: str, dtype: str, asked: list[Box]) -> None:
    """Of a scene that was asked for nothing before, and box after box."""
    plan, whole_image = rendered(name, background, edges, dtype)
    scene = make_scene(plan)
    for box in asked:
        assert same(render_box(scene, box), whole_image, box.slices)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["cell-plus", "rect-blue"]), st.integers(0, 99), st.sampled_from([0.3, 1.0, 3.0]), boxes(130, 150))
def test_frames_of_one_figure_agree_in_every_bit(name: str, number: int, scale: float, box: Box) -> None:
    """Not in the pixels alone, which show a last bit once in many million times."""
    cell, figure = sampled(name, "frame", number)
    pose = Pose.turned(61.25, 70.5, cell.rotation_deg, scale)
    part, canvas = (Frame(b, pose, figure.wobble, figure.reach) for b in (box, Box(0, 0, 130, 150)))
    pairs = [(part.x, canvas.x), (part.y, canvas.y), (part.radial(0.7), canvas.radial(0.7))]
    pairs += zip(part.slid, canvas.slid, strict=True)
    if len(figure.wobble.fields) > 1:
        pairs += zip(part.shifted, canvas.shifted, strict=True)
    for ours, theirs in pairs:
        assert np.array_equal(ours, theirs[box.slices])
    assert np.ptp(canvas.noise(0)) > 1


@pytest.mark.parametrize("tile", [(37, 41), (64, 150), (1, 150)])
def test_odd_tilings_give_the_same_bytes(tile: tuple[int, int]) -> None:
    for plan in cell_plans((130, 150), 30, scale=0.3):
        scene = make_scene(plan)
        wanted, scene = render_box(scene, scene.box), make_scene(plan)
        for box in scene.box.tiles(*tile):
            assert same(render_box(scene, box), wanted, box.slices)


@pytest.mark.parametrize("edges", ["soft", "hard"])
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("cell-plus", {"radius_px": 100, "stretch": 1, "border_px": 30}),
        ("rect-red", {"width_px": 180, "height_px": 180, "border_px": 30}),
        ("tail-3", {"radius_px": 90, "stretch": 1}),
    ],
)
def test_large_cells_are_drawn_tile_by_tile(name: str, fields: dict[str, Any], edges: str) -> None:
    cells = [{"type": name, **fields}, "none"]
    (plan,) = cell_plans((1100, 1050), 1, cells=cells, scale=6, offset=0.02, edges=edges, backgrounds=["rings"])
    scene, other = make_scene(plan), make_scene(plan)
    (crowd,) = other.layers
    assert isinstance(crowd, Crowd)
    visible = crowd.cells[0].bounds.intersection(scene.box)
    assert visible.height * visible.width > 1 << 20
    wanted = render_box(scene, scene.box)
    assert set(np.unique(wanted.truth)) >= {1, 2}
    for box in [*other.box.tiles(467, 389), Box(300, 200, 301, 900), Box(310, 210, 320, 890), Box(0, 0, 1, 1)]:
        assert same(render_box(other, box), wanted, box.slices)
        assert all(stamp.box.height * stamp.box.width < 467 * 389 + 1 for _, stamp in crowd.stamps(box))


# --- the tail rule --------------------------------------------------------------------------------------------------------


def test_a_single_tail_is_drawn_again_until_it_shows() -> None:
    """FACTS B3: at least 0.3 % of the image; other types never draw again."""
    plans = cell_plans((128, 128), 60, scale=0.25, cells=["tail-1", "tail-3"], seed=4)
    again = 0
    for plan in plans:
        scene = make_scene(plan)
        first = numbers_of(plan.class_name, (*literal.address(plan, "cell", shared=False), 0))
        if plan.class_name == "tail-3":
            assert scene.drawn["radius_px"] == first["radius_px"]
            continue
        share = (render_box(scene, scene.box).truth == 2).mean()
        assert share >= 0.003
        if scene.drawn["radius_px"] == first["radius_px"]:
            continue
        again += 1
        wanted = expected(plan)
        assert wanted.tries >= 1
        assert {name: scene.drawn[name] for name in wanted.numbers} == wanted.numbers
        place = (*literal.address(plan, "cell", shared=False), 0)
        row, column = centre_of("tail-1", first, place, (128, 128), 0.33)
        refused = truth_of(drawing("tail-1", first, place, row, column, 0.25, (128, 128)))
        assert (refused == 2).mean() < 0.003
    assert again >= 2


def test_a_tail_that_never_shows_is_refused() -> None:
    (plan, _) = cell_plans((64, 64), 2, scale=0.1, cells=[{"type": "tail-1", "tail_share": 0.9}, "none"])
    with pytest.raises(
        RecipeError, match=r"^cell/test/0001: tail-1 must show its least share of the canvas, got less in 1000 tries\. Use a sm"
    ):
        make_scene(plan)
    (plan, _) = cell_plans((64, 64), 2, scale=0.1, offset=0.5, cells=[{"type": "tail-1", "tail_share": 0}, "none"])
    assert make_scene(plan).objects[0].kind == "tail-1"  # a share of nothing draws no cell again


# --- recipes --------------------------------------------------------------------------------------------------------------


def recipe(scenario: dict[str, Any], **head: Any) -> Any:
    canvas = head.pop("canvas", {"shape": [128, 128], "channels": 3})
    whole = {"schema": 1, "name": "test", "seed": 2022, "splits": ["test"], "canvas": canvas, **head}
    return load_recipe({**whole, "scenarios": [{"type": "cell", "images": 8, **scenario}]})


def test_numbers_stand_for_names() -> None:
    named = recipe({"cells": list(TYPES), "backgrounds": list(GROUNDS)})
    mixed = [0, "1", 2, {"type": 3}, {"type": "4"}, "rect-blue", 6, "7", 8, 9]
    for cells in (list(range(10)), [str(number) for number in range(10)], mixed):
        other = recipe({"cells": cells, "backgrounds": [0, "1", {"type": 2}]})
        assert other.digest == named.digest
        assert other.to_dict() == named.to_dict()
    assert recipe({}).digest == named.digest  # they are the defaults
    assert recipe({"cells": [0, 1]}).digest != named.digest
    assert recipe({"cells": [1, 0]}).digest != recipe({"cells": [0, 1]}).digest


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        (
            {"cells": ["0", {"each": ["cell", "none"]}]},
            r"cells\[1\] must be a cell: a name, or \{type: name, \.\.\.\}, got \{each: ",
        ),
        (
            {"cells": ["cell", {"type": "cell-bar", "bar_px": {"each": [10, 20]}}]},
            r"cells\[1\]\.bar_px must be a value, or drawn by uniform, normal or choice, got \{each: \[10\.0, 20\.0\]\}\. "
            "Every object draws its own",
        ),
        ({"cells": ["cell", {"type": "cell-bar", "bra_px": 20}]}, r"cells\[1\]\.bra_px .* Did you mean 'bar_px'\?"),
        ({"cells": ["cell", "cel-bar"]}, r"cells\[1\]\.type must be a cell, one of .*got 'cel-bar'\. Did you mean 'cell-bar'\?"),
        ({"cells": ["cell", "10"]}, r"cells\[1\]\.type must be a cell, one of .*got '10'"),
        ({"cells": ["cell"]}, r"cells must be a list of at least 2"),
        ({"backgrounds": []}, r"backgrounds must be a list of at least 1"),
        ({"backgrounds": ["ring"]}, r"backgrounds\[0\]\.type must be a background, .* Did you mean 'rings'\?"),
        (
            {"backgrounds": [{"type": "rings", "waver": {"each": [0, 0.1]}}]},
            r"backgrounds\[0\]\.waver must be a value, or drawn by",
        ),
        ({"ofset": 0.1}, r"ofset must be one of the keys .* Did you mean 'offset'\?"),
        ({"edges": "blurred"}, r"edges must be"),
        ({"cells": ["cell", {"type": "cell-bar", "bar_px": -1}]}, r"cells\[1\]\.bar_px must be "),
        ({"images": 0}, r"images must be"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_said(scenario: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(scenario)


@pytest.mark.parametrize(
    ("scenario", "head", "message"),
    [
        ({}, {"canvas": {"shape": [64, 64]}}, r"^cell: canvas\.channels must be 3, as types differ in colour, got 1\."),
        ({"cells": ["cell", "0"]}, {}, r"^cell: cells must be of different types, got .*cell"),
        (
            {"images": {"train": 4}},
            {"splits": ["train", "test"]},
            r"^cell: images must have a number for every split, got none for 'test' \(there are train\)\. Add test: to images\.",
        ),
    ],
)
def test_what_does_not_go_together_is_said(scenario: dict[str, Any], head: dict[str, Any], message: str) -> None:
    from miso_gen.recipe import plan_images

    loaded = recipe(scenario, **head)
    with pytest.raises(RecipeError, match=message):
        plan_images(loaded)


def test_splits_have_numbers_of_their_own() -> None:
    from miso_gen.recipe import plan_images

    loaded = recipe({"images": {"train": 12, "test": 5}}, splits=["train", "test"])
    plans = plan_images(loaded)
    assert [plan.id for plan in plans] == [
        f"cell/{split}/{n:04d}" for split, count in (("train", 12), ("test", 5)) for n in range(1, count + 1)
    ]
    assert pickle.loads(pickle.dumps(loaded)) == loaded
    counts = SplitCounts({"train": 12, "test": 5})
    assert counts == {"train": 12, "test": 5}
    assert counts != {"train": 12, "test": 6}
    assert hash(counts) == hash(SplitCounts({"test": 5, "train": 12}))
    assert len(counts) == 2
    first, second = plans[0], plans[12]
    assert make_scene(first).drawn["radius_px"] != make_scene(second).drawn["radius_px"]


@pytest.mark.parametrize("count", [1, 7, 30, 45, 300])
def test_types_and_backgrounds_take_turns(count: int) -> None:
    """Counts differ by one at most; after a whole round every type has come equally often on every background."""
    plans = cell_plans(images=count)
    assert len(plans) == count
    table = np.zeros((10, 3), int)
    for plan in plans:
        assert TYPES[plan.label] == plan.class_name
        table[plan.label, plan.settings["background"]] += 1  # type: ignore[index]
    assert table.max() - table.min() <= 1
    assert np.ptp(table.sum(axis=1)) <= 1
    assert np.ptp(table.sum(axis=0)) <= 10  # of a background comes one of each type before the next one
    if count % 30 == 0:
        assert (table == count // 30).all()


# --- prototypes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIELDS)
def test_giving_a_field_a_value_leaves_all_other_draws_alone(name: str) -> None:
    plain = Prototype(CELLS, {"type": name}).sample(Stream("own", 7))
    drawn = [field for field, value in FIELDS[name].items() if isinstance(value, tuple)]
    for field in drawn:
        value = FIELDS[name][field][0] + 0.01
        cell = Prototype(CELLS, {"type": name, field: value}).sample(Stream("own", 7))
        assert cell.to_spec() == {**plain.to_spec(), field: value}
        assert plain.to_spec()[field] != value
    changed = {"radius_px" if "radius_px" in drawn else "width_px": 95.0, "noise_px": 5.0, "rotation_deg": 0.0}
    one, other = (make_scene(cell_plans(images=2, cells=[{"type": name, **fields}, "none"])[0]) for fields in ({}, changed))
    if name != "tail-1":  # which may be drawn again
        assert {**one.drawn, **changed} == {**other.drawn, "row": one.drawn["row"], "column": one.drawn["column"]}
    (first,), (second,) = one.layers, other.layers
    assert isinstance(first, Crowd)
    assert isinstance(second, Crowd)
    noises = [crowd.cells[0].figure.wobble.fields[0].nodes for crowd in (first, second)]
    ratio = 5.0 / float(one.drawn["noise_px"])
    if name != "tail-1":
        assert np.abs(noises[0] * ratio - noises[1]).max() < 2e-5


def test_prototypes_are_their_specs() -> None:
    written = {"type": "cell-bar", "bar_px": {"choice": [10, 20]}, "radius_px": {"normal": [100, 2]}, "noise_px": 3}
    one = Prototype(CELLS, written)
    again = Prototype(CELLS, one.to_spec())
    other = Prototype(CELLS, {**written, "noise_px": 4})
    assert one == again
    assert hash(one) == hash(again)
    assert one.to_spec() == again.to_spec()
    assert one != other
    assert one.to_spec() != other.to_spec()
    assert one != one.to_spec()
    assert one.model is CELLS.get("cell-bar")
    assert Prototype(CELLS, {"type": "1"}) == Prototype(CELLS, {"type": "cell-bar"})
    back = pickle.loads(pickle.dumps(one))
    assert back == one
    assert back.sample(Stream("p")) == one.sample(Stream("p"))
    values = [one.sample(Stream("p", n)) for n in range(300)]
    assert {v.bar_px for v in values} == {10, 20}  # type: ignore[attr-defined]
    radii = np.array([v.radius_px for v in values])  # type: ignore[attr-defined]
    assert abs(radii.mean() - 100) < 0.5
    assert abs(radii.std() - 2) < 0.4
    assert {v.noise_px for v in values} == {3}  # type: ignore[attr-defined]


def test_prototypes_of_different_families_differ() -> None:
    specs = {(Prototype(CELLS, {"type": "0"}), "cell"), (Prototype(BACKGROUNDS, {"type": "0"}), "background")}
    assert len(specs) == 2
    assert Prototype(CELLS, {"type": "none"}) != Prototype(BACKGROUNDS, {"type": "black"})


def test_scenarios_round_trip() -> None:
    (plan, *_) = cell_plans((128, 128), cells=["cell", {"type": "tail-1", "tail_px": {"uniform": [4, 9]}}])
    scenario = SCENARIOS.get("cell").from_spec(plan.spec)
    assert scenario.to_spec() == plan.spec
    assert SCENARIOS.get("cell").from_spec(pickle.loads(pickle.dumps(plan)).spec) == scenario
    assert plan.spec["cells"][1]["tail_px"] == {"uniform": [4.0, 9.0]}
    assert scenario.class_names == ("cell", "tail-1")
    assert scenario.blank_labels == frozenset()
    everything = SCENARIOS.get("cell").from_spec({"type": "cell", "images": 3})
    assert everything.class_names == TYPES
    assert everything.blank_labels == frozenset({9})


def test_an_image_of_another_size_holds_the_same_cell() -> None:
    """Lengths are absolute: the canvas decides where cells may be, not how large they are."""
    small, large = (cell_plans(shape, 30)[3] for shape in ((300, 300), (700, 900)))
    first, second = make_scene(small).drawn, make_scene(large).drawn
    assert {**first, "row": 0, "column": 0} == {**second, "row": 0, "column": 0}


# --- distributions: FACTS B2 ----------------------------------------------------------------------------------------------

DRAWS = 10_000


def assert_uniform(values: np.ndarray, low: float, high: float) -> float:
    """Half open, close to both ends, and uniform; return p."""
    assert values.min() >= low
    assert values.max() < high
    assert values.min() < low + 0.01 * (high - low)
    assert values.max() > high - 0.01 * (high - low)
    p = float(kstest(values, "uniform", args=(low, high - low)).pvalue)
    assert p > 1e-4
    return p


#: types that between them have every field, and the others, of which fewer draws show that they are drawn the same way
MANY = ("cell-plus", "rect-red", "tail-1")


def assert_drawn_as_published(name: str, draws: int) -> dict[str, float]:
    """Every number of the first scenes of a type against its range; return p by field."""
    prototype = Prototype(CELLS, {"type": name})
    fields = [field for field, value in FIELDS[name].items() if isinstance(value, tuple)]
    samples = np.empty((draws, len(fields) + 3))
    for number in range(draws):
        stream = Stream(2022, "cell", "test", f"{10 * number + TYPES.index(name) + 1:04d}", "cell", 0)
        cell = prototype.sample(stream)
        first, second = (2 * stream.at((1 << 20) + axis).uniform() - 1 for axis in range(2))
        node = stream.at(1 << 16).normal()
        samples[number] = *(getattr(cell, field) for field in fields), first, second, node
        for field, value in FIELDS[name].items():
            assert isinstance(value, tuple) or getattr(cell, field) == value
    found = {}
    for field, values in zip([*fields, "rows", "columns"], samples.T, strict=False):
        found[field] = assert_uniform(values, *FIELDS[name].get(field, (-1, 1)))
    found["node"] = float(kstest(samples[:, -1], "norm").pvalue)
    assert found["node"] > 1e-4
    ranks = spearmanr(samples).statistic
    assert max(abs(ranks[pair]) for pair in combinations(range(len(fields) + 3), 2)) < 4 / math.sqrt(draws)
    return found


@pytest.mark.parametrize("name", FIELDS)
def test_every_number_is_uniform_and_independent_of_the_others(name: str) -> None:
    assert_drawn_as_published(name, DRAWS if name in MANY else DRAWS // 8)


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(set(FIELDS) - set(MANY)))
def test_every_number_of_the_other_types_is_uniform(name: str) -> None:
    assert_drawn_as_published(name, DRAWS)


@cache
def scenes() -> list[tuple[ImagePlan, Scene]]:
    return [(plan, make_scene(plan)) for plan in cell_plans(images=900)]


def test_scenes_draw_from_their_own_addresses() -> None:
    """What the test above draws is what scenes hold; centres are whole pixels off the middle, cut towards 0."""
    moved: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    angles, again = [], 0
    for plan, scene in scenes():
        if plan.class_name == "none":
            continue
        place = (*literal.address(plan, "cell", shared=False), 0)
        numbers = numbers_of(plan.class_name, place)
        drawn = {field: scene.drawn[field] for field in numbers}
        if plan.class_name == "tail-1":
            again += drawn != numbers
            continue
        assert drawn == numbers
        row, column = float(scene.drawn["row"]) - 256.5, float(scene.drawn["column"]) - 256.5
        wanted = centre_of(plan.class_name, numbers, place, (512, 512), 0.33)
        assert abs(row + 256.5 - wanted[0]) < NEAR
        assert abs(column + 256.5 - wanted[1]) < NEAR
        turning = plan.class_name.startswith("rect")
        if turning:  # turn it back: (x0, y0) on columns and rows
            a = math.radians(float(scene.drawn["rotation_deg"]))
            row, column = column * math.sin(a) + row * math.cos(a), column * math.cos(a) - row * math.sin(a)
            assert max(abs(row - round(row)), abs(column - round(column))) < NEAR
            row, column = float(round(row)), float(round(column))
        assert row == int(row)
        assert column == int(column)
        moved[turning].append((row, column))
        angles.append(float(scene.drawn["rotation_deg"]))
    assert 0 < again < 40
    for pairs in moved.values():
        values = np.array(pairs)
        assert len(values) >= 210
        assert np.abs(values).max() <= 168
        for axis in range(2):
            assert values[:, axis].min() < -160
            assert values[:, axis].max() > 160
            assert kstest(values[:, axis], "uniform", args=(-168.96, 337.92)).pvalue > 1e-4
        assert abs(spearmanr(values).statistic) < 4 / math.sqrt(len(values))
    assert_uniform(np.array(angles), -60, 60)


def test_offsets_are_cut_towards_zero() -> None:
    """int(U(-a, a)): 0 is twice as likely as any other whole number, and the canvas's own sides count."""
    found: dict[int, int] = {}
    for plan in cell_plans((66, 264), 800, cells=["cell", "cell-bar"], offset=0.05, scale=0.05):  # 3.3 rows, 13.2 columns
        scene = make_scene(plan)
        row, column = float(scene.drawn["row"]) - 33.5, float(scene.drawn["column"]) - 132.5
        found[int(row)] = found.get(int(row), 0) + 1
        assert (row, column) == (int(row), int(column))
        assert abs(column) <= 13
    assert set(found) == set(range(-3, 4))
    assert abs(found[0] - 800 * 2 / 6.6) < 4 * math.sqrt(800 * 0.3 * 0.7)
    for value in (-2, -1, 1, 2):
        assert abs(found[value] - 800 / 6.6) < 4 * math.sqrt(800 * 0.15 * 0.85)
    assert found[3] < found[1]  # only .3 of a pixel wide


def test_backgrounds_are_drawn_as_published() -> None:
    """Frequencies and centres of the rings: uniform, the centre right of and below the middle, and one cell's on any ground."""
    prototype = Prototype(BACKGROUNDS, {"type": "rings"})
    fields = ("centre_row", "centre_column", "frequency_red", "frequency_green", "frequency_blue")
    samples = np.array(
        [
            [getattr(prototype.sample(Stream(2022, "cell", "test", f"{n:04d}", "background", "numbers")), f) for f in fields]
            for n in range(2000)
        ]
    )
    for values, (low, high) in zip(samples.T, [(0.75, 1.25)] * 2 + [(1e-4, 1e-3)] * 3, strict=True):
        assert_uniform(values, low, high)
    ranks = spearmanr(samples).statistic
    assert max(abs(ranks[pair]) for pair in combinations(range(5), 2)) < 4 / math.sqrt(len(samples))
    black, rings = (make_scene(cell_plans(images=10, backgrounds=[ground])[4]) for ground in ("black", "rings"))
    assert {**black.drawn, "background_type": ""} == {**rings.drawn, "background_type": ""}


def test_scenes_are_values() -> None:
    """A plan makes the same scene again, and a scene's background can be exchanged without a change to its truth."""
    plan = cell_plans((128, 128), 30, scale=0.25)[12]
    one, other = make_scene(plan), make_scene(plan)
    assert one.drawn == other.drawn
    assert same(render_box(one, one.box), render_box(other, other.box))
    black = replace(one, background=make_scene(cell_plans((128, 128), 30, scale=0.25)[2]).background)
    assert np.array_equal(render_box(black, black.box).truth, render_box(one, one.box).truth)
    assert not np.array_equal(render_box(black, black.box).image, render_box(one, one.box).image)


# --- numbers at the edge ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "cell", "radius_px": 100, "border_px": 160},
        {"type": "rect-red", "width_px": 60, "height_px": 60, "border_px": 40},
    ],
    ids=["ellipse", "rectangle"],
)
def test_a_border_thicker_than_the_cell_fills_it(spec: dict[str, Any]) -> None:
    """Or a recipe with such numbers is refused; either way nobody sees a ValueError about a box."""
    try:
        (plan, _) = cell_plans((128, 128), 2, cells=[{**spec, "noise_px": 0}, "none"], scale=0.25)
        scene = make_scene(plan)
        found = render_box(scene, scene.box)
    except RecipeError:
        return
    assert set(np.unique(found.truth)) == {0, 2}


@pytest.mark.parametrize("angle", [0, 90])
def test_a_bar_that_is_not_turned_is_as_thick_as_it_should_be(angle: float) -> None:
    """2 int(thickness / 2) + 1 pixels: the centre of a cell is that of a pixel, so that no outline goes through others."""
    cell, figure = sampled("cell-bar", "thick", bar_px=14, noise_px=0, rotation_deg=angle)
    stamp = figure.stamp(Box(0, 0, 512, 512), Pose.turned(256.5, 256.5, cell.rotation_deg), "hard")
    line = stamp.codes[:, 230] if angle == 0 else stamp.codes[230]
    assert (line == 3).sum() == 15


def test_soft_edges_of_long_cells_stay_within_bounds() -> None:
    _, figure = sampled("cell", "long", stretch=6, radius_px=100, noise_px=0)
    pose = Pose.turned(700, 256, 0)
    bounds = figure.bounds(pose)
    around, weight = figure.stamp(bounds.expanded(20), pose, "soft").covers[0]
    assert around == bounds
    assert weight.max() == 256
    beyond = np.array([bounds.top - 0.5, bounds.bottom + 0.5])  # the rows next to its bounds, of weight 64 if it were drawn there
    assert (100 - np.abs(beyond - 700) / 6 <= -0.5).all()
