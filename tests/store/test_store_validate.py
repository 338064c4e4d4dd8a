"""Every rule of our validator fires, alone, on the fault it is for; the OME-Zarr validators accept what we write."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import zarr

from miso_gen.store import open_target, validate_image, validate_store
from miso_gen.store.commit import padded_chunk
from miso_gen.store.shards import ShardEncoder
from miso_gen.store.validate import METADATA_RULES, PIXEL_RULES, STORE_RULES

IMAGE = "images.zarr/gsp/test/0000"


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.fixture
def image(kit, tmp_path, monkeypatch):
    """An image of two levels."""
    for module in ("layout", "validate"):
        monkeypatch.setattr(f"miso_gen.store.{module}.PYRAMID_END", 200)
    planes = kit.sample((1, 300, 310), kind="binary")
    layout = kit.layout_of(planes, instances=True, shard=512)
    kit.write(open_target(tmp_path), IMAGE, planes, layout, objects=kit.table())
    assert validate_image(tmp_path / IMAGE) == []
    return tmp_path / IMAGE, planes, layout


def put(image, name, pixels, level=0):
    folder, _, layout = image
    encoder = ShardEncoder(layout.array(name, level))
    for row in range(-(-pixels.shape[-2] // 256)):
        for col in range(-(-pixels.shape[-1] // 256)):
            encoder.add(row, col, pixels[..., row * 256 : row * 256 + 256, col * 256 : col * 256 + 256])
    (folder / layout.shard_file(name, level, (0, 0))).write_bytes(encoder.finish())


def flip_pixel(image):
    pixels = image[1]["image"].copy()
    pixels[0, 0, 0] ^= 255
    put(image, "image", pixels)


def strange_truth(image):
    truth = image[1]["truth"].copy()
    truth[299, 309] = 9
    put(image, "truth", truth)


def instance_outside(image):
    instances = image[1]["instances"].copy()
    instances[image[1]["truth"] == 0] = 1
    put(image, "instances", instances)


def other_level(image):
    put(image, "truth", np.ones((150, 155), np.uint8), level=1)


def other_summary(image):
    folder, _, layout = image
    values = np.zeros(layout.summary.shape, np.uint64)
    (folder / "summary/c/0/0/0").write_bytes(padded_chunk(values, layout.summary))


def attribute(name, value):
    return lambda image: edit(image[0] / "zarr.json", lambda d: d["attributes"]["miso"].update({name: value}))


def array_field(path, name, value):
    return lambda image: edit(image[0] / path / "zarr.json", lambda d: d.update({name: value}))


def no_level(image):
    target = open_target(image[0])
    target.remove("labels/truth/1")


def objects_changed(image):
    array = zarr.open_array(image[0] / "objects", mode="r+")
    array[0, 0] = 1


@pytest.mark.parametrize(
    ("fault", "rules"),
    [
        (flip_pixel, {"digests_equal_pixels", "summary_equals_pixels", "histogram_equals_pixels", "levels_equal_level_0"}),
        (instance_outside, {"instances_inside_truth", "digests_equal_pixels", "levels_equal_level_0"}),
        (other_level, {"levels_equal_level_0"}),
        (other_summary, {"summary_equals_pixels"}),
        (objects_changed, {"digests_equal_pixels"}),
        (attribute("histogram", [0] * 256), {"histogram_equals_pixels"}),
        (attribute("truth_1_share", 0.5), {"histogram_equals_pixels"}),
        (attribute("digests", {"image": "0" * 64}), {"digests_equal_pixels"}),
        (attribute("height", 5), {"equal_levels", "equal_shapes"}),
        (attribute("dtype", "uint16"), {"right_dtypes"}),
        (array_field("labels/truth/0", "data_type", "uint16"), {"right_dtypes"}),
        (array_field("labels/truth/0", "dimension_names", ["x", "y"]), {"right_dimension_names"}),
        (array_field("summary", "shape", [3, 9, 9]), {"equal_shapes"}),
        (no_level, {"equal_levels"}),
        (lambda image: (image[0] / "0/c/0/0/0").write_bytes(b"123"), {"readable"}),
        (lambda image: (image[0] / "zarr.json").unlink(), {"readable"}),
    ],
)
def test_faults(image, fault, rules):
    fault(image)
    assert {problem.rule for problem in validate_image(image[0])} == rules


def test_strange_truth(image):
    strange_truth(image)
    assert "truth_values" in {problem.rule for problem in validate_image(image[0])}


def test_every_rule_has_a_docstring():
    assert all(rule.__doc__ for rule in (*METADATA_RULES, *PIXEL_RULES, *STORE_RULES))


def test_problems_of_a_store_name_the_image(store):
    path = store / "images.zarr/md/train/0000/labels/truth/0/c/0/0"
    path.write_bytes(path.read_bytes()[:-1])
    (problem,) = validate_store(store)
    assert (problem.where, problem.rule) == ("md/train/0000", "readable")
    assert str(problem).startswith("md/train/0000: readable: ")


def test_a_store_without_index(store):
    (store / "index.parquet").unlink()
    assert [problem.rule for problem in validate_store(store)] == ["readable"]


@pytest.mark.parametrize(("channels", "dtype"), [(1, "uint8"), (2, "float32"), (3, "uint8"), (3, "uint16")])
@pytest.mark.parametrize("shard", [None, 512])
def test_ome_validators_accept_our_images(kit, tmp_path, monkeypatch, channels, dtype, shard):
    yaozarrs = pytest.importorskip("yaozarrs")
    models = pytest.importorskip("ome_zarr_models")
    monkeypatch.setattr("miso_gen.store.layout.PYRAMID_END", 200)
    planes = kit.sample((channels, 300, 700), dtype)
    layout = kit.layout_of(planes, instances=True, shard=shard)
    kit.write(open_target(tmp_path), IMAGE, planes, layout, objects=kit.table())
    classes = {"": "Image", "labels": "Labels", "labels/truth": "ImageLabel", "labels/instances": "ImageLabel"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for inner, name in classes.items():
            folder = tmp_path / IMAGE / inner
            yaozarrs.validate_zarr_store(str(folder))
            assert type(models.open_ome_zarr(zarr.open_group(folder, mode="r"))).__name__ == name
