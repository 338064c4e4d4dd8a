"""Matern points of type II: random places that keep their distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miso_gen.recipe.parameters import PositiveFloat
from miso_gen.recipe.plugins import POINTS
from miso_gen.rng import NOISE_BLOCK, Stream
from miso_gen.scene.interfaces import ScatteredPoints

if TYPE_CHECKING:
    from numpy.typing import NDArray


@POINTS.register("matern")
class Matern(ScatteredPoints):
    """Random points that keep their distance: Matern's process of type II.

    Candidates fall uniformly; one survives iff no candidate nearer than the distance has a smaller mark. Candidates and their
    marks come from the stream of their canonical 512 x 512 block; equal marks are told apart by the address (block row, block
    column, place in the stream). Each block has floor(expected + u) candidates, u uniform. Only candidates on the canvas
    count.

    ::

        points: {type: matern, candidates_per_mpx: 800}
    """

    candidates_per_mpx: PositiveFloat = 800.0
    """Expected candidates per million pixels; (1 - exp(-x)) / x survive, x = candidates within the distance of a point."""

    def scatter(self, height: int, width: int, distance: int, *address: str | int) -> NDArray[np.int64]:
        """See :class:`ScatteredPoints`."""
        expected = self.candidates_per_mpx * (NOISE_BLOCK * NOISE_BLOCK / 1e6)
        blocks = [
            self._candidates(expected, top, left, *address)
            for top in range(0, height, NOISE_BLOCK)
            for left in range(0, width, NOISE_BLOCK)
        ]
        places, marks = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        on_canvas = (places[:, 0] < height) & (places[:, 1] < width)
        places, marks = places[on_canvas], marks[on_canvas]
        survivors = places[~_beaten(places, marks, distance)]
        return survivors[np.lexsort((survivors[:, 1], survivors[:, 0]))]

    @staticmethod
    def _candidates(expected: float, top: int, left: int, *address: str | int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        stream = Stream(*address, top // NOISE_BLOCK, left // NOISE_BLOCK)
        count = int(expected + stream.uniform())
        columns = stream.integers(left, left + NOISE_BLOCK, count)
        rows = stream.integers(top, top + NOISE_BLOCK, count)
        return np.stack([rows, columns], axis=1), stream.integers(0, 2**31, count)


def _beaten(places: NDArray[np.int64], marks: NDArray[np.int64], distance: int) -> NDArray[np.bool_]:
    """Whether a candidate nearer than ``distance`` has a smaller mark, or an equal one and stands earlier; shape (n,)."""
    if not len(places):
        return np.zeros(0, np.bool_)
    cells = places // distance + 1
    across = int(cells[:, 1].max()) + 2
    keys = cells[:, 0] * across + cells[:, 1]
    order = np.argsort(keys, kind="stable")
    keys, places, marks = keys[order], places[order], marks[order]
    beaten = np.zeros(len(places), np.bool_)
    for step in (-across, 0, across):  # the cell rows above, of, and below: three neighbouring cells are one run of keys
        first = np.searchsorted(keys, keys + step - 1)
        counts = np.searchsorted(keys, keys + step + 1, side="right") - first
        mine = np.repeat(np.arange(len(places)), counts)
        other = np.arange(len(mine)) - np.repeat(np.cumsum(counts) - counts, counts) + first[mine]
        apart = places[mine] - places[other]
        near = (apart[:, 0] ** 2 + apart[:, 1] ** 2) < distance * distance
        smaller = (marks[other] < marks[mine]) | ((marks[other] == marks[mine]) & (order[other] < order[mine]))
        beaten[mine[near & smaller]] = True
    out = np.empty_like(beaten)
    out[order] = beaten
    return out
