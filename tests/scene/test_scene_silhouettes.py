"""The library of 24 silhouettes: what the issue asks of it, counted on rasters and outlines."""

from __future__ import annotations

import hashlib
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.measure import label

import miso_gen.scene.morphologies
from miso_gen.errors import UnknownNameError
from miso_gen.geometry import Box, Spans
from miso_gen.scene.deformations.affine import Affine
from miso_gen.scene.morphologies.builtin import Builtin, library

SIDE = 1024
NAMES = Builtin().names()
Point = tuple[int, int]


@cache
def outline(name: str) -> list[list[Point]]:
    """Return the rings of a silhouette on the design grid."""
    return [list(zip(ring[::2], ring[1::2], strict=True)) for ring in library()["shapes"][name]["rings"]]


@cache
def picture(name: str, side: int = SIDE) -> np.ndarray:
    return Spans.of_polygon(Builtin().rings(name, side, side), side, side).mask(Box(0, 0, side, side))


def hull_area(points: list[Point]) -> float:
    """Area of the convex hull: Andrew's monotone chain, and the shoelace formula."""

    def chain(ordered: list[Point]) -> list[Point]:
        out: list[Point] = []
        for x, y in ordered:
            while len(out) > 1 and (out[-1][0] - out[-2][0]) * (y - out[-2][1]) <= (out[-1][1] - out[-2][1]) * (x - out[-2][0]):
                out.pop()
            out.append((x, y))
        return out[:-1]

    ordered = sorted(set(points))
    hull = chain(ordered) + chain(ordered[::-1])
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(hull, [*hull[1:], hull[0]], strict=True))) / 2


def holes(name: str) -> int:
    """Count the background components of at least 30 px that do not reach the canvas border."""
    components = label(np.pad(picture(name) == 0, 1, constant_values=True), connectivity=1)
    return int((np.bincount(components.ravel())[2:] >= 30).sum())  # 1 is the outside, which holds the corner


def parts(name: str) -> int:
    """Count the components of at least 30 px."""
    return int((np.bincount(label(picture(name), connectivity=2).ravel())[1:] >= 30).sum())


def test_there_are_24_sorted_names_and_one_is_the_canary() -> None:
    assert len(NAMES) == 24
    assert list(NAMES) == sorted(set(NAMES))
    assert Builtin().reference == "canary"
    assert "canary" in NAMES
    titles = [library()["shapes"][name]["title"] for name in NAMES]
    assert all(title.strip() for title in titles)
    assert len(set(titles)) == 24


def test_file_digest(golden: Any) -> None:
    content = (Path(miso_gen.scene.morphologies.__file__).parent / "silhouettes.json").read_bytes()
    golden("silhouettes", {"silhouettes.json": hashlib.sha256(content).hexdigest()})


def test_rasters_digest(golden: Any) -> None:
    found = {f"{name} at {SIDE}": hashlib.sha256(picture(name).tobytes()).hexdigest()[:16] for name in NAMES}
    golden("silhouettes", found)


@pytest.mark.parametrize("name", NAMES)
def test_area(name: str) -> None:
    assert 0.20 <= picture(name).mean() <= 0.45


@pytest.mark.parametrize("name", NAMES)
def test_rings_are_sound(name: str) -> None:
    grid = library()["grid"]
    for ring in outline(name):
        assert len(ring) >= 3
        assert all(a != b for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
        assert all(0 <= x <= grid and 0 <= y <= grid for x, y in ring)
        doubled_area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True))
        assert doubled_area != 0


def test_at_least_eight_have_holes() -> None:
    assert sum(holes(name) > 0 for name in NAMES) >= 8


def test_at_least_six_are_thin_or_deeply_non_convex() -> None:
    grid = library()["grid"]
    solidity = {
        name: picture(name).sum() * (grid / SIDE) ** 2 / hull_area([point for ring in outline(name) for point in ring])
        for name in NAMES
    }
    assert all(share <= 1.01 for share in solidity.values())
    assert sum(share < 0.6 for share in solidity.values()) >= 6


def test_at_least_four_have_several_components() -> None:
    assert sum(parts(name) > 1 for name in NAMES) >= 4


def test_perimeter_squared_over_area_is_spread() -> None:
    grid = library()["grid"]
    ratio = {}
    for name in NAMES:
        length = sum(math.dist(a, b) for ring in outline(name) for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
        ratio[name] = length**2 / (picture(name).sum() * (grid / SIDE) ** 2)
    assert min(ratio.values()) >= 4 * math.pi * 0.99
    assert min(ratio.values()) <= 22
    assert max(ratio.values()) >= 350


def test_no_two_are_alike() -> None:
    for index, one in enumerate(NAMES):
        for other in NAMES[:index]:
            both = (picture(one) & picture(other)).sum()
            assert both / (picture(one) | picture(other)).sum() < 0.75, (one, other)


# --- on canvases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(64, 64), (100, 100), (257, 120), (90, 333)])
def test_the_design_square_is_scaled_to_the_shorter_side_and_centred(shape: tuple[int, int]) -> None:
    height, width = shape
    side = min(shape)
    rings = Builtin().rings("key", height, width)
    for ring, design in zip(rings, outline("key"), strict=True):
        assert (ring & 1).all()
        x = np.array([point[0] for point in design]) * side / 4096 + (width - side) / 2
        y = np.array([point[1] for point in design]) * side / 4096 + (height - side) / 2
        assert np.abs(ring / 256 - np.stack([x, y], axis=1)).max() <= 2 / 256


def test_only_keeps_some_in_the_order_given() -> None:
    assert Builtin(only=("teapot", "canary", "teapot")).names() == ("teapot", "canary")
    with pytest.raises(UnknownNameError, match=r"silhouette must be one of bare-tree, .* got 'taepot'. Did you mean 'teapot'\?"):
        Builtin(only=("taepot",)).names()
    with pytest.raises(UnknownNameError, match="got 'taepot'"):
        Builtin().rings("taepot", 64, 64)


def test_splits_share_all_or_nothing() -> None:
    splits = ["train", "test"]
    assert [Builtin().names_in(split, splits) for split in splits] == [NAMES, NAMES]
    train, test = (Builtin(split="disjoint").names_in(split, splits) for split in splits)
    assert not set(train) & set(test)
    assert sorted(train + test) == list(NAMES)
    assert (len(train), len(test)) == (12, 12)


# --- what the scenarios need ------------------------------------------------------------------------------------------


def canary_stays_whole(side: int, translation: tuple[float, float]) -> None:
    rings = Builtin().rings("canary", side, side)
    plain = Spans.of_polygon(rings, side, side).area
    for rotation, shear in ((1.3, 0.7), (1.5, 0.5)):
        moved = Affine(rotation_rad=rotation, shear_rad=shear, translation_px=translation).deform(rings, side, side).spans
        determinant = math.cos(rotation) * math.cos(rotation + shear) + math.sin(rotation + shear) * math.sin(rotation)
        assert abs(moved.area * abs(determinant) / plain - 1) < 0.02
        assert (moved.row_counts[0], moved.row_counts[-1], moved.column_counts[0], moved.column_counts[-1]) == (0, 0, 0, 0)


def test_the_canary_stays_whole_under_the_affine_maps_of_the_small_profile() -> None:
    canary_stays_whole(1024, (1000.0, 267.0))


@pytest.mark.full
def test_the_canary_stays_whole_under_the_published_affine_maps() -> None:
    canary_stays_whole(3072, (3000.0, 800.0))


def takes_a_disc(name: str, side: int, window: int) -> bool:
    """Whether a centre in the central half has a window (rows y - w/2 .. y + w/2 - 1) with more than .8 of object."""
    sums = np.pad(picture(name, side).astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    y, x = (np.arange(side // 4, 3 * side // 4) - window // 2 for _ in range(2))
    share = sums[np.ix_(y + window, x + window)] - sums[np.ix_(y, x + window)] - sums[np.ix_(y + window, x)] + sums[np.ix_(y, x)]
    return bool((share > 0.8 * window * window).any())


@pytest.mark.parametrize("name", NAMES)
def test_every_silhouette_takes_a_disc(name: str) -> None:
    assert takes_a_disc(name, 1024, 6)


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_every_silhouette_takes_a_disc_at_full_size(name: str) -> None:
    assert takes_a_disc(name, 3072, 20)
    picture.cache_clear()
