"""Cell fields in a store: the label is the rule on ``instances.parquet``, and one digest whatever the way."""

from __future__ import annotations

import json

import building
import numpy as np
import pandas as pd
import pytest

from miso_gen.build import build
from miso_gen.recipe import load_recipe
from miso_gen.store import open_dataset, validate_store

TYPES = ["cell", "cell-bar", "cell-plus", "rect-red", "rect-green", "rect-blue", "tail-1", "tail-3", "tail-8"]
REACH = 40
SHARED = {
    "type": "cell-field",
    "images": 6,
    "reach_px": REACH,
    "area_px": [400, 900],
    "points": {"type": "matern", "candidates_per_mpx": 300},
}
RULES = {
    "one": {"type": "present", "cells": ["tail-3"]},
    "several": {"type": "present", "cells": ["cell-bar", "rect-green"], "most": 3},
    "count": {"type": "count", "cell": "rect-blue", "at_least": 3, "spread": 2},
    "majority": {"type": "majority"},
}
IMAGES = {"one": 6, "several": 8, "count": 6, "majority": 9}


def fields(**changes):
    """Return a recipe with a field of every rule."""
    scenarios = [{**SHARED, "name": name, "rule": rule, "images": IMAGES[name]} for name, rule in RULES.items()]
    canvas = {"shape": [512, 540], "channels": 3}
    return load_recipe(
        {"schema": 1, "name": "fields", "seed": 9, "splits": ["test"], "canvas": canvas, "scenarios": scenarios, **changes}
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fields") / "store"
    return folder, build(fields(), folder, workers=1)


@pytest.fixture(scope="module")
def tables(store):
    """What a reader without miso-gen has: the index, and the numbers of cells by image and type."""
    objects = pd.read_parquet(store[0] / "instances.parquet")
    counts = pd.crosstab(objects["image_id"], objects["kind"]).reindex(columns=TYPES, fill_value=0)
    return pd.read_parquet(store[0] / "index.parquet").set_index("image_id"), objects, counts


def label_of(scenario, counts):
    """Return the label by the rule and the numbers of cells of an image."""
    if scenario == "one":
        return int(counts["tail-3"] > 0)
    if scenario == "several":
        return int(counts["cell-bar"] > 0) + 2 * int(counts["rect-green"] > 0)
    if scenario == "count":
        return int(counts["rect-blue"] >= 3)
    first, second = counts.sort_values(ascending=False)[:2]
    assert first - second >= 2
    return TYPES.index(counts.idxmax())


def test_labels_follow_from_the_instance_table(tables):
    index, objects, counts = tables
    assert set(objects["kind"]) == set(TYPES)
    assert set(counts.index) == set(index.index)
    assert len(index) == sum(IMAGES.values())
    for image_id, row in index.iterrows():
        assert label_of(row.scenario, counts.loc[image_id]) == row.label
        assert row["params.cells"] == counts.loc[image_id].sum()
    assert {name: sorted(index[index.scenario == name]["label"].unique()) for name in RULES} == {
        "one": [0, 1],
        "several": [0, 1, 2, 3],
        "count": [0, 1],
        "majority": list(range(9)),
    }
    assert set(index["params.background_type"]) == {"black", "color-field", "rings"}


def test_multi_hot_labels_follow_from_the_instance_table(tables):
    index, _, counts = tables
    for image_id, row in index.iterrows():
        bits = row["params.multi_hot"]
        if row.scenario == "several":
            assert json.loads(bits) == [int(counts.loc[image_id, name] > 0) for name in ("cell-bar", "rect-green")]
        else:
            assert pd.isna(bits)


def test_truth_and_instances_agree_with_the_instance_table(store, tables):
    """Every cell has its own id, its area, a box about it, and truth 2 iff its type makes the label true."""
    index, objects, _ = tables
    dataset = open_dataset(store[0])
    for image_id, rows in objects.groupby("image_id"):
        truth, instances = dataset[image_id].truth[...], dataset[image_id].instances[...]
        label, scenario = index.loc[image_id, "label"], index.loc[image_id, "scenario"]
        telling = {
            "one": ["tail-3"][:label],
            "several": [name for bit, name in enumerate(("cell-bar", "rect-green")) if label >> bit & 1],
            "count": ["rect-blue"][:label],
            "majority": [TYPES[label]],
        }[scenario]
        assert np.array_equal(truth > 0, instances > 0)
        assert set(np.unique(instances)) - {0} == set(rows["id"])
        y, x = np.nonzero(truth == 2)
        owners = set(instances[y, x])
        assert owners == set(rows[rows["kind"].isin(telling)]["id"])
        for row in rows.itertuples():
            y, x = np.nonzero(instances == row.id)
            assert len(y) == pytest.approx(row.area_px, rel=0.05)
            assert ((y + 0.5 - row.row) ** 2 + (x + 0.5 - row.column) ** 2).max() <= REACH**2
            assert row.top <= y.min() < y.max() < row.bottom
            assert row.left <= x.min() < x.max() < row.right
            assert set(truth[y, x]) == ({1, 2} if row.id in owners else {1})


def test_groups_share_places_and_areas(tables):
    index, objects, _ = tables
    shared = ["id", "row", "column", "area_px"]
    groups = objects.join(index["pair"], on="image_id").groupby("pair")
    assert len(groups) == 3 + 2 + 3 + 1
    for _, group in groups:
        images = [rows[shared].reset_index(drop=True) for _, rows in group.groupby("image_id")]
        assert len(images) in (2, 4, 9)
        for other in images[1:]:
            pd.testing.assert_frame_equal(other, images[0])


@pytest.mark.parametrize(("tile", "chunk", "shard"), [(64, 256, None), (250, 128, None), (64, 128, 256)])
def test_one_digest_for_any_tile_chunk_and_shard(store, tmp_path, tile, chunk, shard):
    result = build(fields(), tmp_path, workers=1, tile=tile, chunk=chunk, shard=shard)
    assert result.root_digest == store[1].root_digest
    assert building.leftovers(tmp_path) == []


def test_stores_of_two_processes_are_equal_files(store, tmp_path):
    build(fields(), tmp_path / "out", workers=2)
    building.assert_equal_trees(tmp_path / "out", store[0])


def test_store_is_valid(store):
    assert validate_store(store[0]) == []
    rows = open_dataset(store[0]).table.to_dict("records")
    assert building.literal_root_digest(rows) == store[1].root_digest


def test_types_by_their_numbers_make_the_same_store(store, tmp_path):
    numbers = {"tail-3": 7, "cell-bar": "1", "rect-green": 4, "rect-blue": 5}
    scenarios = json.loads(json.dumps([{**SHARED, "name": n, "rule": rule, "images": IMAGES[n]} for n, rule in RULES.items()]))
    for entry in scenarios:
        rule = entry["rule"]
        if "cells" in rule:
            rule["cells"] = [numbers[name] for name in rule["cells"]]
        if "cell" in rule:
            rule["cell"] = numbers[rule["cell"]]
    assert fields(scenarios=scenarios).digest == fields().digest
    assert build(fields(scenarios=scenarios), tmp_path, workers=1).root_digest == store[1].root_digest
