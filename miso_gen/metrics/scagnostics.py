"""Scagnostics: nine numbers that say what a cloud of points looks like.

The points are put into at most 250 hexagonal bins (:mod:`miso_gen.metrics.hexagons`). The measures are taken from the minimum
spanning tree of the bins' places, without outliers, and from their alpha shape: time does not follow the number of points.

They follow the program of Wilkinson and Anand, except for what, by its numbers, is an accident there: a bin on the hull may be
lost, and ``clumpy`` carries longest edges over from one edge to the next.

Source: Wilkinson, Anand and Grossman, Graph-theoretic scagnostics, 2005; MISO (as the distance of two masks).
"""

from __future__ import annotations

from math import pi, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from miso_gen.errors import InputError, MissingExtraError
from miso_gen.metrics.hexagons import SCALE, Bins, bins_of_mask, bins_of_points

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_FAR: Final = np.int64(1) << 62  #: longer than any edge
_WIDEST: Final = 100  #: greatest radius of the alpha shape, in the units of :class:`Bins`
_STRAIGHT: Final = -0.7  #: two edges go on straight where the cosine between them is below


class Scagnostics(NamedTuple):
    """The nine measures. q is the quantile of the lengths of the tree's edges, c a correction for the number of points."""

    outlying: float  #: share of the tree's length that hangs on outliers; an edge of two outliers counts for each
    skewed: float  #: 1 - c (1 - (q90 - q50) / (q90 - q10))
    clumpy: float  #: greatest 2 m (1 - longest edge within / edge) / points, m: points of the smaller side of an edge
    sparse: float  #: c min(q90 / 1000, 1)
    striated: float  #: share of edges that go on nearly straight at both ends
    convex: float  #: c times area of the alpha shape / area of the convex hull; 1 where the hull has none
    skinny: float  #: 1 - sqrt(4 pi area) / perimeter of the alpha shape; 1 where there is none
    stringy: float  #: (bins of degree 2 / bins of a degree above 1)^3
    monotonic: float  #: squared correlation of both axes, weighted by points


class Tree(NamedTuple):
    """A minimum spanning tree of n nodes.

    Attributes:
        ends: (n - 1, 2) int64, nodes of each edge: that which was there, that which was added.
        squares: (n - 1,) int64, squared lengths.
    """

    ends: NDArray[np.int64]
    squares: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.float64]:
        """Length of each edge."""
        return np.sqrt(self.squares)

    @property
    def degrees(self) -> NDArray[np.int64]:
        """Edges of each node, (n,) int64."""
        return np.bincount(self.ends.reshape(-1), minlength=len(self.ends) + 1)


def scagnostics(x: ArrayLike, y: ArrayLike, *, remove_outliers: bool = True) -> Scagnostics | None:
    """Return the nine measures of points; None where fewer than three of them are off a line.

    Args:
        x: (n,) finite.
        y: (n,) finite.
        remove_outliers: Whether all but ``outlying`` is told without outliers, as MISO does.

    Raises:
        InputError: Not two lists of finite numbers of one length.
    """
    first, second = (np.asarray(values, np.float64) for values in (x, y))
    if first.ndim != 1 or first.shape != second.shape or not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError(f"x and y must be finite numbers, as many of each, got shapes {first.shape} and {second.shape}.")
    if len(first) < 3 or not np.ptp(first) or not np.ptp(second):
        return None
    across, up = first - first[0], second - second[0]
    far = int(np.argmax(across * across + up * up))
    if not np.any(across * up[far] - up * across[far]):
        return None
    return measures(bins_of_points(first, second), remove_outliers=remove_outliers)


def mask_scagnostics(mask: NDArray[np.bool_], *, remove_outliers: bool = True) -> Scagnostics | None:
    """Return the nine measures of the pixels of a mask (H, W), rows being x; None where fewer than three are off a line."""
    bins = bins_of_mask(mask)
    return None if bins is None else measures(bins, remove_outliers=remove_outliers)


def measures(bins: Bins, *, remove_outliers: bool = True) -> Scagnostics:
    """Return the nine measures of bins.

    Outliers are told, and removed, for as long as there are any and three bins stay.
    """
    nodes, node_of = _nodes(bins)
    counts = np.bincount(node_of, bins.counts).astype(np.int64)
    kept, outliers = np.ones(len(nodes), np.bool_), np.zeros(len(nodes), np.bool_)
    tree = spanning_tree(nodes)
    whole, outlying = float(tree.lengths.sum()), 0.0
    while True:
        found, length = _outliers(tree)
        if not found.any() or np.count_nonzero(~found) < 3:
            break
        outlying += length
        outliers[np.flatnonzero(kept)[found]] = True
        if not remove_outliers:
            break
        kept = ~outliers
        tree = spanning_tree(nodes[kept])
    lengths = np.sort(tree.lengths)
    q10, q50, q90 = (float(lengths[tenths * len(lengths) // 10]) for tenths in (1, 5, 9))
    correction = float(0.7 + 0.3 / (1 + (counts.sum() / 500) ** 2))
    area, perimeter, hull = alpha_shape(nodes[kept], min(q90, _WIDEST))
    degrees = tree.degrees
    inner = int(np.count_nonzero(degrees > 1))
    return Scagnostics(
        outlying=outlying / whole,
        skewed=1 - correction * (1 - ((q90 - q50) / (q90 - q10) if q90 > q10 else 0.0)),
        clumpy=_clumpy(tree, counts[kept]),
        sparse=correction * min(q90 / SCALE, 1.0),
        striated=_striated(tree, nodes[kept]),
        convex=correction * area / hull if hull else 1.0,
        skinny=1 - sqrt(4 * pi * area) / perimeter if perimeter else 1.0,
        stringy=(int(np.count_nonzero(degrees == 2)) / inner) ** 3 if inner else 0.0,
        monotonic=_monotonic(bins, ~outliers[node_of]),
    )


def spanning_tree(nodes: NDArray[np.int64]) -> Tree:
    """Return the minimum spanning tree of different nodes (n, 2), n at most 250, grown from node 0 on.

    Of edges of one length, that goes first whose end in the tree was added first, then that whose other end has the lower number.
    """
    n = len(nodes)
    # An edge is one number, the least of which goes first: squared length, rank of the end in the tree, number of the other end.
    keys = (np.square(nodes[:, None] - nodes).sum(-1) << 16) + np.arange(n)
    keys[:, 0] = _FAR
    best, order = keys[0].copy(), [0]
    ends, squares = [], []
    for rank in range(1, n):
        node = int(best.argmin())
        key = int(best[node])
        ends.append((order[key >> 8 & 255], node))
        squares.append(key >> 16)
        order.append(node)
        keys[:, node] = _FAR
        np.minimum(best, keys[node] + (rank << 8), out=best)
        best[node] = _FAR
    return Tree(np.array(ends, np.int64).reshape(-1, 2), np.array(squares, np.int64))


def alpha_shape(nodes: NDArray[np.int64], radius: float) -> tuple[float, float, float]:
    """Return area and perimeter of the alpha shape of nodes (n, 2), and area of their convex hull; zeros where they have none.

    Of the Delaunay triangles, those with a side longer than two radii go; then, from outside in, those that a ball of the radius
    would enter: it rests on both ends of an outer side, and the third corner lies within it.
    """
    if len(nodes) < 3 or not np.any(_cross(nodes[1:] - nodes[0], nodes[-1] - nodes[0])):
        return 0.0, 0.0, 0.0
    corners, beyond = _triangles(nodes)
    sides = np.stack([np.square(nodes[corners[:, k - 2]] - nodes[corners[:, k - 1]]).sum(1) for k in range(3)], 1)  # opposite k
    areas = np.abs(_cross(nodes[corners[:, 1]] - nodes[corners[:, 0]], nodes[corners[:, 2]] - nodes[corners[:, 0]]))  # doubled
    square = radius * radius
    within = sides.max(1) <= 4 * square
    # Over a side that is opposite an obtuse angle, the circumcentre lies outside: the ball holds the corner if it is the smaller.
    is_wide = sides.astype(np.float64).prod(1) > 4.0 * square * areas.astype(np.float64) ** 2
    enters = is_wide[:, None] & (2 * sides > sides.sum(1, keepdims=True))
    is_hull = beyond < 0
    while True:
        outer = is_hull | ~within[beyond]
        gone = within & (outer & enters).any(1)
        if not gone.any():
            break
        within &= ~gone
    edge = np.sqrt(sides[outer & within[:, None]]).sum()
    return float(areas[within].sum()) / 2, float(edge), float(areas.sum()) / 2


def _triangles(nodes: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return corners (m, 3) of the Delaunay triangles, and the triangle beyond the side opposite each; -1: none."""
    try:
        from scipy.spatial import Delaunay
    except ModuleNotFoundError:
        raise MissingExtraError("scipy", "eval", "scag-dist") from None
    found = Delaunay(nodes)
    return found.simplices, found.neighbors


def _cross(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]


def _nodes(bins: Bins) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return different nodes (n, 2), and the node of each bin.

    Places are moved a little along the first axis, by the bin's number: points in columns would make many equal edges.
    """
    number = np.arange(len(bins.counts))
    moved = bins.places.copy()
    moved[:, 0] += np.trunc(8 * (number / len(number) - 0.5)).astype(np.int64)
    _, first, which = np.unique(moved[:, 0] * (4 * SCALE) + moved[:, 1], return_index=True, return_inverse=True)
    order = np.argsort(first)  # as the bins are
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return moved[first[order]], rank[which]


def _outliers(tree: Tree) -> tuple[NDArray[np.bool_], float]:
    """Return the nodes all of whose edges are long, and the length of these edges."""
    lengths = tree.lengths
    ordered, n = np.sort(lengths), len(lengths)
    q25, q75 = ordered[n // 4], ordered[n // 2 + n // 4]
    is_short = lengths < q75 + 1.5 * (q75 - q25)
    found = np.bincount(tree.ends[is_short].reshape(-1), minlength=n + 1) == 0
    return found, float((lengths * found[tree.ends].sum(1)).sum())


def _clumpy(tree: Tree, counts: NDArray[np.int64]) -> float:
    """Cut an edge, and all that are as long: the smaller side is a clump as far as its own edges are shorter."""
    group = list(range(len(counts)))  # a chain of nodes ends at the one that stands for what shorter edges join
    points, longest = counts.tolist(), [0.0] * len(counts)
    best, lengths = 0.0, tree.lengths.tolist()

    def head(node: int) -> int:
        while group[node] != node:
            group[node] = node = group[group[node]]
        return node

    order = np.argsort(tree.squares, kind="stable").tolist()
    waiting: list[int] = []  # edges of one length, to be joined together
    for place, edge in enumerate(order):
        one, other = (head(int(end)) for end in tree.ends[edge])
        number, within = min((points[one], longest[one]), (points[other], longest[other]))
        best = max(best, number * (1 - within / lengths[edge]))
        waiting.append(edge)
        if place + 1 == len(order) or tree.squares[order[place + 1]] > tree.squares[edge]:
            for joined in waiting:
                one, other = (head(int(end)) for end in tree.ends[joined])
                group[other] = one
                points[one] += points[other]
                longest[one] = lengths[joined]
            waiting = []
    return float(2 * best / counts.sum())


def _striated(tree: Tree, nodes: NDArray[np.int64]) -> float:
    degrees = tree.degrees
    around = np.bincount(tree.ends[:, 0], tree.ends[:, 1], len(nodes)) + np.bincount(tree.ends[:, 1], tree.ends[:, 0], len(nodes))
    ends = tree.ends[(degrees[tree.ends] == 2).all(1)]
    straight = np.ones(len(ends), np.bool_)
    for here, there in (ends.T, ends[:, ::-1].T):
        next_ = around.astype(np.int64)[here] - there  # the other neighbour of a node of two
        one, other = (nodes[there] - nodes[here]).astype(np.float64), (nodes[next_] - nodes[here]).astype(np.float64)
        straight &= (one * other).sum(1) < _STRAIGHT * np.hypot(*one.T) * np.hypot(*other.T)
    return int(np.count_nonzero(straight)) / len(tree.ends)


def _monotonic(bins: Bins, kept: NDArray[np.bool_]) -> float:
    """Squared correlation in one pass: bins are compared with the mean of those before them, the first one with 0."""
    weights, places = bins.counts[kept].astype(np.float64), bins.places[kept].astype(np.float64)
    total = np.cumsum(weights)
    means = np.zeros_like(places)
    means[1:] = (np.cumsum(places * weights[:, None], 0) / total[:, None])[:-1]
    x, y = (places - means).T
    xy, xx, yy = (float((weights * product).sum()) for product in (x * y, x * x, y * y))
    return xy * xy / (xx * yy) if xx and yy else 0.0
