"""What an author should know of a store before publishing it: balance, duplicates, shared noise, shortcuts.

Pixels are read at the corners of images only; all else is in the index. ``validate_store`` asks whether the bytes are right;
this asks whether the data set is good.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from miso_gen.errors import listing
from miso_gen.geometry import Box
from miso_gen.probes import LEAST_IMAGES, LEAST_PAIRS, TOGETHER, Probed, probe_store, units
from miso_gen.recipe import Recipe
from miso_gen.store import array_digest, open_dataset

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from miso_gen.store import Dataset

_NAMED = 5  #: ids that a finding names
_UNEVEN = 2.0  #: largest class over smallest, from which on a note says so
_CORNER = 64  #: side of the corners that are compared, px; no canvas is smaller, and few objects reach so far
_NOISY = 0.05  #: share of neighbours that differ, from which on a corner counts as noise

Where: TypeAlias = Literal["across splits", "within a split", "within a pair"]


@dataclass(frozen=True)
class ClassBalance:
    """The images of one class in one split.

    Attributes:
        scenario: Name of the recipe's entry.
        split: Name.
        label: Number.
        class_name: Its name.
        images: How many.
        truth_1_share: Mean share of pixels with truth >= 1, in [0, 1].
        truth_2_share: Mean share with truth == 2, over the images whose evidence is known; None where it is known of none.
        truth_2_known: Images whose evidence is known.
    """

    scenario: str
    split: str
    label: int
    class_name: str
    images: int
    truth_1_share: float
    truth_2_share: float | None
    truth_2_known: int


@dataclass(frozen=True)
class Sharing:
    """Images that share what they should not.

    Attributes:
        where: ``across splits``; ``within a split``, of different pairs for noise; or ``within a pair`` (noise only).
        ids: The first five.
        count: How many.
        scenarios: Of which scenarios they are.
        splits: Of which splits.
        labels: Their labels.
    """

    where: Where
    ids: tuple[str, ...]
    count: int
    scenarios: tuple[str, ...]
    splits: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Findings:
    """What :func:`check` found.

    Attributes:
        store: Where.
        images: How many.
        balance: One for each scenario, split and class.
        duplicates: Equal images.
        noise: Images with equal noise at a corner; None where nobody looked.
        probes: One for each scenario and probe.
        warnings: What to look at before publishing, as sentences.
        notes: What is worth knowing, as sentences.
    """

    store: str
    images: int
    balance: tuple[ClassBalance, ...]
    duplicates: tuple[Sharing, ...]
    noise: tuple[Sharing, ...] | None
    probes: tuple[Probed, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON-able data."""
        return asdict(self)


def check(location: str | os.PathLike[str], *, noise: bool = True, options: Mapping[str, Any] | None = None) -> Findings:
    """Return what is worth knowing of a store before it is published.

    Args:
        location: Its folder or URL.
        noise: Compare the corners of images too; this reads pixels.
        options: Passed to the fsspec file system of a URL.

    Raises:
        StoreError: There is no store, its build has not finished, or it can't be read.
        RecipeError: Its recipe needs a plug-in that is not installed.
    """
    dataset = open_dataset(location, options=options)
    recipe = Recipe.from_dict(dataset.recipe)
    rows = balance(dataset)
    duplicates = tuple(_duplicates(dataset.table))
    shared = tuple(_shared_noise(dataset)) if noise else None
    probes = tuple(probe_store(dataset, recipe))
    warnings = (
        *balance_warnings(dataset, rows),
        *_sentences(duplicates, "are equal", "Give them draws of their own, or leave all but one out."),
        *_sentences(shared or (), "share their noise", "Give them draws of their own."),
        *_undeclared(probes),
    )
    notes = (*_uneven(rows), *_declared(probes), *_too_few(probes))
    return Findings(dataset.target.describe(""), len(dataset), rows, duplicates, shared, probes, warnings, notes)


# --- balance ----------------------------------------------------------------------------------------------------------


def balance(dataset: Dataset) -> tuple[ClassBalance, ...]:
    """Return how many images each class has in each split, and their shares of truth; in the order of the recipe."""
    table, rows = dataset.table, []
    scenarios, splits = [entry["name"] for entry in dataset.recipe["scenarios"]], list(dataset.recipe["splits"])
    known = _evidence_known(table)
    for _, group in table.groupby(["scenario", "split", "label"]):
        first = group.iloc[0]
        evidence = group["truth_2_share"][known[group.index]]
        share = float(evidence.mean()) if len(evidence) else None
        object_share = float(group["truth_1_share"].mean())
        names = first["scenario"], first["split"], int(first["label"]), first["class_name"]
        rows.append(ClassBalance(*names, len(group), object_share, share, len(evidence)))
    return tuple(sorted(rows, key=lambda row: (scenarios.index(row.scenario), splits.index(row.split), row.label)))


def balance_warnings(dataset: Dataset, rows: Iterable[ClassBalance]) -> tuple[str, ...]:
    """Return which classes are missing in which splits, as sentences."""
    found = list(rows)
    said = []
    for entry in dataset.recipe["scenarios"]:
        mine = [row for row in found if row.scenario == entry["name"]]
        names = {row.label: row.class_name for row in mine}
        for split in dataset.recipe["splits"]:
            held = [row.label for row in mine if row.split == split]
            missing = sorted({*names, *entry["labels"]} - set(held))
            place = f"{entry['name']}/{split}"
            if len(held) == 1:
                said.append(f"{place} must have two classes or more, got {names[held[0]]!r} only. Ask for more images.")
            elif missing:
                classes = listing(repr(names.get(label, f"label {label}")) for label in missing)
                said.append(f"{place} must have every class, got none of {classes}. Ask for more images, or leave out labels.")
    return tuple(said)


def _uneven(rows: Iterable[ClassBalance]) -> Iterator[str]:
    """Say where the classes of a split differ much in size; a design may want that, so it is a note."""
    places: dict[tuple[str, str], list[ClassBalance]] = {}
    for row in rows:
        places.setdefault((row.scenario, row.split), []).append(row)
    for (scenario, split), held in places.items():
        least, most = min(held, key=lambda row: row.images), max(held, key=lambda row: row.images)
        if most.images > _UNEVEN * least.images:
            yield (
                f"{scenario}/{split}: {most.images} images of {most.class_name!r}, {least.images} of {least.class_name!r}; "
                "accuracy alone says little."
            )


def _evidence_known(table: pd.DataFrame) -> pd.Series[bool]:
    """Return whether the evidence of each image is known; older stores have no such column, and know it of all."""
    if "truth_2_known" in table:
        return table["truth_2_known"].ne(other=False)  # null: of an older store
    return table["truth_2_share"].notna()


# --- equal images and noise -------------------------------------------------------------------------------------------


def _duplicates(table: pd.DataFrame) -> Iterator[Sharing]:
    for _, group in table[table["image_digest"].duplicated(keep=False)].groupby("image_digest", sort=False):
        yield _sharing("across splits" if group["split"].nunique() > 1 else "within a split", group)


def _shared_noise(dataset: Dataset) -> Iterator[Sharing]:
    """Yield the images of different pairs, or of pairs with noise of their own, that have an equal noisy corner."""
    table = dataset.table.set_index("image_id", drop=False)
    holders: dict[str, list[tuple[str, Box]]] = {}
    for image_id in dataset:
        for box in _corners(*dataset[image_id].shape[1:]):
            pixels = dataset[image_id].image.read(box)
            if _is_noise(pixels):
                holders.setdefault(array_digest(pixels), []).append((image_id, box))
    independent = _own_noise(dataset)
    seen: set[tuple[str, ...]] = set()
    for places in holders.values():
        ids = tuple(dict.fromkeys(image_id for image_id, _ in places))
        if len(ids) == 1 or ids in seen:
            continue
        group = table.loc[list(ids)]
        if group["image_digest"].nunique() == 1:
            continue  # equal images: reported as such
        if units(group).nunique() > 1:
            seen.add(ids)
            yield _sharing("across splits" if group["split"].nunique() > 1 else "within a split", group)
        elif set(ids) & independent and not any(dataset[image_id].truth.read(box).any() for image_id, box in places):
            seen.add(ids)  # objects may be the same in a pair, backgrounds not
            yield _sharing("within a pair", group)


def _corners(height: int, width: int) -> Iterable[Box]:
    """Return the four corners of an image, which may overlap."""
    places = product((0, height - _CORNER), (0, width - _CORNER))
    return dict.fromkeys(Box(row, column, row + _CORNER, column + _CORNER) for row, column in places)


def _is_noise(pixels: NDArray[Any]) -> bool:
    """Return whether neighbours differ often: flat colours and outlines of shapes may be equal without any noise being shared."""
    return float((pixels[..., 1:] != pixels[..., :-1]).any(axis=0).mean()) >= _NOISY


def _own_noise(dataset: Dataset) -> set[str]:
    """Return the images whose noise should be their own, even in their pair; some scenarios don't say."""
    table = dataset.table
    column = table.get("params.pair_noise")  # enumerated
    ids: set[str] = set() if column is None else set(table["image_id"][column == "independent"])
    for entry in dataset.recipe["scenarios"]:
        if entry.get("pair_noise") == "independent":
            ids |= set(table["image_id"][table["scenario"] == entry["name"]])
    return ids


def _sharing(where: Where, group: pd.DataFrame) -> Sharing:
    ids = sorted(group["image_id"])
    columns = (tuple(sorted(group[name].unique().tolist())) for name in ("scenario", "split", "label"))
    return Sharing(where, tuple(ids[:_NAMED]), len(ids), *columns)


def _sentences(groups: Iterable[Sharing], verb: str, advice: str) -> Iterator[str]:
    """Say which images share something: the first groups one by one, the others by their number."""
    places: dict[Where, list[Sharing]] = {}
    for group in groups:
        places.setdefault(group.where, []).append(group)
    for where, found in places.items():
        for group in found[:_NAMED]:
            labels = ", of different labels" if verb == "are equal" and len(group.labels) > 1 else ""
            more = f", ... ({group.count} in all)" if group.count > len(group.ids) else ""
            yield f"{', '.join(group.ids)}{more} {verb}, {where}{labels}. {advice}"
        if len(found) > _NAMED:
            yield f"{len(found) - _NAMED} more groups of images {verb}, {where}. {advice}"


# --- probes -----------------------------------------------------------------------------------------------------------


def _declared(probes: Iterable[Probed]) -> Iterator[str]:
    """Say of each scenario what its class can be told from, as it declares."""
    named: dict[str, list[str]] = {}
    for found in probes:
        if found.verdict == "declared":
            named.setdefault(found.scenario, []).append(f"{found.probe} {fraction(found.auroc)}")
    for scenario, known in named.items():
        yield f"{scenario}: the class can be told, as declared (AUROC): {listing(known)}."


def _undeclared(probes: Iterable[Probed]) -> Iterator[str]:
    """Say what tells a class though its scenario does not declare it."""
    for found in probes:
        if found.verdict == "undeclared":
            what = "all features together" if found.probe == TOGETHER else f"{found.probe} alone"
            numbers = f"AUROC {fraction(found.auroc)}, {fraction(found.low)}-{fraction(found.high)}"
            yield (
                f"{found.scenario}: the class can be told from {what} ({numbers}), and the scenario does not declare it. "
                "Make the classes alike, or name it in the scenario's shortcuts."
            )


def _too_few(probes: Iterable[Probed]) -> Iterator[str]:
    for scenario in dict.fromkeys(found.scenario for found in probes if found.verdict == "too few"):
        yield f"{scenario}: too few images for probes; every label needs {LEAST_IMAGES} images, of {LEAST_PAIRS} pairs."


def fraction(value: float | None) -> str:
    """Return a number in [0, 1] for people, as in .93; a dash for None."""
    return "-" if value is None else f"{value:.2f}".removeprefix("0")
