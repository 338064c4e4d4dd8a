"""The recipe: its keys, defaults, digest, and the way there and back."""

# ruff: noqa: E501  (messages stand on one line, as a user sees them)

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from miso_gen.errors import RecipeError
from miso_gen.recipe import BACKGROUNDS, Recipe, load_recipe
from miso_gen.recipe.problems import shown

pytestmark = pytest.mark.usefixtures("fakes")
GOOD = {"schema": 1, "name": "test", "canvas": {"shape": [128, 128]}, "splits": ["test"], "scenarios": ["flat"]}
KEYS = "schema, name, version, title, license, description, authors, date, url, keywords, seed, canvas, codec, splits, defaults, scenarios"
FLAT = "type, name, labels, morphologies, background, fuzz, hot, mode, flag"


def broken(**keys: Any) -> dict[str, Any]:
    return {key: value for key, value in {**GOOD, **keys}.items() if value is not ...}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"schema": ...}, "schema must be given, got nothing. Write schema: 1."),
        ({"schema": 2}, "schema must be 1, got 2. This version of miso-gen reads no other grammar."),
        ({"schema": True}, "schema must be 1, got true. This version of miso-gen reads no other grammar."),
        ({"name": ...}, "name must be given, got nothing."),
        ({"name": "My Shapes"},
         "name must be a name of small letters, digits and single hyphens, such as my-shapes-2, got 'My Shapes'."),
        ({"name": "../x"}, "name must be a name of small letters, digits and single hyphens, such as my-shapes-2, got '../x'."),
        ({"name": 7}, "name must be text, got 7."),
        ({"version": "1.0"}, "version must be a semantic version, MAJOR.MINOR.PATCH, such as 1.0.0, got '1.0'."),
        ({"version": 1.0}, "version must be text, got 1.0."),
        ({"title": None}, "title must be text, got null."),
        ({"seed": -1}, "seed must be at least 0, got -1."),
        ({"seed": 2**63}, f"seed must be at most {2**63 - 1}, got {2**63}."),
        ({"seed": {"uniform": [0, 9]}},
         "seed must be a plain value, got {uniform: [0, 9]}. Only values of scenarios may be drawn."),
        ({"canvas": ...}, "canvas must be given, got nothing."),
        ({"canvas": 512}, "canvas must be a mapping, got 512."),
        ({"canvas": {}}, "canvas.shape must be given, got nothing."),
        ({"canvas": {"shape": [32, 128]}}, "canvas.shape[0] must be at least 64, got 32."),
        ({"canvas": {"shape": [128]}}, "canvas.shape[1] must be given, got nothing."),
        ({"canvas": {"shape": [128, 128, 3]}}, "canvas.shape must be a list of at most 2, got [128, 128, 3]."),
        ({"canvas": {"shape": [128, 128.5]}}, "canvas.shape[1] must be a whole number, got 128.5."),
        ({"canvas": {"shape": {"each": [[128, 128]]}}},
         "canvas.shape must be a plain value, got {each: [[128, 128]]}. Only values of scenarios may be drawn."),
        ({"canvas": {"shape": [128, 128], "channels": 2}}, "canvas.channels must be 1 or 3, got 2."),
        ({"canvas": {"shape": [128, 128], "dtype": "uint32"}},
         "canvas.dtype must be 'uint8', 'uint16' or 'float32', got 'uint32'. Did you mean 'uint8'?"),
        ({"canvas": {"shap": [128, 128], "shape": [128, 128]}},
         "canvas.shap must be one of the keys shape, channels, dtype, got 'shap'. Its value is [128, 128]. Did you mean 'shape'?"),
        ({"codec": "gzip"}, "codec must be 'lz4' or 'zstd', got 'gzip'."),
        ({"splits": []}, "splits must be a list of at least 1, got []."),
        ({"splits": ["a", "a"]}, "splits must be a list of different values, got ['a', 'a']."),
        ({"splits": ["a", "B"]},
         "splits[1] must be a name of small letters, digits and single hyphens, such as my-shapes-2, got 'B'."),
        ({"splits": "test"}, "splits must be a list, got 'test'."),
        ({"scenario": []}, f"scenario must be one of the keys {KEYS}, got 'scenario'. Its value is []. Did you mean 'scenarios'?"),
        ({"scenarios": ...}, "scenarios must be given, got nothing. Write at least one, as in [{type: evp}]."),
        ({"scenarios": []}, "scenarios must be a list of one scenario or more, as in [{type: evp}], got []."),
        ({"scenarios": {"type": "flat"}},
         "scenarios must be a list of one scenario or more, as in [{type: evp}], got {type: 'flat'}."),
        ({"scenarios": [3]}, "scenarios[0] must be a scenario: {type: name, ...}, got 3."),
        ({"scenarios": [{"each": ["flat"]}]}, "scenarios[0] must be a scenario: {type: name, ...}, got {each: ['flat']}."),
        ({"scenarios": [{"name": "a"}]}, "scenarios[0].type must be given, got nothing. Known: bends, dots, flat."),
        ({"scenarios": ["flt"]}, "scenarios[0].type must be a scenario, one of bends, dots, flat, got 'flt'. Did you mean 'flat'?"),
        ({"scenarios": [{"type": 3}]}, "scenarios[0].type must be a scenario, one of bends, dots, flat, got 3."),
        ({"scenarios": [{"type": "flat", "fuz": 1}]},
         f"scenarios[0].fuz must be one of the keys {FLAT}, got 'fuz'. Its value is 1. Did you mean 'fuzz'?"),
        ({"scenarios": ["flat", {"type": "flat"}]},
         "scenarios[1].name must be unique among the scenarios, got 'flat'. "
         "scenarios[0] has it too: give one of them another name, as in name: flat-2."),
        ({"scenarios": [{"type": "flat", "labels": [2]}]}, "scenarios[0].labels must be labels of flat, of [0, 1], got [2]."),
        ({"scenarios": [{"type": "flat", "labels": []}]}, "scenarios[0].labels must be a list of at least 1, got []."),
        ({"scenarios": [{"type": "flat", "labels": [1, 1]}]},
         "scenarios[0].labels must be a list of different values, got [1, 1]."),
        ({"scenarios": [{"type": "flat", "background": {"type": "nois"}}]},
         "scenarios[0].background.type must be a background, one of grey, noise, got 'nois'. Did you mean 'noise'?"),
        ({"scenarios": [{"type": "flat", "background": 3}]},
         "scenarios[0].background must be a background: a name, or {type: name, ...}, got 3. Known: grey, noise."),
        ({"scenarios": [{"type": "flat", "background": {"value": 0.5}}]},
         "scenarios[0].background.value must be one of the keys type, probability, got 'value'. Its value is 0.5."),
        ({"scenarios": [{"type": "bends", "deformations": "bend"}]}, "scenarios[0].deformations must be a list, got 'bend'."),
        ({"scenarios": [{"type": "bends", "deformations": {"each": ["bend"]}}]},
         "scenarios[0].deformations must be a list, or a block of keys, got {each: ['bend']}. "
         "A plug-in can't be drawn: write one scenario for each."),
        ({"scenarios": [{"type": "bends", "deformations": ["bend", {"type": "bend", "turns": 0}]}]},
         "scenarios[0].deformations[1].turns must be greater than 0, got 0."),
        ({"scenarios": [{"type": "bends", "low": 2}]},
         "scenarios[0]: low must be less than high, got {type: 'bends', low: 2}."),
        ({"scenarios": [{"type": "flat", "morphologies": {"count": {"each": [1, 2]}}}]},
         "scenarios[0].morphologies.count must be a plain value, got {each: [1, 2]}. "
         "Which silhouettes there are must be known before anything is drawn."),
        ({"defaults": 3}, "defaults must be a mapping of fields of scenarios to values, got 3."),
        ({"defaults": {"fuz": 0.1}},
         "defaults.fuz must be a field of a scenario of the recipe, got 'fuz'. Its value is 0.1. Did you mean 'fuzz'?"),
        ({"defaults": {"radius_px": 3}},
         "defaults.radius_px must be a field of a scenario of the recipe, got 'radius_px'. Its value is 3."),
        ({"defaults": {"name": "a"}}, "defaults.name must be a field of a scenario of the recipe, got 'name'. Its value is 'a'. Did you mean 'mode'?"),
        ({"defaults": {"fuzz": 3}}, "defaults.fuzz must be at most 1.0, got 3."),
        ({"defaults": {"fuzz": 3}, "scenarios": [{"type": "flat", "fuzz": 0}]}, "defaults.fuzz must be at most 1.0, got 3."),
        ({"defaults": {"background": {"type": "noise", "value": 1}}},
         "defaults.background.value must be one of the keys type, probability, got 'value'. Its value is 1."),
    ],
)  # fmt: skip
def test_messages(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(broken(**keys))
    assert str(caught.value) == message


def test_every_problem_is_listed_up_to_ten() -> None:
    entries = [{"type": "flat", "name": f"n{index}", "fuzz": 2 + index} for index in range(14)]
    with pytest.raises(RecipeError) as caught:
        load_recipe(broken(scenarios=entries, seed=-1))
    lines = str(caught.value).splitlines()
    assert len(lines) == 11
    assert lines[0] == "seed must be at least 0, got -1."
    assert lines[1] == "scenarios[0].fuzz must be at most 1.0, got 2."
    assert lines[-1] == "... and 5 more."
    assert type(pickle.loads(pickle.dumps(caught.value))) is RecipeError


def test_long_values_are_cut() -> None:
    assert shown({"a": [1, None, True, "x"]}) == "{a: [1, null, true, 'x']}"
    assert len(shown("x" * 200)) == 80


def test_defaults_of_the_head() -> None:
    recipe = load_recipe(GOOD)
    assert (recipe.version, recipe.title, recipe.license, recipe.seed, recipe.codec) == ("0.1.0", "", "", 0, "lz4")
    assert (recipe.canvas.height, recipe.canvas.width, recipe.canvas.channels, recipe.canvas.dtype) == (128, 128, 1, "uint8")
    assert recipe.scenarios[0].name == recipe.scenarios[0].type == "flat"
    assert recipe.scenarios[0].labels == (0, 1)


def field(recipe: Recipe, name: str, entry: int = 0) -> Any:
    return recipe.to_dict()["scenarios"][entry][name]


def test_defaults_are_merged_deeply(recipe_of: Any) -> None:
    grey = {"type": "grey", "value": 0.5}
    assert field(recipe_of("flat"), "background") == {"type": "noise", "probability": 0.25}
    assert field(recipe_of("flat", defaults={"background": grey}), "background") == grey
    assert field(recipe_of("flat", defaults={"background": "noise"}), "background") == {"type": "noise", "probability": 0.25}
    assert field(recipe_of({"type": "flat", "background": {"probability": 0.1}}), "background")["probability"] == 0.1
    both = recipe_of({"type": "flat", "background": {"type": "noise", "probability": 0.1}}, "dots", defaults={"background": grey})
    assert field(both, "background") == {"type": "noise", "probability": 0.1}
    assert field(both, "background", 1) == grey
    over = recipe_of({"type": "flat", "morphologies": {"split": "disjoint"}}, defaults={"morphologies": {"count": 5}})
    assert field(over, "morphologies") == {"type": "shapes", "split": "disjoint", "count": 5}
    draws = recipe_of({"type": "flat", "fuzz": {"choice": [0.5]}}, defaults={"fuzz": {"each": [0.0]}})
    assert field(draws, "fuzz") == {"choice": [0.5]}
    lists = recipe_of({"type": "bends", "deformations": ["bend"]}, defaults={"deformations": ["bend"] * 3})
    assert len(field(lists, "deformations")) == 1
    assert field(recipe_of("flat", "dots", defaults={"radius_px": 3}), "radius_px", 1) == 3


SPECS: list[Any] = [
    "flat",
    {"type": "flat", "fuzz": {"each": [0, 0.1]}, "hot": [{"uniform": [0, 0.3]}, 0.5], "mode": {"choice": ["plain", "fancy"]}},
    {"type": "dots", "name": "more-dots", "labels": [1], "radius_px": {"normal": [30, 5]}, "background": "grey"},
    {"type": "bends", "deformations": [{"type": "bend", "turns": {"each": [1, 2]}}, "bend"], "background": {"probability": 0.3}},
]


@pytest.mark.parametrize("spec", SPECS)
def test_there_and_back(recipe_of: Any, spec: Any) -> None:
    recipe = recipe_of(spec, title="A title", canvas={"shape": [64, 100], "channels": 3, "dtype": "float32"})
    data = json.loads(json.dumps(recipe.to_dict()))
    again = Recipe.from_dict(data)
    assert again.digest == recipe.digest
    assert again.to_dict() == recipe.to_dict()
    assert load_recipe(data).canonical() == recipe.canonical()
    assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_digest_is_over_what_decides_the_images(recipe_of: Any) -> None:
    base = recipe_of("flat", "dots")
    metadata = {"name": "n", "version": "2.0.0", "title": "t", "license": "l", "description": "d", "codec": "zstd"}
    assert recipe_of("flat", "dots", **metadata).digest == base.digest
    spelled_out = {
        "type": "flat",
        "name": "flat",
        "labels": [1, 0],
        "background": {"type": "noise", "probability": 0.25},
        "fuzz": 0,
    }
    assert recipe_of(spelled_out, "dots", defaults={"fuzz": 0.0}).digest == base.digest
    assert (
        recipe_of({"mode": "plain", "type": "flat"}, {"type": "dots", "radius_px": {"uniform": [100, 300]}}).digest == base.digest
    )
    others = [
        recipe_of("flat"),
        recipe_of("dots", "flat"),
        recipe_of("flat", "dots", seed=8),
        recipe_of("flat", "dots", splits=["test", "train"]),
        recipe_of("flat", "dots", canvas={"shape": [128, 129]}),
        recipe_of("flat", "dots", canvas={"shape": [128, 128], "dtype": "uint16"}),
        recipe_of({"type": "flat", "name": "other"}, "dots"),
        recipe_of({"type": "flat", "labels": [1]}, "dots"),
        recipe_of({"type": "flat", "fuzz": 0.1}, "dots"),
        recipe_of({"type": "flat", "background": {"probability": 0.5}}, "dots"),
        recipe_of({"type": "flat", "background": "grey"}, "dots"),
        recipe_of("flat", {"type": "dots", "radius_px": {"uniform": [100, 301]}}),
    ]
    digests = {recipe.digest for recipe in [base, *others]}
    assert len(digests) == len(others) + 1


def test_canonical_form(recipe_of: Any) -> None:
    recipe = recipe_of({"type": "flat", "background": "grey", "fuzz": {"each": [0, 0.1]}}, splits=["test"])
    shapes = {"type": "shapes", "revision": 1, "values": {}}
    grey = {"type": "grey", "revision": 3, "values": {}}
    assert recipe.canonical() == {
        "schema": 1,
        "seed": 7,
        "canvas": {"shape": [128, 128]},
        "splits": ["test"],
        "scenarios": [
            {
                "type": "flat",
                "revision": 1,
                "values": {"morphologies": shapes, "background": grey, "fuzz": {"each": [0.0, 0.1]}},
            }
        ],
    }
    assert recipe.digest == "f8e68b327be5c19594eeb0b014bc4da6b439aab0b7f001e21a2eb104c3bb8aaf"


def test_a_revision_changes_the_digest(recipe_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe_of({"type": "flat", "background": "grey"}).digest
    monkeypatch.setattr(BACKGROUNDS.get("grey"), "revision", 4)
    assert recipe_of({"type": "flat", "background": "grey"}).digest != before
