"""What a long table of scores says: means with intervals, which methods differ, which is best.

The table has one row a score: dataset, version, scenario, split, image_id, label, predicted, model, seed, explainer, kind,
metric, value. Nothing here needs torch, or the maps.

A *unit* is what counts as one piece of evidence: an image by default, whatever many seeds or patches scored it; a seed where the
question is how much training runs differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from miso_gen.errors import InputError, UnknownNameError, listing
from miso_gen.metrics.statistics.comparing import Comparison
from miso_gen.metrics.statistics.comparing import compare as compared
from miso_gen.metrics.statistics.intervals import Bootstrap, Interval, bootstrap_interval, normal_interval, t_interval
from miso_gen.metrics.statistics.ranking import rank_methods

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

IntervalName: TypeAlias = Literal["bootstrap", "bca", "t", "normal"]
Subset: TypeAlias = Literal["all", "correct"]
Average: TypeAlias = Literal["unit", "pooled"]

UNIT = ("dataset", "version", "image_id")  #: columns that say which image a score is of
BY = ("model", "explainer", "metric")  #: columns of which each combination has a mean


def summarise(
    table: pd.DataFrame,
    by: str | Sequence[str] = BY,
    *,
    interval: IntervalName = "bootstrap",
    subset: Subset = "all",
    average: Average = "unit",
    unit: str | Sequence[str] = UNIT,
    strata: str | Sequence[str] = (),
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return means with intervals of confidence, one row for each combination of ``by``, sorted.

    Args:
        table: Long table of scores; nan where undefined.
        by: Columns of which each combination has a mean.
        interval: ``bootstrap`` (percentile) or ``bca`` over resampled units; ``t``, Student's; ``normal``, as MISO reports it.
        subset: ``all`` rows, or those of which the model got the image right (predicted is the label).
        average: ``unit``: first over the scores of a unit, then over units, each counting alike. ``pooled``: over all scores,
            where a unit with more scores counts more; the bootstraps still draw whole units, ``t`` and ``normal`` take scores
            for independent.
        unit: Columns that say which scores are one piece of evidence.
        strata: Columns of groups that keep their size in every resample of the bootstraps, such as ``scenario``; none: one group.
        level: Of confidence, in (0, 1).
        draws: Resamples of the bootstraps.
        seed: Of what they draw. Each combination is drawn by the same words, so that it does not depend on the others.

    Returns:
        ``by``, then mean, low, high, n (units or, pooled, scores that are defined) and n_undefined (those that are not). A
        combination of which the subset has nothing has n 0 and nan.

    Raises:
        InputError: A column is missing, a value is infinite, or an argument can't be.
    """
    keys, units, groups = _columns(by), _columns(unit), _columns(strata)
    _check(table, (*keys, *units, *groups, "value"))
    for name, chosen, known in (("interval", interval, IntervalName), ("average", average, Average)):
        if chosen not in get_args(known):
            raise InputError(f"{name} must be one of {listing(get_args(known))}, got {chosen!r}.")
    if not keys:
        raise InputError("by must have a column at least, got none. Use 'metric'.")
    if groups and interval in ("t", "normal"):
        raise InputError(f"strata must be empty for the interval {interval!r}, got {listing(groups)}. Use 'bootstrap' or 'bca'.")
    codes = pd.DataFrame({"place": _codes(table, keys), "unit": _codes(table, units), "stratum": _codes(table, groups)})
    codes["value"] = table["value"].to_numpy(np.float64, na_value=np.nan)
    scores: pd.DataFrame = codes[_chosen(table, subset)]
    if average == "unit":
        scores = scores.groupby(["place", "unit", "stratum"], as_index=False).agg({"value": "mean"})
    parts = dict(list(scores.groupby("place")))
    first = np.unique(codes["place"], return_index=True)[1]  # of every combination, also of those of which nothing is chosen
    found = [_interval(parts.get(place, scores.iloc[:0]), interval, level, draws, seed) for place in range(len(first))]
    places = table[list(keys)].iloc[first].reset_index(drop=True)
    return pd.concat([places, pd.DataFrame(found, columns=Interval._fields)], axis=1)


def correct(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of images that their model got right: predicted is the label; unknown predictions are never right.

    Raises:
        InputError: A column is missing, or no row has a prediction.
    """
    return table[_chosen(table, "correct")]


def unit_means(table: pd.DataFrame, by: str | Sequence[str] = BY, unit: str | Sequence[str] = UNIT) -> pd.DataFrame:
    """Return the mean of the defined scores of each unit in each combination of ``by``, sorted; nan where none is defined.

    Returns:
        ``by``, ``unit``, value.

    Raises:
        InputError: A column is missing, or a value is infinite.
    """
    columns = list(dict.fromkeys((*_columns(by), *_columns(unit))))
    _check(table, (*columns, "value"))
    return table.groupby(columns, dropna=False, observed=True)["value"].mean().reset_index()


def compare(
    table: pd.DataFrame,
    *,
    metric: str,
    better: Literal["higher", "lower"],
    method: str = "explainer",
    subset: Subset = "all",
    unit: str | Sequence[str] = UNIT,
    alpha: float = 0.05,
    permutations: int = 9999,
    seed: int = 0,
) -> Comparison:
    """Return which methods differ on one metric, see :func:`miso_gen.metrics.statistics.comparing.compare`; the best mean first.

    Args:
        table: Long table of scores; narrow it to one model, or name (model, explainer) pairs in a column of your own.
        metric: Name of the metric.
        better: Its direction.
        method: Column of what is compared.
        subset: ``all``, or ``correct``: a method's score of an image counts where its model got it right.
        unit: Columns that say which scores are paired.
        alpha: Chance of telling any two apart that are alike.
        permutations: Signs that are drawn where they are too many to try all.
        seed: Of what is drawn.

    Raises:
        InputError: A column is missing, there is no such metric, or an argument can't be.
    """
    if better not in ("higher", "lower"):
        raise InputError(f"better must be 'higher' or 'lower', got {better!r}. A metric without a direction has no better.")
    methods, cube, _ = _cube(table, (metric,), method, subset, _columns(unit), ())
    means = pd.DataFrame(cube[:, 0], index=methods).mean(axis=1) * (1.0 if better == "lower" else -1.0)
    order = np.argsort(means.to_numpy(), kind="stable").tolist()
    return compared({methods[place]: cube[place, 0] for place in order}, alpha=alpha, permutations=permutations, seed=seed)


def rank(
    table: pd.DataFrame,
    directions: Mapping[str, Literal["higher", "lower"]],
    *,
    groups: Mapping[str, str] | None = None,
    method: str = "explainer",
    subset: Subset = "all",
    unit: str | Sequence[str] = UNIT,
    strata: str | Sequence[str] = (),
    draws: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the Monte-Carlo ranking of methods, see :func:`miso_gen.metrics.statistics.ranking.rank_methods`; the best first.

    Args:
        table: Long table of scores; narrow it to one model, or name (model, explainer) pairs in a column of your own.
        directions: Metric -> which scores are better. Metrics that it does not name are not ranked.
        groups: Metric -> its group, for every metric that is ranked; None: all in one.
        method: Column of what is ranked.
        subset: ``all`` or ``correct``, as of :func:`compare`.
        unit: Columns that say which scores are paired.
        strata: Columns, some of ``unit`` or constant within a unit, of groups that keep their size in every draw.
        draws: Draws.
        seed: Of what is drawn.

    Returns:
        Column ``method``, then mean_rank, low, high, best, draws.

    Raises:
        InputError: A column, a metric or a group is missing, or an argument can't be.
    """
    metrics = tuple(directions)
    if not metrics:
        raise InputError("directions must name a metric at least, got none. Such as {'dice': 'higher'}.")
    if groups is not None and not set(metrics) <= groups.keys():
        raise InputError(f"groups must name every metric, got none for {listing(sorted(set(metrics) - groups.keys()))}.")
    methods, cube, groups_of_images = _cube(table, metrics, method, subset, _columns(unit), _columns(strata))
    found = rank_methods(
        cube,
        [directions[metric] for metric in metrics],
        groups=None if groups is None else [groups[metric] for metric in metrics],
        strata=groups_of_images,
        draws=draws,
        seed=seed,
    )
    frame = pd.DataFrame({method: methods, **found._asdict()})
    return frame.sort_values(["mean_rank", method], kind="stable").reset_index(drop=True)


# --- tables -------------------------------------------------------------------------------------------------------------


def _columns(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _check(table: pd.DataFrame, columns: Iterable[str]) -> None:
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"table must be a pandas DataFrame, got {type(table).__name__}. Make one: pd.DataFrame(...).")
    wanted = dict.fromkeys(columns)
    missing = [name for name in wanted if name not in table]
    if missing:
        raise InputError(f"table must have the columns {listing(missing)}, got {listing(map(str, table.columns))}.")
    if "value" not in wanted:
        return
    try:
        values = table["value"].to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(f"value must be numbers, or nan where undefined, got other ones: {error}. Convert the column.") from None
    if np.isinf(values).any():
        raise InputError("value must be finite, or nan where undefined, got infinity. Leave such scores out and say so.")


def _chosen(table: pd.DataFrame, subset: str) -> NDArray[np.bool_]:
    """Return which rows are of a subset, (rows,) bool."""
    if subset not in get_args(Subset):
        raise InputError(f"subset must be one of {listing(get_args(Subset))}, got {subset!r}.")
    if subset == "all":
        return np.ones(len(table), bool)
    _check(table, ("label", "predicted"))
    if len(table) and table["predicted"].isna().all():
        raise InputError("predicted must be known for subset 'correct', got none in any row. Score with a model, or use 'all'.")
    known = np.asarray(table["predicted"].notna() & table["label"].notna(), bool)
    right = np.zeros(len(table), bool)
    right[known] = table["predicted"].to_numpy()[known] == table["label"].to_numpy()[known]
    return right


def _codes(table: pd.DataFrame, columns: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the number of the combination of columns in each row, in sorted order, (rows,); all 0 for no columns."""
    if not columns:
        return np.zeros(len(table), np.int64)
    return np.asarray(table.groupby(list(columns), dropna=False, observed=True).ngroup(), np.int64)


def _interval(part: pd.DataFrame, name: IntervalName, level: float, draws: int, seed: int) -> Interval:
    values = part["value"].to_numpy(np.float64)
    if name == "t":
        return t_interval(values, level=level)
    if name == "normal":
        return normal_interval(values, level=level)
    method: Bootstrap = "bca" if name == "bca" else "percentile"
    units, strata = part["unit"].to_numpy(), part["stratum"].to_numpy()
    return bootstrap_interval(values, level=level, method=method, units=units, strata=strata, draws=draws, seed=seed)


def _cube(
    table: pd.DataFrame, metrics: tuple[str, ...], method: str, subset: str, units: tuple[str, ...], strata: tuple[str, ...]
) -> tuple[list[str], NDArray[np.float64], NDArray[np.int64]]:
    """Return methods, their mean scores (methods, metrics, units) with nan where there are none, and the stratum of each unit."""
    _check(table, (*units, *strata, method, "metric", "value"))
    for metric in metrics:
        if not (table["metric"] == metric).any():
            raise UnknownNameError("metric", metric, sorted(table["metric"].astype(str).unique()))
    if table[method].isna().any():
        raise InputError(f"{method} must be named in every row, got none in some. Leave these rows out.")
    rows = table[table["metric"].isin(metrics)]
    methods = sorted(rows[method].astype(str).unique())
    codes = pd.DataFrame(
        {
            "method": pd.Index(methods).get_indexer(pd.Index(rows[method].astype(str))),
            "metric": pd.Index(metrics).get_indexer(pd.Index(rows["metric"])),
            "unit": _codes(rows, units),
            "value": rows["value"].to_numpy(np.float64, na_value=np.nan),
        }
    )
    stratum = pd.DataFrame({"unit": codes["unit"], "stratum": _codes(rows, strata)}).drop_duplicates().sort_values("unit")
    if stratum["unit"].duplicated().any():
        raise InputError(f"{listing(strata)} must be the same in all rows of a unit, got a unit in two strata.")
    cube = np.full((len(methods), len(metrics), len(stratum)), np.nan)
    means = codes[_chosen(rows, subset)].groupby(["method", "metric", "unit"], as_index=False)["value"].mean()
    cube[means["method"], means["metric"], means["unit"]] = means["value"]
    return methods, cube, np.asarray(stratum["stratum"], np.int64)
