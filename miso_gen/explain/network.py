"""One network explains images: maps of patches, of bags and of whole images, as a store of maps takes them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from miso_gen.data import PatchDataset
from miso_gen.data.items import labels_of
from miso_gen.data.legacy import legacy_overlay
from miso_gen.data.stitching import stitch
from miso_gen.explain.calling import maps_of
from miso_gen.explain.interfaces import Subject
from miso_gen.explain.pooling import resized
from miso_gen.explain.scaling import scaled
from miso_gen.explain.strips import Strips
from miso_gen.explain.whole import WholeImages
from miso_gen.models import offer_of
from miso_gen.rng import Stream
from miso_gen.train.feeding import as_images, asked_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from miso_gen.data.patches import PatchTable
    from miso_gen.explain.interfaces import Explainer, Model
    from miso_gen.explain.jobs import Form, Job
    from miso_gen.store.maps import MapStore
    from miso_gen.train.tasks import Task

    Strip = tuple[int, int, NDArray[np.float32]]  # top, left, values

_PIXELS: Final = 1 << 21  #: of the images of a batch, on a GPU


class Network:
    """A network that explains images.

    Args:
        task: What was trained.
        model: The network, at rest; see :func:`~miso_gen.explain.calling.resting`.
        device: Where it is.
        ids: The images.
    """

    def __init__(self, task: Task, model: nn.Module, device: torch.device, ids: Sequence[str]) -> None:
        self.task, self.model, self.device, self.ids = task, model, device, tuple(ids)
        self.labels = dict(zip(self.ids, labels_of(task.dataset, self.ids).tolist(), strict=True))
        table = task.dataset.table.set_index("image_id").loc[list(self.ids)]
        sizes = zip(table["height"].tolist(), table["width"].tolist(), strict=True)
        self.sizes: dict[str, tuple[int, int]] = dict(zip(self.ids, sizes, strict=True))
        self.whole = WholeImages(task, model, device)

    def write(self, store: MapStore, job: Job, forms: Sequence[Form], ids: Sequence[str]) -> Iterator[str]:
        """Write the maps of some images, yielding each when it is there.

        Args:
            store: Where to; it has the groups.
            job: The explainer.
            forms: Which maps.
            ids: Images that lack one of them.
        """
        if self.task.reads == "image":
            yield from self._write_images(store, job.entry.explainer, job.entry.is_null, forms[0], ids)
            return
        for image in ids:
            missing = [form for form in forms if not _is_there(store, form, image)]
            if job.entry.is_null:
                self._write_null(store, job.entry.explainer, missing, image)
            elif self.task.reads == "bag":
                self._write_scores(store, job.entry.explainer, missing, image, self._weights(image))
            else:
                self._write_patches(store, job.entry.explainer, missing, image)
            yield image

    # --- images ---

    def _write_images(
        self, store: MapStore, explainer: Explainer, is_null: bool, form: Form, ids: Sequence[str]
    ) -> Iterator[str]:
        for some in self._alike(ids):
            if is_null:
                target = None
                maps = np.stack([self.whole.at_pixels(explainer, image, self._seeds(image, 1)[0], None) for image in some])
            else:
                arrays = np.stack([self.task.dataset[image].image.all() for image in some])
                images = as_images(torch.from_numpy(arrays), self.device)
                target = targets_of(self.task, self.model, explainer, images, [self.labels[image] for image in some])
                seeds = tuple(self._seeds(image, 1)[0] for image in some)
                found = self._maps(explainer, Subject(self.model, images, target, seeds, None, self._batch(images)))
                maps = resized(found, images.shape[-2:]).cpu().numpy()
            for number, image in enumerate(some):
                goal = None if target is None or not explainer.class_sensitive else int(target[number])
                self._put(store, form, image, maps[number], goal)
                yield image

    def _alike(self, ids: Sequence[str]) -> Iterator[list[str]]:
        """Yield images of one size together, as many as a batch takes."""
        some: list[str] = []
        for image in ids:
            height, width = self.sizes[image]
            if some and (self.sizes[some[0]] != (height, width) or len(some) >= self._count(height * width)):
                yield some
                some = []
            some.append(image)
        if some:
            yield some

    # --- patches ---

    @cached_property
    def patches(self) -> PatchDataset:
        """The patches of all images, each with the label of its image."""
        options = self.task.experiment.patches.table_options()
        return PatchDataset(self.task.dataset, ids=self.ids, stored=True, **options)

    def _rows(self, image: str) -> NDArray[np.int64]:
        """Return the patches of an image, in the order of the table."""
        table = self.patches.table
        number = table.ids.index(image)
        first, end = np.searchsorted(table.image, [number, number + 1])  # the table goes image by image
        return np.arange(first, end)

    def _write_patches(self, store: MapStore, explainer: Explainer, forms: Sequence[Form], image: str) -> None:
        rows = self._rows(image)
        scores = np.zeros(len(rows))
        plain = explainer.model_copy(update={"scale": "none"})  # the map of the image is scaled, not those of its patches
        pixels = next((form for form in forms if form.place == "pixel"), None)
        if pixels is None:
            for _ in self._patch_maps(plain, image, rows, scores, whole=False):
                pass
        else:
            height, width = self.sizes[image]
            tiles = self._strips(plain, image, rows, scores, Strips(height, width, self.patches.table.size))
            target = self._said_target(explainer, image)
            store.write_tiles(
                pixels.target.model, pixels.target.explainer, image, (height, width), tiles, target=target,
                facts={"patches": len(rows)},
            )  # fmt: skip
        self._write_scores(store, explainer, [form for form in forms if form is not pixels], image, scores)

    def _strips(
        self, explainer: Explainer, image: str, rows: NDArray[np.int64], scores: NDArray[np.float64], strips: Strips
    ) -> Iterator[Strip]:
        table = self.patches.table
        for some, maps in self._patch_maps(explainer, image, rows, scores, whole=True):
            for row, values in zip(some.tolist(), maps, strict=True):
                yield from strips.add(int(table.row[row]), int(table.col[row]), values)
        yield from strips.finish()

    def _patch_maps(
        self, explainer: Explainer, image: str, rows: NDArray[np.int64], scores: NDArray[np.float64], *, whole: bool
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield patches from top to bottom, some at a time, with their maps at their own size, (b, size, size); fill in scores.

        The score of a patch is the mean of the absolute values of its map, at the size that the explainer gives.

        Args:
            explainer: The explainer.
            image: The image.
            rows: Its patches.
            scores: Its scores, (n,), to be filled in.
            whole: Whether maps are wanted, not just scores.
        """
        table, size = self.patches.table, self.patches.table.size
        order = np.lexsort((table.col[rows], table.row[rows]))
        seeds = self._seeds(image, len(rows))
        count = self._count(size * size)
        for start in range(0, len(rows), count):
            places = order[start : start + count]
            images = as_images(self.patches.batch(rows[places])["image"], self.device)
            target = targets_of(self.task, self.model, explainer, images, [self.labels[image]] * len(images))
            drawn = tuple(seeds[place] for place in places)
            maps = self._maps(explainer, Subject(self.model, images, target, drawn, None, count))
            scores[places] = maps.abs().flatten(1).to(torch.float64).mean(1).cpu().numpy()
            shown = resized(maps, (size, size)).cpu().numpy() if whole else np.empty((0, size, size), np.float32)
            yield rows[places], shown

    def _weights(self, image: str) -> NDArray[np.float64]:
        """Return the attention of a network that reads bags to each patch, (n,)."""
        rows = self._rows(image)
        if not len(rows):
            return np.zeros(0)
        bag = as_images(self.patches.batch(rows)["image"], self.device)[None]
        with torch.no_grad():
            found = self.model.attention(bag)[offer_of(self.model).attention[0]]  # type: ignore[operator]  # checked before
        weights: NDArray[np.float64] = found[0].double().cpu().numpy()
        return weights

    def _write_scores(
        self, store: MapStore, explainer: Explainer, forms: Sequence[Form], image: str, scores: NDArray[np.float64]
    ) -> None:
        """Write maps of cells from the scores of the patches of an image."""
        part = self._part(image)
        for form in forms:
            cells = legacy_overlay(part, scores, image, dropped=0.0) if form.place == "legacy" else stitch(part, scores, image)
            target = self._said_target(explainer, image) if self.task.reads == "patch" else None
            self._put(store, form, image, _scaled_cells(cells, explainer), target, patches=len(part))

    # --- nulls and truth beside patches ---

    def _write_null(self, store: MapStore, explainer: Explainer, forms: Sequence[Form], image: str) -> None:
        part = self._part(image)
        for form in forms:
            seed = self._seeds(image, 1)[0]
            if form.place == "pixel":
                values = self.whole.at_pixels(explainer, image, seed, self._covered_pixels(part, image))
            else:
                covered = ~np.isnan(stitch(part, np.zeros(len(part)), image))
                values = _scaled_cells(self.whole.of_cells(explainer, image, seed, covered), explainer)
            self._put(store, form, image, values, None, patches=len(part))

    def _covered_pixels(self, part: PatchTable, image: str) -> NDArray[np.bool_]:
        covered = np.zeros(self.sizes[image], np.bool_)
        for row, col in zip(part.row.tolist(), part.col.tolist(), strict=True):
            covered[row : row + part.size, col : col + part.size] = True
        return covered

    def _part(self, image: str) -> PatchTable:
        """Return the table of the patches of an image."""
        return self.patches.table.where(self._rows(image))

    # --- what all share ---

    def _maps(self, explainer: Explainer, subject: Subject) -> Tensor:
        """Return maps, (B, h, w); of halves, where the memory of the GPU does not hold them all."""
        try:
            return maps_of(explainer, subject)
        except torch.OutOfMemoryError:
            count = len(subject.images)
            if count == 1:
                raise
        torch.cuda.empty_cache()
        halves = (slice(0, count // 2), slice(count // 2, count))
        batch = max(1, subject.batch // 2)
        parts = [
            Subject(self.model, subject.images[half], subject.target[half], subject.seeds[half], None, batch) for half in halves
        ]
        return torch.cat([self._maps(explainer, part) for part in parts])

    def _said_target(self, explainer: Explainer, image: str) -> int | None:
        """Return the class that all patches of an image explain; None: each its own, or none."""
        if not explainer.class_sensitive or explainer.explains == "predicted":
            return None
        return explainer.explains if isinstance(explainer.explains, int) else self.labels[image]

    def _seeds(self, image: str, count: int) -> list[int]:
        return [int(word) >> 1 for word in Stream(self.task.seed, "explain", image).raw(count).tolist()]

    def _count(self, pixels: int) -> int:
        """Return how many images of so many pixels make a batch."""
        wanted = asked_at_once(self.task)
        if self.device.type == "cuda" and self.task.reads != "image":
            wanted = max(wanted, _PIXELS // pixels)
        return max(1, min(wanted, _PIXELS // pixels))

    def _batch(self, images: Tensor) -> int:
        return self._count(images.shape[-2] * images.shape[-1])

    def _put(
        self, store: MapStore, form: Form, image: str, values: NDArray[np.floating], target: int | None, **facts: int
    ) -> None:
        group = form.target
        store.write(group.model, group.explainer, image, values, target=target, facts=facts)


def targets_of(task: Task, model: Model, explainer: Explainer, images: Tensor, labels: Sequence[int]) -> Tensor:
    """Return the class that an explainer of an experiment explains of each image, (B,) int64 on their device."""
    if isinstance(explainer.explains, int):
        return torch.full((len(images),), explainer.explains, dtype=torch.int64, device=images.device)
    if explainer.explains == "predicted":
        with torch.no_grad():
            return model(images).argmax(1)
    if task.several:  # labels are bits: an explainer that asks for one class has been refused
        labels = [0] * len(labels)
    return torch.tensor(labels, dtype=torch.int64, device=images.device)


def _is_there(store: MapStore, form: Form, image: str) -> bool:
    groups = (form.group,) if form.raw is None else (form.group, form.raw)
    return any(store.has(group.model, group.explainer, image) for group in groups)


def _scaled_cells(cells: NDArray[np.floating], explainer: Explainer) -> NDArray[np.float32]:
    """Return a map of cells scaled by itself, those without a value left out."""
    values = np.asarray(cells, np.float32)
    there = ~np.isnan(values)
    if explainer.scale == "none" or not there.any():
        return values
    out = values.copy()
    out[there] = scaled(torch.from_numpy(values[there])[None, None], explainer.scale)[0, 0].numpy()
    return out
