"""Some patches or images of an experiment, to ask a network about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from miso_gen.data import ImageDataset, PatchDataset
from miso_gen.errors import InputError
from miso_gen.rng import Stream
from miso_gen.train.feeding import as_images

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from miso_gen.train.tasks import Part, Task

_PIXELS: Final = 1 << 20  #: that the network is given at a time


@dataclass(frozen=True, eq=False)
class Sample:
    """What is explained in a study.

    Attributes:
        images: (n, C, H, W) float32 in [0, 1].
        labels: (n,) whole numbers.
        truth: (n, H, W) uint8.
    """

    images: Tensor
    labels: tuple[int, ...]
    truth: Tensor

    @property
    def batch(self) -> int:
        """How many of them the network is given at a time."""
        return max(1, min(len(self.images), _PIXELS // (self.images.shape[-1] * self.images.shape[-2])))


def draw_sample(task: Task, part: Part, items: int, device: torch.device) -> Sample:
    """Return some patches or images with evidence, of any kind where none has; in the order of the data set.

    Args:
        task: What was trained.
        part: Whose images.
        items: How many, at most.
        device: Where to.
    """
    every: PatchDataset | ImageDataset
    if task.reads == "patch":
        options = task.experiment.patches.table_options()
        every = PatchDataset(task.dataset, ids=task.ids[part], truth=True, stored=True, **options)
        shares = every.table.evidence_share
        usable = np.ones(len(every), np.bool_)
    else:
        every = ImageDataset(task.dataset, ids=task.ids[part], truth=True, stored=True)
        table = task.dataset.table.set_index("image_id").loc[list(every.ids)]
        shares = table["truth_2_share"].to_numpy(np.float64)
        usable = ((table["height"] == task.image_size[0]) & (table["width"] == task.image_size[1])).to_numpy()
    good = np.flatnonzero(usable & (shares > 0))
    rows = good if len(good) else np.flatnonzero(usable)
    if not len(rows):
        raise InputError(f"part must have patches or images to explain, got none in {part!r} of {task.scenario}. Take train.")
    marks = Stream("sanity", task.scenario, part).raw(len(rows))
    drawn = np.sort(rows[np.argsort(marks, kind="stable")[:items]])
    batch = every.batch(drawn) if isinstance(every, PatchDataset) else every.load(drawn, 0)
    return Sample(as_images(batch["image"], device), tuple(batch["label"].tolist()), batch["truth"].to(device))
