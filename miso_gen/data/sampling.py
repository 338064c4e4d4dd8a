"""Weights of patches for :class:`~miso_gen.data.order.EpochOrder`: what is rare is drawn as often as what is frequent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miso_gen.data.patches import IGNORE
from miso_gen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miso_gen.data.patches import PatchTable

SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  #: edges of bins of object shares


def class_balanced(table: PatchTable) -> NDArray[np.float64] | None:
    """Return weights with which every label is drawn equally often, the patches of a label equally often as well.

    Returns:
        (n,) float64, mean 1; 0 for patches of no class (label -1). None where all weights are equal.

    Raises:
        InputError: No patch has a class.
    """
    classed = table.label != IGNORE
    if len(table) and not classed.any():
        raise InputError("patches must have a class, got none that has. Use labels='inherit', or other images.")
    return _balanced(table.label, classed)


def object_balanced(table: PatchTable, bins: int | Sequence[float] = SHARES) -> NDArray[np.float64] | None:
    """Return weights with which every bin of object shares is drawn equally often; bins without patches don't count.

    Args:
        table: The patches.
        bins: Edges, rising: a bin reaches from above its lower to its upper edge, the first and the last one to the ends.
            Or a number of bins, which hold equally many patches (to within one; more where shares are equal).

    Returns:
        (n,) float64, mean 1. None where all weights are equal.

    Raises:
        InputError: There is no bin, or edges don't rise.
    """
    if isinstance(bins, int):
        if bins < 1:
            raise InputError(f"bins must be 1 or more, got {bins}.")
        ordered = np.sort(table.object_share)
        last = [-(-len(table) * number // bins) - 1 for number in range(1, bins)]  # of each bin but the highest
        inner = np.unique(ordered[last]) if len(table) else ordered
    else:
        edges = np.asarray(bins, np.float64)
        if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise InputError(f"bins must be two or more rising edges, got {list(bins)!r}.")
        inner = edges[1:-1]
    return _balanced(np.searchsorted(inner, table.object_share, side="left"), np.ones(len(table), bool))


def _balanced(kinds: NDArray[np.int64], counted: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return weights with mean 1 with which every kind has the same sum; 0 where not counted; None where all are equal."""
    if not len(kinds):
        return None
    _, places, counts = np.unique(kinds[counted], return_inverse=True, return_counts=True)
    if counted.all() and (counts == counts[0]).all():
        return None
    weights = np.zeros(len(kinds), np.float64)
    weights[counted] = len(kinds) / (len(counts) * counts[places])
    return weights
