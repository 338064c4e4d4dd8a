"""Builds of what users bring: the store holds it, and can be built again where the files never were."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import brought
import pytest
import yaml
from building import COMMAND

from miso_gen import contents
from miso_gen.build import build
from miso_gen.errors import MisoGenWarning
from miso_gen.recipe import load_recipe
from miso_gen.store import open_dataset, validate_store


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Write a recipe of every plug-in that imports, and its files, to a folder."""
    folder = tmp_path / "mine"
    folder.mkdir()
    content = {
        "schema": 1,
        "name": "mine",
        "canvas": {"shape": [256, 256]},
        "splits": ["train", "test"],
        "scenarios": [
            {"type": "evp", "morphologies": brought.shapes(folder)},
            {"type": "evsp", "radius_px": 4, "morphologies": brought.shapes(folder), "points": brought.coordinates(folder)},
            {"type": "tissue", "tissue": brought.masks(folder)},
        ],
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(content))
    return folder / "mine.yaml"


def elsewhere(tmp_path: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command in another folder, with another cache, which is empty."""
    folder = tmp_path / "elsewhere"
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "MISO_GEN_CACHE": str(tmp_path / "other-cache")}
    return subprocess.run([COMMAND, *map(str, command)], cwd=folder, env=environment, capture_output=True, text=True)


def files(store: Path) -> dict[str, bytes]:
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}


def test_a_store_is_built_again_in_another_place_with_the_files_gone(recipe: Path, tmp_path: Path) -> None:
    first = build(recipe, tmp_path / "out", workers=1)
    assert first.root_digest
    assert validate_store(tmp_path / "out") == []
    shutil.rmtree(recipe.parent)
    shutil.copytree(tmp_path / "out", tmp_path / "brought")
    shutil.rmtree(tmp_path / "out")
    done = elsewhere(tmp_path, "build", tmp_path / "brought", "-o", "again", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert first.root_digest in done.stdout
    assert files(tmp_path / "elsewhere/again") == files(tmp_path / "brought")
    # a recipe and its imports are enough
    light = tmp_path / "light"
    light.mkdir()
    shutil.copy(tmp_path / "brought/recipe.yaml", light / "renamed.yaml")
    shutil.copytree(tmp_path / "brought/imports", light / "imports")
    done = elsewhere(tmp_path, "build", light / "renamed.yaml", "-o", "third", "--workers", "1")
    assert first.root_digest in done.stdout, done.stderr


def test_workers_need_the_store_alone(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = build(recipe, tmp_path / "one", workers=1).root_digest
    loaded = load_recipe(recipe)
    monkeypatch.setenv("MISO_GEN_CACHE", str(tmp_path / "empty"))
    shutil.rmtree(recipe.parent)
    assert build(loaded, tmp_path / "two", workers=2).root_digest == expected
    assert not (tmp_path / "empty").exists()


def test_what_is_kept_is_not_read_again(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(recipe, tmp_path / "out", workers=1)
    changed = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.npz")}
    again = build(recipe, tmp_path / "out", workers=1)
    assert again.kept == again.images
    assert changed == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.npz")}


def test_the_root_lists_the_imports_and_validation_looks_at_them(recipe: Path, tmp_path: Path) -> None:
    build(recipe, tmp_path / "out", workers=1)
    listed = open_dataset(tmp_path / "out").root.imports
    there = sorted((tmp_path / "out/imports").iterdir())
    assert [path.stem for path in there] == list(listed)
    there[0].write_bytes(there[1].read_bytes())
    there[2].unlink()
    problems = validate_store(tmp_path / "out")
    assert [problem.rule for problem in problems] == ["imports_are_there"] * 2
    assert listed[0] in str(problems[0])
    assert listed[2] in str(problems[1])
    contents._memory.clear()
    done = elsewhere(tmp_path, "build", tmp_path / "out", "-o", "again")
    assert done.returncode == 2
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_commands_know_a_store_of_imports(recipe: Path, tmp_path: Path) -> None:
    build(recipe, tmp_path / "out", workers=1)
    shutil.rmtree(recipe.parent)
    store = tmp_path / "out"
    for command in (
        ("info", store),
        ("check", store),
        ("plan", store),
        ("preview", store, "-o", "sheet.png", "--side", "32"),
        ("view", store, "tissue/test/0001"),
    ):
        done = elsewhere(tmp_path, *command)
        assert done.returncode == 0, done.stderr


def test_a_broken_file_leaves_nothing(recipe: Path, tmp_path: Path) -> None:
    (recipe.parent / "shapes/disc.png").write_bytes(b"no picture")
    done = elsewhere(tmp_path, "build", recipe, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "disc.png" in done.stderr
    assert "mine.yaml:" in done.stderr
    assert not (tmp_path / "out").exists()


def test_warnings_are_lines(recipe: Path, tmp_path: Path) -> None:
    (recipe.parent / "cells.csv").write_text("mask,id,type\nmasks/00.npy,1,t\n")
    text = yaml.safe_load(recipe.read_text())
    text["scenarios"][2]["tissue"]["cells"] = {"table": "cells.csv", "telling": ["t"]}
    recipe.write_text(yaml.safe_dump(text))
    with pytest.warns(MisoGenWarning, match="lists no cell of 9 of 10 masks"):
        load_recipe(recipe)
    done = elsewhere(tmp_path, "plan", recipe)
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if line] == [
        "warning: cells.csv lists no cell of 9 of 10 masks: none of these cells is evidence."
    ]
