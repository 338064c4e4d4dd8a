"""Tables of the papers: every measured number computed again with pandas, and the published ones beside."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from miso_gen.errors import InputError
from miso_gen.report.paper_tables import miso, paper_tables, pylon, you
from miso_gen.report.paper_tables.numbers import published, published_cell, published_rows
from miso_gen.report.results import CLASSIFICATION, SCORES, Results, Run
from miso_gen.report.tables import Cell, Row, Table

T_4 = 2.776445  #: Student's t of 4 degrees of freedom, 95 %


def with_scores(results: Results, rows: Iterable[dict[str, Any]], **more: Any) -> Results:
    """Return results of other scores, of level 2 at pixels unless a row says otherwise, and of nothing else."""
    known = results.dataset.table.set_index("image_id")
    filled = []
    for row in rows:
        image = known.loc[row["image_id"]]
        base = {"dataset": "small", "version": "1.0.0", "scenario": image["scenario"], "split": "test", "label": image["label"]}
        fixed = {"predicted": image["label"], "model": "vgg19", "seed": 0, "kind": "pixel", "at": "pixel", "binarizer": ""}
        filled.append({**base, **fixed, "positive": 2, **row})
    table = pd.DataFrame(filled, columns=list(SCORES))
    table["predicted"] = table["predicted"].astype("Int64")
    nothing = pd.DataFrame(columns=list(CLASSIFICATION))
    return replace(results, **{"scores": table, "classification": nothing, "explainers": {}, "runs": (), "maps": (), **more})


def images_of(results: Results, scenario: str) -> pd.DataFrame:
    table = results.dataset.table
    return table[table["scenario"] == scenario]


def rows_of(table: Table, *names: str) -> list[Row]:
    """Return the rows whose first names are these."""
    return [row for row in table.rows if table.head(row)[: len(names)] == names]


def numbers(table: Table, *names: str) -> dict[str, Cell]:
    """Return the cells of the one row of these names, by column."""
    (row,) = rows_of(table, *names)
    return dict(zip((column.name for column in table.columns), row.cells, strict=True))


def close(cell: Cell, values: Iterable[float]) -> bool:
    """Whether a cell is the mean of values with the interval of MISO."""
    known = np.array([value for value in values if not math.isnan(value)])
    half = 1.959964 * known.std() / math.sqrt(len(known))
    assert cell.n == len(known)
    return (cell.value, cell.low, cell.high) == pytest.approx((known.mean(), known.mean() - half, known.mean() + half))


# --- MISO ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def miso_results(results: Results) -> Results:
    """VGG-19 with saliency, VGG-Att with attention, too; MD, which the data set has not, stays out; VGG-19 lacks PPM of gsp."""
    rng = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    masked = ("sensitivity", "specificity", "scag-dist", "f-beta", "e-measure", "dice", "jaccard", "overlap", "difference")
    for image in results.dataset.table.itertuples():
        for model in ("vgg19", "vgg-att"):
            base = {"image_id": image.image_id, "model": model, "at": "grid"}
            if (model, image.scenario) != ("vgg19", "gsp"):
                ppm = {**base, "explainer": "ppm", "kind": "ppm"}
                rows += [{**ppm, "positive": level, "metric": metric} for metric in masked for level in (1, 2)]
            pcm = {**base, "explainer": "pcm", "kind": "pcm", "positive": 1}
            rows += [{**pcm, "metric": metric} for metric in ("mae-raw", "ssim-raw", "mae")]
            maps = [("saliency", "ssm"), ("smoothgrad", "ssm"), ("random", "patch")]
            for explainer, kind in [*maps, ("attention", "sam")] if model == "vgg-att" else maps:
                for metric in (*masked, "mae", "mae-raw", "ssim-raw", "s-measure"):
                    masks = "two-mean" if metric in masked else ""
                    base |= {"explainer": explainer, "kind": kind, "binarizer": masks, "positive": 2}
                    rows.append({**base, "metric": metric})
    for row in rows:
        row["value"] = float(rng.random()) if rng.random() > 0.05 else math.nan
    answers = []
    for model, seeds in (("vgg19", (0,)), ("vgg-att", (0, 1, 2))):
        for seed in seeds:
            base = {"dataset": "small", "version": "1.0.0", "scenario": "evp", "split": "test", "model": model, "seed": seed}
            for level, rule, metric in (
                ("patch", "", "auroc"), ("patch", "", "auprc"), ("image", "top-k-majority", "accuracy"),
                ("image", "all-max", "accuracy"), ("image", "all-max-legacy", "accuracy"), ("image", "top-k-majority", "auroc"),
            ):  # fmt: skip
                value = float(rng.random())
                facts = {"level": level, "rule": rule, "metric": metric, "value": value, "low": value - 0.1, "high": value + 0.05}
                answers.append({**base, **facts, "n": 400 if level == "patch" else 8})
    return with_scores(results, rows, classification=pd.DataFrame(answers, columns=list(CLASSIFICATION)))


@pytest.fixture(scope="module")
def miso_tables(miso_results: Results) -> dict[str, Table]:
    return {table.name: table for table in miso.tables(miso_results)}


def judged_by_hand(results: Results, level: int) -> pd.DataFrame:
    """Return scores of images with evidence of a level."""
    table = results.scores.merge(results.dataset.table[["image_id", f"truth_{level}_share"]], on="image_id")
    return table[(table["positive"] == level) & (table[f"truth_{level}_share"] > 0)]


def test_miso_1(miso_results: Results, miso_tables: dict[str, Table]) -> None:
    table, scores = miso_tables["miso-1-ppm"], judged_by_hand(miso_results, 1)
    headings = {"Sens": "sensitivity", "Spec": "specificity", "ScagDist": "scag-dist", "F-beta": "f-beta", "E": "e-measure"}
    assert [column.name for column in table.columns] == ["network", "scenario", "source", *headings, "MAE"]
    assert [table.head(row) for row in table.rows] == [
        ("vgg19", "evp", "measured"),
        ("vgg19", "evp", "published"),
        ("vgg19", "gsp", "measured"),
        ("vgg-att", "evp", "measured"),
        ("vgg-att", "evp", "published"),
        ("vgg-att", "gsp", "measured"),
    ]  # the paper has no PPM of gsp
    ppm = scores[scores["explainer"] == "ppm"]
    for model, scenario in (("vgg19", "evp"), ("vgg-att", "evp"), ("vgg-att", "gsp")):
        cells = numbers(table, model, scenario, "measured")
        mine = ppm[(ppm["model"] == model) & (ppm["scenario"] == scenario)]
        for heading, metric in {**headings, "MAE": "difference"}.items():
            assert close(cells[heading], mine.loc[mine["metric"] == metric, "value"])
    assert all(cell.is_missing for cell in rows_of(table, "vgg19", "gsp")[0].cells[3:])
    beside = numbers(table, "vgg-att", "evp", "published")
    assert beside["Spec"].text == "0.926 ± 0.016"
    assert [row.role for row in table.rows if "published" in table.head(row)] == ["published"] * 2
    assert any("MAE: difference" in note for note in table.notes)


def test_miso_2_takes_the_better_of_saliency_and_attention(miso_results: Results, miso_tables: dict[str, Table]) -> None:
    table, scores = miso_tables["miso-2-ssm-sam"], judged_by_hand(miso_results, 2)
    names = {
        "MAE": "mae-raw",
        "F-beta": "f-beta",
        "ScagDist": "scag-dist",
        "S": "s-measure",
        "E": "e-measure",
        "SSIM": "ssim-raw",
    }
    ones = scores[scores["label"] == 1]
    marks = set()
    for model in ("vgg19", "vgg-att"):
        for scenario in ("evp", "gsp"):
            cells = numbers(table, model, scenario, "measured")
            for heading, metric in names.items():
                mine = ones[(ones["model"] == model) & (ones["scenario"] == scenario) & (ones["metric"] == metric)]
                by_map = {name: list(mine.loc[mine["explainer"] == name, "value"]) for name in ("saliency", "attention")}
                sign = -1 if heading in ("MAE", "ScagDist") else 1
                best = max((name for name in by_map if by_map[name]), key=lambda name: sign * np.nanmean(by_map[name]))
                assert close(cells[heading], by_map[best])
                assert cells[heading].mark.strip() == ("A" if best == "attention" else "")
                marks.add((model, cells[heading].mark.strip()))
    assert marks == {("vgg19", ""), ("vgg-att", ""), ("vgg-att", "A")}
    assert numbers(table, "vgg-att", "gsp", "published")["S"].text == "0.490 ± 0.002"
    assert numbers(table, "vgg-att", "evp", "published")["F-beta"].text == "0.609 ± 0.083"


def test_miso_classification(miso_results: Results, miso_tables: dict[str, Table]) -> None:
    table, answers = miso_tables["miso-3-classification"], miso_results.classification
    one = numbers(table, "vgg19", "evp", "measured")
    for heading, place in {
        "patch AUROC": ("patch", "", "auroc"),
        "patch AUPRC": ("patch", "", "auprc"),
        "top-k-majority": ("image", "top-k-majority", "accuracy"),
        "all-max": ("image", "all-max-legacy", "accuracy"),  # the paper has the rules of the released code
    }.items():
        part = answers[(answers[["level", "rule", "metric"]] == list(place)).all(axis=1)]
        mine = part[part["model"] == "vgg19"].iloc[0]
        assert (one[heading].value, one[heading].low, one[heading].high, one[heading].n) == (
            *mine[["value", "low", "high"]],
            mine["n"],
        )
        several = part[part["model"] == "vgg-att"]["value"]
        half = 4.30265273 * several.std(ddof=1) / math.sqrt(3)
        cell = numbers(table, "vgg-att", "evp", "measured")[heading]
        assert (cell.value, cell.low, cell.high) == pytest.approx((several.mean(), several.mean() - half, several.mean() + half))
    assert one["patch AP"].is_missing
    assert one["caucus-max"].is_missing
    assert numbers(table, "vgg19", "evp", "published")["caucus-max"].text == "0.646"
    assert any("all-max-legacy" in note for note in table.notes)


def test_miso_further_tables(miso_results: Results, miso_tables: dict[str, Table]) -> None:
    whole, evidence = judged_by_hand(miso_results, 1), judged_by_hand(miso_results, 2)
    cells = numbers(miso_tables["miso-4-pcm-ppm"], "vgg19", "evp", "measured")
    for heading, explainer, metric in (
        ("PCM MAE", "pcm", "mae-raw"),
        ("PCM SSIM", "pcm", "ssim-raw"),
        ("Overlap", "ppm", "overlap"),
    ):
        mine = whole[(whole["model"] == "vgg19") & (whole["scenario"] == "evp") & (whole["explainer"] == explainer)]
        assert close(cells[heading], mine.loc[mine["metric"] == metric, "value"])
    table = miso_tables["miso-5-ssm-sam"]
    assert [table.head(row) for row in rows_of(table, "vgg19")] == [
        ("vgg19", "evp", "SSM", "measured"),
        ("vgg19", "evp", "SSM", "published"),
        ("vgg19", "gsp", "SSM", "measured"),
    ]
    cells = numbers(table, "vgg-att", "gsp", "SAM", "measured")
    mine = evidence[(evidence["model"] == "vgg-att") & (evidence["scenario"] == "gsp") & (evidence["explainer"] == "attention")]
    for heading, metric in {"Dice": "dice", "Jaccard": "jaccard", "Difference": "difference", "MAE": "mae-raw"}.items():
        assert close(cells[heading], mine.loc[(mine["metric"] == metric) & (mine["label"] == 1), "value"])
    assert numbers(table, "vgg-att", "gsp", "SAM", "published")["MAE"].text == "17.430"


def test_another_network_has_nothing_published(results: Results) -> None:
    rows = [
        {"image_id": image, "model": "mine", "explainer": "ppm", "kind": "ppm", "at": "grid", "metric": "f-beta", "value": 0.5}
        for image in images_of(results, "evp")["image_id"]
    ]
    (table,) = miso.tables(with_scores(results, rows))
    assert [table.head(row) for row in table.rows] == [("mine", "evp", "measured")]
    named = Run("mine", "evp", 0, "evp-mine-0", {"model": {"type": "vgg19"}})
    (table,) = miso.tables(with_scores(results, rows, runs=[named]))
    assert [table.head(row) for row in table.rows] == [("mine", "evp", "measured"), ("mine", "evp", "published")]


# --- You ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def you_results(results: Results) -> tuple[Results, dict[tuple[str, str], float]]:
    """SK-ResNeXt-50 with masks of known counts of pixels, two trainings; and the pooled IoU of the network by explainer."""
    rng = np.random.default_rng(11)
    specs = {
        f"{method}-{place}": {"type": method, "layer": layer}
        for method in ("gradcam", "xrelevance-cam")
        for place, layer in {
            "1": 0,
            "2": "layer2",
            "3": -2,
            "4": "last",
            "43": ["layer4", 2],
            "432": [3, 2, 1],
            "all": "all",
        }.items()
    }
    specs["gradcam-max"] = {"type": "gradcam", "layer": "all", "join": "max"}  # not what the paper joins by
    rows, pooled = [], {}
    for model in ("sk-resnext50", "resnext50", "sk-resnext50-2"):
        for name in specs:
            hits = union = 0
            for image in results.dataset.table.itertuples():
                for seed in (0, 1):
                    size = image.height * image.width
                    there = round(image.truth_2_share * size)
                    tp = int(rng.integers(0, there + 1))
                    fp = int(rng.integers(0, (size - there) // 4))
                    right = rng.random() < 0.8
                    base = {"image_id": image.image_id, "model": model, "seed": seed, "explainer": name, "binarizer": "mean-std"}
                    base["predicted"] = image.label if right else 1 - image.label
                    found = {
                        "jaccard": tp / (there + fp) if there else math.nan,
                        "sensitivity": tp / there if there else math.nan,
                        "specificity": 1 - fp / (size - there),
                    }
                    rows += [{**base, "metric": metric, "value": value} for metric, value in found.items()]
                    rows.append({**base, "metric": "jaccard", "binarizer": "two-mean", "value": 0.0})
                    rows.append({**base, "metric": "sensitivity-axiom", "value": float(rng.random())})
                    if there and right:
                        hits, union = hits + tp, union + there + fp
            pooled[model, name] = 100 * hits / union
    dropped = {"model": {"type": "sk-resnext50", "dropout": 0.1, "dropout_in": "always"}}
    runs = [Run("sk-resnext50-2", "evp", 0, "a", dropped)]
    return with_scores(results, rows, explainers=specs, runs=runs), pooled


@pytest.mark.parametrize(
    ("layer", "stages"),
    [
        ("last", "4"),
        ("all", "4+3+2+1"),
        (0, "1"),
        (-1, "4"),
        (-4, "1"),
        ("layer3", "3"),
        ("body.block2", "2"),
        (["layer4", "layer3"], "4+3"),
        ([-1, 2, "layer2"], "4+3+2"),
        ("features.12", "features.12"),
    ],
)
def test_layers(layer: Any, stages: str) -> None:
    assert "+".join(you.layers_of({"type": "gradcam", "layer": layer})) == stages
    assert you.layers_of({"type": "gradcam"}) == ("4",)


def test_you_pooled_iou(you_results: tuple[Results, dict[tuple[str, str], float]]) -> None:
    results, pooled = you_results
    tables = {table.name: table for table in you.tables(results)}
    assert list(tables) == ["you-1-layers", "you-3-joined", "you-5-dropout", "you-sensitivity-axiom"]
    layers = {"L1": "1", "L2": "2", "L3": "3", "L4": "4"}
    joined = {"4": "4", "4+3": "43", "4+3+2": "432", "4+3+2+1": "all"}
    for name, model, columns in (
        ("you-1-layers", "sk-resnext50", layers),
        ("you-1-layers", "resnext50", layers),
        ("you-3-joined", "sk-resnext50", joined),
        ("you-5-dropout", "sk-resnext50-2", {**layers, "all": "all"}),
    ):
        for method in ("gradcam", "xrelevance-cam"):
            cells = numbers(tables[name], model, method, "measured")
            for column, place in columns.items():
                assert cells[column].value == pytest.approx(pooled[model, f"{method}-{place}"])
            if "mean" in cells:
                assert cells["mean"].value == pytest.approx(np.mean([pooled[model, f"{method}-{place}"] for place in "1234"]))
        best = [max(pooled[model, f"{method}-{place}"] for method in ("gradcam", "xrelevance-cam")) for place in columns.values()]
        marked = [cell.value for row in rows_of(tables[name], model) for cell in row.cells[3:] if cell.best]
        assert set(np.round(best, 6)) <= set(np.round(marked, 6))
    assert not rows_of(tables["you-1-layers"], "sk-resnext50-2")
    assert {row[0] for row in map(tables["you-5-dropout"].head, tables["you-5-dropout"].rows)} == {"sk-resnext50-2"}
    assert numbers(tables["you-1-layers"], "sk-resnext50", "xrelevance-cam", "published")["mean"].text == "31.83"
    assert not rows_of(tables["you-1-layers"], "resnext50", "xrelevance-cam", "published")
    assert numbers(tables["you-5-dropout"], "sk-resnext50-2", "gradcam", "published")["all"].text == "24.52"
    assert not rows_of(tables["you-3-joined"], "resnext50", "gradcam", "published")
    assert any("intersections of all images over their unions" in note for note in tables["you-1-layers"].notes)


def test_you_axiom(you_results: tuple[Results, dict[tuple[str, str], float]]) -> None:
    results, _ = you_results
    table = next(table for table in you.tables(results) if table.name == "you-sensitivity-axiom")
    scores = results.scores[(results.scores["metric"] == "sensitivity-axiom") & (results.scores["model"] == "resnext50")]
    cells = numbers(table, "resnext50", "gradcam", "measured")
    means = []
    for column, name in {"L1": "gradcam-1", "L2": "gradcam-2", "L3": "gradcam-3", "L4": "gradcam-4"}.items():
        values = scores[scores["explainer"] == name].groupby("image_id")["value"].mean()
        assert close(cells[column], values)
        means.append(values.mean())
    assert cells["mean"].value == pytest.approx(np.mean(means))
    assert numbers(table, "-", "relevance-cam", "published")["L4"].text == "2.40"
    assert len(rows_of(table, "-")) == 7


def test_you_of_cells_is_the_mean_over_images(you_results: tuple[Results, dict[tuple[str, str], float]]) -> None:
    results = you_results[0]
    cells = replace(results, scores=results.scores.assign(at="grid"))
    table = next(table for table in you.tables(cells) if table.name == "you-1-layers")
    cell = numbers(table, "resnext50", "gradcam", "measured")["L2"]
    mine = results.scores[(results.scores["model"] == "resnext50") & (results.scores["explainer"] == "gradcam-2")]
    mine = mine[(mine["metric"] == "jaccard") & (mine["binarizer"] == "mean-std") & (mine["predicted"] == mine["label"])]
    values = 100 * mine.groupby("image_id")["value"].mean().dropna()
    assert close(cell, values)
    assert any("mean over images" in note for note in table.notes)


def test_confidence_drop_is_in_per_cent(results: Results) -> None:
    ids = images_of(results, "evp")["image_id"]
    rows = [
        {"image_id": image, "model": "resnet50", "explainer": "gradcam", "metric": "confidence-drop", "value": place / 10}
        for place, image in enumerate(ids)
    ]
    (table,) = you.tables(with_scores(results, rows))
    cells = numbers(table, "resnet50", "gradcam", "measured")
    assert close(cells["L4"], [10.0 * place for place in range(len(ids))])
    assert cells["L1"].is_missing
    assert cells["all"].is_missing


# --- PYLON --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pylon_results(results: Results) -> Results:
    """PYLON and the baseline of five trainings, GradCAM of one, and a method that the paper has not."""
    rng = np.random.default_rng(2)
    rows = []
    methods = [
        ("pylon", "heatmap", 5),
        ("cam", "heatmap", 5),
        ("cam", "gradcam", 1),
        ("vgg19", "lime", 1),
        ("pylon", "random", 1),
    ]
    for image in images_of(results, "evp").itertuples():
        for model, explainer, seeds in methods:
            for seed in range(seeds):
                value = float(rng.random() < 0.6)
                facts = {"image_id": image.image_id, "model": model, "explainer": explainer, "seed": seed, "value": value}
                rows.append({**facts, "metric": "point-localization"})
    rows[0]["value"] = math.nan
    return with_scores(results, rows)


def test_pylon_1(pylon_results: Results) -> None:
    (table,) = pylon.tables(pylon_results)
    assert [column.name for column in table.columns[3:]] == ["area", "Baseline", "GradCAM", "PYLON", "vgg19 lime"]
    assert [table.head(row) for row in table.rows][:4] == [
        ("evp", "weighted", "measured"),
        ("evp", "weighted", "published, NIH chest X-rays"),
        ("evp", "macro", "measured"),
        ("evp", "macro", "published, NIH chest X-rays"),
    ]
    assert len(table.rows) == 6
    assert [row.role for row in table.rows] == ["method", "published"] * 2 + ["method"] * 2
    scores = pylon_results.scores.dropna(subset="value")
    shares = pylon_results.dataset.table.set_index("image_id")["truth_2_share"]
    classes = [dict(zip((one.name for one in table.columns), row.cells, strict=True)) for row in table.rows[4:]]
    for heading, (model, explainer) in {
        "Baseline": ("cam", "heatmap"), "GradCAM": ("cam", "gradcam"), "PYLON": ("pylon", "heatmap"),
        "vgg19 lime": ("vgg19", "lime"),
    }.items():  # fmt: skip
        mine = scores[(scores["model"] == model) & (scores["explainer"] == explainer)]
        macro, weighted = [], []
        for _, one in mine.groupby("seed"):
            macro.append(np.mean([one.loc[one["label"] == label, "value"].mean() for label in (0, 1)]))
            weighted.append(one["value"].mean())
        for kind, values in (("macro", macro), ("weighted", weighted)):
            cell = numbers(table, "evp", kind, "measured")[heading]
            assert (cell.value, cell.n) == (pytest.approx(np.mean(values)), mine["image_id"].nunique())
            if len(values) == 5:
                assert cell.high - cell.value == pytest.approx(T_4 * np.std(values, ddof=1) / math.sqrt(5))
            else:
                assert math.isnan(cell.low)
        for label, cells in enumerate(classes):
            by_seed = mine[mine["label"] == label].groupby("seed")["value"].mean()
            assert cells[heading].value == pytest.approx(by_seed.mean())
            assert cells["area"].value == pytest.approx(shares[mine[mine["label"] == label]["image_id"].unique()].mean())
    beside = numbers(table, "evp", "macro", "published, NIH chest X-rays")
    assert [beside[name].text for name in ("area", "Baseline", "GradCAM", "PYLON")] == ["0.07", "0.44", "0.44", "0.60"]
    assert beside["vgg19 lime"].is_missing


def test_pylon_best_of_a_row_with_ties(pylon_results: Results) -> None:
    scores = pylon_results.scores.assign(value=1.0)
    scores.loc[scores["explainer"] == "gradcam", "value"] = 0.0
    (table,) = pylon.tables(replace(pylon_results, scores=scores))
    row = numbers(table, "evp", "weighted", "measured")
    assert [row[name].best for name in ("area", "Baseline", "GradCAM", "PYLON", "vgg19 lime")] == [False, True, False, True, True]


def test_pylon_explainers_of_one_class_are_one_method(results: Results) -> None:
    images = images_of(results, "evp")
    hot = images.assign(**{"params.multi_hot": [[1, int(place % 2)] for place in range(len(images))]})
    dataset = _Stub(results.dataset, hot)
    specs = {f"h{number}": {"type": "heatmap", "explains": number} for number in (0, 1)}
    rows = [
        {
            "image_id": image,
            "model": "pylon",
            "explainer": f"h{number}",
            "metric": "point-localization",
            "value": float(place < 3),
        }
        for place, image in enumerate(hot["image_id"])
        for number in (0, 1)
    ]
    given = replace(with_scores(results, rows, explainers=specs), dataset=dataset)  # type: ignore[arg-type]
    (table,) = pylon.tables(given)
    assert [column.name for column in table.columns[3:]] == ["area", "PYLON"]
    measured = [row for row in table.rows if row.role == "method"]
    n = len(images)
    first, second = 3 / n, 1 / (n // 2)  # of all images the first three; of every second one, from the second, one
    found = {table.head(row)[1]: row.cells[4] for row in measured}
    assert [cell.value for cell in found.values()] == pytest.approx([(3 + 1) / (n + n // 2), (first + second) / 2, first, second])
    assert [cell.n for cell in found.values()] == [n + n // 2, n + n // 2, n, n // 2]


class _Stub:
    """A data set with another index."""

    def __init__(self, dataset: Any, table: pd.DataFrame) -> None:
        self.dataset, self.table = dataset, table

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dataset, name)


# --- published numbers --------------------------------------------------------------------------------------------------------


def test_published_numbers_are_read_as_they_were_printed() -> None:
    cell = published_cell("0.585(0.098)A")
    assert (cell.value, cell.low, cell.high) == pytest.approx((0.585, 0.487, 0.683))
    assert (cell.text, cell.mark) == ("0.585 ± 0.098 A", "A")
    assert published_cell("0.500").text == "0.500"
    assert published_cell("1.575e-7").value == 1.575e-7
    assert published("miso", "table-1", "vgg19", "gsp") == {}
    assert published("miso", "table-1", "vgg19") == {}
    with pytest.raises(InputError, match=r"number must be like 0\.926"):
        published_cell("about 1")


def every_cell(here: Any) -> Iterable[str]:
    """Yield all numbers of a table of a paper."""
    for one in here.values() if isinstance(here, dict) else here:
        if isinstance(one, str):
            yield one
        else:
            yield from every_cell(one)


@pytest.mark.parametrize(
    ("paper", "table", "count"),
    [
        ("miso", "table-1", 12 * 6),
        ("miso", "table-2", 14 * 6),
        ("miso", "classification", 14 * 9),
        ("miso", "further-ppm", 12 * 5),
        ("miso", "further-ssm-sam", 15 * 12),
        ("you", "layers", 13 * 5),
        ("you", "aggregation", 14 * 4),
        ("you", "dropout", 14 * 5),
        ("you", "confidence-drop", 7 * 5),
        ("you", "sensitivity-axiom", 7 * 5),
        ("you", "conservation-axiom", 7 * 5),
        ("pylon", "table-1", 10 * 11),
    ],
)
def test_published_tables_are_whole(paper: str, table: str, count: int) -> None:
    cells = [published_cell(text) for text in every_cell(published_rows(paper, table))]
    assert len(cells) == count
    assert all(cell.value >= 0 for cell in cells)


def test_published_numbers_agree_with_each_other() -> None:
    rows = published_rows("pylon", "table-1")
    assert all(abs(float(row[1]) - float(row[2])) < 0.011 for row in rows.values())  # GradCAM is the baseline, but for a bias
    for column in range(11):
        mean = np.mean([float(row[column]) for name, row in rows.items() if name not in ("macro", "weighted")])
        assert abs(mean - float(rows["macro"][column])) < 0.01
    for network in published_rows("you", "layers").values():
        for *four, mean in network.values():
            assert abs(np.mean([float(value) for value in four]) - float(mean)) < 0.06
    aggregated = published_rows("you", "aggregation")["sk-resnext50"]
    for method, row in published_rows("you", "layers")["sk-resnext50"].items():
        assert float(row[3]) == float(aggregated[method][0])  # the last layer alone
    for scenario, both in published_rows("miso", "further-ssm-sam")["vgg-att"].items():
        better = published("miso", "table-2", "vgg-att", scenario)
        columns = ["scag-dist", "mae", "f-beta", "s-measure", "e-measure", "ssim"]
        for place, name in zip(range(6, 12), columns, strict=True):
            pick = min if name in ("scag-dist", "mae") else max
            assert better[name].value == pick(float(both[kind][place]) for kind in ("ssm", "sam"))


def test_papers_without_scores_of_theirs_have_no_tables(results: Results) -> None:
    assert paper_tables(with_scores(results, [])) == []
    only = [
        {"image_id": image, "explainer": "lime", "metric": "dice", "value": 0.5}
        for image in images_of(results, "evp")["image_id"]
    ]
    assert paper_tables(with_scores(results, only)) == []
    assert [table.name for table in paper_tables(results)] == [
        "miso-1-ppm", "miso-2-ssm-sam", "miso-3-classification", "miso-4-pcm-ppm", "miso-5-ssm-sam",
    ]  # fmt: skip
