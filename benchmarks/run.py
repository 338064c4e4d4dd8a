"""Run all benchmarks, print their tables, and write them down with the machine they ran on.

python -m benchmarks.run                 everything, some 40 minutes on a quiet machine
python -m benchmarks.run --quick         a try-out of some minutes; its numbers mean little
python -m benchmarks.run --only render   some of them
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Table, json_value, machine

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPTS = ("render", "write", "cells", "memory", "scaling")
ROOT = Path(__file__).parent.parent
_BUSY = 0.5  #: a load average above this, before anything of ours runs, disturbs the clocks


def run_script(name: str, options: Sequence[str]) -> dict[str, Any]:
    """Run one script in a process of its own, its tables on standard output; return its report."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(path), *options]
        begin = perf_counter()
        subprocess.run(command, check=True, cwd=ROOT)
        report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    report["seconds"] = perf_counter() - begin
    return report


def page(results: dict[str, Any]) -> str:
    """Return the results as a Markdown page."""
    here = results["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in here["libraries"].items())
    lines = [
        "# Benchmark results",
        "",
        f"Measured on {results['date']} with `{results['command']}`, {results['seconds'] / 60:.0f} minutes. Written by "
        "`benchmarks/run.py`; what is compared with what stands in [../README.md](../README.md).",
        "",
        f"- Machine: {here['cpu']}, {here['cores']} cores, {here['memory_gib']} GiB, {here['os']}",
        f"- Python {here['python']}, {libraries}",
        f"- Load average before the start (1, 5, 15 minutes): {', '.join(f'{load:.2f}' for load in here['load_average'])}",
        "- Values are medians of the repeats, least and greatest in brackets",
        "",
    ]
    if results["quick"]:
        lines += ["**A try-out: single repeats, not to be quoted.**", ""]
    for report in results["reports"]:
        lines += [f"## {report['name']}", "", *(Table(**table).markdown() for table in report["tables"])]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="a try-out: single repeats, small samples")
    options.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS), help="scripts to run")
    options.add_argument("--all", action="store_true", help="render: all images of the test split instead of a sample")
    options.add_argument("--each", type=int, help="render, write: images of each kind")
    options.add_argument("--repeats", type=int, help="render, write: repeats")
    options.add_argument("--label", help="short name of the machine, for the name of the results")
    options.add_argument("--tmp", type=Path, help="folder for what is written; default: the system's temporary folder")
    options.add_argument("--results", type=Path, help="where results go; default benchmarks/results, a try-out's are temporary")
    args = options.parse_args(arguments)
    here = machine()
    if here["load_average"][0] > _BUSY:
        print(f"note: the load average is {here['load_average'][0]:.2f}; the machine is not quiet.", file=sys.stderr)
    shared = ["--quick"] * args.quick + (["--tmp", str(args.tmp)] if args.tmp else [])
    given = sys.argv[1:] if arguments is None else arguments
    temporary = Path(tempfile.gettempdir()) / "miso-gen-benchmarks"
    folder = args.results or (temporary if args.quick else ROOT / "benchmarks" / "results")
    begin = perf_counter()
    results: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": " ".join(["python -m benchmarks.run", *given]),
        "quick": args.quick,
        "seconds": 0.0,
        "machine": here,
        "reports": [],
    }
    for name in SCRIPTS:
        if name in args.only:
            print(f"\n== {name}\n", flush=True)
            own = ["--all"] * (args.all and name == "render")
            if name in ("render", "write"):
                own += [
                    word for key in ("each", "repeats") if getattr(args, key) for word in (f"--{key}", str(getattr(args, key)))
                ]
            results["reports"].append(run_script(name, shared + own))
            results["seconds"] = perf_counter() - begin
            write(results, folder, args.label or f"{platform.system()}-{here['cores']}-cores")


def write(results: dict[str, Any], folder: Path, label: str) -> None:
    """Write what was found so far: all of it as JSON, the tables as a page."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{results['date']}-{re.sub(r'[^a-z0-9]+', '-', label.lower()).strip('-')}.json"
    path.write_text(json.dumps(results, default=json_value, indent=1) + "\n", "utf-8")
    (folder / "README.md").write_text(page(results), "utf-8")
    print(f"written: {path} and {folder / 'README.md'}", flush=True)


if __name__ == "__main__":
    main()
