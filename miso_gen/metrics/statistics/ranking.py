"""Which method is best over several metrics, when neither the images nor the weights of the metrics are sacred.

Each draw takes images with replacement and random weights for the metrics, ranks the methods on every metric, and orders them by
their weighted mean rank. How much a method's place moves from draw to draw is how little its rank can be trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from miso_gen.errors import InputError
from miso_gen.metrics.statistics.resampling import codes_of, resamples, strata_codes
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_LOW, _HIGH = 0.05, 0.95  #: ends of the range that is reported


class Ranking(NamedTuple):
    """Places of K methods over the draws: 1 is best, equal methods share the mean of their places.

    Attributes:
        mean_rank: (K,) float64, mean place.
        low: (K,) float64, place that 5 % of draws don't exceed.
        high: (K,) float64, place that 95 % of draws don't exceed.
        best: (K,) float64, probability of being best; equal best methods share it; they add up to 1.
        draws: Draws in which a metric could be ranked. If there are none, all else is nan.
    """

    mean_rank: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    best: NDArray[np.float64]
    draws: int


def rank_methods(
    scores: ArrayLike,
    directions: Sequence[str],
    *,
    groups: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> Ranking:
    """Return the Monte-Carlo ranking of methods over metrics and images.

    An image on which some method has no score (nan) does not count for that metric, so that methods are compared on the same
    images; a metric without any image left is left out of the draw, and its weight goes to the others.

    Args:
        scores: (K, M, n) of methods, metrics, images.
        directions: (M,) ``higher`` or ``lower``: which scores are better.
        groups: (M,) the group of each metric, such as localisation or faithfulness. Weights are drawn for the groups, then within
            each, from flat Dirichlet distributions: ten kin metrics outvote nobody. None: all in one.
        strata: (n,) groups of images that keep their size in every draw, such as the scenario. None: one.
        draws: Draws, from 1.
        seed: Of what is drawn.

    Raises:
        InputError: Shapes differ, a score is infinite, a metric has no direction, or there is nothing to draw.

    Source: after Tetkova et al., whose procedure is not published in full; weights and ties are ours.
    """
    values = np.asarray(scores, np.float64)
    if values.ndim != 3 or not all(values.shape):
        raise InputError(f"scores must be (methods, metrics, images) with one of each at least, got shape {values.shape}.")
    if np.isinf(values).any():
        raise InputError("scores must be finite, or nan where undefined, got infinity. Leave such scores out and say so.")
    if draws < 1:
        raise InputError(f"draws must be at least 1, got {draws}. 10000 will do.")
    methods, metrics, images = values.shape
    signs = _signs(directions, metrics)
    group = np.zeros(metrics, np.int64) if groups is None else codes_of(groups, metrics, "groups")
    valid = np.asarray(np.isfinite(values).all(axis=0))  # (M, n)
    table = (np.where(valid, values, 0.0) * signs[:, None]).reshape(methods * metrics, images).T
    places = []
    weighing = Stream("ranking", "weights", seed)
    stratum = strata_codes(strata, images)
    for rows in resamples(stratum, draws, Stream("ranking", "images", seed), methods * metrics):
        counts = valid.T[rows].sum(axis=1)  # (b, M)
        sums = table[rows].sum(axis=1).reshape(-1, methods, metrics)  # image by image: equal methods have equal sums
        means = sums / np.maximum(counts, 1)[:, None, :]
        weights = _weights(group, counts > 0, weighing)
        found = (weights[:, None, :] * ranks(-means)).sum(axis=2)
        places.append(ranks(found[:, :, None])[(counts > 0).any(axis=1), :, 0])
    return _summed(np.concatenate(places), methods)


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the place of each value among those of its axis 1, (b, K, M) -> (b, K, M): 1 for the least, equal ones averaged."""
    less = (values[:, None, :, :] < values[:, :, None, :]).sum(axis=2)
    equal = (values[:, None, :, :] == values[:, :, None, :]).sum(axis=2)
    return less + (equal + 1) / 2.0


def _signs(directions: Sequence[str], metrics: int) -> NDArray[np.float64]:
    if len(directions) != metrics or not set(directions) <= {"higher", "lower"}:
        raise InputError(f"directions must be 'higher' or 'lower' for each of {metrics} metrics, got {list(directions)}.")
    return np.array([1.0 if direction == "higher" else -1.0 for direction in directions])


def _weights(group: NDArray[np.int64], usable: NDArray[np.bool_], stream: Stream) -> NDArray[np.float64]:
    """Return weights (b, M) that add up to 1: flat over groups with a usable metric, and over the usable metrics of each.

    What is left of a flat Dirichlet draw without some of its parts, scaled to 1, is a flat draw of the others.
    """
    count = int(group.max()) + 1
    within = [np.flatnonzero(group == number) for number in range(count)]
    parts = len(group) - 1  # of the groups count - 1, of each group size - 1
    uniforms = stream.uniforms(len(usable) * parts).reshape(len(usable), parts)
    share = _flat(uniforms[:, : count - 1])
    taken = count - 1
    weights = np.zeros(usable.shape)
    for number, members in enumerate(within):
        drawn = _flat(uniforms[:, taken : taken + len(members) - 1]) * usable[:, members]
        taken += len(members) - 1
        weights[:, members] = _scaled(drawn)
        share[:, number] *= usable[:, members].any(axis=1)
    return weights * _scaled(share)[:, group]


def _flat(uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return flat Dirichlet draws (b, k + 1): the gaps that k uniform draws (b, k) leave in [0, 1]."""
    ends = np.ones((len(uniforms), 1))
    return np.diff(np.concatenate([0.0 * ends, np.sort(uniforms, axis=1), ends], axis=1), axis=1)


def _scaled(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    total = parts.sum(axis=1, keepdims=True)
    return parts / np.where(total > 0, total, 1.0)


def _summed(places: NDArray[np.float64], methods: int) -> Ranking:
    if not len(places):
        empty = np.full(methods, np.nan)
        return Ranking(empty, empty, empty, empty, 0)
    first = places == places.min(axis=1, keepdims=True)
    low, high = np.quantile(places, [_LOW, _HIGH], axis=0, method="inverted_cdf")
    best = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    return Ranking(places.mean(axis=0), low, high, best, len(places))
