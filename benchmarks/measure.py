"""Clocks, spreads, tables, and the frame that every benchmark script shares."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LIBRARIES = (
    "miso-gen",
    "numpy",
    "opencv-python-headless",
    "scikit-image",
    "zarr",
    "numcodecs",
    "blake3",
    "google-crc32c",
    "distributed",
)


@dataclass(frozen=True)
class Time:
    """How long something took, in seconds: of this process on all its cores, and on the clock."""

    cpu: float
    wall: float

    def __add__(self, other: Time) -> Time:
        return Time(self.cpu + other.cpu, self.wall + other.wall)

    def __mul__(self, factor: float) -> Time:
        return Time(self.cpu * factor, self.wall * factor)


def timed(function: Callable[[], object]) -> Time:
    """Call a function and return how long it took."""
    wall, cpu = perf_counter(), process_time()
    function()
    return Time(process_time() - cpu, perf_counter() - wall)


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of some repeats."""

    median: float
    least: float
    greatest: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of values."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def text(self, digits: int = 1) -> str:
        """Return ``median (least-greatest)``."""
        if self.count == 1:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}-{self.greatest:,.{digits}f})"


@dataclass
class Table:
    """One table of results.

    Attributes:
        title: What was measured.
        columns: Heads.
        rows: Texts.
        note: What a reader must know of it.
    """

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""

    def markdown(self) -> str:
        """Return the table in Markdown."""
        aligned = [" --- " if i == 0 else " ---: " for i in range(len(self.columns))]
        lines = [f"### {self.title}", ""]
        if self.note:
            lines += [self.note, ""]
        lines += [f"| {' | '.join(self.columns)} |", f"|{'|'.join(aligned)}|"]
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        return "\n".join(lines) + "\n"


@dataclass
class Report:
    """What one script found.

    Attributes:
        name: The script.
        tables: For people.
        data: For machines; JSON values.
    """

    name: str
    tables: list[Table] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


def met(value: float, bar: float | None, *, least: bool) -> str:
    """Return a bar and whether it is met; ``least``: values at or above the bar meet it."""
    if bar is None:
        return "-"
    passed = value >= bar if least else value <= bar
    return f"{'>=' if least else '<='} {bar:g} {'met' if passed else '**missed**'}"


def json_value(value: Any) -> Any:
    """Return dataclasses as mappings, for ``json.dumps(default=...)``."""
    if isinstance(value, Spread | Time | Table | Report):
        return asdict(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


@contextmanager
def scratch(parent: Path | None) -> Iterator[Path]:
    """Yield a folder for what a measurement writes; it is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="miso-gen-benchmark-", dir=parent) as folder:
        yield Path(folder)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every script has."""
    out = argparse.ArgumentParser(description=(doc or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    out.add_argument("--recipe", default="miso1", help="name or path of the recipe whose images are measured")
    out.add_argument("--quick", action="store_true", help="a try-out: one repeat, the smallest sample")
    out.add_argument("--tmp", type=Path, help="folder for what is written; default: the system's temporary folder")
    out.add_argument("--json", type=Path, help="also write the results to this file")
    return out


def publish(report: Report, path: Path | None) -> None:
    """Print a report and write it down."""
    for table in report.tables:
        print(table.markdown(), flush=True)
    if path is not None:
        path.write_text(json.dumps(report, default=json_value, indent=1), "utf-8")


def machine() -> dict[str, Any]:
    """Return what the measurement ran on."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "os": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "load_average": list(os.getloadavg()),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        fields = [line.split(":", 1) for line in info.read_text("utf-8").splitlines() if ":" in line]
        values = {name.strip(): value.strip() for name, value in reversed(fields)}
        if "model name" in values:
            return f"{values['model name']} (family {values.get('cpu family')}, model {values.get('model')})"
    return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
