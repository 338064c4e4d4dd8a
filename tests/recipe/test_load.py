"""Files, text, names of shipped recipes, and overrides."""

# ruff: noqa: E501  (messages stand on one line, as a user sees them)

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from miso_gen.errors import RecipeError
from miso_gen.recipe import load_recipe, plan_images, recipe_files

pytestmark = pytest.mark.usefixtures("fakes")

TEXT = """\
schema: 1
name: test
canvas: {shape: [128, 128]}
splits: [test]
defaults:
  fuzz: {each: [0.0, 0.1]}
scenarios:
  - {type: flat}
  - type: dots
    name: some-dots
    radius_px: 40
"""


def write(folder: Path, text: str | bytes, name: str = "a.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def message(source: Any, overrides: Any = ()) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(source, overrides)
    return str(caught.value)


def test_sources_agree(tmp_path: Path) -> None:
    path = write(tmp_path, TEXT)
    bom = write(tmp_path, b"\xef\xbb\xbf" + TEXT.encode(), "b.yaml")
    digests = {load_recipe(source).digest for source in (path, str(path), TEXT, bom, load_recipe(path).to_dict())}
    assert len(digests) == 1


def test_problems_name_file_line_and_key_path(tmp_path: Path) -> None:
    path = write(tmp_path, TEXT.replace("40", "forty").replace("0.1]", "3]").replace("name: test", "nmae: test"))
    assert message(path).splitlines() == [
        f"{path}:2: nmae must be one of the keys schema, name, version, title, license, description, authors, date, url, keywords, "
        "seed, canvas, codec, splits, defaults, scenarios, got 'nmae'. Its value is 'test'. Did you mean 'name'?",
        f"{path}:1: name must be given, got nothing.",
        f"{path}:6: defaults.fuzz.each[1] must be at most 1.0, got 3.",
        f"{path}:11: scenarios[1].radius_px must be a whole number, got 'forty'.",
    ]


def test_missing_file(tmp_path: Path) -> None:
    text = message(tmp_path / "mis1.yaml")
    assert text.startswith(f"{tmp_path / 'mis1.yaml'}: the recipe must be an existing file or one of ")
    assert text.endswith(", got neither. Did you mean 'miso1'?")


def test_folder(tmp_path: Path) -> None:
    write(tmp_path, TEXT)
    assert message(tmp_path) == f"{tmp_path}: the recipe must be a file, got a folder. Give one of the files in it: a.yaml."


def test_wrong_source() -> None:
    assert message(3) == "the recipe must be a path, a name, YAML text or a mapping, got int."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ": the recipe must be a mapping of keys to values, got an empty file."),
        ("# only a comment\n", ": the recipe must be a mapping of keys to values, got an empty file."),
        ("- a\n- b\n", ":1: the recipe must be a mapping of keys to values, got ['a', 'b']."),
        ("just text", ":1: the recipe must be a mapping of keys to values, got 'just text'."),
        ("schema: 1\nname: [a\n", ":3:1: the recipe must be valid YAML, got an error: expected ',' or ']', but got '<stream end>'."),
        ("schema: 1\ncanvas:\n\tshape: 3\n",
         ":3:1: the recipe must be valid YAML, got an error: found character '\\t' that cannot start any token. "
         "Indent with spaces, not tabs."),
        ("schema: 1\nname: \x01\n", ":2: the recipe must be valid YAML, got an error: special characters are not allowed."),
        ("schema: 1\n---\nschema: 1\n",
         ":2:1: the recipe must be valid YAML, got an error: but found another document."),
        ("schema: 1\nname: !!python/name:os.system x\n",
         ":2:7: the recipe must be valid YAML, got an error: could not determine a constructor for the tag "
         "'tag:yaml.org,2002:python/name:os.system'."),
        ("schema: 1\n? [a, b]\n: 3\n", ":2: a key of the recipe must be text, got a list or a mapping."),
        ("a: &a [*a]\n", ":1: a[0] must be a plain value, got an alias of what it is part of."),
        ("schema: 1\nseed: 3\nseed: 4\n", ":3: seed must be given once, got it twice. Line 2 gives it already: delete one of them."),
        ("canvas: {shape: 1,\n  shape: 2}\n",
         ":2: canvas.shape must be given once, got it twice. Line 1 gives it already: delete one of them."),
        ("name: !!timestamp 2022-13-45\nx: !!int a\n",
         ": the recipe must be valid YAML, got a value that can't be read: invalid literal for int() with base 10: 'a'."),
    ],
)  # fmt: skip
def test_files_that_hold_no_recipe(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    assert message(path) == f"{path}{expected}"


def test_wrong_encoding(tmp_path: Path) -> None:
    path = write(tmp_path, b"schema: 1\nname: caf\xe9\n")
    assert message(path) == f"{path}: the recipe must be UTF-8 text, got byte 0xe9 at offset 19. Save it as UTF-8."


def test_aliases_that_would_fill_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path = write(tmp_path, "\n".join(lines))
    assert message(path) == f"{path}: a recipe must hold at most 100000 values, got more. Use fewer aliases."


def test_aliases_and_merge_keys() -> None:
    text = TEXT.replace("{type: flat}", "&flat {type: flat, mode: fancy}").replace(
        "type: dots", "{<<: *flat, name: b, flag: true}\n  - type: dots"
    )
    scenarios = load_recipe(text).to_dict()["scenarios"]
    assert [entry.get("mode") for entry in scenarios] == ["fancy", "fancy", None]
    assert [entry.get("flag") for entry in scenarios] == [False, True, None]


def test_a_day_is_a_text_as_it_was_written() -> None:
    recipe = load_recipe(TEXT + "title: 2022-01-01\ndate: 2026-11-21\n")
    assert (recipe.title, recipe.date) == ("2022-01-01", "2026-11-21")
    assert "date must be a day, YYYY-MM-DD, such as 2026-11-21, got '2026-02-30'." in message(TEXT + "date: 2026-02-30\n")


def test_half_characters_are_refused() -> None:
    assert "title must be text of whole characters" in message(TEXT + 'title: "a\\ud800"\n')


def test_authors() -> None:
    recipe = load_recipe(TEXT + "authors: [{name: 'Doe, Jane', orcid: 0000-0002-1825-0097}, {name: A group}]\n")
    assert [author.name for author in recipe.authors] == ["Doe, Jane", "A group"]
    assert recipe.digest == load_recipe(TEXT).digest
    assert "authors[0].nam must be one of the keys name, orcid, affiliation" in message(TEXT + "authors: [{nam: x}]\n")
    assert "authors[0].orcid" in message(TEXT + "authors: [{name: x, orcid: '12'}]\n")


@pytest.mark.parametrize(
    ("overrides", "path", "value"),
    [
        (["seed=7"], ("seed",), 7),
        (["canvas.shape=[1024, 512]"], ("canvas", "shape"), [1024, 512]),
        (["canvas.shape[1]=512"], ("canvas", "shape"), [128, 512]),
        (["canvas.dtype=uint16"], ("canvas", "dtype"), "uint16"),
        (["scenarios.some-dots.radius_px=7"], ("scenarios", 1, "radius_px"), 7),
        (["scenarios[1].radius_px=7"], ("scenarios", 1, "radius_px"), 7),
        (["scenarios.1.radius_px={uniform: [1, 3]}"], ("scenarios", 1, "radius_px"), {"uniform": [1, 3]}),
        (["scenarios.flat.background.probability=0.5"], ("scenarios", 0, "background"), {"type": "noise", "probability": 0.5}),
        (["scenarios.flat.background=grey", "scenarios.flat.background.value=0.5"], ("scenarios", 0, "background"),
         {"type": "grey", "value": 0.5}),
        (["defaults.fuzz=0.2"], ("scenarios", 1, "fuzz"), 0.2),
        (["defaults.morphologies.count=4"], ("scenarios", 1, "morphologies", "count"), 4),
        (["title=a = b"], ("title",), "a = b"),
        (["scenarios=[bends]"], ("scenarios", 0, "type"), "bends"),
        ({"canvas.shape": (64, 64), "seed": 9}, ("canvas", "shape"), [64, 64]),
        ({"scenarios.flat": "bends"}, ("scenarios", 0, "type"), "bends"),
    ],
)  # fmt: skip
def test_overrides(overrides: Any, path: tuple[str | int, ...], value: Any) -> None:
    here: Any = load_recipe(TEXT, overrides).to_dict()
    for key in path:
        here = here[key]
    assert here == value


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed", "--set must be key.path=value, got 'seed'. For example: --set seed=7."),
        ("=3", "--set must be key.path=value, got '=3'. For example: --set seed=7."),
        ("canvas..shape=3", "--set must name a key path such as canvas.shape or scenarios[0].fuzz, got 'canvas..shape'."),
        ("seed=[1", "--set seed=[1:1:3: the recipe must be valid YAML, got an error: expected ',' or ']', but got '<stream end>'."),
        ("seed=", "--set seed: seed must be a whole number, got null."),
        ("sed=3", "--set sed: sed must be one of the keys schema, name, version, title, license, description, authors, date, url, "
                  "keywords, seed, canvas, codec, splits, defaults, scenarios, got 'sed'. Its value is 3. Did you mean 'seed'?"),
        ("canvas.shap=3", "--set canvas.shap: canvas.shap must be one of the keys shape, channels, dtype, got 'shap'. Its value is 3. "
                          "Did you mean 'shape'?"),
        ("scenarios.flta.fuzz=0", "--set scenarios.flta.fuzz: the key after scenarios must be one of flat, some-dots, got 'flta'. "
                                  "Did you mean 'flat'?"),
        ("scenarios[2].fuzz=0", "--set scenarios[2].fuzz: the number in scenarios must be less than 2, got 2."),
        ("canvas.shape.height=9", "--set canvas.shape.height: the key after canvas.shape must be one of 0, 1, got 'height'."),
        ("seed.x=1", "--set seed.x: seed must be a mapping, to have the key 'x', got 3."),
        ("canvas[0]=1", "--set canvas[0]: canvas must be a list, to have [0], got {'shape': [128, 128]}."),
        ("scenarios.some-dots.radius_px=0",
         "--set scenarios.some-dots.radius_px: scenarios[1].radius_px must be greater than 0, got 0."),
        ("defaults.fuz=0", "--set defaults.fuz: defaults.fuz must be a field of a scenario of the recipe, got 'fuz'. Its value is 0. "
                           "Did you mean 'fuzz'?"),
    ],
)  # fmt: skip
def test_wrong_overrides(override: str, expected: str) -> None:
    assert message(TEXT + "seed: 3\n", [override]) == expected


def test_overrides_leave_the_rest_alone() -> None:
    base, other = load_recipe(TEXT), load_recipe(TEXT, ["scenarios.some-dots.radius_px=7"])
    flat = [plan for plan in plan_images(base) if plan.scenario == "flat"]
    assert flat == [plan for plan in plan_images(other) if plan.scenario == "flat"]


def test_shipped_names() -> None:
    files = recipe_files()
    assert {"miso1", "miso1-mini", "gigapixel"} <= files.keys()
    assert list(files) == sorted(files)
    assert all(path.is_file() for path in files.values())
