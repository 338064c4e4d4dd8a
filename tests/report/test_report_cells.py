"""The parts of a card that its page does not show as they are: roles, the leading score, chosen images, text of numbers."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from miso_gen.errors import MissingExtraError, UnknownNameError
from miso_gen.metrics.interfaces import METRICS
from miso_gen.report import pages
from miso_gen.report.card import make_card, number, percent, with_interval, with_smaller_pictures
from miso_gen.report.cells import Lead, card_scores, cards_of, facts_of, lead_of, ordered, role_of, score_tables
from miso_gen.report.declared import binarizer_of, scenario_facts
from miso_gen.report.distributions import distribution
from miso_gen.report.examples import choose, shown_explainers
from miso_gen.report.results import SCORES
from miso_gen.report.words import EVIDENCE

if TYPE_CHECKING:
    from miso_gen.report.results import Results

BASE = {
    "dataset": "d", "version": "1", "scenario": "gsp", "split": "test", "label": 1, "predicted": 1, "model": "m", "seed": 0,
    "kind": "ssm", "at": "grid", "binarizer": "two-mean", "positive": 1, "metric": "f-beta", "has_truth": True,
}  # fmt: skip


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([BASE | row for row in rows], columns=[*SCORES, "has_truth"])


def scored(explainer: str, values: list[float], **more: Any) -> list[dict[str, Any]]:
    return [{"explainer": explainer, "image_id": f"i{place}", "value": value, **more} for place, value in enumerate(values)]


def test_roles() -> None:
    roles = {("ppm", "ppm"): "prediction", ("x", "pcm"): "prediction", ("saliency", "ssm"): "explainer"}
    roles |= {("random", "ppm"): "null", ("oracle", "ppm"): "oracle"}
    assert {name: role_of(*name) for name in roles} == roles


def test_metrics_are_shown_in_one_order() -> None:
    assert ordered(["zeta", "mae", "dice-legacy", "f-beta", "alpha", "mae"]) == ["f-beta", "mae", "alpha", "zeta", "dice-legacy"]


def test_every_registered_metric_has_facts() -> None:
    for name, cls in METRICS:
        facts = facts_of(name)
        assert facts.direction == cls.direction
        assert facts.definition
        assert "`" not in facts.definition
        assert facts.needs_mask == (cls.takes == "binary")
    assert (facts_of("dice").range, facts_of("mae").range, facts_of("no-such").range) == ("0 to 1", "0 to no limit", "")
    assert facts_of("no-such").direction == "none"
    assert math.isnan(facts_of("no-such").best([1.0]))
    assert facts_of("f-beta").better(0.6, 0.5)
    assert facts_of("mae").better(0.5, 0.6)
    assert not facts_of("no-such").better(0.5, 0.6)


def test_the_leading_score_is_of_masks_of_what_tells_classes_apart() -> None:
    few, many = [0.5], [0.1, 0.2, 0.3]
    rows = [
        *scored("a", many, metric="auroc", binarizer=""),
        *scored("a", many, metric="dice"),
        *scored("a", many, positive=1),
        *scored("a", few, positive=2),
        *scored("a", few, positive=2, binarizer="otsu"),
        *scored("oracle", many, positive=2, binarizer="mean-std"),
    ]
    assert lead_of(table(*rows)) == Lead("f-beta", "grid", "two-mean", 2)
    assert lead_of(table(*rows), "auroc") == Lead("auroc", "grid", "", 1)
    more = scored("b", many, positive=2, binarizer="otsu", at="pixel")
    assert lead_of(table(*rows, *more)) == Lead("f-beta", "pixel", "otsu", 2)
    assert lead_of(table(*scored("oracle", many), *scored("random", many))) is None
    assert lead_of(table(*scored("a", [math.nan]))) is None
    assert lead_of(table(*scored("a", many, metric="no-such"))) is None
    predictions = scored("ppm", many, kind="ppm")
    assert lead_of(table(*predictions)) == Lead("f-beta", "grid", "two-mean", 1)
    assert shown_explainers(table(*predictions), Lead("f-beta", "grid", "two-mean", 1)) == ["ppm"]
    both = table(*predictions, *scored("a", [0.01]))
    assert shown_explainers(both, Lead("f-beta", "grid", "two-mean", 1)) == ["a"]


def test_the_best_explainer_is_shown_beside_saliency() -> None:
    lead = Lead("mae", "grid", "", 1)
    place = {"metric": "mae", "binarizer": ""}
    rows = [
        *scored("saliency", [0.3], **place),
        *scored("b", [0.2], **place),
        *scored("a", [0.2], **place),
        *scored("c", [0.4], **place),
    ]
    assert shown_explainers(table(*rows), lead) == ["a", "saliency"]
    assert shown_explainers(table(*rows[:1], *rows[3:]), lead) == ["saliency"]
    assert shown_explainers(table(*scored("random", [0.0], **place)), lead) == []


@pytest.mark.parametrize(
    ("values", "metric", "wanted"),
    [
        ([0.1, 0.5, 0.3, 0.9], "f-beta", {"best": "i3", "median": "i1", "worst": "i0"}),
        ([0.1, 0.5, 0.3, 0.9], "mae", {"best": "i0", "median": "i2", "worst": "i3"}),
        ([0.1, math.nan, 0.3, 0.2], "f-beta", {"best": "i2", "median": "i3", "worst": "i0"}),
        ([0.2, 0.2, 0.2], "f-beta", {"best": "i0", "median": "i1", "worst": "i2"}),
        ([0.2, 0.4], "f-beta", {"best": "i1", "worst": "i0"}),
        ([0.2], "f-beta", {"best": "i0"}),
        ([math.nan], "f-beta", {}),
    ],
)
def test_chosen_images(values: list[float], metric: str, wanted: dict[str, str]) -> None:
    rows = table(
        *scored("a", values, metric=metric, seed=3), *scored("a", [1 - value for value in values], metric=metric, seed=5)
    )
    found = choose(rows, Lead(metric, "grid", "two-mean", 1), "a")
    assert {one.case: one.image_id for one in found} == wanted
    assert {(one.seed, one.predicted) for one in found} <= {(3, 1)}
    assert [one.case for one in found] == [case for case in ("best", "median", "worst") if case in wanted]


def test_an_image_of_which_nothing_is_known_is_chosen_all_the_same() -> None:
    rows = table(*scored("a", [0.5], seed=None, predicted=pd.NA))
    [one] = choose(rows, Lead("f-beta", "grid", "two-mean", 1), "a")
    assert (one.seed, one.predicted) == (None, None)


def test_own_null_explainers_of_a_network_hide_the_shared_ones(results: Results) -> None:
    shared = results.scores[(results.scores["model"] == "") & (results.scores["explainer"] == "random")]
    own = dataclasses.replace(results, scores=pd.concat([results.scores, shared.assign(model="vgg-att", value=0.123)]))
    found = card_scores(own, "vgg-att", "gsp")
    assert set(found.loc[found["explainer"] == "random", "value"]) == {0.123}
    assert set(found.loc[found["explainer"] == "center", "model"]) == {""}
    other = card_scores(own, "tiny <&> one", "gsp")
    assert set(other.loc[other["explainer"] == "random", "model"]) == {""}


def test_cards(results: Results) -> None:
    assert cards_of(results) == [(model, scenario) for model in ("tiny <&> one", "vgg-att") for scenario in ("evp", "gsp")]
    with pytest.raises(UnknownNameError, match="card must be one of"):
        card_scores(results, "vgg-att", "dsp")
    nulls = results.scores[results.scores["model"] == ""]
    bare = dataclasses.replace(results, scores=nulls, classification=results.classification.iloc[:0])
    assert cards_of(bare) == [("", "evp"), ("", "gsp")]
    assert cards_of(dataclasses.replace(results, scores=nulls))[0] == ("tiny <&> one", "evp")
    assert make_card(bare, "", "gsp").headline is None


def test_a_scenario_says_what_it_declares(results: Results) -> None:
    facts = scenario_facts(results.dataset, "gsp")
    assert facts is not None
    assert (facts.evidence, facts.shortcuts, facts.classes) == ("absence", ("mean intensity",), ("intact", "guilty"))
    assert facts.meaning == EVIDENCE["absence"]
    assert scenario_facts(results.dataset, "dsp") is None


def test_binarizers_by_name() -> None:
    assert type(binarizer_of("otsu")).__name__ == "Otsu"
    assert binarizer_of("") is None
    assert binarizer_of("otsu2") is None


def test_tables_by_metric(results: Results) -> None:
    scores = card_scores(results, "vgg-att", "gsp")
    tables = score_tables(scores, results, metrics=["dice"])
    assert {facts.name for one in tables for facts in one.metrics} == {"dice"}
    cell = tables[0].value("saliency", "dice")
    assert cell is not None
    assert cell.n == tables[0].images
    assert tables[0].value("saliency", "mae") is None
    assert tables[0].value("nobody", "dice") is None


def test_many_images_are_not_all_drawn() -> None:
    values = [place / 500 for place in range(500)]
    found = distribution(table(*scored("a", values)), Lead("f-beta", "grid", "two-mean", 1))
    assert found is not None
    [line] = found.spreads
    assert (line.n, len(line.points), found.drawn_all) == (500, 120, False)
    assert all(found.left <= x <= found.width for x, _ in line.points)
    assert distribution(table(*scored("a", [math.nan])), Lead("f-beta", "grid", "two-mean", 1)) is None


def test_axes_hold_values_beyond_the_declared_range() -> None:
    found = distribution(table(*scored("a", [3.0, 3.0], metric="mae")), Lead("mae", "grid", "two-mean", 1))
    assert found is not None
    assert [text for text, _ in found.ticks] == ["0", "0.75", "1.5", "2.25", "3"]
    alone = distribution(table(*scored("a", [3.0], metric="no-such")), Lead("no-such", "grid", "two-mean", 1))
    assert alone is not None
    assert [text for text, _ in alone.ticks] == ["2.5", "2.75", "3", "3.25", "3.5"]


def test_smaller_pictures(results: Results) -> None:
    card = make_card(results, "vgg-att", "gsp")
    small = with_smaller_pictures(results, card, 0.1)
    sizes = [sum(len(panel.picture.data) for example in one.examples for panel in example.panels) for one in (card, small)]
    assert 0 < sizes[1] < sizes[0]
    bare = make_card(dataclasses.replace(results, scores=results.scores.iloc[:0]), "vgg-att", "gsp")
    assert with_smaller_pictures(results, bare, 0.1) is bare


def test_numbers_as_text() -> None:
    assert [number(value) for value in (0.12345, -0.0001, 144.3994, 12345.678, math.nan)] == [
        "0.123", "0.000", "144.399", "1.235e+04", "undefined",
    ]  # fmt: skip
    assert with_interval(0.5, 0.4, 0.6) == "0.500 ± 0.100"
    assert with_interval(0.5, 0.35, 0.6) == "0.500 (0.350 to 0.600)"
    assert with_interval(0.5, math.nan, math.nan) == "0.500"
    assert [percent(value) for value in (0.514, -0.001, 1.2, math.nan)] == ["51 %", "0 %", "120 %", ""]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    pages._environment.cache_clear()
    with pytest.raises(MissingExtraError, match=r"A report needs the package 'jinja2'.*miso-gen\[eval\]"):
        pages._environment()
    pages._environment.cache_clear()
