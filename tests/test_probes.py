"""Shortcut probes: regression, folds, AUROC and interval against their definitions."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.probes import (
    COVERS,
    FOLDS,
    RESAMPLES,
    TOGETHER,
    Score,
    _resamples,
    auroc,
    cross_validate,
    deal,
    declared,
    enough,
    features,
    logistic,
    probe,
    units,
)


def random(seed):
    return np.random.Generator(np.random.PCG64(seed))


# --- AUROC ------------------------------------------------------------------------------------------------------------


def literal_auroc(scores, positive, weights):
    """Return the share of all (ours, other) couples that ours wins, ties half; weights count images several times."""
    won = total = 0.0
    for score, ours, times in zip(scores, positive, weights, strict=True):
        for other, also, often in zip(scores, positive, weights, strict=True):
            if ours and not also:
                total += times * often
                won += times * often * (1.0 if score > other else 0.5 if score == other else 0.0)
    return won / total if total else math.nan


images = st.lists(
    st.tuples(st.sampled_from([-1.5, 0.0, 0.25, 1.0, 7.0]), st.booleans(), st.integers(0, 3)), min_size=1, max_size=25
)


@given(images)
def test_auroc_is_its_definition(rows):
    scores, positive, weights = (np.array(column) for column in zip(*rows, strict=True))
    found = auroc(scores, positive, np.column_stack([weights, np.ones_like(weights)]))
    expected = [literal_auroc(scores, positive, times) for times in (weights, np.ones_like(weights))]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(auroc(scores, positive), expected[1:], rtol=1e-12)


# --- regression -------------------------------------------------------------------------------------------------------


def literal_loss(values, positive, weights, intercept, penalty):
    total = penalty / 2 * sum(weight * weight for weight in weights)
    for row, ours in zip(values, positive, strict=True):
        score = sum(weight * value for weight, value in zip(weights, row, strict=True)) + intercept
        total += math.log1p(math.exp(-score if ours else score))
    return total


def descend(values, positive, penalty):
    """Return weights and intercept by gradient descent until nothing moves."""
    weights, intercept = np.zeros(values.shape[1]), 0.0
    rate = 1.0 / (0.25 * ((values**2).sum() + len(values)) + penalty)  # below the inverse of the greatest curvature
    for _ in range(200_000):
        chance = 1.0 / (1.0 + np.exp(-(values @ weights + intercept)))
        slopes = values.T @ (chance - positive) + penalty * weights
        slope = float((chance - positive).sum())
        weights, intercept = weights - rate * slopes, intercept - rate * slope
        if max(abs(slope), np.abs(slopes).max()) < 1e-9:
            return weights, intercept
    raise AssertionError("gradient descent must converge")


@pytest.mark.parametrize("penalty", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("separable", [False, True])
def test_newton_finds_what_gradient_descent_finds(penalty, separable):
    numbers = random(4)
    values = numbers.normal(size=(40, 3))
    positive = values[:, 0] > 0 if separable else values[:, 0] + numbers.normal(size=40) > 0.5
    weights, intercept = logistic(values, positive, penalty)
    expected, offset = descend(values, positive, penalty)
    np.testing.assert_allclose(weights, expected, atol=1e-7)
    assert intercept == pytest.approx(offset, abs=1e-7)
    least = literal_loss(values, positive, weights, intercept, penalty)
    for step in np.eye(4) * 0.01:
        assert literal_loss(values, positive, weights + step[:3], intercept + step[3], penalty) > least


def test_regression_on_awkward_data():
    values = np.repeat([[-1.0], [1.0]], 500, axis=0)
    weights, intercept = logistic(values, values[:, 0] > 0)  # separable, far from balanced otherwise
    assert np.isfinite(weights).all()
    assert weights[0] > 1
    assert intercept == pytest.approx(0, abs=1e-9)
    for one_class in (np.ones(1000, bool), np.zeros(1000, bool)):
        weights, intercept = logistic(values, one_class)
        assert (weights.tolist(), intercept) == ([0.0], 0.0)
    weights, intercept = logistic(np.empty((4, 0)), np.array([True, False, False, False]))
    assert (len(weights), intercept) == (0, pytest.approx(math.log(1 / 3)))  # the base rate


# --- folds ------------------------------------------------------------------------------------------------------------

paired = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=40)


def flat(pairs):
    """Return labels and numbers of pairs of the images of pairs, given as lists of labels."""
    labels = np.array([label for pair in pairs for label in pair])
    return labels, np.array([number for number, pair in enumerate(pairs) for _ in pair])


@given(paired)
def test_folds_never_split_a_pair(pairs):
    labels, groups = flat(pairs)
    fold = deal(labels, groups)
    assert set(fold.tolist()) <= set(range(FOLDS))
    for number in range(len(pairs)):
        assert len(set(fold[groups == number].tolist())) == 1
    sizes = np.bincount([fold[groups == number][0] for number in range(len(pairs))], minlength=FOLDS)
    assert sizes.max() - sizes.min() <= 1


@given(st.integers(5, 40), st.integers(0, 30))
def test_folds_are_stratified(twos, ones):
    labels, groups = flat([[0, 1]] * twos + [[1]] * ones)
    fold = deal(labels, groups)
    for label in (0, 1):
        counts = np.bincount(fold[labels == label], minlength=FOLDS)
        assert counts.max() - counts.min() <= 2  # one for each kind of pair


def test_no_image_is_scored_by_its_own_fold():
    numbers = random(5)
    labels, groups = flat([[0, 1]] * 30)
    values = numbers.normal(size=(60, 2)) + labels[:, None]
    fold = deal(labels, groups)
    scores = cross_validate(values, labels, fold)
    for held in range(FOLDS):
        turned = np.where(fold == held, 1 - labels, labels)
        again = cross_validate(values, turned, fold)
        assert np.array_equal(scores[fold == held], again[fold == held])
        assert not np.array_equal(scores[fold != held], again[fold != held])


def literal_scores(values, labels, folds, label):
    """Return scores of one label against the rest: each fold by a regression on the others, standardised."""
    scores = np.zeros(len(labels))
    for fold in range(FOLDS):
        inside, outside = values[folds != fold], values[folds == fold]
        weights, intercept = descend((inside - inside.mean(0)) / inside.std(0), labels[folds != fold] == label, 1.0)
        score = ((outside - inside.mean(0)) / inside.std(0)) @ weights + intercept
        scores[folds == fold] = (score - score.mean()) / score.std()
    return scores


def test_cross_validation_is_its_definition():
    numbers = random(6)
    labels, groups = flat([[0, 1, 2]] * 12)
    values = numbers.normal(size=(36, 2)) * [1, 1000] + labels[:, None] * [0.7, 100]
    folds = deal(labels, groups)
    scores = cross_validate(values, labels, folds)
    for label in range(3):
        np.testing.assert_allclose(scores[:, label], literal_scores(values, labels, folds, label), atol=1e-6)
    two = labels < 2
    found = cross_validate(values[two], labels[two], folds[two])
    np.testing.assert_allclose(found[:, 0], literal_scores(values[two], labels[two], folds[two], 1), atol=1e-6)


# --- probes -----------------------------------------------------------------------------------------------------------


def test_what_separates_and_what_says_nothing():
    labels, groups = flat([[0, 1]] * 30)
    assert probe(labels[:, None] * 1.0, labels, groups) == Score(1.0, 1.0, 1.0)
    assert probe(np.zeros((60, 1)), labels, groups) == Score(0.5, 0.5, 0.5)
    same = random(7).normal(size=30)[groups]  # equal within a pair: every couple has its mirror image
    assert probe(same[:, None], labels, groups).auroc == 0.5
    assert not probe(random(8).normal(size=(60, 3)), labels, groups).succeeds


def test_a_partner_does_not_leak():
    """Images of a pair have nearly the same features and other labels: with pairs split, scores would be wrong on purpose."""
    numbers = random(9)
    labels, groups = flat([[0, 1]] * 40)
    values = numbers.normal(size=(40, 12))[groups] + numbers.normal(size=(80, 12)) * 1e-3
    assert abs(probe(values, labels, groups).auroc - 0.5) < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_as_wide_as_theory_says(seed):
    """Two normals, one standard deviation apart: AUROC is Phi(1 / sqrt 2) = .76; its standard error after Hanley & McNeil."""
    numbers = random(seed)
    count = 100
    labels, groups = flat([[0]] * count + [[1]] * count)
    found = probe((numbers.normal(size=2 * count) + labels)[:, None], labels, groups)
    true = 0.5 * (1 + math.erf(0.5))
    assert found.low < found.auroc < found.high
    assert found.low < true < found.high
    both, either = true / (2 - true), 2 * true * true / (1 + true)
    error = math.sqrt((true * (1 - true) + (count - 1) * (both + either - 2 * true * true)) / count**2)
    assert 0.75 < (found.high - found.low) / (2 * 1.96 * error) < 1.3
    assert found.succeeds


def test_several_labels_are_the_mean_of_one_against_the_rest():
    numbers = random(11)
    labels, groups = flat([[0, 1, 5]] * 20)
    values = numbers.normal(size=(60, 1)) + labels[:, None] * 0.5
    scores = cross_validate(values, labels, deal(labels, groups))
    expected = np.mean([literal_auroc(scores[:, place], labels == label, [1] * 60) for place, label in enumerate((0, 1, 5))])
    found = probe(values, labels, groups)
    assert found.auroc == pytest.approx(expected)
    assert found.low < expected < found.high


def test_a_probe_is_the_same_every_time():
    labels, groups = flat([[0, 1]] * 20)
    values = random(12).normal(size=(40, 2)) + labels[:, None]
    assert probe(values, labels, groups) == probe(values, labels, groups)


def test_resamples_are_draws_with_replacement():
    counts = _resamples(50)
    assert counts.shape == (50, RESAMPLES)
    assert set(counts.sum(axis=0).tolist()) == {50}
    assert counts.mean(axis=1) == pytest.approx(1, abs=5 / math.sqrt(RESAMPLES))  # each is Poisson, nearly
    assert (counts == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)


@pytest.mark.parametrize(
    ("score", "succeeds"),
    [((0.65, 0.51, 0.8), True), ((0.64, 0.6, 0.7), False), ((0.9, 0.5, 1.0), False), ((0.1, 0.0, 0.2), False)],
)
def test_success(score, succeeds):
    assert Score(*score).succeeds is succeeds


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [([[0, 1]] * 10, True), ([[0, 1]] * 9, False), ([[0]] * 10 + [[1]] * 9, False), ([[0] * 5 + [1] * 5] * 4, False)],
)
def test_enough(pairs, expected):
    assert enough(*flat(pairs)) is expected


def test_features_are_their_definitions():
    numbers = random(13)
    counts = numbers.integers(0, 9, (4, 256))
    table = pd.DataFrame({"histogram": list(counts), "truth_1_share": [0.1, 0.2, 0.3, 0.4]})
    found = features(table, [4.0, 3.0, 2.0, 1.0])
    for row in range(4):
        pixels = np.repeat(np.arange(256) / 255, counts[row])
        assert found["mean intensity"][row] == pytest.approx([pixels.mean()])
        assert found["grey levels"][row, 0] == pytest.approx(pixels.std())
        eighths = [counts[row, low : low + 32].sum() / counts[row].sum() for low in range(0, 256, 32)]
        assert found["grey levels"][row, 1:] == pytest.approx(eighths)
    assert found["object share"].tolist() == [[0.1], [0.2], [0.3], [0.4]]
    assert found["stored size"].tolist() == [[4.0], [3.0], [2.0], [1.0]]
    assert found[TOGETHER].shape == (4, 12)
    assert list(found)[-1] == TOGETHER


@pytest.mark.parametrize(
    ("shortcuts", "expected"),
    [
        ((), set()),
        (("mean intensity",), {"mean intensity", "grey levels", "stored size", TOGETHER}),
        (("grey levels",), {"grey levels", "stored size", TOGETHER}),
        (("object share", "fuzz"), {"mean intensity", "grey levels", "object share", "stored size", TOGETHER}),
        (("mean colour",), {"mean intensity", "grey levels", "stored size", TOGETHER}),
        (("cell size",), {"mean intensity", "grey levels", "object share", "stored size", TOGETHER}),
        (("stored size",), {"stored size", TOGETHER}),
        (("time of day",), set()),
    ],
)
def test_what_a_declared_shortcut_covers(shortcuts, expected):
    names = ("mean intensity", "grey levels", "object share", "stored size", TOGETHER)
    assert {name for name in names if declared(name, shortcuts)} == expected


def test_every_shortcut_of_a_scenario_is_known():
    from miso_gen.recipe import SCENARIOS

    declarations = [SCENARIOS.get(scenario).shortcuts for scenario in SCENARIOS.names()]
    shortcuts = {name for names in declarations if isinstance(names, tuple) for name in names}  # instances may decide, too
    assert {"mean intensity", "object share"} <= shortcuts <= COVERS.keys()


def test_units():
    table = pd.DataFrame({"image_id": ["a", "b", "c", "d"], "pair": ["p", None, "p", None]})
    assert units(table).tolist() == ["p", "b", "p", "d"]
    for one, other in combinations(units(table.assign(pair=None)), 2):
        assert one != other
