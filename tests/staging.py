"""What the tests of the stage that explains share: a small store, experiments on it, and a watcher that stops the work."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from building import small
from tiny_network import NAME, registered

from miso_gen.build import build
from miso_gen.explain.experiment import check_explain
from miso_gen.train import load_experiment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miso_gen.store.maps import MapStore
    from miso_gen.train import Experiment

MODEL = f"evp-{NAME}-0"  #: name of the network of :func:`plan`


@pytest.fixture(autouse=True, scope="module")
def tiny() -> Iterator[None]:
    """One thread, and a tiny network under its name."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with registered():
        yield
    torch.set_num_threads(threads)


@cache
def _built(folder: Path) -> Path:
    build(small(scenarios=["evp", "gsp"]), folder, workers=1, chunk=128)
    return folder


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight training and eight test images of evp, and of gsp, 300 x 280 px, made once for all modules."""
    return _built(tmp_path_factory.getbasetemp() / "explained-store")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that all modules share, so that equal networks are trained once."""
    return tmp_path_factory.getbasetemp() / "explained-runs"


def plan_text(store: Path, *explain: Any, rest: dict[str, Any] | None = None, **train: Any) -> dict[str, Any]:
    """Return a small experiment as plain data; keywords go to its block ``train``."""
    return {
        "schema": 1,
        "dataset": str(store),
        "scenarios": ["evp"],
        "patches": {"size": 32},
        "splits": {"share": 0.25},
        "models": [NAME],
        "train": {"epochs": 1, "batch": 16, "lr": 0.01, "subset": {"patches": 100}, **train},
        "explain": list(explain),
        **(rest or {}),
    }


def plan(store: Path, *explain: Any, rest: dict[str, Any] | None = None, **train: Any) -> Experiment:
    """Return a small experiment."""
    return load_experiment(plan_text(store, *explain, rest=rest, **train), checks=(check_explain,))


def digests(store: MapStore) -> dict[tuple[str, str, str], str]:
    """Return the digest of every map."""
    return {
        (model, explainer, image): store.about(model, explainer, image)["digest"]
        for model in store.models()
        for explainer in store.explainers(model)
        for image in store.ids(model, explainer)
    }


class Stopper:
    """A watcher that raises after so many images."""

    def __init__(self, after: int) -> None:
        self.left, self.lines = after, list[str]()

    def start(self, what: str, total: int) -> None:
        pass

    def step(self, what: str, count: int = 1) -> None:
        if "," in what:  # of images, not of a training
            self.left -= count
            if self.left < 0:
                raise KeyboardInterrupt

    def say(self, line: str) -> None:
        self.lines.append(line)
