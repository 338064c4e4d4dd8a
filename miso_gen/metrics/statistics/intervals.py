"""A mean of scores, and how far it can be trusted.

Scores that are nan are undefined: they are left out and counted. One score, or one unit, has a mean but no interval, none has
neither: nan.
"""

from __future__ import annotations

from math import nan, sqrt
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from miso_gen.errors import InputError, listing
from miso_gen.metrics.statistics.quantiles import NORMAL, check_level, two_sided_normal, two_sided_student
from miso_gen.metrics.statistics.resampling import codes_of, resamples, strata_codes
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_EQUAL: Final = 1e-12  #: means that are nearer, of the greatest, differ by rounding

Bootstrap: TypeAlias = Literal["percentile", "bca"]  #: how the ends of an interval are read off the means of resamples


class Interval(NamedTuple):
    """A mean with its interval of confidence.

    Attributes:
        mean: Of the defined scores; nan if there are none.
        low: Lower end; nan where fewer than two can vary.
        high: Upper end; nan likewise.
        n: Defined scores.
        n_undefined: Scores that are nan.
    """

    mean: float
    low: float
    high: float
    n: int
    n_undefined: int


def normal_interval(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """Return mean +- z std / sqrt(n), with the standard deviation over n (not n - 1), as MISO reports it.

    It is too narrow for few scores. MISO prints its E-measure with one standard error: level 0.682689.

    Args:
        values: (n,) scores; nan where undefined.
        level: Of confidence, in (0, 1).

    Raises:
        InputError: A score is infinite, or the level can't be.
    """
    z = two_sided_normal(level)
    found, undefined = defined(values)
    return _around(found, z * float(found.std()) / sqrt(len(found)) if len(found) > 1 else nan, undefined)


def t_interval(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """Return mean +- t std / sqrt(n), with Student's t of n - 1 degrees of freedom and the standard deviation over n - 1.

    PYLON reports runs of several seeds so. Args and Raises as of :func:`normal_interval`.
    """
    check_level(level)
    found, undefined = defined(values)
    n = len(found)
    return _around(found, two_sided_student(level, n - 1) * float(found.std(ddof=1)) / sqrt(n) if n > 1 else nan, undefined)


def bootstrap_interval(
    values: ArrayLike,
    *,
    level: float = 0.95,
    method: Bootstrap = "percentile",
    units: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the mean of all scores with a bootstrap interval.

    ``percentile`` takes quantiles of the means of resamples; ``bca`` corrects them for bias and skewness.

    Args:
        values: (n,) scores; nan where undefined.
        level: Of confidence, in (0, 1).
        method: How the ends are read off.
        units: (n,) what is drawn as a whole, such as the image of each score: scores of one image are no independent evidence.
            None: each score is drawn by itself.
        strata: (n,) groups that keep their size in every resample, such as the scenario; a unit lies in one of them. None: one.
        draws: Resamples.
        seed: Of what is drawn.

    Raises:
        InputError: A score is infinite, shapes differ, a unit lies in two strata, or an argument can't be.

    Source: Efron, Better bootstrap confidence intervals, 1987.
    """
    check_level(level)
    if method not in get_args(Bootstrap):
        raise InputError(f"method must be one of {listing(get_args(Bootstrap))}, got {method!r}.")
    if draws < 1:
        raise InputError(f"draws must be at least 1, got {draws}. 2000 will do for an interval of 95 %.")
    found, undefined = defined(values)
    kept = ~np.isnan(np.asarray(values, np.float64))
    of_unit = (np.arange(len(kept)) if units is None else codes_of(units, len(kept), "units"))[kept]
    of_stratum = strata_codes(strata, len(kept))[kept]
    _, first, of_unit = np.unique(of_unit, return_index=True, return_inverse=True)
    groups = of_stratum[first]
    if (groups[of_unit] != of_stratum).any():
        raise InputError("strata must hold whole units, got a unit in two of them. Use one stratum an image.")
    _, groups = np.unique(groups, return_inverse=True)
    sums = np.bincount(of_unit, found, len(groups)).astype(np.float64)
    counts = np.bincount(of_unit, minlength=len(groups))
    if np.bincount(groups, minlength=1).max() < 2:  # no unit has another to change places with
        return _around(found, nan, undefined)
    stream = Stream("bootstrap", seed)
    means = np.concatenate(
        [sums[rows.T].sum(axis=0) / counts[rows.T].sum(axis=0) for rows in resamples(groups.astype(np.int64), draws, stream)]
    )
    mean = float(found.mean())
    shares = np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    if method == "bca":
        shares = _corrected(shares, means, float(sums.sum() / counts.sum()), _acceleration(sums, counts, groups))
    low, high = np.quantile(means, shares)
    return Interval(mean, float(low), float(high), len(found), undefined)


def defined(values: ArrayLike) -> tuple[NDArray[np.float64], int]:
    """Return the scores (n,) that are not nan, and how many are.

    Raises:
        InputError: There are more axes, or a score is infinite.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise InputError(f"values must be one score each, shape (n,), got shape {array.shape}.")
    if np.isinf(array).any():
        raise InputError("values must be finite, or nan where undefined, got infinity. Leave such scores out and say so.")
    found = array[~np.isnan(array)]
    return found, len(array) - len(found)


def _around(found: NDArray[np.float64], half: float, undefined: int) -> Interval:
    mean = float(found.mean()) if len(found) else nan
    return Interval(mean, mean - half, mean + half, len(found), undefined)


def _corrected(shares: NDArray[np.float64], means: NDArray[np.float64], mean: float, acceleration: float) -> NDArray[np.float64]:
    slack = _EQUAL * float(np.abs(means).max())
    below = float((means < mean - slack).mean() + (means <= mean + slack).mean()) / 2.0
    below = min(max(below, 0.5 / len(means)), 1.0 - 0.5 / len(means))  # all on one side: as far as so many draws can tell
    bias = NORMAL.inv_cdf(below)
    z = [bias + NORMAL.inv_cdf(float(share)) for share in shares]
    return np.array([NORMAL.cdf(bias + each / (1.0 - acceleration * each)) for each in z])


def _acceleration(sums: NDArray[np.float64], counts: NDArray[np.int64], groups: NDArray[np.int64]) -> float:
    """Return the skewness of the mean by leaving out one unit at a time; 0 where all are equal."""
    cubes = squares = 0.0
    for group in range(int(groups.max()) + 1):
        mine = groups == group
        size = int(mine.sum())
        if size < 2:
            continue  # never varies
        without = (sums.sum() - sums[mine]) / (counts.sum() - counts[mine])
        influence = (size - 1) * (without.mean() - without)
        cubes += float((influence**3).sum()) / size**3
        squares += float((influence**2).sum()) / size**2
    return cubes / (6.0 * squares**1.5) if squares > 0 else 0.0
