"""LRP, Relevance-CAM and XRelevance-CAM on whole networks: against zennit, against definitions, and what they keep."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from explaining import Net, random
from torch import Tensor, nn

from miso_gen.errors import InputError, RecipeError
from miso_gen.explain.calling import explain, explainer_of, resting
from miso_gen.explain.channels import ChannelExplainer
from miso_gen.explain.explainers.relevance_cam import RelevanceCAM
from miso_gen.explain.explainers.xrelevance_cam import XRelevanceCAM
from miso_gen.explain.interfaces import Subject
from miso_gen.explain.relevance import Relevant, relevance_of_layers, relevance_of_pixels
from miso_gen.explain.relevance_rules import rules_of
from miso_gen.explain.relevance_starts import start_of
from miso_gen.models import create_model

COMPOSITES = ("epsilon-plus-flat", "epsilon-gamma-box", "epsilon-alpha2-beta1-flat", "epsilon-plus", "epsilon-alpha2-beta1")
CAMS = ("relevance-cam", "xrelevance-cam")


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)  # networks draw their weights from torch's generator


def filled(model: nn.Module, seed: int = 0, exact: bool = False) -> nn.Module:
    """Return a network with weights of both signs, and normalisation that does something; ``exact``: to which nothing is added.

    zennit leaves the small number in a batch normalisation that it has merged, which shrinks each by 5e-6; ``exact`` has none.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                size = module.weight[0].numel() ** -0.5
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * size * 1.4)
                if module.bias is not None:
                    module.bias.copy_(torch.randn(module.bias.shape, generator=generator) * 0.1)
            elif isinstance(module, nn.BatchNorm2d):
                for one, least in (
                    (module.weight, 0.5),
                    (module.running_var, 0.5),
                    (module.bias, -0.3),
                    (module.running_mean, -0.3),
                ):
                    one.copy_(torch.rand(one.shape, generator=generator) * 0.6 + least)
                if exact:
                    module.eps = 0.0
    return model.eval()


def vgg(seed: int = 0) -> nn.Sequential:
    return filled(
        nn.Sequential(
            *(
                nn.Conv2d(3, 6, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(6, 8, 3, padding=1, groups=2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            ),
            *(nn.Conv2d(8, 10, 3, padding=1), nn.LeakyReLU(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d((3, 3)), nn.Flatten()),
            *(nn.Dropout(0.5), nn.Linear(90, 20), nn.ReLU(), nn.Linear(20, 4)),
        ),
        seed,
    )  # type: ignore[return-value]


def of_zennit(model: nn.Module, images: Tensor, target: Tensor, composite: str, canonizers: list[Any], classes: int) -> Tensor:
    """Return what zennit gives when it is called as its documentation says."""
    composites = pytest.importorskip("zennit.composites")
    attribution = pytest.importorskip("zennit.attribution")
    ones = torch.ones(1, *images.shape[1:], dtype=images.dtype)
    box = {"low": 0 * ones, "high": ones} if composite.endswith("box") else {}
    made = getattr(composites, "".join(part.capitalize() for part in composite.split("-")))(canonizers=canonizers, **box)
    with attribution.Gradient(model, made) as attributor:
        return attributor(images, torch.eye(classes, dtype=images.dtype)[target])[1]


def same(found: Tensor, expected: Tensor, error: float = 1e-5) -> None:
    assert float(expected.abs().max()) > 1e-12
    assert float((found - expected).abs().max()) <= error * float(expected.abs().max())


def pixels(model: Any, images: Tensor, target: Tensor, composite: str, **options: Any) -> Tensor:
    with resting(model):
        return relevance_of_pixels(
            model, images, lambda logits: start_of(logits, target, "onehot", "n", False), rules_of(composite, **options)  # type: ignore[arg-type]
        )  # fmt: skip


def layers(model: nn.Module, images: Tensor, names: tuple[str, ...], target: Tensor, **options: Any) -> dict[str, Relevant]:
    with resting(model):
        return relevance_of_layers(
            model,
            images,
            names,
            lambda logits: start_of(logits, target, "contrastive", "n", False),
            rules_of("alpha1-beta0", **{"merge": False, **options}),
        )


# --- zennit -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("composite", COMPOSITES)
def test_lrp_is_that_of_zennit_on_plain_networks(composite: str) -> None:
    model, images, target = vgg(), random(3, 3, 16, 20), torch.tensor([0, 3, 1])
    expected = of_zennit(model, images, target, composite, [], 4)
    same(pixels(model, images, target, composite), expected)
    same(explain(model, images, "lrp", target=target, composite=composite), expected.sum(1))
    same(explain(model, images, "lrp", target=target, composite=composite, channels="max-abs"), expected.abs().amax(1))


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", ["resnet18", pytest.param("resnet50", marks=pytest.mark.full)])
def test_lrp_is_that_of_zennit_on_canonised_residual_networks(name: str, composite: str) -> None:
    """The same weights in torchvision's network, whose blocks zennit rewrites, and in timm's and torchvision's, as they are."""
    torchvision = pytest.importorskip("torchvision.models")
    timm = pytest.importorskip("timm")
    canonizers = pytest.importorskip("zennit.torchvision")
    theirs = filled(getattr(torchvision, name)(num_classes=3), exact=True).double()
    ours = filled(timm.create_model(name, num_classes=3), exact=True).double()
    ours.load_state_dict(theirs.state_dict())
    images, target = random(1, 3, 32, 32, dtype=torch.float64), torch.tensor([2])
    expected = of_zennit(theirs, images, target, composite, [canonizers.ResNetCanonizer()], 3)
    same(pixels(ours, images, target, composite), expected)
    same(pixels(theirs, images, target, composite), expected)


@pytest.mark.full
@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", ["vgg16", "alexnet"])
def test_lrp_is_that_of_zennit_on_our_plain_networks(name: str, composite: str) -> None:
    model = filled(create_model({"type": name}, in_channels=3, num_classes=2, image_size=96))
    images, target = random(2, 3, 96, 96), torch.tensor([0, 1])
    same(pixels(model, images, target, composite), of_zennit(model, images, target, composite, [], 2))


# --- the vectors of the CAMs ------------------------------------------------------------------------------------------

ACTIVATION = torch.tensor([[[[1.0, 2], [3, 4]], [[0, 1], [1, 0]]]])
RELEVANCE = torch.stack([ACTIVATION[0, 0] / 10, torch.tensor([[0, -0.2], [-0.2, 0]])])[None]


def weighted(explainer: Any) -> tuple[list[float], list[float]]:
    weights = explainer.weights(Relevant(ACTIVATION, RELEVANCE))
    return weights[0].tolist(), (weights[:, :, None, None] * ACTIVATION).sum(1).flatten().tolist()


def test_relevance_cam_vector() -> None:
    weights, found = weighted(RelevanceCAM())
    assert weights == pytest.approx([0.25, -0.10])
    assert found == pytest.approx([0.25, 0.40, 0.65, 1.0])


def test_xrelevance_cam_vector() -> None:
    weights, found = weighted(XRelevanceCAM())
    assert weights == pytest.approx([0.1, -0.2])
    assert found == pytest.approx([0.1, 0, 0.1, 0.4], abs=1e-6)
    assert sum(found) == pytest.approx(float(RELEVANCE.sum())) == pytest.approx(0.6)


def test_cams_of_the_last_layer_are_the_formula() -> None:
    """Average and linear layer written out: relevance of a value is its share in the positive weights times activations."""
    model, images, target = Net().double(), random(3, 3, 16, 20, dtype=torch.float64), torch.tensor([2, 0, 1])
    head = model.classifier.requires_grad_(False)
    with torch.no_grad():
        activation = model.features(images)
    relevance = torch.zeros_like(activation)
    for b in range(3):
        mean = activation[b].mean((1, 2))
        for c in range(3):
            given = 1.0 if c == target[b] else -1 / 3
            total = sum(max(float(w), 0) * float(m) for w, m in zip(head.weight[c], mean, strict=True)) + 2 * float(head.bias[c])
            for k in range(8):
                share = max(float(head.weight[c, k]), 0) * float(mean[k]) / total * given
                if activation[b, k].sum() > 0:
                    relevance[b, k] += share * activation[b, k] / activation[b, k].sum()
    for name, weights in (
        ("relevance-cam", relevance.mean((2, 3))),
        ("xrelevance-cam", relevance.sum((2, 3)) / (1e-7 + activation.sum((2, 3)))),
    ):
        found = explain(model, images, name, target=target, size="own")
        torch.testing.assert_close(found, (weights[:, :, None, None] * activation).sum(1).float())


@pytest.mark.parametrize("name", CAMS)
def test_channel_maps_add_up_to_the_map(name: str) -> None:
    model, images, target = Net(), random(2, 3, 16, 20), torch.tensor([2, 0])
    chosen = explainer_of(name)
    assert isinstance(chosen, ChannelExplainer)
    with resting(model):
        found = chosen.channel_maps(Subject(model, images, target, (0, 1)), "features.1")
    assert found.shape == (2, 6, 16, 20)
    torch.testing.assert_close(found.sum(1), explain(model, images, name, target=target, layer="features.1"))


# --- what is conserved ------------------------------------------------------------------------------------------------


def check_conserved(model: nn.Module, images: Tensor, stages: tuple[str, ...]) -> None:
    target = torch.arange(len(images)) % 2
    found = layers(model, images, stages, target)
    chosen = explainer_of("xrelevance-cam")
    assert isinstance(chosen, ChannelExplainer)
    for stage, one in found.items():
        with resting(model):
            maps = chosen.channel_maps(Subject(model, images, target, tuple(range(len(images)))), stage)
        whole = one.relevance.sum((1, 2, 3))
        assert float(whole.abs().min()) > 1e-3
        torch.testing.assert_close(maps.sum((1, 2, 3)), whole, rtol=1e-4, atol=0)
        size = one.relevance.abs().sum((1, 2, 3))[:, None]
        assert float(((maps - one.relevance).sum((2, 3)).abs() / size).max()) < 1e-4  # channel by channel
        torch.testing.assert_close(explain(model, images, "xrelevance-cam", target=target, layer=stage, size="own"), maps.sum(1))


@pytest.mark.parametrize("name", ["resnet50", "sk-resnext50"])
def test_xrelevance_cam_sums_up_to_the_relevance_of_the_layer(name: str) -> None:
    model = create_model(name, in_channels=3, num_classes=2, image_size=64).eval()
    check_conserved(model, random(2, 3, 64, 64), ("layer4", "layer1"))


@pytest.mark.full
@pytest.mark.parametrize("name", ["resnet34", "resnet50", "resnext50", "sk-resnext50"])
@pytest.mark.parametrize("normed", [False, True])
def test_xrelevance_cam_sums_up_at_full_size(name: str, normed: bool) -> None:
    model = create_model(name, in_channels=3, num_classes=2, image_size=224).eval()
    check_conserved(filled(model) if normed else model, random(4, 3, 224, 224), ("layer1", "layer2", "layer3", "layer4"))


@pytest.mark.parametrize("seed", [0, 1])
def test_relevance_is_the_same_at_every_layer_of_a_residual_network(seed: int) -> None:
    """Without biases: nothing is lost in blocks, but where a value has no positive part to divide among."""
    timm = pytest.importorskip("timm")
    model = timm.create_model("resnet10t", num_classes=2)
    with torch.no_grad():
        for number, one in enumerate(model.parameters()):
            one.copy_(random(*one.shape, seed=100 * seed + number) * (1 if one.ndim < 2 else one[0].numel() ** -0.5) + 1e-3)
    model.double().eval()
    images, target = random(2, 3, 64, 64, dtype=torch.float64), torch.tensor([1, 0])
    found = layers(model, images, ("act1", "layer1", "layer2", "layer3", "layer4"), target, bias="none")
    for one in found.values():
        torch.testing.assert_close(one.relevance.sum((1, 2, 3)), torch.full((2,), 0.5, dtype=torch.float64))


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAMS)
def test_several_layers_take_one_pass(name: str) -> None:
    class Counting(Net):
        passes = 0

        def forward(self, images: Tensor) -> Tensor:
            Counting.passes += 1
            return super().forward(images)

    model, images, target = Counting(), random(2, 3, 16, 20), torch.tensor([2, 0])
    chosen, names = explainer_of(name), ("features.3", "features.1", "features.0")
    with resting(model):
        subject = Subject(model, images, target, (0, 1))
        together = chosen.layer_maps(subject, names)  # type: ignore[attr-defined]
        assert Counting.passes == 1
        for one, layer in zip(together, names, strict=True):
            torch.testing.assert_close(one, chosen.layer_maps(subject, (layer,))[0])  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [*CAMS, "lrp"])
def test_scaling_by_the_logit_multiplies_by_it(name: str) -> None:
    """Also where it is negative, which turns the map over."""
    model, images = vgg(), random(6, 3, 16, 20)
    layer = {} if name == "lrp" else {"layer": "6"}
    for target in range(4):
        plain = explain(model, images, name, target=target, **layer)
        found = explain(model, images, name, target=target, scale_by_logit=True, **layer)
        with torch.no_grad():
            logits = model(images)[:, target]
        torch.testing.assert_close(found, plain * logits[:, None, None], rtol=1e-4, atol=1e-7)
    with torch.no_grad():
        assert model(images).min() < 0 < model(images).max()


@pytest.mark.parametrize("start", ["onehot", "contrastive", "softmax-gradient"])
def test_relevance_starts_where_it_is_told_to(start: Any) -> None:
    """All rules are linear in what they are given: a start is a mixture of those of single classes."""
    model, images, target = vgg(), random(3, 3, 16, 20), torch.tensor([1, 1, 3])
    single = torch.stack([explain(model, images, "lrp", target=one) for one in range(4)], 1)
    for contrast in ("n", "n-1"):
        with torch.no_grad():
            given = start_of(model(images), target, start, contrast, False)
        found = explain(model, images, "lrp", target=target, start=start, contrast=contrast)
        same(found, (single * given[:, :, None, None]).sum(1))


@pytest.mark.parametrize(
    ("parameter", "value", "composite"),
    [("epsilon", 0.5, "epsilon-plus"), ("gamma", 2.0, "epsilon-gamma-box"), ("stabilizer", 0.5, "epsilon-plus"),
     ("low", -1.0, "epsilon-gamma-box"), ("high", 2.0, "alpha1-beta0"), ("low", None, "alpha1-beta0"),
     ("high", None, "epsilon-gamma-box"), ("bias", "none", "alpha1-beta0")],
)  # fmt: skip
def test_every_parameter_of_lrp_does_something(parameter: str, value: Any, composite: str) -> None:
    model, images = vgg(), random(2, 3, 16, 20) / 2 + 0.2
    plain = explain(model, images, "lrp", target=1, composite=composite)
    found = explain(model, images, "lrp", target=1, composite=composite, **{parameter: value})
    assert float((found - plain).abs().max()) > 1e-3 * float(plain.abs().max())


def test_batch_norm_parameter() -> None:
    model, images = create_model("resnet34", in_channels=3, num_classes=2, image_size=64), random(1, 3, 64, 64)
    filled(model)
    for name, other in (("lrp", "identity"), ("xrelevance-cam", "merged")):
        layer = {} if name == "lrp" else {"layer": "layer1"}
        plain, found = (explain(model, images, name, target=1, **layer, **one) for one in ({}, {"batch_norm": other}))
        assert float((found - plain).abs().max()) > 1e-3 * float(plain.abs().max())


def test_a_box_upside_down_is_refused() -> None:
    with pytest.raises(RecipeError, match="low below high"):
        explainer_of("lrp", {"low": 1.0, "high": 0.0})


# --- networks ---------------------------------------------------------------------------------------------------------

SMALL: dict[str, dict[str, Any]] = {
    "cam": {"encoder": "resnet10t"},
    "fpn": {"encoder": "resnet10t"},
    "unet": {"encoder": "resnet10t"},
    "pylon": {"encoder": "resnet10t", "pyramid": False, "width": 16},
    "resnext50": {},
}


LARGE = ("alexnet", "resnet34", "resnet50", "sk-resnext50", "vgg16", "vgg19", "vgg-att")


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.full) for name in LARGE)])
def test_networks_of_ours(name: str) -> None:
    """Maps of every layer it offers are finite, say something, and don't depend on the batch; the network stays as it was."""
    model = create_model({"type": name, **SMALL.get(name, {})}, in_channels=3, num_classes=2, image_size=64)
    model.train()
    before = {key: one.clone() for key, one in model.state_dict().items()}
    model.train()
    images, target = random(2, 3, 64, 64), torch.tensor([1, 0])
    last = "block5" if name == "vgg-att" else "last"  # its last layer makes attention alone
    for explainer, options in (("lrp", {}), ("xrelevance-cam", {"layer": "all"}), ("relevance-cam", {"layer": last})):
        found = explain(model, images, explainer, target=target, **options)
        assert found.shape == (2, 64, 64)
        assert torch.isfinite(found).all()
        assert (found.flatten(1).std(1) > 0).all()
        for one in range(2):
            alone = explain(model, images[one], explainer, target=int(target[one]), **options)
            same(alone[0], found[one], 1e-4)
    assert model.training
    assert all(one.requires_grad for one in model.parameters())
    assert all(torch.equal(one, before[key]) for key, one in model.state_dict().items())
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_vgg_att_gives_relevance_to_local_features_alone() -> None:
    """Attention is a constant: what it is computed from has none."""
    model = create_model("vgg-att", in_channels=1, num_classes=2, image_size=32)
    found = layers(model, random(1, 1, 32, 32), ("block3", "block4", "block5", "block6"), torch.tensor([1]))
    assert all(found[name].relevance.abs().sum() > 0 for name in ("block3", "block4", "block5"))
    assert found["block6"].relevance.abs().sum() == 0


def test_dropout_that_is_always_there_is_passed_by() -> None:
    spec = {"type": "sk-resnext50", "dropout": 0.1, "dropout_in": "always"}
    model = create_model(spec, in_channels=3, num_classes=2, image_size=32)
    torch.manual_seed(3)
    assert torch.isfinite(explain(model, random(1, 3, 32, 32), "xrelevance-cam", target=1, layer="layer2")).all()


def test_networks_of_others() -> None:
    torchvision = pytest.importorskip("torchvision.models")
    images = random(1, 3, 64, 64)
    for name, layer in (
        ("mobilenet_v3_small", "features.5"),
        ("densenet121", "features.denseblock4"),
        ("shufflenet_v2_x0_5", "conv5"),
    ):
        model = filled(getattr(torchvision, name)(num_classes=3))
        for explainer, options in (("lrp", {}), ("xrelevance-cam", {"layer": layer})):
            found = explain(model, images, explainer, target=1, **options)
            assert torch.isfinite(found).all(), name
            assert found.std() > 0


@pytest.mark.parametrize("name", ["vit-small", "spa-mab"])
def test_networks_without_a_rule_are_refused_by_name(name: str) -> None:
    model = create_model(name, in_channels=1, num_classes=2, image_size=48)
    with pytest.raises(InputError, match=r"relevance has a rule for, got (layer_norm|matmul) in \w"):
        explain(model, random(1, 1, 48, 48), "lrp", target=1)


@pytest.mark.parametrize("name", CAMS)
def test_dead_channels_and_dead_layers_add_nothing(name: str) -> None:
    model, images = Net(), random(2, 3, 16, 20)
    with torch.no_grad():
        model.features[2].bias[:3] = -1e3
    dead = explainer_of(name)
    with resting(model):
        maps = dead.channel_maps(Subject(model, images, torch.tensor([0, 1]), (0, 1)), "features.3")  # type: ignore[attr-defined]
    assert maps[:, :3].abs().sum() == 0
    assert maps[:, 3:].abs().sum() > 0
    with torch.no_grad():
        model.features[2].bias[:] = -1e3
    assert explain(model, images, name, target=1, layer="features.3").abs().sum() == 0


@pytest.mark.parametrize("composite", [*COMPOSITES, "alpha1-beta0"])
def test_images_of_one_value_and_batches(composite: str) -> None:
    model = vgg()
    images = torch.cat([torch.zeros(1, 3, 16, 20), torch.ones(1, 3, 16, 20), random(2, 3, 16, 20)])
    found = explain(model, images, "lrp", target=[0, 1, 2, 3], composite=composite)
    assert torch.isfinite(found).all()
    for one in range(4):
        alone = explain(model, images[one], "lrp", target=one, composite=composite)[0]
        torch.testing.assert_close(found[one], alone, rtol=1e-4, atol=1e-6 * float(found.abs().max()))
