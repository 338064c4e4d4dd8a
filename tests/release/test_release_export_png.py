"""PNG files: the encoder against two decoders, truth as a palette, ids that don't fit, and the index."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pandas as pd
import pytest
from exports import IDS, last, pixels, read_png, toy, write_store
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from miso_gen.errors import InputError
from miso_gen.release import png_encoder
from miso_gen.release.export_folder import UNFINISHED
from miso_gen.release.exporting import export
from miso_gen.release.image_files import sixteen_bit
from miso_gen.release.png_encoder import write_png


def encoded(picture, rows=7, palette=None):
    file = io.BytesIO()
    bands = (picture[top : top + rows] for top in range(0, len(picture), rows))
    write_png(file, bands, picture.shape[:2], palette)
    return file.getvalue()


def by_opencv(data):
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return found if found.ndim == 2 else found[..., ::-1]


def filters(data):
    """Return the filter of each row, by the definition of the format."""
    place, packed, width = 8, b"", 0
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length : place + 12 + length]) == (zlib.crc32(kind + body),)
        if kind == b"IHDR":
            width, _, depth, colour = struct.unpack(">IIBB", body[:10])
            width *= depth // 8 * (3 if colour == 2 else 1)
        packed += body if kind == b"IDAT" else b""
        place += 12 + length
    return list(zlib.decompress(packed)[:: width + 1])


@given(
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 3]),
    st.sampled_from(["noise", "slope", "rows", "flat"]),
    st.integers(1, 50),
    st.integers(0, 99),
)
def test_decoders_find_the_same_pixels(dtype, height, width, channels, kind, rows, seed):
    rng = np.random.default_rng(seed)
    shape = (height, width) if channels == 1 else (height, width, 3)
    top = np.iinfo(dtype).max
    if kind == "noise":
        picture = rng.integers(0, top, shape, dtype, endpoint=True)
    else:
        r, c = np.mgrid[:height, :width]
        base = {"slope": 3 * r + 500 * c, "rows": 0 * r + rng.integers(0, top, width), "flat": 0 * r + 7}[kind]
        picture = (base.reshape(*base.shape, *(1,) * (len(shape) - 2)) + np.zeros(shape, int)).astype(dtype)
    data = encoded(picture, rows)
    found = by_opencv(data)
    assert found.dtype == dtype
    assert np.array_equal(found, picture)
    pillow = Image.open(io.BytesIO(data))
    pillow.load()
    assert pillow.size == (width, height)
    if not (dtype == np.uint16 and channels == 3):
        assert np.array_equal(np.asarray(pillow), picture)


def test_the_filter_fits_the_pixels():
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:64, :640]
    noise = rng.integers(0, 2, (64, 640), np.uint8) * np.uint8(255)
    assert set(filters(encoded(noise, 64))) == {0}  # any difference has more values than black and white
    assert set(filters(encoded((cols + 100 * rows).astype(np.uint8), 64))) == {1}
    assert set(filters(encoded(np.broadcast_to(rng.integers(0, 255, 640, np.uint8), (64, 640)), 64))) == {2}


def test_rows_are_filtered_in_parts_of_any_size(monkeypatch):
    picture = last(pixels((3, 75, 131))["image"])
    whole = by_opencv(encoded(picture, 75))
    monkeypatch.setattr(png_encoder, "_PART", 1)
    parts = encoded(picture, 75)
    assert np.array_equal(by_opencv(parts), whole)
    assert len(set(filters(parts))) > 1


@pytest.mark.parametrize(
    ("bands", "shape"),
    [
        ([np.zeros((2, 3), np.uint8)], (3, 3)),
        ([np.zeros((2, 3), np.uint8)], (2, 4)),
        ([np.zeros((2, 3), np.float32)], (2, 3)),
        ([np.zeros((2, 3, 4), np.uint8)], (2, 3)),
        ([], (1, 1)),
    ],
)
def test_what_is_no_png_is_refused(bands, shape):
    with pytest.raises(ValueError, match="of a PNG must"):
        write_png(io.BytesIO(), bands, shape)


@given(st.floats(0, 1, width=32))
def test_sixteen_bits_of_a_float(value):
    found = sixteen_bit(np.array([value], np.float32))
    assert found.dtype == np.uint16
    assert int(found[0]) == int(65535 * float(np.float32(value)) + 0.5)


def test_truth_is_a_palette_of_the_colours_of_the_store(tmp_path):
    dataset, images = toy(tmp_path / "store")
    export(dataset, tmp_path / "out", "png")
    picture = Image.open(tmp_path / "out" / f"{IDS[0]}.truth.png")
    assert picture.mode == "P"
    assert picture.getpalette()[:9] == [0, 0, 0, 255, 176, 0, 220, 38, 127]
    assert np.array_equal(np.asarray(picture), images[IDS[0]]["truth"])
    shown = np.asarray(picture.convert("RGB"))
    assert np.array_equal(np.unique(shown[images[IDS[0]]["truth"] == 2], axis=0), [[220, 38, 127]])


def test_the_index(tmp_path):
    dataset, _ = toy(tmp_path / "store")
    export(dataset, tmp_path / "out", "png")
    table = pd.read_csv(tmp_path / "out" / "index.csv")
    expected = dataset.table
    assert table["image_id"].tolist() == list(IDS)
    for name in ("scenario", "split", "label", "class_name", "height", "width", "truth_1_share", "image_digest", "truth_digest"):
        assert table[name].tolist() == expected[name].tolist()
    assert table["pair"].isna().tolist() == expected["pair"].isna().tolist()
    assert table["truth_2_known"].tolist() == [True] * 5
    assert table["file"].tolist() == [f"{name}.png" for name in IDS]
    assert table["instances_file"].isna().tolist() == [False, False, False, True, True]
    assert table["params.radius_px"].tolist() == [12.5] * 5
    assert table["params.counts"].tolist() == ["[1, 2]"] * 5


@pytest.mark.parametrize("to", ["png", "webdataset", "hf"])
def test_ids_that_no_png_holds_are_refused_by_name(tmp_path, to):
    planes = pixels((1, 70, 70))
    planes["instances"] = planes["instances"].astype(np.uint32) * 30_000
    dataset = write_store(tmp_path / "store", {"gsp/test/0001": planes}, ("gsp/test/0001",))
    with pytest.raises(InputError, match="object ids of gsp/test/0001 must be at most 65535 in a PNG, got 90000"):
        export(dataset, tmp_path / "out", to)
    assert (tmp_path / "out" / UNFINISHED).exists()
    assert export(dataset, tmp_path / "without", to, truth=False).images == 1
    assert export(dataset, tmp_path / "tiff", "ome-tiff").images == 1
    assert export(dataset, tmp_path / "coco", "coco").images == 1


def test_ids_of_the_table_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    dataset, _ = toy(tmp_path / "store")
    dataset.objects.loc[0, "id"] = 65536
    with pytest.raises(InputError, match="object ids of gsp/hold-out/0001 must be at most 65535"):
        export(dataset, tmp_path / "out", "png")
    assert not (tmp_path / "out").exists()
    assert export(dataset, tmp_path / "out", "png", scenarios=["md"]).images == 2


def test_sixteen_bit_colour_is_whole(tmp_path):
    dataset, images = toy(tmp_path / "store", "uint16", 3)
    export(dataset, tmp_path / "out", "png", images=[IDS[1]])
    assert np.array_equal(read_png((tmp_path / "out" / f"{IDS[1]}.png").read_bytes()), last(images[IDS[1]]["image"]))
