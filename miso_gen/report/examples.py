"""The images that a card shows: where an explainer does best, as usual, and worst."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import pandas as pd

from miso_gen.metrics.summaries import unit_means
from miso_gen.report.cells import PREDICTIONS, facts_of, roles, shown_role
from miso_gen.report.layers import TRUTH_RULES, find_map, layers_of
from miso_gen.report.pictures import (
    DIFFERENCE_COLOURS,
    MASK_COLOURS,
    SIDE,
    TRUTH_COLOURS,
    image_picture,
    levels_picture,
    map_picture,
    map_range,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from miso_gen.report.cells import Lead
    from miso_gen.report.layers import Layers
    from miso_gen.report.pictures import Picture
    from miso_gen.report.results import Results

Case: TypeAlias = Literal["best", "median", "worst"]

ALWAYS: Final = "saliency"  #: explainer that is shown beside the best one


@dataclass(frozen=True)
class Chosen:
    """An image that a card shows.

    Attributes:
        explainer: Whose map.
        case: Why this one.
        image_id: The image.
        score: Its score.
        seed: Training whose map it is; None: unknown.
        predicted: What the network said; None: unknown.
    """

    explainer: str
    case: Case
    image_id: str
    score: float
    seed: int | None
    predicted: int | None


@dataclass(frozen=True)
class Panel:
    """A picture with its words.

    Attributes:
        layer: What it shows: ``image``, ``truth``, ``ppm``, ``pcm``, ``map``, ``mask``, ``difference``.
        title: Short.
        alt: What is to be seen, for who can't see it.
        picture: The picture.
        extent: Height and width that it covers, as shares of the image.
        shown: Whether the overlay begins with it.
    """

    layer: str
    title: str
    alt: str
    picture: Picture
    extent: tuple[float, float] = (1.0, 1.0)
    shown: bool = False


@dataclass(frozen=True)
class Example:
    """A chosen image with its pictures.

    Attributes:
        chosen: Which one.
        label: Its class.
        class_name: Name of the class.
        size: Height and width, px.
        note: How the truth was compared, in words; empty: nothing was.
        panels: Its pictures.
    """

    chosen: Chosen
    label: int
    class_name: str
    size: tuple[int, int]
    note: str
    panels: tuple[Panel, ...]


def shown_explainers(scores: pd.DataFrame, lead: Lead) -> list[str]:
    """Return the explainer with the best mean, and ``saliency`` where it is another one; no null explainer, no oracle.

    Maps of predictions only where nothing else was scored.
    """
    rows = lead.of(scores)
    rows = rows[roles(rows) == shown_role(rows)]
    units = unit_means(rows, ["explainer", "kind"]).dropna(subset=["value"])
    means = {str(name): float(part.mean()) for name, part in units.groupby("explainer")["value"]}
    if not means:
        return []
    best = facts_of(lead.metric).best(means.values())
    names = [min(name for name, value in means.items() if value == best)]
    return names + [ALWAYS] * (ALWAYS in means and ALWAYS not in names)


def choose(scores: pd.DataFrame, lead: Lead, explainer: str) -> list[Chosen]:
    """Return best, median and worst image of an explainer by a score, each image once; ids decide between equal scores.

    Of several trainings, the one with the least seed is looked at. Of an even number of images, the median is the better of
    the two in the middle.
    """
    rows = lead.of(scores)
    rows = rows[(rows["explainer"] == explainer) & rows["value"].notna()]
    if rows["seed"].notna().any():
        rows = rows[rows["seed"] == rows["seed"].min()]
    rows = rows.drop_duplicates("image_id").sort_values(["value", "image_id"], kind="stable")
    if facts_of(lead.metric).direction == "higher":
        rows = rows.sort_values("value", ascending=False, kind="stable")
    found: dict[str, Chosen] = {}
    places: list[tuple[Case, int]] = [("best", 0), ("worst", len(rows) - 1), ("median", (len(rows) - 1) // 2)]
    for case, place in places if len(rows) else []:
        row = rows.iloc[place]
        image_id = str(row["image_id"])
        numbers = _whole(row["seed"]), _whole(row["predicted"])
        found.setdefault(image_id, Chosen(explainer, case, image_id, float(row["value"]), *numbers))
    return sorted(found.values(), key=lambda it: ("best", "median", "worst").index(it.case))


def _whole(value: Any) -> int | None:
    """Return a whole number of a table; None where it is missing."""
    return None if pd.isna(value) else int(value)


def example_of(results: Results, model: str, scenario: str, lead: Lead, chosen: Chosen, scale: float = 1.0) -> Example | None:
    """Return an image with its pictures; None: there is no map of it.

    Args:
        results: Where images, truth and maps are.
        model: Network.
        scenario: Of the card.
        lead: The score, which says what mask and truth are.
        chosen: The image.
        scale: Of all limits of bytes.
    """
    image_id = chosen.image_id
    found = find_map(results, model, scenario, chosen.seed, chosen.explainer, image_id)
    if found is None:
        return None
    view = results.dataset[image_id]
    layers = layers_of(results, found, lead)
    truth = view.truth.all()
    panels = [
        Panel("image", "Image", f"Image {image_id}.", image_picture(view, int(90_000 * scale)), shown=True),
        Panel("truth", "Truth", _truth_alt(truth), levels_picture(truth, TRUTH_COLOURS, int(15_000 * scale), SIDE), shown=False),
        *_prediction_panels(results, model, scenario, chosen, int(6_000 * scale)),
        *_map_panels(layers, lead, chosen.explainer, int(20_000 * scale)),
    ]
    facts = view.attributes
    note = TRUTH_RULES[layers.rule] if layers.difference is not None or layers.rule == "unknown" else ""
    return Example(chosen, int(facts["label"]), str(facts["class_name"]), view.shape[1:], note, tuple(panels))


def _truth_alt(truth: NDArray[np.uint8]) -> str:
    one, two = float((truth >= 1).mean()), float((truth == 2).mean())
    return f"Truth: {one:.1%} of the pixels are object, {two:.1%} evidence."


def _prediction_panels(results: Results, model: str, scenario: str, chosen: Chosen, budget: int) -> Iterator[Panel]:
    for name in PREDICTIONS:
        found = None
        if name != chosen.explainer:
            found = find_map(results, model, scenario, chosen.seed, name, chosen.image_id)
        if found is not None and found.values.ndim == 2:
            low, high = (0.0, 1.0) if not found.group.signed else map_range(found.values, signed=True)
            picture = map_picture(found.values, low, high, signed=found.group.signed, budget=budget)
            alt = f"{name.upper()}, values from {_edge(found.values, 'min')} to {_edge(found.values, 'max')}."
            yield Panel(name, name.upper(), alt, picture, _extent(found.values.shape, found.group.cell_px, results, chosen))


def _map_panels(layers: Layers, lead: Lead, explainer: str, budget: int) -> Iterator[Panel]:
    low, high = map_range(layers.values, signed=layers.signed)
    picture = map_picture(layers.values, low, high, signed=layers.signed, budget=budget)
    rows, cols = layers.values.shape
    said = " It is blank." if layers.found.blank else " It is one value everywhere." if layers.found.constant else ""
    edges = f"{_edge(layers.values, 'min')} to {_edge(layers.values, 'max')}"
    alt = f"Map of {explainer}, {rows} x {cols} values from {edges}.{said}"
    yield Panel("map", f"Map ({edges})", alt, picture, layers.extent, shown=True)
    if layers.mask is not None:
        extent = (1.0, 1.0) if lead.at == "pixel" else layers.extent
        mask = levels_picture(layers.mask.astype(np.uint8), MASK_COLOURS, budget // 2)
        share = float(layers.mask.mean())
        yield Panel("mask", f"Mask ({lead.binarizer})", f"Mask by {lead.binarizer}: {share:.1%} is marked.", mask, extent)
    if layers.difference is not None:
        counts = np.bincount(layers.difference.ravel(), minlength=4) / layers.difference.size
        alt = f"Difference: {counts[1]:.1%} right, {counts[2]:.1%} marked by mistake, {counts[3]:.1%} missed."
        yield Panel("difference", "Difference", alt, levels_picture(layers.difference, DIFFERENCE_COLOURS, budget // 2), extent)


def _edge(values: NDArray[np.float32], which: Literal["min", "max"]) -> str:
    """Return the least or greatest value of a map as text; ``none`` where it has no value."""
    known = values[np.isfinite(values)]
    value = float("nan") if not known.size else float(known.min() if which == "min" else known.max())
    return "none" if isnan(value) else f"{value:.3g}"


def _extent(shape: tuple[int, ...], cell: int | None, results: Results, chosen: Chosen) -> tuple[float, float]:
    height, width = results.dataset[chosen.image_id].shape[1:]
    return (1.0, 1.0) if cell is None else (min(1.0, shape[0] * cell / height), min(1.0, shape[1] * cell / width))
