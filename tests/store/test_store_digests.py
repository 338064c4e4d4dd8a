"""Digests against a literal re-implementation of their definition."""

from __future__ import annotations

import json

import blake3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.store.digests import BlockDigests, array_digest, block_digest, constant_digest, root_digest


def literal_digest(pixels):
    shape = json.dumps(list(pixels.shape), separators=(",", ":"))
    header = f'{{"dtype":"{pixels.dtype.name}","shape":{shape}}}\n'
    joined = header.encode()
    height, width = pixels.shape[-2:]
    for top in range(0, height, 256):
        for left in range(0, width, 256):
            block = pixels[..., top : top + 256, left : left + 256]
            joined += blake3.blake3(block.astype(block.dtype.newbyteorder("<")).tobytes("C")).digest()
    return blake3.blake3(joined).hexdigest()


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 600),
    width=st.integers(1, 600),
    channels=st.sampled_from([None, 1, 3]),
    dtype=st.sampled_from(["uint8", "uint16", "uint32", "float32"]),
)
def test_array_digest_is_its_definition(height, width, channels, dtype):
    shape = (height, width) if channels is None else (channels, height, width)
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    assert array_digest(pixels) == literal_digest(pixels)


def test_golden():
    pixels = np.arange(300 * 260, dtype=np.uint32).reshape(1, 300, 260).astype(np.uint8)
    assert array_digest(pixels) == literal_digest(pixels)
    assert array_digest(pixels) == "7f038bcfddd0378034300a82791d42d5f14ad598545e19d73e040c7193a2cadf"


def test_byte_order_of_memory_does_not_matter():
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    assert array_digest(pixels.astype(">u2")) == array_digest(pixels)


def test_dtype_and_shape_are_covered():
    digests = {array_digest(np.zeros(shape, dtype)) for shape in [(8, 8), (4, 16), (1, 8, 8)] for dtype in ("uint8", "uint16")}
    assert len(digests) == 6


def test_empty_table():
    assert array_digest(np.zeros((0, 5))) == literal_digest(np.zeros((0, 5)))


def test_blocks_merge_in_any_order():
    pixels = np.random.default_rng(0).integers(0, 9, (1, 600, 300), np.uint8)
    blocks = [(row, col) for row in range(3) for col in range(2)]
    parts = []
    for some in (blocks[4:], blocks[:1], blocks[1:4][::-1]):
        part = BlockDigests("uint8", pixels.shape)
        for row, col in some:
            block = pixels[:, row * 256 : row * 256 + 256, col * 256 : col * 256 + 256]
            part.add(row, col, block_digest(np.ascontiguousarray(block)))
        parts.append(part)
    whole = BlockDigests("uint8", pixels.shape)
    for part in parts[:-1]:
        whole.merge(part)
    assert whole.missing == 3
    with pytest.raises(ValueError, match="must be all 6, got 3"):
        whole.hexdigest()
    whole.take_json(json.loads(json.dumps(parts[-1].to_json())))
    assert whole.hexdigest() == literal_digest(pixels)


def test_parts_of_other_arrays_do_not_merge():
    with pytest.raises(ValueError, match="must be of the same array"):
        BlockDigests("uint8", (8, 8)).merge(BlockDigests("uint16", (8, 8)))


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 2), ("uint16", 513), ("float32", 0.5)])
def test_constant_digest(dtype, value):
    assert constant_digest(dtype, (1, 7, 9), value) == block_digest(np.full((1, 7, 9), value, dtype))


ROWS = [
    {
        "image_id": f"gsp/test/{n:04}",
        "scenario": "gsp",
        "split": "test",
        "label": n % 2,
        "pair": None if n == 2 else "7",
        "image_digest": f"{n}" * 64,
        "truth_digest": "a" * 64,
        "instances_digest": None,
    }
    for n in range(3)
]


def test_root_digest_is_its_definition():
    lines = sorted(json.dumps(list(row.values()), separators=(",", ":")) for row in ROWS)
    assert root_digest(ROWS) == blake3.blake3("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    assert root_digest(ROWS[::-1]) == root_digest(ROWS)


@pytest.mark.parametrize("field", list(ROWS[0]))
def test_root_digest_covers_every_field(field):
    changed = [{**ROWS[0], field: 5}, *ROWS[1:]]
    assert root_digest(changed) != root_digest(ROWS)


def test_root_digest_sees_two_images_swapped():
    one, other = ROWS[0]["image_digest"], ROWS[1]["image_digest"]
    assert root_digest([{**ROWS[0], "image_digest": other}, {**ROWS[1], "image_digest": one}, ROWS[2]]) != root_digest(ROWS)
