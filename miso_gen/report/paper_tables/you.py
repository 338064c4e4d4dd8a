"""Tables of You: CAM methods x layers by pooled IoU, joined layers, dropout, confidence drop, and the axioms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from miso_gen.report.judged import Place, explainer_spec, judged, network_spec, network_types, place_for, rows_at
from miso_gen.report.paper_tables.numbers import MEASURED, PUBLISHED, Used, is_filled, measured, published
from miso_gen.report.tables import Cell, Column, Row, Table, head, marked_best, words

if TYPE_CHECKING:
    import pandas as pd

    from miso_gen.metrics.interfaces import Direction
    from miso_gen.report.results import Results

METHODS: Final = ("gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "relevance-cam", "xrelevance-cam")
NETWORKS: Final = ("resnext50", "sk-resnext50", "resnet50", "resnet34")  #: those of four stages
LAYERS: Final = ("L1", "L2", "L3", "L4")
JOINED: Final = ("4", "4+3", "4+3+2", "4+3+2+1")  #: layers whose maps are joined
_STAGES: Final = 4
_IOU: Final = (
    "Published: You, brain tumours in endomicroscopy.",
    "Only images with evidence count, and of these those whose class the network got right, where its answer is known.",
)
_POOLED: Final = "Measured IoU in per cent: intersections of all images over their unions."
_MEAN: Final = "Measured IoU in per cent where counts of pixels are unknown: mean over images."


def tables(results: Results) -> list[Table]:
    """Return Tables 5.1 to 5.9, those of one shape joined, as far as results fill them."""
    scores = judged(results)
    types = {model: one for model, one in network_types(results).items() if one in NETWORKS}
    mine = scores[scores["model"].isin(list(types)) & (scores["role"] == "explainer")]
    if mine.empty:
        return []
    maps = _Maps(results, mine)
    dropped = {model: one for model, one in types.items() if _dropout(results, model)}
    plain = {model: one for model, one in types.items() if model not in dropped}
    made = [
        _iou(maps, plain, "layers", "You, Tables 5.1 and 5.2: IoU by layer", (*LAYERS, "mean"), "you-1-layers"),
        _iou(maps, plain, "aggregation", "You, Tables 5.3 and 5.4: IoU of joined layers", JOINED, "you-3-joined"),
        _iou(maps, dropped, "dropout", "You, Tables 5.5 and 5.6: IoU with dropout", (*LAYERS, "all"), "you-5-dropout"),
        _asked(maps, types, "confidence-drop", "You, Table 5.7: confidence drop in per cent", (*LAYERS, "all"), "higher", 100.0),
        _asked(maps, types, "sensitivity-axiom", "You, Table 5.8: sensitivity axiom", (*LAYERS, "mean"), "lower", 1.0),
        _asked(maps, types, "conservation-axiom", "You, Table 5.9: conservation axiom", (*LAYERS, "mean"), "lower", 1.0),
    ]
    return [table for table in made if is_filled(table.rows)]


def layers_of(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the stages that an explainer's map is of, the last first, of a network of four; names that say no stage stay."""
    layer = spec.get("layer", "last")
    several = layer if isinstance(layer, Sequence) and not isinstance(layer, str) else [layer]
    found: list[str] = []
    for one in several:
        if one == "all":
            found += [str(stage) for stage in range(_STAGES, 0, -1)]
        elif one == "last":
            found.append(str(_STAGES))
        elif isinstance(one, int):
            found.append(str(one + 1 if one >= 0 else _STAGES + one + 1))
        else:
            number = re.fullmatch(r"\D*([1-4])", str(one))
            found.append(number[1] if number else str(one))
    return tuple(sorted(set(found), reverse=True))


def _dropout(results: Results, model: str) -> bool:
    return float(network_spec(results, model).get("dropout", 0.0)) > 0.0


class _Maps:
    """Scores of CAM methods by network, method and layers."""

    def __init__(self, results: Results, scores: pd.DataFrame) -> None:
        self.results, self.scores = results, scores
        self.names: dict[tuple[str, str], str] = {}
        for name in sorted(scores["explainer"].astype(str).unique()):
            spec = explainer_spec(results, name)
            if spec.get("type") in METHODS and spec.get("join", "mean") == "mean":
                self.names.setdefault((str(spec["type"]), "+".join(layers_of(spec))), name)
        self.methods = [method for method in METHODS if any(one == method for one, _ in self.names)]

    def of(self, model: str, method: str, column: str) -> pd.DataFrame:
        """Return the scores of a network and a method at the layers of a column."""
        layers = {"all": JOINED[-1]}.get(column, column.removeprefix("L"))
        name = self.names.get((method, layers), "")
        return self.scores[(self.scores["model"] == model) & (self.scores["explainer"] == name)]


def _rows(
    maps: _Maps,
    types: Mapping[str, str],
    columns: Sequence[str],
    direction: Direction,
    number: Any,
    printed: Any,
) -> list[Row]:
    """Return for each network and method a row of measured numbers, the best of a network marked, and one of published ones."""
    rows: list[Row] = []
    for model in types:
        mine: list[Row] = []
        beside: dict[int, Row] = {}
        for method in maps.methods:
            cells = {name: number(maps.of(model, method, name)) for name in columns if name != "mean"}
            if "mean" in columns:
                four = [cells[name].value for name in LAYERS]
                cells["mean"] = Cell(float(np.mean(four))) if all(map(isfinite, four)) else Cell()
            mine.append(Row((*words(model, method, MEASURED), *(cells[name] for name in columns))))
            said = printed(model, method)
            if said:
                beside[len(mine) - 1] = Row((*words(model, method, PUBLISHED), *(said[name] for name in columns)), "published")
        if not is_filled(mine):
            continue
        for place in range(3, 3 + len(columns)):
            mine = marked_best(mine, place, direction, 2)
        for place, row in enumerate(mine):
            rows += [row, *([beside[place]] if place in beside else [])]
    return rows


def _columns(names: Sequence[str], direction: Direction, metric: str, digits: int) -> tuple[Column, ...]:
    return (
        *head("network", "method", "source"),
        *(Column(name, direction=direction, digits=digits, metric=metric) for name in names),
    )


def _iou(maps: _Maps, types: Mapping[str, str], key: str, title: str, columns: Sequence[str], name: str) -> Table:
    used: set[str] = set()

    def number(rows: pd.DataFrame) -> Cell:
        cell, note = iou(maps.results, rows)
        used.update([note] if isfinite(cell.value) else [])
        return cell

    def printed(model: str, method: str) -> dict[str, Cell]:
        row = types[model]
        if key == "dropout":
            row = str(network_spec(maps.results, model).get("dropout_in", "training"))
        return published("you", key, row, method)

    rows = _rows(maps, types, columns, "higher", number, printed)
    extra = ("Published with dropout in evaluation (always): mean of ten runs.",) if key == "dropout" else ()
    return Table(
        title,
        _columns(columns, "higher", "jaccard", 2),
        tuple(rows),
        "Intersection of what a map marks and of the evidence over their union, by the layers of the map: L1 the first, L4 the "
        "last, joined by the mean of their maps.",
        (*_IOU, *extra, *sorted(used)),
        name,
    )


def iou(results: Results, rows: pd.DataFrame) -> tuple[Cell, str]:
    """Return the IoU in per cent of images with evidence that the network got right, and a note of how.

    Pooled, sum of intersections over sum of unions: both follow from sensitivity and specificity, the share of the image that is
    evidence, and the size of the image. Where they are not all known, as of cells, the mean of the IoU over images.
    """
    nothing = Cell(), ""
    if not (rows["metric"] == "jaccard").any():
        return nothing
    place = _masked(rows)
    part = {name: _right(rows_at(rows, name, place)) for name in ("jaccard", "sensitivity", "specificity")}
    if part["jaccard"].empty:
        return nothing
    note = f"Scored on {place.words}."
    pooled = _pooled(results, part, place)
    if pooled is not None:
        return pooled, f"{_POOLED} {note}"
    cell = measured(part["jaccard"], ["jaccard"], at=place.at, positive=place.positive, heading="IoU", used=Used())
    return _scaled(cell, 100.0), f"{_MEAN} {note}"


def _masked(rows: pd.DataFrame) -> Place:
    """Return the place of IoU: masks by mean and standard deviation where there are any, and pixels before cells."""
    names = sorted(rows.loc[rows["metric"] == "jaccard", "binarizer"].astype(str).unique())
    wanted = next((name for name in names if name == "mean-std" or '"mean-std"' in name), None)
    mine = rows if wanted is None else rows[rows["binarizer"] == wanted]
    at = "pixel" if ((mine["metric"] == "jaccard") & (mine["at"] == "pixel")).any() else None
    return place_for(mine, "jaccard", at=at)


def _right(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of images that the network got right, and of those where nobody knows."""
    unknown = rows["predicted"].isna() | rows["label"].isna()
    return rows[unknown | (rows["predicted"] == rows["label"]).fillna(False).astype(bool)]


def _pooled(results: Results, part: Mapping[str, pd.DataFrame], place: Place) -> Cell | None:
    """Return the pooled IoU in per cent over all images and trainings; None: counts are unknown."""
    if place.at != "pixel" or any(part[name].empty for name in ("sensitivity", "specificity")):
        return None
    keys = ["scenario", "image_id", "seed"]
    table = part["jaccard"][[*keys, "value"]].dropna(subset="value")
    for name in ("sensitivity", "specificity"):
        table = table.merge(part[name][[*keys, "value"]].rename(columns={"value": name}), on=keys, how="left")
    index = results.dataset.table.set_index("image_id")
    size = table["image_id"].map(index["height"] * index["width"]).to_numpy(np.float64)
    share = table["image_id"].map(index[f"truth_{place.positive}_share"]).to_numpy(np.float64, na_value=nan)
    there = share * size
    false = np.where(share < 1, (1 - table["specificity"].to_numpy(np.float64)) * (size - there), 0.0)
    hits = table["sensitivity"].to_numpy(np.float64) * there
    union = there + false
    if not len(table) or not np.isfinite(union).all() or not np.isfinite(hits).all() or not union.sum():
        return None
    return Cell(float(100 * hits.sum() / union.sum()), n=int(table["image_id"].nunique()))


def _asked(
    maps: _Maps, types: Mapping[str, str], metric: str, title: str, columns: Sequence[str], direction: Direction, scale: float
) -> Table:
    used = Used()

    def number(rows: pd.DataFrame) -> Cell:
        cell = measured(rows, [metric], at="pixel", positive=2, heading=metric, used=used, truth=None)
        return _scaled(cell, scale)

    rows = _rows(maps, types, columns, direction, number, lambda model, method: {})
    if rows:
        for method in METHODS:
            said = published("you", metric, "any", method)
            rows.append(Row((*words("", method, PUBLISHED), *(said[name] for name in columns)), "published"))
    notes = ("Published: You, brain tumours in endomicroscopy; of which network, this table does not say.", *used.notes)
    caption = "By the layers that the map is of: L1 the first, L4 the last. Measured: mean over images and 1.96 standard errors."
    digits = 2 if scale != 1.0 else 3
    return Table(title, _columns(columns, direction, metric, digits), tuple(rows), caption, notes, f"you-{metric}")


def _scaled(cell: Cell, scale: float) -> Cell:
    return Cell(cell.value * scale, cell.low * scale, cell.high * scale, cell.n)
