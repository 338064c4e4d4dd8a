"""Open a store: the table of its images, and lazily their pixels."""

from __future__ import annotations

import os
from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.errors import CorruptStoreError, IncompleteStoreError, UnknownNameError
from miso_gen.geometry import Box
from miso_gen.store.arrays import StoredArray
from miso_gen.store.imports import offer_contents
from miso_gen.store.index import INDEX, INSTANCES, index_table, instances_table, read_parquet
from miso_gen.store.opening import open_store
from miso_gen.store.packed import PackedTarget
from miso_gen.store.record import ImageRecord, read_record
from miso_gen.store.root import StoreRoot, collect_records, image_path, list_images, read_objects, read_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from miso_gen.store.layout import ArrayName
    from miso_gen.store.objects import ObjectTable
    from miso_gen.store.target import Target

_OPEN_VIEWS = 128  #: images whose files stay open


def open_dataset(
    location: str | os.PathLike[str],
    incomplete: bool = False,
    options: Mapping[str, Any] | None = None,
    *,
    verify: bool = True,
) -> Dataset:
    """Open a store or a release; only its root and its index are read.

    Args:
        location: Its folder, its URL (``s3://``, ``gs://``, ``az://``, ``https://``, ...), the path or URL of its zip archive
            (``.zip``, ``.ozx``), ``name@version``, or ``name`` for the greatest version; see
            :func:`~miso_gen.store.named.locate`.
        incomplete: Open a store whose build has not finished too; its table lists the images that are there.
        options: Passed to the fsspec file system of a URL.
        verify: Compare the files of a release with its checksums, each when it is first read. Over a network that reads whole
            shards where a patch would do.

    Raises:
        StoreError: There is no store, none of this name, one of a newer layout, or an archive of something else.
        IncompleteStoreError: Its build never finished, and ``incomplete`` is False.
        CorruptStoreError: Its root or index is cut off or edited.
        MissingExtraError: The package for this kind of URL is not installed.
    """
    target = open_store(location, options, verify=verify)
    root = read_root(target)
    if isinstance(target, PackedTarget):
        _require_same(root, target)
    if not root.complete and not incomplete:
        raise IncompleteStoreError(
            f"{target.describe('')} must be complete, got a build that has not finished. "
            "Run miso-gen build again: it resumes. From Python, incomplete=True opens it as it is."
        )
    if root.imports:
        offer_contents(target)
    return Dataset(target, root)


def _require_same(root: StoreRoot, target: PackedTarget) -> None:
    manifest = target.manifest
    got, expected = ((it.name, it.version, it.recipe_digest, it.root_digest) for it in (root, manifest))
    if got != expected:
        raise CorruptStoreError(
            f"packs of {target.folder.describe('')} must be of {manifest.name} {manifest.version} (root digest "
            f"{manifest.root_digest[:12]}), got {root.name} {root.version} ({(root.root_digest or 'none')[:12]}). Fetch it again."
        )


class Dataset:
    """A store that was opened: a mapping from image ids to ``ImageView``. Pickles; safe after fork and spawn.

    Args:
        target: Where it is.
        root: What it is.

    Raises:
        CorruptStoreError: The index is missing, cut off, or has another number of images than the root says.
    """

    def __init__(self, target: Target, root: StoreRoot) -> None:
        self.target, self.root = target, root
        self.table = self._read_table()
        self._ids = {str(image_id): None for image_id in self.table["image_id"]}
        self._views: OrderedDict[str, ImageView] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_views": OrderedDict()}

    def __repr__(self) -> str:
        return f"Dataset({self.target.describe('')!r}, {self.name} {self.version}, {len(self)} images)"

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.root.name

    @property
    def version(self) -> str:
        """Version of the data set."""
        return self.root.version

    @property
    def recipe(self) -> Any:
        """The recipe it was built from."""
        return self.root.recipe

    @property
    def recipe_digest(self) -> str:
        """Digest of the recipe."""
        return self.root.recipe_digest

    @property
    def root_digest(self) -> str | None:
        """Digest over all images; None while incomplete."""
        return self.root.root_digest

    @property
    def ids(self) -> list[str]:
        """All image ids, sorted."""
        return list(self._ids)

    @property
    def scenarios(self) -> list[str]:
        """Names of the scenarios that have images, sorted."""
        return sorted(set(self.table["scenario"]))

    @property
    def splits(self) -> list[str]:
        """Names of the splits that have images, sorted."""
        return sorted(set(self.table["split"]))

    @cached_property
    def objects(self) -> pd.DataFrame:
        """One row an object: image_id, id, kind, top, left, bottom, right (px, half-open), drawn parameters."""
        if self.root.complete:
            table = read_parquet(self.target, INSTANCES)
        else:
            views = (self[image_id] for image_id in self._ids)
            table = instances_table((view.id, view.objects) for view in views if view.objects is not None)
        frame: pd.DataFrame = table.to_pandas()
        return frame

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._ids

    def __getitem__(self, image_id: str) -> ImageView:
        """Return an image.

        Raises:
            UnknownNameError: The store has none of this id.
        """
        if image_id not in self._ids:
            raise UnknownNameError("image", image_id, self._ids)
        view = self._views.get(image_id)
        if view is None:
            view = self._views[image_id] = ImageView(self.target, image_path(image_id))
            if len(self._views) > _OPEN_VIEWS:
                self._views.popitem(last=False)
        return view

    def _read_table(self) -> pd.DataFrame:
        if self.root.complete:
            table = read_parquet(self.target, INDEX)
            if table.num_rows != self.root.images:
                name = self.target.describe(INDEX)
                raise CorruptStoreError(
                    f"{name} must have {self.root.images} rows, got {table.num_rows}. Build the store again, or fetch it again."
                )
        else:
            records = collect_records(self.target, list_images(self.target))
            table = index_table({"path": record.path, **record.row()} for record in records)
        frame: pd.DataFrame = table.to_pandas()
        return frame


class ImageView:
    """One image of a store; nothing is read before it is asked for.

    Args:
        target: The store.
        path: Folder of the image.
    """

    def __init__(self, target: Target, path: str) -> None:
        self.target, self.path = target, path

    def __getstate__(self) -> dict[str, Any]:
        return {"target": self.target, "path": self.path}

    def __repr__(self) -> str:
        return f"ImageView({self.target.describe(self.path)!r})"

    @cached_property
    def record(self) -> ImageRecord:
        """What is known of the image."""
        try:
            return read_record(self.target, self.path)
        except (FileNotFoundError, NotADirectoryError):
            name = self.target.describe(f"{self.path}/zarr.json")
            raise CorruptStoreError(f"{name} must exist, got no such file. Build the image again, or fetch it again.") from None

    @property
    def id(self) -> str:
        """Its id, such as ``gsp/test/0007``."""
        return self.record.image_id

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The ``miso`` attributes: what was drawn, digests, histogram, truth shares."""
        return self.record.miso

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        miso = self.attributes
        return miso["channels"], miso["height"], miso["width"]

    @cached_property
    def image(self) -> StoredArray:
        """Pixels, (C, H, W)."""
        return self.array("image")

    @cached_property
    def truth(self) -> StoredArray:
        """Truth, (H, W) uint8: 0 irrelevant, 1 localisation, 2 discriminative."""
        return self.array("truth")

    @cached_property
    def instances(self) -> StoredArray | TruthInstances:
        """Ids of objects, (H, W) uint16 or uint32; truth >= 1 as uint16 where none are stored."""
        stored = self.record.instances_digest is not None
        return self.array("instances") if stored else TruthInstances(self.truth)

    @cached_property
    def summary(self) -> NDArray[np.uint64]:
        """Cells of 16 x 16 px, (3, ceil(H / 16), ceil(W / 16)) uint64: pixel sum, truth >= 1, truth == 2."""
        return StoredArray(self.target, f"{self.path}/summary").all()

    @cached_property
    def objects(self) -> ObjectTable | None:
        """The objects of the image, None where none are stored."""
        if "objects" not in self.attributes["digests"]:
            return None
        try:
            return read_objects(self.target, self.path)
        except (FileNotFoundError, NotADirectoryError):
            name = self.target.describe(f"{self.path}/objects/zarr.json")
            raise CorruptStoreError(f"{name} must exist, got no such file. Build the image again, or fetch it again.") from None

    def array(self, name: ArrayName, level: int = 0) -> StoredArray:
        """Return a stored array at one level of the pyramid."""
        folder = str(level) if name == "image" else f"labels/{name}/{level}"
        return StoredArray(self.target, f"{self.path}/{folder}")

    def read(self, box: Box | tuple[int, int, int, int] | None = None) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Return the pixels (C, h, w) and the truth (h, w) of a box (top, left, bottom, right), of all for None."""
        if box is None:
            return self.image.all(), self.truth.all()
        place = box if isinstance(box, Box) else Box(*box)
        return self.image.read(place), self.truth.read(place)


class TruthInstances:
    """Instances of an image with one object: truth >= 1, uint16.

    Args:
        truth: The truth it is made from.
    """

    dtype = np.dtype(np.uint16)
    ndim = 2

    def __init__(self, truth: StoredArray) -> None:
        self._truth = truth
        self.shape = truth.shape

    def read(self, box: Box) -> NDArray[np.uint16]:
        """Return a box, (h, w)."""
        return (self._truth.read(box) >= 1).astype(np.uint16)

    def all(self) -> NDArray[np.uint16]:
        """Return the whole array, (H, W)."""
        return (self._truth.all() >= 1).astype(np.uint16)

    def __getitem__(self, key: Any) -> Any:
        """Return what numpy would for ints, slices and one Ellipsis."""
        return (np.asarray(self._truth[key]) >= 1).astype(np.uint16)[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.all().astype(dtype or self.dtype, copy=False)
