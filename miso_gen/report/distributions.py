"""How scores of single images are spread: one line an explainer, as inline SVG."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Final

import numpy as np

from miso_gen.metrics.summaries import unit_means
from miso_gen.report.cells import Lead, Role, facts_of, role_of, row_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

LEFT, WIDTH, LINE, TOP, BOTTOM, RIGHT = 190, 760, 36, 12, 44, 20  #: of the picture, px
_MOST_POINTS: Final = 120  #: of an explainer; of more, so many at equal ranks are drawn
_TICKS: Final = 5


@dataclass(frozen=True)
class Spread:
    """The scores of the images under one explainer.

    Attributes:
        explainer: Its name.
        kind: What its maps are.
        role: What it is.
        n: Images.
        mean: Of all.
        least: Of all.
        first: Lower quartile.
        median: Of all.
        third: Upper quartile.
        greatest: Of all.
        y: Middle of its line in the picture, px.
        box: Left end, width, place of the median and of the mean, and ends of the whiskers, px.
        points: x, y of each image that is drawn, px.
    """

    explainer: str
    kind: str
    role: Role
    n: int
    mean: float
    least: float
    first: float
    median: float
    third: float
    greatest: float
    y: float
    box: tuple[float, ...]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Distribution:
    """A picture of how scores are spread.

    Attributes:
        lead: Which score.
        spreads: One an explainer, from top to bottom.
        ticks: Text and x of each, px.
        height: Of the picture, px.
        drawn_all: Whether every image is a point.
    """

    lead: Lead
    spreads: tuple[Spread, ...]
    ticks: tuple[tuple[str, float], ...]
    height: int
    drawn_all: bool
    width: int = WIDTH
    left: int = LEFT

    @property
    def bottom(self) -> int:
        """Where the axis is, px from the top."""
        return self.height - BOTTOM


def distribution(scores: pd.DataFrame, lead: Lead) -> Distribution | None:
    """Return the picture of a score; None: no image has one.

    Args:
        scores: Of a card, see :func:`~miso_gen.report.cells.card_scores`.
        lead: Which score.
    """
    units = unit_means(lead.of(scores), ["explainer", "kind"]).dropna(subset=["value"])
    if units.empty:
        return None
    groups: dict[tuple[str, str], NDArray[np.float64]] = {}
    for name, part in units.groupby(["explainer", "kind"]):
        explainer, kind = map(str, name)
        groups[explainer, kind] = np.sort(part["value"].to_numpy(np.float64))
    low, high = _range(lead.metric, np.concatenate(list(groups.values())))
    scale = (WIDTH - LEFT - RIGHT) / (high - low)
    spreads = []
    for place, name in enumerate(sorted(groups, key=row_order)):
        y = TOP + LINE * (place + 0.5)
        spreads.append(_spread(*name, groups[name], y, low, scale))
    places = np.linspace(low, high, _TICKS)
    ticks = tuple((f"{value:.3g}", round(LEFT + (value - low) * scale, 1)) for value in places.tolist())
    drawn_all = all(len(values) <= _MOST_POINTS for values in groups.values())
    return Distribution(lead, tuple(spreads), ticks, TOP + LINE * len(spreads) + BOTTOM, drawn_all)


def _range(metric: str, values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the axis: the metric's own where these are finite and hold the values, else of the values."""
    low, high = facts_of(metric).limits
    least, most = float(values.min()), float(values.max())
    low = low if isfinite(low) and low <= least else least
    high = high if isfinite(high) and high >= most else most
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _spread(explainer: str, kind: str, values: NDArray[np.float64], y: float, low: float, scale: float) -> Spread:
    """Return the line of an explainer; ``values`` are sorted."""

    def x(value: float) -> float:
        return round(LEFT + (value - low) * scale, 1)

    least, first, median, third, greatest = (float(np.quantile(values, share)) for share in (0, 0.25, 0.5, 0.75, 1))
    mean = float(values.mean())
    drawn = values if len(values) <= _MOST_POINTS else values[np.linspace(0, len(values) - 1, _MOST_POINTS).round().astype(int)]
    box = (x(first), round(x(third) - x(first), 1), x(median), x(mean), x(least), x(greatest))
    points = tuple((x(value), round(y + _jitter(place), 1)) for place, value in enumerate(drawn.tolist()))
    role = role_of(explainer, kind)
    return Spread(explainer, kind, role, len(values), mean, least, first, median, third, greatest, y, box, points)


def _jitter(place: int) -> float:
    """Return how far a point lies from its line, so that equal scores are seen: the same in every run."""
    return ((place * 0.618034) % 1 - 0.5) * 16


def described(spreads: Sequence[Spread]) -> str:
    """Return what the picture shows, in words."""
    return " ".join(
        f"{it.explainer}: median {it.median:.3f}, half of the images from {it.first:.3f} to {it.third:.3f}, "
        f"all from {it.least:.3f} to {it.greatest:.3f}, n {it.n}."
        for it in spreads
    )
