"""Peak memory of a worker process above its import baseline, and the speed of the gigapixel image.

Every measurement is a process of its own. It imports what a worker imports, notes its resident memory, does the work, and
reads the peak of its resident memory from the kernel (VmHWM, of this process alone). Plans come ready made, as they do to a
worker; the gigapixel build runs whole in one process, planning and index included.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Report, Spread, Table, met, parser, publish, scratch

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGE_BAR, GIGAPIXEL_BAR, SPEED_BAR = 200.0, 256.0, 250.0


def resident(field: str) -> float:
    """Return a line of ``/proc/self/status`` in MiB: VmRSS (now) or VmHWM (the peak)."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"memory can be measured on Linux only: no {field} in /proc/self/status")


def child_image() -> dict[str, float]:
    """Build the images whose pieces come on standard input, in turn; return baseline and peak."""
    import miso_gen.build  # noqa: F401 - what a worker holds
    from miso_gen.recipe.plugins import SCENARIOS
    from miso_gen.work import carry_out

    SCENARIOS.names()  # imports every scenario
    pieces, site = pickle.load(sys.stdin.buffer)
    base = resident("VmRSS")
    for piece in pieces:
        carry_out(piece, site)
    return {"base_mib": base, "peak_mib": resident("VmHWM")}


def child_gigapixel(recipe: str, out: str) -> dict[str, float]:
    """Build a recipe in this process; return baseline, peak and times."""
    from miso_gen.build import build
    from miso_gen.recipe.plugins import SCENARIOS

    SCENARIOS.names()
    base = resident("VmRSS")
    wall, cpu = perf_counter(), process_time()
    result = build(recipe, out, scheduler="sync")
    cpu, wall = process_time() - cpu, perf_counter() - wall
    return {"base_mib": base, "peak_mib": resident("VmHWM"), "cpu_s": cpu, "wall_s": wall, "pixels": result.pixels}


def spawn(arguments: Sequence[str], given: bytes = b"") -> dict[str, Any]:
    """Run a child of this script and return what it found."""
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, input=given, capture_output=True, cwd=root, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure_images(recipe: str, folder: Path, repeats: int, each: int) -> tuple[Table, dict[str, Any]]:
    """Return the peak for one image of every kind, by scenario, each image in a process of its own."""
    from benchmarks import sample
    from miso_gen.work import Piece

    site = sample.site(folder, recipe)
    table = Table(
        "Peak memory of a worker, one image",
        ["scenario", "images", "baseline, MiB", "above it, MiB", "bar"],
        note="Resident memory; the largest peak over one image of every kind (label, fuzz, branch), median of "
        f"{repeats} repeats (least-greatest).",
    )
    data = {}
    for scenario in sample.ORDER:
        images = sample.sample(recipe, scenario, each)
        peaks, bases = [], []
        for _ in range(repeats):
            found = [spawn(["--child", "image"], pickle.dumps(([Piece(one.plan, "image")], site))) for one in images]
            peaks.append(max(run["peak_mib"] - run["base_mib"] for run in found))
            bases.append(max(run["base_mib"] for run in found))
        peak, base = Spread.of(peaks), Spread.of(bases)
        bar = met(peak.greatest, IMAGE_BAR, least=False)
        table.rows.append([scenario, str(len(images)), base.text(0), peak.text(), bar])
        data[scenario] = {"peak_above_base_mib": peak, "base_mib": base, "bar": IMAGE_BAR}
        print(table.rows[-1], flush=True)
    return table, data


def measure_gigapixel(recipe: str, parent: Path | None, repeats: int) -> tuple[Table, dict[str, Any]]:
    """Return peak and speed of a gigapixel image, built whole in one process."""
    from benchmarks.sample import recipe_path

    runs = []
    for _ in range(repeats):
        with scratch(parent) as folder:
            runs.append(spawn(["--child", "gigapixel", "--recipe", str(recipe_path(recipe)), "--out", str(folder / "out")]))
    peak = Spread.of([run["peak_mib"] - run["base_mib"] for run in runs])
    cpu = Spread.of([run["pixels"] / run["cpu_s"] / 1e6 for run in runs])
    wall = Spread.of([run["pixels"] / run["wall_s"] / 1e6 for run in runs])
    table = Table(
        f"{runs[0]['pixels'] / 1e6:,.0f} Mpx with truth and pyramid, in one process",
        ["quantity", "value", "bar"],
        [
            ["peak memory above the import baseline, MiB", peak.text(), met(peak.greatest, GIGAPIXEL_BAR, least=False)],
            ["baseline, MiB", Spread.of([run["base_mib"] for run in runs]).text(0), "-"],
            ["pixels of level 0 per CPU second, Mpx/s", cpu.text(0), met(cpu.median, SPEED_BAR, least=True)],
            ["pixels of level 0 per second, Mpx/s", wall.text(0), "-"],
        ],
        note=f"Planning, all levels and the index included; {repeats} repeats, median (least-greatest).",
    )
    return table, {"runs": runs, "peak_above_base_mib": peak, "mpx_per_cpu_s": cpu, "mpx_per_s": wall}


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--gigapixel", default="gigapixel", help="name or path of the recipe with one large image")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--each", type=int, default=1, help="images of each kind: label, fuzz, branch")
    options.add_argument("--child", choices=["image", "gigapixel"], help="used by the script itself")
    options.add_argument("--out", help="used by the script itself")
    args = options.parse_args(arguments)
    if args.child:
        print(json.dumps(child_image() if args.child == "image" else child_gigapixel(args.recipe, args.out)))
        return
    repeats = 1 if args.quick else args.repeats
    report = Report("memory")
    with scratch(args.tmp) as folder:
        images, report.data["images"] = measure_images(args.recipe, folder, repeats, args.each)
    large, report.data["gigapixel"] = measure_gigapixel(args.gigapixel, args.tmp, repeats)
    report.tables += [images, large]
    publish(report, args.json)


if __name__ == "__main__":
    main()
