"""The sentences of a card, word for word, and the numbers that they are made of."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from miso_gen.report.card import Headline, make_card
from miso_gen.report.cells import Cell, Lead, facts_of
from miso_gen.report.findings import Skill, explainer_words, findings, network_words, skill_of
from miso_gen.report.results import CLASSIFICATION
from miso_gen.store.map_group import MapGroup
from miso_gen.store.maps import MapStore

if TYPE_CHECKING:
    from pathlib import Path

    from miso_gen.report.results import Results

WAY = "lies 41 % of the way from the best null explainer (input) to the truth."
NO_NULL = "Of 6 explainers, the best (gradcam) has f-beta 0.50; no null explainer was scored, so nobody knows what chance gives."
NO_MAP = "Maps of it can't show what it has not learned."


def answers(*rows: tuple[str, str, str, float, float, float], model: str = "m", scenario: str = "gsp") -> pd.DataFrame:
    """Return a table of classification; each row is of a training of its own."""
    filled = [
        ("d", "1", scenario, "test", model, seed, level, rule, metric, value, low, high, 8)
        for seed, (level, rule, metric, value, low, high) in enumerate(rows)
    ]
    return pd.DataFrame(filled, columns=list(CLASSIFICATION))


def patches(value: float, low: float, high: float) -> tuple[str, str, str, float, float, float]:
    return "patch", "", "auroc", value, low, high


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([patches(0.996, 0.99, 1.0)], "The network tells the classes apart (patch AUROC 1.00)."),
        (
            [patches(0.64, 0.6, 0.68)],
            "The network tells the classes apart only in part (patch AUROC 0.64, interval 0.60 to 0.68).",
        ),
        ([patches(0.52, 0.47, 0.57)], f"The network is at chance (patch AUROC 0.52, interval 0.47 to 0.57). {NO_MAP}"),
        ([patches(0.52, 0.5, 0.57)], f"The network is at chance (patch AUROC 0.52, interval 0.50 to 0.57). {NO_MAP}"),
        (
            [patches(0.3, 0.2, 0.4)],
            "The network does worse than chance (patch AUROC 0.30, interval 0.20 to 0.40): it takes classes for each other, and "
            "its maps may, too.",
        ),
        (
            [patches(0.7, math.nan, math.nan)],
            "The network's patch AUROC 0.70 has no interval, so nobody knows whether it is at chance (0.5).",
        ),
        (
            [patches(0.9, 0.8, 1.0), patches(0.5, 0.4, 0.6), patches(0.4, 0.3, 0.45)],
            "Of 3 trainings, 2 are at chance or below (mean patch AUROC 0.60 of 3 trainings, intervals from 0.30 to 1.00). "
            + NO_MAP,
        ),
        (
            [patches(0.96, 0.9, 1.0), patches(0.94, 0.9, 0.99)],
            "The network tells the classes apart (mean patch AUROC 0.95 of 2 trainings).",
        ),
        (
            [("image", "all-max", "accuracy", 0.9, 0.8, 1.0), ("image", "top-k-majority", "accuracy", 0.5, 0.2, 0.8)],
            f"The network is at chance (image accuracy 0.50, interval 0.20 to 0.80). {NO_MAP}",
        ),
        (
            [("image", "network", "accuracy", 0.95, 0.9, 1.0), ("image", "top-k-majority", "accuracy", 0.5, 0.2, 0.8)],
            "The network tells the classes apart (image accuracy 0.95).",
        ),
        (
            [patches(0.8, 0.7, 0.9), ("image", "network", "accuracy", 0.5, 0.2, 0.8)],
            "The network tells the classes apart only in part (patch AUROC 0.80, interval 0.70 to 0.90).",
        ),
    ],
)
def test_what_a_network_can_do(rows: list[Any], words: str) -> None:
    skill = skill_of(answers(*rows), "m", "gsp")
    assert skill is not None
    assert network_words(skill) == words


def test_chance_of_accuracy_is_that_of_the_classes() -> None:
    table = answers(("image", "network", "accuracy", 0.3, 0.2, 0.4))
    two, four = (skill_of(table, "m", "gsp", classes) for classes in (2, 4))
    assert two is not None
    assert four is not None
    assert (two.chance, two.at_chance, two.below) == (0.5, 0, 1)
    assert (four.chance, four.at_chance, four.below) == (0.25, 1, 0)


def test_nothing_is_said_of_a_network_that_was_not_asked() -> None:
    table = answers(patches(0.9, 0.8, 1.0), ("image", "network", "auroc", 0.9, 0.8, 1.0))
    assert skill_of(table, "m", "evp") is None
    assert skill_of(table, "other", "gsp") is None
    assert skill_of(table.iloc[1:], "m", "gsp") is None
    assert skill_of(table.assign(value=math.nan), "m", "gsp") is None


def top(mean: float, null: float = 0.2, oracle: float = 1.0, metric: str = "f-beta", *, is_explainer: bool = True) -> Headline:
    span = oracle - null
    share = (mean - null) / span if span else math.nan
    lead = Lead(metric, "grid", "two-mean", 2)
    name = "gradcam" if is_explainer else "pcm"
    return Headline(lead, facts_of(metric), name, mean, share, 12, "input" if null == null else "", null, oracle, is_explainer)


def cell(mean: float, half: float = 0.01) -> Cell:
    return Cell(mean, mean - half, mean + half, 12, 0)


@pytest.mark.parametrize(
    ("headline", "count", "half", "words"),
    [
        (top(0.528), 6, 0.01, f"Of 6 explainers, the best (gradcam) {WAY}"),
        (top(0.528), 1, 0.01, f"The only explainer (gradcam) {WAY}"),
        (
            top(0.22), 6, 0.02,
            "Of 6 explainers, the best (gradcam) lies 2 % of the way from the best null explainer (input) to the truth. Their "
            "intervals overlap, so with 12 images it may be luck.",
        ),
        (
            top(0.22), 6, math.nan,
            "Of 6 explainers, the best (gradcam) lies 2 % of the way from the best null explainer (input) to the truth. With 12 "
            "images nobody knows whether that is luck.",
        ),
        (
            top(0.15), 6, 0.01,
            "None of 6 explainers does better than the best null explainer (input, f-beta 0.20), which knows nothing of the "
            "network; gradcam has 0.15.",
        ),
        (
            top(0.2), 1, 0.01,
            "No explainer does better than the best null explainer (input, f-beta 0.20), which knows nothing of the "
            "network; gradcam has 0.20.",
        ),
        (
            top(0.3, null=0.2, oracle=0.0, metric="mae"), 3, 0.01,
            "None of 3 explainers does better than the best null explainer (input, mae 0.20), which knows nothing of the "
            "network; gradcam has 0.30.",
        ),
        (
            top(0.1, null=0.2, oracle=0.0, metric="mae"), 3, 0.01,
            "Of 3 explainers, the best (gradcam) lies 50 % of the way from the best null explainer (input) to the truth.",
        ),
        (top(0.5, null=math.nan), 6, 0.01, NO_NULL),
        (
            top(0.5, oracle=math.nan), 6, 0.01,
            "Of 6 explainers, the best (gradcam) has f-beta 0.50, better than the best null explainer (input, f-beta 0.20).",
        ),
        (
            top(0.5, oracle=0.2), 6, 0.01,
            "This score can't tell maps apart: the truth itself (oracle, f-beta 0.20) is no better than the best null explainer "
            "(input, f-beta 0.20).",
        ),
        (
            top(0.9, oracle=0.8), 6, 0.01,
            "Of 6 explainers, the best (gradcam) scores no worse than the truth itself (f-beta 0.90; the best null explainer, "
            "input, f-beta 0.20).",
        ),
        (
            top(0.528, is_explainer=False), 2, 0.01,
            "Only maps of predictions were scored, which explain nothing. Of 2 maps of predictions, the best (pcm) lies 41 % of "
            "the way from the best null explainer (input) to the truth.",
        ),
    ],
)  # fmt: skip
def test_how_good_the_best_explainer_is(headline: Headline, count: int, half: float, words: str) -> None:
    null = None if math.isnan(headline.null_mean) else cell(headline.null_mean, half)
    assert explainer_words(headline, count, cell(headline.mean, half), null) == words


def test_the_sentences_of_a_card_are_made_of_its_scores(results: Results) -> None:
    """Level 2 of ``gsp``, on cells: saliency is the only explainer there; means are counted again by hand."""
    scores = results.scores
    mine = scores[(scores["metric"] == "f-beta") & (scores["positive"] == 2) & (scores["at"] == "grid")]
    mine = mine[(mine["scenario"] == "gsp") & mine["model"].isin(("vgg-att", ""))]
    images = mine.groupby(["explainer", "image_id"])["value"].mean().dropna()
    means = images.groupby("explainer").mean()
    half = 1.959964 * images.groupby("explainer").std(ddof=0) / np.sqrt(images.groupby("explainer").size())
    null = max(("random", "center", "input"), key=lambda name: means[name])
    share = (means["saliency"] - means[null]) / (means["oracle"] - means[null])
    assert means["saliency"] - half["saliency"] > means[null] + half[null]
    card = make_card(results, "vgg-att", "gsp")
    assert card.findings == (
        "The network's mean patch AUROC 0.90 of 2 trainings has no interval, so nobody knows whether it is at chance (0.5).",
        f"The only explainer (saliency) {WAY}".replace("41", str(round(100 * share))).replace("(input)", f"({null})"),
    )
    assert card.skill == Skill("patch AUROC", pytest.approx(0.895), card.skill.low, card.skill.high, 0.5, 2, 0, 0)  # type: ignore[union-attr]


def test_a_card_without_scores_of_explainers_says_so(results: Results) -> None:
    nulls = results.scores[results.scores["model"] == ""]
    bare = dataclasses.replace(results, scores=nulls, classification=results.classification.iloc[:0])
    assert make_card(bare, "", "gsp").findings == ("No map of an explainer has a score on images with evidence.",)


@pytest.mark.parametrize("hole", [True, False])
def test_null_explainers_that_see_kept_patches_only(results: Results, tmp_path: Path, hole: bool) -> None:
    card = make_card(results, "vgg-att", "gsp")
    assert card.headline is not None
    facts = {"name": "small", "version": "1.0.0", "root_digest": results.dataset.root_digest}
    store = MapStore.create(tmp_path / "maps.zarr", dataset=facts)
    name, run = card.headline.null, "gsp-vgg-att-0"
    store.add_group(MapGroup(run, name, {"type": name}, "ssm", "grid", 16))
    values = np.full((17, 17), 0.5)
    values[0, 0] = math.nan if hole else 0.5
    for image_id in sorted(results.dataset.table.query("scenario == 'gsp'")["image_id"]):
        store.write(run, name, image_id, values, target=1)

    def said(where: Results) -> str:
        return findings(where, "vgg-att", "gsp", None, card.headline, card.tables)[-1]

    words = (
        "Null explainers have values on kept patches only: dropping the background gives much of the object away, even to a map "
        "that knows nothing of the network."
    )
    with_maps = dataclasses.replace(results, maps=[store])
    assert (said(with_maps) == words) == hole
    kept = {"size": 32, "shift": "half", "background": "drop"}
    assert (said(dataclasses.replace(with_maps, patches=kept)) == words) == hole  # the maps say it better
    assert said(dataclasses.replace(results, patches=kept)) == words  # nobody has the map
    assert said(results) != words
