"""Explainers of gradients: against Captum called directly, and against what their papers say, written down slowly."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from captum.attr._core import gradient_shap
from explaining import Net, random
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own habit

from miso_gen.errors import InputError, RecipeError
from miso_gen.explain.calling import explain, explained, explainer_of, resting
from miso_gen.explain.drawing import generators, normals, uniforms
from miso_gen.explain.interfaces import PixelExplainer, Subject
from miso_gen.explain.multipliers import deeplift
from miso_gen.explain.rewiring import rewired
from miso_gen.models import create_model
from miso_gen.models.heatmaps import GlobalMax


class Same(nn.Module):
    """An operation that changes nothing."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps * 1


class Deep(nn.Module):
    """Residual and pooled, with modules of its own for every ReLU; two classes.

    A step stands between ReLU and maximum: without one, Captum 0.9 forgets its rule for the maximum, as both hook one tensor.
    """

    def __init__(self, inplace: bool = False, between: bool = True) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace), nn.MaxPool2d(2))
        if between:
            self.stem.insert(3, Same())
        self.branch = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(inplace), nn.Conv2d(6, 6, 3, padding=1))
        self.end = nn.ReLU(inplace)
        self.hidden = nn.Linear(6 * 16, 10)
        self.last = nn.ReLU(inplace)
        self.head = nn.Linear(10, 2)
        with torch.no_grad():
            for number, one in enumerate(self.parameters()):
                one.copy_(random(*one.shape, seed=number) - 0.48)
            self.stem[1].weight.fill_(1.3)
            self.stem[1].running_mean.copy_(random(6, seed=30))
            self.stem[1].running_var.copy_(random(6, seed=31) + 0.5)
        self.double()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        stem = self.stem(images)
        deep = self.end(stem + self.branch(stem))
        return self.head(self.last(self.hidden(F.adaptive_avg_pool2d(deep, 4).flatten(1))))


IMAGES = random(4, 3, 16, 24, seed=77, dtype=torch.float64)
GOALS = torch.tensor([1, 0, 0, 1])


SEEDS = (1, 2, 3, 4)


def relevance(name: str, model: Any = None, images: Tensor = IMAGES, **given: Any) -> Tensor:
    chosen = explainer_of(name, given)
    assert isinstance(chosen, PixelExplainer)
    with resting(model := Deep() if model is None else model):
        return chosen.relevance(Subject(model, images, GOALS[: len(images)], SEEDS[: len(images)]))


def by_captum(method: Any, **given: Any) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it sets hooks
        return method.attribute(IMAGES.clone().requires_grad_(), target=GOALS, **given).detach()


CAPTUM: list[tuple[str, dict[str, Any], Callable[[Deep], Tensor]]] = [
    ("saliency", {}, lambda net: by_captum(captum.attr.Saliency(net))),
    ("saliency", {"absolute": False}, lambda net: by_captum(captum.attr.Saliency(net), abs=False)),
    ("input-x-gradient", {}, lambda net: by_captum(captum.attr.InputXGradient(net))),
    ("integrated-gradients", {}, lambda net: by_captum(captum.attr.IntegratedGradients(net), n_steps=50)),
    (
        "integrated-gradients",
        {"n_steps": 7, "baseline": 0.3},
        lambda net: by_captum(captum.attr.IntegratedGradients(net), n_steps=7, baselines=0.3),
    ),
    ("guided-backprop", {}, lambda net: by_captum(captum.attr.GuidedBackprop(net))),
    ("deconvolution", {}, lambda net: by_captum(captum.attr.Deconvolution(net))),
    ("deeplift", {}, lambda net: by_captum(captum.attr.DeepLift(net))),
    ("deeplift", {"baseline": 0.4}, lambda net: by_captum(captum.attr.DeepLift(net), baselines=0.4)),
    (
        "guided-gradcam",
        {"layer": "stem.0", "resize": "nearest"},
        lambda net: by_captum(captum.attr.GuidedGradCam(net, net.stem[0])),
    ),
    (
        "guided-gradcam",
        {"layer": "branch.2"},
        lambda net: by_captum(captum.attr.GuidedGradCam(net, net.branch[2]), interpolate_mode="bilinear"),
    ),
]


@pytest.mark.parametrize(("name", "given", "wanted"), CAPTUM)
@pytest.mark.parametrize("inplace", [False, True])
def test_captum_finds_the_same(name: str, given: dict[str, Any], wanted: Callable[[Deep], Tensor], inplace: bool) -> None:
    found, other = relevance(name, Deep(inplace), **given), wanted(Deep())
    assert other.abs().max() > 1e-4
    assert torch.allclose(found, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))


# --- paths and noise ----------------------------------------------------------------------------------------------------


def gradient(net: nn.Module, images: Tensor) -> Tensor:
    images = images.clone().requires_grad_()
    (found,) = torch.autograd.grad(net(images).gather(1, GOALS[: len(images), None]).sum(), images)
    return found


def change(net: nn.Module, baselines: Tensor) -> Tensor:
    with torch.no_grad():
        return (net(IMAGES) - net(baselines)).gather(1, GOALS[:, None])[:, 0]


def test_integrated_gradients_add_up() -> None:
    found, wanted = relevance("integrated-gradients", n_steps=400, baseline=0.2), change(Deep(), torch.full_like(IMAGES, 0.2))
    assert torch.allclose(found.sum((1, 2, 3)), wanted, rtol=0, atol=0.02 * float(wanted.abs().max()))


def test_smoothgrad_is_a_mean_of_gradients() -> None:
    net, images = Deep(), IMAGES * torch.tensor([1.0, 0.5, 2.0, 0.0])[:, None, None, None]
    for absolute in (False, True):
        found = relevance("smoothgrad", images=images, noise=0.3, samples=6, absolute=absolute)
        for k in range(4):
            (drawing,) = generators([k + 1], "smoothgrad")
            spread = 0.3 * float(images[k].max() - images[k].min())
            total = torch.zeros_like(images[k])
            for _ in range(6):
                noisy = images[k] + spread * torch.randn(3, 16, 24, generator=drawing).double()
                noisy = noisy[None].clone().requires_grad_()
                (one,) = torch.autograd.grad(net(noisy)[0, GOALS[k]], noisy)
                total += one[0] / 6
            assert torch.allclose(found[k], total.abs() if absolute else total, rtol=1e-5, atol=1e-9)


def test_smoothgrad_without_noise_is_saliency() -> None:
    assert torch.allclose(relevance("smoothgrad", noise=0, samples=2), relevance("saliency"))


def test_gradient_shap_is_a_mean_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Captum is given our draws, one image and one sample at a time."""
    found = relevance("gradient-shap", std=0.5, baselines=3, samples=4)
    net = Deep()
    for k in range(4):
        image = IMAGES[k : k + 1]
        drawing = generators([k + 1], "gradient-shap")
        baselines = [0.5 * normals(drawing, image) for _ in range(3)]
        total = torch.zeros_like(image)
        for _ in range(4):
            baseline = baselines[int(3 * float(uniforms(drawing, image)))]
            share = float(uniforms(drawing, image))
            monkeypatch.setattr(gradient_shap.np.random, "uniform", lambda low, high, size, share=share: np.full(size, share))
            method = gradient_shap.InputBaselineXGradient(net)
            total += method.attribute(image.clone().requires_grad_(), baselines=baseline, target=int(GOALS[k])).detach() / 4
        assert torch.allclose(found[k : k + 1], total, rtol=1e-5, atol=1e-9)


def test_deeplift_shap_is_a_mean_over_baselines() -> None:
    found, net = relevance("deeplift-shap", std=0.4, baselines=3), Deep()
    for k in range(4):
        image, drawing = IMAGES[k : k + 1], generators([k + 1], "deeplift-shap")
        baselines = torch.cat([0.4 * normals(drawing, image) for _ in range(3)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            wanted = captum.attr.DeepLiftShap(net).attribute(image.clone().requires_grad_(), baselines, target=int(GOALS[k]))
        assert torch.allclose(found[k], wanted[0].detach(), rtol=1e-5, atol=1e-7)


def test_draws_have_the_numbers_asked_for() -> None:
    """Tjoa & Guan: 4 baselines of N(0, 1) times 0.001."""
    for name in ("gradient-shap", "deeplift-shap"):
        spec = explainer_of(name).to_spec()
        assert (spec["baselines"], spec["std"]) == (4, 0.001)
    drawing = generators([5], "any")
    found = torch.cat([normals(drawing, torch.zeros(1, 1, 64, 64)) for _ in range(4)])
    assert abs(float(found.mean())) < 0.03
    assert abs(float(found.std()) - 1) < 0.03
    assert not torch.equal(found[0], found[1])
    shares = torch.cat([uniforms(drawing, torch.zeros(1, 1)) for _ in range(500)])
    assert ((shares >= 0) & (shares < 1)).all()
    assert abs(float(shares.mean()) - 0.5) < 0.05


# --- DeepLift -----------------------------------------------------------------------------------------------------------


class Overlapping(nn.Module):
    """Maxima over windows that share places, activations that are no ReLU, the greatest value of each map."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 5, 3), activation, nn.MaxPool2d(3, 2), nn.Conv2d(5, 2, 3), GlobalMax())
        with torch.no_grad():
            for number, one in enumerate(self.parameters()):
                one.copy_(random(*one.shape, seed=60 + number) - 0.45)
        self.double()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.LeakyReLU(0.2, inplace=True), nn.ELU(), nn.GELU(), nn.Sigmoid(), nn.SiLU()])
def test_deeplift_adds_up(activation: nn.Module) -> None:
    net = Overlapping(activation)
    found = relevance("deeplift", net, baseline=0.35)
    assert torch.allclose(found.sum((1, 2, 3)), change(net, torch.full_like(IMAGES, 0.35)), rtol=1e-6)


@pytest.mark.parametrize("between", [False, True])
def test_deeplift_adds_up_from_any_baseline(between: bool) -> None:
    net, baselines = Deep(between=between), random(4, 3, 16, 24, seed=12, dtype=torch.float64)
    with resting(net):
        found = deeplift(net, IMAGES, baselines, GOALS, 64, "deeplift")
        assert torch.allclose(deeplift(net, IMAGES, baselines, GOALS, 3, "deeplift"), found)
    assert torch.allclose(found.sum((1, 2, 3)), change(net, baselines), rtol=1e-6)
    if between:
        other = by_captum(captum.attr.DeepLift(net), baselines=baselines)
        assert torch.allclose(found, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))


def test_deeplift_by_hand() -> None:
    """Two inputs, two hidden units, one of which closes: m = w_i delta(relu) / delta."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[2.0, -1.0], [1.0, 1.0]]))
        net[1].bias.copy_(torch.tensor([-1.0, 0.5]))
        net[3].weight.copy_(torch.tensor([[3.0, 4.0]]))
    image = torch.tensor([1.5, 0.5], dtype=torch.float64).reshape(1, 1, 1, 2)
    # Before ReLU: (1.5, 2.5), at the baseline (-1, 0.5); after: (1.5, 2.5), (0, 0.5); ratios: 1.5 / 2.5, 2 / 2.
    wanted = [1.5 * (2 * 0.6 * 3 + 1 * 1 * 4), 0.5 * (-1 * 0.6 * 3 + 1 * 1 * 4)]
    found = explain(net, image, "deeplift", target=0)
    assert found[0, 0].tolist() == pytest.approx(wanted)


def test_a_change_of_nothing_explains_nothing() -> None:
    net = Deep()
    images = torch.full_like(IMAGES, 0.4)
    found = explained(net, images, "deeplift", target=GOALS, baseline=0.4)
    assert found.blank.all()


# --- what is refused, and what is not -------------------------------------------------------------------------------------


class Shared(nn.Module):
    """One ReLU module, called three times: as in torchvision's residual networks."""

    def __init__(self, own: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)])
        relu = nn.ReLU(inplace=True)
        self.relus = nn.ModuleList([nn.ReLU() if own else relu for _ in range(3)])
        self.head = nn.Linear(4, 2)
        with torch.no_grad():
            for number, one in enumerate(self.parameters()):
                one.copy_(random(*one.shape, seed=80 + number) - 0.45)
        self.double()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        first = self.relus[0](self.convs[0](images))
        second = self.relus[1](self.convs[1](first))
        return self.head(self.relus[2](first - second).mean((2, 3)))


@pytest.mark.parametrize("name", ["guided-backprop", "deconvolution", "deeplift", "deeplift-shap"])
def test_a_relu_may_be_called_more_than_once(name: str) -> None:
    assert torch.allclose(relevance(name, Shared(own=False)), relevance(name, Shared(own=True)))


class Functional(nn.Module):
    """What is not a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)
        self.relu = nn.ReLU()
        self.function = function
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.function(self.relu(self.conv(images))).mean((2, 3))


@pytest.mark.parametrize("name", ["guided-backprop", "deconvolution", "guided-gradcam"])
@pytest.mark.parametrize("function", [F.relu, lambda maps: torch.relu_(maps - 0.1)])
def test_relu_as_a_function_is_refused(name: str, function: Callable[[Tensor], Tensor]) -> None:
    given = {"layer": "conv"} if name == "guided-gradcam" else {}
    net = Functional(function)
    with pytest.raises(InputError, match=rf"model must have its ReLU as modules for {name}, got a ReLU called as a function"):
        explain(net, IMAGES.float(), name, target=0, **given)
    assert not net.relu._forward_hooks
    assert not net.relu._forward_pre_hooks
    explain(Functional(torch.sigmoid), IMAGES.float(), name, target=0, **given)


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (F.relu, "Relu"),
        (torch.sigmoid, "Sigmoid"),
        (lambda maps: maps * maps, "Mul"),
        (lambda maps: maps / (1 + maps.sum(1, keepdim=True)), "Div"),
        (lambda maps: F.max_pool2d(maps, 2), "MaxPool2DWithIndices"),
        (lambda maps: maps.flatten(2).softmax(2)[..., None], "Softmax"),
        (lambda maps: maps @ maps.mT, "Bmm"),
        (nn.BatchNorm2d(2, track_running_stats=False), "BatchNorm2d"),
    ],
)
def test_deeplift_refuses_what_it_has_no_rule_for(function: Callable[[Tensor], Tensor], operation: str) -> None:
    with pytest.raises(InputError, match=rf"model must be of linear operations.* for deeplift, got {operation}\."):
        explain(Functional(function), IMAGES.float()[:, :, :, :16], "deeplift", target=0)


def test_deeplift_takes_what_is_linear() -> None:
    def function(maps: Tensor) -> Tensor:
        maps = F.interpolate(torch.cat([maps, 2 * maps[:, :1]], 1), scale_factor=2, mode="bilinear") / 3 - 1
        pooled = F.pad(F.avg_pool2d(maps.permute(0, 1, 3, 2), 2), (1, 1, 1, 1))
        return pooled * torch.linspace(0, 1, 16) + maps.mean((2, 3), keepdim=True)

    net = Functional(function).double()
    net.function = lambda maps: function(maps.double())
    found = relevance("deeplift", net)
    assert torch.allclose(found.sum((1, 2, 3)), change(net, torch.zeros_like(IMAGES)), rtol=1e-6)


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ({"type": "cam", "encoder": "resnet10t"}, ("guided-backprop", "deconvolution", "deeplift", "guided-gradcam")),
        ({"type": "resnet34"}, ("guided-backprop", "deconvolution", "deeplift", "guided-gradcam")),
        ({"type": "spa-mab"}, ("guided-backprop", "deconvolution")),
    ],
)
def test_networks_of_ours(spec: dict[str, Any], names: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    net = create_model(spec, in_channels=3, num_classes=3, image_size=64)
    images = random(2, 3, 64, 64, seed=5)
    for name in names:
        found = explain(net, images, name, target=torch.tensor([0, 2]))
        assert found.shape == (2, 64, 64)
        assert name == "guided-gradcam" or found.abs().flatten(1).amax(1).min() > 0  # whose Grad-CAM may be negative everywhere
        if name == "deeplift":
            with torch.no_grad():
                wanted = (net.eval()(images) - net(torch.zeros_like(images)))[[0, 1], [0, 2]]
            assert torch.allclose(found.sum((1, 2)), wanted, rtol=1e-3, atol=1e-4)


def test_parameters_that_make_no_sense() -> None:
    for name, given in [
        ("integrated-gradients", {"n_steps": 0}),
        ("smoothgrad", {"noise": -0.1}),
        ("smoothgrad", {"samples": 0}),
        ("gradient-shap", {"baselines": 0}),
        ("deeplift-shap", {"std": -1}),
        ("guided-gradcam", {"resize": "cubic"}),
    ]:
        with pytest.raises(RecipeError):
            explain(Net(), IMAGES.float(), name, **given)
    with pytest.raises(InputError, match="layer must be one layer for guided-gradcam"):
        explain(Net(), IMAGES.float(), "guided-gradcam", layer="all")


def test_logits_stay_the_same_while_rewired() -> None:
    for net in (Deep(), Deep(inplace=True), Shared(own=False)):
        wanted = net(IMAGES)
        with rewired(net, {nn.ReLU: lambda module, given, found, gradient: gradient}):
            assert torch.equal(net(IMAGES), wanted)
        assert torch.equal(net(IMAGES), wanted)
