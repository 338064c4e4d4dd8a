"""Attention-based multiple-instance learning: against loops over bags and patches, and what padding must not do."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from miso_gen.errors import InputError
from miso_gen.models import blank_images, count_parameters, create_model, feature_sizes
from miso_gen.models.networks.abmil import Attention


def lenet(size: Any = 28, classes: int = 2, channels: int = 1, **fields: Any) -> Any:
    torch.manual_seed(0)
    spec = {"type": "abmil", "encoder": "lenet", "features": 20, "width": 6, **fields}
    return create_model(spec, in_channels=channels, num_classes=classes, image_size=size)


def residual() -> Any:
    """Return a network with batch normalisation."""
    torch.manual_seed(0)
    spec = {"type": "abmil", "encoder": "test_resnet", "features": 20, "width": 6}
    return create_model(spec, in_channels=1, num_classes=2, image_size=32)


def bags(batch: int = 2, patches: int = 5, size: int = 28, seed: int = 1) -> Tensor:
    return torch.rand(batch, patches, 1, size, size, generator=torch.Generator().manual_seed(seed))


# --- against the formulas -------------------------------------------------------------------------------------------------


def literal_weights(attend: Attention, vectors: list[list[float]]) -> list[float]:
    """Softmax over patches of w (tanh(V h) * sigmoid(U h)), number by number."""

    def linear(layer: nn.Linear, vector: list[float]) -> list[float]:
        rows, offsets = layer.weight.tolist(), layer.bias.tolist()
        return [sum(a * b for a, b in zip(row, vector, strict=True)) + offset for row, offset in zip(rows, offsets, strict=True)]

    scores = []
    for vector in vectors:
        hidden = [math.tanh(value) for value in linear(attend.value, vector)]
        if attend.gate is not None:
            gates = [1 / (1 + math.exp(-value)) for value in linear(attend.gate, vector)]
            hidden = [a * b for a, b in zip(hidden, gates, strict=True)]
        scores.append(linear(attend.weigh, hidden)[0])
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


@pytest.mark.parametrize("gated", [True, False])
def test_against_the_formulas(gated: bool) -> None:
    model = lenet(classes=3, gated=gated).double()
    for layer in (model.attend.value, model.attend.weigh):  # so that weights differ
        nn.init.normal_(layer.weight, std=3)
    images = bags().double()
    with torch.no_grad():
        logits, found = model(images), model.attention(images)["patches"]
        for number, bag in enumerate(images):
            vectors = [model.embed(model.encoder(patch[None]))[0] for patch in bag]
            weights = literal_weights(model.attend, [vector.tolist() for vector in vectors])
            assert found[number].tolist() == pytest.approx(weights)
            mean = sum(weight * vector for weight, vector in zip(weights, vectors, strict=True))
            assert logits[number].tolist() == pytest.approx((model.classifier.weight @ mean + model.classifier.bias).tolist())
    assert float(found.std()) > 0.01


def test_weights_of_a_bag_add_up_to_one() -> None:
    with torch.no_grad():
        weights = lenet().attention(bags())["patches"]
    assert weights.shape == (2, 5)
    assert bool((weights > 0).all())
    torch.testing.assert_close(weights.sum(1), torch.ones(2))


def test_the_order_of_patches_does_not_matter() -> None:
    model, images, order = lenet(), bags(), torch.tensor([3, 1, 4, 0, 2])
    with torch.no_grad():
        torch.testing.assert_close(model(images[:, order]), model(images))
        torch.testing.assert_close(model.attention(images[:, order])["patches"], model.attention(images)["patches"][:, order])


# --- masks ----------------------------------------------------------------------------------------------------------------

MASK = torch.tensor([[True, True, False, True, False], [True, False, False, False, False]])


@pytest.mark.parametrize("make", [lenet, residual])
@pytest.mark.parametrize("training", [True, False])
def test_padding_is_never_looked_at(make: Any, training: bool) -> None:
    """A padded batch: the same logits, attention, gradients and statistics as the bags alone, whatever the padding holds."""
    size = 28 if make is lenet else 32
    images = bags(size=size)
    images[~MASK] = torch.nan
    padded, alone = make().train(training), make().train(training)
    logits = padded(images, MASK)
    kept = images[MASK]
    vectors = alone.embed(alone.encoder(kept)).split(MASK.sum(1).tolist())
    weights = [alone.attend(one[None])[0] for one in vectors]
    expected = torch.stack([alone.classifier(weight @ one) for weight, one in zip(weights, vectors, strict=True)])
    torch.testing.assert_close(logits, expected)
    logits.square().sum().backward()
    expected.square().sum().backward()
    for (name, one), other in zip(padded.named_parameters(), alone.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-5, msg=name)
    for (name, one), other in zip(padded.named_buffers(), alone.buffers(), strict=True):
        torch.testing.assert_close(one, other, msg=name)
    with torch.no_grad():
        found = padded.eval().attention(images, MASK)["patches"]
    assert not found[~MASK].any()
    torch.testing.assert_close(found.sum(1), torch.ones(2))


def test_a_mask_of_all_is_no_mask() -> None:
    model, images = lenet(), bags()
    with torch.no_grad():
        torch.testing.assert_close(model(images, torch.ones(2, 5, dtype=torch.bool)), model(images))


def test_an_empty_bag() -> None:
    """It gets the bias, no attention, and no gradient that isn't finite."""
    model, images = lenet(), bags()
    mask = torch.tensor([[True] * 5, [False] * 5])
    logits = model(images, mask)
    torch.testing.assert_close(logits[1], model.classifier.bias)
    assert not model.attention(images, mask)["patches"][1].any()
    logits.sum().backward()
    assert all(one.grad is not None and bool(one.grad.isfinite().all()) for one in model.parameters())


def test_bags_in_half_precision() -> None:
    model = lenet()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        logits = model(bags(), MASK)
    assert bool(logits.isfinite().all())
    with torch.no_grad():
        torch.testing.assert_close(logits.float(), model(bags(), MASK), rtol=0.1, atol=0.05)


@pytest.mark.parametrize(
    ("images", "mask", "message"),
    [
        (torch.rand(2, 1, 28, 28), None, r"images must be bags \(B, K, channels, height, width\), got \(2, 1, 28, 28\)\. One"),
        (bags(), torch.ones(2, 4, dtype=torch.bool), r"mask must be bool of shape \(2, 5\), got torch\.bool of \(2, 4\)\. True"),
        (bags(), torch.ones(2, 5), r"mask must be bool of shape \(2, 5\), got torch\.float32 of \(2, 5\)\. True"),
    ],
)
def test_refusals(images: Tensor, mask: Tensor | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        lenet()(images, mask)


# --- networks ---------------------------------------------------------------------------------------------------------------


def test_the_network_of_the_source() -> None:
    """For bags of digits of 28 px: 20 and 50 channels of 5 x 5, 800 numbers to 500, gated attention of 128."""
    with torch.device("meta"):
        model = create_model({"type": "abmil", "encoder": "lenet"}, in_channels=1, num_classes=1, image_size=28)
    assert feature_sizes(model) == {"encoder.1": (20, 24, 24), "encoder.4": (50, 8, 8)}
    convolutions = (25 + 1) * 20 + (20 * 25 + 1) * 50
    assert count_parameters(model) == convolutions + (50 * 4 * 4 + 1) * 500 + 2 * (500 + 1) * 128 + (128 + 1) + (500 + 1)


@pytest.mark.parametrize("size", [16, 17, (19, 40)])
def test_sizes_of_lenet(size: Any) -> None:
    with torch.device("meta"):
        model = create_model({"type": "abmil", "encoder": "lenet"}, in_channels=3, num_classes=4, image_size=size)
    assert model(blank_images(model, batch=2, bag=7)).shape == (2, 4)


def test_sizes_that_are_refused() -> None:
    with pytest.raises(InputError, match=r"image_size must be at least 16, for abmil, got 15\. Nearest: 16\."):
        lenet(size=15)
    with pytest.raises(InputError, match=r"image_size must be a multiple of 32, .*, for abmil, got 100\. Nearest: 96\."):
        create_model("abmil", in_channels=1, num_classes=2, image_size=100)


def test_the_encoder_is_averaged() -> None:
    model = residual().eval()
    with torch.no_grad():
        deepest = model.encoder.model(bags(size=32).flatten(0, 1))[-1]
        torch.testing.assert_close(model.encoder(bags(size=32).flatten(0, 1)), deepest.mean(3).mean(2))


def test_published_weights(tmp_path: Path) -> None:
    torch.manual_seed(3)
    published = timm.create_model("test_resnet").state_dict()
    save_file(published, tmp_path / "it.safetensors")
    weights = {"file": str(tmp_path / "it.safetensors"), "holds": "pretrained"}
    spec = {"type": "abmil", "encoder": "test_resnet"}
    model: Any = create_model(spec, in_channels=3, num_classes=2, image_size=32, weights=weights)
    own = model.encoder.model.model.state_dict()
    assert own.keys() == {key for key in published if not key.startswith("fc.")}
    assert all(torch.equal(own[key], published[key]) for key in own)
    with pytest.raises(InputError, match="weights of abmil must be none or a file, got pretrained"):
        create_model({**spec, "encoder": "lenet"}, in_channels=3, num_classes=2, image_size=32, weights=weights)


def test_it_learns_which_patch_counts() -> None:
    """Bags with a bright patch among dark ones: the label is learned, and attention goes to that patch."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(40, 4, 1, 16, 16, generator=generator) * 0.2
    labels = torch.arange(40) % 2
    places = torch.randint(4, (40,), generator=generator)
    images[labels == 1, places[labels == 1]] += 0.8
    model = lenet(size=16)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    with torch.no_grad():
        assert torch.equal(model(images).argmax(1), labels)
        weights = model.attention(images)["patches"]
    assert torch.equal(weights.argmax(1)[labels == 1], places[labels == 1])
