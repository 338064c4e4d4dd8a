"""The CAM family: definitions written out, identities of the papers, and values of captum and grad-cam."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explaining import Averaged, Net, random
from gradcam_network import TARGETS, Pooled
from gradcam_network import images as peer_images
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from miso_gen.errors import InputError, RecipeError, UnknownNameError
from miso_gen.explain.calling import explain, explainer_of, resting
from miso_gen.explain.channels import ChannelExplainer
from miso_gen.explain.interfaces import Subject
from miso_gen.explain.pooling import resized
from miso_gen.metrics.interfaces import MODEL_METRICS, Explained
from miso_gen.models import create_model

PEERS = json.loads((Path(__file__).parent / "fixtures" / "gradcam_values.json").read_text("utf-8"))
GRADIENT = ("gradcam", "gradcam++", "xgradcam", "hirescam", "layercam")
CHANNELS = (*GRADIENT, "ablationcam", "cam")


def given(count: int = 3, channels: int = 3) -> Tensor:
    return random(count, channels, 12, 10, seed=3) - 0.3


def subject(model: Any, images: Tensor, target: Tensor, batch: int = 64) -> Subject:
    return Subject(model, images, target, tuple(range(len(images))), None, batch)


def channel_maps(name: str, model: nn.Module, images: Tensor, target: Tensor, layer: str) -> Tensor:
    chosen = explainer_of(name)
    assert isinstance(chosen, ChannelExplainer)
    with resting(model):
        return chosen.channel_maps(subject(model, images, target), layer)


class Counting(nn.Module):
    """Keeps the sizes of the batches that a network is given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        return self.model(images)


# --- the package grad-cam ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PEERS["maps"]))
def test_maps_are_those_of_the_package(name: str) -> None:
    parameters = {"variant": "library"} if name == "scorecam" else {}
    found = explain(Pooled(), peer_images(), name, target=list(TARGETS), layer="second", scale="min-max", **parameters)
    torch.testing.assert_close(found, torch.tensor(PEERS["maps"][name]), rtol=0, atol=1e-5)


def test_joined_layers_are_those_of_the_package() -> None:
    found = explain(Pooled(), peer_images(), "gradcam", target=list(TARGETS), layer=["second", "third"])
    torch.testing.assert_close(found, torch.tensor(PEERS["joined"]), rtol=0, atol=1e-5)


def test_the_component_is_that_of_the_package_up_to_its_sign() -> None:
    found = explain(Pooled(), peer_images(), "eigencam", target=0, layer="second", relu=False)
    wanted = torch.tensor(PEERS["component"])
    signs = (found * wanted).sum((1, 2)).sign()[:, None, None]
    torch.testing.assert_close(found, signs * wanted, rtol=0, atol=1e-5)


# --- definitions, written out -----------------------------------------------------------------------------------------


def written_out(name: str, activation: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the map of one image, (h, w), from (K, h, w) each."""
    channels, rows, cols = activation.shape
    places = [(row, col) for row in range(rows) for col in range(cols)]
    found = np.zeros((rows, cols))
    for k in range(channels):
        a, g = activation[k], gradient[k]
        total = sum(a[p] for p in places)
        weight: Any
        if name == "gradcam":
            weight = sum(g[p] for p in places) / len(places)
        elif name == "gradcam++":
            shares = {p: g[p] ** 2 / (2 * g[p] ** 2 + g[p] ** 3 * total + 1e-6) if g[p] != 0 else 0.0 for p in places}
            weight = sum(shares[p] * max(g[p], 0.0) for p in places)
        elif name == "xgradcam":
            weight = sum(a[p] / (total + 1e-7) * g[p] for p in places)
        elif name == "hirescam":
            weight = g
        else:
            weight = np.maximum(g, 0.0)
        found += weight * a
    return found


@pytest.mark.parametrize("name", GRADIENT)
@pytest.mark.parametrize("relu", [True, False])
def test_gradient_maps_are_their_definition(name: str, relu: bool) -> None:
    model, images, target = Pooled().double(), given().double(), torch.tensor([1, 0, 2])
    activation = model.second(model.first(images)).detach().requires_grad_()
    features = model.third(activation)
    logits = model.head(torch.tanh(model.hidden(model.pool(features).flatten(1)) / 8))
    (gradient,) = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), activation)
    found = explain(model, images, name, target=target, layer="second", relu=relu)
    for k in range(3):
        wanted = written_out(name, activation[k].detach().numpy(), gradient[k].numpy())
        np.testing.assert_allclose(found[k], np.maximum(wanted, 0) if relu else wanted, rtol=2e-5, atol=1e-6)
    assert (found < 0).any() == (not relu and name in ("gradcam", "xgradcam", "hirescam"))


class Given(nn.Module):
    """A layer that gives what it was made with, and logits that are sums of it times weights."""

    def __init__(self, activation: Tensor, weights: Tensor) -> None:
        super().__init__()
        self.layer = nn.Identity()
        self.activation, self.weights = activation, weights

    def forward(self, images: Tensor) -> Tensor:
        found = (self.layer(self.activation + 0 * images.sum()) * self.weights).sum((1, 2, 3))
        return torch.stack([found, -found], 1)


def test_vectors() -> None:
    """Two channels of four places, worked out by hand."""
    activation = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [1.0, 0.0]]]])
    gradient = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]], [[2.0, -1.0], [0.0, -1.0]]]])
    wanted = {
        "gradcam": [[0.5, 1.0], [1.5, 2.0]],  # weights 1/2 and 0
        "xgradcam": [[0.5, 0.5], [1.0, 2.0]],  # weights (1 + 4) / 10 and -1 / 2
        "hirescam": [[1.0, -1.0], [0.0, 4.0]],
        "layercam": [[1.0, 0.0], [0.0, 4.0]],
        # weights 1 / (2 + 10) at each of two places, and 2 * 4 / (8 + 8 * 2) at one place
        "gradcam++": [[1 / 6, 2 / 6 + 1 / 3], [3 / 6 + 1 / 3, 4 / 6]],
    }
    for name, map in wanted.items():
        found = explain(Given(activation, gradient), torch.ones(1, 1, 2, 2), name, target=0, layer="layer", relu=False)
        torch.testing.assert_close(found, torch.tensor([map]), rtol=1e-5, atol=1e-6)


def test_nothing_is_divided_by_zero() -> None:
    """Denominators of Grad-CAM++ and XGrad-CAM that are, or pass, 0: negative activations, dead channels, no gradients."""
    activation = torch.tensor([[[[-2.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, -1.0], [0.0, 0.0]]]])
    gradient = torch.tensor([[[[1.0, -1.0], [0.5, 0.0]], [[1.0, 1.0], [-1.0, 1.0]], [[1.0, 2.0], [0.0, 0.0]]]])
    for name in GRADIENT:
        found = explain(Given(activation, gradient), torch.ones(1, 1, 2, 2), name, target=0, layer="layer", relu=False)
        assert found.isfinite().all()
        blank = explain(Given(activation, 0 * gradient), torch.ones(1, 1, 2, 2), name, target=0, layer="layer", relu=False)
        assert not blank.any()


# --- identities -------------------------------------------------------------------------------------------------------


def test_three_methods_agree_below_a_global_average_and_a_linear_layer() -> None:
    def maps(name: str, layer: str = "features.3") -> Tensor:
        return explain(Net(), given(), name, target=[0, 1, 2], layer=layer, relu=False, scale="min-max")

    for name in ("xgradcam", "hirescam", "cam"):
        torch.testing.assert_close(maps(name), maps("gradcam"), rtol=0, atol=2e-6)
    assert not torch.allclose(maps("layercam"), maps("gradcam"), atol=0.01)
    assert not torch.allclose(maps("gradcam++"), maps("gradcam"), atol=0.01)
    assert not torch.allclose(maps("hirescam", "features.1"), maps("gradcam", "features.1"), atol=0.01)


def small_cam(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return create_model({"type": "cam", "encoder": "resnet10t"}, in_channels=3, num_classes=4, image_size=64)


def test_grad_cam_ranks_like_cam_below_a_global_maximum() -> None:
    model, images = small_cam(), random(3, 3, 128, 160, seed=9)
    for target in range(4):
        found = explain(model, images, "gradcam", target=target, relu=False, size="own")
        wanted = explain(model, images, "cam", target=target, relu=False, size="own")
        assert found.shape == (3, 4, 5)
        assert torch.equal(found.flatten(1).argsort(1), wanted.flatten(1).argsort(1))
        with torch.no_grad():
            heat = model.eval().heatmap(images)[:, target]  # type: ignore[operator]
        assert torch.equal(found.flatten(1).argmax(1), heat.flatten(1).argmax(1))
        torch.testing.assert_close(20 * found, wanted, rtol=1e-4, atol=1e-5)  # the gradient is that of one place of 20


@pytest.mark.parametrize("layer", ["features.1", "features.3"])
@pytest.mark.parametrize("relu", [True, False])
def test_grad_cam_is_that_of_captum(layer: str, relu: bool) -> None:
    from captum.attr import LayerGradCam

    model, images, target = Net(), given(), torch.tensor([2, 1, 0])
    peer = LayerGradCam(model, dict(model.named_modules())[layer])
    wanted = peer.attribute(images, target=target, relu_attributions=relu)[:, 0].detach()
    found = explain(model, images, "gradcam", target=target, layer=layer, relu=relu, size="own")
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


# --- channels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHANNELS)
def test_channel_maps_add_up_to_the_map(name: str) -> None:
    model, images, target = Net(), given(), torch.tensor([0, 1, 2])
    found = channel_maps(name, model, images, target, "features.3")
    assert found.shape == (3, 8, 6, 5)
    whole = explain(model, images, name, target=target, relu=False, size="own")
    torch.testing.assert_close(found.sum(1), whole, rtol=1e-5, atol=1e-7)


class Unbiased(Net):
    """Without biases, the logit is the sum over places of gradient times activation of any layer."""

    def __init__(self) -> None:
        super().__init__()
        for one in self.modules():
            if isinstance(one, nn.Conv2d | nn.Linear) and one.bias is not None:
                nn.init.zeros_(one.bias)


@pytest.mark.parametrize(("name", "most"), [("hirescam", 1e-4), ("xgradcam", 1e-4), ("layercam", None)])
@pytest.mark.parametrize("layer", ["features.1", "features.3"])
def test_conservation_axiom(name: str, most: float | None, layer: str) -> None:
    model, images, target = Unbiased(), given(), torch.tensor([0, 1, 2])
    maps = channel_maps(name, model, images, target, layer)
    shown = Explained(model=model, images=images, maps=maps, target=target, layer=layer)
    score = MODEL_METRICS.get("conservation-axiom")().score(shown)
    assert (score > 0.01).all() if most is None else (score < most).all()


def test_sensitivity_axiom_of_grad_cam_below_a_linear_head() -> None:
    """What the class loses without a channel is what the channel adds: V mean(A)."""
    model, images, target = Averaged(), given(), torch.tensor([0, 1, 2])
    shown = Explained(model=model, images=images, maps=channel_maps("gradcam", model, images, target, "conv"), target=target)
    score = MODEL_METRICS.get("sensitivity-axiom")().score(replace(shown, layer="conv"))
    assert (score < 1e-4).all()


# --- CAM --------------------------------------------------------------------------------------------------------------


def test_cam_is_the_heat_map_without_its_bias() -> None:
    model, images = small_cam(1), random(2, 3, 64, 96, seed=1)
    for target in range(4):
        with torch.no_grad():
            wanted = model.eval().heatmap(images)[:, target] - model.head.bias[target]  # type: ignore[operator,union-attr,index]
        found = explain(model, images, "cam", target=target, relu=False, size="own")
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
        assert torch.equal(explain(model, images, "cam", target=target, size="own"), found.clamp(min=0))
        assert torch.equal(explain(model, images, "cam", target=target, size="own", head="head", relu=False), found)


@pytest.mark.parametrize("name", ["resnet34", "sk-resnext50"])
def test_cam_of_residual_networks(name: str) -> None:
    model = create_model(name, in_channels=1, num_classes=2, image_size=64)
    images = random(1, 1, 64, 64)
    found = explain(model, images, "cam", target=1, relu=False, size="own")
    with torch.no_grad():
        logit = model.eval()(images)[0, 1]
        bias = dict(model.named_parameters())["fc.0.bias" if name == "resnet34" else "fc.bias"]
        torch.testing.assert_close(found.mean() + bias[1], logit, rtol=1e-4, atol=1e-5)


class Heads(nn.Module):
    """Ways to end: which of them is read is said by a word."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())
        self.linear, self.conv = nn.Linear(6, 3), nn.Conv2d(6, 3, 1)
        self.more, self.wide = nn.Linear(3, 3), nn.Linear(24, 3)
        with torch.no_grad():
            for salt, one in enumerate(self.parameters()):
                one.copy_(random(*one.shape, seed=salt) - 0.4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        mean, most = features.mean((2, 3)), features.amax((2, 3))
        if self.way == "mean, convolution":
            return self.conv(mean[:, :, None, None]).flatten(1)
        ways = {
            "mean, linear": lambda: self.linear(mean),
            "maximum, linear": lambda: self.linear(most),
            "convolution, mean": lambda: self.conv(features).mean((2, 3)),
            "convolution, maximum": lambda: self.conv(features).amax((2, 3)),
            "two linear": lambda: self.more(self.linear(mean)),
            "scaled": lambda: self.linear(mean) * 2,
            "convolution, sum": lambda: self.conv(features).sum((2, 3)),
            "quarters": lambda: self.wide(F.adaptive_avg_pool2d(features, 2).flatten(1)),
        }
        return ways[self.way]()


@pytest.mark.parametrize(
    "way", ["mean, linear", "maximum, linear", "mean, convolution", "convolution, mean", "convolution, maximum"]
)
def test_cam_of_networks_of_ones_own(way: str) -> None:
    model, images, target = Heads(way), given(), torch.tensor([0, 1, 2])
    head: Any = model.conv if "convolution" in way else model.linear
    with torch.no_grad():
        wanted = torch.einsum("bk,bkhw->bhw", head.weight.flatten(1)[target], model.features(images))
    found = explain(model, images, "cam", target=target, layer="features", relu=False, size="own")
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("way", ["two linear", "scaled", "convolution, sum", "quarters"])
def test_cam_refuses_other_networks(way: str) -> None:
    with pytest.raises(InputError, match=r"model must pool 'features' .* choose gradcam"):
        explain(Heads(way), given(), "cam", target=0, layer="features")


def test_cam_refuses_alexnet_and_what_is_no_head() -> None:
    alexnet = create_model("alexnet", in_channels=1, num_classes=2, image_size=63)
    with pytest.raises(InputError, match=r"got 'classifier\.6' that does not do so"):
        explain(alexnet, random(1, 1, 63, 63), "cam", target=0)
    with pytest.raises(UnknownNameError, match="clasifier"):
        explain(Net(), given(), "cam", target=0, head="clasifier")
    with pytest.raises(InputError, match="head must be a linear layer or a 1 x 1 convolution for cam, got 'pool'"):
        explain(Net(), given(), "cam", target=0, head="pool")
    with pytest.raises(InputError, match=r"head must be .*, got none"):
        explain(nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), given(), "cam", target=0, layer="0")
    with pytest.raises(InputError, match=r"layer and head must be computed .* got 'more'"):
        explain(Heads("mean, linear"), given(), "cam", target=0, layer="features", head="more")
    with pytest.raises(InputError, match=r"model must pool 'features\.1'"):
        explain(Net(), given(), "cam", target=0, layer="features.1")
    with pytest.raises(InputError, match="layer must be one for cam, got 'all', 2 of them"):
        explain(Net(), given(), "cam", target=0, layer="all")


# --- Score-CAM --------------------------------------------------------------------------------------------------------


def scored_out(model: nn.Module, image: Tensor, target: int, activation: Tensor, fill: float | None) -> Tensor:
    """Return the Score-CAM of one image, (h, w); ``fill`` None: the variant of the library."""
    scores = []
    with torch.no_grad():
        for one in activation:
            large = F.interpolate(one[None, None], size=image.shape[-2:], mode="bilinear", align_corners=fill is None)[0, 0]
            same = bool(one.max() == one.min())
            mask = torch.zeros_like(large) if same else (large - large.min()) / (large.max() - large.min())
            scores.append(model((image * mask)[None])[0, target])
        weights = torch.stack(scores)
        if fill is None:
            weights = weights.softmax(0)
        else:
            weights = weights - model(torch.full_like(image, fill)[None])[0, target]
            weights[activation.flatten(1).amax(1) == activation.flatten(1).amin(1)] = 0
    return (weights[:, None, None] * activation).sum(0)


@pytest.mark.parametrize("fill", [0.0, 0.25, None])
@pytest.mark.parametrize("batch", [64, 5])
def test_score_cam_is_its_definition(fill: float | None, batch: int) -> None:
    model, images, target = Net(), given(), [0, 1, 2]
    with torch.no_grad():
        model.features[2].weight[3] = 0  # a channel that is the same everywhere
        model.features[2].bias[3] = 0.7
        activation = model.features(images)
    parameters = {"variant": "library"} if fill is None else {"baseline": {"type": "value", "value": fill}}
    counting = Counting(model)
    found = explain(
        counting, images, "scorecam", target=target, layer="model.features.3", relu=False, size="own", batch=batch, **parameters
    )
    assert max(counting.sizes) <= max(batch, 3)
    for k in range(3):
        wanted = scored_out(model, images[k], target[k], activation[k], fill)
        torch.testing.assert_close(found[k], wanted, rtol=1e-4, atol=1e-5)


# --- Ablation-CAM -----------------------------------------------------------------------------------------------------


class Stacking(Net):
    """Stacks features with the image's own mean, so that one image can't become many on the way."""

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        beside = images.mean(1, keepdim=True)[..., : features.shape[2], : features.shape[3]]
        return self.classifier(torch.cat([beside, features[:, 1:]], 1).mean((2, 3)))


class Adding(Net):
    """Adds and multiplies what was computed before the layer."""

    def forward(self, images: Tensor) -> Tensor:
        early = self.features[:2](images)
        features = self.features[2:](early)
        gate = early.mean((1, 2, 3))[:, None, None, None].sigmoid()
        return self.classifier((features * gate + early.mean(1, keepdim=True)[..., ::2, ::2]).mean((2, 3)))


@pytest.mark.parametrize("kind", [Net, Stacking, Adding])
@pytest.mark.parametrize("batch", [64, 3])
def test_ablation_cam_is_its_definition(kind: type[Net], batch: int) -> None:
    model, images, target = kind(), given(), [0, 1, 2]
    counting = Counting(model)
    found = explain(counting, images, "ablationcam", target=target, layer="model.features.3", relu=False, size="own", batch=batch)
    assert max(counting.sizes[1:]) <= batch
    assert (max(counting.sizes[-2:]) == 1) == (kind is not Stacking)
    with torch.no_grad():
        whole, activation = model(images), model.features(images)
        for k in range(3):
            wanted = torch.zeros(activation.shape[-2:])
            for channel in range(8):
                handle = model.features[3].register_forward_hook(
                    lambda _m, _i, out, c=channel: out * (torch.arange(8) != c)[:, None, None]
                )
                without = model(images[k : k + 1])[0, target[k]]
                handle.remove()
                score = whole[k, target[k]]
                wanted += (score - without) / score * activation[k, channel]
            torch.testing.assert_close(found[k], wanted, rtol=1e-4, atol=1e-5)


class Twice(Net):
    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.pool(self.features[3](self.features(images) - 0.1)).flatten(1))


def test_ablation_cam_where_a_layer_comes_twice_or_the_score_is_zero() -> None:
    with pytest.raises(InputError, match=r"layer must be computed once by the model, got 'features\.3', computed 2 times"):
        explain(Twice(), given(), "ablationcam", target=0)
    model = Net(zero="head")
    with torch.no_grad():
        model.classifier.bias.zero_()
    assert not explain(model, given(), "ablationcam", target=0, relu=False).any()


# --- Eigen-CAM --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("layer", ["features.1", "features.3"])
@pytest.mark.parametrize("rows", [2, 12])  # fewer places than channels, and more
def test_eigen_cam_is_the_first_component(centered: bool, layer: str, rows: int) -> None:
    model, images = Net(), random(3, 3, rows, 6, seed=5)
    with torch.no_grad():
        features = model.features[: 2 if layer == "features.1" else 4](images).double()
    found = explain(model, images, "eigencam", target=0, layer=layer, relu=False, size="own", centered=centered)
    for k in range(3):
        places = features[k].flatten(1).T.numpy()
        if centered:
            places = places - places.mean(0)
        direction = np.linalg.svd(places, full_matrices=False)[2][0]
        wanted = places @ direction * np.sign(direction.sum())
        np.testing.assert_allclose(found[k].flatten(), wanted, rtol=1e-4, atol=1e-5)


def test_the_sign_of_the_component() -> None:
    """The map rises with the sum of the channels; where they cancel, with the channel that matters most."""
    place = torch.arange(4.0).reshape(1, 1, 2, 2)
    for channels, rises in (
        ((1.0, -0.5), True),
        ((-1.0, 0.5), False),
        ((2.0, -1.0, -1.0), True),
        ((-1.0, 2.0, -1.0), True),
        ((1.0, -2.0, 1.0), False),
    ):
        activation = torch.cat([value * place for value in channels], 1)
        found = explain(Given(activation, activation), torch.ones(1, 1, 2, 2), "eigencam", target=0, layer="layer", relu=False)
        assert bool(found[0, 1, 1] > found[0, 0, 0]) == rises
    flat = torch.full((1, 3, 2, 2), 0.5)
    assert not explain(Given(flat, flat), torch.ones(1, 1, 2, 2), "eigencam", target=0, layer="layer").any()


# --- layers and parameters --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*GRADIENT, "scorecam", "ablationcam", "eigencam"])
@pytest.mark.parametrize("join", ["mean", "max"])
def test_layers_are_joined(name: str, join: str) -> None:
    model, images, target = Net(), given(), [0, 1, 2]
    found = explain(model, images, name, target=target, layer=[0, "features.3"], join=join)
    parts = []
    for layer in ("features.1", "features.3"):
        one = explain(model, images, name, target=target, layer=layer, size="own", scale="min-max")
        parts.append(resized(one, images.shape[-2:]))
    wanted = torch.stack(parts).mean(0) if join == "mean" else torch.stack(parts).amax(0)
    least, most = (getattr(wanted.flatten(1), way)(1)[:, None, None] for way in ("amin", "amax"))
    torch.testing.assert_close(found, (wanted - least) / (most - least).where(most > least, 1.0), rtol=1e-4, atol=1e-5)


def test_signs_are_declared() -> None:
    for name in CHANNELS:
        assert not explainer_of(name).is_signed
        assert explainer_of(name, {"relu": False}).is_signed
        assert not explainer_of(name, {"relu": False, "scale": "min-max"}).is_signed
    assert not explainer_of("eigencam", {"relu": False}).is_signed


def test_parameters_are_checked() -> None:
    with pytest.raises(RecipeError, match="variant"):
        explainer_of("scorecam", {"variant": "paper-and-library"})
    with pytest.raises(InputError, match=r"model must be a torch\.nn\.Module for cam"):
        explain(lambda images: images.mean((2, 3)), given(), "cam", target=0)
