"""VGG-Att: against its formulas, place by place."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from miso_gen.errors import InputError
from miso_gen.models import create_model


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return create_model("vgg-att", in_channels=2, num_classes=3, image_size=(32, 64)).eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def run_block(state: dict[str, Tensor], name: str, values: Tensor, pool: bool = False) -> Tensor:
    """Convolution, normalisation, ReLU, as often as the block has convolutions."""
    numbers = sorted({int(key.split(".")[1]) for key in state if key.startswith(f"{name}.")})
    for conv, norm in zip(numbers[::2], numbers[1::2], strict=True):
        values = functional.conv2d(values, state[f"{name}.{conv}.weight"], state[f"{name}.{conv}.bias"], padding=1)
        mean, var = (state[f"{name}.{norm}.running_{what}"][:, None, None] for what in ("mean", "var"))
        scale, shift = (state[f"{name}.{norm}.{what}"][:, None, None] for what in ("weight", "bias"))
        values = ((values - mean) / (var + 1e-5).sqrt() * scale + shift).clamp(min=0)
        values = functional.max_pool2d(values, 2) if pool else values
    return values


def literal(state: dict[str, Tensor], images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return logits and attention maps before the softmax, by the formulas."""
    half = lambda values: functional.max_pool2d(values, 2)  # noqa: E731
    first = run_block(state, "block3", run_block(state, "block2", run_block(state, "block1", images)))
    second = run_block(state, "block4", half(first))
    third = run_block(state, "block5", half(second))
    last = run_block(state, "block6", half(third), pool=True)
    whole = torch.einsum("bchw,ochw->bo", last, state["whole.weight"]) + state["whole.bias"]
    locals_ = [torch.einsum("bchw,oc->bohw", first, state["project.weight"][:, :, 0, 0]), second, third]
    maps, seen = [], []
    for number, local in enumerate(locals_, 1):
        score = state[f"attention{number}.score.weight"][0, :, 0, 0]
        map = torch.stack(
            [
                torch.stack([((local[:, :, row, col] + whole) * score).sum(1) for col in range(local.shape[3])], 1)
                for row in range(local.shape[2])
            ],
            1,
        )
        weights = map.exp() / map.exp().sum((1, 2), keepdim=True)
        maps.append(map)
        seen.append((weights[:, None] * local).sum((2, 3)))
    return torch.cat(seen, 1) @ state["classifier.weight"].T + state["classifier.bias"], maps


def test_formulas(model: Any) -> None:
    images = noise(2, 2, 32, 64)
    state = {name: tensor.double() for name, tensor in model.state_dict().items()}
    logits, maps = literal(state, images.double())
    with torch.no_grad():
        torch.testing.assert_close(model(images).double(), logits, rtol=1e-3, atol=1e-3 * float(logits.abs().max()))
        found = model.attention(images)
    assert list(found) == ["attention1", "attention2", "attention3"]
    for map, expected in zip(found.values(), maps, strict=True):
        torch.testing.assert_close(map.double(), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_layers(model: Any) -> None:
    """No pooling between the first three blocks; no bias where the formula has none."""
    kinds = {
        f"block{number}": [type(part).__name__ for part in getattr(model, f"block{number}").children()] for number in range(1, 7)
    }
    unit = ["Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds == {
        "block1": unit * 2,
        "block2": unit * 2,
        "block3": unit * 3,
        "block4": unit * 3,
        "block5": unit * 3,
        "block6": [*unit, "MaxPool2d"] * 2,
    }
    assert model.whole.kernel_size == (1, 2)
    assert model.whole.bias is not None
    assert model.project.bias is None
    assert all(getattr(model, f"attention{number}").score.bias is None for number in (1, 2, 3))


def test_the_start(model: Any) -> None:
    """Xavier uniform with gain sqrt(2): within sqrt(2) sqrt(6 / (in + out)); scales in [0, 1); biases 0."""
    for part in model.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            weight = part.weight.detach()
            places = weight[0, 0].numel()
            reach = sqrt(2) * sqrt(6 / ((weight.shape[0] + weight.shape[1]) * places))
            assert float(weight.abs().max()) <= reach
            assert float(weight.abs().max()) > 0.9 * reach
        if isinstance(part, nn.BatchNorm2d):
            scales = part.weight.detach()
            assert 0 <= float(scales.min()) < float(scales.max()) < 1
        if isinstance(part, nn.Conv2d | nn.Linear | nn.BatchNorm2d) and part.bias is not None:
            assert not part.bias.any()


def test_another_size_is_refused(model: Any) -> None:
    for ask in (model, model.attention):
        with pytest.raises(InputError, match=r"images must have the size that the model was built for, \(32, 64\), got 32\."):
            ask(noise(2, 2, 32, 32))
