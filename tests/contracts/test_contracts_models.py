"""What every network promises; a new file is tested by existing."""

from __future__ import annotations

import copy
import inspect
import io
import json
import pickle
import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, get_args

import pytest
import torch
import yaml
from torch import Tensor, nn

from miso_gen.errors import InputError
from miso_gen.models import (
    MODELS,
    Attends,
    LabelsPixels,
    MapsItself,
    Network,
    blank_images,
    count_parameters,
    create_model,
    feature_sizes,
    network_of,
    offer_of,
)
from miso_gen.models.interfaces import Heatmaps, Reads
from miso_gen.models.weights import first_convolution, fit

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = MODELS.names()
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
CHANNELS, CLASSES = 2, 3

every = pytest.mark.parametrize("name", NAMES)


def on_meta(name: str, in_channels: int = CHANNELS, num_classes: int = CLASSES, image_size: Any = None) -> nn.Module:
    """Return a network without numbers, of the least size unless told otherwise."""
    size = network_of(name).sizes.least if image_size is None else image_size
    with torch.device("meta"):
        return create_model(name, in_channels=in_channels, num_classes=num_classes, image_size=size)


def images_for(model: nn.Module, seed: int = 0, batch: int = 2) -> Tensor:
    shape = blank_images(model, batch).shape
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Asked:
    """A network of the least size, in evaluation mode, with what it said of two images."""

    model: nn.Module
    images: Tensor
    logits: Tensor


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small images are computed faster by one thread, above all where cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=NAMES)
def asked(request: pytest.FixtureRequest, one_thread: None) -> Asked:
    """Each network in turn."""
    torch.manual_seed(0)
    size = network_of(request.param).sizes.least
    model = create_model(request.param, in_channels=CHANNELS, num_classes=CLASSES, image_size=size).eval()
    images = images_for(model)
    with torch.no_grad():
        return Asked(model, images, model(images))


# --- what they declare ------------------------------------------------------------------------------------------------


@every
def test_declarations(name: str) -> None:
    cls = MODELS.get(name)
    assert KEBAB.fullmatch(name)
    assert cls.type_name == name
    assert cls.reads
    assert len(set(cls.reads)) == len(cls.reads)
    assert set(cls.reads) <= set(get_args(Reads))
    assert ("bag" in cls.reads) == (cls.reads == ("bag",))
    assert cls.source.strip()
    assert cls.heatmap in (None, *get_args(get_args(Heatmaps)[0]))
    assert cls().weights == "none"
    assert issubclass(cls, Network)


@every
def test_documentation_shows_an_example_and_a_source(name: str) -> None:
    cls = MODELS.get(name)
    text = inspect.getdoc(cls) or ""
    assert re.match(r"[A-Z0-9].*", text)
    assert "Source:" in text
    example = re.search(r"::\n\n((?:    .*\n?)+)", text)
    assert example, f"{cls.__name__} must show an example below '::'"
    spec = yaml.safe_load(inspect.cleandoc(example[1]))
    made = cls.from_spec(spec)
    assert cls.from_spec(json.loads(json.dumps(made.to_spec()))) == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert re.match(r"[A-Z].*[.]", (inspect.getmodule(cls).__doc__ or "").splitlines()[0])  # type: ignore[union-attr]


@every
def test_the_offer_is_true(name: str) -> None:
    network, model = network_of(name), on_meta(name)
    offer = offer_of(model)
    assert offer.spec == network.to_spec()
    assert network_of(offer.spec) == network
    assert (offer.in_channels, offer.num_classes) == (CHANNELS, CLASSES)
    assert offer.image_size == (network.sizes.least,) * 2
    assert isinstance(model, Attends) == bool(offer.attention)
    assert isinstance(model, MapsItself) == (offer.heatmap is not None)
    assert isinstance(model, LabelsPixels) == bool(offer.pixel_levels)
    parts = dict(model.named_modules())
    assert set(network.head) <= parts.keys()
    if network.pretrained is not None:
        assert set(network.pretrained.fresh) <= parts.keys()
    assert model.training
    assert "offer" not in model.state_dict()
    assert offer_of(copy.deepcopy(model)) == offer
    assert pickle.loads(pickle.dumps(offer)) == offer


@every
def test_feature_layers_lie_over_the_image(name: str) -> None:
    model = on_meta(name)
    sizes = feature_sizes(model)
    assert tuple(sizes) == offer_of(model).feature_layers
    assert sizes
    heights = [height for _, height, _ in sizes.values()]
    assert heights[0] <= offer_of(model).image_size[0]
    assert all(side > 0 for size in sizes.values() for side in size)
    larger = feature_sizes(on_meta(name, image_size=network_of(name).sizes.nearest(4 * network_of(name).sizes.least)))
    for layer, (channels, height, width) in sizes.items():
        assert larger[layer][0] == channels
        assert larger[layer][1] >= height  # equal where a network resizes its features
        assert larger[layer][2] >= width
    first = offer_of(model).feature_layers[0]
    assert larger[first][1] > sizes[first][1]


@every
def test_only_the_head_depends_on_the_number_of_classes(name: str) -> None:
    network = network_of(name)
    one, other = on_meta(name, num_classes=2).state_dict(), on_meta(name, num_classes=7).state_dict()
    changed = {key for key in one if one[key].shape != other[key].shape}
    assert one.keys() == other.keys()
    assert changed
    for key in changed:
        assert key.startswith(tuple(f"{part}." for part in network.head)), key
    for part in network.head:
        assert any(key.startswith(f"{part}.") for key in changed), part


@every
def test_features_fit_other_classes_and_channels(name: str) -> None:
    network, model = network_of(name), on_meta(name, in_channels=1, num_classes=2)
    state = on_meta(name, in_channels=3, num_classes=7).state_dict()
    fit(model, state, "it", network.head)
    with pytest.raises(InputError, match=r"it must hold the weights of this network, got other shapes"):
        fit(model, state, "it")
    first = f"{first_convolution(model)}.weight"
    assert model.state_dict()[first].shape[1] == 1
    assert state[first].shape[1] == 3


# --- what they take ---------------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(("in_channels", "num_classes"), [(1, 1), (4, 5)])
def test_channels_and_classes_are_honoured(name: str, in_channels: int, num_classes: int) -> None:
    model = on_meta(name, in_channels, num_classes)
    images = blank_images(model)
    assert images.shape[-3] == in_channels
    assert model(images).shape == (2, num_classes)


@every
@pytest.mark.parametrize("wished", [50, 130, (97, 224)])
def test_any_allowed_size(name: str, wished: Any) -> None:
    """Sizes that are taken are taken to the end, those that aren't are refused, and the nearest is told."""
    sizes = network_of(name).sizes
    sides = (wished, wished) if isinstance(wished, int) else wished
    near = tuple(sizes.nearest(side) for side in sides)
    if near != sides:
        told = str(near[0]) if near[0] == near[1] else str(near)
        with pytest.raises(InputError, match=rf"image_size must be .*, for {name}, got .*\. Nearest: {re.escape(told)}\."):
            on_meta(name, image_size=wished)
    model = on_meta(name, image_size=near)
    assert model(blank_images(model)).shape == (2, CLASSES)
    assert offer_of(model).image_size == near


@every
def test_every_weight_is_learned(name: str) -> None:
    model = on_meta(name)
    images = blank_images(model)
    logits = model(images)
    total = logits.sum()
    if isinstance(model, LabelsPixels):
        total = total + model.logits_and_pixels(images)[1].sum()
    total.backward()
    assert count_parameters(model) > 0
    unused = [key for key, one in model.named_parameters() if one.grad is None]
    assert not unused


# --- what they compute ------------------------------------------------------------------------------------------------


def test_forward(asked: Asked) -> None:
    assert asked.logits.shape == (2, CLASSES)
    assert asked.logits.dtype == torch.float32
    assert asked.logits.isfinite().all()
    assert not torch.equal(asked.logits[0], asked.logits[1])
    with torch.no_grad():
        alone = asked.model(asked.images[:1])
    torch.testing.assert_close(alone, asked.logits[:1], rtol=1e-3, atol=1e-5)


def test_evaluation_is_deterministic_and_changes_nothing(asked: Asked) -> None:
    kept, before = asked.images.clone(), {name: tensor.clone() for name, tensor in asked.model.named_buffers()}
    with torch.no_grad():
        assert torch.equal(asked.model(asked.images), asked.logits)
    assert torch.equal(asked.images, kept)
    assert all(torch.equal(tensor, before[name]) for name, tensor in asked.model.named_buffers())


def test_gradients_reach_the_input_and_the_feature_layers(asked: Asked) -> None:
    """As maps of gradients and CAMs need them; feature layers have the sizes that are told."""
    model, images, found = asked.model, asked.images.clone().requires_grad_(), {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            found[name] = output

        return hook

    names = offer_of(model).feature_layers
    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        logits = model(images)
    finally:
        for handle in handles:
            handle.remove()
    sizes, layers = feature_sizes(model), [found[name] for name in names]
    for name, layer in zip(names, layers, strict=True):
        assert layer.shape[-3:] == sizes[name]
    first, *features = torch.autograd.grad(logits[:, 0].sum(), [images, *layers], retain_graph=True)
    (second,) = torch.autograd.grad(logits[:, 1].sum(), [images])
    for gradient in (first, second):
        assert gradient.isfinite().all()
        assert (gradient.flatten(-2).abs().amax(-1) > 0).all()  # in every channel of every image
    assert not torch.equal(first, second)
    for layer, gradient in zip(layers, features, strict=True):
        assert gradient.shape == layer.shape
        assert gradient.abs().max() > 0


def test_save_and_load(asked: Asked) -> None:
    file = io.BytesIO()
    torch.save(asked.model.state_dict(), file)
    file.seek(0)
    offer = offer_of(asked.model)
    with torch.device("meta"):
        again = create_model(offer.spec, in_channels=CHANNELS, num_classes=CLASSES, image_size=offer.image_size)
    again.load_state_dict(torch.load(file, weights_only=True), assign=True)
    assert not any(tensor.is_meta for tensor in chain(again.parameters(), again.buffers()))
    with torch.no_grad():
        assert torch.equal(again.eval()(asked.images), asked.logits)


def test_maps_of_their_own(asked: Asked) -> None:
    model, images, offer = asked.model, asked.images, offer_of(asked.model)
    with torch.no_grad():
        if isinstance(model, Attends):
            maps = model.attention(images)
            assert tuple(maps) == offer.attention
            for map in maps.values():
                assert map.shape[:1] == (2,)
                assert map.ndim == (2 if "bag" in offer.reads else 3)
                assert map.isfinite().all()
                assert not torch.equal(map[0], map[1])
        if isinstance(model, MapsItself):
            heat = model.heatmap(images)
            assert heat.ndim == 4
            assert heat.shape[:2] == (2, CLASSES if offer.heatmap == "classes" else 1)
            assert heat.isfinite().all()
        if isinstance(model, LabelsPixels):
            logits, pixels = model.logits_and_pixels(images)
            assert torch.equal(logits, asked.logits)
            assert pixels.shape == (2, len(offer.pixel_levels), *offer.image_size)
            assert pixels.isfinite().all()
