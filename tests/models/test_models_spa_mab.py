"""SPA with its mab head: against the formulas, and the sizes of the paper."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from miso_gen.models import create_model, offer_of


def built(head_reads: str = "keys", size: Any = (70, 83), seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return create_model({"type": "spa-mab", "head_reads": head_reads}, in_channels=3, num_classes=4, image_size=size).eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_the_classifier() -> None:
    """Softmax over the keys of the products of each query with each key, divided by sqrt(48)."""
    model, images = built(), noise(2, 3, 70, 83)
    with torch.no_grad():
        features = model.features(images).double()
        assert features.shape[1] == 96
        assert features.min() >= 0
        logits = model(images)
    expected = torch.zeros(2, 48, 48, dtype=torch.float64)
    for image in range(2):
        for query in range(48):
            products = [float((features[image, query] * features[image, 48 + key]).sum()) / sqrt(48) for key in range(48)]
            weights = torch.tensor(products, dtype=torch.float64).exp()
            expected[image, query] = weights / weights.sum()
    layer = model.classifier
    wanted = expected.flatten(1) @ layer.weight.double().T + layer.bias.double()
    torch.testing.assert_close(logits.double(), wanted.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("half", "channels"), [("keys", slice(48, 96)), ("queries", slice(0, 48))])
def test_the_head_reads_one_half(half: str, channels: slice) -> None:
    model, images = built(half), noise(2, 3, 70, 83)
    with torch.no_grad():
        pixels = model.logits_and_pixels(images)[1]
        expected = model.mab(model.features(images)[:, channels])[:, :, :70, :83]
    torch.testing.assert_close(pixels, expected)


def test_the_heatmap_is_the_relevance_of_the_likeliest_label() -> None:
    model, images = built(), noise(2, 3, 70, 83)
    with torch.no_grad():
        model.mab[3].weight.mul_(100)
        pixels, heat = model.logits_and_pixels(images)[1], model.heatmap(images)
    assert heat.shape == (2, 1, 70, 83)
    assert heat.unique().tolist() == pytest.approx([0.0, 0.4, 0.9])
    expected = 0.4 * (pixels.argmax(1) == 1) + 0.9 * (pixels.argmax(1) == 2)
    torch.testing.assert_close(heat[:, 0], expected)
    assert offer_of(model).pixel_levels == (0.0, 0.4, 0.9)


def test_sizes_of_the_paper() -> None:
    with torch.device("meta"):
        model: Any = create_model("spa-mab", in_channels=3, num_classes=10, image_size=512)
    sides = []
    for part in model.mab:
        part.register_forward_hook(lambda module, inputs, output: sides.append(tuple(output.shape[-2:])))
    pixels = model.logits_and_pixels(torch.zeros(2, 3, 512, 512, device="meta"))[1]
    assert sides == [(65, 65), (131, 131), (263, 263), (527, 527)]
    assert pixels.shape == (2, 3, 512, 512)
    assert [part.bias is not None for part in model.mab] == [True, True, True, False]


@settings(max_examples=25)
@given(st.integers(35, 700), st.integers(35, 700))
def test_the_head_covers_images_of_any_size(height: int, width: int) -> None:
    with torch.device("meta"):
        model: Any = create_model("spa-mab", in_channels=1, num_classes=2, image_size=(height, width))
    assert model.logits_and_pixels(torch.zeros(2, 1, height, width, device="meta"))[1].shape == (2, 3, height, width)
