"""What the tests of evaluation share: two small stores, a tiny network, one thread, and one evaluation of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from building import small
from tiny_network import NAME, registered

from miso_gen.build import build
from miso_gen.evaluate.evaluating import Evaluation, evaluate
from miso_gen.train import load_experiment

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    """Eight training and eight test images of evp and of gsp, 300 x 280 px."""
    folder = tmp_path_factory.mktemp("evaluated")
    build(small(scenarios=["evp", "gsp"]), folder, workers=1, chunk=128)
    return folder


@pytest.fixture(scope="package")
def plan(store: Path) -> dict[str, Any]:
    """A small experiment."""
    return {
        "schema": 1,
        "dataset": str(store),
        "patches": {"size": 32},
        "splits": {"share": 0.25},
        "models": [NAME],
        "train": {"epochs": 1, "batch": 16, "lr": 0.01, "subset": {"patches": 48}},
        "explain": [{"type": "saliency"}, {"type": "random"}, {"type": "oracle", "positive": 2}],
        "score": {"metrics": ["dice", "auroc", "mae", "specificity", "five-band-accuracy"], "binarize": ["two-mean", "mean-std"]},
    }


@pytest.fixture(scope="package")
def evaluation(plan: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return evaluate(load_experiment(plan), tmp_path_factory.mktemp("run"), command="miso-gen evaluate small")
