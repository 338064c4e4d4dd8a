"""Plans: order, pairs, draws, addresses."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.errors import RecipeError
from miso_gen.recipe import SCENARIOS, ImagePlan, plan_images
from miso_gen.rng import Stream

pytestmark = pytest.mark.usefixtures("fakes")
EACH = {"each": [0.0, 0.1]}


def test_order_of_case_major(recipe_of: Any) -> None:
    plans = plan_images(recipe_of({"type": "flat", "fuzz": EACH}))
    assert [plan.id for plan in plans] == [f"flat/{split}/{n:04d}" for split in ("train", "test") for n in range(1, 13)]
    assert [(p.morphology, p.label, p.params["fuzz"], p.pair) for p in plans[12:20]] == [
        ("a", 1, 0.0, "flat/test/p0001"), ("a", 0, 0.0, "flat/test/p0001"),
        ("b", 1, 0.0, "flat/test/p0002"), ("b", 0, 0.0, "flat/test/p0002"),
        ("c", 1, 0.0, "flat/test/p0003"), ("c", 0, 0.0, "flat/test/p0003"),
        ("a", 1, 0.1, "flat/test/p0004"), ("a", 0, 0.1, "flat/test/p0004"),
    ]  # fmt: skip


def test_order_of_shape_major(recipe_of: Any) -> None:
    plans = plan_images(recipe_of({"type": "dots", "fuzz": EACH}, splits=["test"]))
    assert [(p.morphology, p.label, p.class_name, p.params["fuzz"]) for p in plans[:5]] == [
        ("a", 0, "no", 0.0), ("a", 1, "yes", 0.0), ("a", 0, "no", 0.1), ("a", 1, "yes", 0.1), ("b", 0, "no", 0.0),
    ]  # fmt: skip


def test_each_runs_in_the_order_of_fields_and_the_last_varies_fastest(recipe_of: Any) -> None:
    entry = {"flag": {"each": [False, True]}, "mode": {"each": ["plain", "fancy"]}, "fuzz": EACH, "type": "flat"}
    plans = plan_images(recipe_of({**entry, "morphologies": {"count": 1}, "labels": [1]}, splits=["test"]))
    assert [(p.params["fuzz"], p.params["mode"], p.params["flag"]) for p in plans] == [
        (fuzz, mode, flag) for fuzz in (0.0, 0.1) for mode in ("plain", "fancy") for flag in (False, True)
    ]
    assert [p.spec["flag"] for p in plans] == [False, True] * 4


def test_each_in_nested_places(recipe_of: Any) -> None:
    entry = {"type": "flat", "background": {"probability": EACH}, "hot": [0.1, {"each": [0.5, 0.6]}]}
    plans = plan_images(recipe_of({**entry, "morphologies": {"count": 1}, "labels": [0]}, splits=["test"]))
    assert [(p.spec["background"]["probability"], p.spec["hot"]) for p in plans] == [
        (0.0, [0.1, 0.5]), (0.0, [0.1, 0.6]), (0.1, [0.1, 0.5]), (0.1, [0.1, 0.6]),
    ]  # fmt: skip
    assert plans[0].params == {"background.probability": 0.0, "hot[1]": 0.5}


def test_pairs_share_their_draws_and_nothing_else(recipe_of: Any) -> None:
    plans = plan_images(recipe_of({"type": "dots", "weight": {"normal": [0, 1]}}))
    by_pair: dict[str | None, list[ImagePlan]] = {}
    for plan in plans:
        by_pair.setdefault(plan.pair, []).append(plan)
    assert all(len(pair) == 2 and pair[0].params == pair[1].params for pair in by_pair.values())
    assert all({p.label for p in pair} == {0, 1} for pair in by_pair.values())
    assert len({pair[0].params["weight"] for pair in by_pair.values()}) == len(by_pair) == 6
    first = plans[0]
    address = (7, "dots", "train", "p0001", "draw", "radius_px")
    assert first.params["radius_px"] == first.spec["radius_px"] == Stream(*address).integer(100, 300)


def test_addresses(recipe_of: Any) -> None:
    intact, guilty = plan_images(recipe_of("dots"))[:2]
    assert intact.address("disc", shared=True) == guilty.address("disc", shared=True) == (7, "dots", "train", "p0001", "disc")
    assert guilty.address("noise", 3, shared=False) == (7, "dots", "train", "0002", "noise", 3)
    assert guilty.stream("noise", shared=False).word() == Stream(7, "dots", "train", "0002", "noise").word()
    alone = plan_images(recipe_of("bends"))[0]
    assert alone.pair is None
    assert alone.address("x", shared=True) == alone.address("x", shared=False) == (7, "bends", "train", "0001", "x")


def test_settings_and_overrides(recipe_of: Any) -> None:
    plans = plan_images(recipe_of({"type": "bends", "fuzz": {"each": [0.0, 0.2]}, "deformed_fuzz": 0.3}, splits=["test"]))
    assert [(p.label, p.params) for p in plans] == [
        (0, {"fuzz": 0.0}), (0, {"fuzz": 0.2}), (1, {"fuzz": 0.3, "deformation": 0}), (1, {"fuzz": 0.3, "deformation": 1}),
    ]  # fmt: skip
    assert [p.spec["fuzz"] for p in plans] == [0.0, 0.2, 0.3, 0.3]
    assert plans[-1].settings == {"deformation": 1}


def test_spec_makes_the_plugin(recipe_of: Any) -> None:
    for plan in plan_images(recipe_of({"type": "dots", "background": "grey"}, "flat", "bends")):
        plugin = SCENARIOS.get(plan.type).from_spec(plan.spec)
        assert plugin.to_spec() == plan.spec
        assert pickle.loads(pickle.dumps(plan)) == plan


def test_labels_leave_the_other_images_as_they_are(recipe_of: Any) -> None:
    every = {plan.id: plan for plan in plan_images(recipe_of({"type": "dots", "fuzz": {"uniform": [0, 1]}}))}
    kept = plan_images(recipe_of({"type": "dots", "fuzz": {"uniform": [0, 1]}, "labels": [1]}))
    assert len(kept) == len(every) // 2
    assert all(every[plan.id] == plan and plan.label == 1 for plan in kept)


def test_other_scenarios_change_nothing(recipe_of: Any) -> None:
    alone = plan_images(recipe_of({"type": "dots", "fuzz": {"uniform": [0, 1]}}))
    among = plan_images(
        recipe_of("flat", {"type": "dots", "fuzz": {"uniform": [0, 1]}}, {"type": "dots", "name": "dots-2"}, "bends")
    )
    assert alone == tuple(plan for plan in among if plan.scenario == "dots")
    radii = {plan.scenario: plan.params["radius_px"] for plan in reversed(among) if "radius_px" in plan.params}
    assert radii["dots"] != radii["dots-2"]


def test_disjoint_silhouettes(recipe_of: Any) -> None:
    entry = {"type": "flat", "morphologies": {"count": 5, "split": "disjoint"}}
    plans = plan_images(recipe_of(entry))
    shown = {split: {p.morphology for p in plans if p.split == split} for split in ("train", "test")}
    assert not shown["train"] & shown["test"]
    assert shown["train"] | shown["test"] == set("abcde")
    assert abs(len(shown["train"]) - len(shown["test"])) == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "flat", "morphologies": {"count": 1, "split": "disjoint"}},
         "flat: morphologies must have a silhouette for every split, got 1 for 2 splits. Write split: shared, or fewer splits."),
        ({"type": "dots", "radius_px": 600},
         "dots/train/0001: radius_px must be at most 512, got 600. Use a larger canvas."),
        ({"type": "bends", "deformations": [], "labels": [1]},
         "bends: the scenario must have an image in every split, got none in 'train'."),
        ({"type": "flat", "hot": [{"uniform": [0, 1]}, {"uniform": [0.001, 0.002]}]},
         "flat/train/0001: hot must be two numbers, the lower first, got "),
    ],
)  # fmt: skip
def test_numbers_that_cannot_work(recipe_of: Any, entry: Any, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        plan_images(recipe_of(entry))
    assert str(caught.value).startswith(message)


@given(
    low=st.integers(1, 200),
    width=st.integers(1, 200),
    count=st.integers(1, 26),
    fuzz=st.lists(st.floats(0, 1), min_size=1, max_size=4),
    seed=st.integers(0, 2**63 - 1),
)
def test_any_plan(recipe_of: Any, low: int, width: int, count: int, fuzz: list[float], seed: int) -> None:
    entry = {
        "type": "dots",
        "radius_px": {"uniform": [low, low + width]},
        "fuzz": {"each": fuzz},
        "morphologies": {"count": count},
    }
    recipe = recipe_of(entry, seed=seed)
    plans = plan_images(recipe)
    assert len(plans) == 2 * 2 * count * len(fuzz)
    assert len({plan.id for plan in plans}) == len(plans)
    assert set(Counter(plan.pair for plan in plans).values()) == {2}
    assert all(low <= plan.spec["radius_px"] < low + width and plan.spec["fuzz"] in fuzz for plan in plans)
    assert plans == plan_images(type(recipe).from_dict(recipe.to_dict()))
