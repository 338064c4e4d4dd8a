"""Truth loosened by a stated amount: against literal discs, shifts and draws."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from skimage.morphology import dilation, disk

from miso_gen.errors import InputError
from miso_gen.metrics import loosening
from miso_gen.metrics.loosening import dilated, dilated_instances, dropped, shifted
from miso_gen.metrics.objects import objects
from miso_gen.metrics.scores.dice import dice
from miso_gen.rng import Stream

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 12))


def drawn(seed: int, shape: tuple[int, ...], share: float = 0.1, high: int = 5) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(1, high, shape) * (rng.random(shape) < share))


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES, radius=st.integers(0, 14))
def test_dilated_is_a_disc_around_every_pixel(seed: int, shape: tuple[int, int], radius: int) -> None:
    levels = drawn(seed, shape, high=3)
    found, mask = dilated(levels, radius), dilated(levels > 0, radius)
    for i, j in product(range(shape[0]), range(shape[1])):
        near = [
            int(levels[k, m])
            for k, m in product(range(shape[0]), range(shape[1]))
            if (k - i) ** 2 + (m - j) ** 2 <= radius * radius
        ]
        assert int(found[i, j]) == max(near)
        assert bool(mask[i, j]) == any(near)


def test_dilated_agrees_with_outside_libraries() -> None:
    mask = drawn(1, (2, 90, 130), 0.002) > 0
    for radius in (1, 7, 20):
        found = dilated(mask, radius)
        for plane, wanted in zip(found, mask, strict=True):
            assert np.array_equal(plane.numpy(), dilation(wanted.numpy(), disk(radius)))
            away = np.rint(distance_transform_edt(~wanted.numpy()) ** 2)
            assert np.array_equal(plane.numpy(), away <= radius**2)
    assert not dilated(torch.zeros(4, 6, dtype=torch.bool), 3).any()


def test_large_radii_and_other_devices_go_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = drawn(2, (3, 40, 61), 0.004) > 0
    known = {radius: dilated(mask, radius) for radius in (1, 5, 13, 39, 70)}
    monkeypatch.setattr(loosening, "_PRECISE", 0)
    for radius, wanted in known.items():
        assert torch.equal(dilated(mask, radius), wanted)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES, radius=st.integers(0, 6))
def test_pixels_join_the_nearest_object(seed: int, shape: tuple[int, int], radius: int) -> None:
    instances = drawn(seed, shape)
    found = dilated_instances(instances.to(torch.uint16), radius)
    assert found.dtype == torch.uint16
    for i, j in product(range(shape[0]), range(shape[1])):
        near = [
            ((k - i) ** 2 + (m - j) ** 2, int(instances[k, m]))
            for k, m in product(range(shape[0]), range(shape[1]))
            if instances[k, m] and (k - i) ** 2 + (m - j) ** 2 <= radius * radius
        ]
        assert int(found[i, j]) == (min(near)[1] if near else 0)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES, down=st.integers(-12, 12), right=st.integers(-12, 12))
def test_shifted_moves_every_pixel(seed: int, shape: tuple[int, int], down: int, right: int) -> None:
    truth = drawn(seed, (2, *shape), 0.5)
    found = shifted(truth, down, right)
    for i, j in product(range(shape[0]), range(shape[1])):
        inside = 0 <= i - down < shape[0] and 0 <= j - right < shape[1]
        wanted = truth[:, i - down, j - right].tolist() if inside else [0, 0]
        assert found[:, i, j].tolist() == wanted


def test_dropped_is_a_share_and_nested() -> None:
    instances = torch.arange(30).reshape(5, 6).repeat(3, 1, 1)
    instances[1] = instances[1] // 3
    ids = ["a/test/0001", "a/test/0002", "a/test/0003"]
    counts = objects(instances).counts().tolist()
    assert counts == [29, 9, 29]
    last = instances
    for share in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0):
        found = dropped(instances, share, seed=7, ids=ids)
        assert objects(found).counts().tolist() == [n - int(share * n + 0.5) for n in counts]
        assert ((found == instances) | (found == 0)).all()
        assert ((found == last) | (found == 0)).all()  # what was dropped stays so
        last = found
    whole = dropped(instances, 0.5, seed=7, ids=ids)
    for k in range(3):  # each image by itself, whatever stands beside it
        assert torch.equal(dropped(instances[k], 0.5, seed=7, ids=ids[k : k + 1]), whole[k])
    assert not torch.equal(whole[0], whole[2])
    assert not torch.equal(dropped(instances, 0.5, seed=8, ids=ids), whole)


def test_which_objects_go_follows_from_the_stream() -> None:
    instances = torch.tensor([[5, 0, 2, 9, 7, 7]], dtype=torch.uint16)
    words = Stream(3, "loosening", "dropped", "gsp/test/0001").raw(4)
    first = sorted([2, 5, 7, 9], key=lambda id: int(words[[2, 5, 7, 9].index(id)]))[:2]
    found = dropped(instances, 0.5, seed=3, ids=["gsp/test/0001"])
    assert found.dtype == torch.uint16
    assert found.tolist() == [[0 if id in first else id for id in (5, 0, 2, 9, 7, 7)]]


def test_scores_mind_loosened_truth() -> None:
    row, col = torch.meshgrid(torch.arange(60), torch.arange(90), indexing="ij")
    truth = (row - 30) ** 2 + (col - 40) ** 2 <= 144
    scores = [float(dice(truth, dilated(truth, radius))) for radius in range(6)]
    assert scores[0] == 1.0
    assert all(later < earlier for earlier, later in pairwise(scores))
    shifts = [float(dice(truth, shifted(truth, 0, right))) for right in (0, 1, 4, 24, 30)]
    assert shifts[0] == 1.0
    assert all(later < earlier for earlier, later in pairwise(shifts[:4]))
    assert shifts[-1] == 0.0


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: dilated(torch.zeros(2, 3, dtype=torch.bool), -1), "radius"),
        (lambda: dilated(torch.zeros(2, 3), 1), "truth"),
        (lambda: dilated_instances(torch.full((2, 3), -1), 1), "from 0"),
        (lambda: dropped(torch.zeros(2, 3, dtype=torch.int64), 1.5, seed=0, ids=["a"]), "share"),
        (lambda: dropped(torch.zeros(2, 3, dtype=torch.int64), 0.5, seed=0, ids=[]), "ids"),
    ],
)
def test_refused(call: object, match: str) -> None:
    with pytest.raises(InputError, match=match):
        call()  # type: ignore[operator]
