"""Pointing game: whether the highest value lies on evidence."""

from __future__ import annotations

from math import floor, isqrt, nan
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases, Metric, Takes
from miso_gen.metrics.planes import checked, finite
from miso_gen.recipe.parameters import NonNegativeFloat

if TYPE_CHECKING:
    from torch import Tensor


def pointing_game(
    map: Tensor, truth: Tensor, tolerance_px: float = 0.0, ties: Literal["share", "first", "any"] = "share"
) -> Tensor:
    """Return whether the highest pixel of maps (..., H, W) hits evidence, (...) float64; see :class:`PointingGame`."""
    checked(map, truth)
    rows, cols = map.shape[-2:]
    flat, marks = map.reshape(-1, rows * cols), truth.reshape(-1, rows, cols)
    known = finite(map) & truth.flatten(-2).any(-1)
    highest = flat == flat.amax(-1, keepdim=True)
    image, pixel = highest.nonzero(as_tuple=True)
    if ties == "first":
        first = image.diff(prepend=image.new_full((1,), -1)) > 0
        image, pixel = image[first], pixel[first]
    hit = _near(marks, image, pixel // cols, pixel % cols, tolerance_px)
    hits, points = (torch.zeros(len(flat), dtype=torch.float64, device=map.device) for _ in range(2))
    hits.index_add_(0, image, hit.to(torch.float64))
    points.index_add_(0, image, torch.ones_like(hit, dtype=torch.float64))
    found = (hits > 0).to(torch.float64) if ties == "any" else hits / points
    return found.reshape(map.shape[:-2]).where(known, nan)


@METRICS.register("pointing-game")
class PointingGame(Metric):
    """Pointing game: 1 where the highest pixel lies on evidence, or no farther from it than a tolerance; else 0.

    Undefined without truth. Where several pixels are highest: ``share`` scores the share of them that hit, ``first`` the first
    in reading order, ``any`` whether one does. So with ``share`` a constant map scores the share of evidence.

    ::

        type: pointing-game
        tolerance_px: 15

    Source: Zhang et al., Top-down neural attention by excitation backprop, 2018, who take 15 px.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "continuous"
    empty: ClassVar[EmptyCases] = EmptyCases(full_truth=1.0)
    chance: ClassVar[str | None] = "p without tolerance"
    source: ClassVar[str] = "Zhang et al. 2018"

    tolerance_px: NonNegativeFloat = 0.0
    """Greatest distance of a hit from evidence, between centres of pixels; px of the map."""

    ties: Literal["share", "first", "any"] = "share"
    """What counts where several pixels are highest."""

    def chance_level(self, share: float) -> float | None:
        """See :meth:`Metric.chance_level`."""
        return share if self.tolerance_px < 1 else None

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return pointing_game(map, truth, self.tolerance_px, self.ties)


def _near(truth: Tensor, image: Tensor, row: Tensor, col: Tensor, tolerance: float) -> Tensor:
    """Return which points have evidence (n, H, W) no farther than a tolerance, (points,) bool."""
    if tolerance < 1:
        return truth[image, row, col]
    rows, cols = truth.shape[-2:]
    upto = torch.nn.functional.pad(truth.to(torch.int32).cumsum(-1, dtype=torch.int32), (1, 0))
    near = torch.zeros_like(row, dtype=torch.bool)
    reach = floor(tolerance)
    for down in range(-min(reach, rows - 1), min(reach, rows - 1) + 1):
        side = isqrt(floor(tolerance * tolerance) - down * down)
        place = row + down
        line = image, place.clamp(0, rows - 1)
        found = upto[*line, (col + side + 1).clamp(max=cols)] > upto[*line, (col - side).clamp(min=0)]
        near |= found & (place >= 0) & (place < rows)
    return near
