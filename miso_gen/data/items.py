"""What an item of a data set is, and how items become batches and batches items.

An item is a dict: ``image`` (C, H, W), float32 in [0, 1]; ``label``; ``truth`` (H, W) uint8 and ``instances`` (H, W) int32 where
they are asked for; ``image_id``; ``row`` and ``col``, the pixel of the image that is the item's upper left one. With ``stored``,
``image`` keeps the type of the store: a quarter of the bytes on the way to a GPU. Values become floats by one division, by 255 or
65535.

All data sets pickle, and work in processes that are forked or spawned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from miso_gen.errors import InputError, UnknownNameError, listing
from miso_gen.store import Dataset, open_dataset

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from miso_gen.data.pixels import Outputs, Picture

    Item = dict[str, Any]
    Transform = Callable[[Item], Item]
    Store = str | os.PathLike[str] | Dataset

_TOPS = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


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


def cut_apart(batch: Item) -> list[Item]:
    """Return the items of a batch: parts of its tensors, labels and places as whole numbers."""
    columns = {name: value.tolist() if name in ("label", "row", "col") else value for name, value in batch.items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def as_tensors(pictures: dict[Picture, NDArray[Any]], stored: bool, outputs: Outputs | None = None) -> Item:
    """Return arrays as tensors, the image in [0, 1] unless its stored type is wanted."""
    out: Item = {}
    for name, array in pictures.items():
        top = None if name != "image" or stored else _TOPS.get(array.dtype)
        # Divided by numpy: it takes one pass, and torch would start threads that a fork does not survive.
        space = None if top is None or outputs is None else outputs.take(array.shape, np.dtype(np.float32))
        values = array if top is None else np.divide(array, np.float32(top), out=space, dtype=np.float32)
        out[name] = torch.from_numpy(values.astype(np.int32, copy=False) if name == "instances" else values)
    return out


def wanted_pictures(truth: bool, instances: bool) -> tuple[Picture, ...]:
    """Return the names of the pictures of an item: the image, and what is asked for."""
    wanted: tuple[tuple[Picture, bool], ...] = (("image", True), ("truth", truth), ("instances", instances))
    return tuple(name for name, is_wanted in wanted if is_wanted)


def opened(store: Store) -> Dataset:
    """Return a data set that was given, or open the one that is named."""
    return store if isinstance(store, Dataset) else open_dataset(store)


def labels_of(dataset: Dataset, ids: Sequence[str]) -> NDArray[np.int64]:
    """Return the labels of images, (n,) int64."""
    return np.asarray(dataset.table.set_index("image_id")["label"].loc[list(ids)], np.int64)
