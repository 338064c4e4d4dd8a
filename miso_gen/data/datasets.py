"""Torch data sets over stores: patches, whole images, and bags of all patches of an image.

An item is a dict: ``image`` (C, H, W), float32 in [0, 1]; ``label``; ``truth`` (H, W) uint8 and ``instances`` (H, W) int32 where
they are asked for; ``image_id``; ``row`` and ``col``, the pixel of the image that is the item's upper left one. With ``stored``,
``image`` keeps the type of the store: a quarter of the bytes on the way to a GPU. Values become floats by one division, by 255 or
65535.

All data sets pickle, and work in processes that are forked or spawned.
"""

from __future__ import annotations

from operator import index as whole_number
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from miso_gen.data.patches import PatchTable, patch_table
from miso_gen.data.pixels import POOL_BYTES, PixelPool, StorePixels
from miso_gen.errors import InputError, UnknownNameError, listing
from miso_gen.rng import Stream
from miso_gen.store import Dataset, open_dataset

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from miso_gen.data.grid import Shift
    from miso_gen.data.patches import Background, Labels
    from miso_gen.data.pixels import Outputs, Picture, PixelSource

    Item = dict[str, Any]
    Transform = Callable[[Item], Item]
    Store = str | os.PathLike[str] | Dataset

_MESSAGE = 2 * 2**20  # bytes of a message: each costs a millisecond beside them, and shared memory may be small
_TOPS = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


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
        self.pool = PixelPool(source, _pictures(truth, instances), pool_bytes)

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
        return [self._transformed(item) for item in _items(self._plain(np.asarray(indices, np.int64), stored=self.stored))]

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
        return {**batch, **_tensors({"image": image.numpy()}, False, self.pool.outputs)}

    def keep(self, images: int) -> None:
        """Make the pool able to hold so many images; those that are too large for it are read patch by patch."""
        self.pool.least = max(images, 1)

    def _batch(self, rows: NDArray[np.int64]) -> Item:
        batch = self._plain(rows, stored=self.stored)
        return batch if self.transform is None else stacked([self._transformed(item) for item in _items(batch)])

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
            **_tensors(pictures, stored, self.pool.outputs),
            "label": torch.from_numpy(table.label[rows]),
            **places,
            "image_id": ids,
        }

    def _transformed(self, item: Item) -> Item:
        return item if self.transform is None else self.transform(item)


class PatchDataset(TablePatches):
    """Patches of the images of a store; a map-style data set. See :mod:`miso_gen.data.datasets` for what an item is.

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
        self.dataset = _opened(store)
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


class ImageDataset(TorchDataset["Item"]):
    """Whole images of a store; a map-style data set. See :mod:`miso_gen.data.datasets` for what an item is.

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
        self.dataset = _opened(store)
        self.ids = chosen_ids(self.dataset, split=split, scenario=scenario, ids=ids)
        self.labels = _labels(self.dataset, self.ids)
        self.transform, self.stored = transform, stored
        self._pictures = _pictures(truth, instances)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"ImageDataset({len(self)} images)"

    @property
    def images(self) -> NDArray[np.int64]:
        """(n,) int64, number of each item's image."""
        return np.arange(len(self.ids), dtype=np.int64)

    def __getitem__(self, index: int) -> Item:
        image_id = self.ids[index]
        view = self.dataset[image_id]
        arrays = {name: getattr(view, name).all()[None] for name in self._pictures}
        pictures = _tensors(arrays, self.stored)
        item = {name: tensor[0] for name, tensor in pictures.items()}
        item |= {"label": int(self.labels[index]), "row": 0, "col": 0, "image_id": image_id}
        return item if self.transform is None else self.transform(item)

    joins = 1  # an item is large

    def finish(self, batch: Item) -> Item:
        """Return a batch as it is."""
        return batch

    def load(self, indices: NDArray[np.int64], epoch: int, *, raw: bool = False) -> Item:
        """Return a batch of an epoch: items, stacked.

        Raises:
            InputError: The images have different sizes.
        """
        return stacked([self[place] for place in indices.tolist()])

    def keep(self, images: int) -> None:
        """Do nothing: an epoch shows an image once, so none is kept."""


class BagDataset(TorchDataset["Item"]):
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
        self.dataset = _opened(store)
        names = chosen_ids(self.dataset, split=split, scenario=scenario, ids=ids)
        self.table = patch_table(self.dataset, names, size=size, shift=shift, background=background, min_share=min_share)
        counts = np.bincount(self.table.image, minlength=len(names))
        ends = np.cumsum(counts)
        there = np.flatnonzero(counts)
        self.ids = tuple(names[number] for number in there.tolist())
        self.labels = _labels(self.dataset, self.ids)
        self._spans = np.stack([ends - counts, ends], axis=1)[there]  # the table goes image by image
        self.most, self.seed, self.epoch = most, seed, 0
        self.transform, self.stored = transform, stored
        # One image at a time: it is held if it fits at all.
        self.pool = PixelPool(StorePixels(self.dataset), _pictures(truth, instances), POOL_BYTES, least=1)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"BagDataset({len(self)} images, {self.table!r})"

    @property
    def images(self) -> NDArray[np.int64]:
        """(n,) int64, number of each bag's image."""
        return np.arange(len(self.ids), dtype=np.int64)

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
        item = _tensors(pictures, self.stored)
        item |= {"label": int(self.labels[index]), "image_id": image_id}
        item |= {"rows": torch.from_numpy(row), "cols": torch.from_numpy(col)}
        return item if self.transform is None else self.transform(item)

    joins = 1  # an item is large

    def finish(self, batch: Item) -> Item:
        """Return a batch as it is."""
        return batch

    def load(self, indices: NDArray[np.int64], epoch: int, *, raw: bool = False) -> Item:
        """Return bags of an epoch as one dict: ``label`` (B,) int64; all else lists, as bags differ in size."""
        bags = [self._bag(place, epoch) for place in indices.tolist()]
        batch: Item = {name: [bag[name] for bag in bags] for name in bags[0]}
        batch["label"] = torch.tensor(batch["label"])
        return batch

    def keep(self, images: int) -> None:
        """Do nothing: an epoch shows an image once, so none is kept."""


# --- what they share --------------------------------------------------------------------------------------------------


def chosen_ids(
    dataset: Dataset, *, split: str | None = None, scenario: str | None = None, ids: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Return the ids of the images that all conditions leave, in the order of ``ids``, or sorted.

    Raises:
        UnknownNameError: There is no such image, split or scenario.
        InputError: No image is left.
    """
    table = dataset.table
    for kind, name in (("split", split), ("scenario", scenario)):
        known = tuple(dict.fromkeys(table[kind]))
        if name is not None and name not in known:
            raise UnknownNameError(kind, name, known)
    rows = zip(table["image_id"], table["split"], table["scenario"], strict=True)
    left = [name for name, *place in rows if place[0] in (split or place[0],) and place[1] in (scenario or place[1],)]
    if ids is not None:
        names, among = tuple(ids), set(left)
        for name in names:
            if name not in dataset:
                raise UnknownNameError("image", name, dataset.ids)
        left = [name for name in names if name in among]
    if not left:
        known_splits, known_scenarios = (listing(dict.fromkeys(table[kind])) for kind in ("split", "scenario"))
        raise InputError(
            f"split, scenario and ids must leave an image, got split {split!r}, scenario {scenario!r}. "
            f"Splits: {known_splits}; scenarios: {known_scenarios}."
        )
    return tuple(left)


def stacked(items: Sequence[Item]) -> Item:
    """Return items as one batch: tensors stacked, whole numbers as (B,) int64, all else as lists.

    Raises:
        InputError: Tensors of one name have different shapes.
    """
    batch: Item = {}
    for name in items[0]:
        values = [item[name] for item in items]
        if isinstance(values[0], torch.Tensor):
            shapes = {tuple(value.shape) for value in values}
            if len(shapes) > 1:
                text = listing(map(str, sorted(shapes)), 3)
                raise InputError(f"items of a batch must have one shape, got {name} of {text}. Use batch=1.")
            batch[name] = torch.stack(values)
        elif isinstance(values[0], int):
            batch[name] = torch.tensor(values)
        else:
            batch[name] = values
    return batch


def _items(batch: Item) -> list[Item]:
    """Return the items of a batch: parts of its tensors, labels and places as whole numbers."""
    columns = {name: value.tolist() if name in ("label", "row", "col") else value for name, value in batch.items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _tensors(pictures: dict[Picture, NDArray[Any]], stored: bool, outputs: Outputs | None = None) -> Item:
    """Return arrays as tensors, the image in [0, 1] unless its stored type is wanted."""
    out: Item = {}
    for name, array in pictures.items():
        top = None if name != "image" or stored else _TOPS.get(array.dtype)
        # Divided by numpy: it takes one pass, and torch would start threads that a fork does not survive.
        space = None if top is None or outputs is None else outputs.take(array.shape, np.dtype(np.float32))
        values = array if top is None else np.divide(array, np.float32(top), out=space, dtype=np.float32)
        out[name] = torch.from_numpy(values.astype(np.int32, copy=False) if name == "instances" else values)
    return out


def _pictures(truth: bool, instances: bool) -> tuple[Picture, ...]:
    wanted: tuple[tuple[Picture, bool], ...] = (("image", True), ("truth", truth), ("instances", instances))
    return tuple(name for name, is_wanted in wanted if is_wanted)


def _opened(store: Store) -> Dataset:
    return store if isinstance(store, Dataset) else open_dataset(store)


def _labels(dataset: Dataset, ids: Sequence[str]) -> NDArray[np.int64]:
    return np.asarray(dataset.table.set_index("image_id")["label"].loc[list(ids)], np.int64)
