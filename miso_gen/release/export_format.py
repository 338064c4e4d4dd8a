"""What every format that stores are exported to must be able to do, and what it is given.

An export is made image by image, in any order and by several threads: :meth:`ExportFormat.write` puts the files of one image, or
the pieces that become part of a file later. :meth:`ExportFormat.finish` makes what is of all images, in the order of their ids.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import numpy as np

from miso_gen.errors import InputError, MisoGenError
from miso_gen.geometry import Box
from miso_gen.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from threading import Event

    from numpy.typing import NDArray

    from miso_gen.release.export_folder import ExportFolder, ImageFiles
    from miso_gen.store import Dataset, ImageView, StoredArray
    from miso_gen.store.layout import ArrayName

BAND: Final = 256  #: rows read at a time: one row of the store's chunks
_ABOUT = ("image_id", "scenario", "split", "label", "class_name", "pair", "morphology", "height", "width", "image_digest")
_ABOUT_TRUTH = ("truth_1_share", "truth_2_share", "truth_2_known", "truth_digest", "instances_digest")
FLOAT_NOTE: Final = "Pixels of float32 were stored as 16 bit: floor(65535 v + 1/2)."


@dataclass(frozen=True)
class ExportSource:
    """What is exported.

    Attributes:
        dataset: The store.
        rows: The rows of the index that were chosen, sorted by ``image_id``; nothing there is None.
        truth: Whether the truth goes too, and with it all that tells of it.
    """

    dataset: Dataset
    rows: Sequence[Mapping[str, Any]]
    truth: bool

    def text(self, key: str) -> str:
        """Return a text of the head of the recipe, such as ``license``; nothing where it has none."""
        recipe = self.dataset.recipe
        return str(recipe.get(key) or "") if isinstance(recipe, Mapping) else ""

    @property
    def title(self) -> str:
        """One line for people."""
        return self.text("title") or self.dataset.name

    @property
    def authors(self) -> list[str]:
        """Names of the authors."""
        recipe = self.dataset.recipe
        given = recipe.get("authors") or () if isinstance(recipe, Mapping) else ()
        return [str(author["name"]) for author in given]

    def about(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is said of an image beside its pixels; without truth, nothing that tells of it."""
        names = (*_ABOUT, *_ABOUT_TRUTH) if self.truth else _ABOUT
        return {name: row.get(name) for name in names}

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of objects of the whole store, sorted; none where no objects are listed."""
        return tuple(sorted(set(self.dataset.objects["kind"].tolist())))

    def class_names(self, scenarios: Iterable[str] | None = None) -> list[str] | None:
        """Return the name of class 0, 1, ... in some scenarios; None where a class has several names there, or none is known.

        Args:
            scenarios: Names of the scenarios; None for all that were chosen.
        """
        chosen = {str(row["scenario"]) for row in self.rows} if scenarios is None else set(scenarios)
        pairs = sorted({pair for name in chosen for pair in self._classes.get(name, ())})
        labels, names = [label for label, _ in pairs], [name for _, name in pairs]
        whole = labels == list(range(len(pairs))) and len(set(names)) == len(names)
        return names if whole and all(isinstance(name, str) and name for name in names) else None

    @cached_property
    def _classes(self) -> dict[str, set[tuple[int, str]]]:
        """Return label and name of each class by scenario: of the recipe, or of the whole index where a plug-in is missing."""
        try:
            entries = Recipe.from_dict(self.dataset.recipe).scenarios
        except MisoGenError:
            columns = (self.dataset.table[name].tolist() for name in ("scenario", "label", "class_name"))
            found: dict[str, set[tuple[int, str]]] = {}
            for scenario, label, name in zip(*columns, strict=True):
                found.setdefault(scenario, set()).add((label, name))
            return found
        return {entry.name: set(enumerate(entry.class_names)) for entry in entries}


class ExportImage:
    """One image that is exported.

    Args:
        number: Its place among those chosen.
        row: Its row of the index.
        view: The image in its store.
        truth: Whether its truth goes too.
        halted: Set where the export must stop: the next read raises :class:`HaltedError`.
    """

    def __init__(self, number: int, row: Mapping[str, Any], view: ImageView, truth: bool, halted: Event) -> None:
        self.number, self.row, self.view, self.truth = number, row, view, truth
        self._halted = halted

    @property
    def id(self) -> str:
        """Its id, such as ``gsp/test/0007``."""
        return str(self.row["image_id"])

    @property
    def planes(self) -> tuple[ArrayName, ...]:
        """What is exported: ``image``, ``truth`` where it goes too, ``instances`` where they are stored as well."""
        if not self.truth:
            return ("image",)
        return ("image", "truth") if self.view.record.instances_digest is None else ("image", "truth", "instances")

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What was drawn; nothing where the truth stays, because it tells of it."""
        parameters: Mapping[str, Any] = self.view.attributes["parameters"] if self.truth else {}
        return parameters

    def plane(self, name: ArrayName, level: int = 0) -> StoredArray:
        """Return a stored array."""
        return self.view.array(name, level)

    def read(self, plane: Any, box: Box) -> NDArray[Any]:
        """Return a box of an array, as channels last: (h, w) or (h, w, c), c > 1.

        Raises:
            HaltedError: The export must stop.
        """
        if self._halted.is_set():
            raise HaltedError
        pixels: NDArray[Any] = plane.read(box)
        return channels_last(pixels)

    def bands(self, name: ArrayName) -> Iterator[NDArray[Any]]:
        """Yield an array from top to bottom, channels last, by at most ``BAND`` rows."""
        plane = self.plane(name)
        height, width = plane.shape[-2:]
        for top in range(0, height, BAND):
            yield self.read(plane, Box(top, 0, min(height, top + BAND), width))

    def strips(self, name: ArrayName) -> Iterator[NDArray[Any]]:
        """Yield labels from left to right by at most ``BAND`` columns, (h, w)."""
        plane = self.plane(name)
        height, width = plane.shape[-2:]
        for left in range(0, width, BAND):
            yield self.read(plane, Box(0, left, height, min(width, left + BAND)))


class HaltedError(Exception):
    """The export stops: another image failed, or somebody stopped it."""


class ExportFormat(ABC):
    """A format that stores are exported to. Options are fields of a frozen dataclass."""

    type_name: ClassVar[str]  #: written by ``Registry.register``
    cannot_hold: ClassVar[tuple[str, ...]]  #: sentences: what of a store is not in such an export

    def options(self) -> dict[str, Any]:
        """Return the options as plain data; an export is resumed by equal ones only."""
        return asdict(cast("Any", self)) if is_dataclass(self) else {}

    def check(self, source: ExportSource) -> None:  # noqa: B027  # most formats take any image
        """Raise :class:`~miso_gen.errors.InputError` where the images can't be exported; called before anything is written."""

    @abstractmethod
    def write(self, source: ExportSource, image: ExportImage, files: ImageFiles) -> None:
        """Write one image. Called by several threads, in any order; the same image gives the same bytes.

        Raises:
            InputError: The format can't hold it.
        """

    def finish(self, source: ExportSource, folder: ExportFolder) -> None:  # noqa: B027  # images may have nothing in common
        """Write what is of all images, when all are there; called again where it was stopped."""


def channels_last(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return (h, w, c) of (c, h, w); one channel, and labels (h, w), as (h, w)."""
    if pixels.ndim == 2:
        return pixels
    return pixels[0] if pixels.shape[0] == 1 else np.moveaxis(pixels, 0, -1)


def check_dashed(source: ExportSource, purpose: str) -> None:
    """Refuse images whose ids are equal with dashes for slashes.

    Raises:
        InputError: There are such images.
    """
    seen: dict[str, str] = {}
    for row in source.rows:
        image_id = str(row["image_id"])
        other = seen.setdefault(dashed(image_id), image_id)
        if other != image_id:
            raise InputError(
                f"{purpose} must differ with dashes for slashes, got {other!r} and {image_id!r}. Export one scenario at a time."
            )


def dashed(image_id: str) -> str:
    """Return an image id as one name: ``gsp-test-0007``."""
    return image_id.replace("/", "-")
