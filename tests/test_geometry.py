"""Boxes, exact sines and exact rasters against literal definitions and an outside rasteriser."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import literal
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from miso_gen.geometry import LATTICE, TURNS_PER_RADIAN, Box, Spans, cos_turns, sin_turns, to_lattice

Ring = list[tuple[int, int]]

# --- boxes ------------------------------------------------------------------------------------------------------------

ends = st.tuples(st.integers(-20, 20), st.integers(0, 12))
any_box = st.builds(lambda y, x: Box(y[0], x[0], y[0] + y[1], x[0] + x[1]), ends, ends)


def pixels(box: Box) -> set[tuple[int, int]]:
    return {(y, x) for y in range(box.top, box.bottom) for x in range(box.left, box.right)}


@settings(max_examples=60, deadline=None)
@given(any_box, any_box)
def test_boxes_are_sets_of_pixels(one: Box, two: Box) -> None:
    assert pixels(one.intersection(two)) == pixels(one) & pixels(two)
    assert one.overlaps(two) == bool(pixels(one) & pixels(two))
    assert one.empty == (not pixels(one))
    assert one.height * one.width == one.shape[0] * one.shape[1] == len(pixels(one))
    assert pixels(one.transposed) == {(x, y) for y, x in pixels(one)}
    assert pixels(one.shifted(3, -4)) == {(y + 3, x - 4) for y, x in pixels(one)}
    grown = one.expanded(2)
    assert (grown.top, grown.left, grown.bottom, grown.right) == (one.top - 2, one.left - 2, one.bottom + 2, one.right + 2)


@settings(max_examples=60, deadline=None)
@given(any_box, st.integers(1, 7), st.integers(1, 7))
def test_tiles_cover_every_pixel_once_in_order(box: Box, height: int, width: int) -> None:
    tiles = [tile for tile in box.tiles(height, width) if not tile.empty]
    covered = [pixel for tile in tiles for pixel in pixels(tile)]
    assert len(covered) == len(set(covered))
    assert set(covered) == pixels(box)
    assert [(tile.top, tile.left) for tile in tiles] == sorted((tile.top, tile.left) for tile in tiles)
    assert all(tile.height <= height and tile.width <= width for tile in tiles)


def test_slices_cut_the_box_out() -> None:
    image = np.arange(30).reshape(5, 6)
    assert image[Box(1, 2, 3, 6).slices].tolist() == [[8, 9, 10, 11], [14, 15, 16, 17]]


@pytest.mark.parametrize("sides", [(1, 0, 0, 1), (0, 1, 1, 0)])
def test_boxes_upside_down_are_refused(sides: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="box must have top <= bottom and left <= right, got Box"):
        Box(*sides)


# --- sines ------------------------------------------------------------------------------------------------------------

TABLE = [round(math.sin(math.pi / 2 * index / 1024) * 2**30) for index in range(1025)]  # test_rng.py holds the true table to this


def literal_sine(turns: float) -> Fraction:
    """Fold to a quarter turn, then linear interpolation between 1,025 entries, exactly."""
    quarters, inside = divmod((Fraction(turns) - math.floor(turns)) * 4, 1)
    if quarters % 2:
        inside = 1 - inside
    index = min(int(inside * 1024), 1023)
    value = TABLE[index] + (TABLE[index + 1] - TABLE[index]) * (inside * 1024 - index)
    return Fraction(value if quarters < 2 else -value) / 2**30


@settings(max_examples=200, deadline=None)
@given(st.floats(-1000, 1000))
@example(0.0)
@example(0.25)
@example(0.5)
@example(0.75)
@example(-0.25)
@example(-1e-300)
@example(1.0 - 2**-53)
@example(1 / 3)
def test_sine_is_its_definition(turns: float) -> None:
    found = float(sin_turns(turns))
    assert found == pytest.approx(float(literal_sine(turns)), abs=2e-13)
    assert abs(found - math.sin(math.tau * math.fmod(turns, 1.0))) < 4e-7
    assert abs(float(cos_turns(turns)) - math.cos(math.tau * math.fmod(turns, 1.0))) < 4e-7


@settings(max_examples=100, deadline=None)
@given(st.integers(-(2**40), 2**40))
def test_sine_is_symmetric(number: int) -> None:
    turns = number / 2**30  # exact, so that folding is exact too
    assert float(sin_turns(-turns)) == -float(sin_turns(turns))
    assert float(sin_turns(0.5 - turns)) == float(sin_turns(turns))
    assert float(sin_turns(turns + 1.0)) == float(sin_turns(turns))
    assert float(cos_turns(-turns)) == float(cos_turns(turns))


def test_sine_of_an_array_is_elementwise() -> None:
    turns = np.linspace(-2, 2, 101)
    assert sin_turns(turns).dtype == np.float64
    assert sin_turns(turns).tolist() == [float(sin_turns(float(t))) for t in turns]
    assert sin_turns(np.array([0.0, 0.25, 0.75, 1.0])).tolist() == [0.0, 1.0, -1.0, 0.0]


def test_turns_per_radian() -> None:
    assert pytest.approx(1 / math.tau, rel=1e-16) == TURNS_PER_RADIAN


# --- lattice ----------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.floats(-5000, 5000))
def test_lattice_points_are_odd_and_near(x: float) -> None:
    (point,) = to_lattice(np.array([x])).tolist()
    assert point % 2 == 1
    assert abs(point - x * LATTICE) <= 1


# --- polygons ---------------------------------------------------------------------------------------------------------

near_centres = st.builds(lambda pixel, side: 256 * pixel + 128 + side, st.integers(-3, 14), st.sampled_from([-1, 1]))
anywhere = st.integers(-800, 3600).map(lambda x: 2 * (x // 2) + 1)
vertex = st.tuples(near_centres | anywhere, near_centres | anywhere)
ring = st.lists(vertex, min_size=1, max_size=7)
rings_of = st.lists(ring, min_size=1, max_size=3)


def spans_of(rings: list[Ring], height: int, width: int) -> Spans:
    return Spans.of_polygon([np.array(ring, np.int64) for ring in rings], height, width)


def everything(spans: Spans) -> Box:
    return Box(0, 0, spans.height, spans.width)


def dense(spans: Spans) -> np.ndarray:
    return spans.mask(everything(spans))


@settings(max_examples=150, deadline=None)
@given(rings_of, st.integers(1, 11), st.integers(1, 11))
@example([[(129, 129), (2177, 2177), (129, 2177)]], 9, 9)  # a diagonal through pixel centres
@example([[(127, 129), (2175, 2177), (2175, 129)]], 9, 9)
@example([[(-255, 2433), (2433, -255), (2433, 2433)]], 9, 9)  # the other diagonal
@example([[(1, 1), (2049, 1), (1, 2049), (2049, 2049)]], 8, 8)  # an hourglass
@example([[(1, 1), (2049, 1), (2049, 2049), (1, 2049)]] * 2, 8, 8)  # twice the same: nothing
@example([[(-511, -511), (9999, -511), (9999, 9999), (-511, 9999)]], 8, 8)  # around the canvas
@example([[(5, 5), (2001, 1001)]], 8, 8)  # two vertices
def test_polygons_follow_the_even_odd_rule(rings: list[Ring], height: int, width: int) -> None:
    assert np.array_equal(dense(spans_of(rings, height, width)), literal.raster(rings, height, width))


def test_a_centre_on_an_edge_belongs_to_its_right() -> None:
    # The edge from (128 - 255, 128 - 255) to (128 + 1025, ...) is the diagonal: it runs through the centres (y, y).
    corner, far = -127, 1153
    left_of_it = dense(spans_of([[(corner, corner), (far, far), (corner, far)]], 4, 4))
    right_of_it = dense(spans_of([[(corner, corner), (far, far), (far, corner)]], 4, 4))
    assert [left_of_it[y, y] for y in range(4)] == [0] * 4
    assert [right_of_it[y, y] for y in range(4)] == [1] * 4
    # On the other diagonal right of the edge is below it.
    above = dense(spans_of([[(corner, 1151), (1151, corner), (corner, corner)]], 4, 4))
    below = dense(spans_of([[(corner, 1151), (1151, corner), (1151, 1151)]], 4, 4))
    assert [above[y, 3 - y] for y in range(4)] == [0] * 4
    assert [below[y, 3 - y] for y in range(4)] == [1] * 4


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(near_centres, near_centres), min_size=1, max_size=8, unique_by=lambda point: point[1]))
def test_polygons_with_a_common_edge_cover_each_pixel_once(chain: Ring) -> None:
    low, high = -5001, 5001  # a square around the canvas, cut from top to bottom by the chain
    cut = [(chain[0][0], low), *sorted(chain, key=lambda point: point[1]), (chain[-1][0], high)]
    left = [*cut, (low, high), (low, low)]
    right = [*cut, (high, high), (high, low)]
    total = dense(spans_of([left], 12, 12)) + dense(spans_of([right], 12, 12))
    assert (total == 1).all()
    # And cut from left to right.
    cut = [(low, chain[0][1]), *sorted({x: (x, y) for x, y in chain}.values()), (high, chain[-1][1])]
    upper = [*cut, (high, low), (low, low)]
    lower = [*cut, (high, high), (low, high)]
    assert (dense(spans_of([upper], 12, 12)) + dense(spans_of([lower], 12, 12)) == 1).all()


@pytest.mark.parametrize("seed", range(30))
def test_polygons_against_scikit_image(seed: int) -> None:
    draws = np.random.default_rng(seed)
    points = 2 * draws.integers(-2000, 8000, (draws.integers(3, 12), 2)) + 1
    mask = dense(Spans.of_polygon([points], 50, 40))
    assert np.array_equal(mask, polygon2mask((50, 40), points[:, ::-1] / LATTICE - 0.5))
    assert len(points) < 3 or mask.any()


@pytest.mark.parametrize("point", [(2, 1), (1, 128), (-4, 7)])
def test_even_vertices_are_refused(point: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="polygon vertices must have odd lattice coordinates; use to_lattice"):
        spans_of([[(1, 1), point, (9, 1001)]], 8, 8)


@pytest.mark.parametrize("side", [2**15, 2**20, 2**22])  # a recipe takes sides up to 2**20; deformed vertices may lie further out
def test_coordinates_of_the_largest_canvas_do_not_overflow(side: int) -> None:
    far = 256 * side + 1
    triangle = np.array([(1, -255), (far, -255), (1, far)], np.int64)  # half of the canvas, of which the first rows are looked at
    rows = Spans.of_polygon([triangle], 6, side).row_counts
    for y in range(6):
        crossing = far - Fraction((256 * y + 128 + 255) * (far - 1), far + 255)
        assert rows[y] == math.ceil((crossing - 128) / 256)


# --- spans ------------------------------------------------------------------------------------------------------------


@st.composite
def masks(draw: Any, largest: int = 24) -> np.ndarray:
    """Random pictures whose rows are runs of any length, some across the whole row; widths around a word of 64 bits too."""
    height = draw(st.integers(1, largest))
    width = draw(st.integers(1, largest) | st.sampled_from([63, 64, 65, 128, 130, 200]))
    seed, runs = draw(st.integers(0, 2**32)), draw(st.integers(0, 6))
    random = np.random.default_rng(seed)
    out = np.zeros((height, width), np.uint8)
    for row in out:
        for place in random.integers(0, width + 1, random.integers(0, runs + 1)):
            row[place:] ^= 1
    return out


def of_mask(mask: np.ndarray) -> Spans:
    """Return the spans of a picture from its changes, in disorder, some of them thrice and some twice where there is none."""
    height, width = mask.shape
    changes = [(y, x) for y in range(height) for x in range(width) if mask[y, x] != (mask[y, x - 1] if x else 0)]
    changes += changes[::3] * 2 + [(y, (7 * y) % width) for y in range(height)] * 2
    changes += [(y, width + y) for y in range(height)]  # right of the canvas: dropped
    rows, columns = np.array(changes[::-1], np.int64).reshape(-1, 2).T
    return Spans.of_changes(height, width, rows, columns)


@settings(max_examples=80, deadline=None)
@given(masks(), st.data())
def test_spans_are_the_picture(mask: np.ndarray, data: st.DataObject) -> None:
    spans = of_mask(mask)
    height, width = mask.shape
    assert np.array_equal(dense(spans), mask)
    assert spans.area == mask.sum()
    assert spans.row_counts.tolist() == mask.sum(axis=1).tolist()
    assert spans.column_counts.tolist() == mask.sum(axis=0).tolist()
    inside = np.argwhere(mask)
    if len(inside):
        (top, left), (bottom, right) = inside.min(axis=0), inside.max(axis=0) + 1
        assert spans.bounds == Box(top, left, bottom, right)
    else:
        assert spans.bounds == Box(0, 0, 0, 0)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    box = Box(top, left, data.draw(st.integers(top, height)), data.draw(st.integers(left, width)))
    crop = spans.mask(box)
    assert crop.dtype == np.uint8
    assert np.array_equal(crop, mask[box.slices])


@settings(max_examples=60, deadline=None)
@given(masks(), st.sampled_from([1, 3, 16, 64]))
def test_block_counts(mask: np.ndarray, side: int) -> None:
    height, width = mask.shape
    wanted = [[int(mask[y : y + side, x : x + side].sum()) for x in range(0, width, side)] for y in range(0, height, side)]
    assert of_mask(mask).block_counts(side).tolist() == wanted


@settings(max_examples=60, deadline=None)
@given(masks())
def test_touches(mask: np.ndarray) -> None:
    spans = of_mask(mask)
    height, width = mask.shape
    some = sorted({0, width // 3, width // 2, width - 1})
    for first in some:
        for last in (x for x in some if x >= first):
            y = np.arange(height)
            found = spans.touches(y, np.full(height, first), np.full(height, last))
            assert found.tolist() == [bool(mask[row, first : last + 1].any()) for row in range(height)]


@settings(max_examples=80, deadline=None)
@given(masks(), st.integers(0, 2**32))
def test_rolled_rows(mask: np.ndarray, seed: int) -> None:
    height, width = mask.shape
    shifts = np.random.default_rng(seed).integers(-3 * width, 3 * width + 1, height)
    wanted = np.array([np.roll(row, shift) for row, shift in zip(mask, shifts, strict=True)])
    rolled = of_mask(mask).rolled(shifts)
    assert np.array_equal(dense(rolled), wanted)
    assert rolled.area == mask.sum()


@settings(max_examples=60, deadline=None)
@given(masks())
def test_spans_are_canonical(mask: np.ndarray) -> None:
    spans = of_mask(mask)
    assert (spans.starts[0], spans.starts[-1]) == (0, len(spans.columns))
    assert len(spans.starts) == mask.shape[0] + 1
    for y in range(mask.shape[0]):
        row = spans.columns[spans.starts[y] : spans.starts[y + 1]].tolist()
        assert row == [x for x in range(mask.shape[1]) if mask[y, x] != (mask[y, x - 1] if x else 0)]
    assert np.array_equal(spans.rows, np.repeat(np.arange(mask.shape[0]), np.diff(spans.starts)))
