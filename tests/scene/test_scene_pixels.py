"""Values in the stored types, and the textures made of them."""

from __future__ import annotations

from fractions import Fraction

import literal
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.geometry import Box
from miso_gen.rng import NoiseField
from miso_gen.scene.pixels import PixelType
from miso_gen.scene.textures import Flat, Grey, Peppered, Salted, Tiled

TYPES = ["uint8", "uint16", "float32"]
TOP = {"uint8": 255, "uint16": 65535, "float32": 1.0}
BOX = Box(500, 10, 530, 55)


def crop(field: np.ndarray) -> np.ndarray:
    return field[BOX.slices]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("value", [0.0, 1.0, 0.5, 0.6, 0.4, 0.001, 0.1])
def test_flat_values(dtype: str, value: float) -> None:
    """floor(top v + 1/2); float32 keeps the value."""
    pixel = PixelType(dtype).flat(value)
    assert pixel.shape == ()
    assert pixel.dtype == np.dtype(dtype)
    if dtype == "float32":
        assert pixel == np.float32(value)
    else:
        assert pixel == int(Fraction(value) * TOP[dtype] + Fraction(1, 2))
    assert np.array_equal(Flat(value).paint(BOX, PixelType(dtype)), pixel)


@pytest.mark.parametrize("dtype", TYPES)
def test_bits_and_bytes(dtype: str) -> None:
    bits, levels = np.array([[0, 1, 1]], np.uint8), np.arange(256, dtype=np.uint8)[None]
    assert PixelType(dtype).of_bits(bits).tolist() == [[0, TOP[dtype], TOP[dtype]]]
    wanted = [Fraction(level, 255) * int(TOP[dtype]) for level in range(256)]
    found = PixelType(dtype).of_bytes(levels)
    assert found.dtype == np.dtype(dtype)
    assert found[0].tolist() == [np.float32(float(value)) if dtype == "float32" else int(value) for value in wanted]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(TYPES), st.integers(0, 2**32), st.integers(1, 3))
def test_blend_and_select(dtype: str, seed: int, channels: int) -> None:
    draws = np.random.default_rng(seed)
    mask = draws.integers(0, 2, (4, 5), dtype=np.uint8)
    below, above = (draws.integers(0, 200, (channels, 4, 5)).astype(dtype) for _ in range(2))
    pixels = PixelType(dtype)
    wanted = np.where(mask == 1, above, below)
    assert np.array_equal(pixels.select(pixels.full(mask), above, below), wanted)
    pixels.blend(below, pixels.full(mask), above)
    assert np.array_equal(below, wanted)
    pixels.blend(below, pixels.full(mask), pixels.flat(1.0))
    assert np.array_equal(below, np.where(mask == 1, pixels.flat(1.0), wanted))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("low", "high"), [(0.6, 1.0), (0.0, 1.0), (0.3, 0.35), (0.0, 0.01)])
def test_greys(dtype: str, low: float, high: float) -> None:
    """low + (r n >> 16) in whole levels; mirrored is 1 minus that for the same bits."""
    values = literal.greys(crop(literal.words16(("g",), 530, 55)), low, high, dtype)
    field = NoiseField("g")
    for mirrored in (False, True):
        found = Grey(low, high, field, mirrored).paint(BOX, PixelType(dtype))
        shown = 1 - values if mirrored else values
        assert found.dtype == np.dtype(dtype)
        if dtype == "float32":
            assert np.allclose(found, shown, rtol=0, atol=6e-8)
            assert np.float32(found.min()) >= np.float32(1 - high if mirrored else low) - 1e-6
        else:
            assert np.array_equal(found, np.rint(shown * TOP[dtype]))


def test_every_16_bit_word_makes_its_grey() -> None:
    """The 8-bit shortcut is 153 + (r 103 >> 16) for each of the 65,536 words."""

    class Words:
        def words16(self, box: Box) -> np.ndarray:
            return np.arange(65536, dtype=np.uint16).reshape(256, 256)

    for low, high in ((0.6, 1.0), (0.0, 1.0), (0.2, 0.4), (0.999, 1.0)):
        first, last = int(255 * low + 0.5), int(255 * high + 0.5)
        wanted = [first + (r * (last - first + 1) >> 16) for r in range(65536)]
        found = Grey(low, high, Words()).paint(Box(0, 0, 256, 256), PixelType("uint8"))  # type: ignore[arg-type]
        assert found.ravel().tolist() == wanted
        mirrored = Grey(low, high, Words(), mirrored=True).paint(Box(0, 0, 256, 256), PixelType("uint8"))  # type: ignore[arg-type]
        assert mirrored.ravel().tolist() == [255 - level for level in wanted]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_pepper_and_salt(dtype: str, share: float) -> None:
    pixels = PixelType(dtype)
    speckles = crop(literal.bernoulli(("s",), Fraction(str(share)), 530, 55))
    base = Grey(0.6, 1.0, NoiseField("g"))
    plain = base.paint(BOX, pixels)
    peppered = Peppered(base, share, NoiseField("s")).paint(BOX, pixels)
    assert np.array_equal(peppered, plain * speckles)
    salted = Salted(base, share, NoiseField("s")).paint(BOX, pixels)
    assert np.array_equal(salted, np.where(speckles == 1, TOP[dtype], plain))
    flecked = Peppered(Flat(0.5), share, NoiseField("s")).paint(BOX, pixels)
    assert np.array_equal(flecked, pixels.flat(0.5) * speckles)


def test_tiles_repeat_from_their_offset() -> None:
    tile = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for row, column in ((0, 0), (1, 2), (-1, -4)):
        tiled = Tiled(tile, row, column)
        wanted = [[tile[(y + row) % 2, (x + column) % 3] for x in range(10, 55)] for y in range(500, 530)]
        assert tiled.levels(Box(500, 10, 530, 55)).tolist() == wanted
        assert tiled.mask(BOX).tolist() == [[int(level > 0) for level in line] for line in wanted]
