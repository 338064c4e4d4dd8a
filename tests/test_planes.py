"""Masks and pictures of few values, a bit a pixel, against plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from miso_gen.planes import Bits, Planes

EDGES = [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 192, 300]
widths = st.integers(1, 300) | st.sampled_from(EDGES)
heights = st.integers(1, 70) | st.sampled_from([1, 15, 16, 17, 31, 32, 33])
shapes = st.tuples(heights, widths)
seeds = st.integers(0, 2**32)
shares = st.sampled_from([0.0, 0.01, 0.5, 0.99, 1.0])


def some(shape: tuple[int, int], seed: int, share: float = 0.5) -> np.ndarray:
    """Return a 0/1 mask."""
    return (np.random.default_rng(seed).random(shape) < share).astype(np.uint8)


def same(bits: Bits, wanted: np.ndarray) -> None:
    """Assert that a mask is an array, and that its words are what the attributes promise."""
    assert bits.shape == wanted.shape
    assert bits.width == wanted.shape[1]
    assert bits.words.dtype == np.uint64
    assert bits.words.shape == (wanted.shape[0], -(-wanted.shape[1] // 64))
    found = bits.unpack()
    assert found.dtype == np.uint8
    assert found.shape == wanted.shape
    assert np.array_equal(found, wanted)
    rest = bits.width % 64
    if rest:  # nothing past the last column
        assert not (bits.words[:, -1] >> np.uint64(rest)).any()


@st.composite
def cuts(draw: Any) -> tuple[tuple[int, int], slice, slice]:
    """A shape and a part of it; many start at a multiple of 64 columns, many end at the border."""
    height, width = draw(shapes)
    top = draw(st.integers(0, height - 1))
    bottom = draw(st.integers(top + 1, height))
    left = draw(st.integers(0, width - 1) | st.integers(0, (width - 1) // 64).map(lambda word: 64 * word))
    right = draw(st.integers(left + 1, width) | st.just(width))
    return (height, width), slice(top, bottom), slice(left, right)


# --- masks ------------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(shapes, seeds, shares)
@example((1, 1), 0, 1.0)
@example((3, 64), 0, 0.5)
@example((2, 65), 0, 1.0)
def test_pack_and_unpack(shape: tuple[int, int], seed: int, share: float) -> None:
    mask = some(shape, seed, share)
    same(Bits.pack(mask), mask)
    same(Bits.pack(mask.astype(bool)), mask)


@settings(max_examples=40, deadline=None)
@given(shapes, seeds)
def test_lowest_bit_first(shape: tuple[int, int], seed: int) -> None:
    mask = some(shape, seed)
    words = Bits.pack(mask).words
    for row, line in enumerate(mask.tolist()):
        number = sum(bit << place for place, bit in enumerate(line))
        assert [int(word) for word in words[row]] == [number >> 64 * at & 2**64 - 1 for at in range(words.shape[1])]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64"])
@pytest.mark.parametrize("width", [63, 64, 130])
def test_every_value_but_0_counts(dtype: str, width: int) -> None:
    values = np.random.default_rng(width).choice([0, 1, 2, 128, 255], (5, width)).astype(dtype)
    same(Bits.pack(values), values != 0)
    same(Bits.pack(values[:, ::-1]), values[:, ::-1] != 0)  # memory in any order
    same(Bits.pack(values.T), values.T != 0)


@settings(max_examples=40, deadline=None)
@given(shapes, seeds)
def test_words_with_anything_past_the_last_column(shape: tuple[int, int], seed: int) -> None:
    words = np.random.default_rng(seed).integers(0, 2**64, (shape[0], -(-shape[1] // 64)), np.uint64)
    wanted = (words[:, np.arange(shape[1]) // 64] >> (np.arange(shape[1]) % 64).astype(np.uint64)) & np.uint64(1)
    same(Bits.of(words, shape[1]), wanted)


@settings(max_examples=40, deadline=None)
@given(shapes)
def test_full_and_empty(shape: tuple[int, int]) -> None:
    same(Bits.full(shape), np.ones(shape, np.uint8))
    same(Bits.empty(shape), np.zeros(shape, np.uint8))
    assert Bits.full(shape).count() == shape[0] * shape[1]
    assert Bits.full(shape).any()
    assert Bits.empty(shape).count() == 0
    assert not Bits.empty(shape).any()


@settings(max_examples=100, deadline=None)
@given(shapes, seeds, seeds, shares, shares)
def test_operations(shape: tuple[int, int], first: int, second: int, one_share: float, other_share: float) -> None:
    one, other = some(shape, first, one_share), some(shape, second, other_share)
    bits, others = Bits.pack(one), Bits.pack(other)
    for mask, wanted in (
        (bits & others, one & other),
        (bits | others, one | other),
        (bits.minus(others), one & ~other),
        (Bits.full(shape).minus(bits), 1 - one),
        (bits.minus(bits), np.zeros_like(one)),
    ):
        same(mask, wanted)
        assert mask.count() == wanted.sum()
        assert type(mask.count()) is int
        assert mask.any() is bool(wanted.any())
    same(bits, one)  # operands stay
    same(others, other)


def literal_cells(mask: np.ndarray) -> list[list[int]]:
    height, width = mask.shape
    return [
        [sum(map(sum, mask[top : top + 16, left : left + 16].tolist())) for left in range(0, width, 16)]
        for top in range(0, height, 16)
    ]


@settings(max_examples=60, deadline=None)
@given(shapes, seeds, st.sampled_from([0.0, 0.001, 0.01, 1.0]))
def test_rows(shape: tuple[int, int], seed: int, share: float) -> None:
    mask = some(shape, seed, share)
    shown = [row for row, line in enumerate(mask.tolist()) if any(line)]
    assert Bits.pack(mask).rows() == (slice(shown[0], shown[-1] + 1) if shown else slice(0, 0))


@settings(max_examples=60, deadline=None)
@given(shapes, seeds, shares)
@example((16, 16), 0, 1.0)  # 256 pixels: more than a byte holds
@example((15, 300), 0, 1.0)
@example((33, 65), 0, 1.0)
@example((64, 128), 0, 1.0)
def test_cells(shape: tuple[int, int], seed: int, share: float) -> None:
    mask = some(shape, seed, share)
    cells = Bits.pack(mask).cells()
    assert cells.dtype == np.uint64
    assert cells.tolist() == literal_cells(mask)


@settings(max_examples=150, deadline=None)
@given(cuts(), seeds)
@example(((4, 200), slice(0, 4), slice(64, 128)), 0)
@example(((4, 200), slice(1, 3), slice(64, 150)), 0)
@example(((4, 200), slice(1, 3), slice(128, 200)), 0)
@example(((4, 200), slice(0, 4), slice(63, 129)), 0)
def test_crop(cut: tuple[tuple[int, int], slice, slice], seed: int) -> None:
    shape, rows, columns = cut
    mask = some(shape, seed)
    bits = Bits.pack(mask)
    part = bits.crop(rows, columns)
    same(part, mask[rows, columns])
    assert part.cells().tolist() == literal_cells(mask[rows, columns])
    assert part.count() == mask[rows, columns].sum()
    same(bits, mask)  # what was cut stays


@settings(max_examples=40, deadline=None)
@given(cuts(), seeds)
def test_a_crop_is_as_good_as_new(cut: tuple[tuple[int, int], slice, slice], seed: int) -> None:
    """Parts may be views of the whole: everything works on them as on a mask of their own."""
    shape, rows, columns = cut
    mask, other = some(shape, seed), some(shape, seed + 1)
    part, beside = Bits.pack(mask).crop(rows, columns), Bits.pack(other).crop(rows, columns)
    one, two = mask[rows, columns], other[rows, columns]
    same(part & beside, one & two)
    same(part | beside, one | two)
    same(part.minus(beside), one & ~two)
    again = part.crop(slice(0, 1), slice(0, (one.shape[1] + 1) // 2))
    same(again, one[:1, : (one.shape[1] + 1) // 2])


@pytest.mark.parametrize("width", [1, 63, 64, 130])
def test_no_rows(width: int) -> None:
    none = np.zeros((0, width), np.uint8)
    for bits in (Bits.empty((0, width)), Bits.full((0, width)), Bits.full((3, width)).crop(slice(2, 2), slice(0, width))):
        same(bits, none)
        assert bits.count() == 0
        assert not bits.any()
        assert bits.cells().shape == (0, -(-width // 16))
        same(bits & bits, none)
        same(bits | bits, none)
        same(bits.minus(bits), none)


@pytest.mark.parametrize("width", [1, 63, 64, 130])
def test_pack_no_rows(width: int) -> None:
    none = np.zeros((0, width), np.uint8)
    same(Bits.pack(none), none)
    same(Bits.full((3, 200)).crop(slice(2, 2), slice(1, width + 1)), none)


# --- pictures of few values -------------------------------------------------------------------------------------------

VALUES: dict[str, list[float]] = {
    "uint8": [1, 2, 7, 128, 254, 255],
    "uint16": [1, 2, 255, 256, 40000, 65535],
    "uint32": [1, 255, 65536, 2**31, 2**32 - 1],
    "float32": [1.0, 0.5, float(np.float32(0.1)), 2.0, 1e-6],
}

types = st.sampled_from(sorted(VALUES))


def picture(draw: Any, dtype: str, shape: tuple[int, int]) -> tuple[Planes, np.ndarray]:
    """Return a picture of up to four values, some of whose masks may be empty, and the array that it stands for."""
    values = draw(st.lists(st.sampled_from(VALUES[dtype]), max_size=4, unique=True))
    shown = draw(st.integers(0, len(values)))
    place = np.random.default_rng(draw(seeds)).integers(0, shown + 1, shape)
    planes = {value: Bits.pack(place == index + 1) for index, value in enumerate(values)}
    return Planes(np.dtype(dtype), shape, planes), np.array([0, *values], dtype)[place]


def same_picture(planes: Planes, wanted: np.ndarray) -> None:
    """Assert that a picture is an array, that no two masks overlap, and that no value is 0."""
    assert planes.dtype == wanted.dtype
    assert planes.shape == wanted.shape
    covered = np.zeros(wanted.shape, int)
    for value, bits in planes.planes.items():
        assert value != 0
        same(bits, wanted == wanted.dtype.type(value))
        covered += bits.unpack()
    assert covered.max(initial=0) <= 1
    found = planes.expand()
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize(("dtype", "value"), [(dtype, value) for dtype, values in VALUES.items() for value in values])
def test_expand_one_value(dtype: str, value: float) -> None:
    mask = some((5, 70), 3)
    wanted = np.where(mask == 1, np.dtype(dtype).type(value), np.dtype(dtype).type(0))
    same_picture(Planes(np.dtype(dtype), (5, 70), {value: Bits.pack(mask)}), wanted)


@settings(max_examples=100, deadline=None)
@given(types, shapes, st.data())
def test_expand(dtype: str, shape: tuple[int, int], data: Any) -> None:
    same_picture(*picture(data.draw, dtype, shape))


@settings(max_examples=40, deadline=None)
@given(types, shapes, st.data())
def test_expanding_twice_gives_arrays_of_their_own(dtype: str, shape: tuple[int, int], data: Any) -> None:
    planes, wanted = picture(data.draw, dtype, shape)
    planes.expand()[...] = 1
    same_picture(planes, wanted)


@settings(max_examples=100, deadline=None)
@given(types, shapes, st.data(), seeds, shares)
def test_over(dtype: str, shape: tuple[int, int], data: Any, seed: int, share: float) -> None:
    """The top where the mask is, also where the top is 0; the same below and on top keeps one mask for a value."""
    below, under = picture(data.draw, dtype, shape)
    top, upper = picture(data.draw, dtype, shape)
    mask = some(shape, seed, share)
    over = below.over(Bits.pack(mask), top)
    same_picture(over, np.where(mask == 1, upper, under))
    assert set(over.planes) == set(below.planes) | set(top.planes)
    same_picture(over.over(Bits.pack(mask), below), under)
    same_picture(below, under)  # both stay
    same_picture(top, upper)


@settings(max_examples=100, deadline=None)
@given(types, cuts(), st.data())
def test_crops_of_pictures(dtype: str, cut: tuple[tuple[int, int], slice, slice], data: Any) -> None:
    shape, rows, columns = cut
    planes, wanted = picture(data.draw, dtype, shape)
    same_picture(planes.crop(rows, columns), wanted[rows, columns])
    same_picture(planes, wanted)


@pytest.mark.parametrize("dtype", sorted(VALUES))
def test_a_picture_of_no_value_is_black(dtype: str) -> None:
    same_picture(Planes(np.dtype(dtype), (3, 70), {}), np.zeros((3, 70), dtype))
    same_picture(Planes(np.dtype(dtype), (3, 70), {}).crop(slice(1, 3), slice(5, 9)), np.zeros((2, 4), dtype))
