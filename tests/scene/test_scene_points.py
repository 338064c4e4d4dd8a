"""Matern points of type II against their definition, every candidate with every other."""

from __future__ import annotations

import math

import literal
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.scene.points.matern import Matern, _beaten

PLACE = (7, "evsp", "test", "p0001", "points")


def candidates(height: int, width: int, per_mpx: float) -> list[tuple[int, int, int]]:
    """Return (row, column, mark) of the candidates on a canvas, in the order of their addresses."""
    out = []
    expected = per_mpx * (512 * 512 / 1e6)
    for row in range(-(-height // 512)):
        for column in range(-(-width // 512)):
            words = literal.raw_words((*PLACE, row, column), 1 + 3 * (int(expected) + 1))
            count = int(expected + (words[0] >> 11) / 2**53)
            columns, rows, marks = (words[1 + part * count : 1 + (part + 1) * count] for part in range(3))
            for x, y, mark in zip(columns, rows, marks, strict=True):
                place = (literal.integer(y, row * 512, row * 512 + 512), literal.integer(x, column * 512, column * 512 + 512))
                if place[0] < height and place[1] < width:
                    out.append((*place, literal.integer(mark, 0, 2**31)))
    return out


def thinned(points: list[tuple[int, int, int]], distance: int) -> list[tuple[int, int]]:
    """Keep a point iff no other nearer than the distance has a smaller mark, or the same and an earlier address."""
    kept = []
    for index, (y, x, mark) in enumerate(points):
        rivals = (
            (other, place)
            for place, (v, u, other) in enumerate(points)
            if place != index and (v - y) ** 2 + (u - x) ** 2 < distance**2
        )
        if all(rival > (mark, index) for rival in rivals):
            kept.append((y, x))
    return sorted(kept)


@pytest.mark.parametrize(
    ("height", "width", "per_mpx", "distance"),
    [(600, 700, 800.0, 20), (300, 200, 4000.0, 9), (64, 64, 9000.0, 6), (520, 64, 3000.0, 64), (100, 100, 2000.0, 1)],
)
def test_points_are_thinned_candidates(height: int, width: int, per_mpx: float, distance: int) -> None:
    found = Matern(candidates_per_mpx=per_mpx).scatter(height, width, distance, *PLACE)
    assert found.dtype == np.int64
    assert [tuple(point) for point in found.tolist()] == thinned(candidates(height, width, per_mpx), distance)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(1, 12))
def test_equal_marks_are_told_apart_by_the_address(seed: int, count: int, distance: int) -> None:
    draws = np.random.default_rng(seed)
    places, marks = draws.integers(0, 30, (count, 2)), draws.integers(0, 3, count)
    kept = thinned([(int(y), int(x), int(mark)) for (y, x), mark in zip(places, marks, strict=True)], distance)
    survivors = places[~_beaten(places, marks, distance)]
    assert sorted(map(tuple, survivors.tolist())) == kept


def test_no_two_points_are_nearer_than_the_distance() -> None:
    points = Matern().scatter(1200, 1000, 20, *PLACE)
    apart = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(apart, 10**9)
    assert len(points) > 300
    assert apart.min() >= 400
    assert points.tolist() == sorted(points.tolist())


def test_points_of_a_smaller_canvas_are_those_of_the_larger_one_away_from_its_border() -> None:
    distance = 16
    large = {tuple(point) for point in Matern().scatter(900, 1100, distance, *PLACE).tolist()}
    small = {tuple(point) for point in Matern().scatter(530, 600, distance, *PLACE).tolist()}
    inner = {(y, x) for y, x in large if y < 530 - distance and x < 600 - distance}
    assert inner == {(y, x) for y, x in small if y < 530 - distance and x < 600 - distance}
    assert len(inner) > 50


def test_as_many_survive_as_the_theory_says() -> None:
    """Matern II: density (1 - exp(-d v)) / v, d = candidates per pixel, v = area of the disc of the distance."""
    density, volume = 800e-6, math.pi * 20**2
    expected = (1 - math.exp(-density * volume)) / volume
    count = len(Matern().scatter(2048, 2048, 20, *PLACE))
    assert abs(count / 2048**2 / expected - 1) < 0.08


def test_a_field_without_candidates_is_empty() -> None:
    assert Matern(candidates_per_mpx=1e-9).scatter(64, 64, 8, *PLACE).shape == (0, 2)
