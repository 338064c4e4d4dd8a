"""The JSON schema, read by an outside validator."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from miso_gen.recipe import recipe_json_schema

GOOD: dict[str, Any] = {
    "schema": 1,
    "name": "test",
    "canvas": {"shape": [128, 128]},
    "splits": ["test"],
    "scenarios": ["flat"],
}
SPECS: list[Any] = [
    "flat",
    {"type": "flat", "fuzz": {"each": [0, 0.1]}, "hot": [{"uniform": [0, 0.3]}, 0.5], "mode": {"choice": ["plain", "fancy"]}},
    {"type": "flat", "hot": {"each": [[0.1, 0.2], [0.3, 0.4]]}, "background": {"probability": {"normal": [0.5, 0.1]}}},
    {"type": "dots", "name": "more-dots", "labels": [1], "radius_px": {"normal": [30, 5]}, "background": "grey"},
    {"type": "bends", "deformations": [{"type": "bend", "turns": {"each": [1, 2]}}, "bend"]},
]
pytestmark = pytest.mark.usefixtures("fakes")


@pytest.fixture(scope="module")
def validator(fakes: None) -> Any:
    schema = recipe_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("spec", SPECS)
def test_recipes_pass(validator: Any, recipe_of: Any, spec: Any) -> None:
    validator.validate({**GOOD, "scenarios": [spec], "defaults": {"fuzz": {"each": [0.0, 0.1]}, "background": "grey"}})
    validator.validate(recipe_of(spec).to_dict())


@pytest.mark.parametrize(
    "keys",
    [
        {"schema": 2},
        {"name": "A B"},
        {"version": "1"},
        {"seed": {"uniform": [0, 1]}},
        {"seed": -1},
        {"canvas": {"shape": [32, 128]}},
        {"canvas": {"shape": [128, 128, 3]}},
        {"canvas": {}},
        {"canvas": {"shape": [128, 128], "dtype": "int8"}},
        {"splits": []},
        {"other": 1},
        {"scenarios": []},
        {"scenarios": ["flt"]},
        {"scenarios": [{"name": "a"}]},
        {"scenarios": [{"type": "flat", "radius_px": 3}]},
        {"scenarios": [{"type": "flat", "fuzz": 2}]},
        {"scenarios": [{"type": "flat", "fuzz": {"each": [2]}}]},
        {"scenarios": [{"type": "flat", "fuzz": {"unifrom": [0, 1]}}]},
        {"scenarios": [{"type": "flat", "fuzz": {"uniform": [0]}}]},
        {"scenarios": [{"type": "flat", "fuzz": {"normal": [0, -1]}}]},
        {"scenarios": [{"type": "flat", "mode": {"uniform": [0, 1]}}]},
        {"scenarios": [{"type": "flat", "background": {"type": "nois"}}]},
        {"scenarios": [{"type": "flat", "background": {"type": "noise", "value": 1}}]},
        {"scenarios": [{"type": "bends", "deformations": [{"type": "bend", "turns": 0}]}]},
        {"defaults": {"fuz": 1}},
        {"defaults": {"fuzz": 2}},
    ],
)
def test_broken_recipes_do_not(validator: Any, keys: dict[str, Any]) -> None:
    validator.validate(GOOD)
    assert not validator.is_valid({**GOOD, **keys})


def test_texts_of_the_plugins(validator: Any) -> None:
    definitions = validator.schema["$defs"]
    dots = definitions["scenario.dots"]["properties"]
    assert definitions["scenario.dots"]["description"] == "Shape by shape, label 0 first."
    assert dots["radius_px"]["description"] == "Radius of the dot."
    assert dots["radius_px"]["default"] == {"uniform": [100, 300]}
    assert list(dots)[:3] == ["type", "name", "labels"]
    assert "seed" in validator.schema["properties"]
