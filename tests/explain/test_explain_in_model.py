"""Maps that networks make themselves."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from explaining import Net, OneMap, random
from torch import Tensor

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.explain.calling import explain, explained
from miso_gen.models import create_model
from miso_gen.models.interfaces import MODELS

IMAGES = random(2, 3, 12, 16, seed=3)
GOALS = torch.tensor([2, 0])


def own(name: str, model: Any = None, images: Tensor = IMAGES, **given: Any) -> Tensor:
    return explain(Net() if model is None else model, images, name, target=given.pop("target", GOALS), size="own", **given)


# --- attention ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name"), [(None, "second"), ("first", "first"), (0, "first"), (-1, "second"), (-2, "first"), (1, "second")]
)
def test_attention_is_the_map_that_is_asked_for(module: Any, name: str) -> None:
    with torch.no_grad():
        assert torch.equal(own("attention", module=module), Net().attention(IMAGES)[name])


def test_attention_raw_soft_and_absolute() -> None:
    raw = own("attention")
    assert (raw < 0).any()
    assert torch.equal(own("attention", absolute=True), raw.abs())
    soft = own("attention", softmax=True)
    for one, other in zip(soft, raw, strict=True):
        total = sum(math.exp(value) for value in other.flatten().tolist())
        assert one.flatten().tolist() == pytest.approx([math.exp(value) / total for value in other.flatten().tolist()], rel=1e-4)
    assert torch.allclose(soft.sum((1, 2)), torch.ones(2))


def test_attention_of_vgg_att_is_the_second_map() -> None:
    torch.manual_seed(0)
    net = create_model("vgg-att", in_channels=1, num_classes=2, image_size=32).eval()
    images = random(1, 1, 32, 32)
    with torch.no_grad():
        every = net.attention(images)
    assert torch.equal(own("attention", net, images, target=1), every["attention2"])
    assert torch.equal(own("attention", net, images, target=0, module="attention3"), every["attention3"])
    assert explain(net, images, "attention").shape == (1, 32, 32)


def test_attention_that_is_not_there() -> None:
    with pytest.raises(UnknownNameError, match="attention map must be one of first, second, got 'third'"):
        own("attention", module="third")
    with pytest.raises(InputError, match="module must be from -2 to 1, got 2"):
        own("attention", module=2)
    with pytest.raises(InputError, match="model must have attention of its own for attention, got Sequential"):
        own("attention", torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 12 * 16, 3)))
    net = Net()
    net.attention = lambda images: {}  # type: ignore[method-assign]
    with pytest.raises(InputError, match="attention must be at least one map"):
        own("attention", net)
    net.attention = lambda images: {"patches": images[:, 0, 0]}  # type: ignore[method-assign]  # as of a bag
    with pytest.raises(InputError, match=r"attention must be maps \(2, h, w\), got \(2, 16\)"):
        own("attention", net)


# --- heat maps ----------------------------------------------------------------------------------------------------------


def test_heatmap_is_that_of_the_class() -> None:
    with torch.no_grad():
        every = Net().heatmap(IMAGES)
    assert torch.equal(own("heatmap"), every[[0, 1], GOALS])
    assert explained(Net(), IMAGES, "heatmap").signed


def test_one_heatmap_serves_every_class() -> None:
    with torch.no_grad():
        wanted = OneMap().heatmap(IMAGES)[:, 0]
    for target in range(3):
        assert torch.equal(own("heatmap", OneMap(), target=target), wanted)


def test_heatmap_of_spa_mab_is_its_head() -> None:
    """0.4 where the likeliest label is object, 0.9 where it is evidence."""
    torch.manual_seed(3)
    net = create_model("spa-mab", in_channels=3, num_classes=4, image_size=64).eval()
    images = random(2, 3, 64, 64, seed=9)
    found = own("heatmap", net, images, target=3)
    with torch.no_grad():
        labels = net.logits_and_pixels(images)[1].argmax(1)
    assert torch.allclose(found, 0.4 * (labels == 1) + 0.9 * (labels == 2))
    assert len(found.unique()) > 1


@pytest.mark.parametrize("name", ["cam", "li2018"])
def test_heatmap_of_networks_that_pool_one(name: str) -> None:
    torch.manual_seed(0)
    given = {"encoder": "resnet10t"} if "encoder" in MODELS.get(name).model_fields else {}
    net = create_model({"type": name, **given}, in_channels=3, num_classes=3, image_size=64).eval()
    images = random(2, 3, 64, 64)
    with torch.no_grad():
        every = net.heatmap(images)
    assert torch.equal(own("heatmap", net, images), every[[0, 1], GOALS])
    assert explain(net, images, "heatmap").shape == (2, 64, 64)


def test_heatmaps_that_are_wrong() -> None:
    net = Net()
    for wrong in (lambda images: images[:, 0], lambda images: images[:1], lambda images: images[:, :0]):
        net.heatmap = wrong  # type: ignore[method-assign]
        with pytest.raises(InputError, match=r"heatmap must be \(2, maps, h, w\), got"):
            own("heatmap", net)
    net.heatmap = lambda images: images[:, :2]  # type: ignore[method-assign]
    with pytest.raises(InputError, match="heatmap must have a map for class 2, or one, got 2 maps"):
        own("heatmap", net)
