"""Scores of maps are those of the plain function, of maps prepared by hand as each metric takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from miso_gen.errors import RecipeError
from miso_gen.evaluate.plan import ScorePlan, score_plan
from miso_gen.evaluate.scoring import in_batches, scores_of_maps
from miso_gen.evaluate.truths import Truth, Truths
from miso_gen.metrics import METRICS, score
from miso_gen.store import open_dataset

RANDOM = np.random.default_rng(5)
LEVELS = RANDOM.integers(0, 3, (3, 12, 10)).astype(np.uint8)
SIGNED = RANDOM.normal(size=(3, 12, 10)).astype(np.float32)


def flat(found: list[list[object]]) -> Iterator[tuple[int, str, str, int, float]]:
    for place, scores in enumerate(found):
        for one in scores:
            yield place, one.metric, one.binarizer, one.positive, one.value  # type: ignore[attr-defined]


def test_each_metric_gets_the_map_as_it_takes_it() -> None:
    plan = score_plan(
        {"metrics": ["dice", "auroc", "mae", "relevance-mass", "max-f-beta", "five-band-accuracy"], "positive": [1, 2]}
    )
    found = {
        row[:4]: row[4] for row in flat(scores_of_maps(SIGNED, [Truth(one) for one in LEVELS], plan, at="pixel", signed=True))
    }
    for place in range(3):
        for positive in (1, 2):
            map, truth = SIGNED[place], LEVELS[place] >= positive
            above = np.clip(map, 0, None)
            unit = (above - above.min()) / (above.max() - above.min())
            mask = above > 2 * above.mean()
            expected = {
                ("dice", "two-mean"): 2 * (mask & truth).sum() / (mask.sum() + truth.sum()),
                ("mae", ""): np.abs(unit - truth).mean(),
                ("mae-raw", ""): np.abs(map - truth).mean(),
                ("relevance-mass", ""): above[truth].sum() / above.sum(),
                ("auroc", ""): np.mean([(a > b) + 0.5 * (a == b) for a in map[truth] for b in map[~truth]]),
                ("max-f-beta", ""): score(unit, truth, ["max-f-beta"])["max-f-beta"],
                ("five-band-accuracy", ""): score(map, LEVELS[place], ["five-band-accuracy"], positive=positive)[
                    "five-band-accuracy"
                ],
            }
            for (metric, binarizer), value in expected.items():
                assert found[place, metric, binarizer, positive] == pytest.approx(value, abs=1e-6), metric
    assert len(found) == 3 * 2 * 7


def test_maps_without_signs_are_taken_as_they_are() -> None:
    map = np.abs(SIGNED)
    plan = score_plan({"metrics": ["dice", "relevance-mass"], "sign": "negative"})
    found = {row[:2]: row[4] for row in flat(scores_of_maps(map, [Truth(one) for one in LEVELS], plan, at="pixel", signed=False))}
    assert found[0, "relevance-mass"] == pytest.approx(map[0][LEVELS[0] == 2].sum() / map[0].sum(), abs=1e-6)


def test_every_binariser_has_its_own_scores() -> None:
    plan = score_plan({"metrics": ["dice", "auroc"], "binarize": ["two-mean", {"type": "quantile", "q": 0.9}]})
    rows = list(flat(scores_of_maps(np.abs(SIGNED), [Truth(one) for one in LEVELS], plan, at="pixel", signed=False)))
    assert {row[1:3] for row in rows} == {("auroc", ""), *(("dice", name) for name in plan.binarizers)}
    assert len(plan.binarizers) == 2
    chosen = next(row[4] for row in rows if row[0] == 0 and row[2].startswith("quantile"))
    mask = np.abs(SIGNED[0]) > np.quantile(np.abs(SIGNED[0]), 0.9)
    truth = LEVELS[0] == 2
    assert chosen == pytest.approx(2 * (mask & truth).sum() / (mask.sum() + truth.sum()), abs=0.05)


def test_cells_without_a_value_count_as_nothing() -> None:
    map = np.abs(SIGNED[:1]).copy()
    map[0, :4] = np.nan
    zeros = np.nan_to_num(map)
    plan = score_plan(["dice", "auroc", "mae"])
    truths = [Truth(LEVELS[0])]
    assert scores_of_maps(map, truths, plan, at="grid", signed=False) == scores_of_maps(
        zeros, truths, plan, at="grid", signed=False
    )


def test_masks_are_scored_without_a_binariser() -> None:
    mask = SIGNED > 0
    rows = list(
        flat(
            scores_of_maps(
                mask, [Truth(one) for one in LEVELS], score_plan(["dice", "auroc"]), at="grid", signed=True, binary=True
            )
        )
    )
    assert {row[1:3] for row in rows} == {("dice", "")}
    truth = LEVELS[1] == 2
    assert rows[1][4] == pytest.approx(2 * (mask[1] & truth).sum() / (mask[1].sum() + truth.sum()))


def test_all_is_every_metric_that_can_be() -> None:
    plan = ScorePlan()
    names = {row[1] for row in flat(scores_of_maps(np.abs(SIGNED[:1]), [Truth(LEVELS[0])], plan, at="pixel", signed=False))}
    usable = {name for name, one in METRICS if not one.legacy and one.truth != "instances"}
    assert names == usable | {"mae-raw", "ssim-raw"}
    both = [Truth(LEVELS[0], LEVELS[0].astype(np.int64))]
    more = {row[1] for row in flat(scores_of_maps(np.abs(SIGNED[:1]), both, plan, at="pixel", signed=False))}
    assert more - names == {name for name, one in METRICS if not one.legacy and one.truth == "instances"}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"metrics": ["dise"]}, "did you mean|dice"),
        ({"metrics": []}, "score.metrics must be"),
        ({"metric": ["dice"]}, "metric"),
        ({"binarize": ["two-mean", "two-mean"]}, "each once"),
        ({"positive": [3]}, "positive"),
        ({"normalize": "yes"}, "normalize"),
    ],
)
def test_what_is_wrong_is_said(block: dict[str, object], expected: str) -> None:
    with pytest.raises(RecipeError, match=expected):
        score_plan(block)


def test_a_plan_is_made_again_of_its_specification() -> None:
    plan = score_plan(
        {"metrics": ["dice", {"type": "top-k-intersection", "k": 500}], "binarize": [{"type": "quantile", "q": 0.9}]}
    )
    assert score_plan(plan.to_spec()) == plan
    assert sorted(plan.chosen) == ["dice", "top-k-intersection(k=500)"]


def test_batches_have_one_size_and_no_more_than_fits() -> None:
    sizes = [(10, 10), (20, 20), (10, 10), (10, 10), (20, 20)]
    assert in_batches(sizes, 200) == [[0, 2], [3], [1], [4]]
    assert in_batches([]) == []


def test_labels_of_several_classes_are_the_bit_asked_for(store: Path) -> None:
    data = open_dataset(store)
    first = data.table["image_id"].iloc[0]
    label = int(data.table["label"].iloc[0])
    assert Truths(data, [first], None).label(first) == label
    for bits in range(8):
        one = Truths(data, [first], None, bit=1)
        one._labels[first] = bits
        assert one.label(first) == (1 if bits in (2, 3, 6, 7) else 0)
