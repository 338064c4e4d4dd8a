"""Pairs, turns, clearances and pushing: each against loops over all pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.scene.nuclei import Nuclei
from miso_gen.scene.packing import clearances, first_come, near_pairs, pushed_apart
from miso_gen.scene.places import PALISADE, Places

points = st.lists(st.tuples(st.integers(-40, 200), st.integers(-40, 200)), max_size=60)


def ellipses(*rows: tuple[float, float, float, float, float]) -> Nuclei:
    """Return ellipses of (row, column, turns, major, minor)."""
    fields = np.array(rows, np.float64).reshape(-1, 5).T
    zero = np.zeros(fields.shape[1])
    return Nuclei(*fields, zero, zero, zero, zero)


@settings(max_examples=80)
@given(points, st.integers(1, 90))
def test_near_pairs_are_all_pairs_that_are_near(found: list[tuple[int, int]], reach: int) -> None:
    y, x = np.array(found, np.float64).reshape(-1, 2).T
    first, second = near_pairs(y, x, float(reach))
    pairs = [tuple(sorted(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)]
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) == {
        (i, j)
        for j in range(len(found))
        for i in range(j)
        if (found[i][0] - found[j][0]) ** 2 + (found[i][1] - found[j][1]) ** 2 <= reach**2
    }


@settings(max_examples=80)
@given(st.integers(0, 30), st.data())
def test_first_come_is_a_loop(count: int, data: st.DataObject) -> None:
    number = st.integers(0, max(count - 1, 0))
    pairs = data.draw(st.lists(st.tuples(number, number).filter(lambda p: p[0] != p[1]), max_size=60)) if count > 1 else []
    kept: list[int] = []
    for thing in range(count):
        if not any((thing, other) in pairs or (other, thing) in pairs for other in kept):
            kept.append(thing)
    first, second = np.array(pairs, np.intp).reshape(-1, 2).T
    assert np.flatnonzero(first_come(count, first, second)).tolist() == kept


ellipse = st.tuples(
    st.floats(0, 40), st.floats(0, 40), st.floats(0, 1), st.floats(4, 20), st.floats(0.2, 1)
).map(lambda e: (*e[:4], e[3] * e[4]))  # fmt: skip


@settings(max_examples=150)
@given(ellipse, ellipse)
def test_ellipses_with_a_clearance_do_not_meet(one: tuple[float, ...], two: tuple[float, ...]) -> None:
    nuclei = ellipses(one, two)  # type: ignore[arg-type]
    gap, ny, nx = clearances(nuclei, np.array([0]), np.array([1]))
    assert math.isclose(float(ny[0] ** 2 + nx[0] ** 2), 1.0, abs_tol=1e-5)
    edges = [[_on(e, k / 64) for k in range(64)] for e in (one, two)]
    literal = min(q[0] * ny[0] + q[1] * nx[0] for q in edges[1]) - max(p[0] * ny[0] + p[1] * nx[0] for p in edges[0])
    assert abs(literal - gap[0]) < 0.1  # 64 points of each miss the tip by less
    if gap[0] > 0:
        assert min(math.dist(p, q) for p in edges[0] for q in edges[1]) >= gap[0] - 1e-4


def _on(e: tuple[float, ...], turns: float) -> tuple[float, float]:
    angle, t = e[2] * 2 * math.pi, turns * 2 * math.pi
    u, v = e[3] * math.cos(t), e[4] * math.sin(t)
    return e[0] + u * math.sin(angle) + v * math.cos(angle), e[1] + u * math.cos(angle) - v * math.sin(angle)


def test_side_by_side_the_clearance_is_that_of_the_short_axes() -> None:
    nuclei = ellipses((10, 10, 0.25, 12, 4), (10, 20, 0.25, 12, 4), (40, 10, 0.25, 12, 4))
    gap, ny, nx = clearances(nuclei, np.array([0, 0]), np.array([1, 2]))
    assert np.allclose(gap, [2.0, 6.0])
    assert np.allclose([ny, nx], [[0.0, 1.0], [1.0, 0.0]], atol=1e-6)


def test_pushing_leaves_gaps() -> None:
    draws = np.random.default_rng(8)
    rows = [(*draws.uniform(0, 300, 2), draws.uniform(), 10.0, 6.0) for _ in range(150)]
    before = ellipses(*rows)
    after = pushed_apart(before, 300, 300, gap_px=1.0, rounds=60, mobility=np.ones(150))
    first, second = np.triu_indices(150, 1)
    assert clearances(before, first, second)[0].min() < -5
    assert clearances(after, first, second)[0].min() > 0.9
    assert 0.5 <= after.row.min() <= after.row.max() <= 299.5
    assert 0.5 <= after.column.min() <= after.column.max() <= 299.5
    assert (after.turns == before.turns).all()


def test_the_more_mobile_one_moves_farther() -> None:
    before = ellipses((50, 50, 0, 10, 10), (50, 60, 0, 10, 10))
    after = pushed_apart(before, 100, 100, gap_px=0.0, rounds=40, mobility=np.array([1.0, 3.0]))
    moved = np.abs(after.column - before.column)
    assert math.isclose(float(moved.sum()), 10.0, abs_tol=0.01)
    assert math.isclose(float(moved[1] / moved[0]), 3.0, rel_tol=1e-6)


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_push(count: int) -> None:
    nuclei = ellipses(*[(5.0, 5.0, 0.0, 3.0, 2.0)] * count)
    after = pushed_apart(nuclei, 10, 10, gap_px=1.0, rounds=3, mobility=np.ones(count))
    assert after.row.tolist() == [5.0] * count


def circle(angles: list[float], radius: float = 100.0) -> Places:
    """Return a row on a circle, at angles in turns."""
    turns = np.array(angles)
    y, x = 200 + radius * np.sin(turns * 2 * np.pi), 200 + radius * np.cos(turns * 2 * np.pi)
    zero = np.zeros(len(turns), np.int64)
    return Places(y, x, turns, zero, zero + PALISADE, zero)


def test_rows_close_their_gaps() -> None:
    angles = [k / 24 for k in range(24) if k != 7]
    row = circle(angles)
    again = row.evened(26.0, 400)
    found = np.unwrap(np.arctan2(again.y - 200, again.x - 200))
    apart = np.diff(np.append(found, found[0] + 2 * np.pi)) * 100
    assert apart.max() / apart.min() < 1.4  # it was 2
    cut = circle([k / 24 for k in range(12)])  # half a circle: both ends stay
    ends = cut.evened(26.0, 50)
    assert (ends.y[[0, -1]] == cut.y[[0, -1]]).all()
    assert len(cut.chosen(np.zeros(0, np.intp)).evened(26.0, 5)) == 0


def test_the_tightest_places_go_first() -> None:
    zero = np.zeros(5, np.int64)
    places = Places(np.full(5, 10.0), np.array([0.0, 50.0, 58.0, 100.0, 103.0]), np.zeros(5), zero, zero, zero - 1)
    kept = [places.roomiest(4.0, 4.0, 30.0, count).x.tolist() for count in (5, 4, 3, 0)]
    assert kept == [[0.0, 50.0, 58.0, 100.0, 103.0], [0.0, 50.0, 58.0, 100.0], [0.0, 50.0, 100.0], []]
    assert places.uncrowded(4.0, 4.0, 0.5).x.tolist() == [0.0, 50.0, 58.0, 100.0]
