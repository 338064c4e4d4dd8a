"""What the tests of reports share: a small store with maps, made-up scores, and one browser."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from building import small

from miso_gen.build import build
from miso_gen.report.pages import Report, write_report
from miso_gen.report.results import CLASSIFICATION, NULLS, SCORES, Results, Run
from miso_gen.store import open_dataset
from miso_gen.store.map_group import MapGroup
from miso_gen.store.maps import MapStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

CELL = 16
EXPLAINERS = {"saliency": ("ssm", "grid"), "gradcam": ("pixel", "pixel"), "ppm": ("ppm", "grid"), "pcm": ("pcm", "grid")}
METRICS = {"two-mean": ("f-beta", "dice", "specificity", "scag-dist", "own-score", "e-measure-legacy"), "": ("auroc", "mae")}
MASKED = {"": ("f-beta", "dice", "specificity", "scag-dist", "e-measure-legacy")}  # of PPM, which is a mask already
LOWER = ("scag-dist", "mae")
GOODNESS = {
    "saliency": 0.62,
    "gradcam": 0.5,
    "ppm": 0.7,
    "pcm": 0.66,
    "oracle": 0.95,
    "random": 0.2,
    "center": 0.3,
    "input": 0.25,
}


def _scores(results_table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return made-up scores of two networks and two trainings; null explainers and oracle stand without a network."""
    rows: list[dict[str, Any]] = []
    for number, image in enumerate(results_table.itertuples(index=False)):
        for model in ("vgg-att", "tiny <&> one"):
            for seed in (0, 1):
                for explainer in ("saliency", "gradcam", "ppm"):
                    kind, at = EXPLAINERS[explainer]
                    rows += _of(image, model, seed, explainer, kind, at, rng, predicted=int(image.label) ^ (number % 4 == 0))
        for explainer in (*NULLS[:1], *NULLS[2:3], "input", "oracle"):
            for at in ("grid", "pixel"):
                rows += _of(image, "", None, explainer, "patch" if at == "grid" else "pixel", at, rng, predicted=None)
    table = pd.DataFrame(rows, columns=list(SCORES))
    table["predicted"] = table["predicted"].astype("Int64")
    return table


def _of(
    image: Any, model: str, seed: int | None, explainer: str, kind: str, at: str, rng: np.random.Generator, predicted: int | None
) -> Iterator[dict[str, Any]]:
    for positive in (1, 2):
        for binarizer, metrics in (MASKED if kind == "ppm" else METRICS).items():
            for metric in metrics:
                goodness = float(np.clip(rng.normal(GOODNESS[explainer], 0.02 if explainer == "oracle" else 0.12), 0, 1))
                value = 1 - goodness if metric in LOWER else goodness
                share = image.truth_1_share if positive == 1 else image.truth_2_share
                if (share == 0 and metric != "specificity") or rng.random() < 0.04:
                    value = math.nan
                yield {
                    "dataset": "small", "version": "1.0.0", "scenario": image.scenario, "split": "test",
                    "image_id": image.image_id, "label": image.label, "predicted": predicted, "model": model, "seed": seed,
                    "explainer": explainer, "kind": kind, "at": at, "binarizer": binarizer, "positive": positive,
                    "metric": metric, "value": value,
                }  # fmt: skip


def _classification(scenarios: list[str]) -> pd.DataFrame:
    rows = []
    for scenario in scenarios:
        for model in ("vgg-att", "tiny <&> one"):
            for seed in (0, 1):
                for place, (level, rule) in enumerate([("patch", ""), ("image", "top-k-majority"), ("image", "all-max")]):
                    for metric, value in (("auroc", 0.9 - 0.1 * place - 0.01 * seed), ("accuracy", 0.8 - 0.1 * place)):
                        edges = (value - 0.05, value + 0.04) if level == "image" else (math.nan, math.nan)
                        base = ["small", "1.0.0", scenario, "test", model, seed, level, rule, metric, value]
                        rows.append([*base, *edges, 400 if level == "patch" else 8])
    return pd.DataFrame(rows, columns=list(CLASSIFICATION))


def _write_maps(store: MapStore, dataset: Any, ids: list[str], rng: np.random.Generator) -> None:
    for run in ("gsp-vgg-att-0", "gsp-tiny-0"):
        for explainer, (kind, at) in EXPLAINERS.items():
            cell = CELL if at == "grid" else None
            store.add_group(MapGroup(run, explainer, {"type": explainer, "scale": "none"}, kind, at, cell))  # type: ignore[arg-type]
            for image_id in ids:
                truth = dataset[image_id].truth.all() >= 1
                height, width = truth.shape
                if at == "pixel":
                    values = truth * 0.6 + rng.random(truth.shape) * 0.5
                else:
                    cells = truth[: height // CELL * CELL, : width // CELL * CELL]
                    cells = cells.reshape(height // CELL, CELL, -1, CELL).mean((1, 3))
                    values = np.clip(cells * 0.8 + 0.2 * rng.random(cells.shape), 0, 1)
                    values = (values > 0.5).astype(float) if explainer == "ppm" else values
                    values[0, :3] = np.nan
                store.write(run, explainer, image_id, values, target=1)


@dataclass(frozen=True)
class Written:
    """A report, and what it was made of."""

    results: Results
    report: Report
    folder: Path


@pytest.fixture(scope="package")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Results of two networks on ``gsp`` (of which class 0 has no evidence) and ``evp``, which has scores but no maps."""
    folder = tmp_path_factory.mktemp("report")
    build(small(scenarios=["gsp", "evp"], splits=["test"]), folder / "store", workers=1, chunk=128)
    dataset = open_dataset(folder / "store")
    rng = np.random.default_rng(7)
    facts = {"name": dataset.name, "version": dataset.version, "root_digest": dataset.root_digest}
    store = MapStore.create(folder / "maps.zarr", dataset=facts)
    table = dataset.table
    _write_maps(store, dataset, table["image_id"][table["scenario"] == "gsp"].tolist(), rng)
    record = {"parameters": 12345, "epochs": 3, "seconds": 4.5, "device": "a <device>", "versions": {"torch": "2.0"}}
    runs = [
        Run(model, scenario, seed, f"{scenario}-{name}-{seed}", record)
        for model, name in (("vgg-att", "vgg-att"), ("tiny <&> one", "tiny"))
        for scenario in ("gsp", "evp")
        for seed in (0, 1)
    ]
    return Results(
        scores=_scores(table, rng),
        classification=_classification(["gsp", "evp"]),
        dataset=dataset,
        maps=[store],
        runs=runs,
        explainers={"saliency": {"type": "saliency", "channels": "max"}},
        patches={"size": 2 * CELL, "shift": "half"},
        experiment={"schema": 1, "train": {"epochs": 3}},
        command="miso-gen evaluate experiment.yaml --set 'a=<b>'",
        problems=["gsp/test/0099 has no map. Save it as gsp/test/0099.npy."],
        digests={"scores": "ab" * 32},
    )


@pytest.fixture(scope="package")
def written(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("pages") / "report"
    return Written(results, write_report(results, folder), folder)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()
