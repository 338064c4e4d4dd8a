"""Packages whose names are imported on first use."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import pytest

from miso_gen.errors import MissingExtraError
from miso_gen.lazy import lazy_names


@pytest.mark.parametrize("room", ["data", "explain", "metrics", "models", "report", "store", "train"])
def test_every_name_of_a_room_is_there(room):
    package = importlib.import_module(f"miso_gen.{room}")
    assert dir(package) == sorted(package.__all__)
    modules = {one.name for one in pkgutil.iter_modules(package.__path__)}
    assert not modules & set(package.__all__)  # a module hides the name once it is imported
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match=f"module 'miso_gen.{room}' has no attribute 'nothing'"):
        _ = package.nothing


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "toys_of_lazy"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "ball.py").write_text("import a_heavy_package.inner\nball = 1\n")
    (folder / "kite.py").write_text("import a_typo\nkite = 2\n")
    (folder / "yoyo.py").write_text("yoyo = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("toys_of_lazy")
    for name in [name for name in sys.modules if name.startswith("toys_of_lazy")]:
        del sys.modules[name]


def test_missing_packages_name_their_extra(package):
    homes = {"ball": ("ball",), "kite": ("kite",), "yoyo": ("yoyo",)}
    get, names = lazy_names("toys_of_lazy", homes, extra="toys", packages=("a_heavy_package",))
    assert names() == ["ball", "kite", "yoyo"]
    assert get("yoyo") == 3
    assert package.yoyo == 3  # found without asking from now on
    with pytest.raises(MissingExtraError, match=r"toys_of_lazy\.ball needs the package 'a_heavy_package'.*miso-gen\[toys\]"):
        get("ball")
    with pytest.raises(ModuleNotFoundError, match="a_typo"):
        get("kite")
