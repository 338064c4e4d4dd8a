"""Tables of MISO: PPM, the better of SSM and SAM, classification, and what its appendix adds."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Final

import pandas as pd

from miso_gen.report.judged import explainer_spec, facts_for, judged, network_types, scenario_order
from miso_gen.report.paper_tables.numbers import Used, is_filled, measured, over_seeds, pair_of_rows, published
from miso_gen.report.tables import Cell, Column, Row, Table, head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from miso_gen.report.results import Results

SCENARIOS: Final = ("evp", "dsp", "md", "evsp", "gsp", "fm", "miso2")  #: in the order of the paper
RULES: Final = ("top-k-majority", "all-max", "all-majority", "all-weighted-majority", "caucus-max", "caucus-majority")
_HEADINGS: Final = {
    "sensitivity": "Sens", "specificity": "Spec", "scag-dist": "ScagDist", "f-beta": "F-beta", "e-measure": "E", "mae": "MAE",
    "s-measure": "S", "ssim": "SSIM", "dice": "Dice", "jaccard": "Jaccard", "overlap": "Overlap", "difference": "Difference",
    "pcm-mae": "PCM MAE", "pcm-ssim": "PCM SSIM",
}  # fmt: skip
_TABLE_1: Final = ("sensitivity", "specificity", "scag-dist", "f-beta", "e-measure", "mae")
_TABLE_2: Final = ("mae", "f-beta", "scag-dist", "s-measure", "e-measure", "ssim")
_FURTHER_PPM: Final = ("pcm-mae", "pcm-ssim", "dice", "jaccard", "overlap")
_FURTHER: Final = (
    "dice", "jaccard", "overlap", "sensitivity", "specificity", "difference", "scag-dist", "mae", "f-beta", "s-measure",
    "e-measure", "ssim",
)  # fmt: skip
_BESIDE: Final = (
    "Published: MISO, on its own images, background dropped; half of an interval is 1.96 standard errors, that of E one.",
    "Measured: mean over images and 1.96 standard errors.",
)
_SKIPPED: Final = "Published ScagDist leaves out some images of VGG-Att and of MISO-2, all numbers of MISO-2 some."
_MASKED: Final = "Published PCM numbers compare with the share of the object in each cell, measured ones with its mask."


def tables(results: Results) -> list[Table]:
    """Return Tables 1 and 2, and those of the appendix, as far as results fill them."""
    scores, types = judged(results), network_types(results)
    made = [
        _ppm(results, scores, types),
        _better_of_two(results, scores, types),
        _classification(results, types),
        _further_ppm(results, scores, types),
        _further_maps(results, scores, types),
    ]
    return [table for table in made if is_filled(table.rows)]


def _names(metric: str, *, raw: bool) -> tuple[str, ...]:
    """Return the metrics that a column may be of: as the released code computes it, as the map is, as we define it."""
    if metric == "mae" and not raw:
        return ("mae", "difference")  # of masks they are the same
    return (f"{metric}-legacy", *((f"{metric}-raw",) if raw else ()), metric)


def _columns(metrics: Sequence[str], *more: str) -> tuple[Column, ...]:
    names = [Column(_HEADINGS[name], direction=facts_for(name.removeprefix("pcm-")).direction, metric=name) for name in metrics]
    return (*head("network", "scenario", *more, "source"), *names)


def _pairs(scores: pd.DataFrame, types: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (network, scenario) of all networks and scenarios that have such scores, VGG-19 and VGG-Att first."""
    order = ("vgg19", "vgg-att")
    models = [model for model in types if (scores["model"] == model).any()]
    models.sort(key=lambda model: (order.index(types[model]) if types[model] in order else len(order), model))
    return [(model, scenario) for model in models for scenario in scenario_order(list(scores["scenario"]), SCENARIOS)]


def _of(scores: pd.DataFrame, model: str, scenario: str) -> pd.DataFrame:
    return scores[(scores["model"] == model) & (scores["scenario"] == scenario)]


def _explained(results: Results, scores: pd.DataFrame, kind: str, wanted: str) -> pd.DataFrame:
    """Return scores of class 1 of the maps of a kind that one type of explainer made; of several such, of the first by name."""
    mine = scores[(scores["kind"] == kind) & (scores["label"] == 1) & (scores["role"] == "explainer")]
    names = [name for name in sorted(mine["explainer"].unique()) if explainer_spec(results, name).get("type") == wanted]
    return mine[mine["explainer"].isin(names[:1])]


def _ppm(results: Results, scores: pd.DataFrame, types: Mapping[str, str]) -> Table:
    maps, used = scores[scores["kind"] == "ppm"], Used()
    rows: list[Row] = []
    for model, scenario in _pairs(maps, types):
        mine = _of(maps, model, scenario)
        cells = [_number(mine, name, used, raw=False, positive=1) for name in _TABLE_1]
        rows += pair_of_rows((model, scenario), cells, published("miso", "table-1", types[model], scenario), _TABLE_1)
    return Table(
        "MISO, Table 1: patch prediction maps (PPM)",
        _columns(_TABLE_1),
        tuple(rows),
        "How well the patches that a network gives to the class of the image cover the object, over all test images.",
        (*_BESIDE, _SKIPPED, *used.notes),
        "miso-1-ppm",
    )


def _better_of_two(results: Results, scores: pd.DataFrame, types: Mapping[str, str]) -> Table:
    used = Used()
    ssm, sam = (_explained(results, scores, *pair) for pair in (("ssm", "saliency"), ("sam", "attention")))
    rows: list[Row] = []
    for model, scenario in _pairs(pd.concat([ssm, sam]), types):
        cells = []
        for name in _TABLE_2:
            of_saliency, of_attention = (_number(_of(maps, model, scenario), name, used) for maps in (ssm, sam))
            cells.append(_better(of_saliency, replace(of_attention, mark=" A"), name))
        rows += pair_of_rows((model, scenario), cells, published("miso", "table-2", types[model], scenario), _TABLE_2)
    return Table(
        "MISO, Table 2: saliency and attention score maps (SSM, SAM)",
        _columns(_TABLE_2),
        tuple(rows),
        "How well maps of patch scores show the evidence, over images of class 1. Of saliency and attention, the better one by "
        "each number; A: attention.",
        (*_BESIDE, *used.notes),
        "miso-2-ssm-sam",
    )


def _better(one: Cell, other: Cell, metric: str) -> Cell:
    """Return the better of two numbers, the first on ties."""
    if not (isfinite(one.value) and isfinite(other.value)):
        return other if isfinite(other.value) else one
    return other if facts_for(metric).better(other.value, one.value) else one


def _further_ppm(results: Results, scores: pd.DataFrame, types: Mapping[str, str]) -> Table:
    maps, used = scores[scores["kind"].isin(("ppm", "pcm"))], Used()
    rows: list[Row] = []
    for model, scenario in _pairs(maps, types):
        mine = _of(maps, model, scenario)
        cells = []
        for name in _FURTHER_PPM:
            part = mine[mine["kind"] == ("pcm" if name.startswith("pcm-") else "ppm")]
            plain = name.removeprefix("pcm-")
            cells.append(_number(part, plain, used, positive=1, heading=_HEADINGS[name]))
        printed = published("miso", "further-ppm", types[model], scenario)
        rows += pair_of_rows((model, scenario), cells, printed, _FURTHER_PPM)
    return Table(
        "MISO, appendix: patch confidence maps (PCM), and more of PPM",
        _columns(_FURTHER_PPM),
        tuple(rows),
        "How near the confidence of patches is to the object, and how well their classes cover it, over all test images.",
        (*_BESIDE, _MASKED, *used.notes),
        "miso-4-pcm-ppm",
    )


def _further_maps(results: Results, scores: pd.DataFrame, types: Mapping[str, str]) -> Table:
    used, rows = Used(), list[Row]()
    maps = {"ssm": _explained(results, scores, "ssm", "saliency"), "sam": _explained(results, scores, "sam", "attention")}
    for model, scenario in _pairs(pd.concat(maps.values()), types):
        for kind, every in maps.items():
            mine = _of(every, model, scenario)
            cells = [_number(mine, name, used) for name in _FURTHER]
            printed = published("miso", "further-ssm-sam", types[model], scenario, kind)
            if len(mine) or printed:
                rows += pair_of_rows((model, scenario, kind.upper()), cells, printed, _FURTHER)
    return Table(
        "MISO, appendix: SSM and SAM in full",
        _columns(_FURTHER, "map"),
        tuple(rows),
        "How well maps of patch scores show the evidence, over images of class 1.",
        (*_BESIDE, *used.notes),
        "miso-5-ssm-sam",
    )


def _number(
    rows: pd.DataFrame, metric: str, used: Used, *, raw: bool = True, positive: int = 2, heading: str | None = None
) -> Cell:
    names = _names(metric, raw=raw)
    return measured(rows, names, at="grid", positive=positive, heading=heading or _HEADINGS[metric], used=used)


def _classification(results: Results, types: Mapping[str, str]) -> Table:
    table = results.classification
    patch = ("auroc", "auprc", "average-precision")
    rows: list[Row] = []
    for model, scenario in _pairs(table, types):
        mine = _of(table, model, scenario)
        cells = [_answer(mine[(mine["level"] == "patch") & (mine["metric"] == name)]) for name in patch]
        image = mine[(mine["level"] == "image") & (mine["metric"] == "accuracy")]
        for rule in RULES:
            legacy = image[image["rule"] == f"{rule}-legacy"]
            cells.append(_answer(legacy if len(legacy) else image[image["rule"] == rule]))
        printed = published("miso", "classification", types[model], scenario)
        rows += pair_of_rows((model, scenario), cells, printed, (*patch, *RULES))
    released = sorted(name for name in set(table["rule"].astype(str)) if name.endswith("-legacy"))
    told = (f"Measured by the rules of the released code where they were asked: {', '.join(released)}.",) if released else ()
    return Table(
        "MISO, appendix: classification",
        (
            *head("network", "scenario", "source"),
            *(Column(f"patch {name}", direction="higher", metric=name) for name in ("AUROC", "AUPRC", "AP")),
            *(Column(rule, direction="higher", metric="accuracy") for rule in RULES),
        ),
        tuple(rows),
        "How well patches are classified, and the accuracy of images by six rules that make one answer of many patches.",
        (
            _BESIDE[0],
            "Measured: of one training with the interval of its table, of several their mean and Student's interval.",
            *told,
        ),
        "miso-3-classification",
    )


def _answer(rows: pd.DataFrame) -> Cell:
    """Return a number of classification: of one training with its interval, else the mean over trainings."""
    if rows.empty:
        return Cell()
    if len(rows) == 1:
        one = rows.iloc[0]
        return Cell(float(one["value"]), float(one["low"]), float(one["high"]), int(one["n"]))
    return over_seeds(rows["value"].astype(float), int(rows["n"].iloc[0]))
