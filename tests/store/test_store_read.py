"""Reading: views, synthesised instances, pickling, forking, damage."""

from __future__ import annotations

import multiprocessing
import pickle

import numpy as np
import pytest

from miso_gen.errors import CorruptStoreError, UnknownNameError
from miso_gen.geometry import Box
from miso_gen.store import open_dataset


def test_dataset(store):
    dataset = open_dataset(store)
    assert (dataset.name, dataset.version, dataset.recipe, dataset.recipe_digest) == ("toy", "1.0.0", {"schema": 1}, "ab" * 32)
    assert len(dataset.root_digest) == 64
    assert list(dataset) == list(dataset.table["image_id"]) == dataset.ids
    assert "md/train/0000" in dataset
    assert "3 images" in repr(dataset)
    assert len(dataset.objects) == 6
    assert open_dataset(store / "images.zarr").root_digest == dataset.root_digest
    assert open_dataset(str(store) + "/").root_digest == dataset.root_digest


def test_view(store, kit):
    dataset = open_dataset(store)
    planes = kit.sample((1, 100, 130), kind="binary", seed=1)
    view = dataset["gsp/test/0001"]
    assert view is dataset["gsp/test/0001"]
    assert view.shape == view.image.shape == (1, 100, 130)
    assert view.truth.dtype == np.uint8
    for name, pixels in planes.items():
        assert np.array_equal(getattr(view, name)[...], pixels)
        assert np.array_equal(getattr(view, name)[..., 3:40, -30:], pixels[..., 3:40, -30:])
    image, truth = view.read((10, 20, 60, 100))
    assert np.array_equal(image, planes["image"][:, 10:60, 20:100])
    assert np.array_equal(truth, planes["truth"][10:60, 20:100])
    assert np.array_equal(view.read()[0], planes["image"])
    assert view.read(Box(5, 5, 5, 9))[0].shape == (1, 0, 4)
    assert view.summary.shape == (3, 7, 9)
    assert int(view.summary[1].sum()) == int((planes["truth"] >= 1).sum())
    assert view.attributes["parameters"]["radius_px"] == 12.5
    assert view.objects.kinds == ("disc", "tile")
    assert next(iter(view.objects.rows()))["kind"] == "disc"


def test_instances_that_are_not_stored(store, kit):
    view = open_dataset(store)["md/train/0000"]
    expected = (kit.sample((1, 100, 130), kind="binary", seed=2)["truth"] >= 1).astype(np.uint16)
    assert view.objects is None
    assert (view.instances.shape, view.instances.dtype, view.instances.ndim) == ((100, 130), np.uint16, 2)
    for key in (..., (slice(3, 50), slice(None)), (4, 5), 6):
        got = view.instances[key]
        assert np.array_equal(got, expected[key])
        assert got.dtype == np.uint16
    assert np.array_equal(np.asarray(view.instances), expected)
    assert np.array_equal(view.instances.read(Box(1, 2, 30, 40)), expected[1:30, 2:40])


def test_unknown_image(store):
    with pytest.raises(UnknownNameError, match="Did you mean 'gsp/test/0001'"):
        open_dataset(store)["gsp/test/01"]


def test_pickling(store):
    dataset = open_dataset(store)
    view = dataset["gsp/test/0000"]
    pixels = view.image.all()
    for copy in (pickle.loads(pickle.dumps(dataset))["gsp/test/0000"], pickle.loads(pickle.dumps(view))):
        assert np.array_equal(copy.image.all(), pixels)
    assert np.array_equal(pickle.loads(pickle.dumps(view.image)).all(), pixels)


def read_sum(view, answers):
    answers.put(int(view.image.all().sum()))


def test_reading_after_a_fork(store):
    view = open_dataset(store)["gsp/test/0000"]
    expected = int(view.image.all().sum())
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=read_sum, args=(view, answers))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert answers.get() == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0/c/0/0/0", r"0/c/0/0/0 must exist, got no such file"),
        ("0/zarr.json", "0/zarr.json must exist"),
        ("zarr.json", "zarr.json must exist"),
    ],
)
def test_a_missing_file_is_named(store, name, message):
    (store / "images.zarr/gsp/test/0000" / name).unlink()
    view = open_dataset(store)["gsp/test/0000"]
    with pytest.raises(CorruptStoreError, match=message):
        _ = view.attributes, view.image.all()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"node_type": "array", "codecs": []}'])
def test_a_broken_array_document_is_named(store, text):
    (store / "images.zarr/gsp/test/0000/0/zarr.json").write_text(text)
    with pytest.raises(CorruptStoreError, match=r"0/zarr\.json must"):
        open_dataset(store)["gsp/test/0000"].image.all()


def test_broken_image_attributes_are_named(store):
    (store / "images.zarr/gsp/test/0000/zarr.json").write_text('{"attributes": {"miso": {}}}')
    with pytest.raises(CorruptStoreError, match="must have the miso attributes of an image"):
        _ = open_dataset(store)["gsp/test/0000"].attributes


def test_a_foreign_codec_is_named(store):
    import zarr

    folder = store / "images.zarr/gsp/test/0000/0"
    array = zarr.create_array(folder, shape=(1, 100, 130), dtype="uint8", chunks=(1, 50, 50), overwrite=True)
    array[...] = 1
    with pytest.raises(CorruptStoreError, match="must be an array of codecs bytes, blosc, crc32c"):
        open_dataset(store)["gsp/test/0000"].image.all()
