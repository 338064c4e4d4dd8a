"""OME-TIFF: every level by two readers and by the definition, the description, and what is not in the file."""

from __future__ import annotations

import struct
import tracemalloc
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import tifffile
from exports import IDS, last, pixels, toy, write_store

from miso_gen.release.exporting import export
from miso_gen.release.exports import ome_tiff
from miso_gen.store import StoredArray

NAME = "gsp/test/0001"
OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


def halved(image):
    """The 2 x 2 mean of (..., h, w), slowly: floor(mean + 1/2) of whole numbers, over the pixels there are."""
    height, width = image.shape[-2:]
    out = np.zeros((*image.shape[:-2], -(-height // 2), -(-width // 2)), image.dtype)
    for row in range(out.shape[-2]):
        for col in range(out.shape[-1]):
            cell = image[..., 2 * row : 2 * row + 2, 2 * col : 2 * col + 2]
            mean = cell.astype(np.float64).mean(axis=(-2, -1))
            out[..., row, col] = mean if image.dtype.kind == "f" else np.floor(mean + 0.5)
    return out


def other_reader(path, number, plane=0):
    """Read a level by OpenCV's libtiff, which reads the first page only: let the header point to the level."""
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[plane]
        offset = page.offset if not number else page.subifds[number - 1]
    data[4:8] = struct.pack("<I", offset)
    found = cv2.imdecode(np.frombuffer(bytes(data), np.uint8), cv2.IMREAD_UNCHANGED)
    return found if found.ndim == 2 else found[..., ::-1]


def pages_of(path):
    with tifffile.TiffFile(path) as tiff:
        return [level.asarray() for level in tiff.series[0].levels]


@pytest.mark.parametrize(
    ("dtype", "channels", "shape", "levels"),
    [
        ("uint8", 1, (75, 131), 1),
        ("uint8", 1, (1025, 513), 2),
        ("uint8", 3, (517, 1290), 2),
        ("uint16", 1, (70, 2101), 3),
        ("uint16", 3, (64, 1031), 2),
        ("float32", 1, (1500, 66), 2),
        ("float32", 3, (64, 1027), 2),
        ("uint8", 1, (65, 4301), 4),  # the store has level 1, and so do we
        ("uint16", 3, (4099, 64), 4),
    ],
)
def test_every_level_by_two_readers(tmp_path, dtype, channels, shape, levels):
    planes = pixels((channels, *shape), dtype)
    dataset = write_store(tmp_path / "store", {NAME: planes}, (NAME,))
    export(dataset, tmp_path / "out", "ome-tiff")
    for name, suffix in (("image", ""), ("truth", ".truth"), ("instances", ".instances")):
        path = tmp_path / "out" / f"{NAME}{suffix}.ome.tif"
        found = pages_of(path)
        assert len(found) == levels
        expected = planes[name]
        for number, level in enumerate(found):
            if number:
                expected = halved(expected) if name == "image" else expected[::2, ::2]
            separate = name == "image" and channels == 3 and dtype != "uint8"
            assert level.dtype == expected.dtype
            assert np.array_equal(level, expected if separate or expected.ndim == 2 else last(expected))
            if separate:
                for plane in range(3):
                    assert np.array_equal(other_reader(path, number, plane), expected[plane])
            else:
                assert np.array_equal(other_reader(path, number), level)
        assert max(found[-1].shape[-2:] if separate else found[-1].shape[:2]) <= 1024


@pytest.mark.parametrize(("dtype", "ome"), [("uint8", "uint8"), ("uint16", "uint16"), ("float32", "float")])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_description(tmp_path, dtype, ome, channels):
    dataset, _ = toy(tmp_path / "store", dtype, channels)
    export(dataset, tmp_path / "out", "ome-tiff", images=[IDS[0]])
    path = tmp_path / "out" / f"{IDS[0]}.ome.tif"
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        rgb = channels == 3 and dtype == "uint8"
        assert tiff.series[0].axes == ("YXS" if rgb else "CYX" if channels == 3 else "YX")
        assert tiff.pages[0].tile == (512, 512)
        assert tiff.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        text = tiff.pages[0].description
    root = ElementTree.fromstring(text)
    tags = root.find(f"{OME}Image/{OME}Pixels")
    size = {name: int(tags.get(name)) for name in ("SizeX", "SizeY", "SizeC", "SizeZ", "SizeT")}
    assert size == {"SizeX": 131, "SizeY": 75, "SizeC": channels, "SizeZ": 1, "SizeT": 1}
    assert tags.get("Type") == ome
    assert [int(tag.get("SamplesPerPixel")) for tag in tags.iter(f"{OME}Channel")] == ([3] if rgb else [1] * channels)
    assert [int(tag.get("IFD")) for tag in tags.iter(f"{OME}TiffData")] == list(range(1 if rgb else channels))
    assert not [name for name in tags.keys() if name.startswith("PhysicalSize")]  # noqa: SIM118  # an element is no mapping
    assert root.find(f"{OME}Image/{OME}Description").text == "Toys & <others>"
    facts = {tag.get("K"): tag.text for tag in root.iter(f"{OME}M")}
    row = dataset.table.set_index("image_id").loc[IDS[0]]
    assert facts["class_name"] == "intact"
    assert facts["label"] == "0"
    assert float(facts["truth_1_share"]) == row["truth_1_share"]
    assert "UUID" not in text


def test_an_outside_check_of_the_description(tmp_path):
    ome_types = pytest.importorskip("ome_types")
    for number, (dtype, channels) in enumerate((("uint8", 3), ("uint16", 3), ("float32", 1))):
        dataset, _ = toy(tmp_path / f"store{number}", dtype, channels)
        export(dataset, tmp_path / f"out{number}", "ome-tiff")
        files = sorted((tmp_path / f"out{number}").rglob("*.tif"))
        assert len(files) == 13
        for path in files:
            found = ome_types.from_tiff(path, validate=True)  # against the published schema
            assert found.images[0].pixels.size_y == 75


def test_levels_by_a_third_reader(tmp_path):
    pyvips = pytest.importorskip("pyvips")
    planes = pixels((3, 517, 2290))
    export(write_store(tmp_path / "store", {NAME: planes}), tmp_path / "out", "ome-tiff")
    path = tmp_path / "out" / f"{NAME}.ome.tif"
    for number, level in enumerate(pages_of(path)):
        options = {} if not number else {"subifd": number - 1}
        assert np.array_equal(pyvips.Image.new_from_file(str(path), **options).numpy(), level)


def test_no_time_no_host_no_size(tmp_path):
    dataset, _ = toy(tmp_path / "store", shape=(1030, 80))
    export(dataset, tmp_path / "out", "ome-tiff", images=[IDS[0]])
    with tifffile.TiffFile(tmp_path / "out" / f"{IDS[0]}.ome.tif") as tiff:
        assert not tiff.is_bigtiff
        for page in (tiff.pages[0], tiff.pages[0].pages[0]):
            assert not {"DateTime", "HostComputer", "Artist"} & {tag.name for tag in page.tags}
            assert page.tags["ResolutionUnit"].value == tifffile.RESUNIT.NONE
            assert (page.tags["XResolution"].value, page.tags["YResolution"].value) == ((1, 1), (1, 1))
        assert tiff.pages[0].tags["Software"].value == "miso-gen"
        assert tiff.pages[0].pages[0].tags["NewSubfileType"].value == tifffile.FILETYPE.REDUCEDIMAGE


def test_a_file_of_large_addresses(tmp_path, monkeypatch):
    dataset, images = toy(tmp_path / "store", shape=(1030, 80))
    monkeypatch.setattr(ome_tiff, "_CLASSIC_BYTES", 1030 * 80)  # level 1 is beyond it
    export(dataset, tmp_path / "out", "ome-tiff", images=[IDS[0]])
    path = tmp_path / "out" / f"{IDS[0]}.ome.tif"
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
    assert np.array_equal(pages_of(path)[0], images[IDS[0]]["image"][0])
    assert np.array_equal(pages_of(path)[1], halved(images[IDS[0]]["image"])[0])


def test_the_file_is_small_addressed_as_long_as_it_can_be():
    # 64 MiB of headers and incompressible bytes are left; deflate adds less than a thousandth.
    assert 2**32 - ome_tiff._CLASSIC_BYTES > ome_tiff._CLASSIC_BYTES / 1000


def test_memory_follows_the_tile(tmp_path, monkeypatch):
    planes = pixels((1, 1100, 8300))
    dataset = write_store(tmp_path / "store", {NAME: planes})
    sides = []
    read = StoredArray.read

    def spy(self, box):
        sides.append((self.shape[-1], *box.shape))
        return read(self, box)

    monkeypatch.setattr(StoredArray, "read", spy)
    tracemalloc.start()
    try:
        export(dataset, tmp_path / "out", "ome-tiff")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # By tiles, but for the last level of the store, which is halved.
    assert all(max(shape) <= 512 for width, *shape in sides if width > 4096)
    assert peak < planes["image"].nbytes
