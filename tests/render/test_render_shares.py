"""FACTS A3 by counting: shares, ranges and distributions of the pixels, to five times their own sampling error.

Nothing here knows how the noise is made.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import literal
import numpy as np
import pytest

SIDE = 640


@cache
def image(name: str, label: int, fuzz: float) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels and truth of one uint8 image, the elephant (some 40 % of the canvas)."""
    entry: dict[str, Any] = literal.small(name, (SIDE, SIDE), only=("elephant",), fuzz=fuzz, labels=[label])
    if name == "md":
        entry = {**entry, "deformations": [{"type": "sine"}], "deformed_fuzz": fuzz}
    plan = list(literal.plans_of(entry, (SIDE, SIDE)).values())[-1]
    found = literal.whole(plan)
    return found.image[0], found.truth


def assert_share(pixels: np.ndarray, share: float) -> None:
    """Assert that a share of the pixels is set, to five sigma (and the 1/65536 that chances are rounded to)."""
    assert pixels.size > 10_000
    assert abs(pixels.mean() - share) <= 5 * math.sqrt(share * (1 - share) / pixels.size) + 1 / 65536


def assert_even(values: np.ndarray, low: int, high: int) -> None:
    """Assert that whole numbers are uniform in low .. high: each one, the chi-square, and no correlation of neighbours."""
    assert (values.min(), values.max()) == (low, high)
    count = high - low + 1
    expected = values.size / count
    counts = np.bincount(values - low, minlength=count)
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - (count - 1)) < 6 * math.sqrt(2 * (count - 1))
    centred = values.astype(float) - values.mean()
    assert abs((centred[1:] * centred[:-1]).mean() / centred.var()) < 5 / math.sqrt(values.size)


CASES = [(name, label, fuzz) for name in ("evp", "dsp", "md", "evsp", "gsp", "fm") for label in (0, 1) for fuzz in (0.0, 0.1)]


@pytest.mark.parametrize(("name", "label", "fuzz"), CASES)
def test_background_is_black_and_white_in_equal_parts(name: str, label: int, fuzz: float) -> None:
    pixels, truth = image(name, label, fuzz)
    outside = pixels[truth == 0]
    assert set(np.unique(outside)) == {0, 255}
    assert_share(outside == 255, 0.5)
    white = (outside == 255).astype(float) - 0.5
    assert abs((white[1:] * white[:-1]).mean() * 4) < 5 / math.sqrt(white.size)


@pytest.mark.parametrize("name", ["evp", "md", "evsp"])
def test_hot(name: str) -> None:
    pixels, truth = image(name, 1, 0.0)
    assert (pixels[truth == 2] == 255).all()
    pixels, truth = image(name, 1, 0.1)
    assert set(np.unique(pixels)) == {0, 255}
    assert_share(pixels[truth == 2] == 0, 0.1)


@pytest.mark.parametrize("name", ["evp", "evsp"])
def test_cold(name: str) -> None:
    pixels, truth = image(name, 0, 0.0)
    assert (pixels[truth == 2] == 0).all()
    pixels, truth = image(name, 0, 0.1)
    assert set(np.unique(pixels)) == {0, 255}
    assert_share(pixels[truth == 2] == 255, 0.1)


@pytest.mark.parametrize("name", ["md", "gsp", "fm"])
def test_class_0_is_drawn_hot(name: str) -> None:
    pixels, truth = image(name, 0, 0.0)
    assert (pixels[truth > 0] == 255).all()
    pixels, truth = image(name, 0, 0.1)
    assert_share(pixels[truth > 0] == 0, 0.1)


def test_dsp_hot_is_uniform_in_the_upper_greys() -> None:
    pixels, truth = image("dsp", 1, 0.0)
    assert_even(pixels[truth == 2], 153, 255)
    pixels, truth = image("dsp", 1, 0.1)
    inside = pixels[truth == 2]
    assert_share(inside == 0, 0.1)
    assert_even(inside[inside > 0], 153, 255)


def test_dsp_cold_is_uniform_in_the_lower_greys() -> None:
    pixels, truth = image("dsp", 0, 0.0)
    assert_even(pixels[truth == 2], 0, 102)
    pixels, truth = image("dsp", 0, 0.1)
    inside = pixels[truth == 2]
    assert_share(inside == 255, 0.1)
    assert_even(inside[inside < 255], 0, 102)


@pytest.mark.parametrize(("label", "low", "high"), [(1, 0.6, 1.0), (0, 0.0, 0.4)])
@pytest.mark.parametrize(("dtype", "top"), [("uint16", 65535), ("float32", 1.0)])
def test_dsp_in_finer_types(dtype: str, top: float, label: int, low: float, high: float) -> None:
    entry = literal.small("dsp", only=("elephant",), fuzz=0.0, labels=[label])
    (plan,) = literal.plans_of(entry, (400, 400), dtype=dtype).values()
    found = literal.whole(plan)
    inside = found.image[0][found.truth == 2] / top
    assert inside.min() >= low - 1e-7
    assert inside.max() <= high + 1e-7
    assert len(np.unique(inside)) > 20_000
    tenths = np.histogram(inside, bins=10, range=(low, high))[0]
    assert np.abs(tenths - inside.size / 10).max() < 5 * math.sqrt(inside.size / 10)


def test_dsp_gap_is_empty() -> None:
    for label in (0, 1):
        for fuzz in (0.0, 0.1):
            pixels, _ = image("dsp", label, fuzz)
            assert not ((pixels > 102) & (pixels < 153)).any()


def test_gsp_disc_is_black_after_all_noise() -> None:
    for fuzz in (0.0, 0.1):
        pixels, truth = image("gsp", 1, fuzz)
        assert (truth == 2).any()
        assert not pixels[truth == 2].any()


def test_fm_tiles_are_flecked_and_their_gaps_are_noise() -> None:
    simple, truth = image("fm", 1, 0.0)
    fuzzy, _ = image("fm", 1, 0.1)
    inside = truth == 2
    levels = np.unique(simple[inside])
    assert levels[-1] == 255
    assert len(levels) > 20  # grey rims
    rim = inside & (simple > 0) & (simple < 255)
    assert_share(fuzzy[rim] == 0, 0.1)
    kept = rim & (fuzzy > 0)
    assert np.array_equal(fuzzy[kept], simple[kept])


def test_images_have_noise_of_their_own() -> None:
    """Independent noise: images of a pair, of a split, of two splits, of two scenarios agree in half of the background."""
    plans = literal.plans_of(literal.small("evp", only=("canary",)), (400, 400), splits=["train", "test"])
    other = literal.plans_of(literal.small("evp", only=("canary",), name="evp-2"), (400, 400), splits=["train", "test"])
    reseeded = literal.plans_of(literal.small("evp", only=("canary",)), (400, 400), splits=["train", "test"], seed=2023)
    images = [literal.whole(plan) for plan in [*plans.values(), *list(other.values())[:2], *list(reseeded.values())[:2]]]
    outside = images[0].truth == 0
    assert len(images) == 12
    for index, one in enumerate(images):
        for two in images[:index]:
            assert_share(one.image[0][outside] == two.image[0][outside], 0.5)
