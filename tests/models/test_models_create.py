"""Building networks: what is refused, what is told, and what stays as it was."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import miso_gen.models
from miso_gen.errors import InputError, MissingExtraError, RecipeError, UnknownNameError
from miso_gen.models import MODELS, blank_images, create_model, feature_sizes, network_of, offer_of
from miso_gen.models.libraries import library
from miso_gen.models.networks.spa_mab import SpaMab

SMALL: dict[str, Any] = {"in_channels": 3, "num_classes": 4, "image_size": 40}


@pytest.mark.parametrize("model", ["spa-mab", {"type": "spa-mab"}, SpaMab()])
def test_ways_to_name_a_network(model: Any) -> None:
    built = create_model(model, **SMALL)
    assert type(built).__name__ == "SpaMabNet"
    assert offer_of(built).spec == {"type": "spa-mab", "head_reads": "keys", "weights": "none"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_channels": 0}, "in_channels must be a whole number from 1, got 0."),
        ({"num_classes": True}, "num_classes must be a whole number from 1, got True."),
        ({"num_classes": 2.0}, "num_classes must be a whole number from 1, got 2.0."),
        ({"image_size": None}, "image_size must be a whole number from 1, got None."),
        ({"image_size": -3}, "image_size must be a whole number from 1, got -3."),
        ({"image_size": (40, 0)}, "image_size must be a whole number from 1, got 0."),
        ({"image_size": (40, 40, 40)}, "image_size must be one number, or height and width, got (40, 40, 40)."),
        ({"image_size": 34}, "image_size must be at least 35, for spa-mab, got 34. Nearest: 35."),
    ],
)
def test_refused_numbers(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        create_model("spa-mab", **{**SMALL, **changes})
    assert str(caught.value) == message


def test_refused_names() -> None:
    with pytest.raises(UnknownNameError, match=r"got 'vgg18'\..*vgg19"):
        create_model("vgg18", **SMALL)
    with pytest.raises(RecipeError, match="head_reads"):
        create_model({"type": "spa-mab", "head_reads": "values"}, **SMALL)
    with pytest.raises(RecipeError, match="depth"):
        create_model({"type": "vgg19", "depth": 19}, **SMALL)
    for value in ({"form": "wide"}, 3, None):
        with pytest.raises(InputError, match=r"model must be a name or \{'type': name, \.\.\.\}, got"):
            network_of(value)  # type: ignore[arg-type]


def test_whole_numbers_of_any_kind() -> None:
    built = create_model("spa-mab", in_channels=np.int64(1), num_classes=np.uint8(2), image_size=np.int32(40))  # type: ignore[arg-type]
    assert offer_of(built).image_size == (40, 40)
    assert built(torch.zeros(2, 1, 40, 40)).shape == (2, 2)


def test_sizes_may_be_a_list_as_in_a_file() -> None:
    assert offer_of(create_model("spa-mab", in_channels=1, num_classes=2, image_size=[40, 51])).image_size == (40, 51)


def test_the_seed_decides_the_weights() -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(create_model("spa-mab", **SMALL).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["classifier.weight"], states[2]["classifier.weight"])


def test_feature_sizes_leave_the_network_as_it_is() -> None:
    model = create_model("spa-mab", **SMALL).train()
    before, random = {name: tensor.clone() for name, tensor in model.state_dict().items()}, torch.get_rng_state()
    sizes = feature_sizes(model)
    assert list(sizes) == ["features.0", "features.1", "features.2", "features.3"]
    assert model.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(part._forward_hooks for part in model.modules())
    assert feature_sizes(model, torch.zeros(1, 3, 512, 600))["features.3"] == (96, 30, 36)


def test_blank_images() -> None:
    images = blank_images(create_model("spa-mab", **SMALL), batch=5, device="cpu")
    assert images.shape == (5, 3, 40, 40)
    assert not images.any()


@pytest.mark.parametrize("model", [nn.Linear(2, 2), nn.Sequential()])
def test_other_modules_offer_nothing(model: nn.Module) -> None:
    with pytest.raises(InputError, match=r"model must be made by create_model, got (Linear|Sequential)\."):
        offer_of(model)


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"the model resnet50 needs the package 'timm'.*miso-gen\[eval\]"):
        create_model("resnet50", **SMALL)
    create_model("spa-mab", **SMALL)


def test_a_library_that_misses_another_is_no_missing_extra(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_library.py").write_text("import no_such_package_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        library("broken_library", "it")


def test_without_torch() -> None:
    code = """
        import sys
        sys.modules["torch"] = None
        from miso_gen.errors import MissingExtraError
        import miso_gen.models
        assert "create_model" in dir(miso_gen.models)
        try:
            miso_gen.models.create_model
        except MissingExtraError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert "miso_gen.models.create_model needs the package 'torch'" in done.stdout
    assert "miso-gen[eval]" in done.stdout


def test_the_door() -> None:
    assert all(getattr(miso_gen.models, name) is not None for name in miso_gen.models.__all__)
    assert (
        sorted(miso_gen.models.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)) == miso_gen.models.__all__
    )
    with pytest.raises(AttributeError, match=r"module 'miso_gen\.models' has no attribute 'networks_of'"):
        miso_gen.models.networks_of  # noqa: B018
    assert {"vgg19", "vgg-att", "resnet34", "resnet50", "resnext50", "sk-resnext50", "alexnet", "vgg16", "spa-mab"} <= {
        *MODELS.names()
    }
