"""Tar shards: by the package webdataset, their sizes, and what is fixed in them."""

from __future__ import annotations

import gc
import tarfile
import warnings

import numpy as np
import pytest
from exports import IDS, READERS, last, pixels, read_png, toy, tree, write_store

from miso_gen.errors import InputError
from miso_gen.release.exporting import export
from miso_gen.release.exports.webdataset import WebDatasetExport
from miso_gen.release.shards import by_size

webdataset = pytest.importorskip("webdataset")
autodecode = pytest.importorskip("webdataset.autodecode")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return toy(tmp_path_factory.mktemp("toy") / "store", channels=3)


def samples(path):
    """Read a tar with the decoders of the package; they make 8 bit of everything, so instances get one of their own."""
    own = autodecode.handle_extension("instances.png", read_png)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the package leaves its files open
        found = list(webdataset.WebDataset(str(path), shardshuffle=False).decode(own, "rgb8"))
        gc.collect()
    return found


def test_the_package_reads_it(store, tmp_path):
    dataset, images = store
    export(dataset, tmp_path / "out", "webdataset")
    assert sorted(tree(tmp_path / "out")) == ["NOTES.md", "hold-out-000000.tar", "train-000000.tar"]
    found = [sample for path in sorted((tmp_path / "out").glob("*.tar")) for sample in samples(path)]
    assert [sample["__key__"] for sample in found] == [
        "gsp-hold-out-0001",
        "md-hold-out-0001",
        "gsp-train-0001",
        "gsp-train-0002",
        "md-train-0001",
    ]
    table = dataset.table.set_index("image_id")
    for sample in found:
        planes, row = images[sample["json"]["image_id"]], table.loc[sample["json"]["image_id"]]
        assert np.array_equal(sample["png"], last(planes["image"]))
        assert np.array_equal(sample["truth.png"], np.repeat(planes["truth"][..., None], 3, axis=2))
        assert sample["cls"] == row["label"]
        assert ("instances.png" in sample) == (row["scenario"] == "gsp")
        if row["scenario"] == "gsp":
            assert np.array_equal(sample["instances.png"], planes["instances"])
        assert sample["json"]["class_name"] == row["class_name"]
        assert sample["json"]["parameters"] == {"radius_px": 12.5, "counts": [1, 2]}
        assert (sample["json"]["data_set"], sample["json"]["version"]) == ("toy", "1.2.0")


def test_nothing_of_this_machine_is_in_it(store, tmp_path):
    export(store[0], tmp_path / "out", "webdataset")
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as tar:
        members = tar.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.type) for m in members} == {
        (0, 0, 0, "", "", 0o644, tarfile.REGTYPE)
    }


def test_shards_have_their_size(store, tmp_path):
    dataset, images = store
    with pytest.raises(InputError, match="shard_bytes must be at least 1, got 0"):
        export(dataset, tmp_path / "none", WebDatasetExport(shard_bytes=0))
    export(dataset, tmp_path / "one", WebDatasetExport(shard_bytes=1))
    assert len(list((tmp_path / "one").glob("*.tar"))) == len(IDS)
    sizes = [path.stat().st_size for path in (tmp_path / "one").glob("train-*.tar")]
    limit = sizes[0] + sizes[1] - 1024  # both without the end of one
    export(dataset, tmp_path / "two", WebDatasetExport(shard_bytes=limit))
    assert [path.stat().st_size <= limit for path in sorted((tmp_path / "two").glob("train-*.tar"))] == [True, True]
    found = READERS["webdataset"](tmp_path / "two")
    assert all(np.array_equal(found[image_id]["truth"], images[image_id]["truth"]) for image_id in IDS)


def test_keys_longer_than_a_tar_header(tmp_path):
    scenario, split = "a" * 64, "b" * 64
    planes = pixels((1, 64, 64))
    dataset = write_store(tmp_path / "store", {f"{scenario}/{split}/0001": planes}, names={scenario: ("x", "y")})
    export(dataset, tmp_path / "out", "webdataset")
    (sample,) = samples(tmp_path / "out" / f"{split}-000000.tar")
    assert sample["__key__"] == f"{scenario}-{split}-0001"
    assert np.array_equal(sample["png"][..., 0], planes["image"][0])


def test_ids_that_would_be_one_key(tmp_path):
    planes = pixels((1, 64, 64))
    names = {"a-b": ("x", "y"), "a": ("x", "y")}
    dataset = write_store(tmp_path / "store", {"a-b/c/0001": planes, "a/b-c/0001": planes}, names=names)
    with pytest.raises(InputError, match="must differ with dashes for slashes, got 'a-b/c/0001' and 'a/b-c/0001'"):
        export(dataset, tmp_path / "out", "webdataset")
    assert export(dataset, tmp_path / "out", "webdataset", scenarios=["a"]).images == 1


@pytest.mark.parametrize(
    ("sizes", "limit", "expected"),
    [([], 5, []), ([9], 5, [[0]]), ([2, 3, 1], 5, [[0, 1], [2]]), ([6, 1, 4, 1], 5, [[0], [1, 2], [3]]), ([0, 0], 5, [[0, 1]])],
)
def test_groups_by_size(sizes, limit, expected):
    assert by_size(range(len(sizes)), sizes, limit) == expected
