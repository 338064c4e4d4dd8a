"""The families of plug-ins of this room: scores of maps, scores that ask the model, and ways to make a map black and white.

A new metric is one new file in ``miso_gen/metrics/scores`` (see ``dice.py`` there): a pure function on tensors, and a class that
declares what a reader must know of it. Third parties register through entry points of the same groups.

Words of every declaration:

- *map*: ``(..., H, W)``, the more a pixel counts as evidence, the higher its value;
- *truth*: ``(..., H, W)``, for most metrics bool: True where there is evidence;
- *p*: share of pixels with evidence;
- *undefined*: nan, always; averages leave nan out and say of how many.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeAlias

import torch

from miso_gen.errors import InputError
from miso_gen.metrics.counts import Counts, at_threshold, count
from miso_gen.metrics.planes import over
from miso_gen.recipe.plugins import Plugin
from miso_gen.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint

Direction: TypeAlias = Literal["higher", "lower", "none"]  #: which scores are better

#: What a map must be: ``binary`` a mask, made by a binariser; ``unit`` of values in [0, 1]; ``positive`` of values from 0;
#: ``continuous`` of any values; ``signed`` of any values, of which negative ones speak against the class.
Takes: TypeAlias = Literal["binary", "unit", "positive", "continuous", "signed"]

#: What the truth must be: ``mask`` bool, evidence or not; ``levels`` whole numbers 0, 1 (object), 2 (evidence);
#: ``instances`` whole numbers, 0 for none, else the object.
Truth: TypeAlias = Literal["mask", "levels", "instances"]

#: What a pixel of map and truth may be: a ``pixel`` of the image, or a cell of a ``grid`` of patches.
Resolution: TypeAlias = Literal["pixel", "grid"]

Model: TypeAlias = Callable[["Tensor"], "Tensor"]  #: images (B, C, H, W) -> logits (B, classes)
Explain: TypeAlias = Callable[[Model, "Tensor", "Tensor"], "Tensor"]  #: model, images, targets (B,) -> maps (B, H, W)


class EmptyCases(NamedTuple):
    """Scores where there is little to score; None: nothing special, the formula holds.

    A map with a pixel that is not finite always scores nan.

    Attributes:
        no_truth: The truth has no evidence, the map is neither blank nor full.
        full_truth: The truth is evidence everywhere, the map is neither blank nor full.
        blank_map: The map is 0 everywhere, or a mask of nothing; the truth is neither empty nor full.
        constant_map: The map is one value above 0 everywhere, or a mask of everything; the truth is neither empty nor full.
    """

    no_truth: float | None = nan
    full_truth: float | None = None
    blank_map: float | None = None
    constant_map: float | None = None


class Declared(Plugin, ABC):
    """What every metric declares; the table in a paper's appendix is made of it."""

    direction: ClassVar[Direction]  #: which scores are better
    range: ClassVar[tuple[float, float]]  #: least and greatest score; may be infinite
    takes: ClassVar[Takes]  #: what the map must be
    truth: ClassVar[Truth] = "mask"  #: what the truth must be
    source: ClassVar[str]  #: paper, and equation or section
    legacy: ClassVar[bool] = False  #: whether it repeats released code where that differs; never in the default set

    @property
    def best(self) -> float | None:
        """What the truth itself, taken as a map, scores; None where that depends on the truth."""
        return {"higher": self.range[1], "lower": self.range[0], "none": None}[self.direction]


class Metric(Declared):
    """A score of a map against truth.

    A plug-in writes a pure function of (map, truth), calls it in :meth:`score`, and declares the ClassVars. Where the joint
    histogram of map and truth says all it needs, it sets ``joint`` and writes :meth:`from_joint`.
    """

    at: ClassVar[tuple[Resolution, ...]] = ("pixel", "grid")  #: where it makes sense
    joint: ClassVar[bool] = False  #: whether :meth:`from_joint` computes it
    levels: ClassVar[int | None] = None  #: levels that its definition rounds a map in [0, 1] to; None: none
    empty: ClassVar[EmptyCases]  #: scores where there is little to score
    chance: ClassVar[str | None] = None  #: text of :meth:`chance_level`, in p: "0.5", "p", "p / (1/2 + p)"; None: none is known

    @abstractmethod
    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """Return the score of each map, (...) float64 on the device of the map; nan where it is undefined.

        Args:
            map: (..., H, W): bool where the metric takes ``binary``, else floating.
            truth: (..., H, W), same shape: bool where its truth is ``mask``, else of whole numbers.

        Raises:
            InputError: Shapes or types are other ones.
        """

    def from_joint(self, joint: Joint) -> Tensor:
        """Return the score of each map from the joint histogram, (...) float64: that of :meth:`score`, up to quantisation.

        Raises:
            InputError: The joint histogram doesn't say it.
        """
        raise InputError(f"{self.type_name} must have the map itself, got a joint histogram. Use score(map, truth).")

    def split(self, truth: Tensor) -> Tensor | None:
        """Return first row and column of the lower right quadrant, (..., 2) int64, where :meth:`from_joint` needs quadrants.

        None: it needs none. See :func:`~miso_gen.metrics.joint.joint_histogram`.
        """
        return None

    def chance_level(self, share: float) -> float | None:
        """Return the expected score of a large random map: values independent and uniform in [0, 1), binarised at 0.5 for a mask.

        Args:
            share: p, share of the pixels with evidence, in (0, 1).
        """
        if self.chance is None:
            return None
        return share if self.chance == "p" else float(self.chance)

    def oracle(self, truth: Tensor) -> Tensor:
        """Return the map (or mask) of a perfect explainer, (..., H, W) float64 (or bool), for truth of the kind it takes."""
        evidence = truth if truth.dtype == torch.bool else truth != 0  # unsigned types of more than a byte have no >
        return evidence if self.takes == "binary" else evidence.to(torch.float64)


class CountMetric(Metric):
    """A score of a mask that follows from the four counts: true and false, positive and negative."""

    takes: ClassVar[Takes] = "binary"
    joint: ClassVar[bool] = True

    @abstractmethod
    def from_counts(self, counts: Counts) -> Tensor:
        """Return the score, (...) float64, of counts (...)."""

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return self.from_counts(count(map, truth))

    def from_joint(self, joint: Joint, threshold: Tensor | None = None) -> Tensor:
        """Return the score of each map binarised at a threshold: True above it.

        Args:
            joint: The joint histogram of map and truth.
            threshold: (...) float64.

        Raises:
            InputError: There is no threshold.
        """
        if threshold is None:
            raise InputError(f"{self.type_name} must have a threshold for a joint histogram, got none. Take one of a binariser.")
        return self.from_counts(at_threshold(joint, threshold))


class MapBinarizer(Plugin, ABC):
    """A way to make a map black and white: a pixel is True where its value is above the threshold, strictly.

    A constant map gives a blank mask, whatever the rule but ``fixed``.
    """

    source: ClassVar[str]  #: paper, and equation or section
    bound: ClassVar[str]  #: greatest share of a map that can be True, as text: "< 1/2"; "1" where all of it can

    @abstractmethod
    def threshold(self, map: Tensor) -> Tensor:
        """Return the threshold of each map, (...) float64; nan for a map that is not finite.

        Args:
            map: (..., H, W) floating.
        """

    @abstractmethod
    def from_joint(self, joint: Joint) -> Tensor:
        """Return the threshold of each map from its joint histogram, (...) float64."""

    def binarize(self, map: Tensor) -> Tensor:
        """Return the mask, (..., H, W) bool; blank for a map that is not finite."""
        return over(map, self.threshold(map))


@dataclass(frozen=True, eq=False)
class Explained:
    """What a metric that asks the model is given: a batch of images with their maps.

    Attributes:
        model: Images (b, C, H, W) -> logits (b, classes), for any b from 1 to ``batch``. A ``torch.nn.Module`` in eval mode,
            where the metric needs its layers.
        images: (B, C, H, W) floating.
        maps: (B, H, W) floating, the higher the more relevant.
        target: (B,) int64, the class that each map explains.
        explain: Makes maps anew, for metrics that need ``explain``; deterministic.
        truth: (B, H, W) bool, for metrics that need ``truth``.
        layer: Name of the layer of the model, for metrics that need ``layer``.
        batch: Images that are given to the model at a time.
        seed: Of whatever the metric draws.
    """

    model: Model
    images: Tensor
    maps: Tensor
    target: Tensor
    explain: Explain | None = None
    truth: Tensor | None = None
    layer: str | None = None
    batch: int = 64
    seed: int = 0


Need: TypeAlias = Literal["explain", "truth", "module", "layer"]  #: what a metric needs beside model, images, maps and targets


class Curve(NamedTuple):
    """A score as a function of how much was done to an image.

    Attributes:
        x: (K,) float64, increasing, such as the share of pixels removed.
        y: (B, K) float64.
    """

    x: Tensor
    y: Tensor


class ModelMetric(Declared):
    """A score of a map that asks the model; ``miso_gen/metrics/faithfulness`` has one file for each.

    The model is asked under ``torch.no_grad`` unless the metric needs gradients, ``batch`` images at a time, and is left as it
    was. What is drawn comes from a generator seeded by ``seed`` on the CPU, so that every device sees the same.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()  #: what must be there beside model, images, maps and targets
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None)  #: of maps; there is no truth unless it needs one

    @abstractmethod
    def score(self, explained: Explained) -> Tensor:
        """Return the score of each image, (B,) float64; nan where it is undefined.

        Raises:
            InputError: Something that it needs is not there, or shapes don't fit.
        """

    def curve(self, explained: Explained) -> Curve | None:
        """Return the whole curve of which the score is an area or a point; None where there is none."""
        return None


METRICS: Registry[Metric] = Registry("metric", "miso_gen.metrics.scores", "miso_gen.metrics.scores")
MODEL_METRICS: Registry[ModelMetric] = Registry("model metric", "miso_gen.metrics.faithfulness", "miso_gen.metrics.faithfulness")
MAP_BINARIZERS: Registry[MapBinarizer] = Registry("map binarizer", "miso_gen.metrics.binarizers", "miso_gen.metrics.binarizers")
