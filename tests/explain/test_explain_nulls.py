"""Maps that know nothing of the network, and the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from explaining import Net, random
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from miso_gen.errors import InputError, RecipeError
from miso_gen.explain.calling import explain, explained

IMAGES = random(2, 3, 7, 10, seed=3)


def shown(name: str, images: Tensor = IMAGES, **given: object) -> Tensor:
    return explain(Net(images.shape[1]), images, name, target=0, **given)


def test_random_is_uniform_and_of_the_seed() -> None:
    found = shown("random", random(3, 1, 64, 64), seed=1)
    assert ((found >= 0) & (found < 1)).all()
    assert abs(float(found.mean()) - 0.5) < 0.02
    assert abs(float(found.var()) - 1 / 12) < 0.005
    assert not torch.equal(found[0], found[1])  # though the images were equal, they wouldn't be
    assert torch.equal(shown("random", torch.zeros(3, 1, 64, 64), seed=1), found)
    assert not torch.equal(shown("random", random(3, 1, 64, 64), seed=2), found)


def test_constant_is_flagged() -> None:
    found = explained(Net(), IMAGES, "constant", target=0)
    assert (found.maps == 0.5).all()
    assert found.constant.all()
    assert not found.blank.any()


@settings(max_examples=25)
@given(rows=st.integers(4, 12), cols=st.integers(4, 12), sigma=st.floats(0.05, 2))
def test_center_is_a_gaussian(rows: int, cols: int, sigma: float) -> None:
    found = shown("center", torch.zeros(1, 3, rows, cols), sigma=sigma)[0]
    for row in range(rows):
        for col in range(cols):
            y, x = (row + 0.5 - rows / 2) / rows, (col + 0.5 - cols / 2) / cols
            assert float(found[row, col]) == pytest.approx(math.exp(-(y * y + x * x) / (2 * sigma * sigma)), rel=1e-4, abs=1e-30)
    assert torch.allclose(found, found.flip(0, 1))


def test_edges_are_sobel() -> None:
    found = shown("edges")
    for image, one in zip(IMAGES.double().mean(1).numpy(), found, strict=True):
        across, down = (ndimage.sobel(image, axis, mode="nearest") for axis in (1, 0))
        assert np.allclose(one.numpy(), np.hypot(across, down), rtol=1e-5, atol=1e-6)
    step = torch.zeros(1, 1, 5, 6)
    step[..., 3:] = 1
    assert shown("edges", step)[0].tolist() == [[0, 0, 4, 4, 0, 0]] * 5
    assert explained(Net(), torch.full((1, 3, 5, 6), 0.25), "edges").blank.all()


def test_input_is_the_mean_over_channels() -> None:
    assert torch.equal(shown("input"), IMAGES.mean(1))
    assert explained(Net(), torch.zeros(1, 3, 5, 6), "input").blank.all()


TRUTH = torch.tensor([[[0, 1, 2, 2], [0, 0, 1, 0], [0, 0, 0, 0], [2, 2, 1, 1]]], dtype=torch.uint8)


def test_oracle_is_the_truth() -> None:
    images = random(1, 3, 4, 4)
    for positive, levels in ((None, [0, 0.4, 0.9]), (1, [0, 1, 1]), (2, [0, 0, 1])):
        wanted = np.array(levels, np.float32)[TRUTH.numpy()]
        assert (shown("oracle", images, truth=TRUTH, positive=positive).numpy() == wanted).all()
    assert (shown("oracle", images, truth=TRUTH.numpy()).numpy() == np.array([0, 0.4, 0.9], np.float32)[TRUTH.numpy()]).all()
    assert explained(Net(), images, "oracle", truth=0 * TRUTH).blank.all()
    with pytest.raises(InputError, match="truth must be there for oracle"):
        shown("oracle", images)
    for positive in (0, 3, "1"):
        with pytest.raises(RecipeError):
            shown("oracle", images, truth=TRUTH, positive=positive)


@pytest.mark.parametrize("name", ["random", "constant", "center", "edges", "input", "oracle"])
def test_the_model_is_only_asked_for_its_classes(name: str) -> None:
    asked = []

    def model(images: Tensor) -> Tensor:
        asked.append(len(images))
        return torch.zeros(len(images), 2)

    found = explain(model, random(3, 1, 4, 4), name, target=1, truth=TRUTH.repeat(3, 1, 1))
    assert found.shape == (3, 4, 4)
    assert asked == [1]
