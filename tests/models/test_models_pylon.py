"""PYLON, its baseline and Li et al.: the source's numbers, and a slow decoder written from its formulas."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from miso_gen.errors import InputError, RecipeError
from miso_gen.models import blank_images, count_parameters, create_model, feature_sizes, network_of
from miso_gen.models.networks.li2018 import AnyPlace

TINY = {"encoder": "test_resnet"}  #: timm's own test network: strides 4 to 32, 372,400 parameters


def on_meta(spec: Any, channels: int = 1, classes: int = 14, size: Any = 256) -> Any:
    with torch.device("meta"):
        return create_model(spec, in_channels=channels, num_classes=classes, image_size=size)


def tiny(name: str = "pylon", size: Any = 256, classes: int = 3, channels: int = 2, **fields: Any) -> Any:
    """Return a small network in evaluation mode, whose batch normalisation does something."""
    torch.manual_seed(0)
    model = create_model({"type": name, **TINY, **fields}, in_channels=channels, num_classes=classes, image_size=size).eval()
    generator = torch.Generator().manual_seed(1)
    for module in model.decoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, 0, 0.5, generator=generator)
    return model


def images(size: int = 256, channels: int = 2, batch: int = 2) -> Tensor:
    return torch.rand(batch, channels, size, size, generator=torch.Generator().manual_seed(2))


# --- numbers of the source --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "classes", "total"), [(1, 14, 25_478_741), (1, 15, 25_478_870), (3, 21, 25_485_916)])
def test_totals(channels: int, classes: int, total: int) -> None:
    """NIH, VinDr, VOC."""
    model = on_meta("pylon", channels, classes)
    assert count_parameters(model) == total
    assert count_parameters(model.encoder) == {1: 23_501_760, 3: 23_508_032}[channels]
    assert count_parameters(model.head) == 129 * classes


def test_parts() -> None:
    decoder = on_meta("pylon").decoder
    assert count_parameters(decoder.bottom) == 363_015
    assert [count_parameters(up) for up in decoder.ups] == [1_183_104, 329_600, 99_456]
    assert count_parameters(decoder) == 1_975_175
    assert count_parameters(on_meta({"type": "pylon", "small": True}).decoder) == 593_543


@pytest.mark.parametrize(("n_up", "size", "side"), [(3, 256, 64), (2, 256, 32), (1, 256, 16), (0, 256, 8), (3, 512, 128)])
def test_heatmap_sizes(n_up: int, size: int, side: int) -> None:
    model = on_meta({"type": "pylon", "n_up": n_up}, size=size)
    assert model.heatmap(blank_images(model)).shape == (2, 14, side, side)
    sizes = list(feature_sizes(model).values())
    encoder = [(256, 64), (512, 32), (1024, 16), (2048, 8)][3 - n_up :]
    decoder = [(128, 8), (128, 16), (128, 32), (128, 64)][: n_up + 1]
    scale = size // 256
    assert sizes == [(channels, scale * width, scale * width) for channels, width in encoder + decoder]


@pytest.mark.parametrize(("name", "side"), [("cam", 8), ("li2018", 20)])
def test_heatmap_sizes_of_the_others(name: str, side: int) -> None:
    model = on_meta(name)
    assert model.heatmap(blank_images(model)).shape == (2, 14, side, side)
    assert list(feature_sizes(model).values()) == [(2048, 8, 8)]


def test_parameters_of_the_others() -> None:
    assert count_parameters(on_meta("cam")) == 23_501_760 + 14 * 2049
    assert count_parameters(on_meta("li2018")) == 23_501_760 + (9 * 2048 + 1) * 512 + 2 * 512 + 14 * 513


@pytest.mark.parametrize(("size", "nearest"), [(224, "256"), (1, "256"), (300, "288"), ((256, 500), r"\(256, 512\)")])
def test_sizes_that_are_refused(size: Any, nearest: str) -> None:
    with pytest.raises(InputError, match=rf"image_size must be a multiple of 32, and at least 256, .*Nearest: {nearest}\."):
        on_meta("pylon", size=size)


def test_sizes_that_the_source_does_not_take() -> None:
    model = tiny(size=(288, 320))
    assert model.heatmap(torch.rand(1, 2, 288, 320)).shape == (1, 3, 72, 80)
    small = tiny(size=96, pyramid=False)
    assert small.heatmap(images(96)).shape == (2, 3, 24, 24)
    assert network_of({"type": "pylon", "pyramid": False}).sizes.least == 32


@pytest.mark.parametrize("fields", [{"n_up": 4}, {"n_up": -1}, {"head_kernel": 2}, {"width": 0}, {"up_kernel": 5}])
def test_parameters_that_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        network_of({"type": "pylon", **fields})


# --- against its formulas ---------------------------------------------------------------------------------------------


def literal_resize(maps: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, corners on corners: output i lies at i (n - 1) / (m - 1)."""

    def weights(old: int, new: int) -> Tensor:
        table = torch.zeros(new, old, dtype=torch.float64)
        for i in range(new):
            place = i * (old - 1) / (new - 1) if new > 1 else 0.0
            low = min(math.floor(place), old - 1)
            high = min(low + 1, old - 1)
            table[i, low] += 1 - (place - low)
            table[i, high] += place - low
        return table

    return torch.einsum("ih,bchw,jw->bcij", weights(maps.shape[2], height), maps, weights(maps.shape[3], width))


def literal_block(parts: Any, maps: Tensor) -> Tensor:
    conv, norm, _ = parts
    pad = conv.kernel_size[0] // 2
    windows = nn.functional.unfold(maps, conv.kernel_size, padding=pad)
    out = torch.einsum("ok,bkn->bon", conv.weight.flatten(1), windows) + conv.bias[:, None]
    out = (out - norm.running_mean[:, None]) / torch.sqrt(norm.running_var[:, None] + norm.eps)
    out = out * norm.weight[:, None] + norm.bias[:, None]
    return out.clamp(min=0).unflatten(2, maps.shape[-2:])


def literal_half(maps: Tensor) -> Tensor:
    return maps.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))


def literal_decoder(decoder: Any, features: list[Tensor]) -> Tensor:
    f5 = features[-1]
    side = f5.shape[-1]
    bottom = decoder.bottom
    d1 = literal_block(bottom.down[0], literal_half(f5))
    d2 = literal_block(bottom.down[1], literal_half(d1))
    d3 = literal_block(bottom.down[2], literal_half(d2))
    u3 = literal_resize(literal_block(bottom.side[2], d3), side // 4, side // 4)
    u2 = literal_resize(literal_block(bottom.side[1], d2) + u3, side // 2, side // 2)
    u1 = literal_resize(literal_block(bottom.side[0], d1) + u2, side, side)
    maps = literal_block(bottom.main, f5) * u1
    for up, finer in zip(decoder.ups, reversed(features[:-1]), strict=True):
        skip = finer
        for parts in up.skip:
            skip = literal_block(parts, skip)
        maps = skip + literal_resize(maps, *finer.shape[-2:])
    return maps


@pytest.mark.parametrize(
    "fields", [{}, {"n_up": 1}, {"n_up": 0}, {"small": True}, {"up_kernel": 3, "n_up": 2}, {"head_kernel": 3}, {"width": 5}]
)
def test_against_the_formulas(fields: dict[str, Any]) -> None:
    model = tiny(**fields).double()
    with torch.no_grad():
        features = model.encoder(images().double())
        expected = literal_decoder(model.decoder, features)
        assert float(model.decoder.bottom.mask(features[-1]).max()) > 0  # else the formula is not tried
        torch.testing.assert_close(model.decoder(features), expected)
        heat = model.heatmap(images().double())
    kernel = model.head.weight.shape[-1]
    windows = nn.functional.unfold(expected, kernel, padding=kernel // 2)
    flat = torch.einsum("ok,bkn->bon", model.head.weight.flatten(1), windows) + model.head.bias[:, None]
    torch.testing.assert_close(heat.flatten(2), flat)


@pytest.mark.parametrize("name", ["pylon", "cam"])
def test_logits_are_the_greatest_values(name: str) -> None:
    model = tiny(name)
    with torch.no_grad():
        assert torch.equal(model(images()), model.heatmap(images()).amax((2, 3)))


def test_start() -> None:
    """Kaiming uniform in the decoder, Xavier uniform in the head, biases 0, batch normalisation 1 and 0."""
    torch.manual_seed(0)
    model: Any = create_model({"type": "pylon", **TINY}, in_channels=1, num_classes=40, image_size=256)
    for module in [*model.decoder.modules(), model.head]:
        if isinstance(module, nn.Conv2d):
            inward = module.weight[0].numel()
            bound = math.sqrt(6 / (128 + 40)) if module is model.head else math.sqrt(6 / inward)
            assert float(module.weight.detach().abs().max()) <= bound
            if module.weight.numel() > 1000:
                assert float(module.weight.detach().abs().max()) > 0.98 * bound
            assert module.bias is not None
            assert not module.bias.any()
        elif isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())
            assert not module.bias.any()


def test_half_precision_is_left_before_pooling() -> None:
    model = tiny("li2018")
    with torch.autocast("cpu", torch.bfloat16):
        assert model.heatmap(images()).dtype == torch.float32
        assert model(images()).dtype == torch.float32


# --- the baseline and Li et al. -----------------------------------------------------------------------------------------


def test_gradcam_of_the_baseline_is_its_own_map() -> None:
    """Without ReLU: the gradient of a global maximum is the head's weight at one place, whose mean is a multiple of it."""
    model = tiny("cam")
    kept: list[Tensor] = []
    model.get_submodule(model.offer.feature_layers[-1]).register_forward_hook(lambda *parts: kept.append(parts[-1]))
    heat = model.heatmap(images())
    for target in range(3):
        kept.clear()
        logits = model(images())
        (gradient,) = torch.autograd.grad(logits[:, target].sum(), kept[0])
        gradcam = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1)
        assert torch.equal(gradcam.flatten(1).argmax(1), heat[:, target].flatten(1).argmax(1))


def test_any_place_vector() -> None:
    """400 places of probability 0.5: q' = 0.99, p = 0.982049, logit 4.0020."""
    logit = AnyPlace()(torch.zeros(1, 1, 20, 20, dtype=torch.float64))
    assert float(logit) == pytest.approx(math.log(0.982049 / 0.017951), abs=1e-4)
    assert float(logit) == pytest.approx(4.0020, abs=5e-5)
    assert float(logit.sigmoid()) == pytest.approx(0.982049, abs=5e-7)


def test_any_place_is_its_definition() -> None:
    maps = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    for image in range(3):
        for label in range(2):
            product = 1.0
            for value in maps[image, label].flatten().tolist():
                product *= 0.98 + 0.02 * (1 - 1 / (1 + math.exp(-value)))
            p = 1 - product
            assert float(AnyPlace()(maps)[image, label]) == pytest.approx(math.log(p / (1 - p)))
    assert torch.autograd.gradcheck(AnyPlace(), maps.requires_grad_())


@pytest.mark.parametrize("value", [-1e4, -200.0, -100.0, -30.0, 30.0, 1e4])
def test_any_place_stays_finite(value: float) -> None:
    maps = torch.full((1, 1, 20, 20), value, requires_grad=True)
    pooled = AnyPlace()(maps)
    pooled.sum().backward()
    logit = pooled.detach()
    assert maps.grad is not None
    assert bool(maps.grad.isfinite().all())
    assert -88 < float(logit) < 8.09
    if value == -30.0:  # where 1 - p is 1 in single precision
        assert float(logit) == pytest.approx(math.log(400 * 0.02) - 30, rel=1e-5)
    if value > 0:
        assert float(logit) == pytest.approx(-400 * math.log(0.98) + math.log1p(-(0.98**400)), rel=1e-4)


def test_li2018_resizes_before_it_convolves() -> None:
    model = tiny("li2018", grid=7, width=6).double()
    with torch.no_grad():
        deepest = model.encoder(images().double())[-1]
        expected = model.head(literal_block(model.decoder[2:], literal_resize(deepest, 7, 7)))
        torch.testing.assert_close(model.heatmap(images().double()), expected)


# --- encoders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoder",
    [
        "resnet18",
        "skresnext50_32x4d",
        "convnext_atto",
        "efficientnet_b0",
        "densenet121",
        "vgg11_bn",
        "swin_tiny_patch4_window7_224",
        "dla34",
    ],
)
def test_encoders_of_timm(encoder: str) -> None:
    model = on_meta({"type": "pylon", "encoder": encoder}, 1, 2)
    assert model.heatmap(blank_images(model)).shape == (2, 2, 64, 64)
    sizes = feature_sizes(model)
    assert sizes["decoder.bottom"] == (128, 8, 8)
    deepest = [size for name, size in sizes.items() if name.startswith("encoder.")][-1]
    assert deepest[1:] == (8, 8)
    whole = timm.create_model(encoder, in_chans=1).state_dict() if encoder == "resnet18" else {}
    names = {name.removeprefix("encoder.model.model.") for name in model.encoder.state_dict(prefix="encoder.")}
    assert not whole or {name for name in whole if not name.startswith("fc.")} == names


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("resnet5O", r"encoder must be a network of timm, got 'resnet5O'\. Did you mean 'resnet50"),
        ("resnet18.mine", r"encoder must be a network of timm with feature maps, got 'resnet18\.mine' \(Invalid pretrained tag"),
        ("vit_tiny_patch16_224", r"encoder of pylon must have features at 4 growing strides, got .* with \(16, 16, 16\)\. Take"),
        ("levit_128", r"encoder of pylon must have features at 4 growing strides, got .* with \(16, 32, 64\)"),
    ],
)
def test_encoders_that_are_refused(encoder: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        on_meta({"type": "pylon", "encoder": encoder})


@pytest.mark.parametrize("name", ["pylon", "cam", "li2018"])
@pytest.mark.parametrize("channels", [1, 3])
def test_published_weights_from_a_file(tmp_path: Path, name: str, channels: int) -> None:
    torch.manual_seed(3)
    published = timm.create_model("test_resnet").state_dict()
    path = tmp_path / "test_resnet.safetensors"
    save_file(published, path)
    model: Any = create_model(
        {"type": name, **TINY},
        in_channels=channels,
        num_classes=2,
        image_size=256,
        weights={"file": str(path), "holds": "pretrained"},
    )
    own = model.encoder.model.model.state_dict()
    first = "conv1.0.weight" if "conv1.0.weight" in own else "conv1.weight"
    assert own.keys() == {key for key in published if not key.startswith("fc.")}
    for key, tensor in own.items():
        expected = published[key].sum(1, keepdim=True) if key == first and channels == 1 else published[key]
        assert torch.equal(tensor, expected), key
