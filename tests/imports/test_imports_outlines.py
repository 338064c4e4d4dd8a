"""Outlines of black-and-white pictures: compared with a slow tracer, and drawn again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label

from miso_gen.contents import Content
from miso_gen.errors import InputError
from miso_gen.geometry import LATTICE, Box, Spans
from miso_gen.imports.outlines import Outline

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def drawn(outline):
    """Return the pixels of an outline."""
    if not len(outline.starts):
        return np.zeros((outline.height, outline.width), bool)
    rings = [LATTICE * ring.astype(np.int64) + 1 for ring in outline.rings]
    whole = Box(0, 0, outline.height, outline.width)
    return Spans.of_polygon(rings, *whole.shape).mask(whole).astype(bool)


def traced(mask):
    """Walk the cracks one by one, the object at the right hand, turning left where two ways are open."""
    inside = {(x, y) for y, x in np.argwhere(mask).tolist()}
    ways = {}
    for x, y in inside:
        for dx, dy, corner in [(1, 0, (x, y)), (0, 1, (x + 1, y)), (-1, 0, (x + 1, y + 1)), (0, -1, (x, y + 1))]:
            beyond = {(1, 0): (x, y - 1), (0, 1): (x + 1, y), (-1, 0): (x, y + 1), (0, -1): (x - 1, y)}[dx, dy]
            if beyond not in inside:
                ways.setdefault(corner, set()).add((dx, dy))
    rings = []
    while any(ways.values()):
        corner = min((at for at, open_ways in ways.items() if open_ways), key=lambda at: (at[1], at[0]))
        heading, ring = min(ways[corner]), []
        first = None
        while (corner, heading) != first:
            first = first or (corner, heading)
            ways[corner].discard(heading)
            ring.append((corner, heading))
            corner = (corner[0] + heading[0], corner[1] + heading[1])
            left, right = (heading[1], -heading[0]), (-heading[1], heading[0])
            open_ways = ways[corner] | ({first[1]} if corner == first[0] else set())
            heading = next(way for way in (left, heading, right) if way in open_ways)
        turns = [at for place, (at, way) in enumerate(ring) if ring[place - 1][1] != way]
        least = turns.index(min(turns, key=lambda at: (at[1], at[0])))
        rings.append(turns[least:] + turns[:least])
    return sorted(rings, key=lambda ring: (ring[0][1], ring[0][0]))


@given(MASKS)
def test_outlines_are_those_of_a_slow_tracer(mask):
    outline = Outline.of_mask(mask)
    assert [[tuple(vertex) for vertex in ring.tolist()] for ring in outline.rings] == traced(mask)
    assert outline.vertices.dtype == np.int32
    assert outline.starts.dtype == np.int64


@given(MASKS)
def test_outlines_are_drawn_as_the_picture(mask):
    outline = Outline.of_mask(mask)
    assert np.array_equal(drawn(outline), mask)
    assert (outline.height, outline.width) == mask.shape
    assert outline.pieces == label(mask, connectivity=2).max()
    assert outline.holes == label(np.pad(~mask, 1, constant_values=True), connectivity=1).max() - 1
    assert outline.areas.sum() == mask.sum()
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if mask.any() else (0, 0, 0, 0)
    assert outline.bounds == box


@given(MASKS)
def test_contents_go_there_and_back(mask):
    content = Outline.of_mask(mask).content
    again = Content.from_bytes(content.to_bytes(), content.digest)
    outline = Outline.of_content(again)
    assert np.array_equal(drawn(outline), mask)
    assert outline.content.digest == content.digest
    assert set(again.facts) == {"height", "width"}
    assert set(again.arrays) == {"vertices", "rings"}


def test_a_dot_by_hand():
    outline = Outline.of_mask(np.array([[0, 0, 0], [0, 0, 1]], bool))
    assert outline.vertices.tolist() == [[2, 1], [3, 1], [3, 2], [2, 2]]
    assert outline.starts.tolist() == [0]


def test_a_ring_by_hand():
    """Around the piece clockwise, around the hole the other way."""
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    outline = Outline.of_mask(mask)
    assert outline.vertices.tolist() == [[0, 0], [3, 0], [3, 3], [0, 3], [1, 1], [1, 2], [2, 2], [2, 1]]
    assert outline.starts.tolist() == [0, 4]
    assert outline.areas.tolist() == [9, -1]


def test_pixels_that_touch_at_a_corner_are_one_piece():
    outline = Outline.of_mask(np.eye(2, dtype=bool))
    assert outline.vertices.tolist() == [[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [1, 2], [1, 1], [0, 1]]
    assert outline.starts.tolist() == [0]


@pytest.mark.parametrize("mask", [np.zeros((4, 5), bool), np.zeros((1, 1), bool)])
def test_nothing_inside(mask):
    outline = Outline.of_mask(mask)
    assert outline.rings == []
    assert outline.vertices.shape == (0, 2)
    assert (outline.pieces, outline.holes) == (0, 0)


def test_a_large_shape():
    y, x = np.mgrid[:1500, :1100]
    mask = ((x - 500) ** 2 + (y - 700) ** 2 < 450**2) & ((x - 500) // 30 % 3 != y // 41 % 3)
    assert np.array_equal(drawn(Outline.of_mask(mask)), mask)


def test_other_contents_are_refused():
    with pytest.raises(InputError, match=r"content [0-9a-f]{12} must be an outline, got points\. Import"):
        Outline.of_content(Content("points", {}, {}))
