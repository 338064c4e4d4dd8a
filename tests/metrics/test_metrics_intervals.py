"""Means and intervals: against scipy, against drawing by hand, and by how often they hold the truth."""

from __future__ import annotations

from math import nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from miso_gen.errors import InputError
from miso_gen.metrics.statistics.intervals import bootstrap_interval, normal_interval, t_interval
from miso_gen.metrics.statistics.quantiles import two_sided_normal, two_sided_probability, two_sided_student
from miso_gen.metrics.statistics.resampling import resamples
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

#: Sums are exact, so that whether a mean is that of the scores does not hang on rounding.
DYADIC = st.lists(st.integers(-64, 64).map(lambda x: x / 16), min_size=3, max_size=12)
VALUES = st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=3, max_size=12)

# --- quantiles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.01, 0.5, 0.9, 0.95, 0.999])
def test_quantiles_are_those_of_scipy(level: float) -> None:
    assert two_sided_normal(level) == pytest.approx(stats.norm.ppf(0.5 + level / 2), rel=1e-13)
    for freedom in (1, 2, 3, 4, 5, 10, 29, 30, 99, 500, 999, 1000, 1001, 5000, 10**6):
        wanted = stats.t.ppf(0.5 + level / 2, freedom)
        assert two_sided_student(level, freedom) == pytest.approx(wanted, rel=2e-11), freedom


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30])
def test_shares_are_those_of_scipy(freedom: int) -> None:
    for t in (0.0, 0.1, -1.5, 4.0):
        assert two_sided_probability(t, freedom) == pytest.approx(1 - 2 * stats.t.sf(abs(t), freedom), abs=1e-14)


# --- formulas -----------------------------------------------------------------------------------------------------------


def test_the_arithmetic_of_the_report_card() -> None:
    found = normal_interval([1, 0, 1, 0])
    assert (found.mean, found.n, found.n_undefined) == (0.5, 4, 0)
    assert found.high - found.mean == pytest.approx(0.49, abs=2e-5)
    assert found.mean - found.low == pytest.approx(0.49, abs=2e-5)
    with_nan = normal_interval([1, 0, 1, 0, nan])
    assert with_nan[:4] == found[:4]
    assert with_nan.n_undefined == 1
    one_error = normal_interval([1, 0, 1, 0], level=0.682689492137)
    assert one_error.high - one_error.mean == pytest.approx(0.25, abs=1e-9)


@given(VALUES, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_formulas(values: list[float], level: float) -> None:
    n, mean = len(values), sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values)
    found = normal_interval(values, level=level)
    assert found.mean == pytest.approx(mean, abs=1e-12)
    assert found.high - found.mean == pytest.approx(stats.norm.ppf(0.5 + level / 2) * sqrt(spread / n) / sqrt(n), abs=1e-9)
    found = t_interval(values, level=level)
    assert found.low == pytest.approx(2 * found.mean - found.high, abs=1e-9)
    if spread > 0:
        low, high = stats.t.interval(level, n - 1, loc=mean, scale=stats.sem(values))
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(
    "interval", [normal_interval, t_interval, bootstrap_interval, lambda v: bootstrap_interval(v, method="bca")]
)
def test_few_scores(interval: Callable[[list[float]], Any]) -> None:
    for values, n in (([], 0), ([nan, nan], 0), ([0.3], 1), ([nan, 0.3], 1)):
        found = interval(values)
        assert (found.n, found.n_undefined) == (n, len(values) - n)
        assert found.mean == pytest.approx(0.3 if n else nan, nan_ok=True)
        assert np.isnan(found.low)
        assert np.isnan(found.high)
    assert interval([0.3, 0.3, 0.3])[:3] == pytest.approx((0.3, 0.3, 0.3), abs=1e-15)


# --- bootstrap ----------------------------------------------------------------------------------------------------------


def drawn_by_hand(values: list[float], seed: int, draws: int) -> list[float]:
    stream = Stream("bootstrap", seed)
    means = []
    for _ in range(draws):
        chosen = [values[stream.integer(0, len(values))] for _ in values]
        means.append(sum(chosen) / len(chosen))
    return means


@pytest.mark.parametrize(("method", "outside"), [("percentile", "percentile"), ("bca", "BCa")])
@settings(max_examples=30)
@given(values=DYADIC.filter(lambda values: len(set(values)) > 2), seed=st.integers(0, 99))
def test_scipy_makes_the_same_of_the_same_resamples(method: Any, outside: str, values: list[float], seed: int) -> None:
    means = drawn_by_hand(values, seed, 300)
    result = stats._resampling.BootstrapResult(
        confidence_interval=None, bootstrap_distribution=np.array(means), standard_error=0.0
    )
    wanted = stats.bootstrap(
        (np.array(values),), np.mean, n_resamples=0, bootstrap_result=result, method=outside, confidence_level=0.9
    ).confidence_interval
    found = bootstrap_interval(values, method=method, draws=300, seed=seed, level=0.9)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


@given(st.integers(0, 99), st.booleans())
def test_units_and_strata_are_drawn_whole(seed: int, in_strata: bool) -> None:
    rng = np.random.default_rng(seed)
    units = [f"u{number}" for number in rng.integers(0, 6, 20)]
    strata = {f"u{number}": "ab"[number % 2] if in_strata else "a" for number in range(6)}
    values = rng.normal(size=20)
    values[rng.random(20) < 0.1] = nan
    names = sorted({unit for unit, value in zip(units, values, strict=True) if value == value})
    stream = Stream("bootstrap", 5)
    means = []
    for _ in range(50):
        chosen: list[float] = []
        for name in names:
            mine = [other for other in names if strata[other] == strata[name]]
            unit = mine[stream.integer(0, len(mine))]
            chosen += [v for u, v in zip(units, values, strict=True) if u == unit and v == v]
        means.append(sum(chosen) / len(chosen))
    found = bootstrap_interval(values, units=units, strata=[strata[unit] for unit in units], draws=50, seed=5, level=0.8)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.1, 0.9])), abs=1e-12)
    assert found.mean == pytest.approx(np.nanmean(values))
    assert found.n == 20 - found.n_undefined


def test_bca_over_strata_is_that_of_a_sum_of_samples_in_scipy() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.exponential(size=9), rng.exponential(size=14) + 1

    def pooled(a: Any, b: Any, axis: int = -1) -> Any:
        return (np.sum(a, axis=axis) + np.sum(b, axis=axis)) / (np.shape(a)[axis] + np.shape(b)[axis])

    found = bootstrap_interval(np.r_[first, second], strata=[0] * 9 + [1] * 14, method="bca", draws=20_000)
    wanted = stats.bootstrap((first, second), pooled, method="BCa", n_resamples=20_000, rng=1).confidence_interval
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.02)  # other draws
    plain = bootstrap_interval(np.r_[first, second], method="bca", draws=20_000)
    assert found.high - found.low < plain.high - plain.low - 0.05  # what differs between strata is not drawn


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_where_nothing_can_vary_there_is_no_interval(method: Any) -> None:
    alone = bootstrap_interval([1.0, 2.0, 4.0], strata=["a", "b", "c"], method=method)
    one = bootstrap_interval([1.0, 2.0, 4.0], units=["a", "a", "a"], method=method)
    for found in (alone, one):
        assert found.mean == pytest.approx(7 / 3)
        assert np.isnan([found.low, found.high]).all()
        assert found.n == 3
    some = bootstrap_interval([1.0, 2.0, 4.0], strata=["a", "b", "b"], method=method)
    assert 5 / 3 <= some.low < some.high <= 3.0


def test_resamples_do_not_depend_on_how_many_are_made_at_a_time() -> None:
    strata = np.array([0, 1, 0, 1, 1])
    whole = np.concatenate(list(resamples(strata, 40, Stream("a"))))
    parts = np.concatenate(list(resamples(strata, 40, Stream("a"), width=100_000)))
    assert whole.shape == (40, 5)
    assert (whole == parts).all()
    assert (strata[whole] == strata).all()


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.arange(20.0)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


# --- coverage -----------------------------------------------------------------------------------------------------------


def covered(interval: Callable[..., Any], make: Callable[[np.random.Generator], Any], truth: float, runs: int) -> float:
    rng = np.random.default_rng(2026)
    hits = 0
    for _ in range(runs):
        found = interval(make(rng))
        hits += found.low <= truth <= found.high
    return hits / runs


def test_t_holds_the_truth_as_often_as_it_says() -> None:
    def small(rng: np.random.Generator) -> Any:
        return rng.normal(size=5)

    assert covered(t_interval, small, 0.0, 2000) == pytest.approx(0.95, abs=0.015)
    assert covered(normal_interval, small, 0.0, 2000) < 0.88  # too narrow for five scores
    assert covered(normal_interval, lambda rng: rng.normal(size=200), 0.0, 1000) == pytest.approx(0.95, abs=0.02)


def test_bootstraps_hold_the_truth_about_as_often_as_they_say() -> None:
    def skewed(rng: np.random.Generator) -> Any:
        return rng.exponential(size=40)

    percentile = covered(lambda v: bootstrap_interval(v, draws=400), skewed, 1.0, 500)
    bca = covered(lambda v: bootstrap_interval(v, draws=400, method="bca"), skewed, 1.0, 500)
    assert 0.88 < percentile < 0.96
    assert 0.90 < bca < 0.97
    assert bca >= percentile - 0.005


def test_scores_of_one_image_are_no_independent_evidence() -> None:
    def made(rng: np.random.Generator) -> Any:
        return np.repeat(rng.normal(size=30), 5) + 0.1 * rng.normal(size=150)

    images = np.repeat(np.arange(30), 5)
    assert covered(lambda v: bootstrap_interval(v, draws=300, units=images), made, 0.0, 300) > 0.88
    assert covered(lambda v: bootstrap_interval(v, draws=300), made, 0.0, 300) < 0.75


# --- refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: t_interval([1.0, np.inf]), "values must be finite, or nan"),
        (lambda: t_interval([[1.0]]), r"values must be one score each, shape \(n,\), got shape \(1, 1\)"),
        (lambda: t_interval([1.0], level=95), r"level must be in \(0, 1\), got 95"),
        (lambda: normal_interval([1.0], level=0.0), r"level must be in \(0, 1\)"),
        (lambda: bootstrap_interval([1.0], level=1.0), r"level must be in \(0, 1\)"),
        (lambda: bootstrap_interval([1.0], method="basic"), "method must be one of percentile, bca, got 'basic'"),
        (lambda: bootstrap_interval([1.0], draws=0), "draws must be at least 1, got 0"),
        (lambda: bootstrap_interval([1.0], units=["a", "b"]), r"units must be one name a value, shape \(1,\), got shape \(2,\)"),
        (lambda: bootstrap_interval([1.0, 2.0], units=["a", "a"], strata=[0, 1]), "strata must hold whole units"),
    ],
)
def test_what_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
