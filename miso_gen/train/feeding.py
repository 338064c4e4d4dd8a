"""What a network is given: data sets and loaders of a task, batches as images, logits of all items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from miso_gen.data import BagDataset, Dihedral, ImageDataset, PatchDataset, PatchLoader
from miso_gen.data.datasets import TablePatches
from miso_gen.errors import InputError
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from miso_gen.train.tasks import Part, Task

Answer = TypeVar("Answer")
Items = PatchDataset | BagDataset | ImageDataset
_PATCHES: Final = 36  #: patches at once, at least


def items_of(task: Task, part: Part, *, training: bool = False) -> Items:
    """Return the items of a part.

    To train on, they are augmented, have the truth where a loss needs it, and of bags at most as many patches as wanted.
    Pixels keep their stored type: :func:`as_images` makes floats of them where the network is.

    Raises:
        InputError: There are none.
    """
    train, patches = task.experiment.train, task.experiment.patches
    transform = None
    if training and train.augmentation != "none":
        transform = Dihedral(turns=train.augmentation == "dihedral")
    ids, wanted = task.ids[part], _wanted(task, part)
    if wanted is not None and task.reads != "patch":
        ids = tuple(ids[place] for place in _drawn(part, len(ids), wanted))
    truth = training and bool(train.pixel_loss)
    common: dict[str, Any] = {"ids": ids, "transform": transform, "stored": True, "truth": truth}
    if task.reads == "image":
        return ImageDataset(task.dataset, **common)
    if task.reads == "bag":
        most = patches.most if training else None
        return BagDataset(task.dataset, **common, **patches.table_options(), most=most, seed=task.seed)
    items = PatchDataset(task.dataset, **common, **patches.table_options(), labels=patches.labels, positive=patches.positive)
    if wanted is not None:
        items.table = items.table.where(_drawn(part, len(items), wanted))
    if not len(items):
        raise InputError(f"patches of {task.scenario} must be at least one, got none of the part {part!r}. Keep the background.")
    return items


def _wanted(task: Task, part: Part) -> int | None:
    """Return how many items of a part are wanted; None: all."""
    subset = task.experiment.train.subset
    if subset is None or part == "test":
        return None
    if part == "validation":
        return subset.validation
    return subset.patches if task.reads == "patch" else subset.images


def _drawn(part: Part, count: int, wanted: int) -> NDArray[np.int64]:
    """Return the numbers of so many of the items, ascending; all, where there are fewer."""
    return np.sort(np.argsort(Stream("subset", part).raw(count), kind="stable")[:wanted])


def labels_of_items(items: Items) -> NDArray[np.int64]:
    """Return the label of each item, (n,) int64."""
    return items.table.label if isinstance(items, TablePatches) else items.labels


def targets_of(task: Task, labels: Tensor) -> Tensor:
    """Return labels (n,) as a loss wants them: as they are; or of several classes at once (n, classes), 0 or 1 each."""
    return labels[:, None] >> torch.arange(task.num_classes, device=labels.device) & 1 if task.several else labels


def targets_of_items(task: Task, items: Items) -> Tensor:
    """Return the targets of all items, see :func:`targets_of`."""
    return targets_of(task, torch.tensor(labels_of_items(items)))


def loader_of(task: Task, items: Items | Rows, *, training: bool, ranks: int = 1) -> PatchLoader:
    """Return a loader: shuffled to train, else in order. Of several ranks, all train on equally many batches."""
    train = task.experiment.train
    return PatchLoader(
        items,
        batch=train.batch if training else asked_at_once(task),
        seed=task.seed,
        pool=train.pool,
        workers=train.workers,
        shuffle=training,
        drop_last=training and ranks > 1,
        pin=train.device != "cpu",
    )


def asked_at_once(task: Task) -> int:
    """Return how many items a network is asked of at once: as many as it is trained on, of patches some more if those are few."""
    return max(task.experiment.train.batch, _PATCHES) if task.reads == "patch" else task.experiment.train.batch


def as_images(pixels: Tensor, device: torch.device) -> Tensor:
    """Return stored pixels as float32 in [0, 1] on a device."""
    moved = pixels.to(device, non_blocking=True)
    if moved.dtype == torch.uint8:
        return moved.to(torch.float32).div_(255)
    if moved.dtype == torch.uint16:
        return moved.to(torch.float32).div_(65535)
    return moved.to(torch.float32)


def logits_of(model: Callable[..., Answer], batch: dict[str, Any], device: torch.device) -> Answer:
    """Return what a model says of a batch of patches, images or bags: logits (B, classes). Bags are padded, with a mask."""
    pixels = batch["image"]
    if not isinstance(pixels, list):
        images = as_images(pixels, device)
        if images.device.type == "cuda":
            images = images.contiguous(memory_format=torch.channels_last)
        return model(images)
    longest = max(len(bag) for bag in pixels)
    bags = pixels[0].new_zeros(len(pixels), longest, *pixels[0].shape[1:])
    mask = torch.zeros(len(pixels), longest, dtype=torch.bool)
    for place, bag in enumerate(pixels):
        bags[place, : len(bag)] = bag
        mask[place, : len(bag)] = True
    return model(as_images(bags, device), mask.to(device))


@torch.no_grad()
def all_logits(model: nn.Module, task: Task, items: Items | Rows, device: torch.device) -> Tensor:
    """Return the logits of all items, (n, classes) float32 on the CPU, in the order of the items; of this rank's part alone.

    The network is in evaluation mode meanwhile.
    """
    was_training = model.training
    model.eval()
    try:
        loader = loader_of(task, items, training=False)
        parts = [logits_of(model, batch, device).float().cpu() for batch in loader]
    finally:
        model.train(was_training)
    return torch.cat(parts) if parts else torch.zeros(0, task.num_classes)


class Rows(TorchDataset[Any]):
    """Some items of others, for a loader.

    Args:
        items: The others.
        rows: Their numbers, (n,) int64.
    """

    def __init__(self, items: Items, rows: NDArray[np.int64]) -> None:
        self.items, self.rows = items, rows
        self.transform, self.joins = items.transform, items.joins

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def images(self) -> NDArray[np.int64]:
        """(n,) int64, number of each item's image."""
        return self.items.images[self.rows]

    def load(self, indices: NDArray[np.int64], epoch: int, *, raw: bool = False) -> dict[str, Any]:
        """Return a batch."""
        return self.items.load(self.rows[indices], epoch, raw=raw)

    def finish(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Finish a batch."""
        return self.items.finish(batch)

    def keep(self, images: int) -> None:
        """Keep so many images in memory."""
        self.items.keep(images)
