"""Segmentation networks as classifiers: against the library's own networks, and without their global branches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from miso_gen.errors import InputError, RecipeError
from miso_gen.models import blank_images, count_parameters, create_model, feature_sizes, network_of
from miso_gen.models.networks.pan import Constant

TINY = "test_resnet"  #: timm's own test network
NAMES = ("unet", "fpn", "pan", "deeplabv3plus")
ENCODER = [(256, 64), (512, 32), (1024, 16), (2048, 8)]


def on_meta(spec: Any, size: Any = 256) -> Any:
    with torch.device("meta"):
        return create_model(spec, in_channels=1, num_classes=14, image_size=size)


def tiny(name: str, **fields: Any) -> Any:
    torch.manual_seed(0)
    spec = {"type": name, "encoder": TINY, **fields}
    return create_model(spec, in_channels=2, num_classes=3, image_size=256).eval()


def images() -> Tensor:
    return torch.rand(2, 2, 256, 256, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "side", "sizes"),
    [
        ("unet", 256, [*ENCODER, (256, 16), (128, 32), (64, 64), (64, 128), (64, 256)]),
        ("fpn", 64, [*ENCODER, (256, 8), (256, 16), (256, 32), (256, 64), (128, 64)]),
        ("pan", 64, [*ENCODER, (128, 8), (128, 16), (128, 32), (128, 64)]),
        ("deeplabv3plus", 64, [*ENCODER[:3], (2048, 16), (256, 16), (48, 64), (256, 64)]),
    ],
)
def test_sizes(name: str, side: int, sizes: list[tuple[int, int]]) -> None:
    """Only U-Net goes back to the size of the image; the last stage of DeepLabV3+ is dilated."""
    model = on_meta(name)
    assert model.heatmap(blank_images(model)).shape == (2, 14, side, side)
    assert list(feature_sizes(model).values()) == [(channels, width, width) for channels, width in sizes]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("unet", {"decoder_channels": (256, 128, 64, 64, 64)}),
        ("fpn", {"decoder_dropout": 0.0, "upsampling": 1}),
        ("pan", {"decoder_channels": 128, "encoder_output_stride": 32, "upsampling": 1}),
        ("deeplabv3plus", {"upsampling": 1}),
    ],
)
def test_against_the_library(name: str, options: dict[str, Any]) -> None:
    """The source's options, given to the library: the same weights, the same maps."""
    kind = {"unet": smp.Unet, "fpn": smp.FPN, "pan": smp.PAN, "deeplabv3plus": smp.DeepLabV3Plus}[name]
    outside: Any = kind(f"tu-{TINY}", encoder_weights=None, in_channels=2, classes=3, feature_cls="getter", **options).eval()
    model = tiny(name, norm="group") if name == "fpn" else tiny(name)
    outside.load_state_dict({key.replace("head.", "segmentation_head.", 1): one for key, one in model.state_dict().items()})
    with torch.no_grad():
        heat = model.heatmap(images())
        assert torch.equal(outside(images()), heat)
        assert torch.equal(model(images()), heat.amax((2, 3)))
    kernel = {"unet": 3, "pan": 3, "fpn": 1, "deeplabv3plus": 1}[name]
    assert model.head[0].weight.shape[2:] == (kernel, kernel)


def test_decoder_parameters() -> None:
    """U-Net counted by hand: each block is two 3 x 3 convolutions without bias, and normalisation."""
    inward, skips, outward = (2048, 256, 128, 64, 64), (1024, 512, 256, 64, 0), (256, 128, 64, 64, 64)
    total = sum(9 * (a + b) * c + 9 * c * c + 4 * c for a, b, c in zip(inward, skips, outward, strict=True))
    assert count_parameters(on_meta("unet").decoder) == total
    assert count_parameters(on_meta("unet")) == 23_501_760 + total + 9 * 64 * 14 + 14


def test_no_module_overwrites_its_input() -> None:
    for name in NAMES:
        assert not any(getattr(module, "inplace", False) for module in on_meta(name).modules())


# --- options --------------------------------------------------------------------------------------------------------------


def test_normalisation_of_the_feature_pyramid() -> None:
    batch, group = on_meta("fpn"), on_meta({"type": "fpn", "norm": "group"})
    kinds = [{type(module) for module in model.decoder.modules()} for model in (batch, group)]
    assert nn.BatchNorm2d in kinds[0]
    assert nn.GroupNorm not in kinds[0]
    assert nn.GroupNorm in kinds[1]
    assert nn.BatchNorm2d not in kinds[1]
    assert count_parameters(batch) == count_parameters(group)
    assert all(module.p == 0 for module in batch.modules() if isinstance(module, nn.Dropout2d))
    layers = [module for module in batch.decoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [layer.num_features for layer in layers] == [128] * 7


def test_pan_without_global_pooling() -> None:
    """The same as branches that give 0 where they are added, and 1 where they are multiplied."""
    without, whole = tiny("pan", global_pooling=False), tiny("pan")
    missing = whole.load_state_dict(without.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert {key.rpartition(".conv1.")[0] or "fpa" for key in missing.missing_keys if "num_batches" not in key} == {
        "fpa",
        "decoder.gau3",
        "decoder.gau2",
        "decoder.gau1",
    }
    norm = whole.decoder.fpa.branch1[1].bn
    nn.init.zeros_(norm.weight)
    nn.init.zeros_(norm.bias)
    for gate in (whole.decoder.gau3, whole.decoder.gau2, whole.decoder.gau1):
        nn.init.zeros_(gate.conv1[1].bn.weight)
        nn.init.constant_(gate.conv1[1].bn.bias, 100)
    with torch.no_grad():
        torch.testing.assert_close(without.heatmap(images()), whole.heatmap(images()))
        assert not torch.allclose(without.heatmap(images()), tiny("pan").heatmap(images()))


def test_constant() -> None:
    assert torch.equal(Constant(0.5)(torch.rand(3, 4, 5, 6)), torch.full((3, 1, 1, 1), 0.5))


def test_deeplab_without_image_pooling() -> None:
    """The same as a branch whose channels the projection doesn't read."""
    without, whole = tiny("deeplabv3plus", image_pooling=False), tiny("deeplabv3plus")
    state = without.state_dict()
    first = "decoder.aspp.0.project.0.weight"
    narrow = state.pop(first)
    missing = whole.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    assert all(key == first or key.startswith("decoder.aspp.0.convs.4.") for key in missing.missing_keys)
    weight = whole.get_parameter(first)
    assert narrow.shape == (256, 4 * 256, 1, 1)
    with torch.no_grad():
        assert not torch.allclose(without.heatmap(images()), whole.heatmap(images()))
        weight.zero_()
        weight[:, : 4 * 256] = narrow
        torch.testing.assert_close(without.heatmap(images()), whole.heatmap(images()), rtol=1e-4, atol=1e-5)


def test_options_of_deeplab() -> None:
    model = on_meta({"type": "deeplabv3plus", "rates": [2, 4, 6], "dropout": 0.25, "width": 32})
    branches = model.decoder.aspp[0]
    assert [branches.convs[place][0][0].dilation[0] for place in (1, 2, 3)] == [2, 4, 6]
    assert [module.p for module in branches.modules() if isinstance(module, nn.Dropout)] == [0.25]
    assert model.head[0].in_channels == 32
    rates = on_meta("deeplabv3plus").decoder.aspp[0].convs
    assert [rates[place][0][0].dilation[0] for place in (1, 2, 3)] == [12, 24, 36]


# --- refusals, files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("unet", 100, "a multiple of 32, and at least 32, for unet, got 100. Nearest: 96."),
        ("fpn", (64, 70), r"a multiple of 32, and at least 32, for fpn, got \(64, 70\). Nearest: 64."),
        ("pan", 96, "a multiple of 32, and at least 256, for pan, got 96. Nearest: 256."),
        ("deeplabv3plus", 100, "a multiple of 16, and at least 16, for deeplabv3plus, got 100. Nearest: 96."),
    ],
)
def test_sizes_that_are_refused(name: str, size: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"image_size must be {message}"):
        on_meta(name, size)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"type": "deeplabv3plus", "encoder": "densenet121"},
            r"encoder must be .*, for deeplabv3plus on images of 256 x 256 px, got 'densenet121' \(.*output_stride.*\)\. Take",
        ),
        (
            {"type": "unet", "encoder": "swin_tiny_patch4_window7_224"},
            r"encoder of unet must compute with \(B, channels, h, w\), got 'swin_tiny_patch4_window7_224'\. Take",
        ),
        ({"type": "pan", "encoder": "nothing"}, "encoder must be a network of timm, got 'nothing'"),
    ],
)
def test_encoders_that_are_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        on_meta(spec)


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "unet", "decoder_channels": [1, 2]},
        {"type": "fpn", "norm": "layer"},
        {"type": "fpn", "norm": "group", "segmentation_channels": 48},
        {"type": "deeplabv3plus", "rates": [1, 2]},
        {"type": "deeplabv3plus", "dropout": 1.5},
    ],
)
def test_parameters_that_are_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        network_of(spec)


@pytest.mark.parametrize("encoder", ["convnext_atto", "efficientnet_b0", "vgg11_bn"])
@pytest.mark.parametrize("name", ["unet", "fpn", "pan"])
def test_encoders_of_timm(name: str, encoder: str) -> None:
    model = on_meta({"type": name, "encoder": encoder})
    assert model(blank_images(model)).shape == (2, 14)


@pytest.mark.parametrize("name", NAMES)
def test_published_weights_from_a_file(tmp_path: Path, name: str) -> None:
    torch.manual_seed(3)
    published = timm.create_model(TINY).state_dict()
    save_file(published, tmp_path / "it.safetensors")
    spec = {"type": name, "encoder": TINY, "weights": {"file": str(tmp_path / "it.safetensors"), "holds": "pretrained"}}
    model: Any = create_model(spec, in_channels=3, num_classes=2, image_size=256)
    own = model.encoder.model.model.state_dict()
    assert own.keys() == {key for key in published if not key.startswith("fc.")}
    assert all(torch.equal(own[key], published[key]) for key in own)
