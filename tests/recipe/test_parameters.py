"""Strict types, plug-in fields, specs."""

# ruff: noqa: E501  (messages stand on one line, as a user sees them)

from __future__ import annotations

import pickle
from typing import Any, Literal

import pytest
from pydantic import ValidationError

from miso_gen.errors import RecipeError, UnknownNameError
from miso_gen.recipe import BACKGROUNDS, DEFORMATIONS, SCENARIOS, Case, Scenario, Variant
from miso_gen.recipe.parameters import Parameters, PositiveFloat, PositiveInt, Range, UnitInterval, drawn
from miso_gen.recipe.plugins import Plugin

pytestmark = pytest.mark.usefixtures("fakes")


class Numbers(Parameters):
    share: UnitInterval = 0.5
    count: PositiveInt = 1
    size: PositiveFloat = 1.0
    range: Range = (0.0, 1.0)
    text: str = "a"
    mode: Literal["x", "y"] = "x"
    flag: bool = False
    pair: tuple[float, float] = (0.0, 0.0)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("share", 1, 1.0), ("count", 3.0, 3), ("size", 2, 2.0), ("range", [0, 0.5], (0.0, 0.5)), ("pair", [1, -2], (1.0, -2.0))],
)
def test_accepted(field: str, value: Any, expected: Any) -> None:
    got = getattr(Numbers(**{field: value}), field)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("share", True, "share must be a number, got true."),
        ("share", 1.5, "share must be at most 1.0, got 1.5."),
        ("share", -0.5, "share must be at least 0.0, got -0.5."),
        ("share", "1e-4", "share must be a number, got '1e-4'. YAML reads 1e-4 as text: write 1.0e-4."),
        ("share", "5E3", "share must be a number, got '5E3'. YAML reads 5E3 as text: write 5.0e+3."),
        ("share", "0.5", "share must be a number, got '0.5'. Write 0.5 as YAML writes numbers, without quotes."),
        ("share", float("nan"), "share must be a finite number, got nan."),
        ("share", None, "share must be a number, got null."),
        ("count", 2.5, "count must be a whole number, got 2.5."),
        ("count", False, "count must be a whole number, got false."),
        ("count", 0, "count must be greater than 0, got 0."),
        ("size", 0, "size must be greater than 0.0, got 0."),
        ("range", [0.5, 0.5], "range must be two numbers, the lower first, got [0.5, 0.5]."),
        ("range", [0.5, 2], "range[1] must be at most 1.0, got 2."),
        ("range", 3, "range must be a list, got 3."),
        ("text", 3, "text must be text, got 3."),
        ("mode", "z", "mode must be 'x' or 'y', got 'z'."),
        ("flag", 1, "flag must be true or false, got 1."),
        ("flg", 1, "flg must be one of the keys share, count, size, range, text, mode, flag, pair, got 'flg'. "
                   "Its value is 1. Did you mean 'flag'?"),
    ],
)  # fmt: skip
def test_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Numbers.from_spec({field: value})
    assert str(caught.value) == message


def test_all_problems_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        Numbers.from_spec({"share": 2, "count": 0})
    assert str(caught.value).splitlines() == ["share must be at most 1.0, got 2.", "count must be greater than 0, got 0."]


def test_spec_there_and_back() -> None:
    dots = SCENARIOS.get("dots")(radius_px=5, background={"type": "grey", "value": 0.5})  # type: ignore[call-arg]
    spec = dots.to_spec()
    assert spec == {
        "type": "dots",
        "morphologies": {"type": "shapes", "split": "shared", "count": 3},
        "background": {"type": "grey", "value": 0.5},
        "fuzz": 0.0,
        "radius_px": 5,
        "centre": [0.25, 0.75],
        "weight": 1.0,
        "points": {"type": "lattice", "step_px": 10},
    }
    assert SCENARIOS.get("dots").from_spec(spec) == dots
    assert hash(dots) == hash(SCENARIOS.get("dots").from_spec(spec))
    bends = SCENARIOS.get("bends")()
    assert SCENARIOS.get("bends").from_spec(bends.to_spec()) == bends
    assert [d.label for d in bends.deformations] == ["bend-x-1", "bend-x-3"]  # type: ignore[attr-defined]


def test_plugin_field_takes_name_mapping_and_instance() -> None:
    flat: Any = SCENARIOS.get("flat")
    noise = BACKGROUNDS.get("noise")()
    assert (
        flat(background="noise").background == flat(background={"type": "noise"}).background == flat(background=noise).background
    )


@pytest.mark.parametrize("value", [5, {"probability": 0.5}, ["noise"]])
def test_plugin_field_refuses(value: Any) -> None:
    with pytest.raises(RecipeError, match=r"background must be a background: a name, or \{type: name, ...\}, got "):
        SCENARIOS.get("flat").from_spec({"background": value})


def test_plugin_field_refuses_an_instance_of_another_family() -> None:
    with pytest.raises(ValidationError, match="a background: a name"):
        SCENARIOS.get("flat")(background=DEFORMATIONS.get("bend")())  # type: ignore[call-arg]


def test_unknown_plugin() -> None:
    with pytest.raises(UnknownNameError, match=r"background must be one of grey, noise, got 'nois'\. Did you mean 'noise'\?"):
        SCENARIOS.get("flat").from_spec({"background": "nois"})


def test_spec_of_another_type() -> None:
    with pytest.raises(RecipeError, match="type must be 'flat', got 'dots'"):
        SCENARIOS.get("flat").from_spec({"type": "dots"})


def test_a_drawn_field_has_no_plain_default() -> None:
    with pytest.raises(RecipeError, match="radius_px must be given, got nothing"):
        SCENARIOS.get("dots").from_spec({})


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Numbers().share = 0.1


def test_authors_mistakes() -> None:
    with pytest.raises(TypeError, match="one of uniform, normal, choice, each"):
        drawn(unifrom=(1, 2))
    with pytest.raises(TypeError, match="must not be called \\['type'\\]"):
        type("Bad", (Plugin,), {"__annotations__": {"type": str}, "__module__": __name__})
    with pytest.raises(TypeError, match="must not be called \\['labels'\\]"):
        type("Bad", (Scenario,), {"__annotations__": {"labels": str}, "__module__": __name__})


def test_pairs_in_both_orders() -> None:
    cases = [Case(0, {"fuzz": 0.0}), Case(1, {"fuzz": 0.1})]
    by_case = list(Scenario.pairs(cases, ["a", "b"], labels=(1, 0), major="case"))
    assert [(v.case.index, v.morphology, v.label, v.pair) for v in by_case] == [
        (0, "a", 1, 1), (0, "a", 0, 1), (0, "b", 1, 2), (0, "b", 0, 2), (1, "a", 1, 3), (1, "a", 0, 3), (1, "b", 1, 4), (1, "b", 0, 4),
    ]  # fmt: skip
    by_shape = list(Scenario.pairs(cases, ["a", "b"], labels=(0, 1), major="shape"))
    assert [(v.case.index, v.morphology, v.label, v.pair) for v in by_shape[:5]] == [
        (0, "a", 0, 1), (0, "a", 1, 1), (1, "a", 0, 2), (1, "a", 1, 2), (0, "b", 0, 3),
    ]  # fmt: skip
    assert pickle.loads(pickle.dumps(by_case)) == by_case
    assert isinstance(by_case[0], Variant)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 24])
@pytest.mark.parametrize("splits", [("train",), ("train", "test"), ("a", "b", "c")])
def test_disjoint_silhouettes(count: int, splits: tuple[str, ...]) -> None:
    from miso_gen.recipe import MORPHOLOGIES

    shapes: Any = MORPHOLOGIES.get("shapes")
    shared, disjoint = shapes(count=count), shapes(count=count, split="disjoint")
    dealt = [disjoint.names_in(split, splits) for split in splits]
    assert sorted(name for names in dealt for name in names) == sorted(shared.names())
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    assert all(shared.names_in(split, splits) == shared.names() for split in splits)
