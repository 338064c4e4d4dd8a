"""What the tests of training share: a small store, a tiny network, one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from building import small
from tiny_network import NAME, registered

from miso_gen.build import build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package", autouse=True)
def tiny() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight training and eight test images of evp, 300 x 280 px; 592 training patches of 32 px."""
    folder = tmp_path_factory.mktemp("store")
    build(small(scenarios=["evp"]), folder, workers=1, chunk=128)
    return folder


@pytest.fixture
def plan(store: Path) -> Callable[..., dict[str, Any]]:
    """Return a function that writes a small experiment; keywords go to its block ``train``, others to ``rest``."""

    def write(rest: dict[str, Any] | None = None, **train: Any) -> dict[str, Any]:
        return {
            "schema": 1,
            "dataset": str(store),
            "patches": {"size": 32},
            "splits": {"share": 0.25},
            "models": [NAME],
            "train": {"epochs": 2, "batch": 16, "lr": 0.01, "subset": {"patches": 100}, **train},
            **(rest or {}),
        }

    return write
