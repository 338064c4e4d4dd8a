"""Parameters and feature sizes of the networks of the papers, without any numbers in them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from miso_gen.models import blank_images, count_parameters, create_model, feature_sizes

STANDARD = {"type": "vgg19", "form": "standard"}


def on_meta(model: Any, channels: int, classes: int, size: int) -> nn.Module:
    with torch.device("meta"):
        return create_model(model, in_channels=channels, num_classes=classes, image_size=size)


@pytest.mark.parametrize(
    ("model", "channels", "classes", "size", "count"),
    [
        ("vgg19", 1, 2, 96, 56_761_218),
        (STANDARD, 3, 2, 224, 139_578_434),
        ("vgg-att", 1, 2, 96, 21_939_138),
        ("vgg-att", 1, 2, 224, 32_424_898),
        ("spa-mab", 3, 10, 512, 82_376),
        ("spa-mab", 3, 3, 512, 66_241),
        ("resnet50", 3, 2, 224, 23_508_032 + 2 * 2049),
        ("resnet50", 1, 2, 224, 23_501_760 + 2 * 2049),
        # the libraries' own counts for 1000 classes, with the heads taken off and put on by hand
        ("resnet34", 3, 10, 512, 21_797_672 - 1000 * 513 + 10 * 513),
        ("resnext50", 3, 2, 224, 25_028_904 - 1000 * 2049 + 2 * 2049),
        ("sk-resnext50", 3, 2, 224, 27_479_784 - 1000 * 2049 + 2 * 2049),
        ("alexnet", 3, 10, 224, 61_100_840 - 1000 * 4097 + 10 * 4097),
        ("vgg16", 3, 10, 224, 138_357_544 - (4096 * 4097 + 1000 * 4097) + 10 * 4097),
    ],
)
def test_counts(model: Any, channels: int, classes: int, size: int, count: int) -> None:
    assert count_parameters(on_meta(model, channels, classes, size)) == count


@pytest.mark.parametrize(
    ("model", "size", "sizes"),
    [
        ("vgg19", 96, [(128, 96), (256, 48), (256, 24), (512, 12), (512, 6)]),
        (STANDARD, 224, [(64, 224), (128, 112), (256, 56), (512, 28), (512, 14)]),
        ("vgg-att", 96, [(64, 96), (128, 96), (256, 96), (512, 48), (512, 24), (512, 3)]),
        ("vgg-att", 224, [(64, 224), (128, 224), (256, 224), (512, 112), (512, 56), (512, 7)]),
        ("spa-mab", 512, [(7, 253), (7, 126), (17, 62), (96, 30)]),
        ("resnet50", 256, [(256, 64), (512, 32), (1024, 16), (2048, 8)]),
        ("resnext50", 256, [(256, 64), (512, 32), (1024, 16), (2048, 8)]),
        ("sk-resnext50", 256, [(256, 64), (512, 32), (1024, 16), (2048, 8)]),
        ("resnet34", 512, [(64, 128), (128, 64), (256, 32), (512, 16)]),
        ("alexnet", 224, [(64, 55), (192, 27), (384, 13), (256, 13), (256, 13)]),
        ("vgg16", 224, [(64, 224), (128, 112), (256, 56), (512, 28), (512, 14)]),
    ],
)
def test_feature_sizes(model: Any, size: int, sizes: list[tuple[int, int]]) -> None:
    assert list(feature_sizes(on_meta(model, 1, 2, size)).values()) == [(channels, side, side) for channels, side in sizes]


@pytest.mark.parametrize(("size", "sides"), [(96, (96, 48, 24)), (224, (224, 112, 56))])
def test_attention_sizes(size: int, sides: tuple[int, ...]) -> None:
    model: Any = on_meta("vgg-att", 1, 2, size)
    maps = model.attention(blank_images(model, batch=5))
    assert [tuple(map.shape) for map in maps.values()] == [(5, side, side) for side in sides]


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_selective_kernels(stage: int) -> None:
    """Two grouped convolutions, of which the second reaches twice as far; the choice goes through C / 16, at least 32."""
    model = on_meta("sk-resnext50", 3, 2, 64)
    for block in model.get_submodule(f"layer{stage}").children():
        unit: Any = block.get_submodule("conv2")
        near, far = (path.conv for path in unit.paths)
        channels = 64 * 2**stage
        for conv, reach in ((near, 1), (far, 2)):
            assert (conv.out_channels, conv.groups, conv.kernel_size) == (channels, 32, (3, 3))
            assert conv.dilation == (reach, reach)
            assert conv.bias is None
        narrow = max(32, round(channels / 16 / 32) * 32)
        assert tuple(unit.attn.fc_reduce.weight.shape) == (narrow, channels, 1, 1)
        assert tuple(unit.attn.fc_select.weight.shape) == (2 * channels, narrow, 1, 1)
        assert unit.attn.fc_reduce.bias is None
        assert unit.attn.fc_select.bias is None
