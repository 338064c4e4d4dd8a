"""Whether one method scores better than another on the same images, and which methods can't be told apart."""

from __future__ import annotations

from itertools import combinations
from math import nan
from string import ascii_letters
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from miso_gen.errors import InputError
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

_AT_ONCE: Final = 1 << 20  #: numbers in memory at a time
_EQUAL: Final = 1e-12  #: sums of differences that are nearer, of the sum of all sizes, differ by rounding


class Difference(NamedTuple):
    """How two methods differ on the same images.

    Attributes:
        mean: Of first - second over images on which both are defined; nan if there are none.
        p: Two-sided chance of a mean as far from 0, were the two alike; nan if there are no such images.
        n: Images on which both are defined.
        n_undefined: Others.
        exact: Whether all signs were tried.
    """

    mean: float
    p: float
    n: int
    n_undefined: int
    exact: bool


class Comparison(NamedTuple):
    """How several methods differ, by pair (first, second) in the order of the methods.

    Attributes:
        differences: The test of each pair.
        adjusted: p of each pair after Holm's correction for their number.
        letters: Of each method; two that share a letter can't be told apart.
    """

    differences: dict[tuple[str, str], Difference]
    adjusted: dict[tuple[str, str], float]
    letters: dict[str, str]


def permutation_test(first: ArrayLike, second: ArrayLike, *, permutations: int = 9999, seed: int = 0) -> Difference:
    """Return the paired permutation test of two methods: were they alike, the sign of each image's difference would be a coin's.

    All signs are tried where they are no more than ``permutations``; then p is exact. Else ``permutations`` are drawn, and with b
    of them as far from 0 as what was found, p is (b + 1) / (permutations + 1), which is never too small on average.

    Args:
        first: (n,) scores; nan where undefined.
        second: (n,) scores of the same images; images on which either is undefined are left out.
        permutations: Signs to draw, from 1.
        seed: Of what is drawn. Two tests of one seed and number of images draw the same signs.

    Raises:
        InputError: Shapes differ, a score is infinite, or there is nothing to draw.

    Source: Fisher, The design of experiments, 1935; Phipson & Smyth, Permutation p-values should never be zero, 2010.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.ndim != 1 or one.shape != other.shape:
        raise InputError(f"scores must be of the same images, shape (n,), got shapes {one.shape} and {other.shape}.")
    _check_finite((one, other))
    return _tests((one - other)[:, None], permutations, seed)[0]


def compare(scores: Mapping[str, ArrayLike], *, alpha: float = 0.05, permutations: int = 9999, seed: int = 0) -> Comparison:
    """Return which of several methods differ: permutation tests of all pairs, Holm's correction, groups of ties.

    Args:
        scores: Method -> (n,) scores of the same images; nan where undefined. In the order of letters: the best first.
        alpha: Chance of telling any two apart that are alike.
        permutations: As of :func:`permutation_test`; the least p that can be drawn is 1 / (permutations + 1), which must be well
            below alpha / pairs.
        seed: Of what is drawn.

    Raises:
        InputError: As of :func:`permutation_test`, or alpha can't be.
    """
    if not 0.0 < alpha < 1.0:
        raise InputError(f"alpha must be in (0, 1), got {alpha!r}. For 5 % write 0.05.")
    names = tuple(scores)
    pairs = list(combinations(names, 2))
    columns = {name: np.asarray(values, np.float64) for name, values in scores.items()}
    shapes = {column.shape for column in columns.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise InputError(f"scores must be of the same images, shape (n,), got shapes {sorted(shapes)}.")
    _check_finite(columns.values())
    differences = [columns[first] - columns[second] for first, second in pairs]
    found = _tests(np.stack(differences, axis=1), permutations, seed) if pairs else []
    adjusted = holm([each.p for each in found]).tolist()
    apart = {pair for pair, p in zip(pairs, adjusted, strict=True) if p <= alpha}
    return Comparison(
        dict(zip(pairs, found, strict=True)), dict(zip(pairs, adjusted, strict=True)), letters(names, tie_groups(names, apart))
    )


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return p values corrected for their number by Holm's step-down, (m,) float64; nan stays, and does not count.

    The k-th least of m is multiplied by m - k + 1, is no less than the one before and at most 1.

    Source: Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    values = np.asarray(p, np.float64)
    if values.ndim != 1:
        raise InputError(f"p must be (m,), got shape {values.shape}.")
    out = np.full(values.shape, np.nan)
    places = np.flatnonzero(~np.isnan(values))
    places = places[np.argsort(values[places], kind="stable")]
    factors = np.arange(len(places), 0, -1)
    out[places] = np.minimum(np.maximum.accumulate(values[places] * factors), 1.0)
    return out


def tie_groups(names: Sequence[str], apart: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    """Return the largest sets of methods of which no two were told apart, sorted by the places of their members.

    Each method is in one at least, by itself if need be. There can be more groups than methods, but rarely are.

    Args:
        names: Methods, the best first.
        apart: Pairs that were told apart, in any order.
    """
    told = {frozenset(pair) for pair in apart}
    number = {name: place for place, name in enumerate(names)}
    if len(number) < len(names):
        raise InputError("names must be different, got one twice. Name each method once.")
    alike = [{other for other in number.values() if other != place} for place in number.values()]
    for pair in told:
        one, other = (number[name] for name in pair)
        alike[one].discard(other)
        alike[other].discard(one)
    groups: list[tuple[int, ...]] = []
    _grow(frozenset(), set(number.values()), set(), alike, groups)
    return tuple(tuple(names[place] for place in group) for group in sorted(groups))


def letters(names: Sequence[str], groups: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return the compact letter display: one letter a group, a to z, A to Z, then a' and so on.

    Source: Piepho, An algorithm for a letter-based representation of all-pairwise comparisons, 2004.
    """
    signs = [ascii_letters[place % 52] + "'" * (place // 52) for place in range(len(groups))]
    return {name: "".join(sign for sign, group in zip(signs, groups, strict=True) if name in group) for name in names}


# --- signs ------------------------------------------------------------------------------------------------------------


def _check_finite(columns: Iterable[NDArray[np.float64]]) -> None:
    if any(np.isinf(column).any() for column in columns):
        raise InputError("scores must be finite, or nan where undefined, got infinity. Leave such scores out and say so.")


def _tests(differences: NDArray[np.float64], permutations: int, seed: int) -> list[Difference]:
    """Return the test of each column of differences (n, pairs); all columns see the same signs."""
    if permutations < 1:
        raise InputError(f"permutations must be at least 1, got {permutations}. 9999 will do.")
    known = ~np.isnan(differences)
    sizes = np.where(known, differences, 0.0)
    least = np.abs(sizes.sum(axis=0)) - _EQUAL * np.abs(sizes).sum(
        axis=0
    )  # a sum of signed sizes as far from 0 as what was found
    exact = (sizes != 0).sum(axis=0) < permutations.bit_length()  # 2 ** images <= permutations
    p = np.full(sizes.shape[1], np.nan)
    for column in np.flatnonzero(exact):
        sums = _all_sums(sizes[sizes[:, column] != 0, column])
        p[column] = (np.abs(sums) >= least[column]).mean()
    drawn = np.flatnonzero(~exact)
    if len(drawn):
        far = np.zeros(len(drawn), np.int64)
        for sums in _drawn_sums(sizes[:, drawn], permutations, Stream("signs", seed)):
            far += (np.abs(sums) >= least[drawn]).sum(axis=0)
        p[drawn] = (far + 1) / (permutations + 1)
    tests = []
    for place, n in enumerate(known.sum(axis=0).tolist()):
        mean = float(sizes[:, place].sum() / n) if n else nan
        tests.append(Difference(mean, float(p[place]) if n else nan, n, len(sizes) - n, bool(exact[place])))
    return tests


def _all_sums(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum under every choice of signs but that of the first: the others are mirror images."""
    sums = sizes[:1].copy() if len(sizes) else np.zeros(1)
    for size in sizes[1:]:
        sums = np.concatenate([sums + size, sums - size])
    return sums


def _drawn_sums(sizes: NDArray[np.float64], count: int, stream: Stream) -> Iterator[NDArray[np.float64]]:
    """Yield sums (b, pairs) under drawn signs, ``count`` in all, added up image by image: equal columns have equal sums."""
    words = -(-len(sizes) // 64)
    rows = max(1, _AT_ONCE // max(len(sizes), sizes.shape[1]))
    for done in range(0, count, rows):
        drawn = stream.raw(min(rows, count - done) * words).astype("<u8").view(np.uint8).reshape(-1, words * 8)
        signs = np.unpackbits(drawn, axis=1, count=len(sizes), bitorder="little")
        sums = np.zeros((len(signs), sizes.shape[1]))
        for sign, size in zip(signs.T, sizes, strict=True):
            sums += np.where(sign[:, None], size, -size)
        yield sums


def _grow(
    chosen: frozenset[int], candidates: set[int], used: set[int], alike: Sequence[set[int]], out: list[tuple[int, ...]]
) -> None:
    """Collect every largest set of mutually alike methods that has ``chosen`` (Bron & Kerbosch 1973, with a pivot)."""
    if not candidates and not used:
        out.append(tuple(sorted(chosen)))
        return
    pivot = max(candidates | used, key=lambda place: len(candidates & alike[place]))
    for place in sorted(candidates - alike[pivot]):
        _grow(chosen | {place}, candidates & alike[place], used & alike[place], alike, out)
        candidates.discard(place)
        used.add(place)
