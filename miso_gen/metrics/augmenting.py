"""Changes of an image that a map should follow, or not mind: the family of augmentations, and the score of robustness.

Invariant ones change colours: the map should stay. Equivariant ones move pixels: the map should move with them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import nan
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import torch
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from torch.nn.functional import grid_sample

from miso_gen.errors import InputError
from miso_gen.metrics.asking import AskingMetric, Probability, ask, explain_again, reader
from miso_gen.metrics.interfaces import Curve, Explained, Need
from miso_gen.metrics.similarity import SIMILARITIES, Similarity
from miso_gen.recipe.parameters import OneOf, UnitInterval, Whole, chosen
from miso_gen.recipe.plugins import Plugin
from miso_gen.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


class Augmentation(Plugin, ABC):
    """A change of images by a degree from -1 to 1; 0 changes nothing."""

    moves: ClassVar[bool]  #: whether pixels move, and maps should follow
    source: ClassVar[str]  #: paper, and equation or section

    @property
    @abstractmethod
    def reach(self) -> float:
        """What degree 1 stands for, in the unit of the parameter."""

    @abstractmethod
    def images(self, images: Tensor, degree: float) -> Tensor:
        """Return changed images, (B, C, H, W).

        Raises:
            InputError: It can't be done to such images.
        """

    def maps(self, maps: Tensor, degree: float) -> tuple[Tensor, Tensor]:
        """Return maps (B, H, W) as they should become, and where these show the image, (H, W) bool."""
        return maps, torch.ones(maps.shape[1:], dtype=torch.bool, device=maps.device)


class ColorAugmentation(Augmentation):
    """An augmentation that changes colours. A plug-in writes :meth:`coloured`."""

    moves: ClassVar[bool] = False
    channels: ClassVar[int | None] = 3  #: what the images must have; None: any

    @abstractmethod
    def coloured(self, images: Tensor, degree: float) -> Tensor:
        """Return changed images, of images in [0, 1]."""

    def images(self, images: Tensor, degree: float) -> Tensor:
        """See :meth:`Augmentation.images`."""
        if self.channels not in (None, images.shape[1]):
            raise InputError(f"images must have {self.channels} channels for {self.type_name}, got {images.shape[1]}.")
        if images.numel() and (float(images.min()) < 0 or float(images.max()) > 1):
            raise InputError(
                f"images must be in [0, 1] for {self.type_name}, got [{float(images.min())}, {float(images.max())}]. "
                "Put the normalisation into the model."
            )
        return self.coloured(images, degree) if degree else images


class MovingAugmentation(Augmentation):
    """An augmentation that moves pixels, bilinearly; what comes in from outside is 0. A plug-in writes :meth:`origin`."""

    moves: ClassVar[bool] = True

    @abstractmethod
    def origin(self, x: Tensor, y: Tensor, degree: float, width: int, height: int) -> tuple[Tensor, Tensor]:
        """Return where each pixel comes from.

        Args:
            x: (1, W) float64, columns from the centre of the plane.
            y: (H, 1) float64, rows from the centre, downwards.
            degree: From -1 to 1.
            width: W.
            height: H.

        Returns:
            x and y, of shapes that broadcast to (H, W).
        """

    def images(self, images: Tensor, degree: float) -> Tensor:
        """See :meth:`Augmentation.images`."""
        return self._moved(images, degree)[0]

    def maps(self, maps: Tensor, degree: float) -> tuple[Tensor, Tensor]:
        """See :meth:`Augmentation.maps`."""
        found, inside = self._moved(maps[:, None], degree)
        return found[:, 0], inside

    def _moved(self, planes: Tensor, degree: float) -> tuple[Tensor, Tensor]:
        height, width = planes.shape[-2:]
        inside = torch.ones((height, width), dtype=torch.bool, device=planes.device)
        if not degree:
            return planes, inside
        middle = [torch.arange(size, dtype=torch.float64, device=planes.device) + 0.5 - size / 2 for size in (width, height)]
        x, y = (part.expand(height, width) for part in self.origin(middle[0][None], middle[1][:, None], degree, width, height))
        right, down = 2 * x / width, 2 * y / height
        inside &= (right.abs() <= 1 + 1e-12) & (down.abs() <= 1 + 1e-12)
        places = torch.stack([right, down], -1).to(planes.dtype).expand(len(planes), height, width, 2)
        found = grid_sample(planes, places, mode="bilinear", padding_mode="border", align_corners=False)
        return found.where(inside, 0.0), inside


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation", "miso_gen.metrics.augmentations", "miso_gen.metrics.augmentations"
)


class Course(NamedTuple):
    """What becomes of maps and of the model's answers as images are changed more and more.

    Attributes:
        x: (K,) float64, the change, from one reach to the other, in the unit of the augmentation.
        similarity: (B, K) float64, of the given map, changed as it should be, with the map of the changed image.
        probability: (B, K) float64, of the class.
    """

    x: Tensor
    similarity: Tensor
    probability: Tensor


def course(explained: Explained, augmentation: Augmentation, levels: int, similarity: Similarity, output: Probability) -> Course:
    """Return what becomes of maps and answers under an augmentation; the model should be at rest.

    Args:
        explained: Has ``explain``.
        augmentation: What is done to the images.
        levels: Degrees beside 0, half of them on each side of it, evenly spaced; even.
        similarity: Of maps.
        output: What of the logits is the probability.
    """
    images, maps = explained.images, explained.maps.to(torch.float64)
    degrees = [2 * k / levels - 1 for k in range(levels + 1)]
    shape = (len(images), len(degrees))
    found = [torch.empty(shape, dtype=torch.float64, device=images.device) for _ in range(2)]
    owner = torch.arange(len(images), device=images.device)
    for k, degree in enumerate(degrees):

        def made(some: slice, degree: float = degree) -> Tensor:
            return augmentation.images(images[some], degree)

        found[1][:, k] = ask(explained, owner, made, reader(output))
        for some, changed in explain_again(explained, owner, made):
            expected, inside = augmentation.maps(maps[some], degree)
            found[0][some, k] = similarity.compare(expected, changed, inside.expand_as(changed))
    return Course(torch.tensor(degrees, dtype=torch.float64, device=images.device) * augmentation.reach, *found)


def robustness(course: Course, fall: float) -> Tensor:
    """Return the area under the similarity over the area under the probability, (...) float64.

    Both are divided by their greatest value first. The areas, by the trapezoid rule, reach to both sides of no change as long as
    the probability is at least (1 - fall) of that of the unchanged image.

    For the score of a data set, as its source computes it, give the means over images of :meth:`RobustnessMetric.courses`:
    ``Course(x, similarity.nanmean(0), probability.mean(0))``.

    Returns:
        nan where the first change already costs more than ``fall``, where a similarity that counts is undefined, and where none
        is above 0.
    """
    similarity, probability = course.similarity, course.probability
    middle = len(course.x) // 2
    is_near = probability >= (1 - fall) * probability[..., middle : middle + 1]
    after = is_near[..., middle:].to(torch.int64).cumprod(-1)
    before = is_near[..., : middle + 1].flip(-1).to(torch.int64).cumprod(-1).flip(-1)
    counts = torch.cat([before, after[..., 1:]], -1) > 0
    both = counts[..., 1:] & counts[..., :-1]
    areas = []
    for values in (similarity, probability):
        highest = values.nan_to_num(-torch.inf).amax(-1)
        scaled = values / highest.where(highest > 0, nan)[..., None]
        steps = (scaled[..., 1:] + scaled[..., :-1]) / 2 * course.x.diff()
        areas.append(steps.where(both, 0.0).sum(-1))
    return (areas[0] / areas[1]).where(both.any(-1), nan)


class RobustnessMetric(AskingMetric):
    """How well maps withstand an augmentation. A plug-in declares which kind, and its default.

    The curve is that of the similarity over the change.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"explain"})
    sized: ClassVar[bool] = False
    moves: ClassVar[bool]  #: of the augmentations that it takes

    augmentation: Annotated[Augmentation, OneOf(AUGMENTATIONS)]
    """What is done to the images."""

    levels: Annotated[int, Field(ge=2, multiple_of=2), Whole] = 40
    """Degrees of change beside none, half of them on each side."""

    similarity: Annotated[Similarity, OneOf(SIMILARITIES)] = chosen("pearson")
    """How maps are compared."""

    fall: UnitInterval = 0.1
    """Share of the probability of the class that may be lost; beyond, maps no longer count."""

    output: Probability = "softmax"
    """What of the logits is the probability of the class."""

    @field_validator("augmentation")
    @classmethod
    def _of_the_kind(cls, value: Augmentation) -> Augmentation:
        if value.moves != cls.moves:
            raise PydanticCustomError(
                "expected", "an augmentation that moves pixels" if cls.moves else "an augmentation of colours"
            )
        return value

    def courses(self, explained: Explained) -> Course:
        """Return similarity and probability over the change; the similarity of a map that is not finite is nan."""
        with self.ready(explained) as (finite, known):
            found = self._courses(finite)
        return found._replace(similarity=found.similarity.where(known[:, None], nan))

    def _courses(self, explained: Explained) -> Course:
        return course(explained, self.augmentation, self.levels, self.similarity, self.output)

    def curved(self, explained: Explained) -> Curve:
        """See :meth:`AskingMetric.curved`: x is the change, y the similarity."""
        found = self._courses(explained)
        return Curve(found.x, found.similarity)

    def scored(self, explained: Explained) -> Tensor:
        """See :meth:`AskingMetric.scored`."""
        return robustness(self._courses(explained), self.fall)
