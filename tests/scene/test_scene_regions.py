"""Discs, fields of discs and inner regions against their definitions, pixel by pixel."""

from __future__ import annotations

from typing import Any

import literal
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from miso_gen.geometry import Box, Spans
from miso_gen.planes import Bits
from miso_gen.scene.morphologies.builtin import Builtin
from miso_gen.scene.regions import Disc, DiscField, Inner, Silhouette, disc_runs
from miso_gen.scene.scene import instance_type


def silhouette(name: str, height: int, width: int, *, transposed: bool = False) -> Silhouette:
    rings = Builtin().rings(name, height, width)
    if transposed:
        return Silhouette(Spans.of_polygon([ring[:, ::-1] for ring in rings], width, height), transposed=True)
    return Silhouette(Spans.of_polygon(rings, height, width))


def shown(region: Any, box: Box) -> np.ndarray:
    """Return the mask of a box as array: no bit past the last column."""
    mask = region.mask(box)
    if mask is None:
        return np.zeros(box.shape, np.uint8)
    assert mask.shape == box.shape
    found = mask.unpack()
    assert np.array_equal(Bits.pack(found).words, mask.words)
    return found


def labelled(region: Any, box: Box, dtype: type) -> np.ndarray:
    """Return the labels of a box; where they are is the mask beside them."""
    labels = region.labels(box, np.dtype(dtype))
    if labels is None:
        return np.zeros(box.shape, dtype)
    mask, ids = labels
    assert ids.dtype == dtype
    assert ids.shape == mask.shape == box.shape
    assert np.array_equal(mask.unpack() == 1, ids > 0)
    return ids


def picture(region: Any, height: int, width: int) -> np.ndarray:
    return shown(region, Box(0, 0, height, width))


@st.composite
def boxes(draw: Any, height: int, width: int) -> Box:
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Box(top, left, draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width)))


@pytest.mark.parametrize("radius", range(1, 40))
def test_runs_hold_the_pixels_nearer_than_the_radius(radius: int) -> None:
    rows, half = disc_runs(radius)
    found = {(int(y), x) for y, h in zip(rows, half, strict=True) for x in range(-int(h), int(h) + 1)}
    reach = range(-radius - 1, radius + 2)
    assert found == {(y, x) for y in reach for x in reach if y * y + x * x < radius * radius}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 29), st.integers(0, 39), st.integers(1, 30), boxes(30, 40))
@example(0, 0, 5, Box(0, 0, 30, 40))
@example(29, 39, 1, Box(29, 39, 30, 40))
def test_disc(row: int, column: int, radius: int, box: Box) -> None:
    disc = Disc(row, column, radius, 30, 40)
    wanted = np.array([[(y - row) ** 2 + (x - column) ** 2 < radius**2 for x in range(40)] for y in range(30)])
    assert np.array_equal(picture(disc, 30, 40) == 1, wanted)
    inside = np.argwhere(wanted)
    assert disc.bounds == Box(*map(int, inside.min(axis=0)), *map(int, inside.max(axis=0) + 1))
    assert np.array_equal(shown(disc, box), wanted[box.slices])


CENTRES = np.array([[0, 3], [5, 20], [17, 40], [22, 7], [30, 30], [44, 49], [49, 0], [49, 20]], np.int64)


@pytest.mark.parametrize("radius", [1, 2, 5, 7])
@pytest.mark.parametrize("name", ["canary", "window", "key"])
def test_field_of_discs(name: str, radius: int) -> None:
    """Ids from 1 in the order of the centres; discs that show no pixel inside the silhouette do not count."""
    shape = silhouette(name, 50, 60)
    inside = picture(shape, 50, 60)
    visible, wanted = [], np.zeros((50, 60), np.int64)
    for row, column in CENTRES.tolist():
        disc = {(y, x) for y in range(50) for x in range(60) if (y - row) ** 2 + (x - column) ** 2 < radius**2 and inside[y, x]}
        if disc:
            visible.append([row, column])
            for pixel in disc:
                wanted[pixel] = len(visible)
    field = DiscField(CENTRES, radius, shape)
    assert field.centres.tolist() == visible
    for dtype in (np.uint16, np.uint32):
        assert np.array_equal(labelled(field, Box(0, 0, 50, 60), dtype), wanted)
    assert np.array_equal(picture(field, 50, 60), wanted > 0)
    assert field.boxes().tolist() == [
        [max(y - radius + 1, 0), max(x - radius + 1, 0), min(y + radius, 50), min(x + radius, 60)] for y, x in visible
    ]


@settings(max_examples=60, deadline=None)
@given(boxes(50, 60))
def test_any_box_of_a_field_is_the_crop(box: Box) -> None:
    field = DiscField(CENTRES, 7, silhouette("window", 50, 60))
    full = labelled(field, Box(0, 0, 50, 60), np.uint16)
    assert full.any()
    assert np.array_equal(labelled(field, box, np.uint16), full[box.slices])
    assert np.array_equal(shown(field, box), full[box.slices] > 0)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("rim", [1, 3, 8])
def test_inner_is_what_no_outside_pixel_reaches(rim: int, transposed: bool) -> None:
    height, width = 48, 60
    shape = silhouette("teapot", height, width, transposed=transposed)
    mask = picture(shape, height, width)
    outside = np.argwhere(mask == 0)
    wanted = np.array(
        [[mask[y, x] and ((outside - [y, x]) ** 2).sum(axis=1).min() > rim**2 for x in range(width)] for y in range(height)]
    )
    inner = Inner(shape, rim, height, width)
    assert np.array_equal(picture(inner, height, width) == 1, wanted)
    if rim < 8:
        assert wanted.any()
    for box in Box(0, 0, height, width).tiles(7, 11):
        assert np.array_equal(shown(inner, box), wanted[box.slices])


def test_inner_takes_the_image_border_for_no_outline() -> None:
    everything = Silhouette(Spans.of_polygon([np.array([(-255, -255), (9999, -255), (9999, 9999), (-255, 9999)])], 20, 20))
    assert picture(Inner(everything, 5, 20, 20), 20, 20).all()


@settings(max_examples=40, deadline=None)
@given(boxes(50, 70), st.booleans())
def test_silhouette_boxes(box: Box, transposed: bool) -> None:
    shape = silhouette("bicycle", 50, 70, transposed=transposed)
    full = np.asarray(literal.raster([list(map(tuple, ring.tolist())) for ring in Builtin().rings("bicycle", 50, 70)], 50, 70))
    assert np.array_equal(shown(shape, box), full[box.slices])
    assert shape.area == full.sum()
    inside = np.argwhere(full)
    assert shape.bounds == Box(*map(int, inside.min(axis=0)), *map(int, inside.max(axis=0) + 1))


@pytest.mark.parametrize(("count", "dtype"), [(1, np.uint16), (65535, np.uint16), (65536, np.uint32)])
def test_instance_types_hold_every_id(count: int, dtype: type) -> None:
    assert instance_type(count) == np.dtype(dtype)
    assert np.iinfo(instance_type(count)).max >= count
