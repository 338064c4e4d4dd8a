"""What every export format promises; a new format is tested by existing, with a reader in ``exports.READERS``."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from exports import IDS, READERS, last, sixteen, toy, tree

from miso_gen.release.export_folder import UNFINISHED
from miso_gen.release.exporting import NOTES, export
from miso_gen.release.exports import EXPORTS
from miso_gen.store import open_dataset

FORMATS = EXPORTS.names()
KINDS = [("uint8", 1), ("uint8", 3), ("uint16", 1), ("uint16", 3), ("float32", 1), ("float32", 3)]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A store of each kind of pixels, made when it is asked for."""
    made = {}

    def get(dtype="uint8", channels=1):
        if (dtype, channels) not in made:
            made[dtype, channels] = toy(tmp_path_factory.mktemp("toy") / "store", dtype, channels)
        return made[dtype, channels]

    return get


class Interrupting:
    """Presses Ctrl-C after some images."""

    def __init__(self, after):
        self.left = after
        self.kept = None

    def start(self, images, kept):
        self.kept = kept

    def exported(self, image_id):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def test_the_formats_that_are_there():
    assert FORMATS == ("coco", "hf", "ome-tiff", "png", "webdataset")
    assert set(READERS) == set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_says_what_it_cannot_hold(name):
    form = EXPORTS.get(name)
    assert form.cannot_hold
    assert all(re.fullmatch(r"[A-Z].*\.", sentence) for sentence in form.cannot_hold)
    assert form.__doc__.splitlines()[0].endswith(".")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("dtype", "channels"), KINDS)
def test_pixels_and_truth_come_back(stores, tmp_path, name, dtype, channels):
    dataset, images = stores(dtype, channels)
    result = export(dataset, tmp_path / "out", name)
    found = READERS[name](tmp_path / "out")
    assert sorted(found) == sorted(IDS)
    for image_id, planes in images.items():
        expected = last(planes["image"]) if name == "ome-tiff" else sixteen(last(planes["image"]))
        assert found[image_id]["image"].dtype == expected.dtype
        assert np.array_equal(found[image_id]["image"], expected)
        assert np.array_equal(found[image_id]["truth"], planes["truth"])
        assert ("instances" in found[image_id]) == image_id.startswith("gsp")
        if image_id.startswith("gsp"):
            assert np.array_equal(found[image_id]["instances"], planes["instances"])
    assert any("float32 were stored as 16 bit" in note for note in result.notes) == (dtype == "float32" and name != "ome-tiff")
    assert any("Pillow" in note for note in result.notes) == (dtype != "uint8" and channels == 3 and name != "ome-tiff")


@pytest.mark.parametrize("name", FORMATS)
def test_the_result_and_the_notes_say_what_is_there(stores, tmp_path, name):
    dataset, _ = stores()
    result = export(dataset, tmp_path / "out", name)
    files = tree(tmp_path / "out")
    assert (result.path, result.images) == (str(tmp_path / "out"), len(IDS))
    assert result.files == len(files)
    assert result.bytes == sum(map(len, files.values()))
    assert result.notes[: len(EXPORTS.get(name).cannot_hold)] == EXPORTS.get(name).cannot_hold
    text = files[NOTES].decode()
    assert all(f"- {note}\n" in text for note in result.notes)
    assert dataset.root_digest in text
    assert "5 of 5 images of Toys \\& \\<others\\>." in text
    assert "| gsp | hold-out | 1 |\n| gsp | train | 2 |\n" in text
    assert UNFINISHED not in "".join(files)


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_bytes_again_and_from_an_archive(stores, tmp_path, name):
    dataset, _ = stores("uint8", 3)
    export(dataset, tmp_path / "one", name)
    export(dataset, tmp_path / "other", name)
    archive = shutil.make_archive(str(tmp_path / "store"), "zip", dataset.target.root)
    export(open_dataset(archive), tmp_path / "zipped", name)
    assert tree(tmp_path / "one") == tree(tmp_path / "other") == tree(tmp_path / "zipped")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"splits": ["train"]}, [name for name in IDS if "/train/" in name]),
        ({"scenarios": ["md"]}, [name for name in IDS if name.startswith("md")]),
        ({"splits": ["hold-out"], "scenarios": ["gsp", "md"], "images": [IDS[0], IDS[1]]}, [IDS[0]]),
    ],
)
def test_a_part_of_a_store(stores, tmp_path, name, filters, ids):
    dataset, images = stores()
    assert export(dataset, tmp_path / "out", name, **filters).images == len(ids)
    found = READERS[name](tmp_path / "out")
    assert sorted(found) == ids
    assert all(np.array_equal(found[image_id]["truth"], images[image_id]["truth"]) for image_id in ids)


@pytest.mark.parametrize("name", FORMATS)
def test_without_truth_nothing_tells_of_it(stores, tmp_path, name):
    dataset, images = stores()
    export(dataset, tmp_path / "out", name, truth=False)
    found = READERS[name](tmp_path / "out")
    assert sorted(found) == sorted(IDS)
    assert all(set(planes) == {"image"} for planes in found.values())
    assert all(np.array_equal(found[image_id]["image"], images[image_id]["image"][0]) for image_id in IDS)
    record = dataset[IDS[0]].record
    for path, data in tree(tmp_path / "out").items():
        assert "truth" not in path
        assert "instances" not in path
        for told in (record.truth_digest, record.instances_digest, "truth_1_share", "radius_px", "12.5"):
            assert told.encode() not in data, path


@pytest.mark.parametrize("name", FORMATS)
def test_an_interrupted_export_says_so_and_goes_on(stores, tmp_path, name):
    dataset, _ = stores("uint8", 3)
    export(dataset, tmp_path / "whole", name)
    with pytest.raises(KeyboardInterrupt):
        export(dataset, tmp_path / "out", name, watcher=Interrupting(1))
    assert (tmp_path / "out" / UNFINISHED / "export.json").exists()
    assert not (tmp_path / "out" / NOTES).exists()
    assert not (tmp_path / "out" / "index.csv").exists()
    watcher = Interrupting(100)
    result = export(dataset, tmp_path / "out", name, watcher=watcher)
    assert watcher.kept >= 2
    assert watcher.kept + (100 - watcher.left) == len(IDS)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert result.bytes == sum(map(len, tree(tmp_path / "whole").values()))


@pytest.mark.parametrize("name", FORMATS)
def test_stopped_while_it_finishes(stores, tmp_path, name, monkeypatch):
    # After every file that is made of all images, once.
    from miso_gen.release.export_folder import ExportFolder

    dataset, _ = stores("uint8", 3)
    export(dataset, tmp_path / "whole", name)
    note, stops = ExportFolder._note, 0
    left = [1]

    def stop(self, entry):
        note(self, entry)
        if "image" not in entry:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

    monkeypatch.setattr(ExportFolder, "_note", stop)
    while True:
        left[0] = 1 + stops
        try:
            export(dataset, tmp_path / "out", name)
        except KeyboardInterrupt:
            stops += 1
            assert (tmp_path / "out" / UNFINISHED).exists()
        else:
            break
    assert stops >= 1
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
