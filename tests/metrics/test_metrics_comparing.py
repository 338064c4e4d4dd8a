"""Differences of methods: against trying all signs, scipy, statsmodels, and looking at every set of methods."""

from __future__ import annotations

import json
from itertools import combinations, product
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from miso_gen.errors import InputError
from miso_gen.metrics.statistics.comparing import compare, holm, letters, permutation_test, tie_groups
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

FIXTURE = Path(__file__).parent / "fixtures" / "holm.json"
TENTHS = st.integers(-9, 9).map(lambda number: number / 10)


@given(st.lists(st.tuples(TENTHS, TENTHS), min_size=1, max_size=9))
def test_exact_is_trying_all_signs(pairs: list[tuple[float, float]]) -> None:
    differences = [round(10 * a) - round(10 * b) for a, b in pairs]  # whole numbers: no rounding
    far = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in product((1, -1), repeat=len(pairs))]
    wanted = sum(each >= abs(sum(differences)) for each in far) / len(far)
    found = permutation_test([a for a, _ in pairs], [b for _, b in pairs])
    assert found.exact
    assert found.p == pytest.approx(wanted, abs=1e-15)
    assert found.mean == pytest.approx(sum(differences) / 10 / len(pairs), abs=1e-12)
    assert (found.n, found.n_undefined) == (len(pairs), 0)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=2, max_size=8))
def test_exact_is_that_of_scipy(pairs: list[tuple[float, float]]) -> None:
    first, second = (np.array([pair[side] for pair in pairs]).round(3) for side in (0, 1))
    if (first == second).all():
        return  # scipy calls a test of nothing 1, too, but warns
    wanted = stats.permutation_test(
        (first, second),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert permutation_test(first, second).p == pytest.approx(wanted.pvalue, abs=1e-12)


def test_drawn_signs_are_those_of_the_stream() -> None:
    rng = np.random.default_rng(0)
    for n in (14, 64, 65, 130):
        first, second = rng.normal(size=n), rng.normal(size=n) + 0.2
        first[3] = nan
        stream = Stream("signs", 7)
        sizes = [0.0 if isnan(d) else float(d) for d in first - second]
        far = 0
        for _ in range(200):
            words = [stream.word() for _ in range(-(-n // 64))]
            signs = [1 if words[i // 64] >> (i % 64) & 1 else -1 for i in range(n)]
            far += abs(sum(s * d for s, d in zip(signs, sizes, strict=True))) >= abs(sum(sizes))
        found = permutation_test(first, second, permutations=200, seed=7)
        assert found == (pytest.approx(sum(sizes) / (n - 1)), (far + 1) / 201, n - 1, 1, False)


def test_drawn_signs_come_near_to_all_of_them() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=14), rng.normal(size=14) + 0.5
    exact = permutation_test(first, second, permutations=2**14)
    drawn = permutation_test(first, second, permutations=2**14 - 1)
    assert (exact.exact, drawn.exact) == (True, False)
    assert drawn.p == pytest.approx(exact.p, abs=0.012)


def test_methods_that_are_alike_are_told_apart_as_often_as_alpha_says() -> None:
    rng = np.random.default_rng(2)
    p = [permutation_test(rng.normal(size=25), rng.normal(size=25), permutations=199, seed=run).p for run in range(600)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.025)
    assert min(p) >= 1 / 200


def test_cases_of_a_test() -> None:
    assert permutation_test([0.3, 0.2], [0.3, 0.2]) == (0.0, 1.0, 2, 0, True)
    nothing = permutation_test([nan, 1.0], [1.0, nan])
    assert isnan(nothing.mean)
    assert isnan(nothing.p)
    assert nothing[2:] == (0, 2, True)
    assert isnan(permutation_test([], []).p)
    many = permutation_test(np.ones(3000), np.zeros(3000), permutations=99)
    assert many == (1.0, 0.01, 3000, 0, False)
    # ties of sums that rounding would tell apart: 0.1 + 0.2 and 0.3
    assert permutation_test([0.1, 0.2, 0.3], [0.0, 0.0, 0.0]).p == 0.25
    assert permutation_test([0.1, 0.2, -0.3], [0.0, 0.0, 0.0]).p == 1.0


# --- Holm ---------------------------------------------------------------------------------------------------------------


def test_holm_is_that_of_statsmodels() -> None:
    cases = json.loads(FIXTURE.read_text("utf-8"))["cases"]
    for case in cases:
        p = [((17 * k * k + 5 * k) % 101) / case["divisor"] for k in range(1, case["m"] + 1)]
        assert holm(p).tolist() == pytest.approx(case["holm"], abs=1e-12)
    assert len(cases) == 5


@given(st.lists(st.one_of(st.floats(0, 1), st.just(nan)), max_size=12))
def test_holm_step_by_step(p: list[float]) -> None:
    known = sorted(value for value in p if value == value)
    for value, found in zip(p, holm(p), strict=True):
        if value != value:
            assert isnan(found)
            continue
        steps = [min(1.0, (len(known) - place) * other) for place, other in enumerate(known) if other <= value]
        assert found == pytest.approx(max(steps))


# --- ties ---------------------------------------------------------------------------------------------------------------

NAMES = "abcdefg"
APART = st.sets(st.sampled_from(list(combinations(NAMES, 2))))


@given(st.integers(1, 7), APART)
def test_groups_are_the_largest_sets_that_nothing_tells_apart(count: int, apart: set[tuple[str, str]]) -> None:
    names = NAMES[:count]
    apart = {pair for pair in apart if set(pair) <= set(names)}
    alike = [
        set(group)
        for size in range(1, count + 1)
        for group in combinations(names, size)
        if not any(pair in apart for pair in combinations(group, 2))
    ]
    wanted = sorted("".join(sorted(group)) for group in alike if not any(group < other for other in alike))
    groups = tie_groups(names, {(second, first) for first, second in apart})
    assert ["".join(group) for group in groups] == wanted
    shown = letters(names, groups)
    for first, second in combinations(names, 2):
        assert bool(set(shown[first]) & set(shown[second])) == ((first, second) not in apart)


def test_letters_go_on_after_the_alphabet() -> None:
    names = [f"m{number}" for number in range(60)]
    shown = letters(names, tie_groups(names, list(combinations(names, 2))))
    assert [shown[names[place]] for place in (0, 25, 26, 51, 52, 59)] == ["a", "z", "A", "Z", "a'", "h'"]


def test_comparing_is_testing_every_pair() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(size=40)
    scores = {name: base + shift + 0.5 * rng.normal(size=40) for name, shift in (("a", 2.0), ("b", 1.9), ("c", 0.0), ("d", -0.1))}
    scores["b"][:3] = nan
    found = compare(scores, permutations=1999, seed=4)
    assert list(found.differences) == list(combinations("abcd", 2))
    for pair, each in found.differences.items():
        assert each == permutation_test(scores[pair[0]], scores[pair[1]], permutations=1999, seed=4)
    assert list(found.adjusted.values()) == holm([each.p for each in found.differences.values()]).tolist()
    assert found.letters == {"a": "a", "b": "a", "c": "b", "d": "b"}
    assert found.differences["a", "b"].n_undefined == 3


def test_comparing_one_method_none_and_equal_ones() -> None:
    assert compare({"a": [1.0, 2.0]}) == ({}, {}, {"a": "a"})
    assert compare({}) == ({}, {}, {})
    found = compare({"a": [1.0, nan], "b": [1.0, 2.0], "c": [nan, nan]})
    assert found.letters == {"a": "a", "b": "a", "c": "a"}  # nothing was shown
    assert isnan(found.adjusted["a", "c"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: permutation_test([1.0], [1.0, 2.0]),
            r"scores must be of the same images, shape \(n,\), got shapes \(1,\) and \(2,\)",
        ),
        (lambda: permutation_test([np.inf], [1.0]), "scores must be finite"),
        (lambda: permutation_test([1.0], [2.0], permutations=0), "permutations must be at least 1, got 0"),
        (lambda: compare({"a": [1.0], "b": [1.0, 2.0]}), "scores must be of the same images"),
        (lambda: compare({"a": [np.inf], "b": [1.0]}), "scores must be finite"),
        (lambda: compare({"a": [1.0]}, alpha=5), r"alpha must be in \(0, 1\), got 5"),
        (lambda: holm([[0.1]]), r"p must be \(m,\)"),
        (lambda: tie_groups(["a", "a"], []), "names must be different"),
    ],
)
def test_what_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
