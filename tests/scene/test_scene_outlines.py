"""Outlines: angles, distances, rows and the ground of each, against plain geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.rng import Stream
from miso_gen.scene.outlines import DIRECTIONS, Outlines, turns_of


def drawn(height: int = 700, width: int = 900, seed: int = 1) -> Outlines:
    return Outlines.drawn(
        Stream("outlines", seed),
        height,
        width,
        radius_px=(50.0, 120.0),
        gap_px=12.0,
        spacing=0.82,
        stretch=2.0,
        lobes=(0.2, 0.3),
    )


def circles(*rows: tuple[float, float, float]) -> Outlines:
    """Return circles of (row, column, radius)."""
    y, x, size = np.array(rows, np.float64).reshape(-1, 3).T
    return Outlines(y, x, size, np.repeat(size[:, None], DIRECTIONS, axis=1))


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_the_angle_is_the_angle(dy: float, dx: float) -> None:
    found = float(turns_of(np.array([dy]), np.array([dx]))[0])
    assert 0 <= found <= 1
    if math.hypot(dy, dx) > 1e-3:
        error = (found - math.atan2(dy, dx) / (2 * math.pi) + 0.5) % 1.0 - 0.5
        assert abs(error) < 1e-6


def test_the_null_vector_points_to_the_right() -> None:
    assert turns_of(np.zeros(1), np.zeros(1)).tolist() == [0.0]


def test_axes_are_exact() -> None:
    assert turns_of(np.array([0.0, 3.0, 0.0, -3.0]), np.array([2.0, 0.0, -2.0, 0.0])).tolist() == [0.0, 0.25, 0.5, 0.75]


def test_the_radius_between_two_directions_is_between_theirs() -> None:
    outlines = drawn()
    draws = np.random.default_rng(2)
    which = draws.integers(0, len(outlines), 300)
    turns = draws.uniform(-2, 2, 300)
    found = outlines.radius_at(which, turns)
    for outline, turn, radius in zip(which.tolist(), turns.tolist(), found.tolist(), strict=True):
        place = turn % 1.0 * DIRECTIONS
        low = math.floor(place)
        a, b = outlines.radii[outline, low % DIRECTIONS], outlines.radii[outline, (low + 1) % DIRECTIONS]
        assert math.isclose(radius, a + (b - a) * (place - low), rel_tol=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0, 200))
def test_the_nearest_outline_is_that_of_a_loop(seed: int, reach: float) -> None:
    draws = np.random.default_rng(seed)
    outlines = circles(*((*draws.uniform(0, 500, 2), draws.uniform(10, 60)) for _ in range(12)))
    y, x = draws.uniform(-50, 550, (2, 80))
    number, way, direction = outlines.nearest(y, x, reach)
    for k in range(80):
        ways = [math.hypot(y[k] - outlines.y[j], x[k] - outlines.x[j]) - outlines.size[j] for j in range(12)]
        if min(ways) > reach:
            assert way[k] == np.inf
            continue
        assert math.isclose(way[k], min(ways), abs_tol=1e-9)
        assert number[k] == int(np.argmin(ways))
        angle = math.atan2(y[k] - outlines.y[number[k]], x[k] - outlines.x[number[k]])
        assert abs((direction[k] - angle / (2 * math.pi) + 0.5) % 1.0 - 0.5) < 1e-6


def test_nothing_is_near_no_outline() -> None:
    number, way, _ = circles().nearest(np.zeros(3), np.zeros(3), 10.0)
    assert number.tolist() == [0, 0, 0]
    assert (way == np.inf).all()


@pytest.mark.parametrize("depth", [0.0, 15.0])
def test_a_row_is_evenly_spaced_on_a_smaller_circle(depth: float) -> None:
    outlines = circles((100, 120, 80), (400, 300, 50))
    outline, y, x, inward = outlines.row(depth, 17.0, np.array([0.0, 0.5]))
    for j in range(2):
        mine = outline == j
        radius = outlines.size[j] - depth
        count = int(mine.sum())
        assert count == math.floor(2 * math.pi * radius / 17.0)
        dy, dx = y[mine] - outlines.y[j], x[mine] - outlines.x[j]
        assert np.allclose(np.hypot(dy, dx), radius, rtol=1e-3)
        angles = np.arctan2(dy, dx) / (2 * np.pi) % 1.0
        assert np.allclose(np.diff(np.sort(angles)), 1 / count, atol=1e-3)
        assert np.allclose((inward[mine] - angles) % 1.0, 0.5, atol=1e-3)
        assert np.abs((angles[0] * count - 0.5 * j + 0.5) % count - 0.5) < 0.02  # the phase


def test_a_path_shorter_than_the_pitch_holds_nothing() -> None:
    assert all(len(part) == 0 for part in circles((10, 10, 6)).row(0.0, 100.0, np.zeros(1)))
    assert all(len(part) == 0 for part in circles().row(0.0, 10.0, np.zeros(0)))


@pytest.mark.parametrize("seed", range(4))
def test_outlines_do_not_overlap(seed: int) -> None:
    outlines = drawn(seed=seed)
    y, x = outlines.points
    assert len(outlines) > 10
    for j in range(len(outlines)):
        others = np.flatnonzero(np.arange(len(outlines)) != j)
        py, px = y[others].reshape(-1), x[others].reshape(-1)
        distance, radius, _ = outlines.seen(np.full(len(py), j), py, px)
        assert (distance - radius).min() > 0.0


def test_outlines_are_at_least_of_the_least_size() -> None:
    outlines = drawn(2000, 2000)
    assert outlines.radii.min() > 0.3 * 50
    assert outlines.mean.min() > 0.75 * 50
    assert np.allclose(outlines.mean, outlines.radii.mean(axis=1))
    assert outlines.radii.max() / outlines.radii.min(axis=1).max() > 1.2
