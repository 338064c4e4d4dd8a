"""The call from a network and images to maps: what it takes, what it refuses, and what it leaves as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.explain import explain, explained, explaining

IMAGES = torch.rand(3, 2, 12, 10, generator=torch.Generator().manual_seed(1))


def network() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


def test_arrays_tensors_and_number_formats_give_the_same_maps() -> None:
    model = network()
    expected = explain(model, IMAGES, "saliency", target=1)
    assert expected.shape == (3, 12, 10)
    assert expected.dtype == torch.float32
    for given in (IMAGES.numpy(), IMAGES.numpy().astype(np.float64), IMAGES.double()):
        torch.testing.assert_close(explain(model, given, "saliency", target=1), expected)
    torch.testing.assert_close(explain(model, IMAGES[0], "saliency", target=1), expected[:1])
    with torch.inference_mode():
        frozen = IMAGES.clone()
    torch.testing.assert_close(explain(model, frozen, "saliency", target=1), expected)


def test_the_class_is_the_one_predicted_unless_it_is_said() -> None:
    model = network()
    found = explained(model, IMAGES, "saliency")
    assert found.target.tolist() == model(IMAGES).argmax(1).tolist()
    each = explain(model, IMAGES, "saliency", target=[0, 1, 2])
    for number in range(3):
        torch.testing.assert_close(each[number : number + 1], explain(model, IMAGES[number], "saliency", target=number))
    assert explained(model, IMAGES[:0], "saliency").maps.shape == (0, 12, 10)


def test_maps_of_layers_keep_their_size_if_asked() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    assert explain(model, IMAGES, "gradcam", layer="1", size="own").shape == (3, 5, 4)
    assert explain(model, IMAGES, "gradcam", layer="1").shape == (3, 12, 10)


def test_blank_and_constant_maps_are_flagged() -> None:
    still = nn.Sequential(nn.Flatten(), nn.Linear(240, 2))
    with torch.no_grad():
        still[1].weight.zero_()
    found = explained(still, IMAGES, "saliency", scale="max")
    assert found.blank.all()
    assert found.constant.all()
    assert (found.maps == 0).all()
    assert explained(network(), IMAGES, "constant").constant.all()
    assert not explained(network(), IMAGES, "constant").blank.any()


def test_a_function_for_scores_makes_the_same_maps() -> None:
    model, target = network().eval(), torch.tensor([0, 1, 2])
    torch.testing.assert_close(explaining("saliency")(model, IMAGES, target), explain(model, IMAGES, "saliency", target=target))


def no_relu() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


class ChannelsLast(nn.Module):
    """A layer (B, h, w, channels)."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Identity()
        self.head = nn.Linear(64, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        wide = images.mean(1)[..., None].expand(-1, -1, -1, 64)
        return self.head(self.inner(wide).mean((1, 2)))


@pytest.mark.parametrize(
    ("model", "images", "options", "error", "said"),
    [
        (None, IMAGES, {}, InputError, "model must be a network"),
        ("resnet18", IMAGES, {}, InputError, "got str"),
        (lambda images: {"logits": images}, IMAGES, {}, InputError, "must return logits .* got dict"),
        (lambda images: images, IMAGES, {}, InputError, r"must return logits .* got \(3, 2, 12, 10\)"),
        (network(), (IMAGES * 255).to(torch.uint8), {}, InputError, "Divide uint8 by 255"),
        (network(), IMAGES * torch.nan, {}, InputError, "images must be finite"),
        (network(), "a.png", {}, InputError, "images must be"),
        (network(), IMAGES[0, 0], {}, InputError, r"\(B, C, H, W\)"),
        (network(), IMAGES, {"target": "1"}, InputError, "target must be a whole number"),
        (network(), IMAGES, {"target": 3}, InputError, "from 0 to 2"),
        (network(), IMAGES, {"target": [0, 1]}, InputError, "3 of them, got 2"),
        (network(), IMAGES, {"target": 0.5}, InputError, "whole number"),
        (network(), IMAGES, {"size": "big"}, InputError, "size must be"),
        (network(), IMAGES, {"explainer": "salency"}, UnknownNameError, "Did you mean 'saliency'"),
        (network(), IMAGES, {"explainer": "gradcam"}, InputError, "Name one, such as '0'"),
        (network(), IMAGES, {"explainer": "gradcam", "layer": "9"}, UnknownNameError, "layer"),
        (network(), IMAGES, {"explainer": "gradcam", "layer": ["1", "1"]}, InputError, "different"),
        (network(), IMAGES, {"explainer": "oracle"}, InputError, "truth must be there"),
        (network(), IMAGES, {"explainer": "attention"}, InputError, "attention of its own"),
        (network(), IMAGES, {"truth": np.zeros((3, 5, 5))}, InputError, "size of the images"),
        (network(), IMAGES, {"explainer": {"type": "saliency"}, "absolute": False}, InputError, "within the explainer"),
        (no_relu(), IMAGES, {"explainer": "guided-backprop"}, InputError, "ReLU modules .* got Gelu"),
        (ChannelsLast(), IMAGES, {"explainer": "gradcam", "layer": "inner"}, InputError, "Channels may come last"),
    ],
)
def test_what_can_not_be_is_refused(model: Any, images: Any, options: dict[str, Any], error: type[Exception], said: str) -> None:
    given = {"explainer": "saliency", **options}
    with pytest.raises(error, match=said):
        explain(model, images, given.pop("explainer"), **given)
