"""Imported points: fit and thinning against their definition, discs with radii of their own, and EVSP from file to pixels."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import literal
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen import load_recipe
from miso_gen.contents import Content, keep
from miso_gen.errors import MisoGenWarning, RecipeError
from miso_gen.geometry import Box, Spans
from miso_gen.recipe.plan import plan_images
from miso_gen.rng import Stream
from miso_gen.scene import make_scene
from miso_gen.scene.interfaces import ScatteredPoints
from miso_gen.scene.morphologies.builtin import Builtin
from miso_gen.scene.points.csv import ImportedPoints, fitted, thinned
from miso_gen.scene.points.matern import Matern
from miso_gen.scene.regions import DiscField, Silhouette


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISO_GEN_CACHE", str(tmp_path / "cache"))


def content(units: np.ndarray, radii: np.ndarray | None = None, extent: list[int] | None = None) -> str:
    """Keep points in 1/256 px; return their digest."""
    arrays = {"places": np.asarray(units, np.int64).reshape(-1, 2)}
    if radii is not None:
        arrays["radii"] = np.asarray(radii, np.int64)
    return keep(Content("points", {"classes": [], "extent": extent}, arrays))


def points(*digests: str, fit: str = "scale") -> ImportedPoints:
    sets = [{"name": f"set-{number}", "content": digest} for number, digest in enumerate(digests)]
    return ImportedPoints.from_spec({"sets": sets, "fit": fit})


def literal_fit(
    units: list[tuple[int, int]], extent: list[int] | None, fit: str, height: int, width: int
) -> tuple[list[tuple[int, int] | None], Fraction]:
    """Return the pixel of each point, None off the canvas, and the factor, by fractions.

    A point is the middle of its unit of 1/256 px. The extent is what is given, else from the first unit with a point to the
    last one. It is scaled, or not, and its middle laid on the middle of the canvas.
    """
    rows, columns = zip(*units, strict=True)
    box = extent or [min(rows), min(columns), max(rows) + 1, max(columns) + 1]
    size = (Fraction(box[2] - box[0]), Fraction(box[3] - box[1]))
    factor = min(height / size[0], width / size[1]) if fit == "scale" else Fraction(1, 256)
    out: list[tuple[int, int] | None] = []
    for row, column in units:
        place = []
        for value, first, length, side in ((row, box[0], size[0], height), (column, box[1], size[1], width)):
            if fit == "none":
                place.append((value - (first if extent else 0) + Fraction(1, 2)) * factor)
            else:
                place.append((value + Fraction(1, 2) - first - length / 2) * factor + Fraction(side, 2))
        row_px, column_px = (value.numerator // value.denominator for value in place)
        out.append((row_px, column_px) if 0 <= row_px < height and 0 <= column_px < width else None)
    return out, factor


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3000, 9000), st.integers(-3000, 9000)), min_size=1, max_size=12),
    st.sampled_from([None, [0, 0, 6000, 4000], [-256, 512, 5000, 6000]]),
    st.sampled_from(["scale", "crop", "none"]),
    st.integers(1, 90),
    st.integers(1, 90),
)
@pytest.mark.filterwarnings("ignore::miso_gen.errors.MisoGenWarning")
def test_fit(
    tmp_path_factory: Any, units: list[tuple[int, int]], extent: list[int] | None, fit: Any, height: int, width: int
) -> None:
    radii = [1 + 97 * number for number in range(len(units))]
    digest = content(np.array(units), np.array(radii), extent)
    wanted, factor = literal_fit(units, extent, fit, height, width)
    there = [number for number, place in enumerate(wanted) if place is not None]
    if fit == "none" and not there:
        with pytest.raises(RecipeError, match=r"must be on the canvas"):
            fitted(digest, "a", fit, height, width)
        return
    places, found = fitted(digest, "a", fit, height, width)
    assert [tuple(place) for place in places.tolist()] == [wanted[number] for number in there]
    assert found is not None
    scaled = [radii[number] * factor + Fraction(1, 2) for number in there]
    assert found.tolist() == [max(1, value.numerator // value.denominator) for value in scaled]


def test_fit_of_the_largest_numbers_is_exact() -> None:
    """No product leaves 64 bits: points 2**30 px from the origin on a canvas of a million rows."""
    most = 2**30 * 256
    units = [(-most, -most), (most, most), (0, 1), (most, -most)]
    digest = content(np.array(units))
    for fit in ("scale", "crop"):
        wanted, _ = literal_fit(units, None, fit, 1_000_000, 900_000)
        places, _ = fitted(digest, "a", fit, 1_000_000, 900_000)
        assert [tuple(place) for place in places.tolist()] == [place for place in wanted if place is not None]


def test_scaling_keeps_every_point_of_a_set_and_fills_the_canvas() -> None:
    units = np.random.default_rng(1).integers(-(10**6), 10**7, (500, 2))
    places, _ = fitted(content(units), "a", "scale", 300, 700)
    assert len(places) == 500
    assert (places[:, 0].min(), places[:, 0].max()) == (0, 299)
    assert (fitted(content(units[:1]), "a", "scale", 300, 700)[0] == [[150, 350]]).all()


def test_points_off_the_canvas_are_counted() -> None:
    digest = content(np.array([[0, 0], [256 * 50, 256], [256, 256 * 50], [-1, 0], [256 * 49, 256 * 49]]))
    with pytest.warns(MisoGenWarning, match=r"3 of 5 points of set 'mine' are off the canvas, 50 x 50 px"):
        places, radii = fitted(digest, "mine", "none", 50, 50)
    assert places.tolist() == [[0, 0], [49, 49]]
    assert radii is None


def literal_thinning(places: list[tuple[int, int]], spans: list[int], order: list[int]) -> list[int]:
    kept: list[int] = []
    for number in order:
        y, x = places[number]
        if all((places[k][0] - y) ** 2 + (places[k][1] - x) ** 2 >= Fraction(spans[k] + spans[number], 2) ** 2 for k in kept):
            kept.append(number)
    return sorted(kept)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 15)), max_size=60),
    st.integers(1, 20),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_thinning(given_points: list[tuple[int, int, int]], distance: int, own: bool, random: Any) -> None:
    places = np.array([point[:2] for point in given_points], np.int64).reshape(-1, 2)
    spans = np.array([point[2] if own else distance for point in given_points], np.int64)
    order = list(range(len(places)))
    random.shuffle(order)
    wanted = literal_thinning([tuple(place) for place in places.tolist()], spans.tolist(), order)
    assert thinned(places, spans, np.array(order, np.int64)).tolist() == wanted


def test_scatter_is_a_set_fitted_and_thinned_in_the_order_of_the_stream() -> None:
    draws = np.random.default_rng(2)
    digests = [content(draws.integers(0, 256 * 300, (count, 2))) for count in (150, 90, 200)]
    process, shown = points(*digests), set()
    for number in range(12):
        address = (7, "evsp", f"p{number}")
        words = literal.raw_words(address, 300)
        place = literal.integer(words[0], 0, 3)
        shown.add(place)
        places, _ = fitted(digests[place], "a", "scale", 200, 260)
        marks = words[1 : 1 + len(places)]
        order = sorted(range(len(places)), key=lambda index: (marks[index], index))
        kept = literal_thinning([tuple(pixel) for pixel in places.tolist()], [13] * len(places), order)
        found = process.scatter(200, 260, 13, *address)
        assert found.dtype == np.int64
        assert found.tolist() == sorted(places[kept].tolist())
    assert shown == {0, 1, 2}


def test_no_corner_is_favoured() -> None:
    """Of two points that can't both stay each stays about as often."""
    process = points(content(np.array([[0, 0], [256 * 5, 0], [256 * 99, 256 * 99]])), fit="none")
    first = sum([0, 0] in process.scatter(100, 100, 20, "a", number).tolist() for number in range(200))
    assert 70 < first < 130


def test_many_points() -> None:
    units = np.random.default_rng(3).integers(0, 256 * 4000, (20_000, 2))
    found = points(content(units)).scatter(4000, 4000, 30, "many")
    cells: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row, column in found.tolist():
        cells.setdefault((row // 30, column // 30), []).append((row, column))
    for (y, x), mine in cells.items():
        around = [p for dy in (-1, 0, 1) for dx in (-1, 0, 1) for p in cells.get((y + dy, x + dx), [])]
        assert all(a == b or (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 >= 900 for a in mine for b in around)
    assert 5_000 < len(found) < 20_000


def test_discs_have_their_own_radii() -> None:
    draws = np.random.default_rng(4)
    units, radii = draws.integers(0, 256 * 200, (120, 2)), draws.integers(1, 256 * 9, 120)
    process = points(content(units, radii))
    centres, found = process.discs(100, 100, 99, "a", 1)
    places, scaled = fitted(process.sets[0].content, "set-0", "scale", 100, 100)
    assert scaled is not None
    assert found is not None
    assert len(set(found.tolist())) > 3
    pairs = {(*place, radius) for place, radius in zip(places.tolist(), scaled.tolist(), strict=True) for place in [tuple(place)]}
    assert {(*place, radius) for place, radius in zip(map(tuple, centres.tolist()), found.tolist(), strict=True)} <= pairs
    assert centres.tolist() == sorted(centres.tolist())
    apart = ((centres[:, None] - centres[None]) ** 2).sum(axis=2) - (found[:, None] + found[None]) ** 2
    assert (apart[~np.eye(len(found), dtype=bool)] >= 0).all()


def test_points_without_radii_are_as_scattered() -> None:
    process = points(content(np.random.default_rng(5).integers(0, 256 * 200, (120, 2))))
    for some in (process, Matern()):
        assert isinstance(some, ScatteredPoints)
        centres, radii = some.discs(100, 120, 4, "a", 1)
        assert radii is None
        assert np.array_equal(centres, some.scatter(100, 120, 8, "a", 1))


@pytest.mark.parametrize("name", ["canary", "window"])
def test_field_of_discs_of_many_sizes(name: str) -> None:
    """Every pixel against the definition; equal radii, one by one or together, are the same field."""
    process = points(content(*_things(6)))
    centres, radii = process.discs(90, 110, 1, "b")
    assert radii is not None
    shape = Silhouette(Spans.of_polygon(Builtin().rings(name, 90, 110), 90, 110))
    mask = shape.mask(Box(0, 0, 90, 110))
    assert mask is not None
    inside = mask.unpack()
    y, x = np.indices((90, 110))
    wanted, visible = np.zeros((90, 110), np.int64), []
    for number, ((row, column), radius) in enumerate(zip(centres.tolist(), radii.tolist(), strict=True)):
        disc = ((y - row) ** 2 + (x - column) ** 2 < radius**2) & (inside == 1)
        assert not wanted[disc].any()
        if disc.any():
            visible.append(number)
            wanted[disc] = len(visible)
    assert 0 < len(visible) < len(centres)
    field = DiscField(centres, radii, shape)
    assert field.centres.tolist() == centres[visible].tolist()
    assert field.radii.tolist() == radii[visible].tolist()
    assert field.boxes().tolist() == [
        [max(row - r + 1, 0), max(column - r + 1, 0), min(row + r, 90), min(column + r, 110)]
        for (row, column), r in zip(centres[visible].tolist(), radii[visible].tolist(), strict=True)
    ]
    for box in [Box(0, 0, 90, 110), *Box(0, 0, 90, 110).tiles(17, 23), *Box(0, 0, 90, 110).tiles(3, 2)]:
        labels = field.labels(box, np.dtype(np.uint16))
        found = np.zeros(box.shape, np.uint16) if labels is None else labels[1]
        assert np.array_equal(found, wanted[box.slices])
    far = centres[::7]
    one, each = DiscField(far, 3, shape), DiscField(far, np.full(len(far), 3), shape)
    assert np.array_equal(one.boxes(), each.boxes())


def _things(seed: int) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    return draws.integers(0, 256 * 200, (150, 2)), draws.integers(100, 256 * 20, 150)


RECIPE = """
schema: 1
name: brought
version: 1.0.0
seed: 5
splits: [test]
canvas: {{shape: [200, 240]}}
scenarios:
  - type: evsp
    radius_px: 4
    fuzz: 0.0
    morphologies: {{type: builtin, only: [canary, teapot]}}
    points: {{type: csv, path: "{path}", columns: {{x: centroid_x, y: centroid_y{more}}}}}
"""


def table(count: int = 400, seed: int = 8) -> pd.DataFrame:
    draws = np.random.default_rng(seed)
    numbers = draws.integers(0, 4000, (count, 2)) / 16
    return pd.DataFrame({"centroid_x": numbers[:, 1], "centroid_y": numbers[:, 0], "size": draws.integers(1, 9, count) / 4 + 1.5})


def written(folder: Path, name: str, frame: pd.DataFrame, more: str = "") -> Path:
    (folder / "tables").mkdir(parents=True)
    if name.endswith(".csv"):
        frame.to_csv(folder / "tables" / name, index=False)
    else:
        frame.to_parquet(folder / "tables" / name)
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(path=f"tables/{name}", more=more), "utf-8")
    return path


def test_a_recipe_needs_its_files_once(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path / "a", "cells.csv", table()))
    assert load_recipe(written(tmp_path / "b", "cells.parquet", table().sample(frac=1, random_state=1))).digest == recipe.digest
    assert load_recipe(written(tmp_path / "c", "cells.csv", table(seed=9))).digest != recipe.digest
    plain = recipe.to_dict()
    assert "tables" not in str(plain)
    assert "centroid" not in str(plain)
    shutil.rmtree(tmp_path / "a")
    assert load_recipe(plain).digest == recipe.digest
    plans = plan_images(load_recipe(plain))
    assert len(plans) == 4
    for plan in plans:
        scene = make_scene(plan)
        (objects,) = scene.objects
        assert set(objects.params["radius_px"].tolist()) == {4.0}
        assert len(objects.ids) > 20
        found = literal.whole(plan)
        value = 255 if plan.label else 0
        assert (found.image[:, found.truth == 2] == value).all()
        assert (found.truth == 2).any()


def test_evsp_with_radii_of_points(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path / "a", "cells.csv", table(), ", radius: size"))
    for plan in plan_images(recipe):
        (objects,) = make_scene(plan).objects
        radii = objects.params["radius_px"]
        assert len(set(radii.tolist())) > 1
        centres = np.stack([objects.params["row"], objects.params["column"]], axis=1)
        y, x = np.indices((200, 240))
        discs = np.zeros((200, 240), np.bool_)
        for (row, column), radius in zip(centres, radii, strict=True):
            discs |= (y - row) ** 2 + (x - column) ** 2 < radius**2
        rings = Builtin().rings(str(plan.morphology), 200, 240)
        inside = np.asarray(literal.raster([list(map(tuple, ring.tolist())) for ring in rings], 200, 240)) == 1
        assert np.array_equal(literal.whole(plan).truth == 2, discs & inside)


def test_radii_that_are_too_large_are_refused(tmp_path: Path) -> None:
    frame = table()
    frame.loc[3, "size"] = 90.0
    recipe = load_recipe(written(tmp_path / "a", "cells.csv", frame, ", radius: size"))
    for plan in plan_images(recipe):
        with pytest.raises(RecipeError, match=rf"{plan.id}: radii of points must be at most a quarter .*\(50\), got 7\d\."):
            make_scene(plan)


def test_streams_of_other_images_show_other_points() -> None:
    process = points(content(np.random.default_rng(5).integers(0, 256 * 200, (900, 2))))
    one, other = process.scatter(200, 200, 12, "a"), process.scatter(200, 200, 12, "b")
    assert one.tolist() != other.tolist()
    assert Stream("a").word() != Stream("b").word()
