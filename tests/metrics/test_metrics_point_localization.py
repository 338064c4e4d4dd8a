"""Point localisation accuracy: the vectors of the source, boxes, and means by class."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import resize

from miso_gen.errors import InputError
from miso_gen.metrics.pooled import class_means
from miso_gen.metrics.scores.point_localization import box_mask, greatest_on_truth, point_localization, resized
from miso_gen.metrics.scores.pointing_game import pointing_game


def test_box_of_the_vector() -> None:
    mask = box_mask(torch.tensor([[2, 3, 4, 5]]), 12, 9)
    assert mask[8, 6]
    assert not mask[8, 7]
    assert not mask[9, 6]
    assert torch.equal(mask, (box_mask(torch.tensor([[2.0, 3.0, 4.0, 5.0]]), 12, 9)))
    assert int(mask.sum()) == 5 * 6
    assert mask[3:9, 2:7].all()


def test_any_box_counts() -> None:
    boxes = torch.tensor([[0.0, 0.0, 1.5, 0.0], [5.2, 2.0, 1.0, 9.0]])
    mask = box_mask(boxes, 4, 8)
    wanted = [[any(x <= j <= x + w and y <= i <= y + h for x, y, w, h in boxes.tolist()) for j in range(8)] for i in range(4)]
    assert mask.tolist() == wanted
    assert not box_mask(torch.zeros(0, 4), 3, 3).any()
    with pytest.raises(InputError, match="boxes"):
        box_mask(torch.zeros(4), 3, 3)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), shape=st.tuples(st.integers(1, 8), st.integers(1, 9)), values=st.sampled_from([2, 4, 999]))
def test_the_first_greatest_pixel_decides(seed: int, shape: tuple[int, int], values: int) -> None:
    rng = np.random.default_rng(seed)
    map, truth = rng.integers(-values, values, (3, *shape)) / 8, rng.random((3, *shape)) < 0.4
    found, shares = (f(torch.from_numpy(map), torch.from_numpy(truth)).tolist() for f in (point_localization, greatest_on_truth))
    for k in range(3):
        if not truth[k].any():
            assert isnan(found[k])
            assert isnan(shares[k])
            continue
        first = np.unravel_index(np.argmax(map[k]), shape)
        assert found[k] == float(truth[k][first] and map[k].min() < map[k].max())
        assert shares[k] == pytest.approx(truth[k][map[k] == map[k].max()].mean())


def test_the_first_of_many_on_large_maps() -> None:
    map, truth = torch.zeros(2, 700, 900), torch.zeros(2, 700, 900, dtype=torch.bool)
    map[0, 300:, 40:], map[1, 5, 899] = 1.0, 1.0
    map[1, 6:] = 1.0
    truth[0, 300, 40], truth[1, 5, 899] = True, True
    assert point_localization(map, truth).tolist() == [1.0, 1.0]
    assert point_localization(map.double(), ~truth).tolist() == [0.0, 0.0]


def test_next_to_the_pointing_game() -> None:
    rng = np.random.default_rng(0)
    map, truth = torch.from_numpy(rng.integers(0, 5, (50, 4, 6)) / 4), torch.from_numpy(rng.random((50, 4, 6)) < 0.3)
    assert torch.equal(point_localization(map, truth), pointing_game(map, truth, ties="first"))
    assert torch.allclose(greatest_on_truth(map, truth), pointing_game(map, truth, ties="share"))


def test_undefined_and_constant() -> None:
    truth = torch.zeros(3, 5, dtype=torch.bool)
    truth[0, :3] = True
    assert float(point_localization(torch.ones(3, 5), truth)) == 0.0
    assert float(greatest_on_truth(torch.ones(3, 5), truth)) == pytest.approx(0.2)
    broken = torch.rand(3, 5)
    broken[1, 1] = nan
    assert isnan(float(point_localization(broken, truth)))
    assert isnan(float(greatest_on_truth(broken, truth)))
    with pytest.raises(InputError, match="shape"):
        point_localization(torch.ones(5, 3), truth)


def test_resized_keeps_batches_and_agrees_with_scikit_image() -> None:
    heatmap = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 3, 8, 5)))
    found = resized(heatmap, 32, 15)
    assert found.shape == (2, 3, 32, 15)
    for plane, small in zip(found.flatten(0, 1), heatmap.flatten(0, 1), strict=True):
        wanted = resize(small.numpy(), (32, 15), order=1, mode="edge", anti_aliasing=False)
        assert np.abs(plane.numpy() - wanted).max() < 1e-6


def test_means_by_class() -> None:
    values = torch.tensor([1.0, 0.0, 1.0, nan, 1.0, nan])
    found = class_means(values, torch.tensor([0, 0, 0, 0, 3, 2]))
    assert found.by_class[[0, 3]].tolist() == pytest.approx([2 / 3, 1.0])
    assert found.by_class[[1, 2]].isnan().all()
    assert found.number.tolist() == [3, 0, 0, 1]
    assert float(found.macro) == pytest.approx((2 / 3 + 1) / 2)
    assert float(found.weighted) == pytest.approx(3 / 4)
    empty = class_means(torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    assert isnan(float(empty.macro))
    assert isnan(float(empty.weighted))
    with pytest.raises(InputError, match="classes"):
        class_means(values, torch.tensor([1]))
