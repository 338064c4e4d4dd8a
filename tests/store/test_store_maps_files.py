"""Folders of maps from anybody: files are found by the ids of images, and what is wrong is told in words."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from miso_gen.errors import InputError, StoreError
from miso_gen.store import MapFolder, MapGroup, MapProblem, MapStore, array_digest, lies_at, open_maps

IDS = ("gsp/test/0007", "gsp/test/0008", "md/train/0000")
KNOWN = dict.fromkeys(IDS, (40, 50))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).random(shape).astype(np.float32)


def save(folder, file, values):
    """Write values as a file of the kind that its ending says."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".png":
        Image.fromarray(values).save(path)
    else:
        tifffile.imwrite(path, values, photometric="minisblack")
    return path


def problems(folder, known=None, cell_px=None):
    return [str(problem) for problem in MapFolder(folder).check(known or {"a/b": (4, 6)}, cell_px)]


@pytest.mark.parametrize("name", ["gsp/test/0007", "gsp_test_0007", "gsp-test-0007"])
@pytest.mark.parametrize("ending", [".npy", ".tif", ".tiff", ".TIFF", ".ome.tif"])
def test_files_are_named_by_images(tmp_path, name, ending):
    values = noise(40, 50)
    save(tmp_path, name + ending, values)
    folder = MapFolder(tmp_path)
    assert folder.ids(IDS) == ("gsp/test/0007",)
    found = folder.read("gsp/test/0007")
    np.testing.assert_array_equal(found.values, values)
    assert (found.image_id, found.target, found.blank, found.constant) == ("gsp/test/0007", None, False, False)
    assert found.digest == array_digest(values)
    assert [problem.subject for problem in folder.check(KNOWN)] == ["gsp/test/0008", "md/train/0000"]
    assert folder.check({"gsp/test/0007": (40, 50)}) == []


TYPES = [np.bool_, np.uint8, np.int16, np.uint16, np.int32, np.float16, np.float32, np.float64, ">f4", ">u2"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("ending", [".npy", ".tif"])
def test_numbers_are_taken_as_they_are(tmp_path, dtype, ending):
    values = (noise(4, 6) * 100).astype(dtype)
    save(tmp_path, f"a/b{ending}", values)
    found = MapFolder(tmp_path).read("a/b").values
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.astype(np.float32))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([np.bool_, np.uint8, np.uint16]), st.integers(0, 1000))
def test_pngs_are_scaled_to_one(tmp_path_factory, dtype, seed):
    folder = tmp_path_factory.mktemp("maps")
    top = 1 if dtype is np.bool_ else np.iinfo(dtype).max
    values = np.random.default_rng(seed).integers(0, top, (4, 6), endpoint=True).astype(dtype)
    save(folder, "a/b.png", values)
    found = MapFolder(folder).read("a/b").values
    for row in range(4):
        for col in range(6):
            assert found[row, col] == np.float32(int(values[row, col]) / top)


@pytest.mark.parametrize("bits", [2, 4])
def test_pngs_of_few_bits_are_scaled_to_one_too(tmp_path, bits):
    import struct
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packed = bytes([0b00011011]) if bits == 2 else bytes([0x05, 0xAF])
    header = struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + packed)) + chunk(b"IEND", b"")
    (tmp_path / "a_b.png").write_bytes(data)
    np.testing.assert_allclose(MapFolder(tmp_path).read("a/b").values, [[0, 1 / 3, 2 / 3, 1]], rtol=1e-7)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_compressed_tiffs_are_read(tmp_path, compression, dtype):
    values = (noise(40, 50) * 200).astype(dtype)
    Image.fromarray(values).save(tmp_path / "a_b.tif", compression=compression)
    np.testing.assert_array_equal(MapFolder(tmp_path).read("a/b").values, values.astype(np.float32))


@pytest.mark.parametrize("shape", [(1, 4, 6), (4, 6, 1)])
@pytest.mark.parametrize("ending", [".npy", ".tif"])
def test_one_axis_of_a_single_channel_is_left_out(tmp_path, shape, ending):
    values = noise(*shape)
    save(tmp_path, f"a/b{ending}", values)
    np.testing.assert_array_equal(MapFolder(tmp_path).read("a/b").values, values.reshape(4, 6))
    assert problems(tmp_path) == []


def test_blank_and_constant_maps_are_told(tmp_path):
    for name, value in (("a/blank", 0), ("a/constant", 3)):
        save(tmp_path, f"{name}.npy", np.full((4, 6), value))
    found = {name: MapFolder(tmp_path).read(f"a/{name}") for name in ("blank", "constant")}
    assert [(found[name].blank, found[name].constant) for name in found] == [(True, True), (False, True)]


def test_a_folder_says_what_its_maps_are(tmp_path):
    save(tmp_path / "my saliency!", "a/b.npy", noise(2, 3))
    plain = MapFolder(tmp_path / "my saliency!").read("a/b").group
    assert plain == MapGroup("", "my-saliency", {}, "pixel", "pixel")
    group = MapGroup("evp-vgg19-0", "rise", {"type": "rise"}, "patch", "grid", 2)
    assert MapFolder(tmp_path / "my saliency!", group).read("a/b").group == group
    (tmp_path / "!!").mkdir()
    assert MapFolder(tmp_path / "!!").group.explainer == "maps"


@pytest.mark.parametrize(
    ("shape", "image", "cell", "at"),
    [
        ((300, 280), (300, 280), 16, "pixel"),
        ((18, 17), (300, 280), 16, "grid"),
        ((19, 18), (300, 280), 16, None),
        ((18, 17), (300, 280), None, None),
        ((280, 300), (300, 280), 16, None),
        ((5, 5), (5, 5), 1, "pixel"),
    ],
)
def test_where_a_map_lies(shape, image, cell, at):
    assert lies_at(shape, image, cell) == at


def test_all_is_well_at_pixels_and_on_the_grid(tmp_path):
    save(tmp_path, "a/b.npy", noise(4, 6))
    cells = noise(2, 3)
    cells[0, 0] = np.nan
    save(tmp_path, "a/c.npy", cells)
    (tmp_path / "README.txt").write_text("mine")
    (tmp_path / ".hidden.npy").write_text("no map")
    save(tmp_path, "__MACOSX/a/b.npy", noise(1, 1))
    known = {"a/b": (4, 6), "a/c": (4, 6)}
    assert MapFolder(tmp_path).check(known, 2) == []
    assert problems(tmp_path, known) == ["a/c.npy has size 2 x 3. Save 4 x 6."]


def test_missing_and_unknown_images_are_told_with_the_nearest(tmp_path):
    save(tmp_path, "gsp/test/0007.npy", noise(40, 50))
    save(tmp_path, "gsp/test/008.npy", noise(40, 50))
    save(tmp_path, "zzz.npy", noise(40, 50))
    found = MapFolder(tmp_path).check(KNOWN)
    assert found == [
        MapProblem("gsp/test/0008", "has no map", "Save it as gsp/test/0008.npy."),
        MapProblem("md/train/0000", "has no map", "Save it as md/train/0000.npy."),
        MapProblem(
            "gsp/test/008.npy",
            "is called like no image",
            "Name it by the id of its image. Did you mean 'gsp/test/0008'?",
        ),
        MapProblem("zzz.npy", "is called like no image", "Name it by the id of its image."),
    ]
    assert str(found[0]) == "gsp/test/0008 has no map. Save it as gsp/test/0008.npy."


def test_two_files_of_an_image_are_told(tmp_path):
    save(tmp_path, "a/b.npy", noise(4, 6))
    save(tmp_path, "a-b.png", np.zeros((4, 6), np.uint8))
    assert problems(tmp_path) == ["a/b has 2 maps, a/b.npy, a-b.png. Keep one of them."]
    assert MapFolder(tmp_path).ids(["a/b"]) == ()
    with pytest.raises(InputError, match=r"maps of a/b in .* must be one file, got a/b.npy, a-b.png"):
        MapFolder(tmp_path).read("a/b")
    with pytest.raises(InputError, match="must be one file, got none"):
        MapFolder(tmp_path).read("a/c")


def test_a_name_of_two_images_is_told(tmp_path):
    save(tmp_path, "a_b_c.npy", noise(4, 6))
    known = {"a_b/c": (4, 6), "a/b_c": (4, 6)}
    assert problems(tmp_path, known) == ["a_b_c.npy names 2 images, a/b_c, a_b/c. Name it by folders."]


def test_other_kinds_of_files_are_told(tmp_path):
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "a_b.jpg")
    assert problems(tmp_path) == ["a_b.jpg is of a kind that is not read. Save one of .npy, .tif, .tiff, .png."]


def pickled(path):
    with path.open("wb") as file:
        np.save(file, np.array([[{}]], object), allow_pickle=True)


def archive(path):
    np.savez(path.with_suffix(".npz"), noise(4, 6))
    path.with_suffix(".npz").rename(path)


def cut_off(path):
    save(path.parent, path.name, (noise(4, 6) * 255).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:-30])


def several(path):
    with tifffile.TiffWriter(path) as file:
        file.write(noise(4, 6))
        file.write(noise(5, 6))


def bare_pickle(path):
    path.write_bytes(pickle.dumps(noise(4, 6)))


UNFIT = {
    "wrong size": ("a_b.npy", noise(5, 6), "has size 5 x 6. Save 4 x 6, or 2 x 3 cells of 2 px."),
    "swapped": ("a_b.npy", noise(6, 4), "has size 6 x 4. Save 4 x 6, or 2 x 3 cells of 2 px. Its axes are swapped."),
    "colours": ("a_b.npy", noise(4, 6, 3), "has 3 axes, shape (4, 6, 3). Save one value for each place: (height, width)."),
    "four axes": ("a_b.npy", noise(1, 4, 6, 1), "has 4 axes, shape (1, 4, 6, 1). Save one value"),
    "a row": ("a_b.npy", noise(24), "has 1 axes, shape (24,). Save one value"),
    "volume": ("a_b.tif", noise(7, 4, 6), "has 3 axes, shape (7, 4, 6). Save one value"),
    "nan": ("a_b.npy", np.full((4, 6), np.nan), "has 24 values that are not finite. Save finite numbers."),
    "infinity on cells": ("a_b.npy", np.full((2, 3), -np.inf), "has 6 values that are not finite"),
    "too large": ("a_b.npy", np.full((4, 6), 1e300), "has 24 values that are not finite"),
    "complex": ("a_b.npy", np.ones((4, 6), complex), "holds complex128 values. Save real numbers"),
    "text": ("a_b.npy", np.full((4, 6), "a"), "holds <U1 values. Save real numbers"),
    "RGB": ("a_b.png", np.zeros((4, 6, 3), np.uint8), "holds colours. Save the values themselves: as .npy, or as grey"),
    "objects": ("a_b.npy", pickled, "can't be read: "),
    "pickle": ("a_b.npy", bare_pickle, "can't be read: "),
    "archive": ("a_b.npy", archive, "can't be read: "),
    "cut off": ("a_b.npy", cut_off, "can't be read: "),
    "cut off TIFF": ("a_b.tif", cut_off, "can't be read: "),
    "cut off PNG": ("a_b.png", cut_off, "can't be read: "),
    "start of a PNG": ("a_b.png", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "can't be read: "),
    "two pictures": ("a_b.tif", several, "holds 2 pictures. Save one map a file."),
    "nothing": ("a_b.tif", lambda path: path.write_bytes(b""), "can't be read: "),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_is_no_map_is_told_and_not_raised(tmp_path, case):
    file, content, words = UNFIT[case]
    if callable(content):
        content(tmp_path / file)
    else:
        save(tmp_path, file, content)
    (said,) = problems(tmp_path, cell_px=2)
    assert said.startswith(f"{file} {words}")
    assert said.endswith(".")
    if words.startswith(("can't", "holds")) or "axes, shape" in words:
        with pytest.raises(InputError, match=r"a_b\.\w+ must be a map, got one that "):
            MapFolder(tmp_path).read("a/b")


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    with (tmp_path / "a_b.npy").open("wb") as file:
        np.save(file, np.array([[Trap()]], object), allow_pickle=True)
    (tmp_path / "a_c.npy").write_bytes(pickle.dumps(Trap()))
    assert len(problems(tmp_path, {"a/b": (1, 1), "a/c": (1, 1)})) == 2
    assert not (tmp_path / "sprung").exists()


def test_a_palette_is_refused(tmp_path):
    Image.fromarray(np.zeros((4, 6), np.uint8)).convert("P").save(tmp_path / "a_b.png")
    assert problems(tmp_path)[0].startswith("a_b.png holds colours.")


def test_an_inverted_tiff_that_only_pillow_reads_is_refused(tmp_path):
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "a_b.tif", compression="tiff_lzw", tiffinfo={262: 0})
    assert problems(tmp_path) == ["a_b.tif is compressed by LZW. Save it without compression, or as .npy."]


def test_a_folder_of_either_kind_is_opened(tmp_path):
    save(tmp_path / "files", "a/b.npy", noise(4, 6))
    assert isinstance(open_maps(tmp_path / "files"), MapFolder)
    dataset = {"name": "miso1", "version": "1.0.0", "root_digest": None}
    store = MapStore.create(tmp_path / "run" / "maps.zarr", dataset=dataset)
    for place in (store.path, str(store.path.parent)):
        found = open_maps(place)
        assert isinstance(found, MapStore)
        assert found.path == store.path
    (tmp_path / "file").write_text("")
    for place, got in (("none", "nothing there"), ("file", "a file")):
        with pytest.raises(StoreError, match=f"must be a folder of maps, got {got}"):
            open_maps(tmp_path / place)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    with pytest.raises(StoreError, match="must be a store of maps, got something else"):
        open_maps(tmp_path / "foreign")
