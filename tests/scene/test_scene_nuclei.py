"""Nuclei: the formula, pixel by pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.geometry import Box
from miso_gen.rng import Stream
from miso_gen.scene.nuclei import Form, Nuclei, half_axes

FIELDS = tuple(Nuclei.__dataclass_fields__)


def made(*rows: tuple[float, ...]) -> Nuclei:
    """Return nuclei, a tuple of all their fields each."""
    return Nuclei(*np.array(rows, np.float64).reshape(-1, len(FIELDS)).T)


def value(nucleus: tuple[float, ...], y: float, x: float) -> float:
    """Return what must be at most 1 where a nucleus holds a point."""
    row, column, turns, major, minor, bend, curl, taper, blunt = nucleus
    angle = turns * 2 * math.pi
    u = (x - column) * math.cos(angle) + (y - row) * math.sin(angle)
    v = (y - row) * math.cos(angle) - (x - column) * math.sin(angle)
    s = u / major
    axis = bend * (s**2 - 1 / 4) + curl * (s**3 - s)
    thickness = 1 + taper * s + blunt * (s**2 - 1 / 4)
    if abs(s) > 1:
        return s**2
    return s**2 + ((v / minor - axis) / thickness) ** 2


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(0, 10**6).map(lambda n: low + (high - low) * n / 10**6)


one = st.tuples(
    numbers(0, 40),
    numbers(0, 50),
    numbers(0, 1),
    numbers(4, 24),
    numbers(0.15, 1),
    numbers(-2, 2),
    numbers(-1, 1),
    numbers(-0.4, 0.4),
    numbers(-0.5, 0.5),
).map(lambda n: (*n[:4], n[3] * n[4], *n[5:]))


@settings(max_examples=60)
@given(one)
def test_a_pixel_belongs_to_a_nucleus_iff_its_centre_does(nucleus: tuple[float, ...]) -> None:
    height, width = 40, 50
    found = _array(made(nucleus), height, width)
    unsure = 0
    for y in range(height):
        for x in range(width):
            literal = value(nucleus, y + 0.5, x + 0.5)
            if abs(literal - 1) < 1e-4:  # the sine is a table's, within 4e-7
                unsure += 1
            else:
                assert found[y, x] == (literal < 1), (y, x)
    assert unsure < 20


def _array(nuclei: Nuclei, height: int, width: int) -> np.ndarray[Any, Any]:
    found = nuclei.runs(height, width).labels(Box(0, 0, height, width), np.dtype(np.uint32))
    return np.zeros((height, width), np.uint32) if found is None else found[1]


@settings(max_examples=60)
@given(one)
def test_no_pixel_is_farther_than_the_reach(nucleus: tuple[float, ...]) -> None:
    row, column, *rest = nucleus
    found = _array(made((row + 100, column + 100, *rest)), 260, 260)
    down, along = (float(reach[0]) for reach in made(nucleus).reach)
    rows, columns = np.nonzero(found)
    assert (np.abs(rows + 0.5 - row - 100) <= down + 1e-9).all()
    assert (np.abs(columns + 0.5 - column - 100) <= along + 1e-9).all()


@pytest.mark.parametrize(
    "form", [(0.0, 0.0, 0.0, 0.0), (0.9, 0.5, 0.15, -0.3), (-0.9, -0.5, 0.3, 0.4), (0.0, 0.0, -0.3, -0.4), (2.0, 0.0, 0.0, 0.0)]
)
def test_no_form_changes_the_area(form: tuple[float, ...]) -> None:
    nuclei = made(*((90.0 * k + 45.3, 45.7, k / 23, 36.0, 15.0, *form) for k in range(8)))
    areas = nuclei.runs(800, 100).areas
    assert np.abs(areas / (math.pi * 36 * 15) - 1).max() < 0.01


def test_many_at_once_equal_each_alone() -> None:
    draws = np.random.default_rng(3)
    rows = [
        (*draws.uniform(-5, 205, 2), draws.uniform(), major, major * draws.uniform(0.2, 1), *draws.uniform(-0.3, 0.3, 4))
        for major in draws.uniform(3, 20, 200)
    ]
    literal = np.zeros((200, 200), np.uint32)
    for number, row in enumerate(rows, 1):
        literal[_array(made(row), 200, 200) > 0] = number  # later ones lie on top
    assert (_array(made(*rows), 200, 200) == literal).all()


def test_moved_and_joined() -> None:
    nuclei = made((1.0, 2.0, 0.1, 5.0, 3.0, 0.0, 0.0, 0.0, 0.0))
    both = nuclei.joined(nuclei.moved(np.array([7.0]), np.array([8.0])))
    assert len(both) == 2
    assert both.row.tolist() == [1.0, 7.0]
    assert both.column.tolist() == [2.0, 8.0]
    assert both.turns.tolist() == [0.1, 0.1]
    assert nuclei.moved(np.zeros(1), np.zeros(1), np.array([0.4])).turns.tolist() == [0.4]
    assert both.major.tolist() == [5.0, 5.0]


def test_no_nuclei() -> None:
    runs = made().runs(30, 40)
    assert (runs.height, runs.width) == (30, 40)
    assert len(runs.objects) == 0


def test_drawn_nuclei_fill_their_ranges() -> None:
    form = Form(bend=0.5, curl=0.25, taper=0.2, blunt=(-0.3, 0.1))
    nuclei = Nuclei.drawn(Stream("nuclei", 1), 4000, (100.0, 300.0), (0.3, 0.9), form)
    found = {
        "area": (np.pi * nuclei.major * nuclei.minor, 100.0, 300.0),
        "eccentricity": (np.sqrt(1 - (nuclei.minor / nuclei.major) ** 2), 0.3, 0.9),
        "bend": (nuclei.bend, -0.5, 0.5),
        "curl": (nuclei.curl, -0.25, 0.25),
        "taper": (nuclei.taper, -0.2, 0.2),
        "blunt": (nuclei.blunt, -0.3, 0.1),
    }
    for name, (values, low, high) in found.items():
        assert low - 1e-9 <= values.min() < low + 0.01 * (high - low), name
        assert high - 0.01 * (high - low) < values.max() <= high + 1e-9, name
        assert abs(values.mean() - (low + high) / 2) < 0.02 * (high - low), name
    assert np.abs(np.corrcoef([values for values, _, _ in found.values()]) - np.eye(6)).max() < 0.08
    assert not np.concatenate([nuclei.row, nuclei.column, nuclei.turns]).any()
    assert (Nuclei.drawn(Stream("nuclei", 1), 10, (100.0, 300.0), (0.3, 0.9), form).major == nuclei.major[:10]).all()


def test_half_axes_are_those_of_the_middle() -> None:
    major, minor = half_axes((100.0, 300.0), (0.7, 0.9))
    assert math.isclose(math.pi * major * minor, 200.0)
    assert math.isclose(math.sqrt(1 - (minor / major) ** 2), 0.8)
