"""Torch data sets of patches over stores. See :mod:`miso_gen.data.items` for what an item is."""

from __future__ import annotations

from operator import index as whole_number
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from miso_gen.data.items import as_tensors, chosen_ids, cut_apart, opened, stacked, wanted_pictures
from miso_gen.data.patches import PatchTable, patch_table
from miso_gen.data.pixels import POOL_BYTES, PixelPool, StorePixels
from miso_gen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from miso_gen.data.grid import Shift
    from miso_gen.data.items import Item, Store, Transform
    from miso_gen.data.patches import Background, Labels
    from miso_gen.data.pixels import PixelSource

_MESSAGE = 2 * 2**20  # bytes of a message: each costs a millisecond beside them, and shared memory may be small


class TablePatches(TorchDataset["Item"]):
    """Patches of a table, from any source; a map-style data set.

    Args:
        table: The patches.
        source: Their pixels.
        truth: Whether items have the truth.
        instances: Whether items have the ids of objects.
        transform: Gets and returns an item.
        stored: Whether images keep their stored type.
        pool_bytes: Memory of decoded images, in each process.

    Attributes:
        table: The patches.
        pool: The decoded images of this process.
        transform: As given.
    """

    def __init__(
        self,
        table: PatchTable,
        source: PixelSource,
        *,
        truth: bool = False,
        instances: bool = False,
        transform: Transform | None = None,
        stored: bool = False,
        pool_bytes: int = POOL_BYTES,
    ) -> None:
        self.table, self.transform, self.stored = table, transform, stored
        self.pool = PixelPool(source, wanted_pictures(truth, instances), pool_bytes)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.table!r})"

    @property
    def images(self) -> NDArray[np.int64]:
        """(n,) int64, number of each patch's image: what an order goes by."""
        return self.table.image

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([whole_number(index)])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """Return items, whose tensors are parts of one; what a torch ``DataLoader`` calls for a batch."""
        return [self._transformed(item) for item in cut_apart(self._plain(np.asarray(indices, np.int64), stored=self.stored))]

    def batch(self, indices: Sequence[int] | NDArray[np.int64]) -> Item:
        """Return patches as one dict: ``image`` (B, C, s, s), ``label``, ``row``, ``col`` (B,) int64, ``image_id`` a list.

        Args:
            indices: Rows of the table, at least one.

        Raises:
            InputError: There are none, or their images have different channels or types.
            CorruptStoreError: What must be read is missing or broken.
        """
        return self._batch(np.asarray(indices, np.int64))

    @property
    def joins(self) -> int:
        """Patches that may be made in one and cut apart, about: what fits into a message between processes."""
        return _MESSAGE // (self.table.size**2 * len(self.pool.pictures)) if self.transform is None else 1

    def load(self, indices: NDArray[np.int64], epoch: int, *, raw: bool = False) -> Item:
        """Return a batch of an epoch, see :meth:`batch`; ``raw``: in stored types, for :meth:`finish`."""
        if raw and self.transform is None:
            return self._plain(indices, stored=True)
        return self._batch(indices)

    def finish(self, batch: Item) -> Item:
        """Return a raw batch as :meth:`batch` would, any other as it is."""
        image = batch["image"]
        if self.stored or image.dtype not in (torch.uint8, torch.uint16):
            return batch
        return {**batch, **as_tensors({"image": image.numpy()}, False, self.pool.outputs)}

    def keep(self, images: int) -> None:
        """Make the pool able to hold so many images; those that are too large for it are read patch by patch."""
        self.pool.least = max(images, 1)

    def _batch(self, rows: NDArray[np.int64]) -> Item:
        batch = self._plain(rows, stored=self.stored)
        return batch if self.transform is None else stacked([self._transformed(item) for item in cut_apart(batch)])

    def _plain(self, rows: NDArray[np.int64], *, stored: bool) -> Item:
        """Return a batch without transform."""
        if not len(rows):
            raise InputError("indices must name at least one patch, got none.")
        table = self.table
        ids = [table.ids[number] for number in table.image[rows].tolist()]
        row, col = table.row[rows], table.col[rows]
        pictures = self.pool.patches(ids, row.tolist(), col.tolist(), table.size)
        places = {"row": torch.from_numpy(row), "col": torch.from_numpy(col)}
        return {
            **as_tensors(pictures, stored, self.pool.outputs),
            "label": torch.from_numpy(table.label[rows]),
            **places,
            "image_id": ids,
        }

    def _transformed(self, item: Item) -> Item:
        return item if self.transform is None else self.transform(item)


class PatchDataset(TablePatches):
    """Patches of the images of a store; a map-style data set. See :mod:`miso_gen.data.items` for what an item is.

    ::

        train = PatchDataset("datasets/miso1/1.0.0", scenario="evp", split="train")
        for batch in PatchLoader(train, batch=36): ...

    With ``labels="truth"``, patches of no class (label -1) are left out.

    Args:
        store: Its folder or URL, or an opened data set.
        split: Images of this split only.
        scenario: Images of this scenario only.
        ids: These images only.
        size: Side of a patch, px.
        shift: Whether a second grid, shifted by half a patch, follows the first; see :func:`~miso_gen.data.grid.grid_patches`.
        background: Which patches are left out; see :func:`~miso_gen.data.patches.patch_table`.
        min_share: Share of object, or of evidence, that is too little.
        labels: ``inherit`` from the image, or by the ``truth``.
        positive: Level of the truth from which on pixels are evidence.
        truth: Whether items have the truth.
        instances: Whether items have the ids of objects.
        transform: Gets and returns an item, image and truth together.
        stored: Whether images keep their stored type.
        pool_bytes: Memory of decoded images, in each process.

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
        labels: Labels = "inherit",
        positive: int = 2,
        truth: bool = False,
        instances: bool = False,
        transform: Transform | None = None,
        stored: bool = False,
        pool_bytes: int = POOL_BYTES,
    ) -> None:
        self.dataset = opened(store)
        table = patch_table(
            self.dataset,
            chosen_ids(self.dataset, split=split, scenario=scenario, ids=ids),
            size=size,
            shift=shift,
            background=background,
            min_share=min_share,
            labels=labels,
            positive=positive,
        )
        if labels == "truth":
            table = table.where(table.label >= 0)
        super().__init__(
            table,
            StorePixels(self.dataset),
            truth=truth,
            instances=instances,
            transform=transform,
            stored=stored,
            pool_bytes=pool_bytes,
        )
