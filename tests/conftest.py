"""What all tests share: golden numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable

settings.register_profile("unhurried", deadline=None)  # no test is about time
settings.load_profile("unhurried")

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what is found to tests/golden instead of comparing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, dict[str, Any]], None]:
    """Return a function that compares JSON-able values by key with ``tests/golden/<name>.json``.

    ``pytest --update-golden`` writes the values instead; then look at the difference, and say in the changelog why it is right.
    """

    def check(name: str, found: dict[str, Any]) -> None:
        path = GOLDEN / f"{name}.json"
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if request.config.getoption("--update-golden"):
            path.write_text(json.dumps({**known, **found}, indent=1, sort_keys=True) + "\n", "utf-8")
            return
        assert {key: known.get(key) for key in found} == found

    return check


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep imports of the tests out of the user's cache."""
    monkeypatch.setenv("MISO_GEN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
