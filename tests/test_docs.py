"""The pages in ``docs`` do what they say: their blocks run, their tables agree with the code, their links lead somewhere.

The blocks of a page are done in order, in an empty folder and a process of their own (pages register plug-ins):

- a block whose first line is a comment with a file name (``# shapes.yaml``) is written to that file; the entry points of a
  ``pyproject.toml`` are made known as an installed package's are;
- other ``python`` blocks are executed, all of a page in one namespace;
- ``bash`` blocks that start with ``miso-gen`` go through click's runner, line by line; ``# exit 2`` says that a line fails;
- ``text`` blocks that start with ``error:`` are what the command before them prints;
- ``yaml`` blocks with ``schema: 1`` are loaded as recipes.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w./-]+\.(?:py|yaml|toml))\n")


def blocks(page: Path) -> Iterator[tuple[str, str, int]]:
    """Yield (language, text, line of the first line) of every fenced block."""
    text = page.read_text("utf-8")
    for match in _BLOCK.finditer(text):
        yield match[1], match[2], text.count("\n", 0, match.start()) + 2


def does_something(language: str, text: str) -> bool:
    return bool(
        _FILE.match(text)
        or language == "python"
        or (language == "bash" and text.startswith("miso-gen"))
        or (language == "yaml" and "schema: 1\n" in text)
    )


def run_page(page: Path) -> None:
    """Do the blocks of a page in the current folder."""
    sys.path.insert(0, str(Path.cwd()))
    space: dict[str, Any] = {"__name__": "page"}
    printed = ""
    for language, text, line in blocks(page):
        file = _FILE.match(text)
        if file:
            _write(Path(file[1]), text)
        elif language == "python":
            exec(compile("\n" * (line - 1) + text, str(page), "exec"), space)
        elif language == "bash" and text.startswith("miso-gen"):
            for command in text.replace("\\\n", " ").splitlines():
                printed = _command(command)
        elif language == "text" and text.startswith("error:"):
            assert text == printed
        elif language == "yaml" and "schema: 1\n" in text:
            from miso_gen import load_recipe

            load_recipe(text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    if path.name == "pyproject.toml":
        import tomllib

        groups = tomllib.loads(text)["project"]["entry-points"]
        lines = [f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in points.items()) for group, points in groups.items()]
        folder = Path("page-1.0.dist-info")
        folder.mkdir()
        (folder / "entry_points.txt").write_text("\n".join(lines), "utf-8")


def _command(line: str) -> str:
    from click.testing import CliRunner

    from miso_gen.cli import main

    command, _, remark = line.partition("#")
    words = shlex.split(command)
    if not words:
        return ""
    assert words[0] == "miso-gen", line
    result = CliRunner().invoke(main, words[1:])
    print(f"$ {line}\n{result.output}")
    expected = int(remark.split()[1]) if remark.strip().startswith("exit ") else 0
    assert result.exit_code == expected, f"{line}: exit code {result.exit_code}\n{result.output}\n{result.exception!r}"
    return result.output


@pytest.mark.parametrize("page", [p for p in PAGES if any(does_something(*b[:2]) for b in blocks(p))], ids=lambda p: p.stem)
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, __file__, str(page)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        other = page if not target else (page.parent / target).resolve()
        assert other.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", other.read_text("utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in slugs, f"{target}#{anchor} of {slugs}"


def test_index_lists_every_page() -> None:
    text = (DOCS / "index.md").read_text("utf-8")
    assert {page.name for page in PAGES} - {"index.md"} == set(re.findall(r"\]\(([\w-]+\.md)\)", text))


# --- tables that say what the code says -------------------------------------------------------------------------------


def section(page: str, title: str) -> str:
    """Return the text below a heading, up to the next one of its rank or a higher one."""
    text = (DOCS / page).read_text("utf-8")
    match = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, f"{page} has no heading {title!r}"
    return match[2]


def table(text: str) -> dict[str, str]:
    """Return the first two columns of the first table whose first column holds code."""
    rows = re.findall(r"^\| `([^`]+)` \| (.*?) \|", text, re.MULTILINE)
    return {name: value.strip().strip("`") for name, value in rows}


def parameters(model: Any) -> dict[str, str]:
    """Return every field of a plug-in with its default as a recipe writes it."""
    from miso_gen.recipe.problems import NOTHING, shown
    from miso_gen.recipe.slots import default

    values = {name: default(model, name) for name in model.model_fields}
    return {
        name: "required" if value is NOTHING else value if isinstance(value, str) and value else shown(value, 1000)
        for name, value in values.items()
    }


def test_scenario_tables() -> None:
    from miso_gen.recipe import SCENARIOS
    from miso_gen.recipe.slots import default

    shared = table(section("scenarios.md", "What all of them have"))
    for name, model in SCENARIOS:
        text = section("scenarios.md", name)
        known = parameters(model)
        known.pop("deformations", None)
        if name == "md":
            (listed,) = (block for language, block, _ in blocks(DOCS / "scenarios.md") if block.startswith("deformations:"))
            assert yaml.safe_load(listed)["deformations"] == default(model, "deformations")
        listed = {key: value for key, value in shared.items() if key in known}
        assert {**listed, **table(text)} == known, name
        facts = re.search(r"Classes: (.*?)\. Evidence: (.*?)\. Shortcuts declared: (.*?)\.", text, re.DOTALL)
        assert facts is not None, name
        labels, evidence, shortcuts = (" ".join(fact.replace("`", "").split()) for fact in facts.groups())
        assert labels == ", ".join(f"{label} {title}" for label, title in enumerate(model.classes))
        assert evidence == model.evidence
        assert shortcuts == (", ".join(model.shortcuts) or "none")


def test_plug_in_tables() -> None:
    """Those that import, and what they import with, stand in imports.md: with what a recipe writes, not with what is found."""
    from miso_gen.recipe import BACKGROUNDS, BINARIZERS, DEFORMATIONS, MORPHOLOGIES, POINTS, RULES, TISSUES
    from miso_gen.recipe.importing import Importing

    shown = section("scenarios.md", "The plug-ins they use")
    brought = (DOCS / "imports.md").read_text("utf-8")
    for registry in (BACKGROUNDS, DEFORMATIONS, MORPHOLOGIES, POINTS, RULES, TISSUES, BINARIZERS):
        for name, model in registry:
            known, text = parameters(model), shown
            if issubclass(model, Importing):
                known = {**parameters(model.source), **{key: known[key] for key in known if key not in model.found}}
            if issubclass(model, Importing) or registry is BINARIZERS:
                text = brought
            rows = re.findall(rf"^\| `{name}` \| `(\w+)` \| (.*?) \|", text, re.MULTILINE)
            assert {key: value.strip().strip("`") for key, value in rows} == known, name


def test_cell_tables() -> None:
    """Every field of every type stands in the tables with its default, and no field that no type has."""
    from miso_gen.recipe import CELLS

    text = section("cells.md", "Numbers")
    listed = {(name, value.strip().strip("`")) for name, value in re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE)}
    assert listed == {pair for _, model in CELLS for pair in parameters(model).items()}
    names = section("cells.md", "Types")
    assert all(f"`{name}`" in names for name in CELLS.names())


def test_store_tables() -> None:
    from miso_gen.store.digests import ROOT_FIELDS
    from miso_gen.store.index import INDEX_COLUMNS
    from miso_gen.store.root import StoreRoot

    assert tuple(table(section("store-layout.md", "index.parquet")))[:-1] == INDEX_COLUMNS
    assert list(table(section("store-layout.md", "The root"))) == sorted(StoreRoot.__dataclass_fields__)
    assert ", ".join(f"`{name}`" for name in ROOT_FIELDS) in section("store-layout.md", "Digests").replace("\n", " ")


def test_commands_and_public_names() -> None:
    import miso_gen
    from miso_gen.cli import main

    commands = table(section("design.md", "Command line"))
    assert sorted(commands) == sorted(main.commands)
    names = table(section("design.md", "The public door"))
    assert sorted(names) == sorted(set(miso_gen.__all__) - {"__version__"})


def test_rooms() -> None:
    import tomllib

    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    rooms = {name.strip() for layer in layers for name in layer.split("|")}
    assert {name.strip("/").removesuffix(".py") for name in table(section("how-it-works.md", "The house"))} == rooms


if __name__ == "__main__":
    run_page(Path(sys.argv[1]).resolve())
    print(json.dumps({"done": sys.argv[1]}))
