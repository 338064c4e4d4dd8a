"""What the command line prints: progress, tables, sizes."""

from __future__ import annotations

import sys
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from miso_gen.check import ClassBalance, Findings
    from miso_gen.recipe import ImagePlan

_LINE_S = 10.0
_YES = {True: "yes", False: "no"}


def size(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def count(number: int, noun: str) -> str:
    """Return a number of things for people: ``1 image``, ``2 images``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def duration(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Print a table; wide ones are not cut where the output is no terminal."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    body = [[str(value) for value in row] for row in rows]
    for place, column in enumerate(columns):
        numeric = bool(body) and all(row[place].replace(",", "").replace(".", "").isdigit() for row in body)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*(Text(value) for value in row))
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table)


def print_balance(rows: Iterable[ClassBalance]) -> None:
    """Print how many images each class has, and their mean shares of truth; over those whose evidence is known."""
    columns = ("scenario", "split", "label", "class", "images", "truth >= 1", "truth = 2")
    body = []
    for row in rows:
        evidence = "unknown" if row.truth_2_share is None else f"{row.truth_2_share:.3f}"
        if 0 < row.truth_2_known < row.images:
            evidence += f" (known of {row.truth_2_known})"
        body.append((row.scenario, row.split, row.label, row.class_name, row.images, f"{row.truth_1_share:.3f}", evidence))
    print_table(columns, body)


def print_findings(findings: Findings) -> None:
    """Print what a check of a store found, warnings last."""
    from miso_gen.check import fraction

    print_balance(findings.balance)
    if findings.probes:
        print()
        columns = ("scenario", "told from", "AUROC", "from", "to", "images", "declared", "verdict")
        body = [
            (p.scenario, p.probe, fraction(p.auroc), fraction(p.low), fraction(p.high), p.images, _YES[p.declared], p.verdict)
            for p in findings.probes
        ]
        print_table(columns, body)
    print(f"\nequal images: {len(findings.duplicates) or 'none'}")
    noise = "not looked at" if findings.noise is None else len(findings.noise) or "none"
    print(f"shared noise: {noise}")
    for title, sentences in (("note", findings.notes), ("warning", findings.warnings)):
        for sentence in sentences:
            print(f"{title}: {sentence}")
    print(count(len(findings.warnings), "warning") if findings.warnings else "no warnings")


class StepProgress:
    """Shows how work of several parts goes: a bar each on a terminal, a line each elsewhere, nothing if quiet."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True)
        self._bars: Progress | None = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        if not self._quiet and self._console.is_terminal:
            columns = TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self._bars = Progress(*columns, console=self._console)
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def start(self, what: str, total: int) -> None:
        """A part begins: so many steps of it."""
        if self._bars is not None:
            self._tasks[what] = self._bars.add_task(what, total=total)
        elif not self._quiet:
            self.say(f"{what}: {total}")

    def step(self, what: str, count: int = 1) -> None:
        """Some more steps are done."""
        if self._bars is not None and what in self._tasks:
            self._bars.update(self._tasks[what], advance=count)

    def say(self, line: str) -> None:
        """Print a line."""
        if not self._quiet:
            self._console.print(line, highlight=False, soft_wrap=True)


class FetchProgress(StepProgress):
    """A watcher of a fetch."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._there: dict[str, int] = {}

    def start(self, files: int, size_: int) -> None:  # type: ignore[override]  # another kind of watcher
        """See :class:`miso_gen.store.download.Watcher`."""
        super().start("MB" if self._bars is not None else f"{count(files, 'file')}, MB", max(1, size_ // 1_000_000))

    def progress(self, path: str, size_: int) -> None:
        """See :class:`miso_gen.store.download.Watcher`."""
        before = sum(self._there.values()) // 1_000_000
        self._there[path] = size_
        self.step("MB", sum(self._there.values()) // 1_000_000 - before)

    def waiting(self, path: str) -> None:
        """See :class:`miso_gen.store.download.Watcher`."""
        self.say(f"{path}: another process fetches it; waiting")

    def retrying(self, path: str, reason: str, wait: float) -> None:
        """See :class:`miso_gen.store.download.Watcher`."""
        self.say(f"{path}: {reason}; once more in {wait:.0f} s")


class PublishProgress(StepProgress):
    """A watcher of a publication."""

    def start(self, files: int, size_: int) -> None:  # type: ignore[override]  # another kind of watcher
        """See :class:`miso_gen.release.publishing.interfaces.Watcher`."""
        super().start("files", files)

    def sent(self, path: str, size_: int, *, kept: bool) -> None:
        """See :class:`miso_gen.release.publishing.interfaces.Watcher`."""
        self.step("files")
        if self._bars is None:
            self.say(f"{path}: {'was there' if kept else 'sent'}, {size(size_)}")


class ExportProgress(StepProgress):
    """A watcher of an export."""

    def start(self, images: int, kept: int) -> None:  # type: ignore[override]  # another kind of watcher
        """See :class:`miso_gen.release.exporting.ExportWatcher`."""
        super().start("images", images)
        self.step("images", kept)

    def exported(self, image_id: str) -> None:
        """See :class:`miso_gen.release.exporting.ExportWatcher`."""
        self.step("images")


class _Speed(ProgressColumn):
    """Megapixels a second, over the whole build."""

    def render(self, task: Task) -> Text:
        elapsed = task.elapsed or 0.0
        pixels = task.fields.get("pixels", 0)
        return Text(f"{pixels / elapsed / 1e6:6.0f} Mpx/s" if elapsed > 0 else "")


class BuildProgress:
    """Shows how a build goes: a bar for each scenario on a terminal, a line now and then elsewhere, nothing if quiet."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._quiet, self._verbose = quiet, verbose
        self._console = Console(stderr=True)
        self._bars: Progress | None = None
        self._tasks: dict[str, Any] = {}
        self._left: Counter[str] = Counter()
        self._done = self._total = self._pixels = 0
        self._begin = self._said = monotonic()

    def __enter__(self) -> Self:
        if not self._quiet and self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:<16}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Speed(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def start(self, plans: Sequence[ImagePlan], kept: set[str]) -> None:
        """See :class:`miso_gen.build.Watcher`."""
        totals = Counter(plan.scenario for plan in plans)
        done = Counter(plan.scenario for plan in plans if plan.id in kept)
        self._begin = self._said = monotonic()
        self._total, self._done = len(plans), len(kept)
        self._left = totals - done
        if self._bars is not None:
            self._tasks = {"": self._bars.add_task("all", total=len(plans), completed=len(kept), pixels=0)}
            for name, total in totals.items():
                self._tasks[name] = self._bars.add_task(name, total=total, completed=done[name], pixels=0)
        elif not self._quiet:
            self._say(f"{count(len(plans), 'image')}, {len(kept)} of them there already")

    def progress(self, plan: ImagePlan, pixels: int, *, finished: bool) -> None:
        """See :class:`miso_gen.build.Watcher`."""
        self._pixels += pixels
        self._done += finished
        if self._bars is not None:
            for name in ("", plan.scenario):
                task = self._tasks[name]
                so_far = self._bars.tasks[task].fields["pixels"]
                self._bars.update(task, advance=int(finished), pixels=so_far + pixels)
            return
        if self._quiet:
            return
        if finished:
            self._left[plan.scenario] -= 1
            if self._verbose:
                self._say(f"{plan.id} done")
            if not self._left[plan.scenario]:
                self._say(f"{plan.scenario} done, {self._state()}")
        if monotonic() - self._said > _LINE_S:
            self._say(self._state())

    def failed(self, plan: ImagePlan, reason: str) -> None:
        """See :class:`miso_gen.build.Watcher`."""
        if not self._quiet:
            self._console.print(Text(f"failed: {plan.id}: {reason}", "red"))

    def _state(self) -> str:
        elapsed = max(monotonic() - self._begin, 1e-9)
        return f"{self._done}/{self._total} images, {self._pixels / elapsed / 1e6:.0f} Mpx/s, {duration(elapsed)}"

    def _say(self, line: str) -> None:
        self._said = monotonic()
        self._console.print(line, highlight=False, soft_wrap=True)
