"""What every metric that asks the model promises; a new file is tested by existing."""

from __future__ import annotations

import inspect
import json
import math
import pickle
import re
from dataclasses import replace
from functools import cache
from typing import Any, get_args

import numpy as np
import pytest
import torch
import yaml
from networks import Small, explained, gradient_times_input, random
from torch import Tensor

from miso_gen.errors import InputError
from miso_gen.metrics.asking import AskingMetric
from miso_gen.metrics.augmenting import AUGMENTATIONS
from miso_gen.metrics.filling import BASELINES
from miso_gen.metrics.interfaces import MODEL_METRICS, Direction, Explained, Need, Takes
from miso_gen.metrics.similarity import SIMILARITIES

NAMES = MODEL_METRICS.names()
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: Fewer steps, samples and levels than by default, so that all of it takes seconds.
SMALL = {
    "deletion": {"steps": 9},
    "equivariant-robustness": {"levels": 4, "fall": 0.9},
    "infidelity": {"samples": 5},
    "insertion": {"steps": 9},
    "invariant-robustness": {"levels": 4, "fall": 0.9},
    "irof": {"segments": 10},
    "masked-out-area": {"step": 0.1, "threshold": 0.2},
    "max-sensitivity": {"samples": 5},
    "pixel-flipping": {"step_px": 20},
}
DRAWN = {"cascading-randomization", "independent-randomization", "infidelity", "max-sensitivity"}

every = pytest.mark.parametrize("name", NAMES)


@cache
def metric_of(name: str) -> AskingMetric:
    metric = MODEL_METRICS.get(name).from_spec(SMALL.get(name, {}))
    assert isinstance(metric, AskingMetric)
    return metric


def given(name: str, **changed: Any) -> Explained:
    """Return what the metric is given: maps as the metric takes them."""
    found = explained(layer="second", **changed)
    metric = metric_of(name)
    if metric.ndim == 4:
        return replace(found, maps=random(len(found.images), 5, 6, 8, seed=9) - 0.4)
    if metric.takes == "unit":
        return replace(found, maps=random(len(found.images), *found.images.shape[2:], seed=9))
    return found


def some(found: Explained, chosen: slice) -> Explained:
    return replace(found, images=found.images[chosen], maps=found.maps[chosen], target=found.target[chosen])


def same(one: Tensor, other: Tensor, error: float = 1e-9) -> None:
    assert one.dtype == other.dtype == torch.float64
    assert one.shape == other.shape
    assert torch.allclose(one, other, rtol=error, atol=error, equal_nan=True), (one, other)


# --- what they declare ------------------------------------------------------------------------------------------------


@every
def test_declarations(name: str) -> None:
    metric = metric_of(name)
    assert KEBAB.fullmatch(name)
    assert metric.type_name == name
    assert metric.direction in get_args(Direction)
    assert metric.range[0] < metric.range[1]
    assert metric.takes in get_args(Takes)
    assert metric.needs <= set(get_args(Need))
    assert metric.source.strip()
    assert metric.chance is None or metric.chance.strip()
    assert metric.legacy == name.endswith("-legacy")
    assert metric.empty.no_truth is None
    assert metric.empty.full_truth is None


@pytest.mark.parametrize(
    ("registry", "name"),
    [(registry, name) for registry in (MODEL_METRICS, BASELINES, SIMILARITIES, AUGMENTATIONS) for name in registry.names()],
)
def test_documentation_shows_an_example_and_a_source(registry: Any, name: str) -> None:
    cls = registry.get(name)
    text = inspect.getdoc(cls) or ""
    assert re.match(r"[A-Z0-9a-z(].*", text)
    assert "Source:" in text
    assert cls.source.strip()
    example = re.search(r"::\n\n((?:    .*\n?)+)", text)
    assert example, f"{cls.__name__} must show an example below '::'"
    made = cls.from_spec(yaml.safe_load(inspect.cleandoc(example[1])))
    assert cls.from_spec(json.loads(json.dumps(made.to_spec()))) == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert re.match(r"[A-Z].*[.]", (inspect.getmodule(cls).__doc__ or "").splitlines()[0])  # type: ignore[union-attr]
    for field, info in cls.model_fields.items():
        assert (info.description or "").strip(), f"{name}.{field}"


@every
def test_defaults_are_a_plugin(name: str) -> None:
    made = MODEL_METRICS.get(name)()
    assert MODEL_METRICS.get(name).from_spec(made.to_spec()) == made


# --- what they score --------------------------------------------------------------------------------------------------


@every
def test_scores_are_in_range(name: str) -> None:
    metric = metric_of(name)
    found = metric.score(given(name))
    assert found.shape == (4,)
    assert found.dtype == torch.float64
    assert found.isfinite().any()
    defined = found[~found.isnan()]
    assert ((defined >= metric.range[0]) & (defined <= metric.range[1])).all()


@every
@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_any_batch_size_gives_the_same(name: str, batch: int) -> None:
    found = given(name)
    whole = metric_of(name).score(found)
    model = Small()
    same(metric_of(name).score(replace(found, model=model, batch=batch)), whole)
    assert all(size <= batch for size in model.sizes)


@every
def test_a_batch_is_a_loop(name: str) -> None:
    found, metric = given(name), metric_of(name)
    alone = [metric.score(some(found, slice(k, k + 1))) for k in range(4)]
    same(metric.score(found), torch.cat(alone))
    assert metric.score(some(found, slice(0, 0))).shape == (0,)


@every
def test_curves(name: str) -> None:
    found, metric = given(name), metric_of(name)
    curve = metric.curve(found)
    if curve is None:
        return
    assert curve.x.dtype == curve.y.dtype == torch.float64
    assert curve.y.shape == (4, len(curve.x))
    assert (curve.x.diff() > 0).all()
    maps = found.maps.clone()
    maps[1, 2, 3] = torch.nan
    other = metric.curve(replace(found, maps=maps))
    assert other is not None
    assert other.y[1].isnan().all()
    same(other.y[[0, 2, 3]], curve.y[[0, 2, 3]])


@every
def test_precision(name: str) -> None:
    """float32 images and maps score about as the same numbers in float64."""
    found, metric = given(name), metric_of(name)
    model = Small().float()
    lower = replace(found, model=model, images=found.images.float(), maps=found.maps.float())
    same(metric.score(lower), metric.score(found), 1e-3)


@every
def test_seeds(name: str) -> None:
    found, metric = given(name), metric_of(name)
    first = metric.score(found)
    assert torch.equal(metric.score(found), first) or first.isnan().any()
    same(metric.score(found), first, 0.0)
    other = metric.score(replace(found, seed=1))
    assert torch.equal(other.nan_to_num(0), first.nan_to_num(0)) == (name not in DRAWN)


# --- what they leave alone --------------------------------------------------------------------------------------------


def state_of(model: torch.nn.Module) -> dict[str, Any]:
    return {
        "values": {name: value.clone() for name, value in model.state_dict().items()},
        "grads": {name: (one.requires_grad, id(one.grad), None if one.grad is None else one.grad.clone())
                  for name, one in model.named_parameters()},
        "modes": {name: module.training for name, module in model.named_modules()},
        "hooks": {name: (len(module._forward_hooks), len(module._forward_pre_hooks)) for name, module in model.named_modules()},
    }  # fmt: skip


def assert_untouched(model: torch.nn.Module, before: dict[str, Any]) -> None:
    after = state_of(model)
    assert all(torch.equal(after["values"][name], value) for name, value in before["values"].items())
    assert after["modes"] == before["modes"]
    assert after["hooks"] == before["hooks"]
    for name, (requires_grad, grad, values) in before["grads"].items():
        assert after["grads"][name][:2] == (requires_grad, grad)
        assert values is None or torch.equal(after["grads"][name][2], values)


def used() -> Small:
    """Return a model as training leaves it."""
    model = Small()
    model.train()
    model.drop.eval()
    model.head.weight.grad = torch.ones_like(model.head.weight)
    model.first.requires_grad_(False)
    return model


def careless(model: Any, images: Tensor, target: Tensor) -> Tensor:
    """Explain, leaving gradients of the parameters behind and switching them off."""
    images = images.clone().requires_grad_()
    model(images).gather(1, target[:, None]).sum().backward()
    model.requires_grad_(False)
    found = (images.grad * images).sum(1).detach()
    model.requires_grad_(True)
    return found


class Broken(Small):
    """Fails when it is asked for the nth time."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def forward(self, images: Tensor) -> Tensor:
        if len(self.sizes) >= self.after:
            raise RuntimeError("broken")
        return super().forward(images)


@every
def test_the_model_is_asked_at_rest_and_left_as_it_was(name: str) -> None:
    model = used()
    found = replace(given(name), model=model, explain=careless)
    before, numbers = state_of(model), torch.get_rng_state()
    drawn = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]  # noqa: NPY002
    copies = found.images.clone(), found.maps.clone(), found.target.clone()
    scores = metric_of(name).score(found)
    assert torch.equal(torch.get_rng_state(), numbers)
    assert (np.random.get_state()[1] == drawn).all()  # type: ignore[index]  # noqa: NPY002
    assert_untouched(model, before)
    same(scores, metric_of(name).score(given(name)))  # in eval mode, whatever mode it was in
    assert not any(training for training, _ in model.modes)
    if "explain" not in metric_of(name).needs:
        assert not any(gradients for _, gradients in model.modes)
    assert all(torch.equal(one, other) for one, other in zip(copies, (found.images, found.maps, found.target), strict=True))


@every
def test_no_graph_is_built(name: str) -> None:
    found = given(name)
    tracked = replace(found, images=found.images.clone().requires_grad_(), maps=found.maps.clone().requires_grad_())
    score = metric_of(name).score(tracked)
    assert not score.requires_grad
    same(score, metric_of(name).score(found))


@every
def test_gradients_work_where_the_caller_has_none(name: str) -> None:
    found = given(name)
    whole = metric_of(name).score(found)
    with torch.no_grad():
        same(metric_of(name).score(found), whole)


@every
@pytest.mark.parametrize("after", [0, 1, 2])
def test_the_model_is_left_as_it_was_by_errors(name: str, after: int) -> None:
    model = Broken(after)
    model.train()
    model.head.weight.grad = torch.ones_like(model.head.weight)
    before = state_of(model)
    found = replace(given(name), model=model, batch=1, explain=careless)
    try:
        metric_of(name).score(found)
    except RuntimeError as error:
        assert str(error) == "broken"  # noqa: PT017  # some ask less often
    else:
        assert len(model.sizes) <= after
    assert_untouched(model, before)


@every
def test_errors_of_the_explainer(name: str) -> None:
    if "explain" not in metric_of(name).needs:
        return
    calls = 0

    def failing(model: Any, images: Tensor, target: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise RuntimeError("no map")
        return careless(model, images, target)

    model = used()
    before = state_of(model)
    with pytest.raises(RuntimeError, match="no map"):
        metric_of(name).score(replace(given(name), model=model, explain=failing, batch=1))
    assert_untouched(model, before)
    with pytest.raises(InputError, match="explain must make maps of the shape"):
        metric_of(name).score(replace(given(name), explain=lambda *parts: gradient_times_input(*parts)[:, 1:]))


# --- empty cases and errors -------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_map_that_is_not_finite_is_undefined(name: str, value: float) -> None:
    found, metric = given(name), metric_of(name)
    expected = metric.score(found)
    expected[2] = torch.nan
    maps = found.maps.clone()
    maps[2, ..., -1, -1] = value
    same(metric.score(replace(found, maps=maps)), expected)


@every
def test_empty_cases(name: str) -> None:
    found, metric = given(name), metric_of(name)
    for case, value in (("blank_map", 0.0), ("constant_map", 0.75)):
        score = metric.score(replace(found, maps=torch.full_like(found.maps, value)))
        expected = getattr(metric.empty, case)
        if expected is not None:
            same(score, torch.full((4,), expected, dtype=torch.float64))
        else:
            assert ((score >= metric.range[0]) & (score <= metric.range[1]) | score.isnan()).all()


@every
def test_errors(name: str) -> None:
    found, metric = given(name), metric_of(name)
    wrong = [
        {"images": found.images[0]},
        {"images": found.images.long()},
        {"maps": found.maps[:-1]},
        {"maps": found.maps.long()},
        {"maps": found.maps[0]},
        {"target": found.target[:-1]},
        {"target": found.target.int()},
        {"batch": 0},
    ]
    if metric.sized:
        wrong.append({"maps": found.maps[:, :-1]})
    if "explain" in metric.needs:
        wrong.append({"explain": None})
    if "module" in metric.needs:
        wrong.append({"model": lambda images: found.model(images)})
    if "layer" in metric.needs:
        wrong += [{"layer": None}, {"layer": "third"}, {"layer": "head"}, {"maps": found.maps[:, 1:]}]
    for changed in wrong:
        with pytest.raises(InputError, match=r"must .*got"):
            metric.score(replace(found, **changed))
    if name not in ("complexity", "sparseness"):  # which ask nothing
        for target in (torch.full((4,), 3), torch.full((4,), -1)):
            if not metric.needs & {"explain"}:
                with pytest.raises(InputError, match="target must be in"):
                    metric.score(replace(found, target=target))


@every
def test_a_model_may_be_any_callable(name: str) -> None:
    found, metric = given(name), metric_of(name)
    if "module" in metric.needs:
        return
    model = Small()
    same(metric.score(replace(found, model=lambda images: model(images))), metric.score(found))


# --- CUDA -------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@every
def test_cuda_is_the_cpu(name: str) -> None:
    found, metric = given(name), metric_of(name)
    moved = replace(
        found, model=Small().cuda(), images=found.images.cuda(), maps=found.maps.cuda(), target=found.target.cuda(), batch=5
    )
    score = metric.score(moved)
    assert score.device.type == "cuda"
    same(score.cpu(), metric.score(found), 1e-6)
    curve = metric.curve(found)
    if curve is not None:
        there = metric.curve(moved)
        assert there is not None
        same(there.y.cpu(), curve.y, 1e-6)


def test_ranges_are_numbers() -> None:
    assert all(not math.isnan(side) for name in NAMES for side in metric_of(name).range)
