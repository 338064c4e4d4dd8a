"""FACTS A4: which images each scenario makes, in which order, against the published loops written down literally."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import literal
import pytest

from miso_gen.recipe import ImagePlan
from miso_gen.scene import make_scene
from miso_gen.scene.morphologies.builtin import Builtin

NAMES = Builtin().names()
OTHERS = [name for name in NAMES if name != "canary"]
Row = tuple[int, int, str, float]  # index from 1, label, silhouette, fuzz

#: all 24 silhouettes have room for these at 256 px
NUMBERS: dict[str, dict[str, Any]] = {
    **literal.SMALL,
    "md": {"deformations": literal.deformations(256, 256)},
    "gsp": {"radius_px": {"uniform": [8, 25]}, "window_px": 2},
    "fm": {"line_px": 17, "pad_px": 4, "corner_px": 4},
}


@cache
def planned(name: str) -> list[ImagePlan]:
    entry = {"type": name, "fuzz": literal.TWO, **NUMBERS.get(name, {})}
    return list(literal.plans_of(entry, (256, 256), splits=["train", "test"]).values())


def rows(name: str, split: str) -> list[Row]:
    mine = [plan for plan in planned(name) if plan.split == split]
    assert [plan.id for plan in mine] == [f"{name}/{split}/{index:04d}" for index in range(1, len(mine) + 1)]
    assert all(plan.params["fuzz"] == plan.spec["fuzz"] for plan in mine)
    return [(int(plan.number), plan.label, str(plan.morphology), plan.spec["fuzz"]) for plan in mine]


def first_hot_then_cold() -> list[Row]:
    """EVP, DSP: 2k+1 hot simple, 2k+2 cold simple; then 48+2k+1 hot fuzzy, 48+2k+2 cold fuzzy."""
    out = {}
    for k, name in enumerate(NAMES):
        out[2 * k + 1] = (1, name, 0.0)
        out[2 * k + 2] = (0, name, 0.0)
        out[48 + 2 * k + 1] = (1, name, 0.1)
        out[48 + 2 * k + 2] = (0, name, 0.1)
    return [(index, *out[index]) for index in sorted(out)]


def by_shape(first: int) -> list[Row]:
    """EVSP (first = 1), GSP, FM (first = 0): 4k+1, 4k+2 simple, 4k+3, 4k+4 fuzzy; labels in turn."""
    out = []
    for k, name in enumerate(NAMES):
        out += [(4 * k + 1, first, name, 0.0), (4 * k + 2, 1 - first, name, 0.0)]
        out += [(4 * k + 3, first, name, 0.1), (4 * k + 4, 1 - first, name, 0.1)]
    return out


def reference_then_guilty() -> list[Row]:
    """MD: 1..56 reference, odd simple, even fuzzy; 57..66 deformations, fuzzy; 67..112 the others, simple then fuzzy."""
    out = [(index, 0, "canary", 0.0 if index % 2 else 0.1) for index in range(1, 57)]
    out += [(index, 1, "canary", 0.1) for index in range(57, 67)]
    for k, name in enumerate(OTHERS):
        out += [(67 + 2 * k, 1, name, 0.0), (68 + 2 * k, 1, name, 0.1)]
    return out


ORDERS = {
    "evp": first_hot_then_cold(),
    "dsp": first_hot_then_cold(),
    "md": reference_then_guilty(),
    "evsp": by_shape(1),
    "gsp": by_shape(0),
    "fm": by_shape(0),
}


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", sorted(ORDERS))
def test_index_order(name: str, split: str) -> None:
    assert rows(name, split) == ORDERS[name]


@pytest.mark.parametrize("name", sorted(ORDERS))
def test_counts(name: str) -> None:
    total, each = (112, 56) if name == "md" else (96, 48)
    assert Counter(plan.split for plan in planned(name)) == {"train": total, "test": total}
    assert Counter((plan.split, plan.label) for plan in planned(name)) == {
        (split, label): each for split in ("train", "test") for label in (0, 1)
    }


@pytest.mark.parametrize("name", sorted(ORDERS))
def test_pairs_are_neighbours_that_differ_in_the_label_only(name: str) -> None:
    plans = planned(name)
    if name == "md":
        assert all(plan.pair is None for plan in plans)
        return
    for first, second in zip(plans[::2], plans[1::2], strict=True):
        assert first.pair == second.pair is not None
        assert {first.label, second.label} == {0, 1}
        assert (first.split, first.morphology, first.spec) == (second.split, second.morphology, second.spec)
    assert len({plan.pair for plan in plans}) == len(plans) // 2


def test_class_names() -> None:
    found = {name: {plan.label: plan.class_name for plan in planned(name)} for name in ORDERS}
    assert found == {
        "evp": {0: "cold", 1: "hot"},
        "dsp": {0: "cold", 1: "hot"},
        "md": {0: "reference", 1: "other"},
        "evsp": {0: "cold", 1: "hot"},
        "gsp": {0: "intact", 1: "guilty"},
        "fm": {0: "whole", 1: "fractal"},
    }


def test_md_has_the_published_deformations_in_order() -> None:
    """(1,x,cos) (3,x,cos) (1,x,sin) (3,x,sin) (1,y,cos) (3,y,cos) (1,y,sin) (3,y,sin), then the two affine maps."""
    plans = list(literal.plans_of({"type": "md", "fuzz": literal.TWO}, (3072, 3072)).values())
    assert [plan.settings for plan in plans[:56]] == [{}] * 56
    assert [plan.settings for plan in plans[56:66]] == [{"deformation": index} for index in range(10)]
    assert [plan.settings for plan in plans[66:]] == [{}] * 46
    waves = [(1, "x", "cos"), (3, "x", "cos"), (1, "x", "sin"), (3, "x", "sin")]
    waves += [(1, "y", "cos"), (3, "y", "cos"), (1, "y", "sin"), (3, "y", "sin")]
    wanted: list[dict[str, Any]] = [
        {"type": "sine", "cycles": k, "axis": axis, "function": f, "amplitude_divisor": 3.0} for k, axis, f in waves
    ]
    wanted += [
        {"type": "affine", "rotation_rad": r, "shear_rad": s, "translation_px": [3000.0, 800.0]}
        for r, s in ((1.3, 0.7), (1.5, 0.5))
    ]
    assert plans[56].spec["deformations"] == wanted
    labels = [make_scene(plan).drawn["deformed"] for plan in planned("md")[56:66]]
    assert labels == [f"sine-{axis}-{f}-{k}" for k, axis, f in waves] + ["affine-r1.3-s0.7", "affine-r1.5-s0.5"]


def test_published_numbers_are_the_defaults() -> None:
    def spec(name: str, **fields: Any) -> dict[str, Any]:
        (plan,) = literal.plans_of(
            {"type": name, "labels": [0], "morphologies": {"only": ["canary"]}, **fields}, (3072, 3072)
        ).values()
        return {
            key: plan.spec[key] for key in plan.spec if key not in ("type", "morphologies", "background", "pair_noise", "fuzz")
        }

    assert spec("evp") == {"hot": 1.0, "cold": 0.0}
    assert spec("dsp") == {"hot": [0.6, 1.0]}
    assert spec("fm") == {
        "shrink": 10, "tiles_busy": 10, "tiles": 60, "line_px": 200, "pad_px": 50, "corner_px": 50, "value": 1.0,
    }  # fmt: skip
    evsp = spec("evsp")
    assert evsp["radius_px"] == 10
    gsp = spec("gsp")
    assert 100 <= gsp.pop("radius_px") < 300
    assert gsp == {"centre": [0.25, 0.75], "window_px": 20, "window_share": 0.8, "value": 1.0}


def test_disjoint_splits_show_other_silhouettes() -> None:
    entry = {"type": "evp", "morphologies": {"split": "disjoint"}}
    plans = literal.plans_of(entry, (64, 64), splits=["train", "test"]).values()
    shown = {split: {plan.morphology for plan in plans if plan.split == split} for split in ("train", "test")}
    assert not shown["train"] & shown["test"]
    assert shown["train"] | shown["test"] == set(NAMES)


def test_gsp_radius_reaches_both_ends_of_its_range() -> None:
    """UniformInt[100, 300): 2,000 draws hit each of 20 bands; 100 .. 299 and nothing else."""
    fuzz = {"each": [number / 1000 for number in range(100)]}
    entry = {"type": "gsp", "labels": [1], "morphologies": {"only": ["window"]}, "fuzz": fuzz}
    splits = [f"s{number}" for number in range(20)]
    radii = [plan.params["radius_px"] for plan in literal.plans_of(entry, (1024, 1024), splits=splits).values()]
    assert len(radii) == 2000
    assert (min(radii), max(radii)) == (100, 299) or (min(radii) < 102 and max(radii) > 297)
    assert all(isinstance(radius, int) and 100 <= radius < 300 for radius in radii)
    bands = Counter((radius - 100) // 10 for radius in radii)
    assert all(abs(bands[band] - 100) < 5 * 100**0.5 for band in range(20))


def test_gsp_radius_has_an_open_upper_end() -> None:
    entry = literal.small("gsp", radius_px={"uniform": [5, 8]}, fuzz={"each": [number / 100 for number in range(100)]})
    radii = Counter(plan.params["radius_px"] for plan in literal.plans_of(entry).values() if plan.label == 1)
    assert set(radii) == {5, 6, 7}


def test_md_shows_the_reference_in_every_split_whatever_the_silhouettes() -> None:
    entry = {"type": "md", "deformations": []}
    for morphologies in ({"only": ["teapot", "key"]}, {"split": "disjoint"}, {"only": ["teapot", "canary", "key"]}):
        plans = literal.plans_of({**entry, "morphologies": morphologies}, (64, 64), splits=["train", "test"]).values()
        for split in ("train", "test"):
            shown = [(plan.label, plan.morphology) for plan in plans if plan.split == split]
            assert {name for label, name in shown if label == 0} == {"canary"}
            assert "canary" not in {name for label, name in shown if label == 1}
            assert Counter(label for label, _ in shown)[0] == Counter(label for label, _ in shown)[1] > 0


def test_labels_keep_some_images_and_their_numbers() -> None:
    every = literal.plans_of(literal.small("gsp"))
    guilty = literal.plans_of(literal.small("gsp", labels=[1]))
    assert list(guilty) == [identity for identity, plan in every.items() if plan.label == 1]
    assert all(guilty[identity] == every[identity] for identity in guilty)
