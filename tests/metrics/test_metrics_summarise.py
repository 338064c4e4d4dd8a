"""Summaries of the long table: against loops over rows."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations, product
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.metrics.statistics.comparing import compare as compare_arrays
from miso_gen.metrics.statistics.intervals import bootstrap_interval, normal_interval, t_interval
from miso_gen.metrics.statistics.ranking import rank_methods
from miso_gen.metrics.summaries import compare, correct, rank, summarise, unit_means

if TYPE_CHECKING:
    from collections.abc import Callable

EXPLAINERS = {"oracle": 0.9, "saliency": 0.6, "random": 0.1}
METRICS = {"dice": "higher", "mae": "lower"}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Return scores of 12 images, 2 seeds, 3 explainers, 2 metrics, shuffled; the model got two of three images right."""
    rng = np.random.default_rng(0)
    rows = []
    for image, seed, explainer, metric in product(range(12), (0, 1), EXPLAINERS, METRICS):
        good = EXPLAINERS[explainer] + 0.1 * rng.normal() + 0.02 * image
        undefined = image == 7 or (image == 3 and seed == 1)
        rows.append(
            {
                "dataset": "made",
                "version": "1.0.0",
                "scenario": "evp" if image < 5 else "gsp",
                "split": "test",
                "image_id": f"x/test/{image:04d}",
                "label": image % 2,
                "predicted": image % 2 if image % 3 else 1 - image % 2,
                "model": "vgg19",
                "seed": seed,
                "explainer": explainer,
                "kind": "map",
                "metric": metric,
                "value": nan if undefined else good if metric == "dice" else 1 - good,
            }
        )
    return pd.DataFrame(rows).sample(frac=1.0, random_state=1)


def cells(table: pd.DataFrame, explainer: str, metric: str) -> dict[str, list[float]]:
    """Return the scores of each image, in the order of ids."""
    found: dict[str, list[float]] = {}
    for row in table.itertuples():
        if (row.explainer, row.metric) == (explainer, metric):
            found.setdefault(str(row.image_id), []).append(float(row.value))
    return dict(sorted(found.items()))


def mean(values: list[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else nan


INTERVALS: dict[str, Callable[..., Any]] = {
    "bootstrap": lambda values: bootstrap_interval(values, draws=300, seed=3),
    "bca": lambda values: bootstrap_interval(values, method="bca", draws=300, seed=3),
    "t": t_interval,
    "normal": normal_interval,
}


@pytest.mark.parametrize("subset", ["all", "correct"])
@pytest.mark.parametrize("interval", INTERVALS)
def test_means_over_images(table: pd.DataFrame, interval: Any, subset: Any) -> None:
    found = summarise(table, interval=interval, subset=subset, draws=300, seed=3)
    assert list(found.columns) == ["model", "explainer", "metric", "mean", "low", "high", "n", "n_undefined"]
    assert found[["explainer", "metric"]].to_numpy().tolist() == [list(pair) for pair in product(sorted(EXPLAINERS), METRICS)]
    part = table if subset == "all" else table[[p == y for p, y in zip(table["predicted"], table["label"], strict=True)]]
    for row in found.itertuples():
        images = [mean(values) for values in cells(part, str(row.explainer), str(row.metric)).values()]
        wanted = INTERVALS[interval](images)
        assert (row.mean, row.low, row.high) == pytest.approx(wanted[:3], abs=1e-12)
        assert (row.n, row.n_undefined) == wanted[3:]
    assert set(found["n"]) == {11 if subset == "all" else 7}


def test_pooled_scores(table: pd.DataFrame) -> None:
    found = summarise(table, ["explainer", "metric"], average="pooled", draws=300, seed=3).set_index(["explainer", "metric"])
    lists = cells(table, "saliency", "mae")
    values = [value for scores in lists.values() for value in scores]
    units = [image for image, scores in lists.items() for _ in scores]
    wanted = bootstrap_interval(values, units=units, draws=300, seed=3)
    row = found.loc[("saliency", "mae")]
    assert tuple(row[:3]) == pytest.approx(wanted[:3], abs=1e-12)
    assert (row["n"], row["n_undefined"]) == (21, 3)
    images = summarise(table, ["explainer", "metric"], draws=300, seed=3).set_index(["explainer", "metric"])
    assert row["mean"] != images.loc[("saliency", "mae"), "mean"]  # image 3 has one score only
    student = summarise(table, ["explainer", "metric"], average="pooled", interval="t").set_index(["explainer", "metric"])
    assert tuple(student.loc[("saliency", "mae")][:3]) == pytest.approx(t_interval(values)[:3], abs=1e-12)


def test_strata_and_other_units(table: pd.DataFrame) -> None:
    found = summarise(table, ["explainer", "metric"], strata="scenario", draws=300, seed=3).set_index(["explainer", "metric"])
    images = [mean(values) for values in cells(table, "oracle", "dice").values()]
    wanted = bootstrap_interval(images, strata=["evp"] * 5 + ["gsp"] * 7, draws=300, seed=3)
    assert tuple(found.loc[("oracle", "dice")][:3]) == pytest.approx(wanted[:3], abs=1e-12)
    seeds = summarise(table, "metric", unit="seed", interval="t").set_index("metric")
    parts = [mean(table[(table["seed"] == seed) & (table["metric"] == "dice")]["value"].tolist()) for seed in (0, 1)]
    assert tuple(seeds.loc["dice"][:3]) == pytest.approx(t_interval(parts)[:3], abs=1e-12)


def test_a_combination_does_not_depend_on_the_others(table: pd.DataFrame) -> None:
    whole = summarise(table, draws=200)
    part = summarise(table[table["explainer"] == "random"], draws=200)
    pd.testing.assert_frame_equal(whole[whole["explainer"] == "random"].reset_index(drop=True), part)
    pd.testing.assert_frame_equal(whole, summarise(table.sample(frac=1.0, random_state=2), draws=200))


def test_combinations_without_a_correct_image_stay() -> None:
    rows = [
        ("a", "i1", 0, 1, 0.5),
        ("a", "i2", 0, pd.NA, 0.7),
        ("b", "i1", 0, 0, 0.9),
        ("b", "i2", 0, 0, nan),
        (None, "i1", 0, 0, 0.2),
    ]
    table = pd.DataFrame(rows, columns=["explainer", "image_id", "label", "predicted", "value"])
    found = summarise(table, "explainer", subset="correct", unit="image_id")
    assert found["explainer"].isna().tolist() == [False, False, True]
    assert found["n"].tolist() == [0, 1, 1]
    assert found["n_undefined"].tolist() == [0, 1, 0]
    assert found["mean"].tolist() == pytest.approx([nan, 0.9, 0.2], nan_ok=True)
    assert correct(table).index.tolist() == [2, 3, 4]
    assert summarise(table.astype({"explainer": "category"}), "explainer", unit="image_id")["n"].tolist() == [2, 1, 1]


def test_an_empty_table_has_no_rows(table: pd.DataFrame) -> None:
    assert summarise(table.iloc[:0]).empty
    assert list(summarise(table.iloc[:0]).columns) == list(summarise(table).columns)
    assert correct(table.iloc[:0]).empty


def test_unit_means(table: pd.DataFrame) -> None:
    found = unit_means(table)
    assert len(found) == 12 * 3 * 2
    for row in found.itertuples():
        assert row.value == pytest.approx(mean(cells(table, str(row.explainer), str(row.metric))[str(row.image_id)]), nan_ok=True)


@pytest.mark.parametrize(("metric", "best"), [("dice", "higher"), ("mae", "lower")])
def test_comparing_starts_with_the_best(table: pd.DataFrame, metric: str, best: Any) -> None:
    found = compare(table, metric=metric, better=best, permutations=499, seed=1)
    order = ["oracle", "saliency", "random"]
    columns = {name: [mean(values) for values in cells(table, name, metric).values()] for name in order}
    wanted = compare_arrays(columns, permutations=499, seed=1)
    assert list(found.differences) == list(combinations(order, 2))
    assert found.letters == {"oracle": "a", "saliency": "b", "random": "c"}
    for pair, each in found.differences.items():
        assert each.mean == pytest.approx(wanted.differences[pair].mean)
        assert each[1:] == wanted.differences[pair][1:]


def test_comparing_the_correct_images(table: pd.DataFrame) -> None:
    found = compare(table, metric="dice", better="higher", subset="correct", permutations=499)
    assert {(each.n, each.n_undefined) for each in found.differences.values()} == {(7, 5)}


def test_ranking(table: pd.DataFrame) -> None:
    found = rank(
        table, {"dice": "higher", "mae": "lower"}, groups={"dice": "a", "mae": "b"}, strata="scenario", draws=200, seed=2
    )
    assert list(found.columns) == ["explainer", "mean_rank", "low", "high", "best", "draws"]
    assert found["explainer"].tolist() == ["oracle", "saliency", "random"]
    names = sorted(EXPLAINERS)
    cube = np.array([[[mean(values) for values in cells(table, name, metric).values()] for metric in METRICS] for name in names])
    wanted = rank_methods(cube, ["higher", "lower"], groups=["a", "b"], strata=["evp"] * 5 + ["gsp"] * 7, draws=200, seed=2)
    by_name = found.set_index("explainer").loc[names]
    assert by_name["mean_rank"].tolist() == pytest.approx(wanted.mean_rank.tolist())
    assert by_name["best"].tolist() == pytest.approx(wanted.best.tolist())
    assert rank(table, {"mae": "higher"}, draws=50)["explainer"].tolist() == ["random", "saliency", "oracle"]


def test_nothing_here_needs_torch() -> None:
    code = "import sys, miso_gen.metrics.summaries; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: summarise(t.drop(columns="model")), "table must have the columns model, got dataset"),
        (lambda t: summarise(t, interval="basic"), "interval must be one of bootstrap, bca, t, normal, got 'basic'"),
        (lambda t: summarise(t, average="image"), "average must be one of unit, pooled, got 'image'"),
        (lambda t: summarise(t, subset="wrong"), "subset must be one of all, correct, got 'wrong'"),
        (lambda t: summarise(t, ()), "by must have a column at least"),
        (lambda t: summarise(t, interval="t", strata="scenario"), "strata must be empty for the interval 't'"),
        (lambda t: summarise(t, strata="seed"), "strata must hold whole units"),
        (lambda t: summarise(t.assign(value="high")), "value must be numbers, or nan where undefined, got other ones: .*'high'"),
        (lambda t: summarise([1.0]), "table must be a pandas DataFrame, got list"),
        (lambda t: summarise(t.assign(value=np.inf)), "value must be finite, or nan"),
        (lambda t: summarise(t.drop(columns="predicted"), subset="correct"), "table must have the columns predicted"),
        (lambda t: correct(t.assign(predicted=None)), "predicted must be known for subset 'correct'"),
        (lambda t: unit_means(t, unit="patient"), "table must have the columns patient"),
        (lambda t: compare(t, metric="dice", better="none"), "better must be 'higher' or 'lower', got 'none'"),
        (lambda t: compare(t.assign(explainer=None), metric="dice", better="higher"), "explainer must be named in every row"),
        (lambda t: rank(t, {}), "directions must name a metric at least"),
        (lambda t: rank(t, {"dice": "higher"}, groups={}), "groups must name every metric, got none for dice"),
        (lambda t: rank(t, {"dice": "higher"}, strata="seed"), "seed must be the same in all rows of a unit"),
    ],
)
def test_what_is_refused(table: pd.DataFrame, call: Callable[[pd.DataFrame], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(table)


def test_an_unknown_metric_is_guessed(table: pd.DataFrame) -> None:
    with pytest.raises(UnknownNameError, match=r"metric must be one of dice, mae, got 'dyce'\. Did you mean 'dice'\?"):
        compare(table, metric="dyce", better="higher")
