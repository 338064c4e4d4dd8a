"""The family of networks, and what a built one says of itself.

A new network is one new file in ``miso_gen/models/networks`` (see ``vgg19.py`` there): a frozen class of parameters that
builds a plain ``torch.nn.Module``. Third parties register through entry points of the group ``miso_gen.models``.

Words of every declaration:

- *images*: (B, C, H, W) floating; a *bag*: (B, K, C, H, W), the K patches of each of B images;
- *logits*: (B, classes) floating, before softmax or sigmoid;
- *feature layer*: a module of the network whose output (B, channels, h, w) lies over the image, by its dotted name;
- *attention map*: (B, h, w), where the network itself looks, or of a bag (B, K), at which patches;
- *heatmap*: (B, maps, h, w), where the network itself says the evidence is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from miso_gen.errors import InputError
from miso_gen.models.weights import Pretrained, WeightsSource
from miso_gen.recipe.plugins import Plugin
from miso_gen.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from miso_gen.models.sizes import Sizes

#: What a network is given: ``patch`` and ``image`` as images (B, C, H, W), ``bag`` as (B, K, C, H, W) with a mask (B, K) bool,
#: True for patches that are there, or None where all are: ``forward(images, mask=None)``.
Reads: TypeAlias = Literal["patch", "image", "bag"]

#: What ``heatmap(images)`` gives: one map for each class, or one map whatever the class; None: there is none.
Heatmaps: TypeAlias = Literal["classes", "one"] | None


@dataclass(frozen=True)
class Offer:
    """What a built network says of itself: ``offer_of(model)``.

    Attributes:
        spec: ``{"type": name, parameters...}``, from which the same network is built again.
        reads: What it is given, the kind that its source gives it first.
        in_channels: Channels of images.
        num_classes: Number of logits.
        image_size: Height and width of images, in pixels, that it was built for.
        feature_layers: Names of its feature layers, from the input to the output.
        attention: Names of the maps of ``model.attention(images)``, (B, h, w) or (B, K) each; empty: it has no such method.
        heatmap: What ``model.heatmap(images)``, (B, maps, h, w), has a map for; None: it has no such method.
        pixel_levels: Relevance that each class of pixels stands for, where the network also says a class for each pixel:
            ``model.logits_and_pixels(images)`` gives logits, and pixel logits (B, levels, H, W). Empty: it doesn't.
    """

    spec: Mapping[str, Any]
    reads: tuple[Reads, ...]
    in_channels: int
    num_classes: int
    image_size: tuple[int, int]
    feature_layers: tuple[str, ...]
    attention: tuple[str, ...] = ()
    heatmap: Heatmaps = None
    pixel_levels: tuple[float, ...] = ()


class Network(Plugin, ABC):
    """Parameters of a network, and how it is built of them.

    A plug-in writes :meth:`build`, declares the ClassVars, and says which sizes it takes and which feature layers it has.
    """

    reads: ClassVar[tuple[Reads, ...]]  #: what it may be given, the kind that its source gives it first
    source: ClassVar[str]  #: paper, and section
    attention: ClassVar[tuple[str, ...]] = ()  #: names of the maps of ``module.attention(images)``
    heatmap: ClassVar[Heatmaps] = None  #: what ``module.heatmap(images)`` has a map for
    pixel_levels: ClassVar[tuple[float, ...]] = ()  #: see :class:`Offer`

    weights: WeightsSource = "none"
    """Where weights come from: ``none`` (drawn), ``pretrained`` (fetched), the path of a file, or ``{file, holds}``."""

    @property
    @abstractmethod
    def sizes(self) -> Sizes:
        """Image sizes that the network takes."""

    @property
    @abstractmethod
    def feature_layers(self) -> tuple[str, ...]:
        """Names of the feature layers, from the input to the output."""

    @property
    @abstractmethod
    def head(self) -> tuple[str, ...]:
        """Names of the modules whose weights depend on the number of classes."""

    @property
    def pretrained(self) -> Pretrained | None:
        """What ``weights: pretrained`` fetches; None: nobody published such weights."""
        return None

    @abstractmethod
    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """Return the network with weights drawn from torch's global generator.

        Args:
            in_channels: Channels of images, from 1.
            num_classes: Number of logits, from 1.
            image_size: Height and width, in pixels; one of :attr:`sizes`.
        """


@runtime_checkable
class Attends(Protocol):
    """A built network that says where it looks."""

    def attention(self, images: Tensor) -> dict[str, Tensor]:
        """Return its attention maps by name, in the order of its offer: (B, h, w) each, or (B, K) of bags."""


@runtime_checkable
class MapsItself(Protocol):
    """A built network that says where the evidence is."""

    def heatmap(self, images: Tensor) -> Tensor:
        """Return its maps, (B, maps, h, w): the higher, the more evidence; of as many classes, or one."""


@runtime_checkable
class LabelsPixels(Protocol):
    """A built network that says a class for each pixel beside that of the image."""

    def logits_and_pixels(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, classes), and pixel logits (B, levels, H, W)."""


def offer_of(model: nn.Module) -> Offer:
    """Return what a network made by :func:`~miso_gen.models.create.create_model` offers.

    Raises:
        InputError: It was made otherwise.
    """
    offer = getattr(model, "offer", None)
    if not isinstance(offer, Offer):
        raise InputError(f"model must be made by create_model, got {type(model).__name__}. It must say what it offers.")
    return offer


MODELS: Registry[Network] = Registry("model", "miso_gen.models.networks", "miso_gen.models")
