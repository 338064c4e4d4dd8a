"""Monte-Carlo ranking: against a literal loop over draws, and what must hold of any ranking."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from miso_gen.errors import InputError
from miso_gen.metrics.statistics.ranking import rank_methods, ranks
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from numpy.typing import NDArray


def flat(stream: Stream, size: int) -> list[float]:
    ends = [0.0, *sorted(stream.uniform() for _ in range(size - 1)), 1.0]
    return [ends[place + 1] - ends[place] for place in range(size)]


def literal(
    scores: NDArray[np.float64], directions: list[str], groups: list[str], strata: list[str], draws: int, seed: int
) -> list[list[float]]:
    """Return the places of the methods in every draw."""
    methods, metrics, images = scores.shape
    taking, weighing = Stream("ranking", "images", seed), Stream("ranking", "weights", seed)
    order, places = sorted(set(groups)), []
    for _ in range(draws):
        chosen = []
        for image in range(images):
            mine = [other for other in range(images) if strata[other] == strata[image]]
            chosen.append(mine[taking.integer(0, len(mine))])
        across = dict(zip(order, flat(weighing, len(order)), strict=True))
        within = {group: iter(flat(weighing, groups.count(group))) for group in order}
        weight, rank = {}, {}
        for metric in range(metrics):
            drawn = next(within[groups[metric]])
            used = [image for image in chosen if not np.isnan(scores[:, metric, image]).any()]
            if used:
                means = [sum(scores[method, metric, image] for image in used) / len(used) for method in range(methods)]
                weight[metric] = drawn
                rank[metric] = stats.rankdata([-m if directions[metric] == "higher" else m for m in means])
        if not weight:
            continue
        left = {groups[metric] for metric in weight}
        total = [0.0] * methods
        for metric, drawn in weight.items():
            group = groups[metric]
            inner = sum(weight[other] for other in weight if groups[other] == group)
            part = drawn / inner * across[group] / sum(across[other] for other in left)
            total = [t + part * r for t, r in zip(total, rank[metric], strict=True)]
        places.append(stats.rankdata(np.round(total, 12)).tolist())
    return places


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 5), st.integers(1, 6))
def test_ranking_is_drawing_by_hand(seed: int, methods: int, metrics: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 8, (methods, metrics, images)) / 4.0  # equal scores, exact sums
    scores[rng.random(scores.shape) < 0.1] = nan
    directions = rng.choice(["higher", "lower"], metrics).tolist()
    groups = rng.choice(["x", "y"], metrics).tolist()
    strata = rng.choice(["s", "t"], images).tolist()
    wanted = np.array(literal(scores, directions, groups, strata, 30, seed))
    found = rank_methods(scores, directions, groups=groups, strata=strata, draws=30, seed=seed)
    assert found.draws == len(wanted)
    if not len(wanted):
        assert all(np.isnan(part).all() for part in found[:4])
        return
    first = wanted == wanted.min(axis=1, keepdims=True)
    assert found.mean_rank == pytest.approx(wanted.mean(axis=0), abs=1e-9)
    assert found.best == pytest.approx((first / first.sum(axis=1, keepdims=True)).mean(axis=0), abs=1e-9)
    for share, ends in ((0.05, found.low), (0.95, found.high)):
        for method in range(methods):
            assert ends[method] == sorted(wanted[:, method])[int(np.ceil(share * len(wanted))) - 1]


def test_ranks_are_those_of_scipy() -> None:
    values = np.random.default_rng(0).integers(0, 4, (5, 6, 3)).astype(float)
    assert (ranks(values) == stats.rankdata(values, axis=1)).all()


def test_a_method_that_is_always_better_is_first() -> None:
    base = np.random.default_rng(1).random((3, 50))
    scores = np.stack([base + 2, base, base + 1]) * np.array([1, -1, 1])[:, None]
    found = rank_methods(scores, ["higher", "lower", "higher"], draws=500)
    assert found.mean_rank.tolist() == found.low.tolist() == found.high.tolist() == [1.0, 3.0, 2.0]
    assert found.best.tolist() == [1.0, 0.0, 0.0]


def test_equal_methods_share_their_place() -> None:
    scores = np.repeat(np.random.default_rng(2).random((1, 3, 20)), 3, axis=0)
    found = rank_methods(scores, ["higher"] * 3, draws=200)
    assert found.mean_rank.tolist() == [2.0, 2.0, 2.0]
    assert found.best == pytest.approx([1 / 3] * 3)


def test_groups_keep_kin_metrics_from_outvoting() -> None:
    kin, other = np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]])
    scores = np.stack([*[kin] * 9, other], axis=1)  # nine metrics for the first method, one for the second
    alone = rank_methods(scores, ["higher"] * 10, draws=4000)
    grouped = rank_methods(scores, ["higher"] * 10, groups=["a"] * 9 + ["b"], draws=4000)
    # one certain of ten flat weights is above a half with probability 2 ** -9; of two, with 1 / 2
    assert alone.best[1] == pytest.approx(2.0**-9, abs=0.003)
    assert grouped.best[1] == pytest.approx(0.5, abs=0.03)


def test_images_without_a_score_for_some_method_count_for_none() -> None:
    scores = np.array([[[1.0, 0.0, 0.0]], [[0.5, 0.5, 0.5]]])
    assert rank_methods(scores, ["higher"], draws=300).best[1] > 0.6
    scores[0, 0, 1:] = nan  # left out where it is bad
    found = rank_methods(scores, ["higher"], draws=300)
    assert found.best.tolist() == [1.0, 0.0]
    assert found.draws < 300  # draws without the first image rank nothing


def test_a_metric_that_nothing_has_is_left_out() -> None:
    scores = np.random.default_rng(3).random((4, 2, 30))
    with_it = np.concatenate([scores, np.full((4, 1, 30), nan)], axis=1)
    found = rank_methods(with_it, ["higher", "lower", "higher"], groups=["a", "b", "c"], draws=5000)
    wanted = rank_methods(scores, ["higher", "lower"], draws=5000, seed=1)
    assert found.mean_rank == pytest.approx(wanted.mean_rank, abs=0.06)
    assert found.draws == 5000


def test_nothing_to_rank_is_nan() -> None:
    found = rank_methods(np.full((3, 2, 4), nan), ["higher", "lower"], draws=20)
    assert found.draws == 0
    assert all(np.isnan(part).all() and part.shape == (3,) for part in found[:4])


def test_more_images_make_places_surer() -> None:
    rng = np.random.default_rng(4)
    few = np.stack([rng.normal(size=(4, 5)) + shift for shift in (0.0, 0.3, 0.6)])
    many = np.stack([rng.normal(size=(4, 2000)) + shift for shift in (0.0, 0.3, 0.6)])
    assert rank_methods(many, ["higher"] * 4, draws=500).best[2] == 1.0
    assert rank_methods(few, ["higher"] * 4, draws=500).best[2] < 1.0


def test_the_same_seed_gives_the_same_ranking() -> None:
    scores = np.random.default_rng(5).random((4, 3, 12))
    first, again, other = (rank_methods(scores, ["higher"] * 3, draws=100, seed=seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first[:4], again[:4], strict=True))
    assert (first.mean_rank != other.mean_rank).any()


@pytest.mark.parametrize(
    ("scores", "directions", "fields", "message"),
    [
        (np.ones((2, 3)), ["higher"], {}, r"scores must be \(methods, metrics, images\)"),
        (np.ones((2, 1, 0)), ["higher"], {}, r"with one of each at least, got shape \(2, 1, 0\)"),
        (np.full((2, 1, 2), np.inf), ["higher"], {}, "scores must be finite"),
        (np.ones((2, 1, 2)), ["none"], {}, r"directions must be 'higher' or 'lower' for each of 1 metrics, got \['none'\]"),
        (np.ones((2, 2, 2)), ["higher"], {}, "directions must be 'higher' or 'lower' for each of 2 metrics"),
        (np.ones((2, 1, 2)), ["higher"], {"groups": ["a", "b"]}, r"groups must be one name a value, shape \(1,\)"),
        (np.ones((2, 1, 2)), ["higher"], {"strata": ["a"]}, r"strata must be one name a value, shape \(2,\)"),
        (np.ones((2, 1, 2)), ["higher"], {"draws": 0}, "draws must be at least 1, got 0"),
    ],
)
def test_what_is_refused(scores: Any, directions: list[str], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rank_methods(scores, directions, **fields)
