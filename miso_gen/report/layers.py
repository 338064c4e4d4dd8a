"""The map of an image beside its truth: found, made black and white, compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
import torch

from miso_gen.data.patches import patch_table
from miso_gen.data.stitching import positive_cells
from miso_gen.report.declared import binarizer_of
from miso_gen.store.maps import MapStore

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from miso_gen.report.cells import Lead
    from miso_gen.report.results import Results
    from miso_gen.store.map_group import MapGroup, StoredMap

TruthRule: TypeAlias = Literal["pixels", "patches", "cells", "unknown"]

#: Where the truth of a comparison comes from, in words.
TRUTH_RULES: Final = {
    "pixels": "truth of each pixel",
    "patches": "a cell is evidence where every patch that covers it shows enough of it",
    "cells": "a cell is evidence where more than half of it is",
    "unknown": "nobody knows the evidence of this image",
}
_HALF: Final = 0.5


@dataclass(frozen=True, eq=False)
class Layers:
    """A map, and what a score sees of it.

    Attributes:
        found: The map as it is stored.
        values: (H, W) float32, of several maps that of the class; nan: no value.
        mask: (h, w) bool, the map made black and white; None: nobody knows how.
        difference: (h, w) uint8: 0 neither, 1 both, 2 marked only, 3 evidence only; None: there is no mask, or no truth.
        rule: Where the truth comes from.
        extent: Height and width that the map covers, as shares of the image.
    """

    found: StoredMap
    values: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    difference: NDArray[np.uint8] | None
    rule: TruthRule
    extent: tuple[float, float]

    @property
    def signed(self) -> bool:
        """Whether colours should tell negative values from positive ones."""
        return self.found.group.signed or bool(np.nanmin(self.values, initial=0.0) < 0)


def find_map(results: Results, model: str, scenario: str, seed: float | None, explainer: str, image_id: str) -> StoredMap | None:
    """Return the map of an image, of the first place that has it; None: none has.

    Args:
        results: Where maps are.
        model: Network, as in the tables.
        scenario: What it was trained on; a network that was trained on several is found, too.
        seed: Of its training; None or nan: any.
        explainer: Name of the group of maps.
        image_id: The image.
    """
    names = run_names(results, model, scenario, seed)
    for source in results.maps:
        if isinstance(source, MapStore):
            for name in (name for name in names if name in source.models()):
                if explainer in source.explainers(name) and source.has(name, explainer, image_id):
                    return source.read(name, explainer, image_id)
        elif source.group.explainer == explainer and source.group.model in ("", *names) and source.ids([image_id]):
            return source.read(image_id)
    return None


def run_names(results: Results, model: str, scenario: str, seed: float | None) -> list[str]:
    """Return what the network may be called in stores of maps, the likeliest first."""
    any_seed = seed is None or seed != seed
    runs = [run for run in results.runs if run.model == model and (any_seed or run.seed == seed)]
    exact = [run.name for run in runs if run.scenario == scenario]
    return list(dict.fromkeys([*(exact or [run.name for run in runs]), *([model] if model else [])]))


def layers_of(results: Results, found: StoredMap, lead: Lead) -> Layers:
    """Return a map with its mask and what of it is right, as the score of a lead sees it.

    Cells without a value count as 0 for masks.

    Args:
        results: Where truth is.
        found: The map.
        lead: Binariser, level of truth, and whether cells or pixels are compared.
    """
    image_id, group = found.image_id, found.group
    height, width = results.dataset[image_id].shape[1:]
    values = _one(found, _label(results, image_id))
    rows, cols = values.shape
    cell = group.cell_px or (1 if values.shape == (height, width) else None)
    extent = (1.0, 1.0) if cell is None else (min(1.0, rows * cell / height), min(1.0, cols * cell / width))
    binarizer = binarizer_of(lead.binarizer) if lead.binarizer else None
    mask = None
    if binarizer is not None:
        shown = _toward_class(values, group, _label(results, image_id))
        mask = shown == 1 if group.kind == "ppm" else None
        if mask is None:
            mask = binarizer.binarize(torch.from_numpy(np.nan_to_num(shown, nan=0.0).astype(np.float64))).numpy()
        if lead.at == "pixel" and values.shape != (height, width):
            mask = _spread(mask, height, width, cell)
    shape = values.shape if mask is None else mask.shape
    truth, rule = truth_of(results, image_id, lead.positive, shape)
    difference = None
    if mask is not None and truth is not None:
        difference = np.select([mask & truth, mask, truth], [1, 2, 3], 0).astype(np.uint8)
    return Layers(found, values, mask, difference, rule, extent)


def truth_of(
    results: Results, image_id: str, positive: int, shape: tuple[int, ...]
) -> tuple[NDArray[np.bool_] | None, TruthRule]:
    """Return where there is evidence, at pixels or on cells by the shape asked for, and by which rule.

    Args:
        results: The data set, and the patches whose cells these may be.
        image_id: The image.
        positive: Level of truth from which on there is evidence.
        shape: (h, w) of a map.
    """
    view, row = results.dataset[image_id], _record(results, image_id)
    if positive == 2 and row["truth_2_known"] is False:
        return None, "unknown"
    height, width = view.shape[1:]
    if shape == (height, width):
        return view.truth.all() >= positive, "pixels"
    patches = results.patches or {}
    px = int(patches.get("size", 0)) // 2
    if px and shape == (height // px, width // px):
        options: dict[str, Any] = {"size": 2 * px, "shift": patches.get("shift", "half")}
        table = patch_table(results.dataset, [image_id], background="keep", positive=positive, **options)
        share = float(patches.get("min_share", 0.1))
        return positive_cells(table, image_id, positive=positive, min_share=share), "patches"
    return _shares(view.truth.all() >= positive, shape) > _HALF, "cells"


def _shares(truth: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the share of True in each cell of a grid over an image; cells of (almost) equal size."""
    edges = [np.arange(cells) * pixels // cells for cells, pixels in zip(shape, truth.shape, strict=True)]
    sums = np.add.reduceat(np.add.reduceat(truth.astype(np.float64), edges[0], axis=0), edges[1], axis=1)
    down, across = (np.diff(np.append(edge, size)) for edge, size in zip(edges, truth.shape, strict=True))
    return sums / (down[:, None] * across[None, :])


def _spread(mask: NDArray[np.bool_], height: int, width: int, cell: int | None) -> NDArray[np.bool_]:
    """Return a mask of cells at pixels; False right of and below the last cell."""
    rows, cols = (
        np.arange(size) // cell if cell else np.arange(size) * cells // size
        for size, cells in zip((height, width), mask.shape, strict=True)
    )
    inside = (rows < mask.shape[0])[:, None] & (cols < mask.shape[1])[None, :]
    return mask[np.minimum(rows, mask.shape[0] - 1)][:, np.minimum(cols, mask.shape[1] - 1)] & inside


def _toward_class(values: NDArray[np.float32], group: MapGroup, label: int) -> NDArray[np.float32]:
    """Return maps of predictions as they are scored, toward the class of the image; others as they are."""
    return values if group.kind not in ("ppm", "pcm") or label == group.facts.get("positive", 1) else 1 - values


def _one(found: StoredMap, label: int) -> NDArray[np.float32]:
    """Return the one map of an image, or of several that of the explained class, else of the image's own."""
    if found.values.ndim == 2:
        return found.values
    wanted = label if found.target is None else found.target
    return np.asarray(found.values[min(max(wanted, 0), len(found.values) - 1)])


def _record(results: Results, image_id: str) -> dict[str, Any]:
    table = results.dataset.table
    row = table[table["image_id"] == image_id].iloc[0]
    known = bool(row["truth_2_known"]) if "truth_2_known" in table and row["truth_2_known"] is not None else True
    return {"label": int(row["label"]), "class_name": str(row["class_name"]), "pair": row["pair"], "truth_2_known": known}


def _label(results: Results, image_id: str) -> int:
    return int(_record(results, image_id)["label"])
