"""Random streams against a literal re-implementation in whole numbers."""

from __future__ import annotations

import hashlib
import json
import math
import runpy
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from statistics import NormalDist
from typing import Any

import literal
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import miso_gen
from miso_gen.geometry import Box
from miso_gen.planes import Bits
from miso_gen.rng import JUMP, NoiseField, Stream, bernoulli_threshold, bit_generator, block_number, normal_quantile

PLACE = (2022, "gsp", "test", "0007", "disc")
TABLES = Path(miso_gen.__file__).parent / "tables"

addresses = st.lists(st.integers(-(2**70), 2**70) | st.text(max_size=8), max_size=6).map(tuple)
sides = st.integers(0, 1100)


@st.composite
def boxes(draw: Any, height: int = 1100, width: int = 1100) -> Box:
    """Boxes, small ones across block borders more often than not."""
    top, left = (draw(st.integers(0, size - 1) | st.integers(500, 515)) for size in (height, width))
    bottom = draw(st.integers(top + 1, min(top + 40, height)) | st.integers(top + 1, height))
    right = draw(st.integers(left + 1, min(left + 40, width)) | st.integers(left + 1, width))
    return Box(top, left, bottom, right)


# --- streams ----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(addresses)
@example(())
@example(("é", 'quote"', "back\\slash", -1))
def test_words_are_their_definition(place: tuple[str | int, ...]) -> None:
    wanted = literal.raw_words(place, 5)
    assert [int(word) for word in bit_generator(place).random_raw(5)] == wanted
    stream = Stream(*place)
    assert [stream.word(), *map(int, stream.raw(2)), stream.word(), stream.word()] == wanted


def test_addresses_with_zero_words_of_entropy_count_them() -> None:
    # SeedSequence takes a list of whole numbers and an array of words alike; words of 0 must not be dropped.
    words = [7, 0, 0, 9, 0, 1, 2, 0]
    seed = np.random.SeedSequence(np.array(words, np.uint32))
    assert [int(word) for word in np.random.PCG64DXSM(seed).random_raw(2)] == [
        word for word, _ in zip(literal.pcg64dxsm(literal.seed_words(words)), range(2), strict=False)
    ]


def test_golden_words(golden: Any) -> None:
    found = {
        json.dumps(place): [f"{word:016x}" for word in map(int, Stream(*place).raw(3))] for place in [(), (0,), PLACE, ("a", "b")]
    }
    assert all(len(set(words)) == 3 for words in found.values())
    golden("rng", found)


def test_parts_of_an_address_do_not_run_into_each_other() -> None:
    near = [("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), (1, 2), (12,), ("1", 2), ("1,2",)]
    assert len({Stream(*place).word() for place in near}) == len(near)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_uniform_is_its_definition(number: int, low: float, high: float) -> None:
    stream = Stream("u", number)
    for word in literal.raw_words(("u", number), 3):
        share = float(Fraction(word >> 11, 2**53))  # exact: 53 bits
        assert stream.uniform(low, high) == low + (high - low) * share
    assert 0.0 <= Stream("u", number).uniform() < 1.0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(-(2**40), 2**40), st.integers(1, 2**32))
@example(0, 0, 2**32)
@example(0, -5, 1)
def test_integer_is_its_definition(number: int, low: int, count: int) -> None:
    stream = Stream("i", number)
    for word in literal.raw_words(("i", number), 3):
        value = stream.integer(low, low + count)
        assert value == low + math.floor(Fraction(word >> 32, 2**32) * count)
        assert low <= value < low + count


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(-(2**40), 2**40), st.integers(1, 2**31), st.integers(0, 20))
@example(0, 0, 2**31, 3)
def test_integers_are_as_many_calls_of_integer(number: int, low: int, count: int, draws: int) -> None:
    found = Stream("i", number).integers(low, low + count, draws)
    assert found.dtype == np.int64
    assert found.tolist() == [literal.integer(word, low, low + count) for word in literal.raw_words(("i", number), draws)]


@pytest.mark.parametrize(("low", "high"), [(3, 3), (4, 3), (0, 2**32 + 1)])
def test_empty_and_too_wide_ranges_are_refused(low: int, high: int) -> None:
    with pytest.raises(ValueError, match=r"must hold 1 to 2\*\*32 integers, got"):
        Stream("i").integer(low, high)
    with pytest.raises(ValueError, match=r"must hold 1 to 2\*\*31 integers, got"):
        Stream("i").integers(low, high, 2)


def test_every_value_of_a_range_is_as_likely() -> None:
    counts = Counter(Stream("even").integers(100, 103, 30000).tolist())
    assert set(counts) == {100, 101, 102}
    assert all(abs(count - 10000) < 5 * math.sqrt(30000 * 2 / 9) for count in counts.values())


# --- normal draws and the tables --------------------------------------------------------------------------------------


def table(name: str) -> np.ndarray:
    return np.load(TABLES / f"{name}.npy")


def test_table_digests(golden: Any) -> None:
    # Of the entries (4 bytes each, little endian), not of the file, whose header is numpy's.
    found = {name: hashlib.sha256(table(name).astype("<i4").tobytes()).hexdigest() for name in ("normal", "sine")}
    golden("tables", found)


def test_the_script_writes_the_same_tables(tmp_path: Path) -> None:
    script = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "make_tables.py"))
    script["main"].__globals__["TABLES"] = tmp_path
    script["main"]()
    for name in ("normal", "sine"):
        made = np.load(tmp_path / f"{name}.npy")
        assert made.dtype == np.dtype("<i4")
        assert np.array_equal(made, table(name))


def test_normal_table_holds_quantiles() -> None:
    entries = table("normal").tolist()
    assert len(entries) == 4096
    assert entries == sorted(entries)
    assert entries == [-z for z in reversed(entries)]
    for index, entry in enumerate(entries):
        assert abs(entry / 2**28 - NormalDist().inv_cdf((index + 0.5) / 4096)) < 2**-28


def test_sine_table_holds_sines() -> None:
    entries = table("sine").tolist()
    assert len(entries) == 1025
    assert (entries[0], entries[-1]) == (0, 2**30)
    for index, entry in enumerate(entries):
        assert abs(entry - math.sin(math.pi / 2 * index / 1024) * 2**30) < 0.5 + 1e-6


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**53 - 1))
@example(0)
@example(2**53 - 1)
@example(2**52)
@example(2**40 - 1)
@example(2**40)
@example(2**53 - 2**40)
def test_normal_quantile_is_linear_interpolation(numerator: int) -> None:
    entries = table("normal").tolist()
    position = Fraction(numerator, 2**53) * 4096 - Fraction(1, 2)
    position = min(max(position, Fraction(0)), Fraction(4095))
    index = min(int(position), 4094)
    wanted = entries[index] + (entries[index + 1] - entries[index]) * (position - index)
    assert normal_quantile(numerator / 2**53) == pytest.approx(float(wanted / 2**28), rel=1e-14, abs=1e-15)


def test_normal_is_the_quantile_of_the_next_uniform() -> None:
    stream = Stream("n")
    for word in literal.raw_words(("n",), 50):
        assert stream.normal(3.0, 2.0) == 3.0 + 2.0 * normal_quantile((word >> 11) / 2**53)
    draws = np.array([Stream("n", number).normal(5.0, 2.0) for number in range(4000)])
    assert abs(draws.mean() - 5.0) < 5 * 2 / math.sqrt(4000)
    assert abs(draws.std() - 2.0) < 5 * 2 / math.sqrt(8000)
    assert abs(draws - 5.0).max() < 2 * 3.68


# --- pixel noise ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "threshold"), [(0.1, 6554), (0.9, 58982), (0.0, 0), (1.0, 65536), (0.5, 32768), (1.5 / 65536, 2), (0.4 / 65536, 0)]
)
def test_thresholds(p: float, threshold: int) -> None:
    assert bernoulli_threshold(p) == threshold == math.floor(65536 * Fraction(p) + Fraction(1, 2))


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 0), (0, 1), (2, 3), (63, 63)])
def test_one_block_word_by_word(row: int, column: int) -> None:
    jumps = {(0, 0): 0, (1, 0): 1, (0, 1): 2, (2, 3): 18, (63, 63): 8064}[row, column]
    assert block_number(row, column) == literal.block_number(row, column) == jumps
    words = literal.raw_words(PLACE, 3 * 128, jumps * literal.JUMP)  # three rows of 16-bit words, or 48 rows of bits
    numpys = np.random.PCG64DXSM(np.random.SeedSequence(literal.entropy(PLACE))).jumped(jumps)
    assert [int(word) for word in numpys.random_raw(5)] == words[:5]
    top, left = row * 512, column * 512
    field = NoiseField(*PLACE)
    grey = field.words16(Box(top, left, top + 3, left + 512))
    fair = field.bits(Box(top, left, top + 3, left + 512)).unpack()
    for y in range(3):
        for x in range(512):
            pixel = y * 512 + x
            assert grey[y, x] == words[pixel // 4] >> 16 * (pixel % 4) & 0xFFFF
            assert fair[y, x] == words[pixel // 64] >> pixel % 64 & 1


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_blocks_are_numbered_along_antidiagonals(row: int, column: int) -> None:
    assert block_number(row, column) == literal.block_number(row, column)


def test_blocks_of_the_largest_canvas_do_not_overlap() -> None:
    """A block takes 2**16 words at most; no two of the 2**30 streams of a 2**24 px image may meet: here those of 2**20 blocks."""
    starts = sorted(number * JUMP % 2**128 for number in range(2**20))
    assert min(b - a for a, b in zip(starts, [*starts[1:], starts[0] + 2**128], strict=True)) > 2**100


def test_a_field_asked_in_any_order_by_several_threads() -> None:
    """One field keeps its place in the stream between boxes: no order of boxes, nor threads, may show."""
    field = NoiseField(*PLACE)
    tiles = list(Box(0, 0, 700, 700).tiles(90, 130))
    wanted = literal.words16(PLACE, 700, 700)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(field.words16, tiles + tiles[::-1]))
    for tile, words in zip(tiles + tiles[::-1], found, strict=True):
        assert np.array_equal(words, wanted[tile.slices])


def test_whole_fields_are_their_definition() -> None:
    box = Box(0, 0, 1030, 700)
    field = NoiseField(*PLACE)
    assert np.array_equal(field.bits(box).unpack(), literal.bits(PLACE, 1030, 700))
    assert np.array_equal(field.words16(box), literal.words16(PLACE, 1030, 700))
    for p in (Fraction(1, 10), Fraction(9, 10), Fraction(1, 2), Fraction(0), Fraction(1), Fraction(1, 3)):
        assert np.array_equal(field.bernoulli(float(p), box).unpack(), literal.bernoulli(PLACE, p, 1030, 700))


@pytest.fixture(scope="module")
def fields() -> dict[str, np.ndarray]:
    return {"bits": literal.bits(PLACE, 1100, 1100), "words16": literal.words16(PLACE, 1100, 1100)}


@settings(max_examples=60, deadline=None)
@given(boxes())
@example(Box(511, 511, 513, 513))
@example(Box(512, 512, 1024, 1024))
@example(Box(0, 0, 1, 1))
@example(Box(1023, 0, 1025, 1100))
def test_any_box_is_the_crop(fields: dict[str, np.ndarray], box: Box) -> None:
    field = NoiseField(*PLACE)
    fair, grey, rare = field.bits(box), field.words16(box), field.bernoulli(0.1, box)
    assert (fair.words.dtype, grey.dtype, rare.words.dtype) == (np.uint64, np.uint16, np.uint64)
    assert fair.shape == grey.shape == rare.shape == box.shape
    assert np.array_equal(fair.unpack(), fields["bits"][box.slices])
    assert np.array_equal(grey, fields["words16"][box.slices])
    assert np.array_equal(rare.unpack(), fields["words16"][box.slices] < 6554)
    for mask in (fair, rare):  # no bit past the last column
        assert np.array_equal(Bits.pack(mask.unpack()).words, mask.words)


@settings(max_examples=60, deadline=None)
@given(boxes(), boxes(), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
@example(Box(0, 0, 1100, 1100), Box(511, 511, 513, 513), 0.1)
@example(Box(3, 65, 1000, 1000), Box(600, 700, 700, 701), 0.1)
@example(Box(0, 0, 100, 100), Box(200, 200, 300, 300), 0.1)
def test_a_part_of_a_box_is_the_crop(fields: dict[str, np.ndarray], box: Box, within: Box, p: float) -> None:
    """What is asked for only ``within`` equals the whole there; the rest may be anything, but not past the last column."""
    field = NoiseField(*PLACE)
    part = box.intersection(within)
    place = part.shifted(-box.top, -box.left).slices
    grey, rare = field.words16(box, within), field.bernoulli(p, box, within)
    assert grey.shape == rare.shape == box.shape
    assert np.array_equal(Bits.pack(rare.unpack()).words, rare.words)
    if part.empty:
        return
    assert np.array_equal(grey[place], fields["words16"][part.slices])
    wanted = fields["bits"][part.slices] if p == 0.5 else fields["words16"][part.slices] < bernoulli_threshold(p)
    assert np.array_equal(rare.unpack()[place], wanted)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 1 / 3])
def test_shares_within_their_sampling_error(p: float) -> None:
    count = 1024 * 1024
    share = NoiseField("share", 1).bernoulli(p, Box(0, 0, 1024, 1024)).unpack().mean()
    assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / count) + 0.5 / 65536


def test_fields_blocks_and_neighbours_are_independent() -> None:
    box = Box(0, 0, 512, 512)
    one, two = (NoiseField("a", number).bits(box).unpack().astype(float) - 0.5 for number in (1, 2))
    other = NoiseField("a", 1).bits(Box(0, 512, 512, 1024)).unpack().astype(float) - 0.5
    pairs = [(one, two), (one, other), (one[1:], one[:-1]), (one[:, 1:], one[:, :-1]), (one, one.T), (one, one[::-1])]
    for left, right in pairs:
        assert abs((left * right).sum() * 4) < 6 * math.sqrt(left.size)


def test_bits_of_a_byte_are_all_used() -> None:
    words = NoiseField("bytes").words16(Box(0, 0, 512, 512))
    for bit in range(16):
        assert abs(int((words >> bit & 1).sum()) - 2**17) < 5 * 2**8
