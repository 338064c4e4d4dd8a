"""The tree of errors: what it says, what it exits with, how it travels between processes."""

from __future__ import annotations

import pickle
import re

import pytest

from miso_gen import errors
from miso_gen.errors import (
    InputError,
    MisoGenError,
    MissingExtraError,
    RefusedFilesError,
    UnknownNameError,
    WorkError,
    listing,
    suggestion,
)

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, Exception) and not issubclass(value, Warning)
}


def test_the_docstring_draws_the_tree() -> None:
    """Every class stands in the drawing, indented by its depth, below its parent, with its exit code."""
    drawn: list[tuple[int, str, int | None]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([ |`-]*)(\w+Error) .*?(?:exit (\d))?$", line)
        if match:
            drawn.append((len(match[1]) // 4, match[2], int(match[3]) if match[3] else None))
    assert {name for _, name, _ in drawn} == set(CLASSES)
    way: list[str] = []
    for depth, name, code in drawn:
        way[depth:] = [name]
        assert CLASSES[name].__bases__ == ((CLASSES[way[depth - 1]] if depth else Exception),)
        if code is not None:
            assert CLASSES[name].exit_code == code


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_exit_codes(name: str) -> None:
    cls = CLASSES[name]
    assert issubclass(cls, MisoGenError)
    wrong_input = issubclass(cls, InputError | MissingExtraError)
    assert cls.exit_code == (2 if wrong_input else 1)
    assert (cls.__doc__ or "").strip()


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"UnknownNameError", "MissingExtraError", "RefusedFilesError"}))
def test_errors_survive_pickling(name: str) -> None:
    back = pickle.loads(pickle.dumps(CLASSES[name]("what must be x, got y.")))
    assert (type(back), str(back)) == (CLASSES[name], "what must be x, got y.")


def test_unknown_name() -> None:
    error = UnknownNameError("scenario", "gsq", ["evp", "gsp"])
    assert str(error) == "scenario must be one of evp, gsp, got 'gsq'. Did you mean 'gsp'?"
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), back.kind, back.name, back.known) == (str(error), "scenario", "gsq", ("evp", "gsp"))
    assert str(UnknownNameError("scenario", "zzz", [])) == "scenario must be one of (none), got 'zzz'."


def test_refused_files() -> None:
    error = RefusedFilesError([("a.png", "must be a picture, got text. Save it again."), ("b.png", "must exist, got nothing.")])
    assert str(error) == "a.png must be a picture, got text. Save it again.\nb.png must exist, got nothing."
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.refused) == (RefusedFilesError, str(error), error.refused)


def test_warnings_are_not_errors() -> None:
    assert issubclass(errors.MisoGenWarning, UserWarning)
    assert not issubclass(errors.MisoGenWarning, MisoGenError)


def test_missing_extra_names_the_install_command() -> None:
    error = MissingExtraError("s3fs", "s3", "an s3:// address")
    assert "pip install 'miso-gen[s3]'" in str(error)
    assert "'s3fs'" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_work_errors_are_not_input_errors() -> None:
    assert not issubclass(WorkError, InputError)


def test_suggestion_and_listing() -> None:
    assert suggestion("teapto", ["canary", "teapot"]) == " Did you mean 'teapot'?"
    assert suggestion("qqq", ["canary", "teapot"]) == ""
    assert listing(["b", "a"]) == "b, a"
    assert listing(str(number) for number in range(40)).endswith("29, ... (40 in all)")
    assert listing([]) == "(none)"
