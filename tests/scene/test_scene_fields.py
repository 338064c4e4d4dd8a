"""Cell fields: the rules, the truth, and what must not tell the label, written down again from the table of the cells."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import pairwise, product
from typing import Any

import literal
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from miso_gen.errors import RecipeError
from miso_gen.geometry import Box
from miso_gen.recipe import SCENARIOS, ImagePlan, Recipe, load_recipe, plan_images
from miso_gen.render import Rendered, render_box
from miso_gen.scene import Scene, make_scene
from miso_gen.scene.crowd import Crowd, PlacedCell

SIDE, REACH, AREAS = 512, 40, (400, 900)
TYPES = ("cell", "cell-bar", "cell-plus", "rect-red", "rect-green", "rect-blue", "tail-1", "tail-3", "tail-8")
BACKGROUNDS = ("black", "color-field", "rings")

#: names of the parts that tell a type
TELLING = {name: {"rim"} for name in TYPES} | {
    "cell-bar": {"bar"},
    "cell-plus": {"bar", "pole"},
    "tail-1": {"tail"},
    "tail-3": {"tail"},
    "tail-8": {"tail"},
}

RULES: dict[str, dict[str, Any]] = {
    "one": {"type": "present", "cells": ["tail-3"], "most": 5},
    "several": {"type": "present", "cells": ["cell-plus", "rect-red"], "most": 3},
    "count": {"type": "count", "cell": "tail-8", "at_least": 4, "spread": 3},
    "majority": {"type": "majority", "margin": 2},
}
LABELS = {"one": 2, "several": 4, "count": 2, "majority": 9}
IMAGES = {"one": 200, "several": 200, "count": 200, "majority": 225}


# --- images, and the rules again --------------------------------------------------------------------------------------


def entry(rule: Any, images: int = 6, **fields: Any) -> dict[str, Any]:
    """Return a scenario with some ten small cells on a canvas of 512 pixels."""
    numbers = {"reach_px": REACH, "area_px": list(AREAS), "points": {"type": "matern", "candidates_per_mpx": 300}}
    return {"type": "cell-field", "images": images, "rule": rule, **numbers, **fields}


def plans_of(rule: Any, images: int = 6, *, side: int = SIDE, channels: int = 3, **fields: Any) -> list[ImagePlan]:
    return list(literal.plans_of(entry(rule, images, **fields), (side, side), channels=channels).values())


@cache
def planned(name: str) -> list[tuple[ImagePlan, Scene]]:
    """Return all images of a rule, without pixels."""
    return [(plan, make_scene(plan)) for plan in plans_of(RULES[name], IMAGES[name])]


@cache
def rendered(name: str) -> list[tuple[ImagePlan, Scene, Rendered]]:
    """Return the images of the first groups of a rule; at least eight."""
    count = max(8, LABELS[name])
    return [(plan, scene, render_box(scene, scene.box)) for plan, scene in planned(name)[:count]]


def table(scene: Scene) -> dict[int, dict[str, Any]]:
    """Return what the objects of a scene say, by id."""
    out = {}
    for group in scene.objects:
        for place, number in enumerate(group.ids.tolist()):
            params = {key: values[place].item() for key, values in group.params.items()}
            out[number] = {"kind": group.kind, "box": Box(*group.boxes[place].tolist()), **params}
    assert sorted(out) == list(range(1, len(out) + 1))
    return out


def kinds(scene: Scene) -> list[str]:
    """Return the type of every cell, in order of their ids."""
    rows = table(scene)
    return [rows[number]["kind"] for number in sorted(rows)]


def labelled(rule: dict[str, Any], found: list[str]) -> int:
    """Return the label that a rule gives cells of these types."""
    if rule["type"] == "present":
        return sum(2**bit for bit, name in enumerate(rule["cells"]) if name in found)
    if rule["type"] == "count":
        return int(found.count(rule["cell"]) >= rule["at_least"])
    (winner, most), (_, second) = Counter(dict.fromkeys(TYPES, 0) | Counter(found)).most_common(2)
    assert most - second >= rule["margin"]
    return TYPES.index(winner)


def telling(rule: dict[str, Any], label: int) -> set[str]:
    """Return the types whose parts make a label true."""
    if rule["type"] == "present":
        return {name for bit, name in enumerate(rule["cells"]) if label & 2**bit}
    if rule["type"] == "count":
        return {rule["cell"]} if label else set()
    return {TYPES[label]}


def cells_of(scene: Scene) -> tuple[PlacedCell, ...]:
    (crowd,) = scene.layers
    assert isinstance(crowd, Crowd)
    return crowd.cells


def alone(cell: PlacedCell, scene: Scene) -> tuple[np.ndarray, list[str]]:
    """Return one cell on the canvas, (H, W) numbers of its parts from 1, and the names of its parts."""
    out = np.zeros((scene.height, scene.width), np.uint8)
    box = cell.bounds
    assert box.intersection(scene.box) == box
    out[box.slices] = cell.figure.stamp(box, cell.pose, "hard").codes
    return out, [part.name for part in cell.figure.parts]


def groups(images: list[Any]) -> list[list[Any]]:
    """Return images by their group; the plan comes first."""
    out: dict[str | None, list[Any]] = {}
    for one in images:
        out.setdefault(one[0].pair, []).append(one)
    assert None not in out
    return list(out.values())


def auroc(values: list[float], positive: list[bool]) -> tuple[float, float]:
    """Return the chance that a positive has the larger value, ties half, and its standard error where values say nothing."""
    numbers, ones = np.array(values), np.array(positive)
    above = numbers[ones][:, None] - numbers[~ones][None, :]
    n1, n0 = above.shape
    return float(np.mean((above > 0) + 0.5 * (above == 0))), float(np.sqrt((n0 + n1 + 1) / (12 * n0 * n1)))


def predicts(values: list[float], labels: list[int]) -> list[str]:
    """Return the classes that values tell from the others, beyond three standard errors."""
    out = []
    for label in sorted(set(labels)):
        found, error = auroc(values, [one == label for one in labels])
        if abs(found - 0.5) > 3 * error:
            out.append(f"label {label}: {found:.3f} +- {error:.3f}")
    return out


# --- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_label_is_the_rule_on_the_table(name: str) -> None:
    for plan, scene in planned(name):
        assert labelled(RULES[name], kinds(scene)) == plan.label
        assert scene.label in (None, plan.label)


@pytest.mark.parametrize("name", RULES)
def test_labels_and_backgrounds_take_turns(name: str) -> None:
    """A group has one image of each label, and the next background."""
    for number, (plan, scene) in enumerate(planned(name)):
        group, label = divmod(number, LABELS[name])
        assert (plan.label, plan.pair) == (label, f"cell-field/test/p{group + 1:04d}")
        assert scene.drawn["background_type"] == BACKGROUNDS[group % 3]


def test_class_names_and_multi_hot_labels() -> None:
    found = {name: [plan.class_name for plan, _ in planned(name)[: LABELS[name]]] for name in RULES}
    assert found == {
        "one": ["no-tail-3", "tail-3"],
        "several": ["none", "cell-plus", "rect-red", "cell-plus-and-rect-red"],
        "count": ["few-tail-8", "many-tail-8"],
        "majority": list(TYPES),
    }
    assert [scene.drawn["multi_hot"] for _, scene in planned("several")[:4]] == ["[0, 0]", "[1, 0]", "[0, 1]", "[1, 1]"]
    assert not any("multi_hot" in scene.drawn for name in ("one", "count", "majority") for _, scene in planned(name)[:9])


def test_numbers_of_cells_reach_their_ends_and_not_beyond() -> None:
    found = {name: Counter((plan.label, kinds(scene).count(of)) for plan, scene in planned(name)) for name, of in (
        ("one", "tail-3"), ("several", "rect-red"), ("count", "tail-8"),
    )}  # fmt: skip
    assert found["one"].keys() == {(0, 0), *((1, some) for some in range(1, 6))}
    assert found["several"].keys() == {(0, 0), (1, 0), *product((2, 3), (1, 2, 3))}
    assert found["count"].keys() == {*((0, some) for some in (1, 2, 3)), *((1, some) for some in (4, 5, 6))}
    leads = Counter(np.subtract(*sorted(Counter(kinds(scene)).values())[:-3:-1]) for _, scene in planned("majority"))
    assert min(leads) == 2


def test_every_type_is_among_the_others() -> None:
    """Whatever the label says nothing about is of any type, in images of any label."""
    for name, rule in RULES.items():
        for label in range(LABELS[name]):
            found = Counter(kind for plan, scene in planned(name) if plan.label == label for kind in kinds(scene))
            assert set(TYPES) - set(found) == (set(rule.get("cells", ())) - telling(rule, label))


# --- truth ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_truth_2_is_the_telling_parts_of_the_telling_types(name: str) -> None:
    """Cell by cell, each drawn alone: 2 on those parts, 1 on all else of a cell, 0 elsewhere."""
    rule = RULES[name]
    for plan, scene, pixels in rendered(name):
        truth, instances = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint16)
        shown = set()
        for number, (cell, kind) in enumerate(zip(cells_of(scene), kinds(scene), strict=True), 1):
            codes, parts = alone(cell, scene)
            counts = kind in telling(rule, plan.label)
            for code, part in enumerate(parts, 1):
                tells = counts and part in TELLING[kind]
                truth[codes == code] = 2 if tells else 1
                shown |= {kind} if tells and (codes == code).any() else set()
            instances[codes > 0] = number
        assert shown == telling(rule, plan.label)  # each of them shows it
        assert pixels.instances is not None
        assert np.array_equal(pixels.truth, truth)
        assert np.array_equal(pixels.instances, instances)
        assert np.array_equal(pixels.truth > 0, pixels.instances > 0)
        assert pixels.image.shape == (3, SIDE, SIDE)


def test_blank_labels_are_those_without_truth_2() -> None:
    for name, wanted in {"one": {0}, "several": {0}, "count": {0}, "majority": set()}.items():
        scenario = SCENARIOS.get("cell-field").from_spec(planned(name)[0][0].spec)
        assert scenario.blank_labels == wanted
        for plan, _, pixels in rendered(name):
            assert (pixels.truth == 2).any() == (plan.label not in wanted)


def test_edges_change_pixels_and_no_truth() -> None:
    soft, hard = (plans_of(RULES["one"], 2, edges=edges)[1] for edges in ("soft", "hard"))
    one, other = literal.whole(soft), literal.whole(hard)
    assert np.array_equal(one.truth, other.truth)
    assert np.array_equal(one.instances, other.instances)
    assert not np.array_equal(one.image, other.image)
    colours = {tuple(other.image[:, row, column]) for row, column in zip(*np.nonzero(other.truth), strict=True)}
    assert len(colours) <= 4 * len(cells_of(make_scene(hard)))  # a colour for each part, nothing between


# --- places -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_cells_do_not_touch(name: str) -> None:
    """Each drawn alone: no pixel of two cells, none far from its centre, none at the border; centres keep their distance."""
    for _, scene, _ in rendered(name):
        owners, rows = np.zeros((SIDE, SIDE), int), table(scene)
        centres = np.array([(row["row"], row["column"]) for row in rows.values()])
        for number, cell in enumerate(cells_of(scene), 1):
            codes, _ = alone(cell, scene)
            owners += codes > 0
            y, x = np.nonzero(codes)
            assert len(y) > 0
            assert (cell.pose.row, cell.pose.column) == (rows[number]["row"], rows[number]["column"])
            away = (y + 0.5 - rows[number]["row"]) ** 2 + (x + 0.5 - rows[number]["column"]) ** 2
            assert away.max() <= REACH**2
            assert min(y.min(), x.min()) > 0
            assert max(y.max(), x.max()) < SIDE - 1
            box = rows[number]["box"]
            assert box.top <= y.min() < y.max() < box.bottom
            assert box.left <= x.min() < x.max() < box.right
        assert owners.max() == 1
        assert centres.min() >= REACH
        assert centres.max() <= SIDE - REACH
        apart = np.hypot(*(centres[:, None] - centres[None, :]).transpose(2, 0, 1))
        assert apart[~np.eye(len(centres), dtype=bool)].min() >= 2 * REACH


@pytest.mark.parametrize("name", RULES)
def test_centres_keep_their_distance(name: str) -> None:
    """From each other and from the border, in every image; and the circles about cells that they stay in."""
    low, high = SIDE, 0
    for _, scene in planned(name):
        centres = np.array([(cell.pose.row, cell.pose.column) for cell in cells_of(scene)])
        reach = np.array([cell.figure.reach * cell.pose.scale for cell in cells_of(scene)])
        assert reach.max() < REACH
        apart = np.hypot(*(centres[:, None] - centres[None, :]).transpose(2, 0, 1))
        assert apart[~np.eye(len(centres), dtype=bool)].min() >= 2 * REACH
        low, high = min(low, centres.min()), max(high, centres.max())
    assert REACH <= low < REACH + 5
    assert SIDE - REACH - 5 < high <= SIDE - REACH


@pytest.mark.parametrize("name", RULES)
def test_cells_have_their_areas(name: str) -> None:
    """Within 5 % each; the mean of a type is nearer, or the pixels that it covers would tell it."""
    shares: dict[str, list[float]] = {kind: [] for kind in TYPES}
    for plan, scene, pixels in rendered(name):
        covered, rows = np.bincount(pixels.instances.ravel()), table(scene)
        for number, row in rows.items():
            assert AREAS[0] <= row["area_px"] <= AREAS[1]
            assert covered[number] == pytest.approx(row["area_px"], rel=0.05), (plan.id, number, row["kind"])
            shares[row["kind"]].append(covered[number] / row["area_px"])
        assert scene.drawn["cells"] == len(rows)
        assert scene.drawn["cell_area_px"] == sum(row["area_px"] for row in rows.values())
    for kind, found in shares.items():
        if len(found) >= 5:
            assert np.mean(found) == pytest.approx(1.0, abs=0.02), kind


@pytest.mark.parametrize("name", RULES)
def test_areas_and_counts_vary(name: str) -> None:
    firsts = [one[0] for one in groups(planned(name))]
    areas = np.array([row["area_px"] for _, scene in firsts for row in table(scene).values()])
    assert areas.min() < AREAS[0] + 30
    assert areas.max() > AREAS[1] - 30
    assert areas.mean() == pytest.approx(np.mean(AREAS), abs=4 * (AREAS[1] - AREAS[0]) / np.sqrt(12 * len(areas)))
    assert len({len(kinds(scene)) for _, scene in firsts}) >= 5


# --- what must not tell the label -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_neither_number_nor_area_of_cells_tells_the_label(name: str) -> None:
    """Mann-Whitney's statistic, each label against the others, by what is stored: objects, areas, covered pixels."""
    labels, counts, areas, covered = [], [], [], []
    for plan, scene in planned(name):
        rows = table(scene)
        labels.append(plan.label)
        counts.append(float(len(rows)))
        areas.append(sum(row["area_px"] for row in rows.values()))
        covered.append(float(np.count_nonzero(render_box(scene, scene.box).truth)))
    assert len(labels) >= 200
    assert Counter(labels).keys() == set(range(LABELS[name]))
    assert len(set(counts)) >= 5
    assert predicts(counts, labels) == []
    assert predicts(areas, labels) == []
    assert predicts(covered, labels) == []


def test_auroc_sees_what_tells() -> None:
    """The statistic of the test above, on numbers that tell: a cell more in one class is found."""
    labels = [plan.label for plan, _ in planned("one")]
    counts = [float(len(kinds(scene))) for _, scene in planned("one")]
    assert predicts([count + 2 * label for count, label in zip(counts, labels, strict=True)], labels) != []
    assert auroc([1, 2, 3, 4], [False, False, True, True])[0] == 1.0
    assert auroc([1, 1, 1], [False, True, True])[0] == 0.5
    assert auroc([3, 1, 2], [False, True, True])[0] == 0.0


# --- groups -----------------------------------------------------------------------------------------------------------


def changed(one: Scene, other: Scene) -> set[int]:
    """Return the ids of the cells whose type differs; all else of the others, and place and area of all, must not differ."""
    mine, theirs = table(one), table(other)
    assert mine.keys() == theirs.keys()
    for number, row in mine.items():
        for key in ("row", "column", "area_px"):
            assert row[key] == theirs[number][key]
        if row["kind"] == theirs[number]["kind"]:
            assert row == theirs[number]
    return {number for number, row in mine.items() if row["kind"] != theirs[number]["kind"]}


@pytest.mark.parametrize("name", ["one", "several", "count"])
def test_images_of_a_group_differ_in_the_cells_of_the_rule_only(name: str) -> None:
    """Those of a type that is there in one of them only; of the lower count they are among those of the higher one."""
    named = set(RULES[name].get("cells", [RULES[name].get("cell")]))
    for group in groups(planned(name)):
        for (_, one), (_, other) in product(group, group):
            ours, theirs = kinds(one), kinds(other)
            wanted = set()
            for kind in named:
                cells, others = ({i for i, k in enumerate(every, 1) if k == kind} for every in (ours, theirs))
                assert cells <= others or others <= cells
                wanted |= cells ^ others
            assert changed(one, other) == wanted
            if name != "count":  # there, or not at all
                assert all((kind in ours) == (kind in theirs) or ours.count(kind) * theirs.count(kind) == 0 for kind in named)


def test_images_of_a_majority_differ_in_names_only() -> None:
    """The same cells win in all images of a group; two types at most change names from one draw, three between two images."""
    for group in groups(planned("majority")):
        winners = {frozenset(i for i, kind in enumerate(kinds(scene)) if kind == TYPES[plan.label]) for plan, scene in group}
        assert len(winners) == 1
        for (_, one), (_, other) in pairwise(group):
            renamed = set(zip(kinds(one), kinds(other), strict=True))
            assert len({a for a, _ in renamed}) == len({b for _, b in renamed}) == len(renamed)
            assert sum(a != b for a, b in renamed) <= 3
            changed(one, other)


@pytest.mark.parametrize("name", RULES)
def test_pixels_of_a_group_with_shared_noise_differ_in_changed_cells_only(name: str) -> None:
    for background in BACKGROUNDS:
        plans = plans_of(RULES[name], LABELS[name], pair_noise="shared", backgrounds=[background])
        scenes = [make_scene(plan) for plan in plans]
        images = [render_box(scene, scene.box).image for scene in scenes]
        for one, other in ((0, 1), (0, -1)):
            moved, rows = changed(scenes[one], scenes[other]), (table(scenes[one]), table(scenes[other]))
            assert moved
            differs = (images[one] != images[other]).any(axis=0)
            for number in moved:
                boxes = [row[number]["box"] for row in rows]
                assert any(differs[box.slices].any() for box in boxes)
                for box in boxes:
                    differs[box.slices] = False
            assert not differs.any()


def test_pixels_of_a_group_with_its_own_noise() -> None:
    """Backgrounds differ, but for black; the cells that stay are the same inside."""
    for background in BACKGROUNDS:
        first, second = (make_scene(plan) for plan in plans_of(RULES["one"], 2, backgrounds=[background], edges="hard"))
        one, other = (render_box(scene, scene.box) for scene in (first, second))
        around = (one.truth == 0) & (other.truth == 0)
        assert np.array_equal(one.image[:, around], other.image[:, around]) == (background == "black")
        for number in set(table(first)) - changed(first, second):
            mask = one.instances == number
            assert np.array_equal(mask, other.instances == number)
            assert np.array_equal(one.image[:, mask], other.image[:, mask])


def test_groups_differ() -> None:
    first, second = (group[0][1] for group in groups(planned("one"))[:2])
    assert [row["row"] for row in table(first).values()] != [row["row"] for row in table(second).values()]


# --- what a recipe may say --------------------------------------------------------------------------------------------


def recipe(rule: Any, **fields: Any) -> Recipe:
    canvas = {"shape": [SIDE, SIDE], "channels": 3}
    scenarios = [entry(rule, **fields)]
    return load_recipe({"schema": 1, "name": "t", "seed": 1, "splits": ["test"], "canvas": canvas, "scenarios": scenarios})


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({"type": "present", "cells": ["rect-red"]}, "object"),  # no other type has a red border
        ({"type": "present", "cells": ["cell-plus"]}, "arrangement"),  # cell-bar has a bar
        ({"type": "present", "cells": ["tail-3"]}, "arrangement"),  # tail-1 and tail-8 have tails
        ({"type": "present", "cells": ["tail-3", "rect-red"]}, "arrangement"),
        ({"type": "count", "cell": "rect-red"}, "arrangement"),
        ("majority", "arrangement"),
    ],
)
def test_what_makes_the_label_true(rule: Any, wanted: str) -> None:
    """An object where no other type has the part; otherwise where parts lie on a cell, or how many there are."""
    spec = plan_images(recipe(rule))[0].spec
    assert SCENARIOS.get("cell-field").from_spec(spec).reason == wanted


def test_tails_are_evidence_where_no_other_cell_has_them() -> None:
    spec = plan_images(recipe(RULES["one"], cells=["cell", "rect-red", "tail-3"]))[0].spec
    assert SCENARIOS.get("cell-field").from_spec(spec).reason == "object"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"type": "present", "cells": [7, 3]}, {"type": "present", "cells": ["tail-3", "rect-red"]}),
        ({"type": "present", "cells": ["7"]}, {"type": "present", "cells": ["tail-3"]}),
        ({"type": "count", "cell": 8}, {"type": "count", "cell": "tail-8"}),
    ],
)
def test_types_by_their_numbers(one: Any, other: Any) -> None:
    assert recipe(one).digest == recipe(other).digest
    numbered = recipe(one, cells=list(range(9)), backgrounds=[0, 1, 2])
    assert numbered.digest == recipe(other).digest
    assert [plan.class_name for plan in plan_images(recipe(one))] == [plan.class_name for plan in plan_images(recipe(other))]


PLACE = r"^cell-field(/test/\d{4})?: "
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "no cell": (
        {"points": {"type": "matern", "candidates_per_mpx": 1e-6}},
        PLACE + r"points must leave 1 cells at least, one for each type of the rule, got 0\. "
        r"Ask for more candidates_per_mpx, a smaller reach_px or a larger canvas\.$",
    ),
    "fewer cells than types": (
        {"rule": {"type": "present", "cells": ["tail-1", "tail-3", "tail-8"]}, "reach_px": 120},
        PLACE + r"points must leave 3 cells at least, one for each type of the rule, got [12]\. "
        r"Ask for more candidates_per_mpx, a smaller reach_px",
    ),
    "fewer cells than a count": (
        {"rule": {"type": "count", "cell": "rect-red", "at_least": 60}},
        PLACE + r"points must leave at_least \(60\) cells, got \d+\. Ask for more candidates_per_mpx, a smaller reach_px",
    ),
    "a type that the field lacks": (
        {"rule": RULES["one"], "cells": ["cell", "tail-1"]},
        PLACE + r"rule present: cells of the field must hold its types, 'tail-3' is not in cell, tail-1\.$",
    ),
    "a type to count that the field lacks": (
        {"rule": RULES["count"], "cells": ["cell", "tail-1"]},
        PLACE + r"rule count: cells of the field must hold its types, 'tail-8' is not in cell, tail-1\.$",
    ),
    "no type besides": (
        {"rule": {"type": "present", "cells": ["tail-3", "cell"]}, "cells": ["cell", "tail-3"]},
        PLACE + r"rule present: cells of the field must hold a type besides its own, got cell, tail-3 only\.$",
    ),
    "none": ({"cells": ["cell", "tail-3", "none"]}, PLACE + r"cells must be of types that show something, got 'none'\.$"),
    "a type twice": ({"cells": ["cell", "tail-3", 0]}, PLACE + r"cells must be of different types, got cell, tail-3, cell\.$"),
    "reach": (
        {"reach_px": 256},
        PLACE + r"reach_px must be less than half of the canvas's shorter side \(256\), got 256\. Use smaller cells or a larger",
    ),
    "area": (
        {"area_px": [400, 1601]},
        PLACE + r"area_px must be at most reach_px squared \(1600\), got 1601\. Use a larger reach_px or smaller areas\.$",
    ),
    "a type too long for its area": (
        {"cells": ["cell", {"type": "tail-3", "tail_ratio": 9.0, "radius_px": 30.0, "stretch": 1.5, "tail_px": 10.0}]},
        r"reach_px must leave room for 'tail-3' at an area of \d+ px, got 40, beyond which it reached in 1,?000 tries\. Use a",
    ),
    "margin": (
        {"rule": {"type": "majority", "margin": 90}},
        PLACE + r"margin must be one that \d+ cells of 9 types often reach, got 90, .* Use a smaller margin, or more cells\.$",
    ),
    "unknown type": (
        {"rule": {"type": "present", "cells": ["tail-4"]}},
        r"scenarios\[0\]\.rule\.cells\[0\] must be a cell, one of cell, cell-bar, .*, tail-8, got 'tail-4'\.",
    ),
    "unknown type to count": (
        {"rule": {"type": "count", "cell": 10}},
        r"scenarios\[0\]\.rule\.cell must be a cell, one of cell, cell-bar, .*, tail-8, got 10\.",
    ),
    "a type of the rule twice": (
        {"rule": {"type": "present", "cells": ["tail-3", 7]}},
        r"scenarios\[0\]\.rule\.cells must be a list of different values",
    ),
    "areas": ({"area_px": [900, 400]}, r"scenarios\[0\]\.area_px must be two whole numbers from 50 on, the lower first, got"),
    "unknown rule": ({"rule": "most"}, r"scenarios\[0\]\.rule\.type must be a rule, one of count, majority, present, got 'most'"),
    "a count of one": (
        {"rule": {"type": "count", "cell": "rect-red", "at_least": 1}},
        r"scenarios\[0\]\.rule\.at_least must be at least 2, got 1",
    ),
}


def made(fields: dict[str, Any]) -> None:
    """Plan, and make every scene."""
    for plan in plans_of(**fields):
        make_scene(plan)


@pytest.mark.parametrize("case", CASES)
def test_messages(case: str) -> None:
    fields, pattern = CASES[case]
    with pytest.raises(RecipeError) as caught:
        made({"rule": RULES["one"], "images": 4, **fields})
    assert re.search(pattern, str(caught.value)), str(caught.value)


def test_grey_canvases_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"cell-field: canvas\.channels must be 3, as types differ in colour, got 1\."):
        plans_of(RULES["one"], channels=1)


@pytest.mark.parametrize("case", ["a type that the field lacks", "no type besides", "none", "a type twice", "reach", "area"])
def test_what_numbers_decide_is_found_while_planning(case: str) -> None:
    with pytest.raises(RecipeError):
        plans_of(**{"rule": RULES["one"], **CASES[case][0]})


# --- boxes ------------------------------------------------------------------------------------------------------------


@cache
def whole(number: int) -> tuple[Scene, Rendered]:
    """Return an image on black, coloured and ringed ground, not square, over the borders of the noise blocks at 512."""
    plan = list(literal.plans_of(entry(RULES["count"], 6), (530, 610)).values())[number]
    scene = make_scene(plan)
    return scene, render_box(scene, scene.box)


def same(crop: Rendered, full: Rendered, box: Box) -> None:
    for got, wanted in ((crop.image, full.image), (crop.truth, full.truth), (crop.instances, full.instances)):
        assert got is not None
        assert wanted is not None
        assert got.dtype == wanted.dtype
        assert np.array_equal(got, wanted[..., box.top : box.bottom, box.left : box.right])


@st.composite
def boxes(draw: Any) -> Box:
    """Boxes of any size, many small or one pixel wide, many at the edge of the image."""
    sides = []
    for size in (530, 610):
        low = draw(st.integers(0, size - 1) | st.just(0))
        sides.append((low, draw(st.integers(low + 1, size) | st.integers(low + 1, min(low + 20, size)) | st.just(size))))
    (top, bottom), (left, right) = sides
    return Box(top, left, bottom, right)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_any_box_is_the_crop(number: int) -> None:
    """Of the scene that drew the whole, and of a fresh one, which has kept no cell."""
    scene, full = whole(number)
    assert (full.truth == 2).any()
    plan = list(literal.plans_of(entry(RULES["count"], 6), (530, 610)).values())[number]

    @settings(max_examples=25, deadline=None)
    @given(boxes(), st.booleans())
    @example(Box(0, 0, 1, 1), True)
    @example(Box(511, 511, 513, 513), True)
    def check(box: Box, fresh: bool) -> None:
        same(render_box(make_scene(plan) if fresh else scene, box), full, box)

    check()


@pytest.mark.parametrize("side", [37, 64, 250])
def test_tiles_of_any_size_make_the_whole(side: int) -> None:
    for number in (1, 5):
        scene, full = whole(number)
        for tile in [*scene.box.tiles(side, side), *reversed(list(scene.box.tiles(side, side)))]:
            same(render_box(scene, tile), full, tile)


def test_scenes_are_made_alike_again() -> None:
    """In any order, so that what is kept between the images of a group decides nothing."""
    plans = plans_of(RULES["several"], 4)
    first = [literal.whole(plan) for plan in plans]
    for plan, before in list(zip(plans, first, strict=True))[::-1]:
        same(literal.whole(plan), before, Box(0, 0, SIDE, SIDE))


# --- full size --------------------------------------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.parametrize(
    "rule",
    [{"type": "present", "cells": ["tail-3"]}, {"type": "count", "cell": "rect-red"}, {"type": "majority"}],
    ids=lambda rule: rule["type"],
)
def test_full_size(rule: dict[str, Any]) -> None:
    """Sixty scenes of 3072 px with the default numbers: labels, circles about cells that do not meet, and counts."""
    canvas = {"channels": 3}
    plans = literal.plans_of({"type": "cell-field", "images": 60, "rule": rule}, (3072, 3072), **canvas)
    numbers = {"at_least": 6, "margin": 2, **rule}
    labels, counts, areas = [], [], []
    for plan in plans.values():
        scene = make_scene(plan)
        rows = table(scene)
        assert labelled(numbers, kinds(scene)) == plan.label
        centres = np.array([(row["row"], row["column"]) for row in rows.values()])
        reach = np.array([cell.figure.reach * cell.pose.scale for cell in cells_of(scene)])
        apart = np.hypot(*(centres[:, None] - centres[None, :]).transpose(2, 0, 1))
        np.fill_diagonal(apart, np.inf)
        assert (apart > reach[:, None] + reach[None, :]).all()
        assert reach.max() <= 72
        assert (centres - reach[:, None] >= 0).all()
        assert (centres + reach[:, None] <= 3072).all()
        labels.append(plan.label)
        counts.append(float(len(rows)))
        areas.append(sum(row["area_px"] for row in rows.values()))
    assert min(counts) > 50
    assert len(set(counts)) >= 5
    assert predicts(counts, labels) == []
    assert predicts(areas, labels) == []
