"""Quantiles of the normal and of Student's t distribution, in float64, without scipy."""

from __future__ import annotations

from math import atan, cos, pi, sin, sqrt, tan
from statistics import NormalDist
from typing import Final

import numpy as np

from miso_gen.errors import InputError

NORMAL: Final = NormalDist()
_SERIES: Final = 1000  #: degrees of freedom up to which the finite sum is used; beyond, the expansion is exact to 1e-13


def two_sided_normal(level: float) -> float:
    """Return z such that a standard normal draw lies within -z to z with probability ``level``: 1.959964 for 0.95."""
    check_level(level)
    return NORMAL.inv_cdf(0.5 + level / 2.0)


def two_sided_student(level: float, freedom: int) -> float:
    """Return t such that a draw of Student's distribution lies within -t to t with probability ``level``: 2.776445 for 0.95, 4.

    Args:
        level: In (0, 1).
        freedom: Degrees of freedom, from 1.

    Source: Abramowitz & Stegun, 26.7.3 and 26.7.4 (finite sums for whole degrees of freedom), 26.7.5 (expansion for many).
    """
    check_level(level)
    if freedom > _SERIES:
        return _expanded(two_sided_normal(level), freedom)
    low, high = 0.0, pi / 2.0
    while True:  # bisection of the angle atan(t / sqrt(freedom)), down to neighbouring numbers
        middle = (low + high) / 2.0
        if not low < middle < high:
            return sqrt(freedom) * tan(middle)
        low, high = (middle, high) if _within(middle, freedom) < level else (low, middle)


def two_sided_probability(t: float, freedom: int) -> float:
    """Return the probability of -|t| to |t| under Student's distribution of whole degrees of freedom."""
    return _within(atan(abs(t) / sqrt(freedom)), freedom)


def check_level(level: float) -> None:
    """Raise :class:`InputError` unless a level of confidence is in (0, 1)."""
    if not 0.0 < level < 1.0:
        raise InputError(f"level must be in (0, 1), got {level!r}. For 95 % write 0.95.")


def _within(angle: float, freedom: int) -> float:
    terms = np.arange(1, (freedom - 1) // 2 if freedom % 2 else freedom // 2, dtype=np.float64)
    if freedom % 2 == 0:  # sin (1 + 1/2 cos^2 + 1 3 / (2 4) cos^4 + ...)
        ratios = (2 * terms - 1) / (2 * terms) * cos(angle) ** 2
        return sin(angle) * (1.0 + float(np.cumprod(ratios).sum()))
    if freedom == 1:
        return 2.0 * angle / pi
    ratios = 2 * terms / (2 * terms + 1) * cos(angle) ** 2  # 2/pi (angle + sin (cos + 2/3 cos^3 + ...))
    return 2.0 / pi * (angle + sin(angle) * cos(angle) * (1.0 + float(np.cumprod(ratios).sum())))


def _expanded(z: float, freedom: int) -> float:
    square = z * z
    first = (square + 1) / 4
    second = ((5 * square + 16) * square + 3) / 96
    third = (((3 * square + 19) * square + 17) * square - 15) / 384
    fourth = ((((79 * square + 776) * square + 1482) * square - 1920) * square - 945) / 92160
    inverse = 1.0 / freedom
    return z * (1.0 + inverse * (first + inverse * (second + inverse * (third + inverse * fourth))))
