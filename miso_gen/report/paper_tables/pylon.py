"""Table 1 of PYLON: point localisation accuracy by class, macro and weighted, with methods as columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from miso_gen.report.declared import scenario_facts
from miso_gen.report.judged import explainer_spec, judged, network_types, rows_at
from miso_gen.report.paper_tables.numbers import is_filled, over_seeds, pair_of_rows, preferred, published
from miso_gen.report.tables import Cell, Column, Row, Table, head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from miso_gen.report.results import Results

METRIC: Final = "point-localization"
#: (type of network, type of explainer) -> column of the paper
METHODS: Final = {
    ("cam", "heatmap"): "baseline", ("cam", "cam"): "baseline", ("cam", "gradcam"): "gradcam",
    ("cam", "gradcam++"): "gradcam++", ("cam", "xgradcam"): "xgradcam",
    ("pan", "heatmap"): "pan", ("li2018", "heatmap"): "li2018",
    ("unet", "heatmap"): "unet", ("fpn", "heatmap"): "fpn", ("deeplabv3plus", "heatmap"): "deeplabv3plus",
    ("pylon", "heatmap"): "pylon",
}  # fmt: skip
HEADINGS: Final = {
    "baseline": "Baseline", "gradcam": "GradCAM", "gradcam++": "GradCAM++", "xgradcam": "XGradCAM", "pan": "PAN",
    "li2018": "Li2018", "unet": "Unet", "fpn": "FPN", "deeplabv3plus": "DeepLabV3+", "pylon": "PYLON",
}  # fmt: skip
_HOT: Final = "params.multi_hot"  #: column of the index of images of several classes: 0 or 1 for each


@dataclass(frozen=True)
class _Column:
    """A method.

    Attributes:
        model: Network.
        explainer: Explainer, or its type where it has one for each class.
        key: Column of the paper; empty: the paper has none.
    """

    model: str
    explainer: str
    key: str

    @property
    def heading(self) -> str:
        """Heading."""
        return HEADINGS.get(self.key, f"{self.model} {self.explainer}".strip())


def tables(results: Results) -> list[Table]:
    """Return the table of each scenario in one, with the weighted and macro numbers of the paper beside; none without scores."""
    scores = judged(results)
    mine = scores[(scores["metric"] == METRIC) & (scores["role"] == "explainer")]
    if mine.empty or not mine["value"].notna().any():
        return []
    place = preferred(mine, METRIC, "pixel", 2)
    hits, columns = _hits(results, rows_at(mine, METRIC, place))
    rows: list[Row] = []
    for scenario in sorted(hits["scenario"].unique()):
        rows += _rows(results, hits[hits["scenario"] == scenario], str(scenario), columns, place.positive)
    table = Table(
        "PYLON, Table 1: point localisation accuracy",
        (
            *head("scenario", "class", "source"),
            Column("area", metric="area"),
            *(
                Column(column.heading, direction="higher", metric=METRIC, model=column.model, explainer=column.explainer)
                for column in columns
            ),
        ),
        tuple(rows),
        "Share of images of a class in which the highest point of the map of that class lies on the evidence. Macro: mean over "
        "classes; weighted: by their number of images. Area: mean share of the image that is "
        "evidence, which a random point would hit.",
        (
            "Published: PYLON, NIH chest X-rays, 256 px, boxes as truth; mean of five trainings.",
            "Measured: mean over trainings, with Student's interval of 95 % where there are two or more.",
            f"Scored on {place.words}. An explainer of one class by number is scored on images of that class.",
        ),
        "pylon-1-points",
    )
    return [table] if is_filled(table.rows) else []


def _hits(results: Results, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[_Column]]:
    """Return scores with ``column`` and ``class``, of images that are of the class explained; and the columns."""
    types = network_types(results)
    specs = {name: explainer_spec(results, name) for name in rows["explainer"].unique()}
    columns: dict[tuple[str, str], _Column] = {}
    taken: set[str] = set()
    for model, name in sorted(set(zip(rows["model"].astype(str), rows["explainer"].astype(str), strict=True))):
        kind = str(specs[name].get("type"))
        title = kind if _number(specs[name]) is not None else name
        key = METHODS.get((types.get(model, model), kind), "")
        if (model, title) not in columns:
            columns[model, title] = _Column(model, title, "" if key in taken else key)
            taken.add(key)
    index = results.dataset.table.set_index("image_id")
    hot = index.get(_HOT)
    pairs, classes, kept = [], [], []
    for row in rows[["model", "explainer", "image_id", "label", "predicted"]].to_dict("records"):
        spec = specs[row["explainer"]]
        number = _number(spec)
        decided = row["predicted"] if spec.get("explains") == "predicted" else row["label"]
        wanted = number if number is not None else None if pd.isna(decided) else int(decided)
        pairs.append((str(row["model"]), str(spec.get("type")) if number is not None else str(row["explainer"])))
        classes.append(-1 if wanted is None else wanted)
        kept.append(wanted is not None and wanted in _classes(row["image_id"], row["label"], hot))
    order = list(HEADINGS)
    listed = sorted(columns.values(), key=lambda it: (order.index(it.key) if it.key else len(order), it.model, it.explainer))
    place = {(column.model, column.explainer): number for number, column in enumerate(listed)}
    return rows.assign(column=[place[pair] for pair in pairs], of=classes)[np.array(kept, bool)], listed


def _number(spec: Mapping[str, Any]) -> int | None:
    """Return the class that an explainer explains, by its number; None: that of the image, or of the answer."""
    explains = spec.get("explains")
    return explains if isinstance(explains, int) and not isinstance(explains, bool) else None


def _classes(image_id: str, label: Any, hot: pd.Series[Any] | None) -> set[int]:
    """Return the classes of an image."""
    bits = None if hot is None else hot.get(image_id)
    if isinstance(bits, list | tuple | np.ndarray):
        return {place for place, bit in enumerate(bits) if bit}
    return set() if pd.isna(label) else {int(label)}


def _rows(results: Results, hits: pd.DataFrame, scenario: str, columns: Sequence[_Column], positive: int) -> list[Row]:
    """Return the rows of a scenario: weighted, macro, then its classes."""
    index = results.dataset.table.set_index("image_id")[f"truth_{positive}_share"]
    facts = scenario_facts(results.dataset, scenario)
    names = facts.classes if facts else ()
    known = hits[hits["value"].notna()]
    numbers = sorted(known["of"].unique())
    shares = {number: known.loc[known["of"] == number, "image_id"].drop_duplicates().map(index) for number in numbers}
    area = {
        "weighted": float(pd.concat(shares.values()).mean()) if shares else float("nan"),
        "macro": float(np.mean([one.mean() for one in shares.values()])) if shares else float("nan"),
    }
    rows = []
    keys = ["area", *(column.key or f"-{place}" for place, column in enumerate(columns))]
    for kind in ("weighted", "macro"):
        cells = [Cell(area[kind]), *(_cell(known[known["column"] == place], kind) for place in range(len(columns)))]
        rows += pair_of_rows((scenario, kind), _bold(cells), published("pylon", "table-1", kind), keys, "NIH chest X-rays")
    for number in numbers:
        title = names[number] if 0 <= number < len(names) else f"class {number}"
        mine = known[known["of"] == number]
        found = (_cell(mine[mine["column"] == place], "weighted") for place in range(len(columns)))
        cells = [Cell(float(shares[number].mean())), *found]
        rows += pair_of_rows((scenario, title), _bold(cells), published("pylon", "table-1", title), keys, "NIH chest X-rays")
    return rows


def _cell(hits: pd.DataFrame, kind: str) -> Cell:
    """Return the accuracy of a method, mean over trainings of that of each."""
    if hits.empty:
        return Cell()
    values = []
    for _, one in hits.groupby("seed", dropna=False):
        by_class = one.groupby("of")["value"].mean()
        values.append(float(by_class.mean() if kind == "macro" else one["value"].mean()))
    return over_seeds(values, int(hits[["image_id", "of"]].drop_duplicates().shape[0]))


def _bold(cells: Sequence[Cell]) -> list[Cell]:
    """Return cells of a row, the best of the methods marked, and what is printed alike."""
    values = [round(cell.value, 3) for cell in cells[1:] if isfinite(cell.value)]
    top = max(values, default=None)
    marked = [cells[0]]
    for cell in cells[1:]:
        is_best = top is not None and isfinite(cell.value) and round(cell.value, 3) == top
        marked.append(replace(cell, best=is_best))
    return marked
