"""Torch data sets of which an item is an image: whole, or the bag of its patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from miso_gen.data.items import as_tensors, chosen_ids, labels_of, opened, stacked, wanted_pictures
from miso_gen.data.patches import patch_table
from miso_gen.data.pixels import POOL_BYTES, PixelPool, StorePixels
from miso_gen.errors import InputError
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from miso_gen.data.grid import Shift
    from miso_gen.data.items import Item, Store, Transform
    from miso_gen.data.patches import Background


class ItemPerImage(TorchDataset["Item"]):
    """A data set with an item for each image; what a loader asks of it.

    Attributes:
        ids: The images.
    """

    ids: tuple[str, ...]
    joins = 1  #: items that may be made in one: they are large

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def images(self) -> NDArray[np.int64]:
        """(n,) int64, number of each item's image."""
        return np.arange(len(self.ids), dtype=np.int64)

    def finish(self, batch: Item) -> Item:
        """Return a batch as it is."""
        return batch

    def keep(self, images: int) -> None:
        """Do nothing: an epoch shows an image once, so none is kept."""


class ImageDataset(ItemPerImage):
    """Whole images of a store; a map-style data set. See :mod:`miso_gen.data.items` for what an item is.

    Args:
        store: Its folder or URL, or an opened data set.
        split: Images of this split only.
        scenario: Images of this scenario only.
        ids: These images only.
        truth: Whether items have the truth.
        instances: Whether items have the ids of objects.
        transform: Gets and returns an item.
        stored: Whether images keep their stored type.

    Attributes:
        ids: The images.
        labels: (n,) int64, their labels.

    Raises:
        UnknownNameError: There is no such image, split or scenario.
        StoreError: There is no store, or it can't be read.
    """

    def __init__(
        self,
        store: Store,
        *,
        split: str | None = None,
        scenario: str | None = None,
        ids: Iterable[str] | None = None,
        truth: bool = False,
        instances: bool = False,
        transform: Transform | None = None,
        stored: bool = False,
    ) -> None:
        self.dataset = opened(store)
        self.ids = chosen_ids(self.dataset, split=split, scenario=scenario, ids=ids)
        self.labels = labels_of(self.dataset, self.ids)
        self.transform, self.stored = transform, stored
        self._pictures = wanted_pictures(truth, instances)

    def __repr__(self) -> str:
        return f"ImageDataset({len(self)} images)"

    def __getitem__(self, index: int) -> Item:
        image_id = self.ids[index]
        view = self.dataset[image_id]
        arrays = {name: getattr(view, name).all()[None] for name in self._pictures}
        pictures = as_tensors(arrays, self.stored)
        item = {name: tensor[0] for name, tensor in pictures.items()}
        item |= {"label": int(self.labels[index]), "row": 0, "col": 0, "image_id": image_id}
        return item if self.transform is None else self.transform(item)

    def load(self, indices: NDArray[np.int64], epoch: int, *, raw: bool = False) -> Item:
        """Return a batch of an epoch: items, stacked.

        Raises:
            InputError: The images have different sizes.
        """
        return stacked([self[place] for place in indices.tolist()])


class BagDataset(ItemPerImage):
    """All kept patches of an image as one item; a map-style data set of images, for multiple-instance learning.

    An item has ``image`` (n, C, s, s), ``label``, ``rows`` and ``cols`` (n,) int64, ``image_id``, and where asked for
    ``truth`` and ``instances`` (n, s, s). Images without a kept patch are left out.

    Args:
        store: Its folder or URL, or an opened data set.
        split: Images of this split only.
        scenario: Images of this scenario only.
        ids: These images only.
        size: Side of a patch, px.
        shift: Whether a second grid follows the first; see :func:`~miso_gen.data.grid.grid_patches`.
        background: Which patches are left out; see :func:`~miso_gen.data.patches.patch_table`.
        min_share: Share of object that is too little.
        most: Patches of a bag at most, drawn anew in each epoch; None: all.
        seed: Decides them, with the epoch.
        truth: Whether items have the truth.
        instances: Whether items have the ids of objects.
        transform: Gets and returns an item.
        stored: Whether images keep their stored type.

    Attributes:
        ids: The images.
        labels: (n,) int64, their labels.
        table: All patches.
        epoch: What decides the draw of ``most`` patches, where no loader does.

    Raises:
        InputError: An argument can't be.
        UnknownNameError: There is no such image, split or scenario.
        StoreError: There is no store, or it can't be read.
    """

    def __init__(
        self,
        store: Store,
        *,
        split: str | None = None,
        scenario: str | None = None,
        ids: Iterable[str] | None = None,
        size: int = 96,
        shift: Shift = "half",
        background: Background = "drop",
        min_share: float = 0.1,
        most: int | None = None,
        seed: int = 0,
        truth: bool = False,
        instances: bool = False,
        transform: Transform | None = None,
        stored: bool = False,
    ) -> None:
        if most is not None and most < 1:
            raise InputError(f"most must be 1 patch or more, got {most}. Use None for all patches.")
        self.dataset = opened(store)
        names = chosen_ids(self.dataset, split=split, scenario=scenario, ids=ids)
        self.table = patch_table(self.dataset, names, size=size, shift=shift, background=background, min_share=min_share)
        counts = np.bincount(self.table.image, minlength=len(names))
        ends = np.cumsum(counts)
        there = np.flatnonzero(counts)
        self.ids = tuple(names[number] for number in there.tolist())
        self.labels = labels_of(self.dataset, self.ids)
        self._spans = np.stack([ends - counts, ends], axis=1)[there]  # the table goes image by image
        self.most, self.seed, self.epoch = most, seed, 0
        self.transform, self.stored = transform, stored
        # One image at a time: it is held if it fits at all.
        self.pool = PixelPool(StorePixels(self.dataset), wanted_pictures(truth, instances), POOL_BYTES, least=1)

    def __repr__(self) -> str:
        return f"BagDataset({len(self)} images, {self.table!r})"

    def __getitem__(self, index: int) -> Item:
        return self._bag(index, self.epoch)

    def _bag(self, index: int, epoch: int) -> Item:
        image_id = self.ids[index]
        start, stop = self._spans[index].tolist()
        rows = np.arange(start, stop)
        if self.most is not None and self.most < len(rows):
            marks = Stream(self.seed, "bag", epoch, image_id).raw(len(rows))
            rows = np.sort(rows[np.argsort(marks, kind="stable")[: self.most]])
        row, col = self.table.row[rows], self.table.col[rows]
        pictures = self.pool.patches([image_id] * len(rows), row.tolist(), col.tolist(), self.table.size)
        item = as_tensors(pictures, self.stored)
        item |= {"label": int(self.labels[index]), "image_id": image_id}
        item |= {"rows": torch.from_numpy(row), "cols": torch.from_numpy(col)}
        return item if self.transform is None else self.transform(item)

    def load(self, indices: NDArray[np.int64], epoch: int, *, raw: bool = False) -> Item:
        """Return bags of an epoch as one dict: ``label`` (B,) int64; all else lists, as bags differ in size."""
        bags = [self._bag(place, epoch) for place in indices.tolist()]
        batch: Item = {name: [bag[name] for bag in bags] for name in bags[0]}
        batch["label"] = torch.tensor(batch["label"])
        return batch
