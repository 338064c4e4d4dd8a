"""Levels, shards and their refusals."""

from __future__ import annotations

import pytest

from miso_gen.errors import InputError
from miso_gen.store import ImageLayout


@pytest.mark.parametrize(
    ("shape", "levels"),
    [
        ((64, 64), [(64, 64)]),
        ((3072, 3072), [(3072, 3072)]),
        ((4096, 100), [(4096, 100)]),
        ((4097, 101), [(4097, 101), (2049, 51)]),
        ((32768, 32768), [(32768, 32768), (16384, 16384), (8192, 8192), (4096, 4096)]),
    ],
)
def test_levels(shape, levels):
    assert list(ImageLayout(*shape).levels) == levels


def test_one_shard_up_to_4096():
    layout = ImageLayout(3000, 4096)
    assert layout.single
    assert layout.array("image").shard == (1, 3072, 4096)
    assert layout.array("image").chunk == (1, 256, 256)
    assert layout.shard_file("image", 0, (0, 0)) == "0/c/0/0/0"
    assert layout.shard_file("truth", 0, (0, 0)) == "labels/truth/0/c/0/0"


def test_shards_of_a_gigapixel_image():
    layout = ImageLayout(32768, 30000)
    assert [len(layout.shards(level)) for level in range(4)] == [64, 16, 4, 1]
    assert layout.array("image", 1).shard == (1, 4096, 4096)
    assert layout.summary.chunk == (3, 256, 256)
    boxes = layout.shards(0)
    assert boxes[7, 7].shape == (4096, 30000 - 7 * 4096)
    assert sum(box.height * box.width for box in boxes.values()) == 32768 * 30000


def test_default_shard_holds_whole_chunks():
    assert ImageLayout(9000, 9000, chunk=384).shard_shape(0) == (3840, 3840)
    assert ImageLayout(9000, 9000, chunk=8192).shard_shape(0) == (8192, 8192)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "pixel dtype must be one of uint8, uint16, float32, got 'int8'"),
        ({"instances_dtype": "int64"}, "instances dtype must be one of uint16, uint32"),
        ({"chunk": 0}, "chunk must be at least 1 px, got 0"),
        ({"shard": 1000}, r"shard must be a multiple of the chunk \(256\), got 1000. Nearest: 1024"),
        ({"chunk": 100, "shard": 500}, "shard must be a multiple of 256 where an image has several, got 500"),
        ({"codec": "gzip"}, "codec must be lz4 or zstd"),
        ({"level": 10}, "codec level must be within 0 to 9"),
        ({"channels": 0}, "image shape must be at least 1"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        ImageLayout(3072, 3072, **options)


def test_instances_that_are_not_stored_have_no_layout():
    with pytest.raises(InputError, match="instances are not stored"):
        ImageLayout(64, 64).array("instances")
