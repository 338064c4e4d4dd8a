"""The family of explainers, and what each is given and gives.

A new explainer is one new file in ``miso_gen/explain/explainers`` (see ``saliency.py`` there): a frozen class of parameters that
makes maps of a batch. Third parties register through entry points of the group ``miso_gen.explainers``.

Words of every declaration:

- *images*: (B, C, H, W) floating; *target*: (B,) int64, the class that each map explains;
- *relevance*: (B, C, H, W), a value for each pixel and channel, before channels are pooled;
- *map*: (B, h, w), the higher, the more it speaks for the class; of the size of the images, or of a layer over them;
- *layer*: a module of the network by its dotted name, whose output (B, channels, h, w) lies over the image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import torch

from miso_gen.errors import InputError
from miso_gen.explain.layers import chosen_layers
from miso_gen.explain.pooling import Pool, clamped, joined, pooled
from miso_gen.explain.scaling import Scale
from miso_gen.recipe.parameters import Integer, NonNegativeInt, PositiveFloat
from miso_gen.recipe.plugins import Plugin
from miso_gen.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Family: TypeAlias = Literal["gradient", "cam", "relevance", "perturbation", "network", "null", "joint"]

#: What an explainer needs beside a function from images to logits: ``gradients`` of that function; a ``module``, whose layers it
#: sees; ``attention`` or ``heatmap``, which the network itself makes; ``truth``.
Need: TypeAlias = Literal["gradients", "module", "attention", "heatmap", "truth"]

Model: TypeAlias = Callable[["Tensor"], "Tensor"]  #: images (B, C, H, W) -> logits (B, classes)
Explains: TypeAlias = Literal["label", "predicted"] | NonNegativeInt  #: which class a map of an experiment explains
LayerName: TypeAlias = str | Integer  #: dotted name of a module; ``last`` or ``all``; or its number among the feature layers


@dataclass(frozen=True, eq=False)
class Subject:
    """What is explained: a batch, and the network that decided on it.

    Attributes:
        model: Images (b, C, H, W) -> logits (b, classes); in evaluation mode, its parameters without gradients.
        images: (B, C, H, W) floating, on the device of the model.
        target: (B,) int64, the class to explain.
        seeds: Of whatever is drawn, one for each image, so that no map depends on the batch that its image is in.
        truth: (B, H, W) uint8 of levels 0, 1, 2, for explainers that need it.
        batch: Images that are given to the model at a time, for explainers that ask it more than once an image.
    """

    model: Model
    images: Tensor
    target: Tensor
    seeds: tuple[int, ...]
    truth: Tensor | None = None
    batch: int = 64

    @property
    def module(self) -> torch.nn.Module:
        """The model, for explainers that need a ``module``."""
        assert isinstance(self.model, torch.nn.Module)  # checked before
        return self.model

    def scores(self, images: Tensor) -> Tensor:
        """Return the logit of the target for each image, (B,), of images in the order of the batch; with gradients if enabled."""
        return self.model(images).gather(1, self.target[:, None])[:, 0]


class Explainer(Plugin, ABC):
    """Parameters of an explainer, and how it makes maps.

    A plug-in writes :meth:`maps`, or is a :class:`PixelExplainer` or :class:`LayerExplainer`, and declares the ClassVars.
    """

    family: ClassVar[Family]
    source: ClassVar[str]  #: paper, and section
    needs: ClassVar[frozenset[Need]] = frozenset()
    class_sensitive: ClassVar[bool] = True  #: whether its map depends on the class asked for
    signed: ClassVar[bool]  #: whether negative values speak against the class

    name: str | None = None
    """Name of its maps in an experiment; null: that of its type."""

    explains: Explains = "label"
    """Class that maps of an experiment explain: the ``label`` of the image, the class ``predicted``, or a number."""

    scale: Scale = "none"
    """How maps are scaled, see :func:`~miso_gen.explain.scaling.scaled`."""

    @property
    def is_signed(self) -> bool:
        """Whether negative values of its maps, as parameters make them, speak against the class."""
        return self.signed and self.scale != "min-max"

    @abstractmethod
    def maps(self, subject: Subject) -> Tensor:
        """Return the maps of a batch before they are scaled, (B, h, w) floating and finite.

        It is called with gradients enabled, and leaves the model as it was.

        Raises:
            InputError: The model, or a parameter, doesn't fit.
        """


class PixelExplainer(Explainer):
    """An explainer of pixels. A plug-in writes :meth:`relevance`."""

    channels: Pool = "sum"
    """What becomes of the channels of a pixel."""

    clamp: PositiveFloat | None = None
    """Bound that relevance is clamped to, on both sides, before channels are pooled; null: none."""

    clamp_of: Literal["share", "value"] = "share"
    """What the bound is of: a ``share`` of the greatest absolute relevance of the image, or the ``value`` as it is."""

    @property
    def is_signed(self) -> bool:
        """See :attr:`Explainer.is_signed`."""
        return super().is_signed and self.channels not in ("max-abs", "l2")

    @abstractmethod
    def relevance(self, subject: Subject) -> Tensor:
        """Return the relevance of each pixel and channel, (B, C, H, W)."""

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        return pooled(clamped(self.relevance(subject), self.clamp, self.clamp_of), self.channels)


class LayerExplainer(Explainer):
    """An explainer of layers. A plug-in writes :meth:`layer_maps`.

    Of one layer, its map is the map. Those of several are each scaled to [0, 1], resized to the image, joined, and scaled again.

    Source of joining: You, post-processing and aggregation.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"module", "gradients"})

    layer: LayerName | tuple[LayerName, ...] = "last"
    """Layer, or several: dotted names; numbers among the feature layers, -1 for the last; ``last``; ``all``."""

    join: Literal["mean", "max"] = "mean"
    """How the maps of several layers are joined."""

    relu: bool = True
    """Whether negative values become 0."""

    @property
    def is_signed(self) -> bool:
        """See :attr:`Explainer.is_signed`."""
        alone = self.layer != "all" and (isinstance(self.layer, str | int) or len(self.layer) == 1)
        return super().is_signed and not self.relu and alone

    @abstractmethod
    def layer_maps(self, subject: Subject, layers: tuple[str, ...]) -> list[Tensor]:
        """Return the map of each layer, (B, h, w) of the size of the layer, with its signs.

        Args:
            subject: What is explained.
            layers: Names of modules, at least one, all there, and different.
        """

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        found = self.layer_maps(subject, chosen_layers(subject.module, self.layer))
        if self.relu:
            found = [one.clamp(min=0) for one in found]
        return found[0] if len(found) == 1 else joined(found, subject.images.shape[-2:], self.join)


EXPLAINERS: Registry[Explainer] = Registry("explainer", "miso_gen.explain.explainers", "miso_gen.explainers")


def check_needs(explainer: Explainer, subject: Subject) -> None:
    """Raise :class:`InputError` unless the model, and what comes with it, has what an explainer needs."""
    name, model = explainer.type_name, subject.model
    if "module" in explainer.needs and not isinstance(model, torch.nn.Module):
        raise InputError(f"model must be a torch.nn.Module for {name}, got {type(model).__name__}.")
    for method in ("attention", "heatmap"):
        if method in explainer.needs and not callable(getattr(model, method, None)):
            raise InputError(
                f"model must have {method} of its own for {name}, got {type(model).__name__}. Choose another explainer."
            )
    if "truth" in explainer.needs and subject.truth is None:
        raise InputError(f"truth must be there for {name}, got None. Give truth=.")
