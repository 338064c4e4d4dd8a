"""Shards: other readers agree, and damage is noticed."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from numcodecs import blosc

from miso_gen.errors import CorruptStoreError
from miso_gen.geometry import Box
from miso_gen.store import StoredArray, open_target
from miso_gen.store.layout import ArrayLayout
from miso_gen.store.shards import ShardEncoder, ShardReader, decode_chunk, encode_chunk

PATH = "images.zarr/gsp/test/0007"


def boxes(shape):
    rng = np.random.default_rng(5)
    for _ in range(20):
        top, bottom = sorted(rng.integers(0, shape[-2] + 1, 2).tolist())
        left, right = sorted(rng.integers(0, shape[-1] + 1, 2).tolist())
        yield Box(top, left, bottom, right)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("options", [{}, {"chunk": 64}, {"chunk": 128, "shard": 256}, {"codec": "zstd", "level": 5}])
def test_other_readers_see_the_same_pixels(kit, tmp_path, dtype, options):
    tensorstore = pytest.importorskip("tensorstore")
    pytest.importorskip("zarrs")
    planes = kit.sample((3, 300, 333), dtype, "binary")
    layout = kit.layout_of(planes, instances=True, **options)
    kit.write(open_target(tmp_path), PATH, planes, layout, objects=kit.table())
    for name, pixels in planes.items():
        folder = tmp_path / PATH / layout.path(name)
        array = zarr.open_array(folder, mode="r")
        assert np.array_equal(array[...], pixels)
        assert array.metadata.dimension_names == layout.array(name).dimension_names
        with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
            assert np.array_equal(zarr.open_array(folder, mode="r")[...], pixels)
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder)}}
        assert np.array_equal(tensorstore.open(spec).result().read().result(), pixels)
        ours = StoredArray(open_target(tmp_path), f"{PATH}/{layout.path(name)}")
        for box in boxes(pixels.shape):
            assert np.array_equal(ours.read(box), pixels[..., box.top : box.bottom, box.left : box.right])
    group = zarr.open_group(tmp_path / PATH, mode="r")
    assert np.array_equal(group["objects"][...], kit.table().stored())
    assert np.array_equal(group["summary"][...], StoredArray(open_target(tmp_path), f"{PATH}/summary").all())


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "float32"])
def test_we_read_what_zarr_writes(tmp_path, dtype):
    codec = zarr.codecs.BloscCodec(typesize=np.dtype(dtype).itemsize, cname="zstd", clevel=3, shuffle="bitshuffle")
    pixels = np.random.default_rng(0).integers(0, 9, (2, 300, 200)).astype(dtype)
    pixels[:, :128, :64] = 0
    array = zarr.create_array(
        tmp_path / "a",
        shape=pixels.shape,
        dtype=dtype,
        chunks=(2, 64, 64),
        shards=(2, 128, 256),
        compressors=[codec, zarr.codecs.Crc32cCodec()],
        fill_value=0,
    )
    array[...] = pixels
    assert np.array_equal(StoredArray(open_target(tmp_path), "a").all(), pixels)


LAYOUT = ArrayLayout((20, 24), "uint8", (8, 8), (24, 24), "lz4", 1, "bitshuffle", ("y", "x"))


class Bytes:
    """A file in memory."""

    def __init__(self, data):
        self.data, self.size = data, len(data)

    def read(self, start, length):
        return self.data[start : start + length]

    def close(self):
        pass


def shard_bytes():
    encoder = ShardEncoder(LAYOUT)
    pixels = np.random.default_rng(1).integers(0, 4, (20, 24), np.uint8)
    pixels[:8, :8] = 0
    for row in (2, 0, 1):
        for col in range(3):
            encoder.add(row, col, pixels[row * 8 : row * 8 + 8, col * 8 : col * 8 + 8])
    return encoder.finish(), pixels


def test_every_flipped_bit_is_noticed():
    data, pixels = shard_bytes()
    out = np.empty_like(pixels)
    whole = Box(0, 0, 20, 24)
    ShardReader(LAYOUT, Bytes(data), "a").read(whole, out)
    assert np.array_equal(out, pixels)
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptStoreError):
            ShardReader(LAYOUT, Bytes(bytes(broken)), "a").read(whole, out)


@pytest.mark.parametrize("length", [0, 3, 147, 200])
def test_a_cut_shard_is_noticed(length):
    data, pixels = shard_bytes()
    with pytest.raises(CorruptStoreError, match=r"^a must|of a must"):
        ShardReader(LAYOUT, Bytes(data[:length]), "a").read(Box(0, 0, 20, 24), np.empty_like(pixels))


def test_a_chunk_names_its_file_and_place():
    data, _ = shard_bytes()
    broken = bytes([data[0] ^ 1]) + data[1:]
    reader = ShardReader(LAYOUT, Bytes(broken), "/store/0/c/0/0")
    with pytest.raises(CorruptStoreError, match=r"chunk \(0, 1\) of /store/0/c/0/0 must match its checksum"):
        reader.chunk(0, 1)


def test_a_chunk_of_another_size_is_noticed():
    data = encode_chunk(np.ones((4, 4), np.uint8), LAYOUT)
    with pytest.raises(CorruptStoreError, match="must hold 64 bytes of pixels"):
        decode_chunk(data, LAYOUT, "a")


def test_constant_chunks_are_ordinary_chunks():
    one, other = ShardEncoder(LAYOUT), ShardEncoder(LAYOUT)
    for value, col in ((0, 0), (2, 1), (2, 2)):
        one.add(0, col, np.full((8, 8), value, np.uint8))
        other.add_constant(0, col, value)
    assert one.finish() == other.finish()


def test_blosc_uses_no_threads():
    assert blosc.use_threads is False


def test_keys_are_those_of_numpy(kit, tmp_path):
    planes = kit.sample((2, 70, 90))
    kit.write(open_target(tmp_path), PATH, planes, kit.layout_of(planes, chunk=32))
    pixels, ours = planes["image"], StoredArray(open_target(tmp_path), f"{PATH}/0")
    keys = [
        ...,
        0,
        -1,
        (0, 5),
        (1, -3, -4),
        (slice(None), slice(10, 50), slice(3, 80, 7)),
        (slice(None), slice(50, 10, -3), slice(None, None, -1)),
        (..., slice(5, 5)),
        (..., slice(60, 200), 4),
        (1, ..., 7),
    ]
    for key in keys:
        assert np.array_equal(ours[key], pixels[key]), key
    for key in [(0, 70), (0, 0, 0, 0), (..., ..., 1), (2,)]:
        with pytest.raises(IndexError):
            ours[key]
    assert np.array_equal(np.asarray(ours), pixels)
    with pytest.raises(ValueError, match="box must lie inside 70 x 90"):
        ours.read(Box(0, 0, 71, 90))
