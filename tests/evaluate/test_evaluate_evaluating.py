"""An evaluation ends with tables whose numbers are those of the maps, and does nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from miso_gen.data import patch_table
from miso_gen.data.stitching import positive_cells
from miso_gen.errors import InputError, RecipeError, StoreError
from miso_gen.evaluate.classifying import classification
from miso_gen.evaluate.evaluating import SCORED, Evaluation, evaluate
from miso_gen.evaluate.keeping import read_results
from miso_gen.explain import network
from miso_gen.report.results import CLASSIFICATION, SCORES
from miso_gen.store import open_dataset
from miso_gen.store.maps import MapStore
from miso_gen.train import load_experiment, predicting

COMMAND = "miso-gen evaluate small"


def test_tables_have_their_columns_and_all_images(evaluation: Evaluation, store: Path) -> None:
    scores, classes = evaluation.results.scores, evaluation.results.classification
    assert tuple(scores.columns) == SCORES
    assert tuple(classes.columns) == CLASSIFICATION
    tests = open_dataset(store).table.query("split == 'test'")
    assert set(scores["image_id"]) == set(tests["image_id"])
    assert set(scores["explainer"]) == {"saliency", "random", "oracle", "ppm", "pcm"}
    assert set(scores["scenario"]) == {"evp", "gsp"}
    assert set(scores["binarizer"]) == {"", "two-mean", "mean-std"}
    assert not scores.duplicated([name for name in SCORES if name != "value"]).any()
    labels = tests.set_index("image_id")["label"]
    assert (scores["label"] == scores["image_id"].map(labels)).all()


def test_scores_are_those_of_the_stored_maps(evaluation: Evaluation, store: Path) -> None:
    maps, data = MapStore.open(evaluation.folder / "maps.zarr"), open_dataset(store)
    table = evaluation.results.scores
    for run in evaluation.results.runs:
        image_id = next(one for one in maps.ids(run.name, "saliency") if data.table.set_index("image_id").at[one, "label"] == 1)
        patches = patch_table(data, [image_id], size=32, background="keep")
        truth = positive_cells(patches, image_id, positive=2)
        map = np.nan_to_num(maps.read(run.name, "saliency", image_id).values)
        mask = map > 2 * map.mean()
        mine = table[(table["image_id"] == image_id) & (table["explainer"] == "saliency")]
        dice = mine[(mine["metric"] == "dice") & (mine["binarizer"] == "two-mean")]["value"].item()
        assert dice == pytest.approx(2 * (mask & truth).sum() / (mask.sum() + truth.sum()), nan_ok=True)
        raw = mine[mine["metric"] == "mae-raw"]["value"].item()
        assert raw == pytest.approx(np.abs(map - truth).mean(), rel=1e-5)


def test_the_oracle_is_perfect_and_empty_truth_is_undefined(evaluation: Evaluation, store: Path) -> None:
    table = evaluation.results.scores.query("explainer == 'oracle'")
    data = open_dataset(store)
    empty = {one for one in set(table["image_id"]) if not (data[one].truth[...] == 2).any()}
    assert empty  # intact images of gsp
    with_truth = table[~table["image_id"].isin(empty)].dropna(subset="value")
    dice = with_truth.query("metric == 'dice' and binarizer == 'mean-std'").set_index("image_id")["value"]
    for image_id, value in dice.items():
        share = positive_cells(patch_table(data, [image_id], size=32, background="keep"), image_id, positive=2).mean()
        assert value == (share < 0.5)  # mean + std never marks half of a map: the ceiling of the rule
    assert (with_truth.query("metric == 'auroc'")["value"] == 1).all()
    without = table[table["image_id"].isin(empty)]
    assert without.query("metric in ('dice', 'auroc')")["value"].isna().all()
    assert (without.query("metric == 'specificity'")["value"] == 1).all()


def test_predicted_classes_and_classification_are_those_of_the_tables(evaluation: Evaluation) -> None:
    for run in evaluation.results.runs:
        folder = next((evaluation.folder / "trained").glob(f"{run.scenario}-*"))
        images = pd.read_parquet(folder / "predictions" / "test" / "images.parquet")
        first = images[images["rule"] == "top-k-majority"].set_index("image_id")["predicted"]
        mine = evaluation.results.scores[evaluation.results.scores["scenario"] == run.scenario]
        assert (mine["predicted"].astype(int) == mine["image_id"].map(first)).all()
        said = evaluation.results.classification.query(f"scenario == '{run.scenario}' and rule == 'top-k-majority'")
        rows = images[images["rule"] == "top-k-majority"]
        assert said.query("metric == 'accuracy'")["value"].item() == (rows["predicted"] == rows["label"]).mean()
        hot, cold = (rows[rows["label"] == label]["probability"].to_numpy() for label in (1, 0))
        auroc = np.mean([(a > b) + 0.5 * (a == b) for a in hot for b in cold])
        assert said.query("metric == 'auroc'")["value"].item() == pytest.approx(auroc)
        patches = pd.read_parquet(folder / "predictions" / "test" / "patches.parquet")
        patch = evaluation.results.classification.query(
            f"scenario == '{run.scenario}' and level == 'patch' and metric == 'accuracy'"
        )
        assert patch["value"].item() == pytest.approx((patches["predicted"] == patches["label"]).mean())
        assert patch["low"].item() <= patch["value"].item() <= patch["high"].item()
        assert patch["n"].item() == len(patches)


def test_intervals_are_undefined_where_there_is_one_image() -> None:
    rows = pd.DataFrame({"image_id": ["a"], "label": [1], "rule": ["network"], "probability": [0.7], "predicted": [1]})
    found = classification(rows, None, {"dataset": "d"})
    assert found[["low", "high"]].isna().all(axis=None)
    assert found.set_index("metric").at["accuracy", "value"] == 1.0
    assert np.isnan(found.set_index("metric").at["auroc", "value"])


def test_nothing_is_done_twice_and_other_metrics_ask_no_network(
    plan: dict[str, Any], evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a network was asked")

    monkeypatch.setattr(predicting, "all_logits", refuse)
    monkeypatch.setattr(network.Network, "write", refuse)
    again = evaluate(load_experiment(plan), evaluation.folder, command=COMMAND, report=False)
    assert again.cached == {"networks": 2, "predictions": 2, "scores": 10}
    pd.testing.assert_frame_equal(again.results.scores, evaluation.results.scores)
    other = evaluate(load_experiment({**plan, "score": ["jaccard"]}), evaluation.folder, command=COMMAND, report=False)
    assert other.cached["scores"] == 0
    assert set(other.results.scores["metric"]) == {"jaccard"}
    evaluate(load_experiment(plan), evaluation.folder, command=COMMAND, report=False)  # leaves it as other tests want it


def test_broken_scores_are_made_anew(plan: dict[str, Any], evaluation: Evaluation) -> None:
    file = next((evaluation.folder / SCORED).rglob("saliency.json"))
    file.write_text("{")
    again = evaluate(load_experiment(plan), evaluation.folder, command=COMMAND, report=False)
    assert again.cached["scores"] == 9
    pd.testing.assert_frame_equal(again.results.scores, evaluation.results.scores)


def test_results_are_read_again(evaluation: Evaluation) -> None:
    found = read_results(evaluation.folder)
    pd.testing.assert_frame_equal(found.scores, evaluation.results.scores)
    assert found.runs == evaluation.results.runs or [run.name for run in found.runs] == [
        run.name for run in evaluation.results.runs
    ]
    assert found.command == COMMAND
    assert evaluation.report is not None
    assert evaluation.report.is_file()
    with pytest.raises(StoreError, match="Evaluate first"):
        read_results(evaluation.folder / "trained")


def test_everything_is_checked_before_any_work(plan: dict[str, Any], tmp_path: Path) -> None:
    for wrong, error in (
        ({"score": ["dise"]}, RecipeError),
        ({"explain": [{"type": "salency"}]}, RecipeError),
        ({"explain": [{"type": "saliency"}, {"type": "saliency"}]}, RecipeError),
        ({"dataset": str(tmp_path / "none")}, StoreError),
        ({"train": {**plan["train"], "keep": "best"}, "splits": {"share": 0.0}}, InputError),
    ):
        with pytest.raises(error):
            evaluate(load_experiment({**plan, **wrong}), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_results_say_what_they_are_of(evaluation: Evaluation, store: Path) -> None:
    results = evaluation.results
    assert results.digests["dataset"] == open_dataset(store).root_digest
    assert results.explainers["saliency"]["type"] == "saliency"
    assert results.patches is not None
    assert results.patches["size"] == 32
    said = json.loads((evaluation.folder / "evaluation.json").read_text())
    assert set(said["seconds"]) == {"train", "predict", "explain", "score", "report"}
