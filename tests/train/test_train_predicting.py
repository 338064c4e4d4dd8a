"""Predictions: tables of patches and images, maps, and where a network says so itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_network import NAME

from miso_gen.data import ImageDataset, PatchDataset
from miso_gen.errors import InputError, OutputError
from miso_gen.metrics import DECISIONS
from miso_gen.metrics.patch_maps import PredictionMaps, legacy_prediction_maps
from miso_gen.store import MapGroup, MapStore, open_dataset
from miso_gen.train import TrainedModel, predict, train


@pytest.fixture(scope="module")
def run(store, tmp_path_factory) -> TrainedModel:
    """A network of patches, trained for an epoch."""
    plan = {
        "schema": 1,
        "dataset": str(store),
        "patches": {"size": 32},
        "splits": {"share": 0.25},
        "models": [NAME],
        "train": {"epochs": 1, "batch": 16, "lr": 0.003, "subset": {"patches": 100}},
    }
    return train(plan, tmp_path_factory.mktemp("runs"))[0]


def stored(found, explainer, image):
    """The one map of an image that a prediction left in its store."""
    store = MapStore.open(found.folder / "maps.zarr")
    (model,) = store.models()
    return store.read(model, explainer, image, verify=True)


def literal_map(frame, column, height, width):
    """Mean over the patches that cover each cell of 16 px, cell by cell."""
    rows, cols = height // 16, width // 16
    out = np.full((rows, cols), np.nan)
    for i in range(rows):
        for j in range(cols):
            covering = [
                value
                for row, col, value in zip(frame["row"], frame["col"], frame[column], strict=True)
                if row <= i * 16 < row + 32 and col <= j * 16 < col + 32
            ]
            if covering:
                out[i, j] = np.mean(covering)
    return out


def test_every_patch_has_its_logits(run, store):
    found = predict(run)
    patches = PatchDataset(store, split="test", size=32)
    assert len(found.patches) == len(patches)
    model = run.load()
    with torch.no_grad():
        logits = model(torch.stack([patches[number]["image"] for number in range(len(patches))]))
    assert (
        found.patches[["row", "col", "label"]].to_numpy().tolist()
        == np.stack([patches.table.row, patches.table.col, patches.table.label], 1).tolist()
    )
    np.testing.assert_allclose(found.patches[["logit_0", "logit_1"]].to_numpy(), logits.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.patches[["probability_0", "probability_1"]].sum(axis=1), 1.0)
    assert (found.patches["predicted"] == (found.patches["logit_1"] > found.patches["logit_0"])).all()


def test_tables_and_maps_are_written(run):
    found = predict(run, legacy=True)
    assert found.folder == run.folder / "predictions" / "test"
    pd.testing.assert_frame_equal(pd.read_parquet(found.folder / "images.parquet"), found.images)
    pd.testing.assert_frame_equal(pd.read_parquet(found.folder / "patches.parquet"), found.patches)
    assert found.maps == ("ppm", "pcm", "ppm-legacy", "pcm-legacy")
    maps = MapStore.open(found.folder / "maps.zarr")
    assert maps.models() == (run.name,) == ("evp-tiny-for-tests-0",)
    assert set(maps.explainers(run.name)) == set(found.maps)
    for explainer in found.maps:
        assert maps.ids(run.name, explainer) == tuple(sorted(run.task.ids["test"]))
        group = maps.group(run.name, explainer)
        assert (group.kind, group.at, group.cell_px) == (explainer.removesuffix("-legacy"), "grid", 16)
        assert group.signed is explainer.endswith("-legacy")
        assert group.facts["run"] == run.record["digest"]
    assert maps.dataset == run.record["dataset"]
    assert len(found.images) == 8 * 12
    assert set(found.images["rule"]) == set(DECISIONS.names())
    assert set(predict(run).images["rule"]) == {name for name, rule in DECISIONS if not rule.legacy}


def test_maps_and_rules_follow_from_the_patches(run, store):
    found = predict(run, legacy=True)
    dataset = open_dataset(store)
    table = PatchDataset(store, split="test", size=32).table
    for image in ("evp/test/0001", "evp/test/0006"):
        _, height, width = dataset[image].shape
        mine = found.patches[found.patches["image_id"] == image]
        pcm = literal_map(mine, "probability_1", height, width)
        ppm = np.where(np.isnan(pcm), np.nan, pcm >= 0.5)
        np.testing.assert_allclose(stored(found, "pcm", image).values, pcm, atol=1e-6)
        np.testing.assert_array_equal(stored(found, "ppm", image).values, ppm)
        maps = PredictionMaps(torch.from_numpy(ppm.astype(np.float64)), torch.from_numpy(pcm))
        legacy = legacy_prediction_maps(table, found.patches["probability_1"].to_numpy(), image)
        np.testing.assert_allclose(stored(found, "pcm-legacy", image).values, legacy.pcm.numpy(), atol=1e-6)
        rows = found.images[found.images["image_id"] == image].set_index("rule")
        label = dataset.table.set_index("image_id").at[image, "label"]
        for name, rule in DECISIONS:
            expected = float(rule().probability(legacy if rule.legacy else maps))
            assert rows.at[name, "probability"] == pytest.approx(expected)
            assert rows.at[name, "predicted"] == int(expected >= 0.5)
            assert rows.at[name, "label"] == label


def test_maps_may_speak_of_the_other_class(run):
    hot = stored(predict(run), "pcm", "evp/test/0001")
    cold = stored(predict(run, run.folder / "other", positive=0), "pcm", "evp/test/0001")
    assert (hot.target, cold.target) == (1, 0)
    np.testing.assert_allclose(hot.values + cold.values, np.where(np.isnan(hot.values), np.nan, 1.0), atol=1e-6)


def test_later_predictions_replace_earlier_ones(run, store, tmp_path):
    first = predict(run, tmp_path, legacy=True)
    theirs = MapGroup(run.name, "saliency", {"type": "saliency"}, "pixel", "pixel")
    MapStore.open(first.folder / "maps.zarr").add_group(theirs)
    assert stored(first, "pcm", "evp/test/0001").group.facts["part"] == "test"
    again = predict(run, tmp_path, part="validation", positive=0)
    maps = MapStore.open(again.folder / "maps.zarr")
    assert maps.explainers(run.name) == ("pcm", "ppm", "saliency")
    assert maps.ids(run.name, "pcm") == tuple(sorted(run.task.ids["validation"]))
    assert maps.group(run.name, "pcm").facts["positive"] == 0


def test_maps_of_another_data_set_stay(run, tmp_path):
    there = MapStore.create(tmp_path / "maps.zarr", dataset={"name": "other", "version": "1", "root_digest": None})
    with pytest.raises(OutputError, match=r"must hold maps of .*, got another name, 'other' instead of"):
        predict(run, tmp_path)
    assert MapStore.open(there.path).dataset["name"] == "other"


def test_the_part_decides_the_images(run):
    assert set(predict(run, part="validation").images["image_id"]) == set(run.task.ids["validation"])
    assert set(predict(run, part="validation").images["split"]) == {"train"}


def test_networks_of_images_decide_themselves_and_show_where(plan, tmp_path, store):
    (run,) = train(plan(reads="image", subset=None, batch=3, epochs=1), tmp_path)
    found = predict(run)
    model, images = run.load(), ImageDataset(store, split="test")
    assert found.patches is None
    assert found.maps == ("heatmap",)
    for number in range(len(images)):
        item, row = images[number], found.images.iloc[number]
        with torch.no_grad():
            logits = model(item["image"][None])[0]
            heat = model.heatmap(item["image"][None])[0]
        assert (row["image_id"], row["label"], row["rule"]) == (item["image_id"], item["label"], "network")
        assert row["probability"] == pytest.approx(float(logits.double().softmax(0)[1]), abs=1e-5)
        assert row["predicted"] == int(logits.argmax())
        written = stored(found, "heatmap", item["image_id"])
        np.testing.assert_allclose(written.values, heat.numpy(), atol=1e-5)
        assert (written.target, written.group.at, written.group.cell_px) == (None, "grid", None)
        assert written.group.facts["input_size"] == list(item["image"].shape[-2:])


def test_bags_are_predicted_whole(plan, tmp_path):
    bags = plan({"models": [{"type": "abmil", "encoder": "lenet"}]}, subset=None, batch=2, epochs=1)
    bags["patches"]["most"] = 3
    (run,) = train(bags, tmp_path)
    found = predict(run.folder)
    assert found.images["image_id"].tolist() == list(run.task.ids["test"])
    assert found.images["probability"].between(0, 1).all()
    alone = predict(train({**bags, "train": {**bags["train"], "batch": 1, "lr": 0.01}}, tmp_path)[0])
    assert len(alone.images) == len(found.images)


def test_what_can_not_be_predicted_is_refused(run, plan, tmp_path):
    with pytest.raises(InputError, match="positive must be a class from 0 to 1, got 2"):
        predict(run, positive=2)
    (other,) = train(plan({"splits": {"share": 0}}, epochs=1), tmp_path)
    with pytest.raises(InputError, match="part must have images, got none in 'validation'"):
        predict(other, part="validation")
    with pytest.raises(InputError, match="got no run"):
        predict(tmp_path)
