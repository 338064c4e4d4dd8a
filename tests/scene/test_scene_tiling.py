"""FM's small copy: the busy test, the crop and the area resize, written down literally."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import literal
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.geometry import Box, Spans
from miso_gen.scene.morphologies.builtin import Builtin
from miso_gen.scene.tiling import area_copy, crop_box, is_busy


def of_mask(mask: np.ndarray) -> Spans:
    rows, columns = np.nonzero(np.diff(mask.astype(int), axis=1, prepend=0))
    return Spans.of_changes(*mask.shape, rows, columns)


def of_name(name: str, height: int, width: int) -> tuple[Spans, np.ndarray]:
    spans = Spans.of_polygon(Builtin().rings(name, height, width), height, width)
    return spans, spans.mask(Box(0, 0, height, width))


EMPTY = np.zeros((20, 30), np.uint8)


def with_ones(*places: Any) -> np.ndarray:
    out = EMPTY.copy()
    for place in places:
        out[place] = 1
    return out


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        (EMPTY, False),
        (with_ones(np.s_[5:15, :]), False),  # exactly half of all, and of the left and right columns
        (with_ones(np.s_[5:15, :], (15, 15)), True),
        (with_ones(np.s_[0, 4:19]), False),  # exactly half of the top row
        (with_ones(np.s_[0, 4:20]), True),
        (with_ones(np.s_[-1, 4:20]), True),
        (with_ones(np.s_[4:15, 0]), True),
        (with_ones(np.s_[4:15, -1]), True),
        (with_ones(np.s_[4:14, -1]), False),
        (with_ones((0, 0)), False),  # one white pixel in a corner is none too many
        (with_ones((0, 0), (3, 3)), True),
        (with_ones((0, 0), (4, 3)), False),  # the second lies outside of the 4 x 4 corner
        (with_ones((0, 26), (3, 29)), True),
        (with_ones((16, 0), (19, 3)), True),  # bottom left, which the released code forgets
        (with_ones((16, 26), (19, 29)), True),
        (with_ones((16, 25), (19, 29)), False),
        (with_ones((0, 0), (0, 29), (19, 0), (19, 29)), False),
    ],
)
def test_busy(mask: np.ndarray, wanted: bool) -> None:
    assert is_busy(of_mask(mask), 4) is wanted
    assert literal.busy(mask, 4) is wanted


def test_corners_larger_than_the_image_are_the_image() -> None:
    assert is_busy(of_mask(with_ones((10, 10), (10, 12))), 64)
    assert not is_busy(of_mask(with_ones((10, 10))), 64)


@pytest.mark.parametrize("name", Builtin().names())
def test_busy_of_the_library(name: str) -> None:
    spans, mask = of_name(name, 300, 260)
    for corner in (5, 60):
        assert is_busy(spans, corner) == literal.busy(mask, corner)


def test_the_library_has_both_kinds() -> None:
    found = {name: is_busy(of_name(name, 1024, 1024)[0], 17) for name in Builtin().names()}
    assert 1 <= sum(found.values()) < 24


@pytest.mark.parametrize("name", ["canary", "key", "spider-web", "umbrella"])
@pytest.mark.parametrize("line", [0, 13, 30])
def test_crop_box(name: str, line: int) -> None:
    """From the first to the last row and column with more than ``line`` pixels, padded."""
    spans, mask = of_name(name, 150, 200)
    assert crop_box(spans, line, 7) == Box(*literal.crop(mask, line, 7))
    most = min(mask.sum(axis=0).max(), mask.sum(axis=1).max())
    assert crop_box(spans, int(most), 7) is None
    assert crop_box(spans, int(most) - 1, 7) is not None


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 23),
    st.integers(1, 70),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 5),
    st.booleans(),
)
def test_area_copy(seed: int, rows: int, columns: int, height: int, width: int, pad: int, whole: bool) -> None:
    """(510 S + HW) // (2 HW) for the canvas, and for boxes that reach beyond it."""
    draws = np.random.default_rng(seed)
    mask = (draws.random((rows, columns)) < draws.random()).astype(np.uint8)
    box = Box(0, 0, rows, columns).expanded(0 if whole else pad)
    if not whole and rows > 4:
        box = Box(
            box.top + int(draws.integers(0, rows // 2)), box.left, box.bottom - int(draws.integers(0, rows // 3)), box.right
        )
    height, width = min(height, box.height), min(width, box.width)
    found = area_copy(of_mask(mask), box, height, width)
    assert found.dtype == np.uint8
    assert np.array_equal(found, literal.area_tile(mask, (box.top, box.left, box.bottom, box.right), height, width))


def test_area_copy_is_the_share_rounded_half_up() -> None:
    """By fractions of real areas, not by whole-number overlaps."""
    spans, mask = of_name("teapot", 45, 67)
    found = area_copy(spans, Box(0, 0, 45, 67), 7, 6)
    for i in range(7):
        for j in range(6):
            top, bottom = Fraction(45 * i, 7), Fraction(45 * (i + 1), 7)
            left, right = Fraction(67 * j, 6), Fraction(67 * (j + 1), 6)
            covered = sum(
                (min(bottom, y + 1) - max(top, y)) * (min(right, x + 1) - max(left, x))
                for y in range(int(top), -int(-bottom // 1))
                for x in range(int(left), -int(-right // 1))
                if mask[y, x]
            )
            share = covered / ((bottom - top) * (right - left))
            assert found[i, j] == int(share * 255 + Fraction(1, 2))


def test_area_copy_of_tall_tiles_crosses_its_bands() -> None:
    spans, mask = of_name("hand", 400, 90)
    assert np.array_equal(area_copy(spans, Box(0, 0, 400, 90), 133, 9), literal.area_tile(mask, (0, 0, 400, 90), 133, 9))


def test_area_copy_of_ones_is_full_and_of_nothing_is_0() -> None:
    assert (area_copy(of_mask(np.ones((31, 17), np.uint8)), Box(0, 0, 31, 17), 5, 3) == 255).all()
    assert (area_copy(of_mask(np.zeros((31, 17), np.uint8)), Box(0, 0, 31, 17), 5, 3) == 0).all()
