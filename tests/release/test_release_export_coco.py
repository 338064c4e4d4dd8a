"""COCO: run lengths against pycocotools and by the definition; annotations of objects and evidence."""

from __future__ import annotations

import json
import warnings
from itertools import groupby

import numpy as np
import pytest
from exports import IDS, decoded, toy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as tools
from pycocotools.coco import COCO

from miso_gen.errors import InputError
from miso_gen.release.coco_rle import ColumnRuns, label_runs
from miso_gen.release.export_format import ExportSource
from miso_gen.release.exporting import export
from miso_gen.release.exports.coco import CocoExport

LABELS = arrays.arrays(np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3))


def strips_of(labels, width):
    return (labels[:, left : left + width] for left in range(0, labels.shape[1], width))


@given(LABELS, st.integers(1, 13))
def test_runs_are_those_of_the_definition(labels, width):
    found = dict(label_runs(strips_of(labels, width), *labels.shape))
    assert list(found) == sorted(set(labels.flatten().tolist()) - {0})
    for label, runs in found.items():
        mask = labels == label
        counts = [len(list(group)) for _, group in groupby(mask.T.flatten().tolist())]
        expected = counts if not mask[0, 0] else [0, *counts]
        assert runs.counts.tolist() == expected
        assert runs.area == mask.sum()
        rows, cols = np.nonzero(mask)
        assert runs.box == (cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1)


@given(LABELS)
def test_pycocotools_writes_the_same(labels):
    for label, runs in label_runs([labels], *labels.shape):
        rle = tools.encode(np.asfortranarray((labels == label).astype(np.uint8)))
        assert runs.compressed().encode() == rle["counts"]
        assert runs.area == tools.area(rle)
        assert list(runs.box) == tools.toBbox(rle).tolist()


@given(st.lists(st.integers(1, 2**26), min_size=1, max_size=12))
def test_numbers_of_any_size_come_back(counts):
    # pycocotools decodes to pixels, so sizes of gigapixel images are decoded by the definition.
    starts = np.cumsum([0, *counts])[1:-1:2]
    lengths = np.array(counts[1::2][: len(starts)], np.int64)
    starts = starts[: len(lengths)]
    total = sum(counts)
    runs = ColumnRuns(1, total, starts.astype(np.int64), lengths)
    numbers, place, text = [], 0, runs.compressed()
    while place < len(text):
        value, shift = 0, 0
        while True:
            code = ord(text[place]) - 48
            place += 1
            value |= (code & 31) << shift
            shift += 5
            if not code & 32:
                value -= (1 << shift) if code & 16 else 0
                break
        numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
    assert numbers == runs.counts.tolist()
    assert sum(numbers) == total


def test_no_labels_no_runs():
    assert list(label_runs([], 3, 0)) == []
    assert list(label_runs([np.zeros((3, 4), np.uint8)], 3, 4)) == []
    empty = ColumnRuns(3, 4, np.empty(0, np.int64), np.empty(0, np.int64))
    assert (empty.area, empty.box, empty.counts.tolist()) == (0, (0, 0, 0, 0), [12])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pycocotools, about arrays of numpy 2
        assert not tools.decode({"size": [3, 4], "counts": empty.compressed()}).any()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    place = tmp_path_factory.mktemp("coco")
    dataset, images = toy(place / "store")
    export(dataset, place / "out", "coco")
    return dataset, images, place / "out"


def test_every_object_and_the_evidence(exported, capsys):
    dataset, images, place = exported
    coco = COCO(place / "annotations.json")
    names = {category["id"]: category["name"] for category in coco.cats.values()}
    assert names == {1: "discriminative", 2: "object", 3: "disc", 4: "tile"}
    assert [image["name"] for image in coco.imgs.values()] == list(IDS)
    assert sorted(coco.anns) == list(range(1, len(coco.anns) + 1))
    for number, image_id in enumerate(IDS):
        planes = images[image_id]
        stored = image_id.startswith("gsp")
        expected = [("disc", 1, planes["instances"] == 1), ("tile", 3, planes["instances"] == 3)] if stored else []
        expected = expected or [("object", 1, planes["truth"] >= 1)]
        if (planes["truth"] == 2).any():
            expected.append(("discriminative", None, planes["truth"] == 2))
        found = coco.loadAnns(coco.getAnnIds(imgIds=[number + 1]))
        assert len(found) == len(expected)
        for annotation, (name, instance, mask) in zip(found, expected, strict=True):
            assert (names[annotation["category_id"]], annotation.get("instance")) == (name, instance)
            assert np.array_equal(decoded(coco, annotation), mask)
            rows, cols = np.nonzero(mask)
            assert annotation["area"] == mask.sum()
            assert annotation["bbox"] == [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]
            assert annotation["iscrowd"] == 0
    row = dataset.table.set_index("image_id").loc[IDS[1]]
    about = coco.imgs[2]
    assert (about["width"], about["height"], about["label"], about["split"]) == (131, 75, row["label"], "train")
    assert "index created" in capsys.readouterr().out


def test_the_head(exported):
    document = json.loads((exported[2] / "annotations.json").read_bytes())
    assert list(document) == ["info", "licenses", "categories", "images", "annotations"]
    assert document["info"]["description"] == "Toys & <others>"
    assert (document["info"]["contributor"], document["info"]["date_created"]) == ("Doe, Jo", "2026-01-02")
    assert document["licenses"] == [{"id": 1, "name": "CC-BY-4.0", "url": "https://creativecommons.org/licenses/by/4.0/"}]
    assert {image["license"] for image in document["images"]} == {1}


def test_a_part_has_the_same_categories(exported, tmp_path):
    export(exported[0], tmp_path / "out", "coco", scenarios=["md"])
    part, whole = (json.loads((place / "annotations.json").read_bytes()) for place in (tmp_path / "out", exported[2]))
    assert part["categories"] == whole["categories"]
    assert [image["name"] for image in part["images"]] == list(IDS[3:])


def test_images_that_its_numbers_cannot_count(exported):
    row = {**dict.fromkeys(("image_id",), "evp/test/0001"), "height": 65536, "width": 65536}
    with pytest.raises(InputError, match="pixels of evp/test/0001 must be at most 4294967295 for COCO, got 4294967296"):
        CocoExport().check(ExportSource(exported[0], [row], truth=True))
    CocoExport().check(ExportSource(exported[0], [{**row, "height": 65535}], truth=True))
