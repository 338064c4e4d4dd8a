"""Weights from files that the tests make, and published weights from the caches of their libraries."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from miso_gen.errors import InputError, RecipeError, WorkError
from miso_gen.models import create_model, offer_of
from miso_gen.models.weights import Pretrained, first_convolution, fit, fit_channels, read_state

SMALL: dict[str, Any] = {"in_channels": 3, "num_classes": 4, "image_size": 40}


def made(seed: int = 0, **changes: Any) -> nn.Module:
    torch.manual_seed(seed)
    return create_model("spa-mab", **{**SMALL, **changes})


def saved(model: nn.Module, path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(model.state_dict(), path)
    else:
        torch.save(model.state_dict(), path)
    return path


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# --- files of this very network ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["it.pt", "it.pth", "it.safetensors"])
def test_a_file_gives_its_weights(tmp_path: Path, name: str) -> None:
    model = made(1)
    path = saved(model, tmp_path / name)
    for weights in (path, str(path), {"file": str(path)}, {"file": str(path), "holds": "all"}):
        assert same(made(2, weights=weights).state_dict(), model.state_dict())
    assert not same(made(2).state_dict(), model.state_dict())
    spec = {"type": "spa-mab", "weights": str(path)}
    assert same(create_model(spec, **SMALL).state_dict(), model.state_dict())
    assert not same(create_model(spec, **SMALL, weights="none").state_dict(), model.state_dict())


def test_the_offer_tells_where_weights_are_from(tmp_path: Path) -> None:
    path = str(saved(made(), tmp_path / "it.pt"))
    assert offer_of(made(weights=path)).spec["weights"] == path
    assert offer_of(made(weights={"file": path})).spec["weights"] == {"file": path, "holds": "all"}


def test_a_dict_that_holds_a_state_dict(tmp_path: Path) -> None:
    model, path = made(1), tmp_path / "it.ckpt"
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, path)
    assert same(made(2, weights=path).state_dict(), model.state_dict())


class Trap:
    """A pickle that would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_files_that_are_none_of_tensors(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    torch.save({"weight": Trap(trap)}, tmp_path / "trap.pt")
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    torch.save({"weight": 3}, tmp_path / "numbers.pt")
    (tmp_path / "text.pt").write_text("weights")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"weight": 1}, protocol=2))
    (tmp_path / "text.safetensors").write_text("weights")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    whole = saved(made(), tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    for name in ("trap", "list", "numbers", "text", "empty", "plain", "cut"):
        with pytest.raises(
            InputError, match=rf"{name}\.pt must be a \.safetensors file, or a state dict that torch\.save wrote, got"
        ):
            read_state(tmp_path / f"{name}.pt")
    for name in ("text", "empty"):
        with pytest.raises(InputError, match=rf"{name}\.safetensors must be a \.safetensors file"):
            read_state(tmp_path / f"{name}.safetensors")
    assert not trap.exists()


@pytest.mark.parametrize("weights", ["absent.pt", "None", "imagenet"])
def test_no_such_file(weights: str) -> None:
    with pytest.raises(
        InputError, match=rf"weights must be none, pretrained, or the path of a file, got '{weights}'\. There is no"
    ):
        made(weights=weights)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"file": "a.pt", "holds": "some"}, "holds must be 'all', 'features' or 'pretrained', got 'some'."),
        ({"holds": "all"}, "file must be given, got nothing."),
        ({"file": "a.pt", "strict": True}, "strict must be one of the keys file, holds, got 'strict'. Its value is true."),
        (3, "weights must be none, pretrained, the path of a file, or {file: path, holds: all}, got 3."),
    ],
)
def test_wrong_parameters(weights: Any, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        create_model({"type": "spa-mab", "weights": weights}, **SMALL)
    assert str(caught.value) == message


# --- files that don't fit ---------------------------------------------------------------------------------------------


def test_what_is_missing_strange_and_of_another_shape_is_listed(tmp_path: Path) -> None:
    state, path, model = made(1).state_dict(), tmp_path / "it.pt", made(2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    del state["mab.0.bias"]
    state["other.weight"] = torch.zeros(3)
    state["classifier.weight"] = torch.zeros(7, 2304)
    torch.save(state, path)
    with pytest.raises(InputError) as caught:
        made(weights=path)
    assert str(caught.value) == (
        f"{path} must hold the weights of this network, got missing: mab.0.bias; strange: other.weight; "
        "other shapes: classifier.weight (7, 2304) for (4, 2304). "
        "Where classes or channels differ, write {file: PATH, holds: features}."
    )
    with pytest.raises(InputError):
        fit(model, state, "it")
    assert same(model.state_dict(), before)  # all or nothing


def test_long_lists_are_cut(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "it.pt")
    with pytest.raises(InputError, match=r"missing: features\.0\.0\.weight, .*, \.\.\. \(37 in all\); strange: a\."):
        made(weights=tmp_path / "it.pt")


# --- features of another one ------------------------------------------------------------------------------------------


def test_features_of_a_network_with_other_classes_and_channels(tmp_path: Path) -> None:
    source = made(1, num_classes=9)
    path = saved(source, tmp_path / "it.safetensors")
    torch.manual_seed(5)
    fresh = create_model("spa-mab", **{**SMALL, "in_channels": 1}).state_dict()
    torch.manual_seed(5)
    found = create_model(
        "spa-mab", **{**SMALL, "in_channels": 1}, weights={"file": path.as_posix(), "holds": "features"}
    ).state_dict()
    for name, tensor in found.items():
        if name.startswith("classifier."):
            assert torch.equal(tensor, fresh[name])
        elif name == "features.0.0.weight":
            assert torch.equal(tensor, source.state_dict()[name].sum(1, keepdim=True))
        else:
            assert torch.equal(tensor, source.state_dict()[name])


def test_features_must_fit_but_for_the_head(tmp_path: Path) -> None:
    state = made(1, num_classes=9).state_dict()
    del state["mab.1.weight"]
    torch.save(state, tmp_path / "it.pt")
    with pytest.raises(InputError, match=r"got missing: mab\.1\.weight\. Take a file of the same network\."):
        made(weights={"file": str(tmp_path / "it.pt"), "holds": "features"})


@given(st.integers(1, 6), st.integers(1, 6))
def test_fit_channels(known: int, channels: int) -> None:
    """Where all channels show the same, the response stays the same."""
    generator = torch.Generator().manual_seed(known)
    weight = torch.randn(4, known, 3, 3, generator=generator, dtype=torch.float64)
    grey = torch.randn(1, 1, 5, 5, generator=generator, dtype=torch.float64)
    fitted = fit_channels(weight, channels)
    assert fitted.shape == (4, channels, 3, 3)
    if channels == 1 or channels % known == 0:
        before, after = (functional.conv2d(grey.expand(-1, one.shape[1], -1, -1), one) for one in (weight, fitted))
        torch.testing.assert_close(after, before)
    for channel in range(channels):
        expected = weight.sum(1) if channels == 1 else weight[:, channel % known] * known / channels
        torch.testing.assert_close(fitted[:, channel], expected)


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_fit_channels_agrees_with_timm(channels: int) -> None:
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fit_channels(weight, channels), timm.models.adapt_input_conv(channels, weight))


def test_first_convolution() -> None:
    assert first_convolution(made()) == "features.0.0"
    with pytest.raises(InputError, match="model must have a convolution, got none"):
        first_convolution(nn.Linear(2, 2))


# --- published weights ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """Weights as timm publishes them: three channels, 1000 classes."""
    torch.manual_seed(7)
    return dict(timm.create_model("resnet34").state_dict())


def check_published(model: nn.Module, published: dict[str, Tensor]) -> None:
    found = model.state_dict()
    assert torch.equal(found["conv1.weight"], published["conv1.weight"].sum(1, keepdim=True))
    for name in published.keys() - {"conv1.weight", "fc.weight", "fc.bias"}:
        assert torch.equal(found[name], published[name]), name
    assert found["fc.0.weight"].shape == (2, 512, 1, 1)


def test_a_file_of_published_weights(tmp_path: Path, published: dict[str, Tensor]) -> None:
    safetensors.torch.save_file(published, tmp_path / "model.safetensors")
    weights = {"file": str(tmp_path / "model.safetensors"), "holds": "pretrained"}
    check_published(create_model("resnet34", in_channels=1, num_classes=2, image_size=64, weights=weights), published)


def test_published_weights_of_timm(tmp_path: Path, published: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """As its hub would bring them: from a cache, laid out as the hub lays it out."""
    folder = tmp_path / "models--timm--resnet34.tv_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    (folder / "snapshots" / ("a" * 40)).mkdir(parents=True)
    safetensors.torch.save_file(published, folder / "snapshots" / ("a" * 40) / "model.safetensors", {"format": "pt"})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    check_published(create_model("resnet34", in_channels=1, num_classes=2, image_size=64, weights="pretrained"), published)


def test_published_weights_of_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it keeps what it downloaded; its linear layers are not ours."""
    torch.manual_seed(7)
    source = create_model("alexnet", in_channels=3, num_classes=1000, image_size=224)
    features = {name: tensor for name, tensor in source.state_dict().items() if name.startswith("features.")}
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save({**features, "classifier.1.weight": torch.zeros(1)}, tmp_path / "hub/checkpoints/alexnet-owt-7be5be79.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    found = create_model("alexnet", in_channels=3, num_classes=2, image_size=63, weights="pretrained").state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in features.items())
    assert found["classifier.1.weight"].any()


def test_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        WorkError, match=r"pretrained weights resnet34\.tv_in1k of timm must be reachable, got .*holds: pretrained\}"
    ):
        create_model("resnet34", in_channels=1, num_classes=2, image_size=64, weights="pretrained")


@pytest.mark.parametrize("weights", ["pretrained", {"file": "a.pt", "holds": "pretrained"}])
def test_nobody_published_any(weights: Any) -> None:
    with pytest.raises(InputError, match=r"weights of spa-mab must be none or a file, got pretrained\. Nobody published any\."):
        made(weights=weights)


def test_names_of_published_weights() -> None:
    source = Pretrained("timm", "it", fresh=(), prefix="encoder.", unused=("fc",))
    state = {"conv1.weight": torch.zeros(1), "fc.weight": torch.zeros(1), "fcs.weight": torch.ones(1)}
    assert list(source.renamed(state)) == ["encoder.conv1.weight", "encoder.fcs.weight"]
