"""What every explainer promises; a new file is tested by existing."""

from __future__ import annotations

import inspect
import json
import pickle
import random as python_random
import re
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
import yaml
from explaining import Averaged, Net, linear, random
from torch import Tensor, nn

from miso_gen.errors import InputError
from miso_gen.explain.calling import explained, explainer_of, explaining
from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, LayerExplainer, Need, PixelExplainer

NAMES = EXPLAINERS.names()
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9+]+)*[+]*")
ROWS, COLS = 16, 20

#: Parameters that an explainer needs, or that make it quick.
SMALL: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"n_steps": 8},
    "joint": {"of": [{"type": "saliency"}, {"type": "occlusion"}]},
    "lime": {"samples": 80, "segmentation": {"type": "grid", "cells": 12}},
    "rise": {"masks": 80, "cells": 4, "normalize": "coverage"},  # by expectation, a constant model has noise
    "scorecam": {"relu": False},  # what raises no score of this network is nothing
    "smoothgrad": {"samples": 4},
}
#: Explainers that draw random numbers: another seed gives another map.
DRAWN = {"deeplift-shap", "gradient-shap", "lime", "random", "rise", "smoothgrad"}
#: Explainers whose map depends on the image, or on nothing, and not on what the network makes of it.
NULLS = {name for name, cls in EXPLAINERS if cls.family == "null"}

every = pytest.mark.parametrize("name", NAMES)


def made(name: str, **parameters: Any) -> Explainer:
    return explainer_of(name, {**SMALL.get(name, {}), **parameters})


def images(count: int = 3, channels: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    return random(count, channels, ROWS, COLS, seed=7, dtype=dtype)


def truth(count: int = 3) -> Tensor:
    found = torch.zeros(count, ROWS, COLS, dtype=torch.uint8)
    found[:, 3:9, 4:12] = 1
    found[:, 5:7, 6:9] = 2
    return found


def maps(name: str, model: Any = None, target: Any = (0, 1, 2), seed: Any = 0, size: str = "image", **parameters: Any) -> Tensor:
    given = parameters.pop("images", images())
    goals = target if isinstance(target, int) else torch.tensor(target)
    shown = None if "truth" not in EXPLAINERS.get(name).needs else truth(len(given))
    found = explained(
        Net() if model is None else model,
        given,
        made(name, **parameters),
        target=goals,
        truth=shown,
        seed=seed,
        size=size,  # type: ignore[arg-type]  # one of the two
    )
    return found.maps


def same(one: Tensor, other: Tensor, error: float = 1e-5) -> None:
    """Equal up to a share of the greatest value of each map."""
    assert one.shape == other.shape
    size = other.abs().flatten(1).amax(1)[:, None, None]
    assert ((one - other).abs() <= error * size + 1e-9).all(), (one - other).abs().max()


# --- what they declare ------------------------------------------------------------------------------------------------


@every
def test_declarations(name: str) -> None:
    cls = EXPLAINERS.get(name)
    assert KEBAB.fullmatch(name)
    assert cls.type_name == name
    assert cls.family in get_args(Family)
    assert cls.source.strip()
    assert cls.needs <= set(get_args(Need))
    assert isinstance(cls.signed, bool)
    assert isinstance(cls.class_sensitive, bool)
    assert isinstance(made(name).is_signed, bool)
    if cls.family == "null":
        assert not cls.class_sensitive


@every
def test_documentation_shows_an_example_and_a_source(name: str) -> None:
    cls = EXPLAINERS.get(name)
    text = inspect.getdoc(cls) or ""
    assert "Source:" in text
    example = re.search(r"::\n\n((?:    .*\n?)+)", text)
    assert example, f"{cls.__name__} must show an example below '::'"
    spec = yaml.safe_load(inspect.cleandoc(example[1]))
    assert spec["type"] == name
    shown = cls.from_spec(spec)
    assert cls.from_spec(json.loads(json.dumps(shown.to_spec()))) == shown
    assert pickle.loads(pickle.dumps(shown)) == shown
    assert re.match(r"[A-Z].*[.]", (inspect.getmodule(cls).__doc__ or "").splitlines()[0])  # type: ignore[union-attr]
    for field, info in cls.model_fields.items():
        assert (info.description or "").strip(), f"{name}.{field}"


@every
def test_specifications_come_back(name: str) -> None:
    one = made(name)
    assert type(one).from_spec(one.to_spec()) == one
    assert explainer_of(json.loads(json.dumps(one.to_spec()))) == one


# --- what they make ---------------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(name: str, channels: int) -> None:
    found = maps(name, Net(channels), images=images(channels=channels))
    assert found.shape == (3, ROWS, COLS)
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    assert not found.requires_grad
    own = maps(name, Net(channels), images=images(channels=channels), size="own")
    assert own.ndim == 3
    assert len(own) == 3
    if isinstance(made(name), PixelExplainer):
        assert own.shape == found.shape


@every
def test_maps_are_not_the_same_everywhere(name: str) -> None:
    found = explained(Net(), images(), made(name), target=torch.tensor([0, 1, 2]), truth=truth())
    assert found.signed == made(name).is_signed
    assert bool(found.constant.any()) == (name == "constant")


@every
def test_a_seed_decides(name: str) -> None:
    first = maps(name)
    assert torch.equal(maps(name), first)
    assert torch.equal(maps(name, seed=5), first) == (name not in DRAWN)


@every
def test_a_batch_is_a_loop(name: str) -> None:
    model, given, seeds, goals = Net(), images(), [11, 12, 13], [2, 0, 1]
    together = maps(name, model, goals, seeds, images=given)
    for k in range(3):
        alone = maps(name, model, goals[k : k + 1], seeds[k : k + 1], images=given[k : k + 1])
        same(alone, together[k : k + 1])


@every
def test_the_size_of_batches_changes_nothing(name: str) -> None:
    wanted = maps(name)
    model, given, goals = Net(), images(), torch.tensor([0, 1, 2])
    for batch in (1, 2):
        same(explained(model, given, made(name), target=goals, truth=truth(), batch=batch).maps, wanted)


@every
def test_class_sensitivity(name: str) -> None:
    found = [maps(name, target=target) for target in range(3)]
    for k in range(3):
        if EXPLAINERS.get(name).class_sensitive:
            assert not torch.allclose(found[0][k], found[1][k], rtol=1e-3)
        else:
            assert torch.equal(found[0][k], found[1][k])


@every
def test_precision(name: str) -> None:
    """A network and images of double precision give the same map."""
    same(maps(name, Net().double(), images=images().double()), maps(name), 1e-3)


@every
def test_relu_may_overwrite_its_input(name: str) -> None:
    same(maps(name, Net(inplace=True)), maps(name))


@every
def test_several_layers_are_joined(name: str) -> None:
    if not isinstance(made(name), LayerExplainer):
        return
    first, last = (maps(name, layer=layer, scale="min-max") for layer in ("features.1", "features.3"))
    both = maps(name, layer=["features.1", "features.3"])
    assert both.shape == (3, ROWS, COLS)
    assert torch.equal(maps(name, layer="all"), both)
    assert torch.equal(maps(name, layer=-1, scale="min-max"), last)
    assert not torch.allclose(both, first)
    assert not torch.allclose(both, last)
    assert torch.allclose(both.flatten(1).amax(1), torch.ones(3))


# --- a constant model, and a linear one ---------------------------------------------------------------------------------


@every
def test_a_constant_model_has_constant_maps(name: str) -> None:
    """No weight but the bias of the logits is other than 0: there is nothing to say of where."""
    if name in NULLS:
        return
    found = maps(name, Net(zero="all"))
    assert ((found.flatten(1).amax(1) - found.flatten(1).amin(1)) <= 1e-6).all()


@every
def test_logits_that_depend_on_nothing_have_constant_maps(name: str) -> None:
    """Activations depend on the image, logits don't."""
    if not EXPLAINERS.get(name).class_sensitive:
        return
    found = maps(name, Net(zero="head"))
    assert ((found.flatten(1).amax(1) - found.flatten(1).amin(1)) <= 1e-6).all()


#: What a map must be where logits = W x + b: of W (B, C, H, W) of the targets, images x, and logits.
LINEAR: list[tuple[str, dict[str, Any], Callable[[Tensor, Tensor], Tensor]]] = [
    ("saliency", {}, lambda w, x: w.abs().sum(1)),
    ("saliency", {"absolute": False}, lambda w, x: w.sum(1)),
    ("saliency", {"channels": "l2"}, lambda w, x: w.square().sum(1).sqrt()),
    ("input-x-gradient", {}, lambda w, x: (w * x).sum(1)),
    ("integrated-gradients", {"n_steps": 3}, lambda w, x: (w * x).sum(1)),
    ("integrated-gradients", {"n_steps": 3, "baseline": 0.5}, lambda w, x: (w * (x - 0.5)).sum(1)),
    ("smoothgrad", {"samples": 2}, lambda w, x: w.abs().sum(1)),
    ("smoothgrad", {"samples": 2, "absolute": False}, lambda w, x: w.sum(1)),
    ("guided-backprop", {}, lambda w, x: w.sum(1)),
    ("deconvolution", {}, lambda w, x: w.sum(1)),
    ("deeplift", {}, lambda w, x: (w * x).sum(1)),
    ("deeplift", {"baseline": 0.25}, lambda w, x: (w * (x - 0.25)).sum(1)),
    ("deeplift-shap", {"std": 0.0}, lambda w, x: (w * x).sum(1)),
    ("gradient-shap", {"std": 0.0}, lambda w, x: (w * x).sum(1)),
    ("occlusion", {"window_px": 1, "stride_px": 1, "baseline": "zero"}, lambda w, x: (w * x).sum(1)),
]


@pytest.mark.parametrize(("name", "parameters", "form"), LINEAR)
def test_the_closed_form_on_a_linear_model(name: str, parameters: dict[str, Any], form: Callable[..., Tensor]) -> None:
    model, given, goals = linear(3, ROWS, COLS), images(), [2, 0, 1]
    weights = model[1].weight.detach()[goals].reshape(3, 3, ROWS, COLS)
    found = maps(name, model, goals, images=given, **parameters)
    same(found, form(weights, given), 1e-4)


#: What the map of a layer A must be where logits = V mean(A) + b: of V (B, K) of the targets, A (B, K, h, w).
AVERAGED: list[tuple[str, dict[str, Any], Callable[[Tensor, Tensor], Tensor]]] = [
    ("gradcam", {"relu": False}, lambda v, a: torch.einsum("bk,bkhw->bhw", v, a) / a[0, 0].numel()),
    ("gradcam", {}, lambda v, a: (torch.einsum("bk,bkhw->bhw", v, a) / a[0, 0].numel()).clamp(min=0)),
    ("xgradcam", {"relu": False}, lambda v, a: torch.einsum("bk,bkhw->bhw", v, a) / a[0, 0].numel()),
    ("hirescam", {"relu": False}, lambda v, a: torch.einsum("bk,bkhw->bhw", v, a) / a[0, 0].numel()),
    ("layercam", {"relu": False}, lambda v, a: torch.einsum("bk,bkhw->bhw", v.clamp(min=0), a) / a[0, 0].numel()),
    ("cam", {"relu": False}, lambda v, a: torch.einsum("bk,bkhw->bhw", v, a)),
]


@pytest.mark.parametrize(("name", "parameters", "form"), AVERAGED)
def test_the_closed_form_on_averaged_maps(name: str, parameters: dict[str, Any], form: Callable[..., Tensor]) -> None:
    model, given, goals = Averaged(), images(), [2, 0, 1]
    with torch.no_grad():
        wanted = form(model.classifier.weight[goals], model.conv(given))
    same(maps(name, model, goals, images=given, layer="conv", **parameters), wanted)


# --- what they leave alone --------------------------------------------------------------------------------------------

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def state_of(model: nn.Module) -> dict[str, Any]:
    return {
        "values": {name: value.clone() for name, value in model.state_dict().items()},
        "grads": {name: (one.requires_grad, one.grad) for name, one in model.named_parameters()},
        "modules": {
            name: (type(module), module.training, getattr(module, "inplace", None), *(len(getattr(module, one)) for one in HOOKS))
            for name, module in model.named_modules()
        },
        "attributes": {name: sorted(vars(module)) for name, module in model.named_modules()},
        "offer": getattr(model, "offer", None),
    }


def assert_untouched(model: nn.Module, before: dict[str, Any]) -> None:
    after = state_of(model)
    assert all(torch.equal(after["values"].pop(name), value) for name, value in before["values"].items())
    assert not after["values"]
    for part in ("grads", "modules", "attributes", "offer"):
        assert after[part] == before[part], part


def used() -> Net:
    """Return a network as training leaves it, in-place ReLU and all."""
    model = Net(inplace=True)
    model.train()
    model.classifier.eval()
    model.features[0].weight.requires_grad_(False)
    return model


@every
def test_everything_is_left_as_it_was(name: str) -> None:
    model, given = used(), images()
    before, numbers, copy = state_of(model), torch.get_rng_state(), given.clone()
    drawn, others = np.random.get_state()[1].copy(), python_random.getstate()  # type: ignore[index,union-attr]  # noqa: NPY002
    found = maps(name, model, images=given)
    assert_untouched(model, before)
    assert torch.equal(torch.get_rng_state(), numbers)
    assert (np.random.get_state()[1] == drawn).all()  # type: ignore[index]  # noqa: NPY002
    assert python_random.getstate() == others
    assert torch.equal(given, copy)
    assert torch.is_grad_enabled()
    same(found, maps(name))  # in evaluation mode, whatever mode it was in
    assert torch.equal(maps(name, model, images=given), found)


class Broken(Net):
    """Fails when it is asked for the nth time."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def forward(self, images: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("broken")
        return super().forward(images)


@every
@pytest.mark.parametrize("after", [1, 2])  # the first asks for the number of classes
def test_the_model_is_left_as_it_was_by_errors(name: str, after: int) -> None:
    model = Broken(after)
    model.train()
    before = state_of(model)
    try:
        maps(name, model)
    except RuntimeError as error:
        assert "broken" in str(error)  # noqa: PT017  # some never ask
    assert_untouched(model, before)


@every
def test_it_works_where_the_caller_has_no_gradients(name: str) -> None:
    wanted = maps(name)
    with torch.no_grad():
        same(maps(name), wanted)
        assert not torch.is_grad_enabled()


@every
def test_what_the_model_must_be(name: str) -> None:
    """A function from images to logits serves explainers that declare no need of more; the others refuse it."""
    model, needs = Net(), EXPLAINERS.get(name).needs
    if needs & {"module", "attention", "heatmap"}:
        with pytest.raises(InputError, match=r"model must .*got"):
            maps(name, lambda given: model(given))
    else:
        same(maps(name, lambda given: model(given)), maps(name, model))


@every
def test_scores_can_ask_for_it_again(name: str) -> None:
    """What robustness and randomisation call; explainers that need the truth can't be asked so."""
    if "truth" in EXPLAINERS.get(name).needs:
        with pytest.raises(InputError, match="truth must be there"):
            explaining(made(name))(Net(), images(), torch.tensor([0, 1, 2]))
    else:
        found = explaining(made(name))(Net(), images(), torch.tensor([0, 1, 2]))
        same(found, maps(name))


# --- CUDA -------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@every
def test_cuda_is_the_cpu(name: str) -> None:
    found = maps(name, Net().cuda(), images=images().cuda())
    assert found.device.type == "cuda"
    same(found.cpu(), maps(name), 1e-3)
