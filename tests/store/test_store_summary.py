"""Cells and histograms against a loop over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.store.summary import image_cells, truth_cells


def literal_cells(values):
    rows, cols = -(-values.shape[-2] // 16), -(-values.shape[-1] // 16)
    cells = [[int(values[..., 16 * r : 16 * r + 16, 16 * c : 16 * c + 16].sum()) for c in range(cols)] for r in range(rows)]
    return np.array(cells, np.uint64)


def literal_integers(image):
    if image.dtype != np.float32:
        return image.astype(object)
    clipped = [math.floor(min(1.0, max(0.0, float(v))) * 65535 + 0.5) for v in image.reshape(-1)]
    return np.array(clipped, object).reshape(image.shape)


def literal_histogram(image):
    counts = [0] * 256
    for value in image.reshape(-1).tolist():
        if image.dtype == np.uint8:
            counts[value] += 1
        elif image.dtype == np.uint16:
            counts[value >> 8] += 1
        else:
            counts[min(255, math.floor(value * 256))] += 1
    return counts


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    channels=st.integers(1, 3),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    kind=st.sampled_from(["noise", "binary", "highest", "zero"]),
    offset=st.integers(0, 3),
)
def test_image_cells(kit, height, width, channels, dtype, kind, offset):
    shape = (channels, height + offset, width + offset)
    image = kit.sample(shape, dtype, kind)["image"]
    if kind == "highest":
        image[:] = 1 if dtype == "float32" else np.iinfo(dtype).max
    image = image[:, offset:, offset:]  # a view with gaps, as a crop is
    cells = image_cells(image)
    assert np.array_equal(cells.sums, literal_cells(literal_integers(image)))
    assert cells.histogram.tolist() == literal_histogram(image)
    assert cells.binary == (dtype == "uint8" and set(np.unique(image)) <= {0, 255})


@pytest.mark.parametrize("value", [0, 1, 2])
@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (64, 48), (65, 33), (256, 256)])
def test_constant_truth(shape, value):
    truth = np.full(shape, value, np.uint8)
    cells = truth_cells(truth)
    assert np.array_equal(cells.ones, literal_cells(truth >= 1))
    assert np.array_equal(cells.twos, literal_cells(truth == 2))


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), seed=st.integers(0, 5))
def test_truth_cells(height, width, seed):
    truth = np.random.default_rng(seed).integers(0, 3, (height, width), np.uint8)
    cells = truth_cells(truth)
    assert np.array_equal(cells.ones, literal_cells(truth >= 1))
    assert np.array_equal(cells.twos, literal_cells(truth == 2))


def test_other_truth_values_are_refused():
    with pytest.raises(ValueError, match="truth must hold 0, 1 and 2 only, got 3"):
        truth_cells(np.full((4, 4), 3, np.uint8))


def test_float_pixels_outside_0_to_1_count_as_the_border():
    image = np.array([[[-1.0, 2.0]]], np.float32)
    cells = image_cells(image)
    assert cells.sums.tolist() == [[65535]]
    assert (cells.histogram[0], cells.histogram[255]) == (1, 1)
