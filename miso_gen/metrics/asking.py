"""Asking the model: a few images at a time, at rest, and left as it was.

Scores that ask the model are :class:`AskingMetric` with one method, ``scored``; all they have in common is here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import nan
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeAlias

import torch

from miso_gen.errors import InputError
from miso_gen.metrics.interfaces import Curve, Explained, ModelMetric

if TYPE_CHECKING:
    from torch import Tensor

#: What of the model's logits is the score of a class: its share in the ``softmax`` over the classes, the ``sigmoid`` of its own
#: logit (where an image may be of several classes), or the ``logit`` itself.
Output: TypeAlias = Literal["softmax", "sigmoid", "logit"]
Probability: TypeAlias = Literal["softmax", "sigmoid"]  #: an :data:`Output` that is never negative

Made: TypeAlias = Callable[[slice], "Tensor"]  #: some of the images to ask of -> (b, C, H, W)
Read: TypeAlias = Callable[["Tensor", "Tensor"], "Tensor"]  #: logits (b, classes), targets (b,) -> score of the target, (b,)

LEAST: Final = 1e-8  #: a score of the unchanged image below this is too small to divide by


class AskingMetric(ModelMetric):
    """A score of maps that asks the model.

    A plug-in writes :meth:`scored`. It never sees a map that is not finite: such maps score nan.
    """

    chance: ClassVar[str | None] = None  #: score of a random map; None: it depends on the model
    sized: ClassVar[bool] = True  #: whether maps must have the size of the images
    ndim: ClassVar[int] = 3  #: axes of the maps: (B, H, W), or (B, K, h, w) where each channel of a layer has one

    @abstractmethod
    def scored(self, explained: Explained) -> Tensor:
        """Return the score of each image, (B,) float64, of finite maps; the model is at rest."""

    def curved(self, explained: Explained) -> Curve | None:
        """Return the curve of each image, of finite maps, if the score has one; the model is at rest."""
        return None

    def score(self, explained: Explained) -> Tensor:
        """See :meth:`ModelMetric.score`."""
        with self.ready(explained) as (finite, known):
            return self.scored(finite).where(known, nan)

    def curve(self, explained: Explained) -> Curve | None:
        """See :meth:`ModelMetric.curve`; y is nan for a map that is not finite."""
        with self.ready(explained) as (finite, known):
            found = self.curved(finite)
        return None if found is None else Curve(found.x, found.y.where(known[:, None], nan))

    @contextmanager
    def ready(self, explained: Explained) -> Iterator[tuple[Explained, Tensor]]:
        """Put the model at rest; give what is explained, with zeros for maps that are not finite, and which are, (B,) bool.

        Raises:
            InputError: Something that the metric needs is not there, or shapes don't fit.
        """
        check(explained, self)
        known = torch.isfinite(explained.maps).flatten(1).all(1)
        with at_rest(explained.model):
            yield replace(explained, images=explained.images.detach(), maps=_zeroed(explained.maps.detach(), known)), known


class CurveMetric(AskingMetric):
    """A score that follows from a curve alone. A plug-in writes :meth:`curved` and :meth:`summary`."""

    @abstractmethod
    def curved(self, explained: Explained) -> Curve:
        """Return the curve of each image, of finite maps; the model is at rest."""

    @abstractmethod
    def summary(self, curve: Curve) -> Tensor:
        """Return the score of each image, (B,) float64, from its curve."""

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        return self.summary(self.curved(explained))


def check(explained: Explained, metric: AskingMetric) -> None:
    """Raise :class:`InputError` unless everything that a metric needs is there, and fits."""
    images, maps, target = explained.images, explained.maps, explained.target
    for name, value in {"images": images, "maps": maps, "target": target}.items():
        if not isinstance(value, torch.Tensor):
            raise InputError(f"{name} must be a tensor, got {type(value).__name__}. Make one by torch.as_tensor.")
    if images.ndim != 4 or not images.is_floating_point() or 0 in images.shape[1:]:
        raise InputError(f"images must be floating, (B, C, H, W) with pixels, got {images.dtype}, {tuple(images.shape)}.")
    axes = "(B, H, W)" if metric.ndim == 3 else "(B, K, h, w)"
    if maps.ndim != metric.ndim or len(maps) != len(images) or not maps.is_floating_point():
        raise InputError(f"maps must be floating, {axes} for {len(images)} images, got {maps.dtype}, {tuple(maps.shape)}.")
    if metric.sized and maps.shape[-2:] != images.shape[-2:]:
        raise InputError(
            f"maps must have the size of the images, {tuple(images.shape[-2:])}, got {tuple(maps.shape[-2:])}. Resize them first."
        )
    if target.shape != images.shape[:1] or target.dtype != torch.int64:
        raise InputError(f"target must be int64, ({len(images)},), got {target.dtype}, {tuple(target.shape)}.")
    if not images.device == maps.device == target.device:
        places = ", ".join(str(value.device) for value in (images, maps, target))
        raise InputError(f"images, maps and target must be on one device, got {places}. Move them.")
    if explained.batch < 1:
        raise InputError(f"batch must be at least 1, got {explained.batch}.")
    if "explain" in metric.needs and explained.explain is None:
        raise InputError(f"explain must be there for {metric.type_name}, got None. Give what makes the maps.")
    if "layer" in metric.needs and explained.layer is None:
        raise InputError(f"layer must be there for {metric.type_name}, got None. Name a layer of the model.")
    if "module" in metric.needs and not isinstance(explained.model, torch.nn.Module):
        raise InputError(f"model must be a torch.nn.Module for {metric.type_name}, got {type(explained.model).__name__}.")


def _zeroed(maps: Tensor, known: Tensor) -> Tensor:
    """Return maps with zeros for those that are not finite."""
    return maps if bool(known.all()) else maps.where(known.reshape(-1, *(1,) * (maps.ndim - 1)), 0.0)


@contextmanager
def at_rest(model: object) -> Iterator[None]:
    """Put a model in eval mode without gradients, and leave it as it was: modes, gradients, and which parameters have them.

    A model that is no ``torch.nn.Module`` is its owner's to put at rest.
    """
    if not isinstance(model, torch.nn.Module):
        yield
        return
    modes = [(module, module.training) for module in model.modules()]
    parameters = [(one, one.requires_grad, one.grad) for one in model.parameters()]
    try:
        model.eval()
        for one, _, _ in parameters:
            one.grad = None
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for one, requires_grad, grad in parameters:
            one.requires_grad_(requires_grad)
            one.grad = grad


def reader(output: Output) -> Read:
    """Return what reads the score of a class, (b,) float64, from logits (b, classes)."""

    def read(logits: Tensor, target: Tensor) -> Tensor:
        wide = logits.to(torch.float64)
        if output == "softmax":
            wide = wide.softmax(1)
        found = wide.gather(1, target[:, None])[:, 0]
        return found.sigmoid() if output == "sigmoid" else found

    return read


def ask(explained: Explained, owner: Tensor, made: Made, read: Read) -> Tensor:
    """Return what the model says of changed images, (n,) float64, ``batch`` of them in memory at a time.

    Args:
        explained: The model, and the classes asked for.
        owner: (n,) int64, image that each changed one is made of.
        made: Makes some of the n changed images.
        read: What is read from the logits.

    Raises:
        InputError: The model returns no logits of the classes asked for.
    """
    found = torch.empty(len(owner), dtype=torch.float64, device=owner.device)
    for some in chunks(len(owner), explained.batch):
        target = explained.target[owner[some]]
        with torch.no_grad():
            logits = explained.model(made(some))
            _check_logits(logits, target)
            found[some] = read(logits, target)
    return found


def answers(explained: Explained, images: Tensor, read: Read) -> Tensor:
    """Return what the model says of one image (B, C, H, W) for each of those explained, (B,) float64."""
    return ask(explained, torch.arange(len(images), device=images.device), lambda some: images[some], read)


def explain_again(explained: Explained, owner: Tensor, made: Made) -> Iterator[tuple[slice, Tensor]]:
    """Yield the maps of changed images, (b, H, W) float64 each time, with the places of these b among all.

    Args:
        explained: Has ``explain``, which is called with gradients enabled.
        owner: (n,) int64, image that each changed one is made of.
        made: Makes some of the n changed images.

    Raises:
        InputError: A map has another size than those given.
    """
    assert explained.explain is not None  # checked before
    for some in chunks(len(owner), explained.batch):
        images = made(some).detach()
        with torch.enable_grad():
            maps = explained.explain(explained.model, images, explained.target[owner[some]]).detach()
        expected = (len(images), *explained.maps.shape[1:])
        if tuple(maps.shape) != expected:
            raise InputError(f"explain must make maps of the shape of those given, {expected}, got {tuple(maps.shape)}.")
        yield some, maps.to(explained.maps.device, torch.float64)


def chunks(count: int, batch: int) -> Iterator[slice]:
    """Yield the places 0 to count, ``batch`` at a time."""
    for start in range(0, count, batch):
        yield slice(start, min(start + batch, count))


def _check_logits(logits: Tensor, target: Tensor) -> None:
    if logits.ndim != 2 or len(logits) != len(target):
        raise InputError(f"model must return logits ({len(target)}, classes), got shape {tuple(logits.shape)}.")
    if len(target) and not 0 <= int(target.min()) <= int(target.max()) < logits.shape[1]:
        raise InputError(
            f"target must be in [0, {logits.shape[1]}), the classes of the model, got {sorted(set(target.tolist()))}."
        )
