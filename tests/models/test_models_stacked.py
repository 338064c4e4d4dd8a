"""AlexNet and the VGGs: against torchvision, and against their layers one by one."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
import torch
import torchvision.models
from torch import Tensor, nn
from torch.nn import functional

from miso_gen.errors import InputError
from miso_gen.models import create_model, offer_of
from miso_gen.models.networks.vgg16 import BLOCKS
from miso_gen.models.networks.vgg19 import STANDARD
from miso_gen.models.parts import convolutions

FORM = {"type": "vgg19", "form": "standard"}


def on_meta(model: Any, size: int, classes: int = 5) -> nn.Module:
    with torch.device("meta"):
        return create_model(model, in_channels=3, num_classes=classes, image_size=size)


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def outside(name: str, classes: int = 5) -> nn.Module:
    with torch.device("meta"):
        return torchvision.models.get_model(name, weights=None, num_classes=classes, init_weights=False)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_standard_form_is_that_of_torchvision() -> None:
    assert shapes(on_meta(FORM, 224)) == shapes(outside("vgg19"))


@pytest.mark.parametrize(("name", "blocks"), [("vgg19", STANDARD), ("vgg16", BLOCKS)])
def test_convolutions_give_what_those_of_torchvision_give(name: str, blocks: Any) -> None:
    torch.manual_seed(1)
    ours, theirs = convolutions(3, blocks), outside(name).get_submodule("features")
    theirs.load_state_dict(ours.state_dict(), assign=True)
    images = noise(2, 3, 32, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_features_of_alexnet_are_those_of_torchvision() -> None:
    torch.manual_seed(1)
    ours = create_model("alexnet", in_channels=3, num_classes=5, image_size=63).get_submodule("features")
    with torch.device("meta"):
        theirs = torchvision.models.alexnet(weights=None).features
    theirs.load_state_dict(ours.state_dict(), assign=True)
    images = noise(2, 3, 63, 80)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize("size", [32, 64])
def test_the_wide_form_layer_by_layer(size: int) -> None:
    torch.manual_seed(2)
    model = create_model("vgg19", in_channels=1, num_classes=2, image_size=size).eval()
    weights = list(model.parameters())
    values = images = noise(2, 1, size, size)
    widths = [128, 128, 0, 256, 256, 0, *[256] * 4, 0, *[512] * 4, 0, *[512] * 4, 0]
    for width in widths:
        if width:
            weight, bias = weights.pop(0), weights.pop(0)
            assert weight.shape == (width, values.shape[1], 3, 3)
            values = functional.conv2d(values, weight, bias, padding=1).clamp(min=0)
        else:
            values = torch.stack([values[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]).amax(0)
    values = values.reshape(2, -1)
    for last in (False, False, True):
        values = values @ weights.pop(0).T + weights.pop(0)
        values = values if last else values.clamp(min=0)
    assert not weights
    with torch.no_grad():
        torch.testing.assert_close(model(images), values, rtol=1e-4, atol=1e-6)


def test_the_wide_form_takes_its_own_size_alone() -> None:
    model = create_model("vgg19", in_channels=1, num_classes=2, image_size=(32, 64))
    with pytest.raises(InputError, match=r"images must have the size that the model was built for, \(32, 64\), got 64\. Build"):
        model(noise(2, 1, 64, 64))


def test_the_start_of_the_standard_form() -> None:
    """Convolutions N(0, 2 / (9 channels out)), linear layers N(0, 0.01), biases 0."""
    torch.manual_seed(3)
    model = create_model(FORM, in_channels=1, num_classes=40, image_size=32)
    for name, one in model.named_parameters():
        if name.endswith("bias"):
            assert not one.any()
        else:
            spread = sqrt(2 / (9 * one.shape[0])) if one.ndim == 4 else 0.01
            some = one.detach().flatten()[:200_000].double()
            assert float(some.std(correction=0)) == pytest.approx(spread, rel=4 / sqrt(2 * len(some)))
            assert abs(float(some.mean())) < 4 * spread / sqrt(len(some))


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("alexnet", ["Dropout", "Linear", "LeakyReLU", "Dropout", "Linear", "LeakyReLU", "Linear"]),
        ("vgg16", ["Dropout", "Linear", "LeakyReLU", "Dropout", "Linear", "LeakyReLU"]),
    ],
)
def test_altered_classifiers(name: str, layers: list[str]) -> None:
    model = on_meta(name, 224, 10)
    parts = list(model.get_submodule("classifier").children())
    assert [type(part).__name__ for part in parts] == layers
    assert all(part.negative_slope == 0.01 for part in parts if isinstance(part, nn.LeakyReLU))
    assert all(part.p == 0.5 for part in parts if isinstance(part, nn.Dropout))
    wide = {"alexnet": [(4096, 9216), (4096, 4096), (10, 4096)], "vgg16": [(4096, 25088), (10, 4096)]}[name]
    assert [tuple(part.weight.shape) for part in parts if isinstance(part, nn.Linear)] == wide


def test_feature_layers_are_the_last_activations_before_pooling() -> None:
    for model in (FORM, "vgg19", "vgg16"):
        built = on_meta(model, 32)
        features = list(built.get_submodule("features").children())
        ends = [number - 1 for number, part in enumerate(features) if isinstance(part, nn.MaxPool2d)]
        assert offer_of(built).feature_layers == tuple(f"features.{end}" for end in ends)
        assert all(isinstance(features[end], nn.ReLU) for end in ends)
