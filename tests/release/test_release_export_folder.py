"""The folder of an export: what is refused, what is left behind, and how it goes on."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from exports import IDS, READERS, last, sixteen, toy, tree

from miso_gen import build, load_recipe, open_dataset
from miso_gen.errors import CorruptStoreError, InputError, OutputError, SpaceError, UnknownNameError
from miso_gen.geometry import Box
from miso_gen.release import export_folder
from miso_gen.release.export_folder import UNFINISHED, ExportFolder, ImageFiles, checked
from miso_gen.release.export_format import ExportImage, ExportSource, HaltedError
from miso_gen.release.exporting import export
from miso_gen.release.exports import EXPORTS
from miso_gen.release.exports.webdataset import WebDatasetExport

#: numbers that are no pixels of 8 bit, and images with and without instances
DEEP = {
    "schema": 1,
    "name": "deep",
    "canvas": {"shape": [90, 77], "dtype": "float32"},
    "splits": ["test"],
    "defaults": {"morphologies": {"type": "builtin", "only": ["canary"]}},
    "scenarios": [{"type": "gsp", "radius_px": 6, "window_px": 2}, {"type": "fm", "line_px": 9, "shrink": 6}],
}
#: many cells of many kinds in an image
FIELD = {
    "schema": 1,
    "name": "field",
    "seed": 9,
    "canvas": {"shape": [512, 540], "channels": 3},
    "splits": ["test"],
    "scenarios": [
        {
            "type": "cell-field",
            "images": 2,
            "rule": {"type": "majority"},
            "reach_px": 40,
            "area_px": [400, 900],
            "points": {"type": "matern", "candidates_per_mpx": 300},
        }
    ],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return toy(tmp_path_factory.mktemp("toy") / "store")[0]


class Stop:
    """Presses Ctrl-C when the first image is there."""

    kept = 0

    def start(self, images, kept):
        self.kept = kept

    def exported(self, image_id):
        raise KeyboardInterrupt


class Count(Stop):
    """Notes what is exported."""

    def __init__(self):
        self.ids = []

    def exported(self, image_id):
        self.ids.append(image_id)


# --- what is chosen ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"to": "jpeg"}, "export format must be one of coco, hf, ome-tiff, png, webdataset, got 'jpeg'"),
        ({"splits": ["trian"]}, "split must be one of hold-out, train, got 'trian'. Did you mean 'train'?"),
        ({"scenarios": ["gps"]}, "scenario must be one of gsp, md, got 'gps'"),
        ({"images": ["gsp/train/9"]}, "image must be one of gsp/hold-out/0001"),
    ],
)
def test_unknown_names(store, tmp_path, given, message):
    with pytest.raises(UnknownNameError) as error:
        export(store, tmp_path / "out", **{"to": "png", **given})
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


def test_nothing_left_to_export(store, tmp_path):
    with pytest.raises(InputError, match="images to export must be at least one, got none"):
        export(store, tmp_path / "out", "png", splits=["hold-out"], images=[IDS[1]])
    with pytest.raises(InputError, match=r"splits to export must be a list of names, got 'train'"):
        export(store, tmp_path / "out", "png", splits="train")
    assert not (tmp_path / "out").exists()


def test_built_stores_of_several_kinds(tmp_path):
    cells = ["canvas.shape=[96, 83]", "scenarios.0.images={train: 3, validation: 1, test: 2}"]
    recipes = {"cells": load_recipe("cells10", cells).to_dict(), "field": FIELD, "deep": DEEP}
    for name, recipe in recipes.items():
        assert not build(load_recipe(recipe), tmp_path / name, workers=1).failures
        dataset = open_dataset(tmp_path / name)
        for to, reader in READERS.items():
            export(dataset, tmp_path / f"{name}-{to}", to)
            found = reader(tmp_path / f"{name}-{to}")
            assert sorted(found) == dataset.ids
            for image_id in dataset.ids:
                image, truth = dataset[image_id].read()
                expected = last(image) if to == "ome-tiff" else sixteen(last(image))
                assert np.array_equal(found[image_id]["image"], expected)
                assert np.array_equal(found[image_id]["truth"], truth)
                stored = dataset[image_id].record.instances_digest is not None
                assert ("instances" in found[image_id]) == stored
                if stored:
                    assert np.array_equal(found[image_id]["instances"], dataset[image_id].instances.all())


# --- the place --------------------------------------------------------------------------------------------------------


def test_a_folder_with_something_in_it_is_refused(store, tmp_path):
    (tmp_path / "mine.txt").write_text("hello")
    with pytest.raises(OutputError, match=r"must be new or empty, got a folder with mine\.txt"):
        export(store, tmp_path, "png")
    assert tree(tmp_path) == {"mine.txt": b"hello"}


def test_a_finished_export_is_refused(store, tmp_path):
    export(store, tmp_path / "out", "png")
    before = tree(tmp_path / "out")
    with pytest.raises(OutputError, match="must be new or empty"):
        export(store, tmp_path / "out", "png")
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("again", "difference"),
    [
        ({"to": "coco"}, "one of another format"),
        ({"truth": False}, "one of another truth"),
        ({"splits": ["train"]}, "one of another images"),
        ({"to": WebDatasetExport(shard_bytes=5)}, "one of another format, options"),
    ],
)
def test_an_unfinished_export_of_something_else_is_refused(store, tmp_path, again, difference):
    with pytest.raises(KeyboardInterrupt):
        export(store, tmp_path / "out", "png", watcher=Stop())
    before = tree(tmp_path / "out")
    with pytest.raises(OutputError, match=f"got {difference}"):
        export(store, tmp_path / "out", **{"to": "png", **again})
    assert tree(tmp_path / "out") == before


def test_a_folder_unfinished_of_somebody_else(store, tmp_path):
    (tmp_path / "out" / UNFINISHED).mkdir(parents=True)
    with pytest.raises(OutputError, match="a folder UNFINISHED of something else"):
        export(store, tmp_path / "out", "png")


@pytest.mark.parametrize("place", ["s3://bucket/out", "memory://out"])
def test_an_address_is_refused(store, place):
    with pytest.raises(OutputError, match="must be a folder of this machine"):
        export(store, place, "png")


def test_a_file_is_refused(store, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="must be writable"):
        export(store, tmp_path / "out", "png")


@pytest.mark.parametrize("below", ["", "png", "images.zarr/gsp"])
def test_a_place_in_the_store_is_refused(store, below):
    before = tree(Path(store.target.root))
    with pytest.raises(OutputError, match="must be outside of the store"):
        export(store, Path(store.target.root) / below, "png")
    assert tree(Path(store.target.root)) == before


def test_one_export_at_a_time(store, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        export(store, tmp_path / "out", "png", watcher=Stop())
    holder = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    path = str(tmp_path / "out" / UNFINISHED / "export.json")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", holder, path], stdin=pipe, stdout=pipe) as other:
        other.stdout.readline()
        with pytest.raises(OutputError, match="must be free to write, got another export to it"):
            export(store, tmp_path / "out", "png")
        other.stdin.close()
    assert export(store, tmp_path / "out", "png").images == len(IDS)


@pytest.mark.parametrize("path", ["../a.png", "a/../../b", "/etc/a", "a//b", "a/./b", "", "a\\b", "a\nb", "C:/a", "UNFINISHED/a"])
def test_paths_stay_below_the_folder(tmp_path, path):
    with pytest.raises(InputError, match="must be a path below the export"):
        checked(path)
    with ExportFolder(tmp_path / "out", {}) as folder:
        for opened in (folder.open, ImageFiles(folder).open):
            with pytest.raises(InputError), opened(path):
                pass
        with pytest.raises(InputError), ImageFiles(folder).piece(path):
            pass


# --- going on ---------------------------------------------------------------------------------------------------------


def unfinished(store, place, to="png"):
    with pytest.raises(KeyboardInterrupt):
        export(store, place, to, watcher=Stop())
    return place / UNFINISHED / "journal.jsonl"


@pytest.mark.parametrize("to", ["png", "webdataset"])
def test_a_journal_that_was_cut(store, tmp_path, to):
    export(store, tmp_path / "whole", to)
    journal = unfinished(store, tmp_path / "out", to)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines)[:-9])
    watcher = Count()
    export(store, tmp_path / "out", to, watcher=watcher)
    assert watcher.kept == len(lines) - 1
    assert len(watcher.ids) == len(IDS) - watcher.kept
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["cut", "gone"])
@pytest.mark.parametrize("to", ["png", "webdataset"])
def test_files_that_were_damaged_are_made_again(store, tmp_path, to, damage):
    export(store, tmp_path / "whole", to)
    journal = unfinished(store, tmp_path / "out", to)
    entry = json.loads(journal.read_bytes().splitlines()[0])
    path = tmp_path / "out" / sorted(entry["files"])[0]
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    watcher = Count()
    export(store, tmp_path / "out", to, watcher=watcher)
    assert entry["image"] in watcher.ids
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_files_that_were_being_written_are_swept(store, tmp_path):
    unfinished(store, tmp_path / "out")
    stray = tmp_path / "out" / UNFINISHED / "tmp" / "99"
    stray.write_bytes(b"half")
    export(store, tmp_path / "out", "png")
    assert not [path for path in tree(tmp_path / "out") if "99" in path]
    assert not (tmp_path / "out" / UNFINISHED).exists()


def test_a_broken_image_stops_the_export(tmp_path):
    dataset, images = toy(tmp_path / "store")
    shard = tmp_path / "store" / "images.zarr" / IDS[2] / "labels" / "truth" / "0" / "c" / "0" / "0"
    data = shard.read_bytes()
    shard.write_bytes(data[:-3])
    with pytest.raises(CorruptStoreError):
        export(dataset, tmp_path / "out", "png")
    assert (tmp_path / "out" / UNFINISHED).exists()
    assert not (tmp_path / "out" / "NOTES.md").exists()
    shard.write_bytes(data)
    watcher = Count()
    export(open_dataset(tmp_path / "store"), tmp_path / "out", "png", watcher=watcher)
    assert IDS[2] in watcher.ids
    found = READERS["png"](tmp_path / "out")
    assert all(np.array_equal(found[image_id]["truth"], images[image_id]["truth"]) for image_id in IDS)


@pytest.mark.parametrize("to", EXPORTS.names())
def test_an_image_that_must_stop_leaves_no_file(store, tmp_path, to):
    row = store.table.iloc[0].drop("histogram").to_dict()
    source = ExportSource(store, [row], truth=True)
    halted = Event()
    with ExportFolder(tmp_path / "out", {}) as folder:
        files = ImageFiles(folder)
        image = ExportImage(0, row, store[IDS[0]], True, halted)
        assert image.read(image.plane("truth"), Box(0, 0, 2, 3)).shape == (2, 3)
        halted.set()
        with pytest.raises(HaltedError):
            EXPORTS.get(to)().write(source, image, files)
        assert files.sizes == {}
    assert [path for path in tree(tmp_path / "out") if not path.startswith(UNFINISHED)] == []


def test_an_error_tells_the_other_images_to_stop(store, tmp_path, monkeypatch):
    seen = []

    def write(self, source, image, files):
        seen.append(image)
        if len(seen) == 1:
            raise CorruptStoreError("the first image fails")
        # Reads until somebody says stop; without that the test would not end.
        while True:
            image.read(image.plane("truth"), Box(0, 0, 1, 1))

    monkeypatch.setattr(EXPORTS.get("png"), "write", write)
    with pytest.raises(CorruptStoreError, match="the first image fails"):
        export(store, tmp_path / "out", "png")
    assert (tmp_path / "out" / UNFINISHED).exists()


@pytest.mark.parametrize(("number", "expected"), [(errno.ENOSPC, SpaceError), (errno.EROFS, OutputError)])
def test_a_disk_that_is_full_or_read_only(store, tmp_path, monkeypatch, number, expected):
    def replace(self, target):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(export_folder.Path, "replace", replace)
        with pytest.raises(expected, match=r"must (fit on its disk|be writable), got"):
            export(store, tmp_path / "out", "png")
    assert not (tmp_path / "out" / "NOTES.md").exists()


def test_a_full_disk_in_the_middle_goes_on_later(store, tmp_path, monkeypatch):
    left = [3]
    replace = Path.replace

    def fail(self, target):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    export(store, tmp_path / "whole", "png")
    with monkeypatch.context() as patch:
        patch.setattr(export_folder.Path, "replace", fail)
        with pytest.raises(SpaceError, match="Free some space and export again"):
            export(store, tmp_path / "out", "png")
    assert (tmp_path / "out" / UNFINISHED).exists()
    export(store, tmp_path / "out", "png")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
