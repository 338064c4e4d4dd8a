"""Registries: found by existing, refused when unknown or twice."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

import miso_gen.registry as module
from miso_gen.errors import UnknownNameError
from miso_gen.registry import Registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function: name, {module: source} -> an importable package of that name."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, modules: dict[str, str]) -> str:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(
            "from miso_gen.registry import Registry\nTHINGS = Registry('thing', __name__)\n"
        )
        for file, source in modules.items():
            (tmp_path / name / f"{file}.py").write_text(f"from {name} import THINGS\n{source}\n")
        importlib.invalidate_caches()
        return name

    before = set(sys.modules)
    yield make
    for name in set(sys.modules) - before:
        del sys.modules[name]


ALPHA = "@THINGS.register('alpha')\nclass Alpha: pass"
BETA = "@THINGS.register('beta')\nclass Beta: pass"


def test_modules_are_found_by_existing(package: Any) -> None:
    things = importlib.import_module(package("found", {"b": BETA, "a": ALPHA})).THINGS
    assert things.names() == ("alpha", "beta")
    assert [name for name, _ in things] == ["alpha", "beta"]
    assert things.get("alpha").type_name == "alpha"
    assert things.get("alpha").__module__ == "found.a"
    assert "beta" in things
    assert "gamma" not in things


@pytest.mark.parametrize("ask", [lambda r: r.get("alpha"), lambda r: r.names(), lambda r: list(r), lambda r: "alpha" in r])
def test_every_question_looks_first(package: Any, ask: Any) -> None:
    assert ask(importlib.import_module(package("asked", {"a": ALPHA})).THINGS)


def test_unknown_names_list_the_known_ones_and_guess_the_typo(package: Any) -> None:
    things = importlib.import_module(package("typo", {"a": ALPHA, "b": BETA})).THINGS
    with pytest.raises(UnknownNameError, match=r"thing must be one of alpha, beta, got 'aplha'\. Did you mean 'alpha'\?"):
        things.get("aplha")
    with pytest.raises(UnknownNameError, match="thing must be one of alpha, beta, got"):
        things.get(["alpha"])


def test_two_classes_of_one_name_are_refused(package: Any) -> None:
    things = importlib.import_module(package("twice", {"a": ALPHA, "b": BETA.replace("'beta'", "'alpha'")})).THINGS
    with pytest.raises(ValueError, match=r"thing 'alpha' is registered twice: by twice\.a and by twice\.b"):
        things.names()


def test_two_classes_of_one_name_are_refused_whatever_they_are_called(package: Any) -> None:
    # Two plug-ins, of two files, whose classes happen to be called the same: the second must not replace the first silently.
    things = importlib.import_module(package("same", {"a": ALPHA, "b": ALPHA})).THINGS
    with pytest.raises(ValueError, match="thing 'alpha' is registered twice"):
        things.names()


def test_a_module_that_is_imported_again_registers_again(package: Any) -> None:
    things = importlib.import_module(package("again", {"a": ALPHA})).THINGS
    first = things.get("alpha")
    importlib.reload(sys.modules["again.a"])
    assert things.get("alpha") is not first
    assert things.names() == ("alpha",)


def test_entry_points_of_third_parties(package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    things = importlib.import_module(package("home", {"a": ALPHA})).THINGS
    asked = []

    class Point:
        name = "guest"

        def load(self) -> None:
            things.register("guest")(type("Guest", (), {}))

    def points(*, group: str) -> list[Point]:
        asked.append(group)
        return [Point()]

    monkeypatch.setattr(module, "entry_points", points)
    assert things.names() == ("alpha", "guest")
    assert asked == ["miso_gen.home"]


def test_groups_are_named_after_the_family() -> None:
    assert Registry("scenario", "miso_gen.scene.scenarios").group == "miso_gen.scenarios"
    assert Registry("scenario", "a.b", group="other").group == "other"


def test_looking_up_does_not_import_before_it_is_asked(package: Any) -> None:
    importlib.import_module(package("lazy", {"a": ALPHA}))
    assert "lazy.a" not in sys.modules
