"""Sizes that a network takes: against counting through all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.errors import InputError
from miso_gen.models import Sizes


@st.composite
def sizes(draw: st.DrawFn) -> Sizes:
    multiple = draw(st.integers(1, 40))
    return Sizes(least=multiple * draw(st.integers(1, 5)), multiple=multiple)


@given(sizes(), st.integers(-3, 400))
def test_nearest(sizes: Sizes, side: int) -> None:
    taken = range(sizes.least, 1000, sizes.multiple)
    assert sizes.nearest(side) == min(taken, key=lambda other: (abs(other - side), other))
    assert (side in sizes) == (side in taken)
    assert sizes.nearest(side) in sizes


@pytest.mark.parametrize(
    ("sizes", "size", "message"),
    [
        (Sizes(32, 32), (100, 100), "image_size must be a multiple of 32, and at least 32, for it, got 100. Nearest: 96."),
        (
            Sizes(32, 32),
            (112, 64),
            "image_size must be a multiple of 32, and at least 32, for it, got (112, 64). Nearest: (96, 64).",
        ),
        (Sizes(63), (62, 70), "image_size must be at least 63, for it, got (62, 70). Nearest: (63, 70)."),
    ],
)
def test_refusals(sizes: Sizes, size: tuple[int, int], message: str) -> None:
    with pytest.raises(InputError) as caught:
        sizes.check(size, "it")
    assert str(caught.value) == message


@pytest.mark.parametrize(("least", "multiple"), [(0, 1), (33, 32), (32, 0), (-32, 32)])
def test_impossible_declarations(least: int, multiple: int) -> None:
    with pytest.raises(ValueError, match="least must be a positive multiple"):
        Sizes(least, multiple)
