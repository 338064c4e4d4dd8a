"""Simulated tissue: the same cells in both images of a pair, in two arrangements."""

from __future__ import annotations

import subprocess
import sys
import zlib
from functools import cache
from hashlib import sha256
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.errors import RecipeError
from miso_gen.geometry import Box
from miso_gen.recipe import TISSUES
from miso_gen.recipe.model import Canvas
from miso_gen.recipe.plan import ImagePlan
from miso_gen.recipe.plugins import Case
from miso_gen.scene.tissues.simulated import KINDS, PATTERNS, Simulated

if TYPE_CHECKING:
    from collections.abc import Callable

    from miso_gen.scene.interfaces import TissueCells

TISSUE = Simulated(images=4)
COUNTS = ("cells", "tumour_cells", "spindle_cells", "lymphocytes")


def plan(label: int, pair: int = 1, shape: tuple[int, int] = (512, 512), seed: int = 3) -> ImagePlan:
    return ImagePlan(
        id=f"tissue/test/{2 * pair - 1 + label:04d}",
        scenario="tissue",
        type="tissue",
        split="test",
        label=label,
        class_name=PATTERNS[label],
        pair=f"tissue/test/p{pair:04d}",
        morphology=None,
        canvas=Canvas(shape=shape),
        seed=seed,
        spec={},
    )


@cache
def shown(label: int, pair: int = 1, shape: tuple[int, int] = (512, 512)) -> TissueCells:
    return TISSUE.cells(plan(label, pair, shape))


def pixels(cells: TissueCells) -> np.ndarray[Any, Any]:
    """Return the labels of the whole image, (h, w)."""
    runs = cells.runs
    found = runs.labels(Box(0, 0, runs.height, runs.width), np.dtype(np.uint32))
    assert found is not None
    return found[1]


def digest(cells: TissueCells) -> str:
    return sha256(pixels(cells).astype("<u4").tobytes()).hexdigest()[:16]


# --- what is in an image ----------------------------------------------------------------------------------------------

SHAPES = [(512, 512), (300, 1000), (900, 200), (100, 128)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("label", [0, 1])
def test_tables_say_what_the_pixels_show(label: int, shape: tuple[int, int]) -> None:
    cells = shown(label, 1, shape)
    labels = pixels(cells)
    assert labels.shape == shape
    ids = np.unique(labels[labels > 0]).tolist()
    assert ids == list(range(1, cells.drawn["cells"] + 1))  # every cell shows
    assert [objects.kind for objects in cells.objects] == list(KINDS)
    assert np.concatenate([objects.ids for objects in cells.objects]).tolist() == ids
    assert cells.telling is not None
    assert cells.telling.tolist() == cells.objects[0].ids.tolist()
    for objects, count in zip(cells.objects, COUNTS[1:], strict=True):
        assert len(objects.ids) == cells.drawn[count]
        for k, number in enumerate(objects.ids.tolist()):
            rows, columns = np.nonzero(labels == number)
            box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
            assert tuple(objects.boxes[k].tolist()) == box
            assert objects.params["area_px"][k] == len(rows)
            row, column = objects.params["row"][k], objects.params["column"][k]
            assert box[0] <= row <= box[2]
            assert box[1] <= column <= box[3]
            assert abs(rows.mean() + 0.5 - row) < 9
            assert abs(columns.mean() + 0.5 - column) < 9
    assert cells.drawn["cell_area_px"] == np.count_nonzero(labels)
    structure = cells.objects[0].params["structure"]
    assert np.unique(structure).tolist() == list(range(1, cells.drawn["structures"] + 1))
    assert not np.concatenate([objects.params["structure"] for objects in cells.objects[1:]]).any()


@pytest.mark.parametrize("label", [0, 1])
def test_the_table_gives_the_direction_of_a_cell(label: int) -> None:
    """The long axis of the pixels, by their moments."""
    cells = shown(label)
    labels, checked = pixels(cells), 0
    for objects in cells.objects[:2]:
        for number, box, turned, major, minor in zip(
            objects.ids, objects.boxes, objects.params["rotation_deg"], objects.params["major_px"], objects.params["minor_px"],
            strict=True,
        ):  # fmt: skip
            assert 0 <= turned < 180
            if box[0] == 0 or box[1] == 0 or box[2] == 512 or box[3] == 512 or minor / major > 0.7:
                continue
            rows, columns = np.nonzero(labels == number)
            (yy, yx), (_, xx) = np.cov(np.stack([rows, columns]))
            axis = np.degrees(0.5 * np.arctan2(2 * yx, xx - yy)) % 180
            assert abs((axis - turned + 90) % 180 - 90) < 12
            checked += 1
    assert checked > 100


@pytest.mark.parametrize("label", [0, 1])
def test_cells_keep_apart(label: int) -> None:
    """Ids that touch, even at a corner, are rare."""
    labels = pixels(shown(label, 2, (900, 900))).astype(np.int64)
    pairs = [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1]), (labels[1:, 1:], labels[:-1, :-1])]
    touching = sum(int(np.count_nonzero((a != b) & (a > 0) & (b > 0))) for a, b in pairs)
    assert touching < 0.002 * np.count_nonzero(labels)


# --- pairs ------------------------------------------------------------------------------------------------------------


@settings(max_examples=12)
@given(st.integers(0, 2**32), st.tuples(st.integers(64, 600), st.integers(64, 600)))
def test_the_images_of_a_pair_show_the_same_cells(seed: int, shape: tuple[int, int]) -> None:
    one, two = (TISSUE.cells(plan(label, 1, shape, seed)) for label in (0, 1))
    assert [one.drawn[name] for name in COUNTS] == [two.drawn[name] for name in COUNTS]
    per_mpx = one.drawn["cells"] / (shape[0] * shape[1] / 1e6)
    slack = 1 / (shape[0] * shape[1] / 1e6)
    assert TISSUE.cells_per_mpx[0] - slack <= per_mpx <= TISSUE.cells_per_mpx[1] + slack
    for kind, a, b in zip(KINDS, one.objects, two.objects, strict=True):
        assert a.ids.tolist() == b.ids.tolist()
        assert a.params["major_px"].tolist() == b.params["major_px"].tolist()
        assert a.params["minor_px"].tolist() == b.params["minor_px"].tolist()
        area = np.pi / 4 * a.params["major_px"] * a.params["minor_px"]
        low, high = getattr(TISSUE, f"{kind}_area_px")
        assert ((area >= low - 1e-6) & (area <= high + 1e-6)).all()
        least, most = getattr(TISSUE, f"{kind}_eccentricity")
        eccentricity = np.sqrt(1 - (a.params["minor_px"] / a.params["major_px"]) ** 2)
        assert ((eccentricity >= least - 1e-6) & (eccentricity <= most + 1e-6)).all()


def test_whole_cells_have_the_same_area_in_both_images() -> None:
    shape = (800, 800)
    one, two = (shown(label, 1, shape) for label in (0, 1))
    for a, b in zip(one.objects, two.objects, strict=True):
        whole = np.ones(len(a.ids), np.bool_)
        for objects in (a, b):
            boxes = objects.boxes
            whole &= (boxes[:, :2] > 0).all(axis=1) & (boxes[:, 2] < shape[0]) & (boxes[:, 3] < shape[1])
        first, second = a.params["area_px"][whole], b.params["area_px"][whole]
        assert np.abs(first / second - 1).max() < 0.12  # pixels of a turned nucleus
        assert abs(first.sum() / second.sum() - 1) < 0.004


def auroc(first: list[float], second: list[float]) -> float:
    a, b = np.array(first), np.array(second)
    return float(((b > a[:, None]) + 0.5 * (b == a[:, None])).mean())


def test_neither_share_nor_size_in_bytes_tells_the_label() -> None:
    shares: tuple[list[float], list[float]] = ([], [])
    sizes: tuple[list[float], list[float]] = ([], [])
    for pair in range(1, 25):
        for label in (0, 1):
            mask = pixels(TISSUE.cells(plan(label, pair, seed=99))) > 0
            shares[label].append(float(mask.mean()))
            sizes[label].append(float(len(zlib.compress(np.packbits(mask).tobytes(), 6))))
    assert 0.35 < auroc(*shares) < 0.65
    assert 0.35 < auroc(*sizes) < 0.65


# --- arrangement ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", range(1, 7))
def test_no_cell_has_its_centre_in_a_lumen(pair: int) -> None:
    """The lumen of a gland: its outline, shrunk about its centre to ``lumen_share``."""
    for tissue in (TISSUE, Simulated(images=1, lumen_share=0.5, gland_radius_px=(80, 120))):
        where = plan(0, pair)
        outlines = tissue.layout(where).outlines
        nuclei, _, structures = tissue.nuclei(where)
        assert structures == len(outlines)
        for gland in range(structures):
            distance, radius, _ = outlines.seen(np.full(len(nuclei), gland), nuclei.row, nuclei.column)
            assert (distance >= tissue.lumen_share * radius).all()


def coverage(label: int, pair: int) -> float:
    """Return the share of cells in the pixels of the inner halves of structures, but those that the border cuts."""
    outlines = TISSUE.layout(plan(label, pair, (1000, 1000))).outlines
    mask = pixels(shown(label, pair, (1000, 1000))) > 0
    covered = pixels_there = 0
    rows, columns = np.mgrid[:1000, :1000]
    for k in range(len(outlines)):
        reach = outlines.radii[k].max()
        if not (reach < outlines.y[k] < 1000 - reach and reach < outlines.x[k] < 1000 - reach):
            continue
        near = (rows - outlines.y[k]) ** 2 + (columns - outlines.x[k]) ** 2 < (0.5 * reach) ** 2
        y, x = np.nonzero(near)
        distance, radius, _ = outlines.seen(np.full(len(y), k), y + 0.5, x + 0.5)
        inner = distance < 0.5 * radius
        covered += int(np.count_nonzero(mask[y[inner], x[inner]]))
        pixels_there += int(np.count_nonzero(inner))
    assert pixels_there > 10_000
    return covered / pixels_there


def test_glands_are_hollow_and_nests_are_solid() -> None:
    hollow, solid = ([coverage(label, pair) for pair in (1, 2, 3)] for label in (0, 1))
    assert max(hollow) < 0.15
    assert min(solid) > 0.25


@pytest.mark.parametrize("label", [0, 1])
def test_border_cells_stand_across_the_outline_and_spindles_along(label: int) -> None:
    where = plan(label, 1, (1000, 1000))
    outlines = TISSUE.layout(where).outlines
    nuclei, structure, _ = TISSUE.nuclei(where)
    counts = TISSUE.counts(where)
    number, way, turns = outlines.nearest(nuclei.row, nuclei.column, 22.0)
    ny, nx = outlines.normals
    k = np.floor(turns * ny.shape[1]).astype(int) % ny.shape[1]
    cosine = np.abs(nuclei.sin * ny[number, k] + nuclei.cos * nx[number, k])
    border = (structure > 0) & (way > -20.0)
    assert border.sum() > 100
    assert np.median(cosine[border]) > 0.95
    spindles = np.arange(len(nuclei)) // counts[0] == 1
    spindles &= (np.arange(len(nuclei)) < counts[0] + counts[1]) & (way < 22.0)
    assert spindles.sum() > 20
    assert np.median(cosine[spindles]) < 0.4


def test_pearls_are_rings_of_cells_around_nothing() -> None:
    """With a pearl in every nest with room: cells around its centre lie along circles, none in the middle."""
    sides: tuple[list[bool], list[bool]] = ([], [])
    for chance, pair in product((0, 1), (1, 2, 3)):
        tissue = Simulated(images=1, pearl_chance=float(chance), nest_radius_px=(150.0, 200.0))
        where = plan(1, pair, (1200, 1200))
        outlines = tissue.layout(where).outlines
        nuclei, structure, _ = tissue.nuclei(where)
        for k in np.flatnonzero(outlines.radii.min(axis=1) > 95):
            if not (60 < outlines.y[k] < 1140 and 60 < outlines.x[k] < 1140):
                continue
            mine = structure == k + 1
            dy, dx = nuclei.row[mine] - outlines.y[k], nuclei.column[mine] - outlines.x[k]
            distance = np.hypot(dy, dx)
            ring = distance < 58
            along = np.abs(dy * nuclei.sin[mine] + dx * nuclei.cos[mine])[ring] / distance[ring]
            sides[chance].append(bool(distance.min() > 11 and np.median(along) < 0.35 and ring.sum() > 18))
    assert len(sides[1]) >= 2
    assert all(sides[1])
    assert not any(sides[0])


# --- plans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("images", "labels"), [(1, [0]), (2, [0, 1]), (5, [0, 1, 0, 1, 0])])
def test_images_alternate_and_are_pairs(images: int, labels: list[int]) -> None:
    tissue = Simulated(images=images)
    found = list(islice(tissue.variants([Case(0)], ()), tissue.images_in("test")))
    assert [variant.label for variant in found] == labels
    assert [variant.pair for variant in found] == [1 + k // 2 for k in range(images)]


def test_cases_take_turns_by_pair() -> None:
    found = list(islice(TISSUE.variants([Case(0), Case(1), Case(2)], ()), 8))
    assert [variant.case.index for variant in found] == [0, 0, 1, 1, 2, 2, 0, 0]


def test_numbers_by_split() -> None:
    tissue = Simulated.from_spec({"type": "simulated", "images": {"train": 148, "test": 36}})
    assert (tissue.images_in("train"), tissue.images_in("test")) == (148, 36)
    with pytest.raises(RecipeError, match=r"images must have a number for every split, got none for 'val'.*Add val: to images"):
        tissue.images_in("val")


def test_it_is_registered() -> None:
    assert TISSUES.get("simulated") is Simulated
    assert TISSUE.class_names == ("glandular", "nests")
    assert TISSUE.evidence == "arrangement"
    assert TISSUE.shortcuts == ()
    assert Simulated.from_spec(TISSUE.to_spec()) == TISSUE


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ({"tumour_share": (0.5, 0.9), "lymphocyte_share": (0.1, 0.2)}, (512, 512), "must be at most 1 together, got 1.1. Lower"),
        (
            {"cells_per_mpx": (10.0, 20.0)},
            (64, 64),
            "must have a tumour cell, got 10 to 20 cells_per_mpx on 64 x 64 px. Use",
        ),
        ({"tumour_share": (0.0, 0.0)}, (512, 512), "must have a tumour cell"),
        ({"cells_per_mpx": (1000.0, 3000.0)}, (512, 512), "must cover at most 0.4 of the canvas, got up to 0.93. Use fewer"),
    ],
)
def test_numbers_that_cannot_work_are_refused_while_planning(spec: dict[str, Any], shape: tuple[int, int], message: str) -> None:
    TISSUE.check(plan(0, shape=shape))
    with pytest.raises(RecipeError, match=message):
        Simulated(images=2, **spec).check(plan(0, shape=shape))


@pytest.mark.parametrize(
    "spec",
    [
        {"cells_per_mpx": (900.0, 800.0)},
        {"tumour_area_px": (10.0, 300.0)},
        {"spindle_eccentricity": (0.5, 0.995)},
        {"tumour_share": (0.5, 1.2)},
        {"layers": (0, 2)},
        {"layers": (1, 5)},
        {"lumen_share": 0.7},
        {"pearl_chance": 1.5},
        {"gap_px": 0.0},
    ],
)
def test_numbers_out_of_range_are_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=f"{next(iter(spec))}.* must be "):
        Simulated.from_spec({"type": "simulated", "images": 2, **spec})


@pytest.mark.parametrize(
    ("label", "spec"),
    [(0, {"column_px": 60.0}), (1, {"sheet_px": 80.0, "column_px": 60.0}), (1, {"cells_per_mpx": (4500.0, 4500.0)})],
)
def test_too_many_cells_for_the_room_are_refused(label: int, spec: dict[str, Any]) -> None:
    message = r"test/000\d: the canvas must have room for the cells, got \d+ on 150 x 200 px.*Use fewer"
    with pytest.raises(RecipeError, match=message):
        Simulated(images=2, **spec).cells(plan(label, shape=(150, 200)))


# --- parameters and exactness -----------------------------------------------------------------------------------------

CHANGED = {
    "cells_per_mpx": (600.0, 700.0),
    "tumour_share": (0.4, 0.45),
    "lymphocyte_share": (0.2, 0.25),
    "tumour_area_px": (140.0, 180.0),
    "spindle_area_px": (90.0, 100.0),
    "lymphocyte_area_px": (50.0, 60.0),
    "tumour_eccentricity": (0.5, 0.6),
    "spindle_eccentricity": (0.9, 0.95),
    "lymphocyte_eccentricity": (0.6, 0.7),
    "gland_radius_px": (60.0, 90.0),
    "nest_radius_px": (80.0, 120.0),
    "gap_px": 18.0,
    "column_px": 18.0,
    "sheet_px": 24.0,
    "layers": (2, 2),
    "lumen_share": 0.45,
    "pearl_chance": 1.0,
    "pearl_px": 20.0,
    "spread_deg": 25.0,
    "flow_px": 120.0,
    "follow_px": 30.0,
    "cluster_px": 300.0,
}


@pytest.mark.parametrize("name", [name for name in Simulated.model_fields if name != "images"])
def test_every_parameter_is_used(name: str) -> None:
    """On a canvas that has room for a pearl; a parameter of one pattern leaves the other alone."""
    shape = (700, 700)
    spec = {"pearl_chance": 1.0} if name == "pearl_px" else {}
    changed = Simulated(images=2, **{**spec, name: CHANGED[name]})
    before = Simulated(images=2, **spec)
    differs = [
        any(
            digest(changed.cells(plan(label, pair, shape))) != digest(before.cells(plan(label, pair, shape)))
            for pair in (1, 2, 3)
        )
        for label in (0, 1)
    ]
    ones_own = {"gland_radius_px": 0, "layers": 0, "lumen_share": 0, "nest_radius_px": 1, "pearl_chance": 1, "pearl_px": 1}
    assert differs[ones_own.get(name, 1)]
    if name in ones_own:
        assert not differs[1 - ones_own[name]]


def test_the_same_plan_makes_the_same_cells_whatever_was_made_before() -> None:
    orders = [[(0, 1), (1, 1), (0, 2)], [(0, 2), (1, 1), (0, 1)]]
    found = [{key: digest(TISSUE.cells(plan(*key, (256, 300)))) for key in order} for order in orders]
    assert found[0] == found[1]
    assert len(set(found[0].values())) == 3


def test_another_process_makes_the_same_cells() -> None:
    code = "from test_scene_simulated import *; print(digest(TISSUE.cells(plan(1, 2, (256, 300)))))"
    run = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == digest(TISSUE.cells(plan(1, 2, (256, 300))))


def test_golden(golden: Callable[[str, dict[str, Any]], None]) -> None:
    shapes = [(512, 512), (200, 700), (1024, 1024)]
    golden(
        "tissue",
        {
            f"simulated {height}x{width} {PATTERNS[label]}": digest(shown(label, 1, (height, width)))
            for height, width in shapes
            for label in (0, 1)
        },
    )
