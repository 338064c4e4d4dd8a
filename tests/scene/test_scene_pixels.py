"""Values in the stored types, and the textures made of them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import literal
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.geometry import Box
from miso_gen.planes import Bits, Planes
from miso_gen.rng import NoiseField
from miso_gen.scene.pixels import PixelType
from miso_gen.scene.textures import Flat, Grey, Peppered, Salted, Tiled, array_of

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
    painted = Flat(value).paint(BOX, PixelType(dtype), BOX)
    assert isinstance(painted, Planes)
    assert 0 not in painted.planes
    found = array_of(painted)
    assert found.dtype == np.dtype(dtype)
    assert np.array_equal(found, np.full(BOX.shape, pixel))


@pytest.mark.parametrize("dtype", TYPES)
def test_bits_and_bytes(dtype: str) -> None:
    bits, levels = np.array([[0, 1, 1]], np.uint8), np.arange(256, dtype=np.uint8)[None]
    pixels = PixelType(dtype)
    picture = pixels.planes((1, 3), {1.0: Bits.pack(bits)}).expand()
    assert picture.dtype == np.dtype(dtype)
    assert picture.tolist() == [[0, TOP[dtype], TOP[dtype]]]
    full = pixels.full(Bits.pack(bits))
    assert full.dtype == np.dtype(f"u{np.dtype(dtype).itemsize}")
    assert full.tolist() == [[0, np.iinfo(full.dtype).max, np.iinfo(full.dtype).max]]
    wanted = [Fraction(level, 255) * int(TOP[dtype]) for level in range(256)]
    found = pixels.of_bytes(levels)
    assert found.dtype == np.dtype(dtype)
    assert found[0].tolist() == [np.float32(float(value)) if dtype == "float32" else int(value) for value in wanted]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(TYPES), st.integers(0, 2**32), st.integers(1, 3))
def test_select(dtype: str, seed: int, channels: int) -> None:
    draws = np.random.default_rng(seed)
    mask = draws.integers(0, 2, (4, 5), dtype=np.uint8)
    bits = Bits.pack(mask)
    below, above = (draws.integers(0, 200, (channels, 4, 5)).astype(dtype) for _ in range(2))
    before = below.copy(), above.copy()
    pixels = PixelType(dtype)
    one = pixels.flat(1.0)
    for yes, no in ((above, below), (one, below), (above, one), (above[0], below), (above, below[0]), (one, pixels.flat(0.0))):
        found = pixels.select(bits, yes, no)
        assert found.dtype == np.dtype(dtype)
        assert np.array_equal(found, np.where(mask == 1, yes, no))
    assert np.array_equal(below, before[0])  # neither side is written to
    assert np.array_equal(above, before[1])


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(TYPES), st.lists(st.sampled_from([0.0, 0.001, 0.5, 0.6, 0.6001, 1.0]), min_size=1, max_size=4, unique=True)
)
def test_pictures_of_few_values(dtype: str, values: list[float]) -> None:
    """Each value where its mask is; values of one level share a mask, and those of level 0 have none."""
    pixels = PixelType(dtype)
    place = np.random.default_rng(len(values)).integers(0, len(values) + 1, (5, 70))
    picture = pixels.planes((5, 70), {value: Bits.pack(place == index) for index, value in enumerate(values)})
    assert (picture.dtype, picture.shape) == (np.dtype(dtype), (5, 70))
    assert set(picture.planes) == {pixels.flat(value).item() for value in values} - {0}
    wanted = np.array([*(pixels.flat(value) for value in values), pixels.flat(0.0)])[place]
    assert np.array_equal(picture.expand(), wanted)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("low", "high"), [(0.6, 1.0), (0.0, 1.0), (0.3, 0.35), (0.0, 0.01)])
def test_greys(dtype: str, low: float, high: float) -> None:
    """low + (r n >> 16) in whole levels; mirrored is 1 minus that for the same bits."""
    values = literal.greys(crop(literal.words16(("g",), 530, 55)), low, high, dtype)
    field = NoiseField("g")
    for mirrored in (False, True):
        found = array_of(Grey(low, high, field, mirrored).paint(BOX, PixelType(dtype), BOX))
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
        def words16(self, box: Box, within: Box) -> np.ndarray:
            return np.arange(65536, dtype=np.uint16).reshape(256, 256)

    for low, high in ((0.6, 1.0), (0.0, 1.0), (0.2, 0.4), (0.999, 1.0)):
        first, last = int(255 * low + 0.5), int(255 * high + 0.5)
        wanted = [first + (r * (last - first + 1) >> 16) for r in range(65536)]
        box = Box(0, 0, 256, 256)
        found = array_of(Grey(low, high, Words()).paint(box, PixelType("uint8"), box))  # type: ignore[arg-type]
        assert found.ravel().tolist() == wanted
        mirrored = array_of(Grey(low, high, Words(), mirrored=True).paint(box, PixelType("uint8"), box))  # type: ignore[arg-type]
        assert mirrored.ravel().tolist() == [255 - level for level in wanted]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_pepper_and_salt(dtype: str, share: float) -> None:
    pixels = PixelType(dtype)
    speckles = crop(literal.bernoulli(("s",), Fraction(str(share)), 530, 55))
    base = Grey(0.6, 1.0, NoiseField("g"))
    plain = array_of(base.paint(BOX, pixels, BOX))
    peppered = array_of(Peppered(base, share, NoiseField("s")).paint(BOX, pixels, BOX))
    assert np.array_equal(peppered, plain * speckles)
    salted = array_of(Salted(base, share, NoiseField("s")).paint(BOX, pixels, BOX))
    assert np.array_equal(salted, np.where(speckles == 1, TOP[dtype], plain))
    flecked = array_of(Peppered(Flat(0.5), share, NoiseField("s")).paint(BOX, pixels, BOX))
    assert np.array_equal(flecked, pixels.flat(0.5) * speckles)
    for value in (0.0, 0.5, 1.0):
        flecked = array_of(Salted(Flat(value), share, NoiseField("s")).paint(BOX, pixels, BOX))
        assert np.array_equal(flecked, np.where(speckles == 1, TOP[dtype], pixels.flat(value)))


def textures() -> list[Any]:
    grey, noise = Grey(0.2, 0.9, NoiseField("g")), NoiseField("s")
    tiled = Tiled(np.arange(6, dtype=np.uint8).reshape(2, 3), 1, 2)
    plain = [Flat(0.0), Flat(0.5), Flat(1.0), grey, Grey(0.2, 0.9, NoiseField("g"), mirrored=True), tiled]
    return [*plain, *(Peppered(one, 0.9, noise) for one in plain), *(Salted(one, 0.1, noise) for one in plain)]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("number", range(18))
def test_few_valued_textures_paint_planes_and_others_arrays(dtype: str, number: int) -> None:
    """And whatever part is asked for, that part is there."""
    texture, pixels = textures()[number], PixelType(dtype)
    full = texture.paint(BOX, pixels, BOX)
    assert isinstance(full, Planes) == texture.few_valued
    for within in (Box(500, 10, 501, 11), Box(511, 11, 513, 54), Box(400, 0, 520, 30), Box(0, 0, 600, 600)):
        part = texture.paint(BOX, pixels, within)
        assert isinstance(part, Planes) == texture.few_valued
        assert (part.dtype, part.shape) == (np.dtype(dtype), BOX.shape)
        place = BOX.intersection(within).shifted(-BOX.top, -BOX.left).slices
        assert np.array_equal(array_of(part)[place], array_of(full)[place])


def test_tiles_repeat_from_their_offset() -> None:
    tile = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for row, column in ((0, 0), (1, 2), (-1, -4)):
        tiled = Tiled(tile, row, column)
        wanted = [[tile[(y + row) % 2, (x + column) % 3] for x in range(10, 55)] for y in range(500, 530)]
        assert tiled.levels(Box(500, 10, 530, 55)).tolist() == wanted
        assert tiled.mask(BOX).unpack().tolist() == [[int(level > 0) for level in line] for line in wanted]
