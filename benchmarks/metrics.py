"""Scoring maps: against the libraries that compute the same, with equal values, on one thread.

One map of 3072 x 3072 pixels, and a thousand of 64 x 64. Peers run in an environment of their own (``--peers``, see
``benchmarks/metrics_peers.py``), turn by turn with ours: ours, theirs, ours, theirs. CPU time, least of the repeats; both read
the same arrays, which are in memory when the clock starts. Values are compared on the way.

    python -m benchmarks.metrics --peers peers/bin/python            everything but the GPU, some five minutes
    python -m benchmarks.metrics --only cuda                         on a machine with a GPU
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from benchmarks.measure import Report, Spread, Table, json_value, machine, met, publish, scratch
from miso_gen.metrics import METRICS, score
from miso_gen.metrics.scores.scag_dist import scag_dist
from miso_gen.metrics.scores.ssim import ssim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIDE, SMALL, MANY = 3072, 64, 1000
PARTS = ("peers", "scagnostics", "default", "cuda")
FOREGROUND = (10, 100, 300, 1_000, 10_000, 100_000, 1_000_000, 9_000_000)
FOUR: list[Any] = [
    "mae",
    {"type": "s-measure", "centre": "upper-left"},
    *(f"{way}-{kind}" for kind in ("e-measure", "f-beta") for way in ("adaptive", "mean", "max")),
]
RANKED = ["auroc", "average-precision"]
LOCALISATION = ["relevance-mass", "relevance-rank", "pointing-game", "top-k-intersection", "auroc"]
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")}
RESULTS = Path(__file__).parent / "results"


def made(n: int, side: int, seed: int = 0) -> dict[str, Any]:
    """Return maps (n, side, side) float32 from 0 to 1, the same in bytes, truth of levels, and instances.

    Smooth noise, more where there is evidence: the values of evidence and background overlap.
    """
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:side, :side].astype(np.int32)
    truth, instances = np.zeros((n, side, side), np.uint8), np.zeros((n, side, side), np.int32)
    maps = np.empty((n, side, side), np.float32)
    for k in range(n):
        for number in range(1, 13):
            (top, left), radius = rng.integers(side // 10, side - side // 10, 2), rng.integers(side // 40, side // 12 + 1)
            disc = (row - top) ** 2 + (col - left) ** 2 <= radius**2
            truth[k][disc], instances[k][disc] = 1 + number % 2, number
        noise = cv2.GaussianBlur(rng.random((side, side), dtype=np.float32), (0, 0), 2)
        noise = (noise - noise.min()) / (noise.max() - noise.min())
        soft = cv2.GaussianBlur((truth[k] >= 2).astype(np.float32), (0, 0), max(side / 300, 1))
        shown = noise * (0.7 + 0.3 * soft)
        maps[k] = (shown - shown.min()) / (shown.max() - shown.min())
    return {"map": maps, "bytes": np.rint(maps * 255).astype(np.uint8), "truth": truth, "instances": instances}


class Peers:
    """The process of the peers."""

    def __init__(self, python: Path) -> None:
        script = Path(__file__).with_name("metrics_peers.py")
        self.process = subprocess.Popen(
            [str(python), str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )
        self.versions: dict[str, str] = self._answer()

    def __call__(self, peer: str, data: Path) -> dict[str, Any]:
        """Return the answer of a peer that scores the arrays of a file."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"peer": peer, "data": str(data)}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the peers' process ended; run benchmarks/metrics_peers.py by hand to see why")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def cpu(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return CPU seconds and what a function returns."""
    begin = process_time()
    found = function()
    return process_time() - begin, found


def least(function: Callable[[], Any], repeats: int) -> Spread:
    """Return the spread of CPU milliseconds; a first repeat warms up."""
    return Spread.of([1e3 * cpu(function)[0] for _ in range(repeats + 1)][1:])


def apart(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Return the greatest distance of values of the same name."""
    return max(float(np.abs(np.asarray(ours[name]) - theirs[name]).max()) for name in theirs)


def of_one(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return one localisation score of ours, of a map with a truth of bool."""
    return score(data["map"], data["evidence"], [{"type": name, "ties": "any"} if name == "pointing-game" else name])


def measure_peers(peers: Peers, large: Path, small: Path, files: dict[Path, dict[str, Any]], repeats: int) -> Table:
    """Return the table of ours against the peers."""
    columns = ["what", "peer", "ours, ms", "peer, ms", "ratio", "bar", "greatest difference", "bar of it"]
    title = f"Against peers: a map of {files[large]['map'].shape[-1]} px, and many of {files[small]['map'].shape[-1]} px"
    note = (
        f"CPU time, least of {repeats} turns; the ratio is that of the least times. Pixels that tie for the last place of "
        "relevance-rank and top-k-intersection count in part with us; Quantus takes some of them: 1 / k at most where two tie."
    )
    table = Table(title, columns, note=note)
    one, many = files[large], files[small]
    number = f"{len(many['bytes']):,} maps"
    six = [*FOUR, *RANKED]
    rows: list[tuple[str, str, Path, Callable[[], Any], float | None, float | None]] = [
        ("MAE, S, E, F + AUROC, AP, bytes", "PySODMetrics", large, lambda: score(one["bytes"], one["evidence"], six), 25.0, 1e-9),
        (f"the same, {number}", "PySODMetrics", small, lambda: score(many["bytes"], many["evidence"], six), 6.0, 1e-9),
        ("AUROC + AP, exact, float32", "scikit-learn", large, lambda: score(one["map"], one["evidence"], RANKED), 10.0, 1e-9),
        ("AUROC + AP, exact, float32", "torchmetrics", large, lambda: score(one["map"], one["evidence"], RANKED), None, None),
        ("SSIM", "scikit-image", large, lambda: {"ssim": ssim(one["tensor"], one["marks"])[0]}, 4.0, 1e-6),
    ]
    ties = {"relevance-rank": 1 / int(one["evidence"].sum()), "top-k-intersection": 1e-3}
    rows += [
        (name, f"Quantus {name}", large, lambda name=name: of_one(name, one), 40.0, max(1e-6, ties.get(name, 0.0)))  # type: ignore[misc]
        for name in LOCALISATION
    ]
    totals = [0.0, 0.0]
    for what, peer, path, function, bar, equal in rows:
        ours, theirs, difference, missing = [], [], 0.0, ""
        for _ in range(repeats + 1):
            seconds, values = cpu(function)
            answer = peers(peer, path)
            if "missing" in answer:
                missing = answer["missing"]
                break
            ours.append(seconds)
            theirs.append(answer["cpu"])
            difference = max(difference, apart(values, answer["values"]))
        if missing:
            table.rows.append([what, peer, "-", "-", "-", "-", f"not measured: no {missing}", "-"])
            continue
        best, other = min(ours[1:]), min(theirs[1:])
        if peer.startswith("Quantus"):
            totals = [totals[0] + best, totals[1] + other]
        row = [
            what,
            peer,
            f"{1e3 * best:,.1f}",
            f"{1e3 * other:,.0f}",
            f"{other / best:,.1f}x",
            met(other / best, bar, least=True),
        ]
        table.rows.append([*row, f"{difference:.1e}", "-" if equal is None else met(difference, equal, least=False)])
        print(table.rows[-1], flush=True)
    if totals[0]:
        row = ["all five, one after the other", "Quantus", f"{1e3 * totals[0]:,.1f}", f"{1e3 * totals[1]:,.0f}"]
        table.rows.append([*row, f"{totals[1] / totals[0]:,.1f}x", met(totals[1] / totals[0], 40.0, least=True), "-", "-"])
    return table


def measure_scagnostics(side: int, repeats: int) -> Table:
    """Return the table of ScagDist over the size of the foreground."""
    table = Table(
        f"ScagDist of a mask of {side} x {side} px",
        ["pixels of the mask", "scattered, ms", "discs, ms", "bar"],
        note=f"CPU time of mask and truth (some 5 % of the pixels) together, greatest of {repeats} repeats.",
    )
    rng = np.random.default_rng(1)
    truth = torch.from_numpy(made(1, side, 7)["truth"][0] >= 2)
    for pixels in FOREGROUND:
        if pixels > side * side:
            continue
        scattered = np.zeros(side * side, bool)
        scattered[rng.choice(side * side, pixels, replace=False)] = True
        row, col = np.mgrid[:side, :side]
        order = np.hypot(row - 0.4 * side, 1.5 * (col - 0.6 * side)).ravel()
        disc = np.zeros(side * side, bool)
        disc[np.argpartition(order, pixels - 1)[:pixels]] = True
        times = []
        for mask in (scattered, disc):
            plane = torch.from_numpy(mask.reshape(side, side))
            times.append(least(lambda plane=plane: scag_dist(plane, truth), repeats).greatest)  # type: ignore[misc]
        table.rows.append([f"{pixels:,}", *(f"{time:.1f}" for time in times), met(max(times), 100.0, least=False)])
        print(table.rows[-1], flush=True)
    return table


def measure_default(one: dict[str, Any], repeats: int) -> Table:
    """Return the table of the default set."""
    table = Table(
        "The default set: all metrics of a map against truth that repeat no released code, but weighted-f",
        ["map", "metrics", "ms", "bar"],
        note=f"CPU time of one call of `score`, least of {repeats} repeats; truth of levels 0, 1, 2.",
    )
    every = {name: METRICS.get(name) for name in METRICS.names() if name != "weighted-f"}
    every = {name: metric for name, metric in every.items() if not metric.legacy}
    maps = {
        "uint8": (one["bytes"][0], None),
        "float32, levels=256": (one["map"][0], 256),
        "float32, exact": (one["map"][0], None),
    }
    for kind, (map, levels) in maps.items():
        for objects in (False, True):
            names = [name for name, metric in every.items() if objects or metric.truth != "instances"]
            given = one["instances"][0] if objects else None
            spread = least(
                lambda map=map, names=names, levels=levels, given=given: score(  # type: ignore[misc]
                    map, one["truth"][0], names, levels=levels, instances=given
                ),
                repeats,
            )
            what = f"{len(names)}{', those of objects too' if objects else ''}"
            table.rows.append([kind, what, f"{spread.least:,.0f}", met(spread.least, 500.0, least=False)])
            print(table.rows[-1], flush=True)
    return table


def measure_cuda(repeats: int, maps: int = MANY, side: int = 1024) -> Table:
    """Return the table of CUDA against one CPU core; one row that says so where there is no CUDA."""
    table = Table(
        f"A thousand maps of {side} px on CUDA against one CPU core",
        ["metrics", "CUDA, ms a map", "one core, ms a map", "ratio"],
        note="`python -m benchmarks.metrics --only cuda`. Wall time, maps in the memory of the device; the core scores 20 maps.",
    )
    if not torch.cuda.is_available():
        table.rows.append(["not measured: no CUDA here", "-", "-", "-"])
        return table
    few = made(20, side)
    shown, marks = torch.from_numpy(few["map"]), torch.from_numpy(few["truth"] >= 2)
    times = math.ceil(maps / len(shown))
    on_device = shown.cuda().repeat(times, 1, 1)[:maps], marks.cuda().repeat(times, 1, 1)[:maps]
    for title, names in {
        "MAE, S, E, F + AUROC, AP, 256 levels": [*FOUR, *RANKED],
        "AUROC + AP, 256 levels": RANKED,
        "SSIM": ["ssim"],
        "relevance mass and rank, pointing game": ["relevance-mass", "relevance-rank", "pointing-game"],
    }.items():
        times_ms = []
        for map, truth in (on_device, (shown, marks)):
            found = []
            for _ in range(repeats + 1):
                torch.cuda.synchronize()
                begin = perf_counter()
                score(map, truth, names, levels=256)
                torch.cuda.synchronize()
                found.append(1e3 * (perf_counter() - begin) / len(map))
            times_ms.append(min(found[1:]))
        row = [title, *(f"{time:.3f}" for time in times_ms)]
        table.rows.append([*row, f"{times_ms[1] / times_ms[0]:.1f}x"])
    return table


def page(report: Report) -> str:
    """Return the results as a Markdown page."""
    here = report.data["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in report.data["libraries"].items())
    head = [
        "# Scoring maps",
        "",
        f"`{report.data['command']}`, {report.data['date']}; what is compared stands in `benchmarks/metrics.py`.",
        "",
        f"- Machine: {here['cpu']}, {here['cores']} cores, {here['memory_gib']} GiB, {here['os']}",
        f"- Ours: {libraries}",
        f"- Peers: {', '.join(f'{name} {number}' for name, number in report.data['peers'].items()) or 'none'}",
        f"- Load average before the start (1, 5, 15 minutes): {', '.join(f'{load:.2f}' for load in here['load_average'])}",
        "",
    ]
    return "\n".join(head) + "\n" + "\n".join(table.markdown() for table in report.tables)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--peers", type=Path, help="the Python of the peers' environment; without it they are left out")
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--quick", action="store_true", help="a try-out: small maps, one repeat")
    options.add_argument("--tmp", type=Path, help="folder for arrays; default: the system's temporary folder")
    options.add_argument("--json", type=Path, help="also write the results to this file")
    options.add_argument("--write", action="store_true", help="write benchmarks/results/metrics.json and metrics.md")
    args = options.parse_args(arguments)
    side, number, repeats = (256, 50, 1) if args.quick else (SIDE, MANY, args.repeats)
    report = Report("metrics")
    report.data["machine"], report.data["peers"] = machine(), {}
    report.data["libraries"] = {"torch": torch.__version__, "numpy": np.__version__, "opencv": cv2.__version__}
    report.data["date"] = datetime.now(UTC).strftime("%Y-%m-%d")
    report.data["command"] = "python -m benchmarks.metrics" + (" --peers PYTHON" if args.peers else "")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with scratch(args.tmp) as folder:
        files = {folder / "large.npz": made(1, side), folder / "small.npz": made(number, SMALL)}
        for path, data in files.items():
            data["truth"], levels = (data["truth"] >= 2).astype(np.uint8) * 255, data["truth"]
            np.savez(path, **data)
            data["truth"], data["evidence"] = levels, levels >= 2
            data["tensor"], data["marks"] = torch.from_numpy(data["map"]), torch.from_numpy(data["evidence"])
        large, small = files
        if "peers" in args.only and args.peers:
            peers = Peers(args.peers)
            report.data["peers"] = peers.versions
            report.tables.append(measure_peers(peers, large, small, files, repeats))
            peers.close()
        if "scagnostics" in args.only:
            report.tables.append(measure_scagnostics(side, repeats))
        if "default" in args.only:
            report.tables.append(measure_default(files[large], repeats))
        if "cuda" in args.only:
            report.tables.append(measure_cuda(repeats))
    publish(report, args.json)
    if args.write:
        (RESULTS / "metrics.json").write_text(json.dumps(report, default=json_value, indent=1) + "\n", "utf-8")
        (RESULTS / "metrics.md").write_text(page(report), "utf-8")


if __name__ == "__main__":
    main()
