"""Pages: every number is recomputed from the tables by other means, nothing is fetched, text is text."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from page_parser import Node, parse

from miso_gen.errors import InputError, OutputError, UnknownNameError
from miso_gen.report import pages as pages_module
from miso_gen.report.card import make_card
from miso_gen.report.pages import INDEX_LIMIT, LIMIT, write_report
from miso_gen.report.results import NULLS, ORACLE
from miso_gen.store.map_group import MapGroup
from miso_gen.store.maps import MapStore

if TYPE_CHECKING:
    from conftest import Written

    from miso_gen.report.results import Results

Z = 1.959964


def pages(written: Written) -> dict[str, Node]:
    return {path.stem: parse(path.read_text("utf-8")) for path in written.report.cards}


@pytest.fixture(scope="module")
def cards(written: Written) -> dict[str, Node]:
    return pages(written)


Key = tuple[str, ...]  # scenario, at, binarizer, positive, model, explainer, kind, metric, with or without evidence


@pytest.fixture(scope="module")
def values(results: Results) -> dict[Key, list[tuple[str, str, float]]]:
    """Return image, right or wrong, and value of all scores by what a cell says of itself."""
    index = results.dataset.table.set_index("image_id")
    shares = {(image, level): index.at[image, f"truth_{level}_share"] for image in index.index for level in (1, 2)}
    found: dict[Key, list[tuple[str, str, float]]] = {}
    for row in results.scores.to_dict("records"):
        decided = "" if pd.isna(row["predicted"]) else "right" if row["predicted"] == row["label"] else "wrong"
        truth = "with" if shares[row["image_id"], row["positive"]] > 0 else "without"
        names = ("scenario", "at", "binarizer", "positive", "model", "explainer", "kind", "metric")
        key = (*(str(row[name]) for name in names), truth)
        found.setdefault(key, []).append((row["image_id"], decided, row["value"]))
    return found


def mean_of(rows: list[tuple[str, str, float]], subset: str = "all") -> tuple[float, float, int]:
    """Return mean, half of the interval, and n, each image counting once."""
    images: dict[str, list[float]] = {}
    for image, decided, value in rows:
        if subset in ("all", decided) and not math.isnan(value):
            images.setdefault(image, []).append(value)
    means = [sum(part) / len(part) for part in images.values()]
    if not means:
        return math.nan, math.nan, 0
    half = Z * float(np.std(means)) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    return float(np.mean(means)), half, len(means)


def same(one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=2e-5, abs_tol=1e-6)


def score_tables(card: Node) -> list[Node]:
    return card.all("table", data_subset=None)


def test_every_mean_interval_and_n_is_that_of_the_scores(
    values: dict[Key, list[tuple[str, str, float]]], cards: dict[str, Node]
) -> None:
    count = 0
    for card in cards.values():
        for table in score_tables(card):
            at = {name.removeprefix("data-"): value for name, value in table.attributes.items()}
            rows = {id(cell): row.attributes for row in table.all("tr", data_kind=None) for cell in row.children}
            for cell in table.all("td", data_metric=None):
                said = cell.attributes
                explainer = said["data-explainer"]
                model = "" if explainer in (*NULLS, ORACLE) else at["model"]
                row = rows[id(cell)]
                place = (at["scenario"], at["at"], row.get("data-binarizer", at["binarizer"]), at["positive"], model)
                key = (*place, explainer, row["data-kind"], said["data-metric"], at["truth"])
                mean, half, n = mean_of(values[key], at["subset"])
                assert same(float(said["data-value"]), mean)
                assert same(float(said["data-low"]), mean - half)
                assert same(float(said["data-high"]), mean + half)
                assert int(said["data-n"]) == n
                text = "undefined" if math.isnan(mean) else f"{mean:.3f}" + (f" ± {half:.3f}" if half == half else "")
                assert cell.text.startswith(text), (cell.text, text)
                assert cell.text.endswith(f"n {n}")
                count += 1
    assert count > 400


def test_every_score_of_images_with_evidence_is_on_a_page(written: Written, cards: dict[str, Node]) -> None:
    scores = written.results.scores
    shares = written.results.dataset.table.set_index("image_id")
    has = [
        shares.at[image, f"truth_{level}_share"] > 0 for image, level in zip(scores["image_id"], scores["positive"], strict=True)
    ]
    columns = ["at", "binarizer", "positive", "explainer", "kind", "metric"]
    for card in cards.values():
        tables = [table for table in score_tables(card) if table.attributes["data-subset"] == "all"]
        at = tables[0].attributes
        mine = scores[np.array(has) & (scores["scenario"] == at["data-scenario"]) & scores["model"].isin((at["data-model"], ""))]
        wanted = {tuple(map(str, row)) for row in mine[columns].drop_duplicates().itertuples(index=False)}
        found = set()
        for table in tables:
            if table.attributes["data-truth"] == "with":
                place = [table.attributes[f"data-{name}"] for name in columns[:3]]
                for row in table.all("tr", data_kind=None):
                    place[1] = row.attributes.get("data-binarizer", table.attributes["data-binarizer"])
                    for cell in row.all("td", data_metric=None):
                        said = cell.attributes
                        found.add((*place, said["data-explainer"], row.attributes["data-kind"], said["data-metric"]))
        assert found == wanted


def test_normalised_scores_lie_between_the_best_null_and_the_oracle(cards: dict[str, Node]) -> None:
    seen = 0
    for table in (table for card in cards.values() for table in score_tables(card)):
        cells = table.all("td", data_metric=None)
        for metric in {cell.attributes["data-metric"] for cell in cells}:
            column = [cell.attributes for cell in cells if cell.attributes["data-metric"] == metric]
            nulls = [float(it["data-value"]) for it in column if it["data-explainer"] in NULLS]
            oracle = [float(it["data-value"]) for it in column if it["data-explainer"] == ORACLE]
            lower = metric in ("scag-dist", "mae")
            for it in column:
                if not nulls or not oracle or metric == "own-score":
                    assert it["data-norm"] == "nan"
                    continue
                null = min(nulls) if lower else max(nulls)
                share = (float(it["data-value"]) - null) / (oracle[0] - null)
                assert float(it["data-norm"]) == pytest.approx(share, rel=1e-4, abs=1e-5)
                seen += 1
    assert seen > 200


def test_best_explainers_are_bold_with_those_that_print_alike(cards: dict[str, Node]) -> None:
    bold = 0
    for table in (table for card in cards.values() for table in score_tables(card)):
        cells = table.all("td", data_metric=None)
        for metric in {cell.attributes["data-metric"] for cell in cells}:
            column = [cell for cell in cells if cell.attributes["data-metric"] == metric]
            own = [it for it in column if it.attributes["data-explainer"] not in (*NULLS, ORACLE, "ppm")]
            values = [round(float(it.attributes["data-value"]), 3) for it in own]
            known = [value for value in values if not math.isnan(value)]
            best = None if not known or metric == "own-score" else min(known) if metric in ("scag-dist", "mae") else max(known)
            wanted = {id(it) for it, value in zip(own, values, strict=True) if value == best}
            assert {id(it) for it in column if it.attributes.get("class") == "best"} == wanted
            bold += len(wanted)
    assert bold > 40


def test_images_without_evidence_have_specificity_only_and_both_counts_are_printed(cards: dict[str, Node]) -> None:
    card = cards["vgg-att-gsp"]
    without = [table for table in score_tables(card) if table.attributes["data-truth"] == "without"]
    assert without
    assert {cell.attributes["data-metric"] for table in without for cell in table.all("td", data_metric=None)} == {"specificity"}
    assert {table.attributes["data-positive"] for table in without} == {"2"}
    assert {table.attributes["data-images"] for table in without} == {"4"}
    counts = {span.attributes["data-positive"]: span for span in card.all("span", data_with=None)}
    assert (counts["1"].text, counts["2"].text) == ("8 with evidence, 0 without", "4 with evidence, 4 without")


def test_tables_without_shared_scores_stay_whole(cards: dict[str, Node]) -> None:
    """Evp has evidence in every image."""
    assert all(table.attributes["data-truth"] == "with" for table in score_tables(cards["vgg-att-evp"]))
    assert not cards["vgg-att-evp"].all("section", data_case=None)  # there are no maps


def test_classification_is_that_of_the_table(written: Written, cards: dict[str, Node]) -> None:
    table = written.results.classification
    for card in cards.values():
        [shown] = card.all("table", class_="scores answers")
        cells = shown.all("td", data_metric=None)
        at = shown.attributes
        mine = table[(table["model"] == at["data-model"]) & (table["scenario"] == at["data-scenario"])]
        assert len(cells) == len(mine)
        for cell in cells:
            it = cell.attributes
            row = mine[(mine["rule"] == it["data-rule"]) & (mine["level"] == it["data-level"])]
            row = row[(row["seed"] == int(it["data-seed"])) & (row["metric"] == it["data-metric"])].iloc[0]
            assert same(float(it["data-value"]), row["value"])
            assert same(float(it["data-low"]), row["low"])
            assert same(float(it["data-high"]), row["high"])
            edges = "" if math.isnan(row["low"]) else f"{row['low']:.3f} to {row['high']:.3f} · "
            assert cell.text == f"{row['value']:.3f} {edges}n {row['n']}"
        levels = [cell.attributes["data-level"] for cell in cells]
        assert levels == sorted(levels, reverse=True)  # patches, then images


def test_masks_stand_beside_those_of_every_binariser(cards: dict[str, Node]) -> None:
    for card in cards.values():
        for table in (table for table in score_tables(card) if table.attributes["data-at"] == "grid"):
            rows = {row.all("th")[0].attributes["data-value"]: row for row in table.all("tr", data_kind=None)}
            if table.attributes["data-binarizer"] == "":
                assert "ppm" not in rows  # only metrics that take maps
                continue
            said = rows["ppm"].all("th")[0].text
            assert (said, rows["ppm"].attributes["data-binarizer"]) == ("ppm prediction of patches, a mask already", "")
            assert not any("a mask already" in row.text for name, row in rows.items() if name != "ppm")


def test_spread_and_headline_say_what_the_scores_say(written: Written, cards: dict[str, Node]) -> None:
    scores = written.results.scores
    card = cards["vgg-att-gsp"]
    place = (scores["metric"] == "f-beta") & (scores["positive"] == 2) & (scores["at"] == "grid") & (scores["scenario"] == "gsp")
    mine = scores[place & scores["model"].isin(("vgg-att", ""))]
    lines = card.all("g", data_explainer=None)
    assert [line.attributes["data-explainer"] for line in lines] == ["ppm", "saliency", "center", "input", "random", "oracle"]
    for line in lines:
        rows = mine[mine["explainer"] == line.attributes["data-explainer"]]
        means = rows.groupby("image_id")["value"].mean().dropna()
        assert same(float(line.attributes["data-median"]), float(means.median()))
        assert same(float(line.attributes["data-mean"]), float(means.mean()))
        assert int(line.attributes["data-n"]) == len(means) == len(line.all("circle"))
    told = {
        node.attributes["data-headline"]: float(node.attributes["data-value"]) for node in card.all("strong", data_headline=None)
    }
    means = {
        name: mean_of([(row.image_id, "", row.value) for row in part.itertuples()])[0] for name, part in mine.groupby("explainer")
    }
    wanted = {
        "mean": means["saliency"],
        "null": max(means[name] for name in ("random", "center", "input")),
        "oracle": means["oracle"],
    }
    assert told.keys() == wanted.keys()
    assert all(same(told[name], value) for name, value in wanted.items())


def test_examples_are_best_median_and_worst(written: Written, cards: dict[str, Node]) -> None:
    scores = written.results.scores
    place = (scores["metric"] == "f-beta") & (scores["positive"] == 2) & (scores["at"] == "grid") & (scores["scenario"] == "gsp")
    mine = scores[place & (scores["model"] == "vgg-att") & (scores["explainer"] == "saliency") & (scores["seed"] == 0)]
    mine = mine.dropna(subset=["value"]).sort_values("value", ascending=False)
    shown = {it.attributes["data-case"]: it.attributes for it in cards["vgg-att-gsp"].all("section", data_case=None)}
    wanted = {"best": 0, "median": (len(mine) - 1) // 2, "worst": len(mine) - 1}
    assert {case: it["data-image"] for case, it in shown.items()} == {
        case: mine["image_id"].iloc[at] for case, at in wanted.items()
    }
    assert all(same(float(shown[case]["data-score"]), mine["value"].iloc[at]) for case, at in wanted.items())


def test_chance_is_that_of_the_declarations(written: Written, cards: dict[str, Node]) -> None:
    index = written.results.dataset.table
    shares = index.loc[index["scenario"] == "gsp", "truth_1_share"]
    seen = {}
    for table in cards["vgg-att-gsp"].all("table", data_subset="all"):
        at = table.attributes
        for cell in table.all("td", data_chance_of=None):
            seen[at["data-at"], at["data-positive"], cell.attributes["data-chance-of"]] = float(cell.attributes["data-chance"])
    assert seen["grid", "1", "auroc"] == seen["pixel", "2", "specificity"] == 0.5
    assert same(seen["pixel", "1", "dice"], float(np.mean([p / (0.5 + p) for p in shares])))
    assert math.isnan(seen["grid", "1", "dice"])  # nobody knows the share of cells
    assert math.isnan(seen["pixel", "1", "own-score"])


# --- words, files -----------------------------------------------------------------------------------------------------


def test_pages_are_whole_and_fetch_nothing(written: Written) -> None:
    for path in (written.report.index, *written.report.cards):
        page = path.read_text("utf-8")
        root = parse(page)
        assert "http" not in re.sub(r'http-equiv="Content', "", page)
        assert "@import" not in page
        assert not re.search(r"url\(", page)
        for node in root.all("*"):
            for name in ("src", "href", "xlink:href", "action", "poster", "srcset"):
                target = node.attributes.get(name, "#")
                local = target.startswith(("#", "data:")) or (node.tag == "a" and (path.parent / target).is_file())
                assert local, target[:80]
        assert "default-src 'none'" in page
        assert path.stat().st_size < LIMIT


def test_index_links_every_card(written: Written) -> None:
    root = parse(written.report.index.read_text("utf-8"))
    links = [node.attributes["href"] for node in root.all("a") if node.attributes["href"].startswith("cards/")]
    assert [written.folder / link for link in links] == list(written.report.cards)
    assert [path.name for path in written.report.cards] == [
        "tiny-one-evp.html", "tiny-one-gsp.html", "vgg-att-evp.html", "vgg-att-gsp.html",
    ]  # fmt: skip


def test_index_has_the_facts_of_every_card(written: Written, cards: dict[str, Node]) -> None:
    root = parse(written.report.index.read_text("utf-8"))
    [table] = root.all("table", class_="scores cards")
    heads = [node.text for node in table.all("th", scope="col")]
    assert heads == [
        "card", "evidence", "images", "patch AUROC", "best explainer", "score", "best null", "oracle", "chance to truth",
    ]  # fmt: skip
    rows = table.all("tr", data_model=None)
    assert len(rows) == len(cards) == 4
    numbers = written.results.classification
    for row, card in zip(rows, cards.values(), strict=True):
        at = row.attributes
        facts = {cell.attributes["data-fact"]: cell.attributes["data-value"] for cell in row.all("td", data_fact=None)}
        mine = numbers[(numbers["model"] == at["data-model"]) & (numbers["scenario"] == at["data-scenario"])]
        mine = mine[(mine["level"] == "patch") & (mine["metric"] == "auroc")]
        assert same(float(facts["patch AUROC"]), float(mine["value"].mean()))
        told = {
            node.attributes["data-headline"]: node.attributes["data-value"] for node in card.all("strong", data_headline=None)
        }
        assert (facts["score"], facts["null"], facts["oracle"]) == (told["mean"], told["null"], told["oracle"])
        mean, null, oracle = (float(facts[name]) for name in ("score", "null", "oracle"))
        assert float(facts["share"]) == pytest.approx((mean - null) / (oracle - null), rel=1e-4)


def test_index_has_every_table_and_links_its_files(written: Written) -> None:
    page = written.report.index.read_text("utf-8")
    root = parse(page)
    names = {path.stem for path in written.report.tables}
    assert {node.attributes["id"] for node in root.all("h3") if "id" in node.attributes} == {f"table-{name}" for name in names}
    assert {table.attributes["data-table"] for table in root.all("table", data_table=None)} == names
    assert {"comparison-f-beta-grid", "comparison-f-beta-pixel", "ranking-grid", "wins-f-beta-grid", "miso-1-ppm"} <= names
    links = {node.attributes["href"] for node in root.all("a") if node.attributes["href"].startswith("tables/")}
    assert links == {path.relative_to(written.folder).as_posix() for path in written.report.tables}
    assert len(page.encode()) < INDEX_LIMIT


def test_tables_that_are_too_large_are_links(results: Results, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "INDEX_LIMIT", 40_000)
    few = dataclasses.replace(results, scores=few_scores(results), maps=[])
    report = write_report(few, tmp_path)
    root = parse(report.index.read_text("utf-8"))
    shown = root.all("table", data_table=None)
    assert {table.attributes["data-table"] for table in shown} == {path.stem for path in report.tables}
    rows = [len(table.all("td")) for table in shown]
    large = ["This table is too large for this page." in table.text for table in shown]
    assert large == [not count for count in rows]
    assert any(large)
    assert len([node for node in root.all("a") if node.attributes["href"].startswith("tables/")]) == len(report.tables)


def test_cards_link_their_figures(written: Written, cards: dict[str, Node]) -> None:
    assert [path.stem for path in written.report.figures] == list(cards)
    for path, card in zip(written.report.figures, cards.values(), strict=True):
        assert path.name in {node.attributes["href"] for node in card.all("a")}
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_card_without_images_of_class_1_has_no_figure(results: Results, tmp_path: Any) -> None:
    few = few_scores(results)
    zeros = dataclasses.replace(results, scores=few[few["label"] == 0], classification=results.classification.iloc[:0], maps=[])
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "vgg-att-gsp.png").write_bytes(b"of an earlier report")
    report = write_report(zeros, tmp_path)
    [path] = report.cards
    assert report.figures == ()
    assert [it.name for it in path.parent.iterdir()] == ["vgg-att-gsp.html"]
    assert "PNG" not in path.read_text("utf-8")


def test_methods_say_what_differs_and_hide_nothing(written: Written, cards: dict[str, Node]) -> None:
    card = cards["vgg-att-gsp"]
    rows = {row.attributes["data-method"]: row for row in card.all("tr", data_method=None)}
    assert list(rows) == ["ppm", "gradcam", "saliency", "center", "input", "random", "oracle"]
    cells = {name: [cell.text for cell in row.children] for name, row in rows.items()}
    assert cells["saliency"] == ["saliency", "saliency", "channels max", "ssm", "16 px"]  # scale is none by default
    assert cells["gradcam"] == ["gradcam", "gradcam", "as by default", "pixel", "–"]
    assert cells["random"] == ["random noise", "unknown", "unknown", "patch, pixel", "–"]
    [every] = [table for table in card.all("table", class_="facts wide") if "Every parameter" in table.text]
    assert "channels max" in every.text
    assert "scale none" in every.text  # of gradcam, whose maps say so
    networks = [node for node in card.all("details") if node.all("summary")[0].text.startswith("Network")]
    assert [node.all("summary")[0].text for node in networks] == [
        f"Network gsp-vgg-att-{seed}: how it was trained" for seed in (0, 1)
    ]
    for seed, node in enumerate(networks):
        main = [[cell.text for cell in row.children] for row in node.all("tr")][1:]
        assert main == [
            ["seed", str(seed)],
            ["parameters", "12345"],
            ["epochs", "3"],
            ["device", "a <device>"],
            ["seconds", "4.5"],
        ]
        assert "versions.torch 2.0" in node.text


def test_methods_are_of_the_maps_of_the_card(results: Results, tmp_path: Any) -> None:
    """Predictions of each network lie in a store of their own."""
    dataset = results.dataset
    facts = {"name": dataset.name, "version": dataset.version, "root_digest": dataset.root_digest}
    stores = []
    for scenario in ("evp", "gsp"):
        store = MapStore.create(tmp_path / scenario, dataset=facts)
        for seed in (0, 1):
            more = {"run": f"{scenario}-{seed}", "shift": "half"}
            store.add_group(MapGroup(f"{scenario}-vgg-att-{seed}", "ppm", {"type": "ppm"}, "ppm", "grid", 16, facts=more))
        store.add_group(MapGroup(f"{scenario}-tiny-0", "random", {"type": "random"}, "ssm", "grid", 16))
        stores.append(store)
    found = make_card(dataclasses.replace(results, maps=stores), "vgg-att", "gsp").methods
    methods = {method.name: method for method in found.explainers}
    assert [(fact.name, fact.value) for fact in methods["ppm"].all] == [
        ("type", "ppm"),
        ("maps.run (gsp-vgg-att-0)", "gsp-0"), ("maps.shift (gsp-vgg-att-0)", "half"),
        ("maps.run (gsp-vgg-att-1)", "gsp-1"), ("maps.shift (gsp-vgg-att-1)", "half"),
    ]  # fmt: skip
    assert (methods["random"].type, methods["random"].cell) == ("random", "16 px")  # of another run: it knows no network


def test_words_are_there_and_markup_is_text(cards: dict[str, Node]) -> None:
    card = cards["tiny-one-gsp"]
    assert [node.text for node in card.all("h1")] == ["tiny <&> one on gsp"]
    assert "Evidence: absence." in card.text
    assert "Declared shortcuts: mean intensity." in card.text
    assert "miso-gen evaluate experiment.yaml --set 'a=<b>'" in card.text
    assert "gsp/test/0099 has no map." in card.text
    assert "parameters 12345" in card.text
    assert "a <device>" in card.text
    assert "channels max" in card.text  # of the explainer
    assert "ab" * 32 in card.text
    terms = {node.text for node in card.all("dt")}
    assert {"oracle", "null explainer", "f-beta", "scag-dist", "own-score"} <= terms
    assert not {node.tag for node in card.all("*")} & {"device", "b"}


def test_directions_are_on_the_headings(cards: dict[str, Node]) -> None:
    heads = {node.text for table in score_tables(cards["vgg-att-gsp"]) for node in table.all("th", scope="col")}
    assert {"f-beta ↑ , higher is better", "mae ↓ , lower is better", "own-score , neither higher nor lower is better"} <= heads


def test_pictures_have_words(cards: dict[str, Node]) -> None:
    card = cards["vgg-att-gsp"]
    pictures = card.all("img")
    assert len(pictures) == 3 * 7
    assert all(node.attributes["alt"].endswith(".") for node in pictures)
    assert all(node.attributes["src"].startswith("data:image/png;base64,") for node in pictures)
    assert [len(plot.all("title")) + len(plot.all("desc")) for plot in card.all("svg")] == [2]


def few_scores(results: Results) -> pd.DataFrame:
    scores = results.scores[(results.scores["metric"] == "f-beta") & (results.scores["at"] == "grid")]
    return scores[(scores["scenario"] == "gsp") & scores["model"].isin(("vgg-att", ""))]


def test_equal_results_make_equal_pages(results: Results, tmp_path: Any) -> None:
    few = dataclasses.replace(results, scores=few_scores(results), classification=results.classification.iloc[:0])
    one, other = (write_report(few, tmp_path / name) for name in ("one", "other"))
    assert [path.read_bytes() for path in (one.index, *one.cards)] == [path.read_bytes() for path in (other.index, *other.cards)]
    assert b"data-case" in one.cards[0].read_bytes()


def test_bootstrap_gives_other_intervals_and_the_same_means(results: Results, cards: dict[str, Node], tmp_path: Any) -> None:
    few = dataclasses.replace(results, scores=results.scores[results.scores["scenario"] == "evp"])
    few = dataclasses.replace(few, scores=few.scores[(few.scores["metric"] == "dice") & (few.scores["at"] == "grid")], maps=[])
    report = write_report(few, tmp_path, interval="bootstrap", title="Mine")
    path = next(path for path in report.cards if path.stem == "vgg-att-evp")
    card = parse(path.read_text("utf-8"))
    before = {
        (table.attributes["data-positive"], cell.attributes["data-explainer"]): cell.attributes
        for table in score_tables(cards["vgg-att-evp"])
        for cell in table.all("td", data_metric="dice")
        if (table.attributes["data-subset"], table.attributes["data-at"]) == ("all", "grid")
    }
    changed = 0
    for table in score_tables(card):
        for cell in table.all("td", data_metric="dice"):
            if table.attributes["data-subset"] == "all":
                other = before[table.attributes["data-positive"], cell.attributes["data-explainer"]]
                assert cell.attributes["data-value"] == other["data-value"]
                assert float(cell.attributes["data-low"]) <= float(cell.attributes["data-value"])
                changed += cell.attributes["data-low"] != other["data-low"]
    assert changed == len(before)
    assert "Mine" in card.text


def test_scores_without_a_network_make_a_card(results: Results, tmp_path: Any) -> None:
    scores = results.scores[(results.scores["model"] == "vgg-att") & (results.scores["seed"] == 0)]
    scores = pd.concat([scores, results.scores[results.scores["model"] == ""]])
    scores = scores[(scores["scenario"] == "gsp") & (scores["at"] == "grid")].assign(model="", seed=None, predicted=pd.NA)
    bare = dataclasses.replace(
        results, scores=scores, classification=results.classification.iloc[:0], runs=[], maps=[], patches=None, experiment={}
    )
    report = write_report(bare, tmp_path)
    [path] = report.cards
    card = parse(path.read_text("utf-8"))
    assert path.name == "maps-gsp.html"
    assert card.all("h1")[0].text == "maps without a network on gsp"
    assert not card.all("h2", id="classification")
    assert not card.all("h2", id="predictions")


def test_a_score_with_nothing_defined_is_printed_as_such(results: Results, tmp_path: Any) -> None:
    scores = results.scores[(results.scores["scenario"] == "gsp") & (results.scores["explainer"] == "saliency")]
    nothing = dataclasses.replace(results, scores=scores.assign(value=math.nan), maps=[])
    report = write_report(nothing, tmp_path)
    card = parse(next(path for path in report.cards if path.stem == "vgg-att-gsp").read_text("utf-8"))
    cells = [cell for table in score_tables(card) for cell in table.all("td", data_metric=None)]
    assert cells
    assert {cell.text for cell in cells} == {"undefined n 0"}
    assert not card.all("svg")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"interval": "t"}, InputError, "interval must be one of"),
        ({"metric": "fbeta"}, UnknownNameError, "metric must be one of"),
    ],
)
def test_wrong_arguments_are_named(
    results: Results, tmp_path: Any, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        write_report(results, tmp_path, **change)


def test_wrong_tables_are_named(results: Results, tmp_path: Any) -> None:
    with pytest.raises(InputError, match="table of scores must have the columns kind"):
        write_report(dataclasses.replace(results, scores=results.scores.drop(columns="kind")), tmp_path)
    empty = dataclasses.replace(results, scores=results.scores.iloc[:0], classification=results.classification.iloc[:0])
    with pytest.raises(InputError, match="results must have scores or classification"):
        write_report(empty, tmp_path)
    strange = dataclasses.replace(results, scores=results.scores.assign(image_id="gsp/test/9999"))
    with pytest.raises(InputError, match=r"image_id must be one of small 1\.0\.0, got 'gsp/test/9999'"):
        write_report(strange, tmp_path)


def test_a_place_that_cannot_be_written_is_named(results: Results, tmp_path: Any) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="must be a folder that can be written"):
        write_report(results, tmp_path / "file")


def test_names_that_would_be_one_file_get_numbers(results: Results, tmp_path: Any) -> None:
    scores = few_scores(results)
    scores = pd.concat([scores, scores[scores["model"] == "vgg-att"].assign(model="vgg att")])
    report = write_report(
        dataclasses.replace(results, scores=scores, maps=[], classification=results.classification.iloc[:0]), tmp_path
    )
    assert [path.name for path in report.cards] == ["vgg-att-gsp.html", "vgg-att-gsp-2.html"]
