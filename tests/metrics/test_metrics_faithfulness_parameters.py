"""Scores that change the network or look into it: parameter randomisation, conservation and sensitivity."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from networks import Small, explained, gradient_times_input, random
from scipy import stats
from torch import Tensor, nn

from miso_gen.errors import InputError
from miso_gen.metrics.faithfulness.cascading_randomization import CascadingRandomization
from miso_gen.metrics.faithfulness.conservation_axiom import ConservationAxiom
from miso_gen.metrics.faithfulness.independent_randomization import IndependentRandomization
from miso_gen.metrics.faithfulness.sensitivity_axiom import SensitivityAxiom
from miso_gen.metrics.interfaces import Explained
from miso_gen.metrics.randomizing import layers_of, randomize
from miso_gen.rng import Stream

# --- randomisation ----------------------------------------------------------------------------------------------------


def forgotten(model: Small, names: list[str], seed: int) -> Small:
    """Return a copy of a model with some layers drawn anew."""
    other = Small()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        for name in names:
            layer = getattr(other, name)
            inputs = layer.weight[0].numel()
            stream = Stream(seed, "metrics", "randomization", name)
            for values in (layer.weight, layer.bias):
                drawn = [stream.uniform(-1.0, 1.0) for _ in range(values.numel())]
                values.copy_(torch.tensor(drawn, dtype=torch.float64).reshape(values.shape) / sqrt(inputs))
    return other


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize(
    ("stages", "steps"),
    [((), [["head"], ["second"], ["first"]]), (("head", "first"), [["head"], ["first"]]), (("",), [["first", "second", "head"]])],
)
def test_randomisation_literally(stages: tuple[str, ...], steps: list[list[str]], batch: int) -> None:
    found = explained(3, seed=5, batch=batch)
    cascade = [[name for step in steps[: k + 1] for name in step] for k in range(len(steps))]
    for metric, names in ((CascadingRandomization, cascade), (IndependentRandomization, steps)):
        plugin = metric(stages=stages)
        curve, score = plugin.curve(found), plugin.score(found)
        assert curve is not None
        assert curve.x.tolist() == list(range(1, len(steps) + 1))
        wanted = np.empty((3, len(steps)))
        for step, layers in enumerate(names):
            maps = gradient_times_input(forgotten(found.model, layers, 5), found.images, found.target)
            for k in range(3):
                wanted[k, step] = stats.spearmanr(found.maps[k].flatten(), maps[k].flatten()).statistic
        assert curve.y.numpy() == pytest.approx(wanted)
        assert score.numpy() == pytest.approx(wanted.mean(1))


def test_maps_that_ignore_the_model_stay() -> None:
    found = explained(3)
    blind = replace(found, maps=found.images[:, 0], explain=lambda model, images, target: images[:, 0])
    for metric in (CascadingRandomization(), IndependentRandomization(similarity="ssim")):
        assert metric.score(blind).tolist() == pytest.approx([1.0] * 3)


def test_undefined_stages_do_not_count() -> None:
    """A map of zeros has no rank correlation."""
    found = explained(2)
    calls: list[int] = []

    def fading(model: Any, images: Tensor, target: Tensor) -> Tensor:
        calls.append(len(images))
        maps = gradient_times_input(model, images, target)
        return maps * 0 if len(calls) == 2 else maps

    curve = CascadingRandomization().curve(replace(found, explain=fading))
    assert curve is not None
    assert curve.y.isnan().tolist() == [[False, True, False]] * 2
    assert torch.allclose(CascadingRandomization().summary(curve), curve.y[:, [0, 2]].mean(1))
    nothing = replace(found, explain=lambda *given: gradient_times_input(*given) * 0)
    assert CascadingRandomization().score(nothing).isnan().all()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(7, 3),
        nn.Conv2d(4, 6, 3, groups=2),
        nn.Conv2d(3, 2, 5, bias=False),
        nn.ConvTranspose2d(3, 4, 2),
        nn.Conv1d(2, 3, 4),
    ],
)
def test_layers_are_drawn_as_torch_starts_them(layer: nn.Module) -> None:
    """Weights and biases are uniform to the bound of torch, which its own draws keep, too."""
    reach = 1 / sqrt(layer.weight[0].numel())  # type: ignore[index,union-attr,operator]
    for one in layer.parameters():
        assert float(one.detach().abs().max()) <= reach * (1 + 1e-6)
    before = [one.clone() for one in layer.parameters()]
    randomize("name", layer, 3)
    for one, other in zip(layer.parameters(), before, strict=True):
        assert float(one.detach().abs().max()) <= reach
        assert not torch.equal(one, other)
    values = torch.cat([one.detach().flatten() for one in layer.parameters()])
    assert float(values.abs().max()) > 0.8 * reach
    again = [one.clone() for one in layer.parameters()]
    randomize("name", layer, 3)
    assert all(torch.equal(one, other) for one, other in zip(layer.parameters(), again, strict=True))


def test_shared_weights_come_back() -> None:
    """Two layers with one weight: both are drawn, and both are as before in the end."""
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)).double()
    model[1].weight = model[0].weight
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = explained(2, model=model)
    for metric in (CascadingRandomization(), IndependentRandomization()):
        metric.score(found)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_stages_that_cannot_be() -> None:
    model = Small()
    assert [[name for name, _ in stage] for stage in layers_of(model, ())] == [["head"], ["second"], ["first"]]
    with pytest.raises(InputError, match=r"stages must name modules of the model, one of first, norm.*got 'layer4'"):
        layers_of(model, ("layer4",))
    with pytest.raises(InputError, match="got none in 'norm'"):
        layers_of(model, ("head", "norm"))
    with pytest.raises(InputError, match="must have convolutions"):
        layers_of(nn.Sequential(nn.ReLU()), ())
    parametrized = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    with pytest.raises(InputError, match="weights of their own"):
        randomize("head", parametrized, 0)


# --- axioms -----------------------------------------------------------------------------------------------------------


class Pooled(nn.Module):
    """A layer that hands on the image, its channels' means, and a linear layer without bias."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.layer = nn.Identity()
        self.weight = weight

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images).mean((2, 3)) @ self.weight.T


def vectors() -> Explained:
    """Return the test vector of the thesis: activations as the image, and XRelevance-CAM's w_k A_k as the maps."""
    activations = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [1.0, 0.0]]]], dtype=torch.float64)
    relevance = torch.stack([activations[:, 0] / 10, -0.2 * activations[:, 1]], 1)
    weights = relevance.sum((2, 3)) / activations.sum((2, 3))
    assert weights.flatten().tolist() == pytest.approx([0.1, -0.2])
    maps = weights[:, :, None, None] * activations
    assert maps.sum(1).flatten().tolist() == pytest.approx([0.1, 0.0, 0.1, 0.4])
    # The logit 0.4 x 2.5 - 0.8 x 0.5 = 0.6 is what the relevance adds up to.
    model = Pooled(torch.tensor([[0.0, 0.0], [0.4, -0.8]], dtype=torch.float64))
    return Explained(model, activations, maps, torch.ones(1, dtype=torch.int64), layer="layer")


def test_the_vector_of_the_thesis() -> None:
    found = vectors()
    assert ConservationAxiom().score(found).item() == pytest.approx(0.0, abs=1e-12)
    assert SensitivityAxiom().score(found).item() == pytest.approx(0.0, abs=1e-12)
    # Relevance-CAM: weights 0.25 and -0.1 add 2.5 and -0.2, where the channels are worth 1 and -0.4.
    weights = torch.tensor([0.25, -0.1], dtype=torch.float64)[:, None, None]
    other = replace(found, maps=weights * found.images)
    assert other.maps.sum(1).flatten().tolist() == pytest.approx([0.25, 0.40, 0.65, 1.0])
    assert ConservationAxiom().score(other).item() == pytest.approx(abs(0.6 - 2.3) / 0.6)
    assert SensitivityAxiom().score(other).item() == pytest.approx((1.5 + 0.2) / 1.4)
    # Contrastive relevance of two classes starts with half of the logit in all.
    assert ConservationAxiom(start="contrastive").score(replace(found, maps=found.maps / 2)).item() == pytest.approx(
        0.0, abs=1e-12
    )
    assert SensitivityAxiom(start="contrastive").score(replace(found, maps=found.maps / 2)).item() == pytest.approx(
        0.0, abs=1e-12
    )
    assert ConservationAxiom(start="contrastive").score(found).item() == pytest.approx(1.0)


def test_undefined_axioms() -> None:
    found = vectors()
    silent = replace(found, target=torch.zeros(1, dtype=torch.int64))
    assert isnan(ConservationAxiom().score(silent))
    assert isnan(SensitivityAxiom().score(silent))


def test_gradient_maps_of_a_linear_head_conserve() -> None:
    """Grad-CAM of the last convolution, a pooled linear head and no bias: all that the logit is."""
    model = Small()
    with torch.no_grad():
        model.head.bias.zero_()
        model.second.bias.abs_()
    images = random(4, 3, 9, 11)
    with torch.no_grad():
        hidden = torch.relu(model.second(torch.relu(model.norm(model.first(images)))))
    target = torch.tensor([0, 1, 2, 0])
    maps = model.head.weight.detach()[target][:, :, None, None] * hidden / (9 * 11)
    found = Explained(model, images, maps, target, layer="second")
    assert ConservationAxiom().score(found).tolist() == pytest.approx([0.0] * 4, abs=1e-9)
    assert SensitivityAxiom().score(found).tolist() == pytest.approx([0.0] * 4, abs=1e-9)


@pytest.mark.parametrize("layer", ["first", "norm", "second"])
@pytest.mark.parametrize("start", ["logit", "contrastive"])
def test_axioms_literally(layer: str, start: Any) -> None:
    channels = 5 if layer == "second" else 4
    found = replace(explained(3, 7, 9, batch=4), maps=random(3, channels, 3, 4, seed=8) / 5, layer=layer)
    model, weights = found.model, found.maps.sum((2, 3))
    conservation, sensitivity = (metric(start=start).score(found) for metric in (ConservationAxiom, SensitivityAxiom))
    scale = 1.0 if start == "logit" else 1 / 3
    for k in range(3):
        target = int(found.target[k])

        def logit(without: int | None, k: int = k, target: int = target) -> float:
            """Run the network by hand, without a channel of the layer."""
            with torch.no_grad():
                hidden = found.images[k : k + 1]
                for name, after in (("first", nn.Identity()), ("norm", nn.ReLU()), ("second", nn.ReLU())):
                    hidden = getattr(model, name)(hidden)
                    if name == layer and without is not None:
                        hidden = torch.cat(
                            [hidden[:, :without], hidden[:, without : without + 1] * 0, hidden[:, without + 1 :]], 1
                        )
                    hidden = after(hidden)
                return scale * model.head(hidden.mean((2, 3)))[0, target].item()

        whole = logit(None)
        lost = [whole - logit(channel) for channel in range(channels)]
        assert conservation[k].item() == pytest.approx(abs(whole - float(weights[k].sum())) / abs(whole))
        wanted = sum(abs(a - float(b)) for a, b in zip(lost, weights[k], strict=True)) / sum(map(abs, lost))
        assert sensitivity[k].item() == pytest.approx(wanted)


def test_layers_that_cannot_be() -> None:
    found = vectors()
    with pytest.raises(InputError, match="layer must be one of layer, got 'other'"):
        SensitivityAxiom().score(replace(found, layer="other"))

    class Twice(Pooled):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(self.layer(images))

    class Never(Pooled):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean((2, 3)) @ self.weight.T

    for cls, times in ((Twice, 2), (Never, 0)):
        model = cls(found.model.weight)
        with pytest.raises(InputError, match=f"used {times} times"):
            SensitivityAxiom().score(replace(found, model=model))
        assert not model.layer._forward_hooks
        assert not model._forward_hooks
