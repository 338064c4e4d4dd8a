"""Encoded blocks of labels are kept, up to a limit, and change no byte."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from miso_gen.planes import Bits, Planes
from miso_gen.store import ImageLayout
from miso_gen.store.digests import block_digest
from miso_gen.store.memo import BlockMemo, encode_blocks
from miso_gen.store.shards import encode_chunk

TRUTH = ImageLayout(512, 512).array("truth")


def truth(seed, values=(1, 2)):
    """A truth of 512 x 512 px as an array and as planes."""
    pixels = np.random.default_rng(seed).choice(np.array([0, *values], np.uint8), (512, 512))
    return pixels, Planes(pixels.dtype, pixels.shape, {value: Bits.pack(pixels == value) for value in values})


@pytest.fixture
def memo():
    return BlockMemo(1 << 20)


def test_a_hit_gives_what_a_miss_does(memo, monkeypatch):
    pixels, planes = truth(0)
    blocks = [np.ascontiguousarray(pixels[256 * (n // 2) :, 256 * (n % 2) :][:256, :256]) for n in (0, 3)]
    expected = [(block_digest(block), encode_chunk(block, TRUTH)) for block in blocks]
    assert list(encode_blocks(planes, [0, 3], TRUTH)) == expected
    assert list(memo.encode(planes, [0, 3], TRUTH)) == expected
    monkeypatch.setattr(Planes, "expand_blocks", None)  # a hit makes no pixels
    assert list(memo.encode(truth(0)[1], [3, 0], TRUTH)) == expected[::-1]
    assert list(memo.encode(planes, [], TRUTH)) == []


def test_equal_blocks_of_one_picture_are_encoded_once(memo):
    pixels = np.tile(truth(0)[0][:256, :256], (2, 2))
    planes = Planes(pixels.dtype, pixels.shape, {value: Bits.pack(pixels == value) for value in (1, 2)})
    assert len(set(memo.encode(planes, [0, 1, 2, 3], TRUTH))) == 1
    assert memo.held < 2 * len(encode_chunk(pixels[:256, :256].copy(), TRUTH))


def test_whatever_decides_the_bytes_is_told_apart(memo):
    """Values, positions of values, type and encoding; not a plane that shows nothing in the block."""
    _, planes = truth(0)
    one, two = planes.planes[1], planes.planes[2]
    wide = ImageLayout(512, 512, instances_dtype="uint16").array("instances")
    cases = [
        (planes, TRUTH),
        (Planes(planes.dtype, planes.shape, {1: two, 2: one}), TRUTH),
        (Planes(planes.dtype, planes.shape, {1: one}), TRUTH),
        (Planes(planes.dtype, planes.shape, {2: one}), TRUTH),
        (Planes(np.dtype(np.uint16), planes.shape, {1: one, 2: two}), wide),
        (planes, dataclasses.replace(TRUTH, codec="zstd")),
        (planes, dataclasses.replace(TRUTH, clevel=9)),
        (planes, dataclasses.replace(TRUTH, shuffle="bitshuffle")),
    ]
    for picture, array in cases:
        assert list(memo.encode(picture, [1], array)) == list(encode_blocks(picture, [1], array))
    held = memo.held
    empty = Planes(planes.dtype, planes.shape, {1: one, 2: Bits.empty(planes.shape)})
    list(memo.encode(empty, [1], TRUTH))
    assert memo.held == held


def test_memory_is_bounded_and_the_oldest_go_first(memo):
    def keeps(seed):
        held = memo.held
        list(memo.encode(truth(seed)[1], [0, 1, 2, 3], TRUTH))
        return memo.held == held

    memo.limit = 3 * sum(len(block.chunk) + 512 for block in encode_blocks(truth(0)[1], [0, 1, 2, 3], TRUTH)) + 4096
    assert not keeps(0)
    assert not keeps(1)
    assert keeps(0)  # and so 1 is the oldest
    assert not keeps(2)
    for seed in range(3, 9):
        list(memo.encode(truth(seed)[1], [0, 1, 2, 3], TRUTH))
        list(memo.encode(truth(0)[1], [0, 1, 2, 3], TRUTH))
        assert memo.held <= memo.limit
    assert keeps(0)
    memo.cache_clear()
    assert memo.held == 0
    assert not keeps(0)
