"""Small stores and their releases, built once. Tests must leave them as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import releasing

if TYPE_CHECKING:
    from pathlib import Path


def _build(factory: pytest.TempPathFactory, name: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:  # what is built once for all tests is built before any of them
        patch.setenv("MISO_GEN_CACHE", str(factory.getbasetemp() / "cache"))
        return releasing.build_store(factory.mktemp(name), name)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the libraries of Hugging Face off the network. They read a variable once, and it would stay for all other tests."""
    pytest.importorskip("datasets")
    places = ("huggingface_hub.constants.HF_HUB_OFFLINE", "datasets.config.HF_HUB_OFFLINE", "datasets.config.HF_DATASETS_OFFLINE")
    for place in places:
        monkeypatch.setattr(place, True)


@pytest.fixture(scope="session")
def colour_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory, "colour")


@pytest.fixture(scope="session")
def colour_release(colour_store: Path) -> Path:
    return releasing.release_store(colour_store, colour_store.parent / "release")


@pytest.fixture(scope="session")
def grey_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory, "grey")


@pytest.fixture(scope="session")
def grey_release(grey_store: Path) -> Path:
    return releasing.release_store(grey_store, grey_store.parent / "release")
