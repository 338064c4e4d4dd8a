"""Imported label masks against scikit-image's regionprops and the array itself, for every dtype, layout and file."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from skimage.measure import label, regionprops

from miso_gen.contents import Content, recall
from miso_gen.errors import RefusedFilesError
from miso_gen.geometry import Box
from miso_gen.imports.labels import import_labels, labels_of, read_labels


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISO_GEN_CACHE", str(tmp_path / "cache"))


def cells(ids: list[int], dtype: Any = np.int64, shape: tuple[int, int] = (61, 83)) -> np.ndarray:
    """Return discs that touch, cover each other and leave the canvas, with these ids in turn."""
    draws = np.random.default_rng(len(ids))
    out = np.zeros(shape, np.int64)
    y, x = np.indices(shape)
    for number in [*ids, *ids[::-1], *ids]:
        row, column, radius = draws.integers(0, shape[0]), draws.integers(0, shape[1]), draws.integers(2, 9)
        out[(y - row) ** 2 + (x - column) ** 2 < radius**2] = number
    return out.astype(dtype)


def drawn(content: Content) -> np.ndarray:
    """Return the ids of the file, painted again: 0 where there is no object."""
    runs = labels_of(content)
    found = runs.labels(Box(0, 0, runs.height, runs.width), np.dtype(np.uint32))
    ids = np.zeros((runs.height, runs.width), np.uint32) if found is None else found[1]
    return np.concatenate([[0], content.arrays["original"]])[ids]


def numbered(content: Content) -> np.ndarray:
    runs = labels_of(content)
    found = runs.labels(Box(0, 0, runs.height, runs.width), np.dtype(np.uint32))
    assert found is not None
    return found[1]


def compare(content: Content, ids: np.ndarray) -> None:
    """Compare counts, areas, boxes and centroids with regionprops of an array of ids from 1, without gaps."""
    runs, props = labels_of(content), regionprops(ids)
    assert len(content.arrays["original"]) == len(runs.objects) == len(props) > 0
    assert runs.objects.tolist() == [prop.label for prop in props]
    assert runs.areas.tolist() == [int(prop.area) for prop in props]
    assert runs.boxes.tolist() == [list(prop.bbox) for prop in props]
    np.testing.assert_allclose(runs.centroids, [prop.centroid for prop in props], rtol=0, atol=1e-9)


def written(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".png":
        Image.fromarray(array).save(path)
    elif path.suffix == ".zarr":
        zarr.save_array(path, array)
    else:
        tifffile.imwrite(path, array)
    return path


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(RefusedFilesError) as caught:
        import_labels(path, **options)
    ((name, reason),) = caught.value.refused
    assert name
    assert reason.startswith("must be ")
    assert ", got " in reason
    assert reason.endswith((".", "?"))
    return reason


DENSE = list(range(1, 13))
SPARSE = [3, 4, 90, 91, 200, 255]
LARGE = [1, 65_535, 65_536, 2_000_000_000]
HUGE = [7, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1]
SMALL_TYPES = ["u1", "<u2", ">u2", "<u4", ">u4", "<u8", ">u8", "<i2", ">i2", "<i4", ">i4", "<i8", ">i8", "f4", ">f4", "f8", ">f8"]


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".zarr"])
@pytest.mark.parametrize(
    ("dtype", "ids"),
    [
        *((dtype, ids) for dtype in SMALL_TYPES for ids in (DENSE, SPARSE)),
        *((dtype, LARGE) for dtype in ("<u4", ">u4", "<i4", ">i8", "f8")),
        *((dtype, HUGE) for dtype in ("<u8", ">u8", "<i8", ">i8")),
        ("i1", [1, 5, 127]),
        ("f2", [1, 2, 2048]),
        ("f8", [1, 2**31, 2**52]),
    ],
)
def test_every_dtype_and_pattern_of_ids(tmp_path: Path, suffix: str, dtype: str, ids: list[int]) -> None:
    labels = cells(ids)
    content = import_labels(written(tmp_path / f"mask{suffix}", labels.astype(dtype)))
    known, dense = np.unique(labels[labels != 0], return_inverse=True)
    wanted = np.zeros(labels.shape, np.int64)
    wanted[labels != 0] = dense + 1
    assert content.kind == "labels"
    assert content.facts == {"height": 61, "width": 83}
    assert content.arrays["original"].tolist() == known.tolist()
    assert {name: array.dtype.str for name, array in content.arrays.items()} == {
        "starts": "<i8",
        "first": "<i4",
        "stop": "<i4",
        "ids": "<u4",
        "original": "<i8",
    }
    assert np.array_equal(drawn(content), labels)
    compare(content, wanted)


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".zarr", ".png"])
def test_files_of_one_mask_have_one_digest(tmp_path: Path, suffix: str) -> None:
    labels = cells(SPARSE, np.uint16)
    wanted = import_labels(written(tmp_path / "first.npy", labels)).digest
    assert import_labels(written(tmp_path / f"a/b{suffix}", labels)).digest == wanted
    assert recall(wanted).digest == wanted


def png(path: Path, values: np.ndarray, depth: int, colours: int = 0) -> Path:
    """Write a PNG by the book: grey (0), palette (3), colours (2) or grey and alpha (4) of any depth."""
    rows = []
    for row in values:
        if depth == 16:
            rows.append(row.astype(">u2").tobytes())
        elif depth == 8:
            rows.append(row.astype(np.uint8).tobytes())
        else:
            bits = "".join(f"{value:0{depth}b}" for value in row.tolist())
            bits += "0" * (-len(bits) % 8)
            rows.append(bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)))
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], depth, colours, 0, 0, 0)
    palette = [(b"PLTE", bytes(range(48)))] if colours == 3 else []
    chunks = [(b"IHDR", head), *palette, (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b"")]
    data = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


@pytest.mark.parametrize(
    ("depth", "colours", "most"),
    [(1, 0, 1), (2, 0, 3), (4, 0, 15), (8, 0, 255), (16, 0, 65535), (1, 3, 1), (4, 3, 15), (8, 3, 15)],
)
def test_png_of_any_depth_holds_the_stored_numbers(tmp_path: Path, depth: int, colours: int, most: int) -> None:
    values = np.random.default_rng(depth).choice(np.unique([0, 1, most // 2, most]), (19, 23))
    path = png(tmp_path / "mask.png", values, depth, colours)
    assert np.array_equal(read_labels(path), values)
    assert np.array_equal(drawn(import_labels(path, objects="ids")), values)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("colours", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_colours_that_are_all_alike_are_grey(tmp_path: Path, depth: int, colours: int, channels: int) -> None:
    values = np.random.default_rng(1).choice([0, 1, 255 if depth == 8 else 40_000], (9, 11))
    stacked = np.repeat(values[..., None], channels, axis=2)
    if channels != 3:
        stacked[..., -1] = 2**depth - 1
    path = png(tmp_path / "mask.png", stacked.reshape(9, -1), depth, colours)
    data = bytearray(path.read_bytes())
    data[16:29] = struct.pack(">IIBBBBB", 11, 9, depth, colours, 0, 0, 0)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    assert np.array_equal(read_labels(path), values)


def test_colours_that_differ_are_refused(tmp_path: Path) -> None:
    picture = np.zeros((400, 10, 3), np.uint8)
    picture[390, 3] = (255, 0, 0)
    for suffix in (".png", ".npy", ".tif"):
        assert "colours" in refusal(written(tmp_path / f"mask{suffix}", picture))
    tifffile.imwrite(tmp_path / "planar.tif", np.moveaxis(picture, 2, 0), photometric="rgb", planarconfig="separate")
    assert "colours" in refusal(tmp_path / "planar.tif")


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "tiff_deflate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.float32, np.bool_])
def test_tiff_compressions(tmp_path: Path, compression: str, dtype: type) -> None:
    labels = cells([1, 3, 200] if dtype != np.bool_ else [1], dtype)
    if dtype == np.uint32:  # Pillow writes no such files
        tifffile.imwrite(tmp_path / "mask.tif", labels, compression="zlib")
    else:
        Image.fromarray(labels).save(tmp_path / "mask.tif", compression=compression)
    assert np.array_equal(read_labels(tmp_path / "mask.tif"), labels)


def test_unsigned_numbers_survive_a_compression_that_tifffile_alone_lacks(tmp_path: Path) -> None:
    labels = cells(LARGE, np.int32)
    path = tmp_path / "mask.tif"
    Image.fromarray(labels).save(path, compression="tiff_lzw")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["SampleFormat"].overwrite(1)
    assert read_labels(path).dtype == np.uint32
    assert np.array_equal(read_labels(path), labels)


def test_tiff_of_many_layouts(tmp_path: Path) -> None:
    labels = cells(SPARSE, np.uint16, (130, 150))
    tifffile.imwrite(tmp_path / "tiled.tif", labels, tile=(64, 64), compression="zlib")
    tifffile.imwrite(tmp_path / "big.tif", labels, bigtiff=True, byteorder=">")
    tifffile.imwrite(tmp_path / "imagej.tif", labels, imagej=True)
    tifffile.imwrite(tmp_path / "ome.tif", labels[None, None], ome=True, metadata={"axes": "ZCYX"})
    with tifffile.TiffWriter(tmp_path / "pyramid.ome.tif") as file:
        file.write(labels, subifds=1)
        file.write(labels[::2, ::2], subfiletype=1)
    for path in sorted(tmp_path.glob("*.tif")):
        assert np.array_equal(read_labels(path), labels), path.name


def test_binary_masks_are_taken_apart(tmp_path: Path) -> None:
    """Two values: pieces, 8-connected, numbered as scikit-image numbers them; the value does not matter."""
    mask = cells([1]) != 0
    mask[0, 0], mask[1, 1], mask[0:2, 2:4] = True, True, False  # touch at a corner
    wanted = label(mask, connectivity=2)
    assert wanted.max() > 3
    digests = set()
    for number, array in enumerate([mask, mask.astype(np.uint8) * 255, mask.astype(">i4") * 7, mask.astype(np.float32)]):
        content = import_labels(written(tmp_path / f"{number}.npy", array))
        assert np.array_equal(numbered(content), wanted)
        assert content.arrays["original"].tolist() == list(range(1, wanted.max() + 1))
        compare(content, wanted)
        digests.add(content.digest)
    assert len(digests) == 1
    Image.fromarray(mask).save(tmp_path / "one-bit.png")
    assert import_labels(tmp_path / "one-bit.png").digest in digests


def literal_pieces(labels: np.ndarray, background: int | None) -> tuple[np.ndarray, list[int]]:
    """Flood fill; pieces in the order of their ids, then of their first pixels."""
    seen = np.zeros(labels.shape, np.int64)
    found: list[tuple[int, int, list[tuple[int, int]]]] = []
    for start in np.ndindex(labels.shape):
        if seen[start] or labels[start] == background:
            continue
        seen[start], piece, waiting = 1, [], [start]
        while waiting:
            y, x = waiting.pop()
            piece.append((y, x))
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                inside = 0 <= near[0] < labels.shape[0] and 0 <= near[1] < labels.shape[1]
                if inside and not seen[near] and labels[near] == labels[start]:
                    seen[near] = 1
                    waiting.append(near)
        found.append((int(labels[start]), len(found), piece))
    out = np.zeros(labels.shape, np.int64)
    for number, (_, _, piece) in enumerate(sorted(found), 1):
        for pixel in piece:
            out[pixel] = number
    return out, [original for original, _, _ in sorted(found)]


small = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: arrays.arrays(np.int64, shape, elements=st.sampled_from([0, 0, 1, 2, 9]))
)


@settings(max_examples=150, deadline=None)
@given(small, st.sampled_from(["auto", "ids", "pieces"]), st.sampled_from([0, 2, "none"]))
def test_small_masks(tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray, objects: Any, background: Any) -> None:
    path = written(tmp_path_factory.mktemp("masks") / "mask.npy", labels)
    ground = None if background == "none" else background
    there = labels != ground if ground is not None else np.ones(labels.shape, np.bool_)
    if not there.any() or (there.all() and ground is not None):
        with pytest.raises(RefusedFilesError):
            import_labels(path, background=background, objects=objects)
        return
    content = import_labels(path, background=background, objects=objects)
    known = np.unique(labels[there]).tolist()
    if objects == "ids" or (objects == "auto" and len(known) > 1):
        wanted = np.zeros(labels.shape, np.int64)
        for number, original in enumerate(known, 1):
            wanted[there & (labels == original)] = number
        originals = known
    else:
        wanted, originals = literal_pieces(labels, ground)
        originals = originals if objects == "pieces" else list(range(1, len(originals) + 1))
    assert np.array_equal(numbered(content), wanted)
    assert content.arrays["original"].tolist() == originals


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_pieces_of_long_winding_shapes(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    mask = np.random.default_rng(seed).random((40, 300)) < 0.42  # near the threshold of percolation
    content = import_labels(written(tmp_path_factory.mktemp("masks") / "mask.npy", mask))
    assert np.array_equal(numbered(content), label(mask, connectivity=2))


def test_an_id_in_parts_is_one_object_unless_pieces_are_asked_for(tmp_path: Path) -> None:
    labels = np.array([[1, 0, 1, 2, 2], [0, 0, 1, 0, 5]])
    path = written(tmp_path / "mask.npy", labels)
    assert np.array_equal(numbered(import_labels(path)), [[1, 0, 1, 2, 2], [0, 0, 1, 0, 3]])
    content = import_labels(path, objects="pieces")
    assert np.array_equal(numbered(content), [[1, 0, 2, 3, 3], [0, 0, 2, 0, 4]])
    assert content.arrays["original"].tolist() == [1, 1, 2, 5]


@pytest.mark.parametrize("shape", [(1, 61, 83), (61, 83, 1), (1, 1, 61, 83), (1, 61, 83, 1)])
def test_axes_of_size_one_do_not_matter(tmp_path: Path, shape: tuple[int, ...]) -> None:
    labels = cells(SPARSE, np.uint16)
    for suffix in (".npy", ".tif", ".zarr"):
        assert np.array_equal(read_labels(written(tmp_path / f"mask{suffix}", labels.reshape(shape))), labels)


def test_a_background_of_another_number(tmp_path: Path) -> None:
    labels = np.array([[-1, -1, 0, 0], [-1, 4, 4, -1]], np.int32)
    path = written(tmp_path / "mask.tif", labels)
    content = import_labels(path, background=-1)
    assert np.array_equal(numbered(content), [[0, 0, 1, 1], [0, 2, 2, 0]])
    assert content.arrays["original"].tolist() == [0, 4]
    reason = refusal(path)
    assert "-1" in reason
    assert "background: -1" in reason
    assert "background: none" in refusal(path, background=9)
    assert "background: -1" in refusal(path, background="none")


def ome(folder: Path, labels: dict[str, np.ndarray], *, version: str, image: bool = True) -> Path:
    """Write an OME-Zarr image with label images, with zarr alone."""
    form: Any = 2 if version == "0.4" else 3

    def dressed(group: Any, name: str, array: np.ndarray, **more: Any) -> None:
        for level, part in enumerate((array, array[..., ::2, ::2])):
            group.create_array(str(level), data=part, chunks=tuple(min(size, 32) for size in part.shape))
        axes = [{"name": axis} for axis in ("cyx" if array.ndim == 3 else "tczyx"[-array.ndim :])]
        datasets = [{"path": str(level)} for level in range(2)]
        facts = {"multiscales": [{"name": name, "axes": axes, "datasets": datasets}], **more}
        group.attrs.update(facts if version == "0.4" else {"ome": {"version": version, **facts}})

    root = zarr.open_group(folder, mode="w", zarr_format=form)
    if image:
        dressed(root, "image", np.zeros((3, 40, 50), np.uint8))
    if labels:
        group = root.create_group("labels")
        facts = {"labels": list(labels)}
        group.attrs.update(facts if version == "0.4" else {"ome": {"version": version, **facts}})
        for name, array in labels.items():
            dressed(group.create_group(name), name, array, **{"image-label": {}})
    return folder


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path: Path, version: str) -> None:
    nuclei, tumour = cells(SPARSE, np.uint16, (40, 50)), cells(DENSE, np.uint8, (40, 50))
    alone = ome(tmp_path / "alone.zarr", {"nuclei": nuclei}, version=version)
    for path in (alone, alone / "labels", alone / "labels/nuclei", alone / "labels/nuclei/0"):
        assert np.array_equal(drawn(import_labels(path)), nuclei)
    assert np.array_equal(read_labels(alone / "labels/nuclei/1"), nuclei[::2, ::2])
    both = ome(tmp_path / "both.zarr", {"nuclei": nuclei[None, None, None], "tumour": tumour}, version=version)
    reason = refusal(both)
    assert "nuclei, tumour" in reason
    assert "both.zarr/labels/nuclei" in reason
    assert np.array_equal(drawn(import_labels(both / "labels/nuclei")), nuclei)
    assert np.array_equal(drawn(import_labels(both / "labels/tumour")), tumour)
    assert "Did you mean 'nuclei'?" in refusal(both / "labels/nucleus")
    assert "channels" in refusal(ome(tmp_path / "bare.zarr", {}, version=version))


def test_zarr_of_other_kinds(tmp_path: Path) -> None:
    labels = cells(SPARSE, np.uint32)
    for form in (2, 3):
        zarr.save_array(tmp_path / f"plain{form}.zarr", labels, zarr_format=form)
        assert np.array_equal(read_labels(tmp_path / f"plain{form}.zarr"), labels)
    group = zarr.open_group(tmp_path / "group.zarr", mode="w")
    group.create_array("mine", data=labels)
    assert "a group of mine" in refusal(tmp_path / "group.zarr")
    assert np.array_equal(read_labels(tmp_path / "group.zarr/mine"), labels)
    (tmp_path / "folder").mkdir()
    assert "without one" in refusal(tmp_path / "folder")
    assert "nothing" in refusal(tmp_path / "absent.zarr")
    zarr.save_array(tmp_path / "stack.zarr", np.ones((4, 20, 30), np.uint8))
    assert "(4, 20, 30)" in refusal(tmp_path / "stack.zarr")
    chunk = next(path for path in (tmp_path / "plain3.zarr").rglob("c/0/0") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:9])
    assert "Zarr" in refusal(tmp_path / "plain3.zarr")


def test_our_own_stores(tmp_path: Path) -> None:
    from miso_gen import build, load_recipe

    entry = {"type": "evsp", "radius_px": 5, "fuzz": 0.0, "points": {"type": "matern", "candidates_per_mpx": 4000}}
    recipe = load_recipe(
        {
            "schema": 1,
            "name": "t",
            "version": "1.0.0",
            "seed": 1,
            "splits": ["test"],
            "canvas": {"shape": [128, 128]},
            "scenarios": [entry],
        }
    )
    build(recipe, tmp_path / "store", workers=1)
    image = next((tmp_path / "store/images.zarr/evsp/test").glob("0*"))
    content = import_labels(image / "labels/instances")
    wanted = zarr.open_array(image / "labels/instances/0", mode="r")[...]
    assert np.array_equal(drawn(content), wanted)
    assert "instances, truth" in refusal(image)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([[0.0, 1.0], [np.nan, 2.0]]), "nan"),
        (np.array([[0.0, np.inf]]), "infinite"),
        (np.array([[0.0, 0.5, 1.0]], np.float32), "0.5"),
        (np.array([[0.0, 1e19]]), "9223372036854775807"),
        (np.array([[0, 2**63]], np.uint64), "9223372036854775808"),
        (np.array([[0, 1j]]), "complex128"),
        (np.array([["a", "b"]]), "whole numbers"),
        (np.array([[0, -3, 4]]), "-3"),
        (np.zeros((4, 5), np.uint8), "nothing but 0"),
        (np.ones((4, 5), np.uint8), "background: none"),
        (np.zeros((3, 4, 5), np.uint8), "(3, 4, 5)"),
        (np.zeros((2, 3, 4, 5), np.uint8), "(2, 3, 4, 5)"),
        (np.zeros((2, 1, 4, 3), np.uint8), "(2, 1, 4, 3)"),
        (np.zeros(5, np.uint8), "(5,)"),
        (np.zeros((0, 5), np.uint8), "(0, 5)"),
    ],
)
def test_arrays_that_are_no_labels_are_refused(tmp_path: Path, array: np.ndarray, words: str) -> None:
    assert words in refusal(written(tmp_path / "mask.npy", array))


def test_broken_files_are_refused(tmp_path: Path) -> None:
    labels = np.random.default_rng(1).integers(0, 90, (100, 100)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "deflated.tif", labels, compression="zlib")
    Image.fromarray(labels).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    for suffix in (".tif", ".png", ".npy"):
        written(tmp_path / f"mask{suffix}", labels)
    for path in sorted(tmp_path.glob("*.*")):
        data = path.read_bytes()
        for length in (0, 4, len(data) // 2, len(data) - 400):
            path.write_bytes(data[:length])
            assert path.suffix[1:4].upper() in refusal(path), (path, length)
        path.write_bytes(b"neither this nor that" * 9)
        refusal(path)
    np.save(tmp_path / "objects.npy", np.array([[{}]], object), allow_pickle=True)
    refusal(tmp_path / "objects.npy")


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    for name in ("mask.jpg", "mask.czi", "mask"):
        (tmp_path / name).write_bytes(b"x")
        assert ".tif" in refusal(tmp_path / name)
    assert "JPEG" in refusal(tmp_path / "mask.jpg")
    assert "existing" in refusal(tmp_path / "absent.tif")
    with tifffile.TiffWriter(tmp_path / "two.tif") as file:
        file.write(np.zeros((9, 9), np.uint8))
        file.write(np.zeros((5, 7), np.uint8))
    assert "2 of 9 x 9, 5 x 7" in refusal(tmp_path / "two.tif")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "lossy.tif", compression="jpeg")
    assert "JPEG" in refusal(tmp_path / "lossy.tif")
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((5, 10, 20), np.uint8))
    assert "(5, 10, 20)" in refusal(tmp_path / "stack.tif")


def test_the_same_bytes_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = cells(SPARSE, np.uint8)
    path = written(tmp_path / "mask.npy", labels)
    first = import_labels(path)
    other = written(tmp_path / "other.npy", labels)
    monkeypatch.setattr("miso_gen.imports.label_files.LabelFile.read", None)
    assert import_labels(other).digest == first.digest
    with pytest.raises(TypeError):
        import_labels(other, objects="pieces")  # another content, which nobody made yet
