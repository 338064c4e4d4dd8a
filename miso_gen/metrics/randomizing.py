"""Maps of a model that forgets what it learned, stage by stage."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import contextmanager
from math import sqrt
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch

from miso_gen.errors import InputError
from miso_gen.metrics.asking import CurveMetric, explain_again
from miso_gen.metrics.interfaces import Curve, Explained, Need
from miso_gen.metrics.similarity import SIMILARITIES, Similarity
from miso_gen.recipe.parameters import OneOf, chosen
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from torch import Tensor
    from torch.nn import Module

#: Layers that are randomised; normalisation stays.
LAYERS = (
    torch.nn.Linear,
    torch.nn.Conv1d,
    torch.nn.Conv2d,
    torch.nn.Conv3d,
    torch.nn.ConvTranspose1d,
    torch.nn.ConvTranspose2d,
    torch.nn.ConvTranspose3d,
)


def layers_of(model: Module, stages: Sequence[str]) -> list[list[tuple[str, Module]]]:
    """Return the layers to randomise in each stage, by name; without ``stages``, each layer is one, the last first.

    Args:
        model: The model.
        stages: Names of modules, in order.

    Raises:
        InputError: A name is none of the model's, or there is nothing to randomise in it.
    """
    known = dict(model.named_modules())
    if not stages:
        layers = _layers("", model)[::-1]
        if not layers:
            raise InputError("model must have convolutions or linear layers, got none. Nothing can be randomised.")
        return [[layer] for layer in layers]
    for name in stages:
        if name not in known:
            raise InputError(f"stages must name modules of the model, one of {', '.join(filter(None, known))}, got {name!r}.")
    found = [_layers(stage, known[stage]) for stage in stages]
    for stage, layers in zip(stages, found, strict=True):
        if not layers:
            raise InputError(f"stages must hold convolutions or linear layers, got none in {stage!r}. Leave it out.")
    return found


def _layers(prefix: str, module: Module) -> list[tuple[str, Module]]:
    return [(name, part) for name, part in module.named_modules(prefix=prefix) if isinstance(part, LAYERS)]


def randomize(name: str, layer: Module, seed: int) -> None:
    """Draw weights and biases of a layer anew, uniform within 1 / sqrt(inputs of a unit) to both sides, as torch starts them.

    Raises:
        InputError: The layer's weights are computed from other parameters.
    """
    own = dict(layer.named_parameters(recurse=False))
    if "weight" not in own:
        raise InputError(
            f"layers must have weights of their own, got {name!r}, whose weight is computed. Remove its parametrization."
        )
    reach, stream = 1 / sqrt(own["weight"][0].numel()), Stream(seed, "metrics", "randomization", name)
    with torch.no_grad():
        for key in ("weight", "bias"):
            if key in own:
                values = torch.from_numpy(stream.uniforms(own[key].numel())).reshape(own[key].shape)
                own[key].copy_((2 * values - 1) * reach)


@contextmanager
def restored(layers: Sequence[tuple[str, Module]]) -> Iterator[None]:
    """Put back the weights and biases of layers at the end."""
    kept = {id(one): (one, one.detach().clone()) for _, layer in layers for one in layer.parameters(recurse=False)}
    try:
        yield
    finally:
        with torch.no_grad():
            for one, values in kept.values():
                one.copy_(values)


class RandomizationMetric(CurveMetric):
    """How alike a map is to those of the model with randomised stages. A plug-in writes :meth:`randomized`.

    The curve is over the number of the stage, from 1.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"explain", "module"})
    sized: ClassVar[bool] = False

    stages: tuple[str, ...] = ()
    """Modules to randomise, in order; none: each convolution and linear layer, the last first."""

    similarity: Annotated[Similarity, OneOf(SIMILARITIES)] = chosen("spearman")
    """How maps are compared."""

    @abstractmethod
    def randomized(self, stages: list[list[tuple[str, Module]]], seed: int) -> Generator[None, None, None]:
        """Randomise the model for one stage after the other, yielding after each, and leave it as it was, closed or exhausted."""

    def curved(self, explained: Explained) -> Curve:
        """See :meth:`CurveMetric.curved`: x is the number of the stage, y the similarity."""
        assert isinstance(explained.model, torch.nn.Module)  # checked before
        stages = layers_of(explained.model, self.stages)
        owner = torch.arange(len(explained.images), device=explained.images.device)
        found = torch.empty((len(owner), len(stages)), dtype=torch.float64, device=owner.device)
        states = self.randomized(stages, explained.seed)
        try:
            for stage, _ in enumerate(states):
                for some, maps in explain_again(explained, owner, lambda some: explained.images[some]):
                    found[some, stage] = self.similarity.compare(explained.maps[some], maps)
        finally:
            states.close()  # restores the model
        return Curve(torch.arange(1, len(stages) + 1, dtype=torch.float64, device=owner.device), found)

    def summary(self, curve: Curve) -> Tensor:
        """See :meth:`CurveMetric.summary`: the mean over stages whose similarity is defined."""
        return curve.y.nanmean(1)
