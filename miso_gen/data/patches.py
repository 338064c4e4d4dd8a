"""Which patches of a store there are: where they lie, what of the truth they show, and what they are called."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from miso_gen.data.grid import Shift, check_size, grid_patches
from miso_gen.data.shares import Shares, measure
from miso_gen.errors import InputError, UnknownNameError, listing
from miso_gen.recipe import Recipe
from miso_gen.recipe.template import example
from miso_gen.store import ImageView, image_path
from miso_gen.store.url import UrlTarget

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from miso_gen.store import Dataset

IGNORE = -1  #: label of a patch of which nobody can say what it shows
_READERS = 8  #: images whose summaries are read at the same time, where reading is waiting


@dataclass(frozen=True)
class PixelMean:
    """Background is a patch whose mean is nearer than ``margin`` to ``value``, in float64.

    The mean is that over all pixels and channels, in [0, 1]. MISO-1 takes 0.5 (salt-and-pepper noise), MISO-2 takes 0.0 (black).

    Args:
        value: Mean of the background.
        margin: Least distance of the mean of a patch that is kept.

    Source: MISO.
    """

    value: float = 0.5
    margin: float = 0.05


Background: TypeAlias = Literal["drop", "keep"] | PixelMean  #: what is done with background; see :func:`patch_table`
Labels: TypeAlias = Literal["inherit", "truth"]  #: where labels come from; see :func:`patch_table`


@dataclass(frozen=True, eq=False)  # arrays don't compare to one truth
class PatchTable:
    """n patches of some images, image by image, each in the order of :class:`~miso_gen.data.grid.Patches`.

    Attributes:
        image: (n,) int64, number of the image in ``ids``.
        grid: (n,) int64, 0 or 1.
        i: (n,) int64, row in its grid.
        j: (n,) int64, column in its grid.
        row: (n,) int64, topmost pixel.
        col: (n,) int64, leftmost pixel.
        label: (n,) int64; -1: of no class.
        object_share: (n,) float64 in [0, 1], share of pixels with truth >= 1.
        evidence_share: (n,) float64 in [0, 1], share of pixels with truth >= ``positive``; nan where ``positive`` is 2 and nobody
            knows which objects make the label.
        pixel_mean: (n,) float64 in [0, 1], mean over pixels and channels; of float32 in steps of 1 / 65535.
        ids: The images.
        scenarios: Scenario of each image.
        splits: Split of each image.
        shapes: (height, width) of each image, px.
        size: Side of a patch, px.
        shift: What grid 1 is.
        positive: Level of the truth from which on a pixel is evidence.
    """

    image: NDArray[np.int64]
    grid: NDArray[np.int64]
    i: NDArray[np.int64]
    j: NDArray[np.int64]
    row: NDArray[np.int64]
    col: NDArray[np.int64]
    label: NDArray[np.int64]
    object_share: NDArray[np.float64]
    evidence_share: NDArray[np.float64]
    pixel_mean: NDArray[np.float64]
    ids: tuple[str, ...]
    scenarios: tuple[str, ...]
    splits: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    size: int
    shift: Shift
    positive: int

    def __len__(self) -> int:
        return len(self.image)

    def __repr__(self) -> str:
        return f"PatchTable({len(self)} patches of {self.size} px of {len(self.ids)} images, shift {self.shift!r})"

    def where(self, mask: ArrayLike) -> PatchTable:
        """Return the patches that a mask (n,) or an array of row numbers picks; the images stay, also those without patches."""
        chosen = np.asarray(mask)
        if not chosen.size and chosen.dtype.kind == "f":
            chosen = chosen.astype(np.int64)  # an empty list
        rows = {name: getattr(self, name)[chosen] for name in COLUMNS}
        return PatchTable(**rows, **{field.name: getattr(self, field.name) for field in fields(self) if field.name not in rows})

    def frame(self) -> pd.DataFrame:
        """Return the table for people: image_id, scenario, split, then the columns, without ``image``."""
        import pandas as pd

        named = {"image_id": self.ids, "scenario": self.scenarios, "split": self.splits}
        texts = {name: np.array(values, object)[self.image] for name, values in named.items()}
        return pd.DataFrame({**texts, **{name: getattr(self, name) for name in COLUMNS[1:]}})


#: The arrays of a :class:`PatchTable`.
COLUMNS = ("image", "grid", "i", "j", "row", "col", "label", "object_share", "evidence_share", "pixel_mean")


def patch_table(
    dataset: Dataset,
    ids: Iterable[str],
    *,
    size: int = 96,
    shift: Shift = "half",
    background: Background = "drop",
    min_share: float = 0.1,
    labels: Labels = "inherit",
    positive: int = 2,
) -> PatchTable:
    """Return the patches of some images of a store.

    Shares and means are exact: sums of whole numbers, of the stored summary where the patches of a grid start at multiples of 16
    px and their size is one (size 96 or 224, say); else of pixels and truth, tile by tile.

    Background: ``drop`` leaves out patches with object_share <= ``min_share``, :class:`PixelMean` those that look like
    background, ``keep`` none.

    Labels: ``inherit`` gives each patch the label of its image. ``truth`` gives it

    - the label of its image where evidence_share > ``min_share``;
    - in images whose label is an absence (an intact ``gsp``; ``positive`` 2), the label of the image in any case;
    - else, without any evidence, the label that is an absence, where the scenario has exactly one (``gsp``: 0);
    - else -1: of no class, also where there is evidence, but too little.

    Args:
        dataset: The store.
        ids: The images, each once; none give an empty table.
        size: Side of a patch, px.
        shift: What grid 1 is; see :func:`~miso_gen.data.grid.grid_patches`.
        background: What is left out.
        min_share: Share of object, or of evidence, that is too little, in [0, 1].
        labels: Where labels come from.
        positive: 1 or 2: pixels with truth >= ``positive`` are evidence.

    Raises:
        InputError: An argument can't be, or the evidence that labels ask for is not known.
        UnknownNameError: The store has no such image.
        CorruptStoreError: What must be read is missing or broken.
    """
    names = tuple(ids)
    _check(dataset, names, size, shift, background, min_share, labels, positive)
    rows = dataset.table.set_index("image_id").loc[list(names)]
    known = _known(rows)
    if labels == "truth" and positive == 2 and not known.all():
        unknown = [name for name, is_known in zip(names, known.tolist(), strict=True) if not is_known]
        raise InputError(
            f"labels='truth' must have images whose evidence is known, got {listing(unknown, 3)}, whose evidence nobody knows. "
            "Use labels='inherit', or positive=1."
        )
    shapes = tuple(zip(rows["height"].tolist(), rows["width"].tolist(), strict=True))
    places = lru_cache(maxsize=16)(lambda height, width: grid_patches(height, width, size, shift))

    def measured(number: int) -> Shares:
        return measure(ImageView(dataset.target, image_path(names[number])), places(*shapes[number]), size)

    if isinstance(dataset.target, UrlTarget):  # many small files, each a wait
        with ThreadPoolExecutor(_READERS) as pool:
            parts = list(pool.map(measured, range(len(names))))
    else:
        parts = [measured(number) for number in range(len(names))]

    scenarios, splits, image_labels = (tuple(rows[name].tolist()) for name in ("scenario", "split", "label"))
    blank = _blank_labels(dataset, scenarios) if labels == "truth" and positive == 2 else {}
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in COLUMNS}
    for number, (shape, found) in enumerate(zip(shapes, parts, strict=True)):
        evidence = found.twos if positive == 2 else found.ones
        kept = is_kept(found.ones, found.mean, background, min_share)
        given = np.full(len(evidence), image_labels[number], np.int64)
        if labels == "truth":
            given = _true_labels(evidence, image_labels[number], blank.get(scenarios[number], frozenset()), min_share)
        if not known[number] and positive == 2:
            evidence = np.full(len(evidence), np.nan)
        patches = places(*shape)
        columns["image"].append(np.full(int(kept.sum()), number, np.int64))
        for name in COLUMNS[1:6]:
            columns[name].append(getattr(patches, name)[kept])
        for name, values in zip(COLUMNS[6:], (given, found.ones, evidence, found.mean), strict=True):
            columns[name].append(values[kept])
    joined = {
        name: np.concatenate([np.empty(0, np.float64 if name in COLUMNS[7:] else np.int64), *found])
        for name, found in columns.items()
    }
    return PatchTable(
        **joined, ids=names, scenarios=scenarios, splits=splits, shapes=shapes, size=int(size), shift=shift, positive=positive
    )


# --- rules ------------------------------------------------------------------------------------------------------------


def is_kept(
    object_share: NDArray[np.float64], pixel_mean: NDArray[np.float64], background: Background, min_share: float
) -> NDArray[np.bool_]:
    """Return which patches a background rule keeps, (n,) bool; see :func:`patch_table`."""
    if isinstance(background, PixelMean):
        return ~(np.abs(pixel_mean - background.value) < background.margin)
    return object_share > min_share if background == "drop" else np.ones(len(object_share), bool)


def _true_labels(evidence: NDArray[np.float64], label: int, blank: Collection[int], min_share: float) -> NDArray[np.int64]:
    """Return the label of each patch from its own truth; ``blank`` are the labels of the scenario that an absence makes true."""
    if label in blank:
        return np.full(len(evidence), label, np.int64)
    absence = next(iter(blank)) if len(blank) == 1 else IGNORE
    return np.where(evidence > min_share, label, np.where(evidence == 0, absence, IGNORE)).astype(np.int64)


def _blank_labels(dataset: Dataset, scenarios: Iterable[str]) -> Mapping[str, frozenset[int]]:
    """Return the labels of each scenario that an absence makes true, as its plug-in says."""
    wanted = set(scenarios)
    entries = [entry for entry in Recipe.from_dict(dataset.recipe).scenarios if entry.name in wanted]
    return {entry.name: entry.model.from_spec(example(entry.block)).blank_labels for entry in entries}


def _known(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return of which images somebody knows the evidence; older stores have no such column, and know it of all."""
    if "truth_2_known" not in rows:
        return np.ones(len(rows), bool)
    return np.asarray(rows["truth_2_known"].ne(other=False), bool)


def _check(
    dataset: Dataset,
    names: Sequence[str],
    size: int,
    shift: Shift,
    background: Background,
    min_share: float,
    labels: Labels,
    positive: int,
) -> None:
    check_size(size, shift)
    for name in names:
        if name not in dataset:
            raise UnknownNameError("image", name, dataset.ids)
    if len(set(names)) < len(names):
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        raise InputError(f"ids must be different, got {listing(twice, 3)} more than once. Name each image once.")
    if not isinstance(background, PixelMean) and background not in ("drop", "keep"):
        raise InputError(f"background must be 'drop', 'keep' or a PixelMean, got {background!r}.")
    if labels not in ("inherit", "truth"):
        raise InputError(f"labels must be 'inherit' or 'truth', got {labels!r}.")
    if positive not in (1, 2):
        raise InputError(f"positive must be 1 or 2, got {positive!r}.")
    if not 0 <= min_share <= 1:
        raise InputError(f"min_share must be in [0, 1], got {min_share!r}.")
