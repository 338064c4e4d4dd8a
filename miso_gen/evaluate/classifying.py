"""How well networks classify: patches, and images by each rule, from the tables of predictions."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from miso_gen.metrics.classification import accuracy, auprc, auroc, average_precision
from miso_gen.report.results import CLASSIFICATION
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    Measure = Callable[[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]], float]

DRAWS: Final = 200  #: resamples of images behind an interval
_LEVEL: Final = 0.95


def classification(
    images: pd.DataFrame, patches: pd.DataFrame | None, facts: Mapping[str, Any], positive: int = 1
) -> pd.DataFrame:
    """Return how well a network classifies, a table of :data:`~miso_gen.report.results.CLASSIFICATION`.

    Metrics: ``accuracy``, and of the probability of ``positive`` against all other classes ``auroc``, ``auprc`` (trapezoids) and
    ``average-precision``. Intervals: percentiles over resamples of images; images without a decision count as wrong.

    Args:
        images: ``images.parquet`` of predictions: image_id, label, rule, probability, predicted.
        patches: ``patches.parquet``: image_id, label, probability_0, ..., predicted; None: it reads no patches.
        facts: dataset, version, scenario, split, model, seed.
        positive: Class that the probability of images is of.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    if patches is not None:
        known = patches[patches["label"] >= 0]
        rows += _rows(known, known[f"probability_{positive}"].to_numpy(np.float64), positive, facts, "patch", "")
    for rule, part in images.groupby("rule", sort=False):
        rows += _rows(part, part["probability"].to_numpy(np.float64), positive, facts, "image", str(rule))
    return pd.DataFrame(rows, columns=list(CLASSIFICATION))


def _rows(
    part: pd.DataFrame, probability: NDArray[np.float64], positive: int, facts: Mapping[str, Any], level: str, rule: str
) -> list[dict[str, Any]]:
    labels, predicted = part["label"].to_numpy(np.int64), part["predicted"].to_numpy(np.int64)
    owners = np.unique(part["image_id"].to_numpy(str), return_inverse=True)[1]
    decided = ~np.isnan(probability)
    score, isit = np.where(decided, probability, 0.0), (labels == positive).astype(np.int64)
    found = []
    for name, measure in MEASURES.items():
        value = measure(score, isit, (predicted == labels).astype(np.int64))
        low, high = _interval(measure, score, isit, (predicted == labels).astype(np.int64), owners)
        row = {"level": level, "rule": rule, "metric": name, "value": value, "low": low, "high": high, "n": len(part)}
        found.append({**facts, **row})
    return found


def _interval(
    measure: Measure,
    score: NDArray[np.float64],
    isit: NDArray[np.int64],
    right: NDArray[np.int64],
    owners: NDArray[np.int64],
) -> tuple[float, float]:
    """Return the percentiles of a measure over resamples of whole images; nan where it is undefined in most of them."""
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(owners.max(initial=-1) + 2))
    groups = [order[first:end] for first, end in pairwise(starts.tolist())]
    if len(groups) < 2:
        return (float("nan"), float("nan"))
    picks = (Stream("classification").uniforms(DRAWS * len(groups)) * len(groups)).astype(np.int64).reshape(DRAWS, -1)
    values = []
    for pick in picks:
        rows = np.concatenate([groups[place] for place in pick])
        values.append(measure(score[rows], isit[rows], right[rows]))
    known = np.array(values)[~np.isnan(values)]
    if len(known) < DRAWS // 2:
        return (float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return (float(low), float(high))


def _of(measure: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Measure:
    def value(score: NDArray[np.float64], isit: NDArray[np.int64], right: NDArray[np.int64]) -> float:
        return float(measure(torch.from_numpy(score), torch.from_numpy(isit.astype(bool))))

    return value


def _accuracy(score: NDArray[np.float64], isit: NDArray[np.int64], right: NDArray[np.int64]) -> float:
    return float(accuracy(torch.from_numpy(right), torch.ones(len(right), dtype=torch.int64)))


MEASURES: Final[dict[str, Measure]] = {
    "accuracy": _accuracy,
    "auroc": _of(auroc),
    "auprc": _of(auprc),
    "average-precision": _of(average_precision),
}
