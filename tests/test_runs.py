"""Labels as runs, against arrays of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import regionprops

from miso_gen.geometry import Box
from miso_gen.runs import LabelRuns

LABELS = arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 90)), elements=st.sampled_from([0, 0, 0, 1, 2, 3, 250]))


def pixels(runs: LabelRuns, dtype: str = "uint32") -> np.ndarray:
    found = runs.labels(Box(0, 0, runs.height, runs.width), np.dtype(dtype))
    return np.zeros((runs.height, runs.width), dtype) if found is None else found[1]


@given(LABELS)
def test_pixels_come_back(labels: np.ndarray) -> None:
    runs = LabelRuns.of_labels(labels)
    assert np.array_equal(pixels(runs), labels)
    assert runs.objects.tolist() == sorted(set(labels[labels > 0].tolist()))
    mask = runs.mask(Box(0, 0, *labels.shape))
    assert (mask is None) == (not labels.any())
    if mask is not None:
        assert np.array_equal(mask.unpack() != 0, labels != 0)


@given(LABELS)
def test_areas_boxes_and_centroids_are_those_of_scikit_image(labels: np.ndarray) -> None:
    runs = LabelRuns.of_labels(labels)
    found = regionprops(labels)
    assert runs.areas.tolist() == [int(thing.area) for thing in found]
    assert runs.boxes.tolist() == [list(thing.bbox) for thing in found]
    assert np.allclose(runs.centroids, np.array([thing.centroid for thing in found]).reshape(-1, 2), rtol=0, atol=1e-9)


@given(LABELS, st.data())
def test_any_box_is_a_part_of_the_whole(labels: np.ndarray, data: st.DataObject) -> None:
    runs, (height, width) = LabelRuns.of_labels(labels), labels.shape
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    box = Box(top, left, data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width)))
    found = runs.labels(box, np.dtype(np.uint16))
    part = labels[box.slices]
    assert (found is None) == (not part.any())
    if found is not None:
        assert found[1].dtype == np.uint16
        assert np.array_equal(found[1], part)
        assert np.array_equal(found[0].unpack() != 0, part != 0)


RUN = st.tuples(st.integers(-2, 600), st.integers(-5, 60), st.integers(-5, 60), st.integers(1, 9))


@given(st.lists(RUN, max_size=60))
def test_later_runs_lie_on_top_and_the_border_cuts(given_runs: list[tuple[int, int, int, int]]) -> None:
    rows, first, stop, ids = np.array(given_runs, np.int64).reshape(-1, 4).T
    runs = LabelRuns.of_runs(590, 50, rows, first, stop, ids)
    expected = np.zeros((590, 50), np.uint32)
    for row, start, end, number in given_runs:
        for column in range(start, end):
            if 0 <= row < 590 and 0 <= column < 50:
                expected[row, column] = number
    assert np.array_equal(pixels(runs), expected)
    literal = LabelRuns.of_labels(expected)
    for name in ("starts", "first", "stop", "ids"):
        assert np.array_equal(getattr(runs, name), getattr(literal, name)), name


def test_parts_and_places() -> None:
    labels = np.array([[1, 1, 0, 2], [0, 5, 5, 2], [5, 0, 0, 0]], np.uint8)
    runs = LabelRuns.of_labels(labels)
    assert np.array_equal(pixels(runs.only(np.array([5, 7]))), np.where(labels == 5, 5, 0))
    assert np.array_equal(
        pixels(runs.renumbered(np.array([7, 8, 9]))), np.select([labels == 1, labels == 2, labels == 5], [7, 8, 9])
    )
    moved = np.zeros((2, 4), int)
    moved[:, 1:] = labels[1:, :3]
    assert np.array_equal(pixels(runs.placed(2, 4, -1, 1)), moved)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3)])
def test_an_empty_picture_has_nothing(shape: tuple[int, int]) -> None:
    runs = LabelRuns.of_labels(np.zeros(shape, np.uint8))
    assert (len(runs.objects), len(runs.areas), runs.boxes.shape, runs.centroids.shape) == (0, 0, (0, 4), (0, 2))
    assert runs.bounds == Box(0, 0, 0, 0)
    assert runs.mask(Box(0, 0, *shape)) is None
