"""What scores over objects have in common: the objects and the marks of maps, found once for several of them."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.interfaces import Metric, Takes, Truth
from miso_gen.metrics.marks import Marks, marks
from miso_gen.metrics.objects import Objects, checked_whole, objects, pointed
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class ObjectMetric(Metric):
    """A score that needs the objects of the truth."""

    truth: ClassVar[Truth] = "instances"

    @abstractmethod
    def from_objects(self, map: Tensor, instances: Tensor, found: Objects) -> Tensor:
        """Return the score of each map, (...) float64.

        Args:
            map: (..., H, W), what the metric takes.
            instances: (..., H, W) whole numbers, 0 for none.
            found: Their objects.
        """

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        checked_whole(map, truth, binary=self.takes == "binary")
        return self.from_objects(map, truth, objects(truth))


class MarkMetric(ObjectMetric):
    """A score of the marks of a map, see :func:`~miso_gen.metrics.marks.marks`."""

    distance: PositiveInt = 8
    """Marks are farther than this from one another, in rows or in columns, px."""

    takes: ClassVar[Takes] = "continuous"

    @abstractmethod
    def from_marks(self, map: Tensor, instances: Tensor, found: Objects, points: Marks) -> Tensor:
        """Return the score of each map, (...) float64; ``points`` are the marks of the maps, the rest as in ``from_objects``."""

    def from_objects(self, map: Tensor, instances: Tensor, found: Objects) -> Tensor:
        """See :meth:`ObjectMetric.from_objects`."""
        return self.from_marks(map, instances, found, marks(map, self.distance))

    @property
    def best(self) -> float | None:
        """None: objects that are near to one another can't all be hit."""
        return None

    def oracle(self, truth: Tensor) -> Tensor:
        """See :meth:`Metric.oracle`: greatest at the first pixel of each object."""
        return pointed(truth)


def object_scores(metrics: Sequence[ObjectMetric], map: Tensor, mask: Tensor | None, instances: Tensor) -> list[Tensor]:
    """Return the score (...) float64 of each metric; objects, and marks of the same distance, are found once.

    Args:
        metrics: The metrics.
        map: (..., H, W) floating.
        mask: (..., H, W) bool, for metrics that take ``binary``; None: there are none.
        instances: (..., H, W) whole numbers, 0 for none.

    Raises:
        InputError: Shapes or types are other ones.
    """
    checked_whole(map, instances)
    found, points = objects(instances), dict[int, Marks]()
    scores = []
    for metric in metrics:
        if isinstance(metric, MarkMetric):
            if metric.distance not in points:
                points[metric.distance] = marks(map, metric.distance)
            scores.append(metric.from_marks(map, instances, found, points[metric.distance]))
        elif metric.takes == "binary":
            assert mask is not None
            scores.append(metric.from_objects(mask, instances, found))
        else:
            scores.append(metric.from_objects(map, instances, found))
    return scores
