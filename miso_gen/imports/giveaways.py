"""Numbers that give the class of points away, whatever their arrangement: where they lie, how far and how dense."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from miso_gen.imports.point_tables import PointSet

_AUROC: Final = 0.95
_SETS: Final = 5  #: of a class; with fewer, chance separates
_POINTS: Final = 20


def auroc(low: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    """Return the chance that a value of ``high`` is the larger, ties one half; (n,) and (m,), n and m 1 or more."""
    ordered = np.sort(low)
    below = np.searchsorted(ordered, high, side="left") + np.searchsorted(ordered, high, side="right")
    return float(below.mean() / (2 * len(ordered)))


def giveaways(sets: Sequence[PointSet], column: str, x: str, y: str) -> Iterator[str]:
    """Yield a sentence for each two classes that a single number separates, an AUROC above .95.

    Between sets of one class each, three or more of either class, these numbers are tried: the least x, the least y, width,
    height, points per area. Within a set, with 20 points or more of either class: x and y.

    Args:
        sets: Sets with classes.
        column: Name of the column of classes.
        x: Name of the column of x.
        y: Name of the column of y.
    """
    by_class: dict[str, list[PointSet]] = {}
    for one in sets:
        assert one.classes is not None
        if len(set(one.classes.tolist())) == 1:
            by_class.setdefault(str(one.classes[0]), []).append(one)
    for first, second in combinations(sorted(by_class), 2):
        counts = len(by_class[first]), len(by_class[second])
        if min(counts) < _SETS:
            continue
        groups = [np.array([_numbers(one) for one in by_class[name]]).T for name in (first, second)]
        names = (f"offset of {x!r}", f"offset of {y!r}", f"scale of {x!r}", f"scale of {y!r}", "number of points per area")
        found = [(name, _apart(a, b)) for name, a, b in zip(names, *groups, strict=True)]
        yield from _sentence(found, column, (first, second), f"between {counts[0]} and {counts[1]} sets")
    yield from _within(sets, column, x, y)


def _within(sets: Sequence[PointSet], column: str, x: str, y: str) -> Iterator[str]:
    """Yield the sentences for classes within a set; for each two classes one, of the first set that shows it."""
    said = set()
    for one in sets:
        assert one.classes is not None
        names, counts = np.unique(one.classes, return_counts=True)
        for pair in combinations(names[counts >= _POINTS].tolist(), 2):
            (a, b) = (one.places[one.classes == name] for name in pair)
            found = [(f"offset of {x!r}", _apart(a[:, 1], b[:, 1])), (f"offset of {y!r}", _apart(a[:, 0], b[:, 0]))]
            sentences = [] if pair in said else list(_sentence(found, column, pair, f"within set {one.name!r}"))
            said.update([pair] * len(sentences))
            yield from sentences


def _numbers(one: PointSet) -> tuple[float, ...]:
    """Return the least column, the least row, width, height and points per area of a set; sides are 1 px or more."""
    top, left = one.places.min(axis=0).tolist()
    height, width = np.ptp(one.places, axis=0).tolist()
    return left, top, width, height, len(one.places) / (max(height, 1.0) * max(width, 1.0))


def _apart(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    found = auroc(first, second)
    return max(found, 1.0 - found)


def _sentence(found: list[tuple[str, float]], column: str, pair: tuple[str, str], where: str) -> Iterator[str]:
    telling = [f"the {name} (AUROC {value:.2f})" for name, value in found if value > _AUROC]
    if telling:
        one = len(telling) == 1
        yield (
            f"{', '.join(telling)}: {'this' if one else 'each'} alone separates the classes {pair[0]!r} and {pair[1]!r} of "
            f"column {column!r}, {where}: a network could tell them from it, without the arrangement of the points. "
            "Look at where the coordinates come from, or keep one class with classes: [...]."
        )
