"""What others make of a whole release: mlcroissant, the Hugging Face library, and a clone that has its texts alone."""

from __future__ import annotations

import io
import json
import shutil

import pytest
from PIL import Image

from miso_gen.build import build
from miso_gen.recipe import load_recipe
from miso_gen.release.making import make_release
from miso_gen.release.requirements import missing_fields
from miso_gen.release.verify import verify
from miso_gen.store import open_dataset

TOY = {
    "schema": 1,
    "name": "toy",
    "version": "1.0.0",
    "title": "A toy",
    "license": "CC-BY-4.0",
    "authors": [{"name": "Doe, Jane"}],
    "date": "2026-11-21",
    "url": "https://example.org/toy",
    "seed": 5,
    "canvas": {"shape": [96, 80], "channels": 3},
    "splits": ["train", "test"],
    "scenarios": [{"type": "evp", "morphologies": {"type": "builtin", "only": ["pear", "key"]}, "fuzz": {"each": [0.0]}}],
}
pytestmark = pytest.mark.filterwarnings("ignore")  # of mlcroissant and datasets, and what they import


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    place = tmp_path_factory.mktemp("outside")
    build(load_recipe(TOY), place / "store", workers=1)
    make_release(place / "store", place / "release")
    return place / "release"


def test_mlcroissant_validates_and_streams_every_record_set(release):
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(release / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    table = open_dataset(release).table
    assert dataset.metadata.record_sets
    for records in dataset.metadata.record_sets:
        assert next(iter(dataset.records(records.uuid)))
    ids = [record["images/image_id"].decode() for record in dataset.records("images")]
    assert ids == table["image_id"].tolist()
    document = json.loads((release / "croissant.json").read_text())
    assert missing_fields(document) == []
    assert {file["name"] for file in document["distribution"]} >= {"train-001.ozx", "test-001.ozx", "index.parquet"}


def test_the_hugging_face_library_opens_the_folder(release, tmp_path, offline):
    import datasets

    loaded = datasets.load_dataset(str(release), cache_dir=str(tmp_path))
    table = open_dataset(release).table
    assert list(loaded) == ["train", "test"]
    for split in ("train", "test"):
        rows = table[table["split"] == split]
        assert loaded[split]["image_id"][:] == rows["image_id"].tolist()
        assert loaded[split]["label"][:] == rows["label"].tolist()
        picture = loaded[split][0]["preview"]
        assert isinstance(picture, Image.Image)
        assert picture.size == (80, 96)
        assert set(loaded[split]["pack"][:]) == {f"{split}-001.ozx"}


def test_the_preview_is_the_image(release):
    import pyarrow.parquet as pq

    rows = pq.read_table(release / "test.parquet").to_pylist()
    dataset = open_dataset(release)
    for row in rows:
        with Image.open(io.BytesIO(row["preview"]["bytes"])) as picture:
            pixels = dataset[row["image_id"]].image.all()
            assert picture.size == (80, 96)
            assert picture.tobytes() == pixels.transpose(1, 2, 0).tobytes()  # small enough to be as it is


def test_a_clone_with_the_texts_alone(release, tmp_path, monkeypatch):
    """Whoever has what git keeps builds the images, and is told that they are those of the release."""
    folder = tmp_path / "datasets/toy/1.0.0"
    folder.mkdir(parents=True)
    for path in release.iterdir():
        if path.suffix not in (".ozx", ".parquet"):
            shutil.copy(path, folder / path.name)
    monkeypatch.chdir(tmp_path)
    result = build(load_recipe("datasets/toy/1.0.0/recipe.yaml"))
    assert result.root_digest == json.loads((folder / "manifest.json").read_text())["root_digest"]
    found = verify("toy@1.0.0", rebuild=True, sample=2)
    assert found.ok, found.problems
    assert found.compared_with == "release 1.0.0"
    assert len(found.rebuilt) == 2
