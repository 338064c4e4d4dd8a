"""Draws: what they give, and what is wrong with them."""

# ruff: noqa: E501  (messages stand on one line, as a user sees them)

from __future__ import annotations

from collections import Counter
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.errors import RecipeError
from miso_gen.recipe.parameters import PositiveInt, UnitInterval
from miso_gen.recipe.slots import Slot
from miso_gen.recipe.values import Draw
from miso_gen.rng import Stream

FLOAT, WHOLE, SHARE, POSITIVE = Slot(float), Slot(int), Slot(UnitInterval), Slot(PositiveInt)
pytestmark = pytest.mark.usefixtures("fakes")


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers())
def test_uniform_float_in_range(low: float, width: float, seed: int) -> None:
    value = Draw("uniform", (low, low + width)).value(FLOAT, Stream(seed), "x")
    assert low <= value <= low + width


@given(st.integers(-1000, 1000), st.integers(1, 1000), st.integers())
def test_uniform_whole_is_half_open(low: int, width: int, seed: int) -> None:
    value = Draw("uniform", (low, low + width)).value(WHOLE, Stream(seed), "x")
    assert type(value) is int
    assert low <= value < low + width


def test_uniform_whole_reaches_both_ends() -> None:
    values = Counter(Draw("uniform", (3, 6)).value(WHOLE, Stream(n), "x") for n in range(300))
    assert sorted(values) == [3, 4, 5]
    assert min(values.values()) > 70


@given(st.floats(-100, 100), st.floats(0, 50), st.integers())
def test_normal_whole_is_rounded_half_up(mean: float, std: float, seed: int) -> None:
    whole = Draw("normal", (mean, std)).value(WHOLE, Stream(seed), "x")
    assert whole == floor(Draw("normal", (mean, std)).value(FLOAT, Stream(seed), "x") + 0.5)


@given(st.integers())
def test_normal_is_redrawn_until_it_fits(seed: int) -> None:
    assert 0 <= Draw("normal", (0.0, 0.5)).value(SHARE, Stream(seed), "x") <= 1
    assert Draw("normal", (0.0, 2.0)).value(POSITIVE, Stream(seed), "x") > 0


def test_normal_that_never_fits() -> None:
    with pytest.raises(RecipeError, match=r"fuzz must be a normal draw that often falls in its range, got normal: \[9.0, 0.1\]"):
        Draw("normal", (9.0, 0.1)).value(SHARE, Stream(1), "fuzz")


def test_choice_is_even() -> None:
    values = Counter(Draw("choice", ("a", "b", "c")).value(Slot(str), Stream(n), "x") for n in range(600))
    assert sorted(values) == ["a", "b", "c"]
    assert min(values.values()) > 150


def test_golden() -> None:
    address = (2022, "gsp", "test", "p0001", "draw", "radius_px")
    assert Draw("uniform", (100, 300)).value(WHOLE, Stream(*address), "x") == 100 + ((Stream(*address).word() >> 32) * 200 >> 32)
    assert Draw("uniform", (0.0, 1.0)).value(FLOAT, Stream(*address), "x") == (Stream(*address).word() >> 11) * 2.0**-53


FORMS = "{uniform: [a, b]}, {normal: [mean, std]}, {choice: [...]} or {each: [...]}"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("fuzz", {"uniform": [0, 2]}, "fuzz.uniform[1] must be at most 1.0, got 2."),
        ("fuzz", {"uniform": [-1, 1]}, "fuzz.uniform[0] must be at least 0.0, got -1."),
        ("fuzz", {"uniform": [0.5, 0.5]}, "fuzz.uniform must be two numbers, the lower first, got [0.5, 0.5]."),
        ("fuzz", {"uniform": [0.5]}, "fuzz.uniform must be two numbers, [a, b], got [0.5]."),
        ("fuzz", {"uniform": 0.5}, "fuzz.uniform must be two numbers, [a, b], got 0.5."),
        ("fuzz", {"uniform": [0, True]}, "fuzz.uniform[1] must be a finite number, got true."),
        ("fuzz", {"uniform": [0, "1e-1"]},
         "fuzz.uniform[1] must be a finite number, got '1e-1'. YAML reads 1e-1 as text: write 1.0e-1."),
        ("fuzz", {"uniform": [0, float("inf")]}, "fuzz.uniform[1] must be a finite number, got inf."),
        ("fuzz", {"normal": [0.5]}, "fuzz.normal must be two numbers, [mean, std], got [0.5]."),
        ("fuzz", {"normal": [0.5, -1]}, "fuzz.normal[1] must be a standard deviation of at least 0, got -1."),
        ("fuzz", {"normal": [5, 0]},
         "fuzz must be a normal draw that often falls in the range of the field, got {normal: [5, 0]}. "
         "It did not in 1000 tries: move the mean into the range."),
        ("fuzz", {"choice": []}, "fuzz.choice must be a list of one value or more, got []."),
        ("fuzz", {"choice": 0.5}, "fuzz.choice must be a list of one value or more, got 0.5."),
        ("fuzz", {"choice": [0.5, 3]}, "fuzz.choice[1] must be at most 1.0, got 3."),
        ("fuzz", {"each": [0.5, "x"]}, "fuzz.each[1] must be a number, got 'x'."),
        ("fuzz", {"each": [0.5], "choice": [1]},
         f"fuzz must be one draw, {FORMS}, got {{each: [0.5], choice: [1]}}."),
        ("fuzz", {"unifrom": [0, 1]}, "fuzz must be a number, got {unifrom: [0, 1]}. Did you mean 'uniform'?"),
        ("fuzz", {"zzz": 1}, f"fuzz must be a number, got {{zzz: 1}}. A value may be drawn: {FORMS}."),
        ("mode", {"uniform": [0, 1]}, "mode must be given, or drawn by choice or each, got {uniform: [0, 1]}."),
        ("mode", {"each": ["plain", "fncy"]}, "mode.each[1] must be 'plain' or 'fancy', got 'fncy'. Did you mean 'fancy'?"),
        ("hot", [{"uniform": [0, 3]}, 1], "hot[0].uniform[1] must be at most 1.0, got 3."),
        ("hot", [{"each": [0.9]}, 0.2], "hot must be two numbers, the lower first, got [0.9, 0.2]."),
        ("hot", [{"each": [0.1]}], "hot[1] must be given, got nothing."),
        ("background", {"type": "noise", "probability": {"each": [2]}},
         "background.probability.each[0] must be at most 1.0, got 2."),
        ("background", {"each": ["noise", "grey"]},
         "background must be a background: a name, or {type: name, ...}, got {each: ['noise', 'grey']}. A plug-in can't be drawn."),
    ],
)  # fmt: skip
def test_messages(complaint: Any, field: str, value: Any, message: str) -> None:
    assert complaint({"type": "flat", field: value}) == f"scenarios[0].{message}"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"uniform": [1.5, 7]}, "uniform[0] must be a whole number, as the value it draws, got 1.5."),
        ({"uniform": [0, 7]}, "uniform[0] must be greater than 0, got 0."),
        ({"uniform": [1, 2**40]}, f"uniform must be a range of at most {2**32} whole numbers, got [1, {2**40}]."),
    ],
)
def test_messages_of_whole_numbers(complaint: Any, value: Any, message: str) -> None:
    assert complaint({"type": "dots", "radius_px": value}) == f"scenarios[0].radius_px.{message}"


def test_normalised(recipe_of: Any) -> None:
    plain = recipe_of(
        {"type": "dots", "radius_px": {"uniform": [3.0, 9]}, "fuzz": {"each": [0, 1]}, "weight": {"normal": [1, 2]}}
    )
    entry = plain.to_dict()["scenarios"][0]
    assert repr(entry["radius_px"]) == "{'uniform': [3, 9]}"
    assert repr(entry["fuzz"]) == "{'each': [0.0, 1.0]}"
    assert repr(entry["weight"]) == "{'normal': [1.0, 2.0]}"
