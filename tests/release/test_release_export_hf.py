"""Parquet files by the package datasets, without a network."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from exports import IDS, RECIPE, last, pixels, toy, tree, write_store

from miso_gen.errors import InputError
from miso_gen.release.exporting import export
from miso_gen.release.exports.hf import HfExport

SAME = {"gsp": ("off", "on"), "md": ("off", "on")}


@pytest.fixture
def datasets(tmp_path, monkeypatch, offline):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    package = pytest.importorskip("datasets")
    monkeypatch.setattr(package.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    package.disable_progress_bars()
    return package


def card(folder):
    _, head, body = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def test_datasets_opens_it(datasets, tmp_path):
    dataset, images = toy(tmp_path / "store", channels=3)
    export(dataset, tmp_path / "out", "hf")
    found = datasets.load_dataset(str(tmp_path / "out"))
    assert {name: len(split) for name, split in found.items()} == {"hold_out": 2, "train": 3}
    table = dataset.table.set_index("image_id")
    for split in found.values():
        for row in split:
            planes, known = images[row["image_id"]], table.loc[row["image_id"]]
            assert np.array_equal(np.asarray(row["image"]), last(planes["image"]))
            assert np.array_equal(np.asarray(row["truth"]), planes["truth"])
            if known["scenario"] == "gsp":
                assert np.array_equal(np.asarray(row["instances"]), planes["instances"])
            else:
                assert row["instances"] is None
            names = ("label", "class_name", "height", "width", "truth_1_share", "truth_2_known", "scenario", "image_digest")
            assert {name: row[name] for name in names} == {name: known[name] for name in names}
            assert json.loads(row["parameters"]) == {"radius_px": 12.5, "counts": [1, 2]}
    assert isinstance(found["train"].features["truth"], datasets.Image)


def test_one_scenario_knows_its_classes(datasets, tmp_path):
    dataset, images = toy(tmp_path / "store")
    export(dataset, tmp_path / "out", "hf")
    everything = datasets.load_dataset(str(tmp_path / "out"))["train"]
    assert everything.features["label"] == datasets.Value("int64")  # 0 is intact in one scenario, and plain in the other
    for scenario, names in (("gsp", ["intact", "holed"]), ("md", ["plain", "bent"])):
        part = datasets.load_dataset(str(tmp_path / "out"), scenario)["train"]
        assert part.features["label"].names == names
        assert set(part["scenario"]) == {scenario}
        assert [part.features["label"].int2str(row["label"]) for row in part] == part["class_name"][:]
        assert all(np.array_equal(np.asarray(row["truth"]), images[row["image_id"]]["truth"]) for row in part)


def test_classes_of_one_meaning_are_named_everywhere(datasets, tmp_path):
    images = {image_id: pixels((1, 64, 70), seed=seed) for seed, image_id in enumerate(IDS)}
    dataset = write_store(tmp_path / "store", images, names=SAME)
    export(dataset, tmp_path / "out", "hf")
    found = datasets.load_dataset(str(tmp_path / "out"))["train"]
    assert found.features["label"].names == ["off", "on"]
    assert "instances" not in found.features
    assert "dataset_info" not in card(tmp_path / "out")[0]
    assert datasets.load_dataset(str(tmp_path / "out"), "md")["train"].features["label"].names == ["off", "on"]


def test_a_part_of_the_classes_keeps_all_names(datasets, tmp_path):
    from miso_gen import build, load_recipe, open_dataset

    recipe = load_recipe("cells10", ["scenarios.0.images={train: 1, validation: 1, test: 2}", "canvas.shape=[96, 80]"])
    build(recipe, tmp_path / "store", workers=1)
    export(open_dataset(tmp_path / "store"), tmp_path / "out", "hf", splits=["train"])
    found = datasets.load_dataset(str(tmp_path / "out"))
    assert list(found) == ["train"]
    assert found["train"].features["label"].names == list(recipe.scenarios[0].class_names)
    assert len(found["train"].features["label"].names) == 10


def test_files_have_their_size(datasets, tmp_path):
    dataset, images = toy(tmp_path / "store")
    with pytest.raises(InputError, match="shard_bytes must be at least 1, got -1"):
        export(dataset, tmp_path / "none", HfExport(shard_bytes=-1))
    export(dataset, tmp_path / "out", HfExport(shard_bytes=1))
    assert sorted(path for path in tree(tmp_path / "out") if path.endswith("parquet")) == [
        "data/gsp/hold_out-00000-of-00001.parquet",
        "data/gsp/train-00000-of-00002.parquet",
        "data/gsp/train-00001-of-00002.parquet",
        "data/md/hold_out-00000-of-00001.parquet",
        "data/md/train-00000-of-00001.parquet",
    ]
    found = datasets.load_dataset(str(tmp_path / "out"))["train"]
    assert found["image_id"][:] == [image_id for image_id in IDS if "/train/" in image_id]
    for row in found:
        assert np.array_equal(np.asarray(row["truth"]), images[row["image_id"]]["truth"])


def test_rows_are_written_in_groups(tmp_path, monkeypatch):
    from miso_gen.release.exports import hf

    monkeypatch.setattr(hf, "_GROUP_BYTES", 1)
    dataset, _ = toy(tmp_path / "store")
    export(dataset, tmp_path / "out", "hf")
    file = pq.ParquetFile(tmp_path / "out" / "data" / "gsp" / "train-00000-of-00001.parquet")
    assert (file.num_row_groups, file.metadata.num_rows) == (2, 2)


@pytest.mark.parametrize(("license", "expected"), [("CC-BY-4.0", "cc-by-4.0"), ("LicenseRef-Ours", "other"), ("", "unknown")])
def test_the_card(tmp_path, license, expected):
    planes = pixels((1, 64, 64))
    recipe = {**RECIPE, "license": license}
    export(write_store(tmp_path / "store", {"md/test/0001": planes}, recipe=recipe), tmp_path / "out", "hf")
    head, body = card(tmp_path / "out")
    assert head["license"] == expected
    assert head.get("license_name") == (license if expected == "other" else None)
    assert head["pretty_name"] == "Toys & <others>"
    assert head["configs"] == [{"config_name": "default", "data_files": [{"split": "test", "path": ["data/md/test-*.parquet"]}]}]
    assert body.startswith("# Toys")
