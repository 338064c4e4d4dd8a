"""Comparison, ranking and win matrix: every number computed again from the table of scores, in a few lines of pandas."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from miso_gen.errors import InputError, OutputError, UnknownNameError
from miso_gen.metrics.summaries import rank
from miso_gen.report import comparison
from miso_gen.report.comparison import comparison_table
from miso_gen.report.results import CLASSIFICATION, NULLS, SCORES, Results
from miso_gen.report.standings import ranking_table, win_table
from miso_gen.report.table_files import FORMATS, comparison_html, comparison_tables, write_tables
from miso_gen.report.tables import Cell, Table

APART = (*NULLS, "oracle")


def with_scores(results: Results, rows: Iterable[dict[str, Any]]) -> Results:
    """Return results of other scores, and no classification; scores of level 2, by masks of pixels."""
    known = results.dataset.table.set_index("image_id")
    filled = []
    for row in rows:
        image = known.loc[row["image_id"]]
        base = {"dataset": "small", "version": "1.0.0", "scenario": image["scenario"], "split": "test", "label": image["label"]}
        more = {"predicted": image["label"], "model": "net", "seed": 0, "kind": "pixel", "at": "pixel", "binarizer": "two-mean"}
        filled.append({**base, **more, "positive": 2, "metric": "f-beta", **row})
    table = pd.DataFrame(filled, columns=list(SCORES))
    table["predicted"] = table["predicted"].astype("Int64")
    return replace(results, scores=table, classification=pd.DataFrame(columns=list(CLASSIFICATION)))


def images_of(results: Results, scenario: str = "evp") -> list[str]:
    """Return images with evidence."""
    table = results.dataset.table
    return list(table["image_id"][(table["scenario"] == scenario) & (table["truth_2_share"] > 0)])


def by_name(table: Table, column: str) -> dict[tuple[str, str], Cell]:
    """Return the cells of a column by network and explainer."""
    place = [one.name for one in table.columns].index(column)
    return {(row.cells[0].text, row.cells[1].text): row.cells[place] for row in table.rows}


def at_place(results: Results, metric: str, at: str, positive: int = 2) -> pd.DataFrame:
    """Return the scores of a metric at a place, of images with evidence; who knows no network has the network -."""
    table = results.scores.merge(results.dataset.table[["image_id", f"truth_{positive}_share"]], on="image_id")
    table = table[(table["metric"] == metric) & (table["at"] == at) & (table["positive"] == positive)]
    table = table[table[f"truth_{positive}_share"] > 0]
    return table.assign(model=table["model"].where(~table["explainer"].isin(APART), "-"))


@pytest.mark.parametrize(
    ("metric", "at", "positive"),
    [("f-beta", "grid", 2), ("scag-dist", "pixel", 1), ("auroc", "grid", 1), ("own-score", "grid", 2)],
)
def test_means_and_intervals(results: Results, metric: str, at: str, positive: int) -> None:
    table = comparison_table(results, metric, at=at, positive=positive)
    scores = at_place(results, metric, at, positive)
    known = scores.groupby(["model", "explainer", "scenario", "image_id"])["value"].mean().dropna()
    assert [column.name for column in table.columns] == ["network", "explainer", "evp", "gsp"]
    count = 0
    for scenario in ("evp", "gsp"):
        for (model, explainer), cell in by_name(table, scenario).items():
            values = known[model, explainer, scenario].to_numpy()
            half = 1.959964 * values.std() / math.sqrt(len(values))
            assert cell.value == pytest.approx(values.mean())
            assert (cell.low, cell.high) == pytest.approx((values.mean() - half, values.mean() + half))
            assert cell.n == len(values)
            count += 1
    assert count == scores.groupby(["model", "explainer", "scenario"]).ngroups


def test_a_metric_without_a_direction_has_no_best(results: Results) -> None:
    table = comparison_table(results, "own-score", at="grid")
    assert not any(cell.best or cell.letters for row in table.rows for cell in row.cells)


def test_those_who_are_not_ranked_stand_apart_and_are_never_best(results: Results) -> None:
    table = comparison_table(results, "f-beta", at="grid")
    roles = [row.role for row in table.rows]
    assert roles == sorted(roles, key=["method", "prediction", "null", "oracle"].index)
    assert {row.cells[1].text: row.role for row in table.rows} == {
        "saliency": "method", "ppm": "prediction", "random": "null", "center": "null", "input": "null", "oracle": "oracle",
    }  # fmt: skip
    for row in table.rows:
        if row.role != "method":
            assert not any(cell.best or cell.letters for cell in row.cells)
    assert any(cell.best for row in table.rows for cell in row.cells)


def literal_letters(values: dict[str, list[float]]) -> dict[str, set[frozenset[str]]]:
    """Return of each method its largest sets of methods of which no two are told apart: all signs, Holm's correction, 5 %."""
    pairs = list(combinations(sorted(values), 2))
    p = []
    for one, other in pairs:
        gaps = np.array(values[one]) - np.array(values[other])
        signs = np.array(list(product([1, -1], repeat=len(gaps))))
        p.append(float((np.abs(signs @ gaps) >= abs(gaps.sum()) - 1e-9).mean()))
    apart, worst = set(), 0.0
    for place, number in enumerate(np.argsort(p, kind="stable")):
        worst = max(worst, p[number] * (len(p) - place))
        if worst <= 0.05:
            apart.add(frozenset(pairs[number]))
    alike = [
        frozenset(group)
        for size in range(1, len(values) + 1)
        for group in combinations(sorted(values), size)
        if not any(frozenset(pair) in apart for pair in combinations(group, 2))
    ]
    largest = [group for group in alike if not any(group < other for other in alike)]
    return {name: {group for group in largest if name in group} for name in values}


@pytest.mark.parametrize("metric", ["f-beta", "scag-dist"])
def test_tie_groups_and_bold(results: Results, metric: str) -> None:
    rng = np.random.default_rng(3)
    ids = images_of(results)
    sign = 1 if metric == "f-beta" else -1
    levels = {"saliency": 0.7, "gradcam": 0.66, "rise": 0.2, "copy": 0.7}  # of five, 8 images tell none apart
    noise = {name: rng.normal(0, 0.05, len(ids)) for name in levels}
    noise["copy"] = noise["saliency"]
    values = {name: list(0.5 + sign * (level - 0.5) + noise[name]) for name, level in levels.items()}
    rows = [
        {"image_id": image, "explainer": name, "metric": metric, "value": value}
        for name, mine in values.items()
        for image, value in zip(ids, mine, strict=True)
    ]
    table = comparison_table(with_scores(results, rows), metric)
    cells = by_name(table, "evp")
    groups = literal_letters(values)
    for one, other in combinations(values, 2):
        together = bool(groups[one] & groups[other])
        assert bool(set(cells["net", one].letters) & set(cells["net", other].letters)) == together
    best = max(values, key=lambda name: sign * np.mean(values[name]))
    for name in values:
        assert cells["net", name].best == (np.mean(values[name]) == np.mean(values[best]))
    assert cells["net", "copy"].letters == cells["net", "saliency"].letters
    assert not set(cells["net", "rise"].letters) & set(cells["net", best].letters)
    assert not any("too few" in note for note in table.notes)


def test_too_few_images_to_tell_anything(results: Results) -> None:
    rows = [
        {"image_id": image, "explainer": f"x{place}", "value": place / 10 + number / 1000}
        for place in range(5)
        for number, image in enumerate(images_of(results))
    ]
    table = comparison_table(with_scores(results, rows), "f-beta")
    assert {cell.letters for cell in by_name(table, "evp").values()} == {"a"}
    assert [cell.best for cell in by_name(table, "evp").values()] == [False] * 4 + [True]
    assert "evp: 8 images are too few to tell any two of 5 methods apart." in table.notes


def test_a_single_method_is_best_without_a_letter(results: Results) -> None:
    rows = [{"image_id": image, "explainer": "lime", "value": 0.3} for image in images_of(results)]
    cell = by_name(comparison_table(with_scores(results, rows), "f-beta"), "evp")["net", "lime"]
    assert (cell.best, cell.letters) == (True, "")


def test_of_very_many_methods_the_best_have_letters(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "TESTED", 2)
    rows = [
        {"image_id": image, "explainer": f"x{place}", "value": place / 10 + number / 1000}
        for place in range(4)
        for number, image in enumerate(images_of(results))
    ]
    table = comparison_table(with_scores(results, rows), "f-beta")
    letters = {name[1]: cell.letters for name, cell in by_name(table, "evp").items()}
    assert letters == {"x0": "", "x1": "", "x2": "b", "x3": "a"}
    assert any("2 best of each column" in note for note in table.notes)


def test_only_rightly_decided_images(results: Results) -> None:
    table = comparison_table(results, "f-beta", at="grid", subset="correct")
    scores = at_place(results, "f-beta", "grid")
    right = scores[scores["explainer"].isin(APART) | (scores["predicted"] == scores["label"]).fillna(False)]
    means = right.groupby(["model", "explainer", "scenario", "image_id"])["value"].mean().dropna()
    for scenario in ("evp", "gsp"):
        for (model, explainer), cell in by_name(table, scenario).items():
            values = means[model, explainer, scenario]
            assert (cell.value, cell.n) == (pytest.approx(values.mean()), len(values))


def test_several_metrics_and_chosen_scenarios(results: Results) -> None:
    table = comparison_table(results, ["f-beta", "scag-dist"], ["gsp"], at="grid")
    assert [column.name for column in table.columns[2:]] == ["f-beta, gsp", "scag-dist, gsp"]
    for name in ("f-beta", "scag-dist"):
        assert by_name(table, f"{name}, gsp") == by_name(comparison_table(results, name, at="grid"), "gsp")


def test_a_scenario_that_a_method_was_not_scored_on_stays_empty(results: Results) -> None:
    rows = [{"image_id": image, "explainer": "lime", "value": 0.3} for image in images_of(results)]
    rows += [{"image_id": image, "explainer": "rise", "value": 0.3} for image in images_of(results, "gsp")]
    table = comparison_table(with_scores(results, rows), "f-beta")
    assert by_name(table, "evp")["net", "rise"].is_missing
    assert by_name(table, "gsp")["net", "lime"].is_missing
    assert by_name(table, "gsp")["net", "rise"].value == pytest.approx(0.3)


def test_maps_without_a_network(results: Results) -> None:
    ids = images_of(results)
    rows = [{"image_id": image, "model": "", "explainer": "mine", "predicted": None, "value": 0.4} for image in ids]
    rows += [{"image_id": image, "model": "", "explainer": "random", "predicted": None, "value": 0.1} for image in ids]
    outside = with_scores(results, rows)
    table = comparison_table(outside, "f-beta")
    assert [(table.head(row), row.role) for row in table.rows] == [(("-", "mine"), "method"), (("-", "random"), "null")]
    names = [one.name for one in comparison_tables(outside, draws=10)]
    assert names == ["comparison-f-beta-pixel", "ranking-pixel", "wins-f-beta-pixel"]
    with pytest.raises(InputError, match="predicted must be known"):
        comparison_table(outside, "f-beta", subset="correct")


# --- who beats whom -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("metric", "sign"), [("f-beta", 1), ("scag-dist", -1)])
def test_win_matrix(results: Results, metric: str, sign: int) -> None:
    table = win_table(results, metric, at="grid")
    means = at_place(results, metric, "grid").groupby(["model", "explainer", "image_id"])["value"].mean().dropna()
    columns = [(column.model, column.explainer) for column in table.columns[2:]]
    assert set(columns) == {("vgg-att", "saliency"), ("tiny <&> one", "saliency")}
    assert len(table.rows) == 8
    for row in table.rows:
        one = (row.cells[0].text, row.cells[1].text)
        for other, cell in zip(columns, row.cells[2:], strict=True):
            if one == other:
                assert cell.is_missing
                continue
            wins, n = 0.0, 0
            for image in set(means[one].index) & set(means[other].index):
                n += 1
                gap = sign * (means[one][image] - means[other][image])
                wins += 1.0 if gap > 0 else 0.5 if gap == 0 else 0.0
            assert (cell.value, cell.n) == (pytest.approx(wins / n), n)


def test_ties_count_half_and_winners_come_first(results: Results) -> None:
    ids = images_of(results)
    rows = [{"image_id": image, "explainer": name, "value": 0.25} for image in ids for name in ("lime", "rise")]
    rows += [{"image_id": image, "explainer": "better", "value": 0.25 + (place < 2)} for place, image in enumerate(ids)]
    rows += [{"image_id": image, "explainer": "oracle", "value": math.nan} for image in ids]
    table = win_table(with_scores(results, rows), "f-beta")
    assert [row.cells[1].text for row in table.rows] == ["better", "lime", "rise", "oracle"]
    lime = by_name(table, "net lime")
    assert lime["net", "rise"].value == 0.5
    assert lime["net", "better"].value == pytest.approx((2 + 0.5 * (len(ids) - 2)) / len(ids))
    assert lime["-", "oracle"].is_missing


# --- ranking --------------------------------------------------------------------------------------------------------------


def test_ranking_is_of_methods_only(results: Results) -> None:
    metrics = {"f-beta": "higher", "scag-dist": "lower", "auroc": "higher"}
    table = ranking_table(results, list(metrics), at="grid", draws=300)
    scores = pd.concat([at_place(results, name, "grid") for name in metrics])
    mine = scores[scores["explainer"] == "saliency"].copy()
    mine["method"] = mine["model"]
    found = rank(mine, metrics, method="method", strata="scenario", draws=300)  # type: ignore[arg-type]
    methods = [row for row in table.rows if row.role == "method"]
    assert [row.cells[0].text for row in methods] == found["method"].tolist()
    for row, line in zip(methods, found.to_dict("records"), strict=True):
        place, best = row.cells[2], row.cells[3]
        assert (place.value, place.low, place.high) == (line["mean_rank"], line["low"], line["high"])
        assert place.text == f"{line['mean_rank']:.2f} ({line['low']:.3g} to {line['high']:.3g})"
        assert best.value == line["best"]
    assert sum(row.cells[3].value for row in methods) == pytest.approx(1)
    for row in table.rows:
        for name, cell in zip(metrics, row.cells[4:], strict=True):
            part = scores[(scores["metric"] == name) & (scores["model"] == row.cells[0].text)]
            means = part[part["explainer"] == row.cells[1].text].groupby("image_id")["value"].mean().dropna()
            if means.empty:  # of masks, nobody asks for scores of maps
                assert (cell.is_missing, cell.n, row.role) == (True, None, "prediction")
                continue
            assert (cell.value, cell.n) == (pytest.approx(means.mean()), len(means))
        if row.role != "method":
            assert (row.cells[2].text, row.cells[3].is_missing) == ("not ranked", True)


def test_a_clear_order_is_found_in_every_draw(results: Results) -> None:
    ids = images_of(results)
    rows = [
        {
            "image_id": image,
            "explainer": name,
            "metric": metric,
            "value": (level if metric == "f-beta" else 1 - level) + place / 999,
        }
        for name, level in {"worst": 0.1, "best": 0.9, "second": 0.5}.items()
        for metric in ("f-beta", "scag-dist")
        for place, image in enumerate(ids)
    ]
    table = ranking_table(with_scores(results, rows), ["f-beta", "scag-dist"], draws=50)
    assert [row.cells[1].text for row in table.rows] == ["best", "second", "worst"]
    assert [row.cells[2].text for row in table.rows] == ["1.00 (1 to 1)", "2.00 (2 to 2)", "3.00 (3 to 3)"]
    assert [row.cells[3].value for row in table.rows] == [1, 0, 0]


def test_ranking_without_an_image_that_all_have(results: Results) -> None:
    ids = images_of(results)
    rows = [{"image_id": ids[0], "explainer": "lime", "value": 0.1}, {"image_id": ids[1], "explainer": "rise", "value": 0.2}]
    table = ranking_table(with_scores(results, rows), ["f-beta"], draws=20)
    assert all(row.cells[2].is_missing for row in table.rows)
    assert any("nothing could be ranked" in note for note in table.notes)


# --- all of it ------------------------------------------------------------------------------------------------------------


def test_all_tables_as_files_and_as_a_page(results: Results, tmp_path: Path) -> None:
    paths = write_tables(results, tmp_path, draws=100)
    assert all(path.parent == tmp_path / "tables" and path.stat().st_size for path in paths)
    names = {path.stem for path in paths}
    assert {f"{path.suffix[1:]}" for path in paths} == set(FORMATS)
    assert len(paths) == len(set(paths)) == len(names) * len(FORMATS)
    assert {"comparison-f-beta-grid", "comparison-auroc-pixel", "ranking-grid", "wins-f-beta-pixel", "miso-1-ppm"} <= names
    page = comparison_html(results, draws=100)
    assert page.count("<table") == page.count("<caption>") == page.count("<h3 id=") == len(names)
    for name in names:
        assert f'<h3 id="table-{name}">' in page
        fragment = (tmp_path / "tables" / f"{name}.html").read_text("utf-8")
        assert fragment[fragment.index("<thead>") :] in page


def test_only_metrics_asked_for(results: Results) -> None:
    names = [table.name for table in comparison_tables(results, ["scag-dist", "own-score"], draws=10)]
    wanted = ["comparison-scag-dist", "ranking", "wins-scag-dist"]
    assert names == [f"{name}-{at}" for at in ("grid", "pixel") for name in wanted]


def test_results_without_scores_have_no_tables(results: Results, tmp_path: Path) -> None:
    nothing = with_scores(results, [])
    assert comparison_tables(nothing) == []
    assert comparison_html(nothing) == ""
    assert write_tables(nothing, tmp_path) == []


def test_what_is_not_there_is_said(results: Results, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"metric must be one of .*got 'f-betta'\. Did you mean 'f-beta'"):
        comparison_table(results, "f-betta")
    with pytest.raises(UnknownNameError, match="metric must be one of"):
        comparison_tables(results, ["nothing"])
    with pytest.raises(UnknownNameError, match="scenario must be one of evp, gsp, got 'evq'"):
        win_table(results, "f-beta", ["evq"])
    with pytest.raises(InputError, match=r"got no scores with binarizer 'otsu'"):
        comparison_table(results, "f-beta", binarizer="otsu")
    with pytest.raises(InputError, match="must have a direction to rank by, got own-score"):
        ranking_table(results, ["own-score"])
    with pytest.raises(InputError, match="must have a direction to win by, got own-score"):
        win_table(results, "own-score")
    (tmp_path / "tables").write_text("a file")
    with pytest.raises(OutputError, match="must be a folder that can be written"):
        write_tables(results, tmp_path, draws=10)
    only = with_scores(results, [{"image_id": images_of(results)[0], "explainer": "oracle", "model": "", "value": 1.0}])
    with pytest.raises(InputError, match="must have scores of explainers to rank, got none"):
        ranking_table(only, ["f-beta"])
