"""The truth that maps are scored against: of pixels, or of the cells of patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miso_gen.data import patch_table
from miso_gen.data.stitching import cells_of, positive_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miso_gen.data.patches import PatchTable
    from miso_gen.store import Dataset
    from miso_gen.train.experiment import Patches


@dataclass(frozen=True, eq=False)
class Truth:
    """What is true of an image.

    Attributes:
        levels: (H, W) uint8: 0, 1 (object), 2 (evidence), of pixels or of cells.
        instances: (H, W), object of each pixel, 0 for none; None of cells.
    """

    levels: NDArray[np.uint8]
    instances: NDArray[np.int64] | None = None


class Truths:
    """The truths of some images.

    Args:
        dataset: The images.
        ids: Those asked for.
        patches: How they are cut, for maps of cells; None: there are no such maps.
        bit: Where images are of several classes at once: the class that is asked for; labels are then 0 or 1.
    """

    def __init__(self, dataset: Dataset, ids: Sequence[str], patches: Patches | None, bit: int | None = None) -> None:
        self.dataset, self.ids, self.patches, self.bit = dataset, tuple(ids), patches, bit
        self._tables: dict[int, PatchTable] = {}
        table = dataset.table
        self._sizes = dict(
            zip(table["image_id"], zip(table["height"].tolist(), table["width"].tolist(), strict=True), strict=True)
        )
        self._labels = dict(zip(table["image_id"], table["label"].tolist(), strict=True))

    def at_pixels(self, image_id: str, *, instances: bool = True) -> Truth:
        """Return the truth of the pixels of an image."""
        view = self.dataset[image_id]
        objects = np.asarray(view.instances[...]).astype(np.int64) if instances else None
        return Truth(np.asarray(view.truth[...]), objects)

    def of_cells(self, image_id: str) -> Truth:
        """Return the truth of the cells of an image: a cell has a level where every patch that covers it shows enough of it.

        All patches count, also those that were left out as background.
        """
        assert self.patches is not None  # maps of cells are of patches
        known = [level for level in (1, 2) if level == 1 or self._evidence_known(image_id)]
        cells = cells_of(self._table(1), image_id)
        levels = np.zeros((cells.rows, cells.cols), np.uint8)
        for level in known:
            share = self.patches.min_share
            levels[positive_cells(self._table(level), image_id, positive=level, min_share=share)] = level
        return Truth(levels)

    def of(self, image_id: str, at: str) -> Truth:
        """Return the truth of an image where maps lie, ``pixel`` or ``grid``."""
        return self.of_cells(image_id) if at == "grid" else self.at_pixels(image_id)

    def size(self, image_id: str, at: str) -> tuple[int, int]:
        """Return rows and columns of a map of an image that lies there."""
        height, width = self._sizes[image_id]
        if at == "pixel":
            return height, width
        assert self.patches is not None  # maps of cells are of patches
        px = self.patches.size // 2
        return height // px, width // px

    def label(self, image_id: str) -> int:
        """Return the class of an image; of several at once, whether it is of the one asked for, 0 or 1."""
        label = int(self._labels[image_id])
        return label if self.bit is None else label >> self.bit & 1

    def cell_px(self) -> int | None:
        """Return the side of a cell, px; None: there are none."""
        return None if self.patches is None else self.patches.size // 2

    def _table(self, positive: int) -> PatchTable:
        assert self.patches is not None
        if positive not in self._tables:
            shift = self.patches.shift if self.patches.shift != "legacy" else "none"  # where its patches lie
            self._tables[positive] = patch_table(
                self.dataset, self.ids, size=self.patches.size, shift=shift, background="keep", positive=positive
            )
        return self._tables[positive]

    def _evidence_known(self, image_id: str) -> bool:
        table = self._table(2)
        return not bool(np.isnan(table.evidence_share[table.image == table.ids.index(image_id)]).any())
