"""Write the integer tables behind `miso_gen.rng.normal` and `miso_gen.geometry.sin_turns`.

Only whole-number arithmetic of Python is used (fixed point with 200 bits), so that every machine writes the same bytes:

    python scripts/make_tables.py

`tests/test_rng.py` holds the digests and compares the entries with the library functions of the day.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

BITS = 200
ONE = 1 << BITS
TABLES = Path(__file__).parents[1] / "miso_gen" / "tables"


def arctan_inverse(n: int) -> int:
    """Return arctan(1 / n) in fixed point."""
    term = ONE // n
    total, k = term, 1
    while term:
        term //= n * n
        k += 2
        total += (-1) ** (k // 2) * (term // k)
    return total


PI = 4 * (4 * arctan_inverse(5) - arctan_inverse(239))


def sine(x: int) -> int:
    """Return sin(x), x in fixed point radians."""
    total = term = x
    k = 1
    while term:
        term = -term * x // ONE * x // ONE // ((k + 1) * (k + 2))
        if term == -1:  # floor division of a negative remainder never reaches 0
            break
        total += term
        k += 2
    return total


def exponential(x: int) -> int:
    """Return exp(x) for x <= 0."""
    total = term = ONE
    k = 0
    while term not in (0, -1):
        k += 1
        term = term * x // ONE // k
        total += term
    return total


def isqrt_fixed(x: int) -> int:
    """Return the square root in fixed point."""
    from math import isqrt

    return isqrt(x << BITS)


def normal_cdf_minus_half(x: int) -> int:
    """Return P(0 < Z < x) of a standard normal for x >= 0, by its alternating power series."""
    total = term = x
    k = 0
    while term not in (0, -1):
        k += 1
        term = -term * x // ONE * x // ONE // (2 * k)
        total += term // (2 * k + 1)
    return total * ONE // isqrt_fixed(2 * PI)


def normal_quantile(p: int) -> int:
    """Return z with P(Z < z) = p for p in (1/2, 1), by Newton's method."""
    z = 0
    for _ in range(60):
        density = exponential(-z * z // ONE // 2) * ONE // isqrt_fixed(2 * PI)
        step = (p - ONE // 2 - normal_cdf_minus_half(z)) * ONE // density
        z += step
        if abs(step) < 1 << (BITS - 120):
            break
    return z


def rounded(x: int, scale_bits: int) -> int:
    """Return the fixed-point x times 2^scale_bits, rounded half up."""
    return (x * (1 << (scale_bits + 1)) // ONE + 1) // 2


def main() -> None:
    """Write both tables."""
    TABLES.mkdir(exist_ok=True)
    quarter = [rounded(sine(PI * i // 2048), 30) for i in range(1025)]
    np.save(TABLES / "sine.npy", np.array(quarter, "<i4"))
    upper = [rounded(normal_quantile(ONE * (2 * i + 1) // 8192), 28) for i in range(2048, 4096)]
    np.save(TABLES / "normal.npy", np.array([-z for z in reversed(upper)] + upper, "<i4"))


if __name__ == "__main__":
    main()
