"""Shortcut probes: how well a few numbers of an image, without its pixels, tell its label.

A probe is a logistic regression on a group of features, cross-validated. Its AUROC is that of the scores of images it was not
fitted on, its interval a bootstrap. Images of a pair share nearly everything, so a pair is never split: its images are in one
fold, and in a resample together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from miso_gen.recipe.template import example
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from miso_gen.recipe import Recipe
    from miso_gen.store import Dataset

    Floats = NDArray[np.float64]

FOLDS = 5
RESAMPLES = 1000
LEAST_IMAGES = 10  #: of each label
LEAST_PAIRS = FOLDS  #: that hold a label
TOGETHER = "all together"  #: the probe on all features
_PENALTY = 1.0  #: of half the squared weights, against the summed log loss
_BATCH = 100  #: resamples at a time, so that memory stays small
_ITERATIONS = 100

#: What a declared shortcut gives away besides: features that follow from it.
COVERS = {
    "mean intensity": ("mean intensity", "grey levels", "stored size"),
    "mean colour": ("mean intensity", "grey levels", "stored size"),
    "grey levels": ("grey levels", "stored size"),
    "object share": ("object share", "mean intensity", "grey levels", "stored size"),
    "fuzz": ("mean intensity", "grey levels", "stored size"),
    "cell size": ("object share", "mean intensity", "grey levels", "stored size"),
    "stored size": ("stored size",),
}

Verdict: TypeAlias = Literal["declared", "undeclared", "not told", "too few"]


@dataclass(frozen=True)
class Probed:
    """What one shortcut probe found.

    Attributes:
        scenario: Name of the recipe's entry.
        probe: Name of the features.
        auroc: In [0, 1]; None where there are too few images.
        low: Lower end of its 95 % interval.
        high: Upper end.
        images: How many, of all splits.
        declared: Whether the scenario declares a shortcut from which success follows.
        verdict: ``declared`` and ``undeclared`` where the label can be told, ``not told``, ``too few``.
    """

    scenario: str
    probe: str
    auroc: float | None
    low: float | None
    high: float | None
    images: int
    declared: bool
    verdict: Verdict


class Score(NamedTuple):
    """How well a probe tells the label, AUROCs in [0, 1].

    Attributes:
        auroc: For more than two labels the mean over labels, each against the rest.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    auroc: float
    low: float
    high: float

    @property
    def succeeds(self) -> bool:
        """Whether the label can be told: at least 0.65, the interval above 0.5."""
        return self.auroc >= 0.65 and self.low > 0.5


def probe_store(dataset: Dataset, recipe: Recipe) -> Iterator[Probed]:
    """Yield what every probe finds in every scenario with two labels or more; all splits together.

    Args:
        dataset: The store.
        recipe: The recipe it was built from.
    """
    for entry in recipe.scenarios:
        table = dataset.table[dataset.table["scenario"] == entry.name]
        labels = table["label"].to_numpy(np.int64)
        if len(np.unique(labels)) < 2:
            continue
        shortcuts = entry.model.from_spec(example(entry.block)).known_shortcuts
        groups = np.unique(units(table).to_numpy(str), return_inverse=True)[1].astype(np.int64)
        told = enough(labels, groups)
        sizes = [stored_size(dataset, image_id) for image_id in table["image_id"]] if told else np.zeros(len(table))
        for name, values in features(table, sizes).items():
            known = declared(name, shortcuts)
            if not told:
                yield Probed(entry.name, name, None, None, None, len(table), known, "too few")
                continue
            score = probe(values, labels, groups)
            verdict: Verdict = "not told" if not score.succeeds else "declared" if known else "undeclared"
            yield Probed(entry.name, name, *score, len(table), known, verdict)


def units(table: pd.DataFrame) -> pd.Series[str]:
    """Return what each image of a table belongs to: its pair, or nothing but itself."""
    return table["pair"].where(table["pair"].notna(), table["image_id"])


def features(table: pd.DataFrame, sizes: ArrayLike) -> dict[str, Floats]:
    """Return the features of the images of a table, by probe, each (n, k); the last is all of them side by side.

    Args:
        table: n rows of the index of a store, with ``histogram`` and ``truth_1_share``.
        sizes: Stored bytes a pixel, (n,).
    """
    counts = np.array(table["histogram"].tolist(), np.float64).reshape(len(table), -1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    values = (np.arange(shares.shape[1]) / 255.0)[None, :]
    # Sums along rows, not products of matrices: equal rows must give equal numbers, to the last bit.
    mean = (shares * values).sum(axis=1)
    spread = np.sqrt((shares * (values - mean[:, None]) ** 2).sum(axis=1))
    eighths = shares.reshape(len(table), 8, -1).sum(axis=2)
    groups = {
        "mean intensity": mean[:, None],
        "grey levels": np.column_stack([spread, eighths]),
        "object share": table["truth_1_share"].to_numpy(np.float64)[:, None],
        "stored size": np.asarray(sizes, np.float64)[:, None],
    }
    return {**groups, TOGETHER: np.column_stack(list(groups.values()))}


def declared(probe: str, shortcuts: Collection[str]) -> bool:
    """Return whether the success of a probe follows from declared shortcuts; of all features together: that of any of them."""
    covered = {name for shortcut in shortcuts for name in COVERS.get(shortcut, ())}
    return bool(covered) if probe == TOGETHER else probe in covered


def enough(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> bool:
    """Return whether every label has images, and pairs, enough for a probe.

    Args:
        labels: Label of each image, (n,).
        groups: Number of its pair, (n,).
    """
    mine = [groups[labels == label] for label in np.unique(labels)]
    return all(len(held) >= LEAST_IMAGES and len(np.unique(held)) >= LEAST_PAIRS for held in mine)


def probe(values: Floats, labels: NDArray[np.int64], groups: NDArray[np.int64]) -> Score:
    """Return how well features tell labels.

    Args:
        values: Features, (n, k).
        labels: Label of each image, (n,), two different ones at least; :func:`enough` of each.
        groups: Number of its pair, (n,), from 0 without gaps; an image without a pair has a number of its own.
    """
    scores = cross_validate(values, labels, deal(labels, groups))
    known = np.unique(labels)
    if len(known) == 2:
        known = known[1:]
    places = {int(label): column for column, label in enumerate(known)}
    plain = np.mean([auroc(scores[:, column], labels == label)[0] for label, column in places.items()])
    resampled = np.zeros(RESAMPLES)
    counts = _resamples(int(groups.max()) + 1)
    for first in range(0, RESAMPLES, _BATCH):
        weights = np.ascontiguousarray(counts[:, first : first + _BATCH])[groups]
        for label, column in places.items():
            resampled[first : first + _BATCH] += auroc(scores[:, column], labels == label, weights) / len(known)
    # Copies of a pair in a resample meet each other, as images of a pair do: all resamples are off by that, the estimate is not.
    ends = np.nanpercentile(resampled, (2.5, 97.5)) + (plain - np.nanmean(resampled))  # nan where one lacks a label
    low, high = np.clip(ends, 0.0, 1.0).tolist()
    return Score(float(plain), low, high)


def deal(labels: NDArray[np.int64], groups: NDArray[np.int64], folds: int = FOLDS) -> NDArray[np.int64]:
    """Return the fold of each image, (n,), 0 .. folds - 1: pairs with the same labels are shuffled and dealt in turn.

    Args:
        labels: Label of each image, (n,).
        groups: Number of its pair, (n,), from 0 without gaps; all images of a pair are in one fold.
        folds: How many folds.
    """
    known, codes = np.unique(labels, return_inverse=True)
    counts = np.zeros((int(groups.max()) + 1, len(known)), np.int64)
    np.add.at(counts, (groups, codes), 1)
    kind = np.unique(counts, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.argsort(Stream("check", "folds").raw(len(counts)), kind="stable")
    order = order[np.argsort(kind[order], kind="stable")]
    fold = np.empty(len(counts), np.int64)
    fold[order] = np.arange(len(counts)) % folds
    return fold[groups]


def cross_validate(values: Floats, labels: NDArray[np.int64], folds: NDArray[np.int64]) -> Floats:
    """Return the score of each image from a regression on the other folds.

    Args:
        values: Features, (n, k).
        labels: Label of each image, (n,).
        folds: Its fold, (n,).

    Returns:
        One column a label, each against the rest; of two labels the second only. Standardised within each fold, as scores of
        different regressions have different scales; 0 where they are all equal.
    """
    known = np.unique(labels)
    if len(known) == 2:
        known = known[1:]
    scores = np.zeros((len(labels), len(known)))
    for fold in np.unique(folds):
        held = folds == fold
        fitted = values[~held]
        varies = fitted.max(axis=0) > fitted.min(axis=0)
        centre, scale = fitted[:, varies].mean(axis=0), fitted[:, varies].std(axis=0)
        inside, outside = (fitted[:, varies] - centre) / scale, (values[held][:, varies] - centre) / scale
        for column, label in enumerate(known):
            weights, _ = logistic(inside, labels[~held] == label)
            score = (outside * weights).sum(axis=1)  # equal features, equal scores
            width = score.std() if np.ptp(score) > 0 else 0.0
            scores[held, column] = (score - score.mean()) / width if width > 0 else 0.0
    return scores


def logistic(values: Floats, positive: NDArray[np.bool_], penalty: float = _PENALTY) -> tuple[Floats, float]:
    """Return weights (k,) and intercept of a logistic regression, by Newton's method.

    They minimise the summed log loss plus half the penalty times the squared weights; the intercept is free. So the weights are
    finite for separable classes too. Zeros where all images are of one class.

    Args:
        values: Features, (n, k), standardised.
        positive: Which images are of the class, (n,).
        penalty: More than 0.
    """
    padded = np.column_stack([values, np.ones(len(values))])
    target = positive.astype(np.float64)
    ridge = np.full(padded.shape[1], penalty)
    ridge[-1] = 0.0
    beta = np.zeros(padded.shape[1])
    if positive.all() or not positive.any():
        return beta[:-1], 0.0

    def loss(at: Floats) -> float:
        score = padded @ at
        return float((np.logaddexp(0.0, score) - target * score).sum() + (ridge * at * at).sum() / 2)

    here = loss(beta)
    for _ in range(_ITERATIONS):
        chance = np.exp(-np.logaddexp(0.0, -(padded @ beta)))
        slope = padded.T @ (chance - target) + ridge * beta
        curve = (padded.T * (chance * (1.0 - chance))) @ padded + np.diag(ridge + 1e-12)
        step = np.linalg.solve(curve, slope)
        while (there := loss(beta - step)) > here and np.abs(step).max() > 1e-12:
            step /= 2  # a full step may go too far where the classes are separable
        if there > here or np.abs(step).max() <= 1e-9:
            break
        beta, here = beta - step, there
    return beta[:-1], float(beta[-1])


def auroc(scores: Floats, positive: NDArray[np.bool_], weights: NDArray[np.int64] | None = None) -> Floats:
    """Return the chance that an image of the class has a higher score than one that is not of it; ties count half.

    Args:
        scores: Score of each image, (n,).
        positive: Which images are of the class, (n,).
        weights: How often each image counts, (n, resamples); None: once, in one resample.

    Returns:
        One number a resample, (resamples,); nan where either class is empty.
    """
    order = np.argsort(scores, kind="stable")
    ranked, ours = scores[order], positive[order]
    times = np.ones((len(scores), 1), np.int64) if weights is None else weights[order]
    others = np.zeros((len(scores) + 1, times.shape[1]), np.int64)  # before each place in the ranking
    np.cumsum(np.where(ours[:, None], 0, times), axis=0, out=others[1:])
    below, up_to = (np.searchsorted(ranked, ranked[ours], side) for side in ("left", "right"))
    mine = times[ours]
    won = (mine * (others[below] + others[up_to])).sum(axis=0) / 2
    pairs = mine.sum(axis=0) * others[-1]
    return np.where(pairs > 0, won / np.maximum(pairs, 1), np.nan)


@lru_cache(maxsize=1)
def _resamples(count: int) -> NDArray[np.int64]:
    """Return how often each of ``count`` pairs is in each resample, (count, RESAMPLES); kept for the next probe."""
    drawn = Stream("check", "bootstrap").integers(0, count, RESAMPLES * count).reshape(count, RESAMPLES)
    places = drawn * RESAMPLES + np.arange(RESAMPLES)
    return np.bincount(places.reshape(-1), minlength=RESAMPLES * count).reshape(count, RESAMPLES)


def stored_size(dataset: Dataset, image_id: str) -> float:
    """Return the bytes a pixel that an image takes at level 0."""
    view = dataset[image_id]
    sizes = (dataset.target.size(f"{view.image.path}/{name}") or 0 for name in view.image.layout.files())
    return sum(sizes) / (view.image.shape[-2] * view.image.shape[-1])
