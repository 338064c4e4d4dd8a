"""One call from a network and images to maps, on any network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from miso_gen.errors import InputError, WorkError
from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Model, Subject, check_needs
from miso_gen.explain.pooling import resized
from miso_gen.explain.scaling import is_blank, is_constant, scaled
from miso_gen.metrics.asking import at_rest
from miso_gen.metrics.plugins import plugin_of
from miso_gen.models import Offer
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.interfaces import Explain

Chosen = str | Mapping[str, Any] | Explainer  #: an explainer: its name, ``{"type": name, ...}``, or itself


@dataclass(frozen=True, eq=False)
class Explanation:
    """Maps of a batch, and what they are of.

    Attributes:
        maps: (B, h, w) float32, finite.
        target: (B,) int64, the class that each explains.
        signed: Whether negative values speak against the class.
        blank: (B,) bool, which maps are 0 everywhere.
        constant: (B,) bool, which maps have one value everywhere; blank ones, too.
    """

    maps: Tensor
    target: Tensor
    signed: bool
    blank: Tensor
    constant: Tensor


def explain(
    model: Model,
    images: Any,
    explainer: Chosen = "saliency",
    *,
    target: Any = None,
    truth: Any = None,
    size: Literal["image", "own"] = "image",
    seed: int = 0,
    batch: int = 64,
    **parameters: Any,
) -> Tensor:
    """Return the maps of images, (B, H, W) float32, on the device of the images.

    ::

        maps = explain(model, images, "xrelevance-cam", target=1, layer="layer3")

    Args:
        model: A network of :func:`~miso_gen.models.create_model` or of your own, or a function: images (b, C, H, W) -> logits
            (b, classes).
        images: (B, C, H, W) floating, or (C, H, W) for one: an array or a tensor, as the model takes them.
        explainer: Its name, ``{"type": name, ...}``, or itself.
        target: Class to explain: a number, or (B,) numbers; None: the one that the model predicts.
        truth: (B, H, W) of levels 0, 1 and 2, for explainers that need it, such as ``oracle``.
        size: ``image``: maps of layers are resized to the image, bilinear; ``own``: they keep the size of the layer.
        seed: Of whatever is drawn. The map of an image depends on its place in the batch, and on no other image.
        batch: Images that are given to the model at a time.
        parameters: Of the explainer, where it is given by name.

    Raises:
        UnknownNameError: There is no such explainer or layer.
        RecipeError: A parameter of it is wrong.
        InputError: Anything else is not as it must be.
        WorkError: A map came out that is not finite.
    """
    return explained(model, images, explainer, target=target, truth=truth, size=size, seed=seed, batch=batch, **parameters).maps


def explained(
    model: Model,
    images: Any,
    explainer: Chosen = "saliency",
    *,
    target: Any = None,
    truth: Any = None,
    size: Literal["image", "own"] = "image",
    seed: int | Sequence[int] = 0,
    batch: int = 64,
    **parameters: Any,
) -> Explanation:
    """Return the maps of images with what they are of: see :func:`explain`.

    Args:
        model: As there.
        images: As there.
        explainer: As there.
        target: As there.
        truth: As there.
        size: As there.
        seed: As there; or one for each image.
        batch: As there.
        parameters: As there.
    """
    chosen = explainer_of(explainer, parameters)
    if size not in ("image", "own"):
        raise InputError(f"size must be 'image' or 'own', got {size!r}.")
    given = _images(images, model)
    marks = None if truth is None else torch.as_tensor(np.asarray(truth) if not isinstance(truth, torch.Tensor) else truth)
    if marks is not None and marks.shape[-2:] != given.shape[-2:]:
        raise InputError(f"truth must have the size of the images, {tuple(given.shape[-2:])}, got {tuple(marks.shape[-2:])}.")
    seeds = _seeds(seed, len(given))
    parts = []
    with resting(model):
        goals = _targets(model, given, target, batch)
        for start in range(0, len(given), batch):
            some = slice(start, start + batch)
            shown = None if marks is None else marks.reshape(-1, *marks.shape[-2:])[some].to(given.device)
            subject = Subject(model, given[some], goals[some], seeds[some], shown, batch)
            parts.append(maps_of(chosen, subject))
    maps = torch.cat(parts) if parts else given.new_zeros((0, *given.shape[-2:]))
    shown = resized(maps, given.shape[-2:]) if size == "image" and len(maps) else maps
    return Explanation(shown, goals, chosen.is_signed, is_blank(maps), is_constant(maps))


def maps_of(explainer: Explainer, subject: Subject) -> Tensor:
    """Return the maps of a batch as an explainer makes and scales them, (B, h, w) float32; the model is at rest.

    Raises:
        InputError: The model has not what the explainer needs.
        WorkError: A map is not finite.
    """
    check_needs(explainer, subject)
    with torch.enable_grad():
        found = scaled(explainer.maps(subject).detach().to(torch.float32), explainer.scale)
    if found.ndim != 3 or len(found) != len(subject.images):
        raise WorkError(f"{explainer.type_name} must make maps ({len(subject.images)}, h, w), got {tuple(found.shape)}.")
    wrong = ~torch.isfinite(found).flatten(1).all(1)
    if bool(wrong.any()):
        raise WorkError(
            f"maps of {explainer.type_name} must be finite, got {int(wrong.sum())} of {len(found)} that are not. "
            "Look whether the weights of the network are finite."
        )
    return found


def explainer_of(explainer: Chosen, parameters: Mapping[str, Any] | None = None) -> Explainer:
    """Return the explainer that a name, a specification or an explainer stands for, with some parameters on top.

    Raises:
        UnknownNameError: There is no such explainer.
        RecipeError: A parameter of it is wrong.
        InputError: Parameters come beside an explainer that has its own.
    """
    if isinstance(explainer, str):
        return plugin_of({"type": explainer, **(parameters or {})}, EXPLAINERS)
    if parameters:
        raise InputError(f"parameters must be within the explainer, got {', '.join(parameters)} beside it. Give its name.")
    return plugin_of(explainer, EXPLAINERS)


def explaining(explainer: Chosen, **parameters: Any) -> Explain:
    """Return a function (model, images, target) -> maps, for scores that make maps anew (robustness, randomisation).

    Args:
        explainer: Its name, ``{"type": name, ...}``, or itself.
        parameters: Of the explainer, where it is given by name.
    """
    chosen = explainer_of(explainer, parameters)

    def make(model: Model, images: Tensor, target: Tensor) -> Tensor:
        return explain(model, images, chosen, target=target, batch=max(1, len(images)))

    return make


@contextmanager
def resting(model: object) -> Iterator[None]:
    """Put a model in evaluation mode, its parameters without gradients, and leave it as it was."""
    with at_rest(model):
        if isinstance(model, torch.nn.Module):
            model.requires_grad_(False)
        yield


def _images(images: Any, model: Model) -> Tensor:
    """Return images as the model takes them: a batch, of its number format, finite."""
    if not callable(model):
        raise InputError(f"model must be a network or a function, got {type(model).__name__}. Make one: create_model(...).")
    try:
        found = images if isinstance(images, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(images))
    except TypeError:
        raise InputError(f"images must be an array or a tensor of numbers, got {type(images).__name__}.") from None
    if found.ndim == 3:
        found = found[None]
    if found.ndim != 4 or not found.is_floating_point() or 0 in found.shape[1:]:
        raise InputError(
            f"images must be floating, (B, C, H, W) with pixels, got {found.dtype}, {tuple(found.shape)}. Divide uint8 by 255."
        )
    place = next(model.parameters(), None) if isinstance(model, torch.nn.Module) else None
    if place is not None and place.device != found.device:
        raise InputError(f"images must be where the model is, {place.device}, got {found.device}. Move them.")
    if not bool(torch.isfinite(found).all()):
        raise InputError("images must be finite, got nan or infinity in some. Look where they come from.")
    found = found.detach() if place is None or not place.is_floating_point() else found.detach().to(place.dtype)
    return found.clone() if found.is_inference() else found


def _seeds(seed: int | Sequence[int], count: int) -> tuple[int, ...]:
    if isinstance(seed, int):
        return tuple(Stream(seed, "explain", number).word() >> 1 for number in range(count))
    if len(seed) != count:
        raise InputError(f"seed must be a number, or {count} of them, got {len(seed)}.")
    return tuple(seed)


def _targets(model: Model, images: Tensor, target: Any, batch: int) -> Tensor:
    """Return the class to explain of each image, (B,) int64 on their device."""
    with torch.no_grad():
        if target is None:
            found = [_logits(model, images[start : start + batch]).argmax(1) for start in range(0, len(images), batch)]
            return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64, device=images.device)
        offer = getattr(model, "offer", None)  # spares asking the model
        classes = offer.num_classes if isinstance(offer, Offer) else _logits(model, images[:1]).shape[1] if len(images) else 0
    try:
        goals = torch.as_tensor(target if isinstance(target, torch.Tensor) else np.asarray(target), device=images.device)
    except TypeError:
        raise InputError(f"target must be a whole number, or one for each image, got {target!r}.") from None
    if goals.is_floating_point() or goals.dtype == torch.bool or goals.ndim > 1:
        raise InputError(f"target must be a whole number, or one for each image, got {goals.dtype}, {tuple(goals.shape)}.")
    goals = goals.to(torch.int64)
    goals = goals.expand(len(images)) if goals.ndim == 0 else goals
    if len(goals) != len(images):
        raise InputError(f"target must be one class, or {len(images)} of them, got {len(goals)}.")
    if len(goals) and not 0 <= int(goals.min()) <= int(goals.max()) < classes:
        raise InputError(f"target must be from 0 to {classes - 1}, the classes of the model, got {sorted(set(goals.tolist()))}.")
    return goals


def _logits(model: Model, images: Tensor) -> Tensor:
    found = model(images)
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != len(images):
        what = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise InputError(f"model must return logits ({len(images)}, classes), got {what}. Wrap it in a function that does.")
    return found
