"""Maps of whole images that know nothing of the network: nulls, and the truth.

Beside maps of patches they lie on the same cells, so that none of them has more to go by. A null is a map of the whole image,
averaged over each cell: the centre is that of the image, not of each patch. Noise is drawn once a cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from miso_gen.data import patch_table
from miso_gen.data.stitching import cells_of, positive_cells
from miso_gen.explain.calling import maps_of
from miso_gen.explain.interfaces import Subject
from miso_gen.train.feeding import as_images

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from miso_gen.data.patches import PatchTable
    from miso_gen.explain.interfaces import Explainer, Model
    from miso_gen.train.tasks import Task

#: Nulls that don't look at the image, made at the size of the map: the mean of noise over a cell would be hardly noise.
PER_CELL: Final = frozenset({"random", "constant"})


class WholeImages:
    """Makes maps of whole images.

    Args:
        task: What was trained.
        model: The network, which nulls don't ask.
        device: Where it is.
    """

    def __init__(self, task: Task, model: Model, device: torch.device) -> None:
        self.task, self.model, self.device = task, model, device

    def at_pixels(self, explainer: Explainer, image: str, seed: int, covered: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Return the map of an image, (H, W).

        Args:
            explainer: A null, or one that needs the truth.
            image: Its id.
            seed: Of whatever is drawn.
            covered: (H, W), pixels that patches cover, to the others of which a null gives 0; None: all.
        """
        view = self.task.dataset[image]
        truth = torch.from_numpy(view.truth.all())[None] if "truth" in explainer.needs else None
        found = self._map(explainer, self._pixels(image), seed, truth)
        values: NDArray[np.float32] = found.cpu().numpy()
        if covered is not None and truth is None:
            values = np.where(covered, values, np.float32(0))
        return values

    def of_cells(self, explainer: Explainer, image: str, seed: int, covered: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the map of an image on cells of half a patch, (rows, cols), not yet scaled; nan where no patch is.

        The truth has a value wherever there is some, also where patches were left out as background.

        Args:
            explainer: A null, or one that needs the truth.
            image: Its id.
            seed: Of whatever is drawn.
            covered: (rows, cols), cells that patches cover.
        """
        rows, cols = covered.shape
        explainer = explainer.model_copy(update={"scale": "none"})
        blank = torch.zeros(1, self.task.in_channels, rows, cols, device=self.device)
        if "truth" in explainer.needs:
            levels = self.levels(image)
            found = self._map(explainer, blank, seed, torch.from_numpy(levels)[None]).cpu().numpy()
            return np.where(covered | (levels > 0), found, np.float32(np.nan))
        if explainer.type_name in PER_CELL:
            found = self._map(explainer, blank, seed, None).cpu().numpy()
        else:
            px = self.task.experiment.patches.size // 2
            wide = self._map(explainer, self._pixels(image), seed, None)[: rows * px, : cols * px]
            found = wide.double().reshape(rows, px, cols, px).mean((1, 3)).float().cpu().numpy()
        return np.where(covered, found, np.float32(np.nan))

    def levels(self, image: str) -> NDArray[np.uint8]:
        """Return the truth of the cells of an image, (rows, cols): level 1 or 2 where every patch shows enough of it.

        All patches count, also those that were left out as background. Where nobody knows the evidence, no cell has level 2.
        """
        patches = self.task.experiment.patches
        table = patch_table(self.task.dataset, (image,), size=patches.size, shift=patches.shift, background="keep", positive=2)
        cells = cells_of(table, image)
        levels = np.zeros((cells.rows, cells.cols), np.uint8)
        for level in (1, 2) if _is_known(table) else (1,):
            levels[positive_cells(table, image, positive=level, min_share=patches.min_share)] = level
        return levels

    def _pixels(self, image: str) -> Tensor:
        return as_images(torch.from_numpy(self.task.dataset[image].image.all())[None], self.device)

    def _map(self, explainer: Explainer, images: Tensor, seed: int, truth: Tensor | None) -> Tensor:
        target = torch.zeros(1, dtype=torch.int64, device=self.device)
        marks = None if truth is None else truth.to(self.device)
        return maps_of(explainer, Subject(self.model, images, target, (seed,), marks))[0]


def _is_known(table: PatchTable) -> bool:
    return not bool(np.isnan(table.evidence_share).any())
