"""A card as one figure, as MISO prints it: an image and its partner, and four maps beside their truth, 4 rows x 5 columns."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from miso_gen.errors import InputError, MissingExtraError, OutputError
from miso_gen.geometry import Box
from miso_gen.render.pictures import shrink
from miso_gen.report.cells import Lead, card_scores, lead_of, roles
from miso_gen.report.examples import choose, shown_explainers
from miso_gen.report.layers import find_map, layers_of, truth_of
from miso_gen.report.pictures import TRUTH_COLOURS, map_range, shrunk_levels, shrunk_values

if TYPE_CHECKING:
    import os

    import pandas as pd
    from numpy.typing import NDArray

    from miso_gen.report.results import Results
    from miso_gen.store.map_group import StoredMap

FIGURE_LIMIT: Final = 300_000  #: bytes
_ROWS, _COLUMNS = 4, 5
_SIDE: Final = 240  #: of a picture, px
_CONFIDENCE: Final = "pcm"
_ORDER: Final = ("ppm", "pcm", "ssm", "sam", "heatmap", "patch", "pixel")  #: kinds, as rows follow each other
_DPI: Final = 110
_COLOURS: Final = (256, 128, 64, 32, 16, 8)


@dataclass(frozen=True, eq=False)
class _Picture:
    """A picture of the figure: values or colours (h, w) or (h, w, 3), and how to show them."""

    title: str
    values: NDArray[Any]
    colours: str = "gray"
    low: float = 0.0
    high: float = 1.0


def card_figure(results: Results, model: str, scenario: str, out_png: str | os.PathLike[str]) -> Path:
    """Write a card as a PNG of less than 300 kB, and return where it is.

    The first column has an image of class 1, its partner of class 0 (the same pair, else any image of that class), and the truth
    of both. Each row has a map of the first image, the mask made of it, its target, and where mask and target differ: patch
    prediction map, patch confidence map (with that of the partner in place of a mask, and the absolute difference), scores of
    saliency, scores of attention. Other explainers fill rows of maps that are not there; what is missing stays empty.

    The image is the one that the best explainer scores best in the median, see
    :func:`~miso_gen.report.examples.choose`.

    Args:
        results: Where images, truth and maps are.
        model: Network.
        scenario: Scenario.
        out_png: The file; one that is there is replaced.

    Raises:
        UnknownNameError: There is no such card.
        InputError: No image of class 1 has a map.
        OutputError: The file can't be written.
        MissingExtraError: Matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "eval", "The figure of a card") from error
    scores = card_scores(results, model, scenario)
    lead = lead_of(scores) or Lead("", "grid", "two-mean", 1)
    image_id, seed = _image(scores, lead)
    partner = _partner(results, image_id)
    grid = _grid(results, model, scenario, scores, lead, image_id, partner, seed)

    figure = Figure(figsize=(10, 8.6), dpi=_DPI)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.925, bottom=0.01, hspace=0.14, wspace=0.05)
    canvas = FigureCanvasAgg(figure)
    name = f"{model or 'maps without a network'} on {scenario}"
    figure.suptitle(f"{name}  ·  {results.dataset.name} {results.dataset.version}", fontsize=12)
    for (row, column), picture in sorted(grid.items()):
        axis = figure.add_subplot(_ROWS, _COLUMNS, row * _COLUMNS + column + 1)
        axis.set_axis_off()
        axis.set_title(picture.title, fontsize=7.5)
        axis.imshow(
            picture.values, cmap=picture.colours, vmin=picture.low, vmax=picture.high, interpolation="nearest", aspect="equal"
        )
    canvas.draw()
    data = _small_png(np.asarray(canvas.buffer_rgba())[..., :3])
    path = Path(out_png)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path} must be a file that can be written, got {error}. Choose another place.") from error
    return path


def _small_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture (h, w, 3) as PNG below the limit, with as many colours as that allows."""
    page = Image.fromarray(np.ascontiguousarray(pixels))
    data = b""
    for colours in _COLOURS:
        buffer = BytesIO()
        page.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        data = buffer.getvalue()
        if len(data) < FIGURE_LIMIT:
            break
    return data


def _image(scores: pd.DataFrame, lead: Lead) -> tuple[str, int | None]:
    """Return the image of class 1 that is shown, and the training whose maps are."""
    ones = scores[scores["label"] == 1]
    for name in shown_explainers(ones, lead):
        found = choose(ones, lead, name)
        middle = next((one for one in found if one.case == "median"), found[0])
        return middle.image_id, middle.seed
    if ones.empty:
        raise InputError("a figure must have an image of class 1, got none with scores. Score maps of class 1.")
    return str(ones["image_id"].min()), None


def _partner(results: Results, image_id: str) -> str | None:
    """Return the image of class 0 of the same pair, else the first of class 0 of the same scenario and split; None: none is."""
    table = results.dataset.table
    row = table[table["image_id"] == image_id].iloc[0]
    zeros = table[(table["scenario"] == row["scenario"]) & (table["split"] == row["split"]) & (table["label"] == 0)]
    paired = zeros[zeros["pair"] == row["pair"]] if row["pair"] is not None else zeros.iloc[:0]
    found = paired if len(paired) else zeros
    return str(found["image_id"].min()) if len(found) else None


def _grid(
    results: Results,
    model: str,
    scenario: str,
    scores: pd.DataFrame,
    lead: Lead,
    image_id: str,
    partner: str | None,
    seed: int | None,
) -> dict[tuple[int, int], _Picture]:
    """Return the pictures by row and column."""
    grid: dict[tuple[int, int], _Picture] = {}
    for row, one in enumerate(name for name in (image_id, partner) if name is not None):
        label = results.dataset[one].attributes["label"]
        grid[row, 0], grid[row + 2, 0] = _image_pictures(results, one, int(label))
    for row, found in enumerate(_rows(results, model, scenario, scores, image_id, seed)):
        other = None
        if partner is not None and found.group.kind == _CONFIDENCE:
            other = find_map(results, model, scenario, seed, found.group.explainer, partner)
        for column, picture in enumerate(_map_pictures(results, found, lead, other), 1):
            if picture is not None:
                grid[row, column] = picture
    return grid


def _rows(results: Results, model: str, scenario: str, scores: pd.DataFrame, image_id: str, seed: int | None) -> list[StoredMap]:
    """Return the maps that are shown: of the kinds of MISO in their order, the first of each, then others."""
    names = ["ppm", "pcm", *sorted(set(scores.loc[roles(scores).isin(("prediction", "explainer")), "explainer"]))]
    maps = [find_map(results, model, scenario, seed, name, image_id) for name in dict.fromkeys(names)]
    found = sorted((one for one in maps if one is not None), key=lambda it: (_ORDER.index(it.group.kind), it.group.explainer))
    first: dict[str, StoredMap] = {}
    for one in found:
        first.setdefault(one.group.kind, one)
    chosen = [*first.values(), *(one for one in found if first[one.group.kind] is not one)][:_ROWS]
    return sorted(chosen, key=lambda it: (_ORDER.index(it.group.kind), it.group.explainer))


def _image_pictures(results: Results, image_id: str, label: int) -> tuple[_Picture, _Picture]:
    """Return an image and its truth."""
    view = results.dataset[image_id]
    shrunk = shrink(view.read, Box(0, 0, *view.shape[1:]), _SIDE)
    truth = np.array(TRUTH_COLOURS, np.uint8)[shrunk_levels(view.truth.all(), 3, _SIDE)]
    return _Picture(f"class {label}: {image_id}", shrunk.picture, high=255), _Picture(f"truth of class {label}", truth)


def _map_pictures(results: Results, found: StoredMap, lead: Lead, other: StoredMap | None) -> list[_Picture | None]:
    """Return a map, its mask (of a PCM: that of the partner), its target, and the difference."""
    name = found.group.explainer
    is_confidence = found.group.kind == _CONFIDENCE
    layers = layers_of(results, found, lead)
    low, high = map_range(layers.values, signed=layers.signed)
    if found.group.kind in ("ppm", "pcm") and not layers.signed:
        low, high = 0.0, 1.0
    colours = "PuOr_r" if layers.signed else "cividis"
    pictures: list[_Picture | None] = [_Picture(name, shrunk_values(layers.values, _SIDE), colours, low, high)]
    mask = layers.values > 0.0 if found.group.kind == "ppm" else layers.mask
    second = None if mask is None else _Picture(f"{name}, marked", _small(mask))
    if is_confidence:
        second = None
        if other is not None and other.values.ndim == 2:
            second = _Picture(f"{name} of the partner", shrunk_values(other.values, _SIDE), colours, low, high)
    shape = layers.values.shape if is_confidence or mask is None else mask.shape
    truth, _ = truth_of(results, found.image_id, lead.positive, shape)
    if truth is None:
        return [*pictures, second]
    pictures += [second, _Picture("target", _small(truth))]
    if is_confidence:
        difference = np.abs(np.nan_to_num(layers.values.astype(np.float64)) - truth)
        pictures.append(_Picture(f"|{name} - target|", shrunk_values(difference, _SIDE), "cividis"))
    elif mask is not None:
        pictures.append(_Picture("marked XOR target", _small(mask ^ truth)))
    return pictures


def _small(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return shrunk_levels(mask.astype(np.uint8), 2, _SIDE)
