"""Export a store, or some of its images, to a format that other programs read."""

from __future__ import annotations

import os
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Final, Protocol

import blake3

from miso_gen.errors import InputError, OutputError, UnknownNameError
from miso_gen.release.export_folder import ExportFolder, ImageFiles
from miso_gen.release.export_format import ExportFormat, ExportImage, ExportSource
from miso_gen.release.exports import EXPORTS
from miso_gen.release.markup import escaped
from miso_gen.store import metadata
from miso_gen.store.local import LocalTarget

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from miso_gen.store import Dataset

NOTES: Final = "NOTES.md"
_THREADS: Final = 4  # zlib and file reads run side by side


@dataclass(frozen=True)
class ExportResult:
    """What an export made.

    Attributes:
        path: The folder.
        images: Images in it.
        files: Files in it.
        bytes: Their size, added up.
        notes: What the format can't hold, and what became other than it was; a sentence each. Also in ``NOTES.md``.
    """

    path: str
    images: int
    files: int
    bytes: int
    notes: tuple[str, ...]


class ExportWatcher(Protocol):
    """Whoever wants to know how an export goes."""

    def start(self, images: int, kept: int) -> None:
        """How many images there are, and how many of them an earlier export left."""

    def exported(self, image_id: str) -> None:
        """One more image is there."""


class _Silent:
    def start(self, images: int, kept: int) -> None: ...

    def exported(self, image_id: str) -> None: ...


def export(
    dataset: Dataset,
    out: str | os.PathLike[str],
    to: str | ExportFormat,
    *,
    splits: Collection[str] = (),
    scenarios: Collection[str] = (),
    images: Collection[str] = (),
    truth: bool = True,
    watcher: ExportWatcher | None = None,
) -> ExportResult:
    """Export images of a store, with their truth.

    The same images, format and options give the same bytes, with the same versions of zlib and pyarrow. Until the export is
    whole, ``out`` has a folder ``UNFINISHED``; the same export again goes on where it was stopped.

    Args:
        dataset: The store, wherever it lies.
        out: A folder that is new, empty, or an unfinished export of the same.
        to: Name of a format, or one with options: ``WebDatasetExport(shard_bytes=10**8)``.
        splits: Only images of these; none: of all.
        scenarios: Only images of these; none: of all.
        images: Only these ids; none: all.
        truth: Whether the truth goes too. False leaves out truth, instances, and all that tells of them: shares of truth and what
            was drawn. Labels stay.
        watcher: Told how it goes.

    Raises:
        UnknownNameError: There is no such format, split, scenario or image.
        InputError: No image is left, or the format can't hold one.
        OutputError: ``out`` holds something else, can't be written, or another export writes to it.
        CorruptStoreError: An image is broken.
        SpaceError: The disk is full.
    """
    form = EXPORTS.get(to)() if isinstance(to, str) else to
    source = ExportSource(dataset, _chosen(dataset, splits, scenarios, images), truth)
    place = _place(dataset, out)
    form.check(source)
    watcher = watcher or _Silent()
    with ExportFolder(place, _head(source, form)) as folder:
        watcher.start(len(source.rows), len(folder.images))
        _write_images(source, form, folder, watcher)
        form.finish(source, folder)
        notes = (*form.cannot_hold, *sorted(folder.notes))
        with folder.open(NOTES) as file:
            file.write(_notes(source, form, notes).encode())
        folder.finish()
        written = folder.written
    return ExportResult(str(place), len(source.rows), len(written), sum(written.values()), notes)


def _chosen(
    dataset: Dataset, splits: Collection[str], scenarios: Collection[str], images: Collection[str]
) -> list[dict[str, Any]]:
    for kind, given, known in (
        ("split", splits, dataset.splits),
        ("scenario", scenarios, dataset.scenarios),
        ("image", images, dataset.ids),
    ):
        if isinstance(given, str):
            raise InputError(f"{kind}s to export must be a list of names, got {given!r}. Write [{given!r}].")
        there = set(known)
        for name in given:
            if name not in there:
                raise UnknownNameError(kind, name, known)
    table = dataset.table
    for column, names in (("split", splits), ("scenario", scenarios), ("image_id", images)):
        if names:
            table = table[table[column].isin(list(names))]
    if table.empty:
        raise InputError("images to export must be at least one, got none. Choose fewer splits, scenarios or ids.")
    rows: list[dict[Any, Any]] = table.drop(columns="histogram").sort_values("image_id").to_dict("records")
    return [{str(name): None if _is_missing(value) else value for name, value in row.items()} for row in rows]


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return value is None or value is pd.NA or value != value


def _place(dataset: Dataset, out: str | os.PathLike[str]) -> Path:
    text = os.fspath(out)
    if "://" in text:
        raise OutputError(f"output of an export must be a folder of this machine, got {text}. Export, then copy the folder.")
    place = Path(text).expanduser().absolute()
    target = dataset.target
    if isinstance(target, LocalTarget) and place.resolve().is_relative_to(Path(target.root).resolve()):
        raise OutputError(f"output of an export must be outside of the store, got {place}. Choose another place.")
    return place


def _head(source: ExportSource, form: ExportFormat) -> dict[str, Any]:
    """Return what must be equal for an export to be resumed."""
    digest = blake3.blake3()
    for row in source.rows:
        names = ("image_id", "scenario", "split", "label", "pair", "image_digest", "truth_digest", "instances_digest")
        digest.update(metadata.canonical({name: row[name] for name in names}))
    return {
        "name": source.dataset.name,
        "version": source.dataset.version,
        "recipe": source.dataset.recipe_digest,
        "format": form.type_name,
        "options": form.options(),
        "images": digest.hexdigest(),
        "truth": source.truth,
    }


def _write_images(source: ExportSource, form: ExportFormat, folder: ExportFolder, watcher: ExportWatcher) -> None:
    """Write the images that are not there, several at a time; after an error or Ctrl-C the others stop at their next read."""
    halted = Event()
    running: set[Future[str]] = set()

    def write(image: ExportImage) -> str:
        files = ImageFiles(folder)
        form.write(source, image, files)
        folder.add_image(image.id, files)
        return image.id

    def take(limit: int) -> None:
        while len(running) > limit:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            running.difference_update(done)
            for image_id in sorted(future.result() for future in done):
                watcher.exported(image_id)

    threads = max(1, min(_THREADS, os.cpu_count() or 1))
    with ThreadPoolExecutor(threads) as pool:
        try:
            for image in _missing(source, folder, halted):
                running.add(pool.submit(write, image))
                take(2 * threads - 1)
            take(0)
        except BaseException:
            halted.set()
            pool.shutdown(cancel_futures=True)
            raise


def _missing(source: ExportSource, folder: ExportFolder, halted: Event) -> Iterable[ExportImage]:
    for number, row in enumerate(source.rows):
        if row["image_id"] not in folder.images:
            yield ExportImage(number, row, source.dataset[row["image_id"]], source.truth, halted)


def _notes(source: ExportSource, form: ExportFormat, notes: Iterable[str]) -> str:
    """Return the text of ``NOTES.md``."""
    dataset = source.dataset
    levels = ", ".join(f"{value} {name}" for value, name, _, _ in metadata.TRUTH_LEVELS)
    counts: dict[tuple[str, str], int] = {}
    for row in source.rows:
        key = (str(row["scenario"]), str(row["split"]))
        counts[key] = counts.get(key, 0) + 1
    lines = [
        f"# {dataset.name} {dataset.version} as {form.type_name}",
        "",
        f"Exported by miso-gen: {len(source.rows)} of {len(dataset)} images of {escaped(source.title)}.",
        "",
        f"- recipe digest: `{dataset.recipe_digest}`",
        f"- root digest of the whole store: `{dataset.root_digest}`",
        f"- licence: {escaped(source.text('license')) or 'not stated'}",
        f"- truth: {levels}" if source.truth else "- truth: left out, with all that tells of it",
        *([f"- options: {_options(form.options())}"] if form.options() else []),
        "",
        "| Scenario | Split | Images |",
        "|---|---|---|",
        *(f"| {scenario} | {split} | {count} |" for (scenario, split), count in sorted(counts.items())),
        "",
        "What this format can't hold, and what became other than it was:",
        "",
        *(f"- {note}" for note in notes),
    ]
    return "\n".join(lines) + "\n"


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(options.items()))
