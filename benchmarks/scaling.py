"""Two processes against one, the whole of a data set, where its time goes, and how soon ``--help`` answers.

- whole command: ``miso-gen build RECIPE --workers N`` as a user runs it, from start to exit. One worker is the command's own
  process, two are a local Dask cluster.
- build: the same call inside a process that has imported everything, on a cluster that is up already.
- steady: the part of a build between a tenth and nine tenths of its pixels: no planning, no index, no start or end of workers.

One process is measured in two ways: in place (no Dask at all) and as a Dask cluster of one, which isolates what the second
process adds.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Report, Spread, Table, met, parser, publish, scratch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from miso_gen.recipe import ImagePlan

SPEEDUP_BAR, HELP_BAR = 1.6, 0.3
WAYS = ("in place", "cluster of 1", "cluster of 2")
ROOT = Path(__file__).parent.parent


@dataclass
class Phases:
    """A watcher that notes when a build reaches what."""

    begin: float
    planned: float = 0.0
    total: int = 0

    def __post_init__(self) -> None:
        self.marks: list[tuple[float, int]] = []

    def start(self, plans: Sequence[ImagePlan], kept: set[str]) -> None:
        """See :class:`miso_gen.build.Watcher`."""
        self.planned = perf_counter()
        self.total = sum(plan.canvas.height * plan.canvas.width for plan in plans if plan.id not in kept)

    def progress(self, plan: ImagePlan, pixels: int, *, finished: bool) -> None:
        """See :class:`miso_gen.build.Watcher`."""
        done = self.marks[-1][1] if self.marks else 0
        self.marks.append((perf_counter(), done + pixels))

    def failed(self, plan: ImagePlan, reason: str) -> None:
        """See :class:`miso_gen.build.Watcher`."""
        raise RuntimeError(f"{plan.id}: {reason}")

    def found(self, end: float) -> dict[str, float]:
        """Return the time of each phase in seconds, and the speed of the steady part in Mpx/s."""
        steady = [mark for mark in self.marks if 0.1 * self.total <= mark[1] <= 0.9 * self.total]
        last = self.marks[-1][0]
        (early, low), (late, high) = steady[0], steady[-1]
        return {
            "build_s": end - self.begin,
            "plan_s": self.planned - self.begin,
            "images_s": last - self.planned,
            "index_s": end - last,
            "steady_mpx_s": (high - low) / (late - early) / 1e6,
            "mpx": self.total / 1e6,
        }


def child_build(recipe: str, out: str, way: str) -> dict[str, float]:
    """Build a recipe in one way; return its phases."""
    from miso_gen.build import build

    if way == "in place":
        phases = Phases(perf_counter())
        build(recipe, out, workers=1, watcher=phases)
        return phases.found(perf_counter())
    from distributed import LocalCluster

    count = int(way.split()[-1])
    with LocalCluster(n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50) as cluster:
        phases = Phases(perf_counter())
        build(recipe, out, scheduler=cluster.scheduler_address, watcher=phases)
        return phases.found(perf_counter())


def run_child(recipe: Path, out: Path, way: str) -> dict[str, float]:
    """Run :func:`child_build` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scaling", "--child", way, "--recipe", str(recipe), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def miso_gen() -> str:
    """Return the command of this environment."""
    path = Path(sys.executable).parent / "miso-gen"
    return str(path) if path.is_file() else shutil.which("miso-gen") or "miso-gen"


def run_command(recipe: Path, out: Path, workers: int) -> float:
    """Run the whole command; return its seconds."""
    command = [miso_gen(), "build", str(recipe), "-o", str(out), "--workers", str(workers), "--quiet"]
    begin = perf_counter()
    subprocess.run(command, check=True)
    return perf_counter() - begin


def measure_scaling(recipe: Path, parent: Path | None, repeats: int) -> tuple[list[Table], dict[str, Any]]:
    """Return times and speed-ups of one and two processes, turn by turn, and the bytes on disk."""
    commands: dict[int, list[float]] = {1: [], 2: []}
    builds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    disk: dict[str, list[int]] = {}
    for _ in range(repeats):
        for workers, seconds in commands.items():
            with scratch(parent) as folder:
                seconds.append(run_command(recipe, folder / "out", workers))
                disk = disk or disk_use(folder / "out")
        for way, runs in builds.items():
            with scratch(parent) as folder:
                runs.append(run_child(recipe, folder / "out", way))
    gigapixels = builds[WAYS[0]][0]["mpx"] / 1e3
    times = Table(
        f"The whole of {recipe.stem}, {gigapixels:.1f} gigapixels with truth",
        ["way", "command, s", "build, s", "planning, s", "images, s", "index, s", "steady, Mpx/s"],
        note=f"Seconds of the wall clock, median of {repeats} runs (least-greatest).",
    )
    for way, whole in zip(WAYS, (commands[1], None, commands[2]), strict=True):
        values = {key: Spread.of([run[key] for run in builds[way]]) for key in builds[way][0]}
        parts = [values[key].text(2) for key in ("build_s", "plan_s", "images_s", "index_s")]
        times.rows.append([way, Spread.of(whole).text() if whole else "-", *parts, values["steady_mpx_s"].text(0)])
    speedups = {
        "whole command: --workers 1 (in place) / --workers 2": _ratios(commands[1], commands[2]),
        "build: in place / cluster of 2": _ratios(*(_values(builds[way], "build_s") for way in (WAYS[0], WAYS[2]))),
        "build: cluster of 1 / cluster of 2": _ratios(*(_values(builds[way], "build_s") for way in WAYS[1:])),
        "steady: cluster of 2 / in place": _ratios(*(_values(builds[way], "steady_mpx_s") for way in (WAYS[2], WAYS[0]))),
        "steady: cluster of 2 / cluster of 1": _ratios(*(_values(builds[way], "steady_mpx_s") for way in (WAYS[2], WAYS[1]))),
    }
    rows = [[name, f"{ratio.text(2)}x", met(ratio.median, SPEEDUP_BAR, least=True)] for name, ratio in speedups.items()]
    faster = Table("Two processes against one", ["compared", "speed-up", "bar"], rows, "Run by run; more is better.")
    return [times, faster, disk_table(disk)], {"commands_s": commands, "builds": builds, "speedups": speedups, "disk": disk}


def _values(runs: Sequence[dict[str, float]], key: str) -> list[float]:
    return [run[key] for run in runs]


def _ratios(over: Sequence[float], under: Sequence[float]) -> Spread:
    return Spread.of([a / b for a, b in zip(over, under, strict=True)])


def disk_use(store: Path) -> dict[str, list[int]]:
    """Return [images, files, bytes of the files, bytes that the file system takes] by scenario, and of the tables."""
    totals: dict[str, list[int]] = {}
    for path in store.rglob("*"):
        if not path.is_file():
            continue
        parts = path.relative_to(store).parts
        name = parts[1] if parts[0] == "images.zarr" and len(parts) > 2 else "tables and root"
        entry = totals.setdefault(name, [0, 0, 0, 0])
        found = path.stat()
        image = len(parts) == 5 and parts[4] == "zarr.json"
        for place, value in enumerate((int(image), 1, found.st_size, found.st_blocks * 512)):
            entry[place] += value
    return totals


def disk_table(disk: dict[str, list[int]]) -> Table:
    """Return the bytes on disk as a table."""
    table = Table("On disk", ["scenario", "images", "files", "MB", "MB taken", "MB an image"])
    whole = [sum(column) for column in zip(*disk.values(), strict=True)]
    for name, (images, files, size, taken) in [*sorted(disk.items()), ("all", whole)]:
        each = f"{size / images / 1e6:.2f}" if images else "-"
        table.rows.append([name, f"{images:,}", f"{files:,}", f"{size / 1e6:,.1f}", f"{taken / 1e6:,.1f}", each])
    return table


def measure_stages(recipe: str, parent: Path | None, repeats: int, each: int) -> tuple[Table, dict[str, Any]]:
    """Return the share of each stage, on a sample of every scenario, weighted as in the whole data set."""
    from benchmarks import sample
    from benchmarks.render import build_image
    from benchmarks.stages import STAGES, WRITE, Clocks

    table = Table(
        "Share of each stage, one process",
        ["scenario", "ms an image", *STAGES, "writer.write"],
        note="Percent of the wall time of an image, mean over a scenario's images (clocks around the functions cost 1-2 %). "
        f"writer.write is {', '.join(WRITE)} together; files is `finish`: summary and objects encoded, files written, commit.",
    )
    everything: Counter[str] = Counter()
    count = 0.0
    data = {}
    for scenario in sample.ORDER:
        images = sample.sample(recipe, scenario, each)
        spent: Counter[str] = Counter()
        with scratch(parent) as folder:
            site = sample.site(folder, recipe)
            for repeat in range(-1, repeats):
                for one in images:
                    clocks = Clocks()
                    with clocks.running():
                        build_image(one, site)
                    if repeat >= 0:
                        spent.update({stage: seconds * one.weight for stage, seconds in clocks.seconds.items()})
        weight = sum(one.weight for one in images) * repeats
        data[scenario] = {stage: 1e3 * seconds / weight for stage, seconds in spent.items()}
        everything.update(spent)
        count += weight
        table.rows.append(_shares(scenario, spent, weight, STAGES, WRITE))
    table.rows.append(_shares("all", everything, count, STAGES, WRITE))
    return table, data


def _shares(name: str, spent: Counter[str], weight: float, stages: Iterable[str], write: Iterable[str]) -> list[str]:
    total = spent.total()
    shares = [f"{100 * spent[stage] / total:.0f} %" for stage in stages]
    return [name, f"{1e3 * total / weight:.1f}", *shares, f"{100 * sum(spent[stage] for stage in write) / total:.0f} %"]


def measure_help(runs: int) -> tuple[Table, dict[str, Any]]:
    """Return the wall time of ``miso-gen --help``."""
    seconds = []
    for _ in range(runs + 1):
        begin = perf_counter()
        subprocess.run([miso_gen(), "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(perf_counter() - begin)
    spread = Spread.of(seconds[1:])  # the first reads the files from disk
    row = ["miso-gen --help, s", spread.text(3), met(spread.median, HELP_BAR, least=False)]
    return Table("Command line", ["quantity", "value", "bar"], [row], f"{runs} runs."), {"help_s": seconds[1:]}


def main(arguments: Sequence[str] | None = None) -> None:
    from benchmarks.sample import recipe_path

    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=3, help="builds of each way")
    options.add_argument("--each", type=int, default=3, help="images of each kind whose stages are timed")
    options.add_argument("--child", choices=WAYS, help="used by the script itself")
    options.add_argument("--out", help="used by the script itself")
    args = options.parse_args(arguments)
    if args.child:
        print(json.dumps(child_build(args.recipe, args.out, args.child)))
        return
    repeats, each = (1, 1) if args.quick else (args.repeats, args.each)
    recipe = recipe_path("miso1-mini" if args.quick and args.recipe == "miso1" else args.recipe)
    report = Report("scaling")
    answer, report.data["help"] = measure_help(5 if args.quick else 20)
    stages, report.data["stages_ms"] = measure_stages(args.recipe, args.tmp, repeats, each)
    tables, report.data["scaling"] = measure_scaling(recipe, args.tmp, repeats)
    report.tables += [*tables, stages, answer]
    publish(report, args.json)


if __name__ == "__main__":
    main()
