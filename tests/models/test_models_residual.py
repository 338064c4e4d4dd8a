"""Residual networks: against timm, and the dropout of the thesis."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from miso_gen.errors import RecipeError
from miso_gen.models import create_model
from miso_gen.models.networks.sk_resnext50 import BlockDropout, SKResNeXt50

DROPPED = {"type": "sk-resnext50", "dropout": 0.1, "dropout_in": "always"}


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("resnet50", "resnet50"), ("resnext50", "resnext50_32x4d"), ("sk-resnext50", "skresnext50_32x4d"), ("resnet34", "resnet34")],
)
def test_logits_are_those_of_timm(name: str, theirs: str) -> None:
    torch.manual_seed(0)
    reference = timm.create_model(theirs, num_classes=5, in_chans=2).eval()
    state = dict(reference.state_dict())
    with torch.device("meta"):
        model = create_model(name, in_channels=2, num_classes=5, image_size=64).eval()
    if name == "resnet34":  # a convolution of one place stands for the linear layer
        state["fc.0.weight"], state["fc.0.bias"] = state.pop("fc.weight")[:, :, None, None], state.pop("fc.bias")
    model.load_state_dict(state, assign=True)
    images = noise(2, 2, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(images), reference(images))


def test_no_module_overwrites_its_input() -> None:
    with torch.device("meta"):
        for name in ("resnet50", "resnet34", "resnext50", "sk-resnext50"):
            model = create_model(name, in_channels=3, num_classes=2, image_size=32)
            assert any(isinstance(part, nn.ReLU) for part in model.modules())
            assert not any(getattr(part, "inplace", False) for part in model.modules())


# --- dropout after every block ----------------------------------------------------------------------------------------


def test_dropout_stands_after_every_block_and_renames_nothing() -> None:
    with torch.device("meta"):
        plain = create_model("sk-resnext50", in_channels=3, num_classes=2, image_size=32)
        dropped = create_model(DROPPED, in_channels=3, num_classes=2, image_size=32)
    assert list(plain.state_dict()) == list(dropped.state_dict())
    names = [name for name, part in dropped.named_modules() if isinstance(part, BlockDropout)]
    blocks = [f"layer{stage}.{block}" for stage, count in enumerate((3, 4, 6, 3), 1) for block in range(count)]
    assert names == [f"{block}.act.1" for block in blocks]
    assert not any(isinstance(part, BlockDropout) for part in plain.modules())


@pytest.mark.parametrize(("dropout_in", "differs"), [("always", True), ("training", False)])
def test_dropout_in_evaluation(dropout_in: str, differs: bool) -> None:
    torch.manual_seed(0)
    model = create_model({**DROPPED, "dropout_in": dropout_in}, in_channels=1, num_classes=2, image_size=32).eval()
    images = noise(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(images), model(images)) != differs


def test_dropout_in_training() -> None:
    """Each value is dropped or scaled by 1 / (1 - share), whatever its neighbours."""
    layer, values = BlockDropout(0.1, always=False), torch.ones(4, 8, 50, 50)
    torch.manual_seed(0)
    found = layer.train()(values)
    assert found.unique().tolist() == pytest.approx([0.0, 1 / 0.9])
    assert float((found == 0).double().mean()) == pytest.approx(0.1, abs=4 * (0.09 / values.numel()) ** 0.5)
    assert float((found == 0).double().mean((2, 3)).std()) < 0.02  # no whole channels
    assert torch.equal(layer.eval()(values), values)


@pytest.mark.parametrize("dropout", [1.0, -0.1])
def test_dropout_must_be_a_chance_below_1(dropout: float) -> None:
    with pytest.raises(RecipeError, match="dropout"):
        SKResNeXt50.from_spec({"dropout": dropout})
    with pytest.raises(ValidationError):
        SKResNeXt50(dropout=dropout)


def test_extra_repr() -> None:
    shown: Any = repr(BlockDropout(0.1, always=True))
    assert shown == "BlockDropout(share=0.1, always=True)"
