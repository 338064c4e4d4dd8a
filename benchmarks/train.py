"""Training VGG-19 and VGG-Att on the patches of MISO-1, EVP and DSP, with the settings of the paper.

Patches of 96 px, batches of 36, Adam at 5e-4, cross-entropy. For each scenario, network and format of numbers it measures patches
per second, the time of an epoch that follows from it, the share of the time in which the loader was waited for, memory, and on a
GPU how busy it was by its driver. The loop is that of ``miso-gen train``: the same loader, network and step. fp32 is contiguous,
bf16 goes channels-last with autocast, as a training on a GPU does.

    python -m benchmarks.train --store datasets/miso1/1.0.0 --write     on a machine with a GPU, some ten minutes
    python -m benchmarks.train --device cpu --batches 1 --batch 2       one small batch of each, to see that it runs
"""

from __future__ import annotations

import argparse
import json
import os
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from threading import Event, Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.measure import Report, Table, json_value, machine, met, publish, scratch
from miso_gen.build import build
from miso_gen.recipe import load_recipe
from miso_gen.train import load_experiment
from miso_gen.train.feeding import items_of, loader_of, logits_of, targets_of
from miso_gen.train.losses import item_losses
from miso_gen.train.recording import device_name, peak_memory
from miso_gen.train.starting import draw_model, optimizer_of
from miso_gen.train.tasks import tasks_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from miso_gen.train.tasks import Task

SCENARIOS, NETWORKS = ("evp", "dsp"), ("vgg19", "vgg-att")
FORMATS = ("fp32", "bf16")
LOADER_BAR, SPEED_BAR = 0.10, 2.0
BATCH = 36  #: patches, as in MISO
WARM = 10  #: batches before the clock starts
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Measured:
    """What a number of batches took.

    Attributes:
        patches: Patches of the measured batches.
        seconds: Their time.
        waited: Time of it in which the loader was waited for.
        epoch: Patches of an epoch.
        busy: Mean share of the time in which the GPU worked, by its driver; None: there is none, or it doesn't tell.
        memory: Most memory in use, bytes: of the GPU, or of the process.
    """

    patches: int
    seconds: float
    waited: float
    epoch: int
    busy: float | None
    memory: int

    @property
    def speed(self) -> float:
        """Patches a second."""
        return self.patches / self.seconds


class Utilisation:
    """Asks the driver of a GPU ten times a second how busy it is, from beginning to end of a block."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.values, self._end = device, list[int](), Event()
        self._thread = Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Utilisation:
        if self.device.type == "cuda":
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def share(self) -> float | None:
        """Mean of what it said, in [0, 1]; None: nothing."""
        return mean(self.values) / 100 if self.values else None

    def _ask(self) -> None:
        while not self._end.wait(0.1):
            try:
                self.values.append(int(torch.cuda.utilization(self.device)))
            except Exception:  # no nvidia-ml-py, or a driver that doesn't tell
                return


def experiment(store: Path, workers: int, batch: int) -> dict[str, Any]:
    """Return the experiment of the paper."""
    return {
        "schema": 1,
        "dataset": str(store),
        "scenarios": list(SCENARIOS),
        "patches": {"size": 96},
        "splits": {"share": 0},
        "models": list(NETWORKS),
        "train": {"optimizer": "adam", "lr": 5e-4, "batch": batch, "epochs": 10, "workers": workers},
    }


def measure(task: Task, device: torch.device, number_format: str, batches: int) -> Measured:
    """Train a network for some batches, after others that warm up."""
    items = items_of(task, "train", training=True)
    loader = loader_of(task, items, training=True)
    model = draw_model(task).to(device).train()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    if number_format == "bf16":
        model.to(memory_format=torch.channels_last)
    optimizer = optimizer_of(task.experiment.train, list(model.parameters()))
    warm = WARM if device.type == "cuda" else 0
    given = _endless(loader)
    for _ in range(warm):
        _step(task, model, optimizer, next(given), device, number_format)
    patches, waited = 0, 0.0
    with Utilisation(device) as utilisation:
        _wait(device)
        begin = perf_counter()
        for _ in range(batches):
            asked = perf_counter()
            batch = next(given)
            waited += perf_counter() - asked
            patches += len(batch["label"])
            _step(task, model, optimizer, batch, device, number_format)
        _wait(device)
        seconds = perf_counter() - begin
    memory = peak_memory(device)
    return Measured(patches, seconds, waited, len(items), utilisation.share, memory.get("device", memory["process"]))


def _endless(loader: Any) -> Iterator[dict[str, Any]]:
    while True:
        yield from loader


def _step(
    task: Task, model: Any, optimizer: torch.optim.Optimizer, batch: dict[str, Any], device: torch.device, number_format: str
) -> None:
    """Take a step of training."""
    half: AbstractContextManager[Any] = torch.autocast(device.type, torch.bfloat16) if number_format == "bf16" else nullcontext()
    labels = targets_of(task, batch["label"].to(device))
    with half:
        logits = logits_of(model, batch, device)
    loss = item_losses(logits, labels, task.loss).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_all(store: Path, device: torch.device, batches: int, workers: int, batch: int) -> tuple[Table, dict[str, Any]]:
    """Return the table of all networks, scenarios and formats, and the numbers behind it."""
    columns = ["scenario", "network", "format", "patches/s", "epoch, s", "loader", "bar", "GPU busy", "memory, MiB", "to fp32"]
    on_gpu = device.type == "cuda"
    note = f"{batches} batches of {batch} patches of 96 px each; {workers} processes load; on {device_name(device)}."
    note += "" if on_gpu else " Nothing warms up: on a CPU these numbers say that it runs, and no more."
    table, data = Table("Training on patches of MISO-1", [*columns, "bar "], note=note), {}
    for task in tasks_of(load_experiment(experiment(store, workers, batch))):
        speeds: dict[str, float] = {}
        for name in FORMATS:
            found = measure(task, device, name, batches)
            data[f"{task.scenario}-{task.network.type_name}-{name}"] = vars(found)
            speeds[name] = found.speed
            loader, ratio = found.waited / found.seconds, speeds[name] / speeds["fp32"]
            is_half = name == "bf16"
            speed = f"{found.speed:,.{0 if found.speed >= 100 else 2}f}"
            row = [task.scenario, task.network.type_name, name, speed, f"{found.epoch / found.speed:,.1f}"]
            row += [f"{100 * loader:.1f} %", met(loader, LOADER_BAR if on_gpu else None, least=False)]
            row += ["-" if found.busy is None else f"{100 * found.busy:.0f} %", f"{found.memory / 2**20:,.0f}"]
            row += [f"{ratio:.2f}x" if is_half else "-", met(ratio, SPEED_BAR if is_half and on_gpu else None, least=True)]
            table.rows.append(row)
            print(" | ".join(row), flush=True)
    return table, data


def page(report: Report) -> str:
    """Return the results as a Markdown page."""
    here = report.data["machine"]
    head = [
        "# Training on a GPU",
        "",
        f"`{report.data['command']}`, {report.data['date']}; what is measured stands in `benchmarks/train.py`.",
        "",
        f"- Machine: {here['cpu']}, {here['cores']} cores, {here['memory_gib']} GiB, {here['os']}; torch {torch.__version__}",
        f"- Load average before the start (1, 5, 15 minutes): {', '.join(f'{load:.2f}' for load in here['load_average'])}",
        "",
    ]
    return "\n".join(head) + "\n" + "\n".join(table.markdown() for table in report.tables)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--store", type=Path, help="a built miso1; default: its evp and dsp are built first")
    options.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options.add_argument("--batches", type=int, default=300, help="batches that are measured, of each")
    options.add_argument("--batch", type=int, default=BATCH, help="patches of a batch; fewer to try it on a CPU")
    options.add_argument("--workers", type=int, default=4, help="processes that load")
    options.add_argument("--tmp", type=Path, help="folder for what is built; default: the system's temporary folder")
    options.add_argument("--json", type=Path, help="also write the results to this file")
    options.add_argument("--write", action="store_true", help="write benchmarks/results/train-gpu.json and train-gpu.md")
    args = options.parse_args(arguments)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device must be cpu where there is no GPU, got cuda.")
    report = Report("train")
    report.data["machine"], report.data["date"] = machine(), datetime.now(UTC).strftime("%Y-%m-%d")
    report.data["command"] = f"python -m benchmarks.train --device {args.device} --batches {args.batches} --batch {args.batch}"
    with scratch(args.tmp) as folder:
        store = args.store or folder / "store"
        if args.store is None:
            recipe = load_recipe("miso1").to_dict()
            recipe["scenarios"] = [one for one in recipe["scenarios"] if one["name"] in SCENARIOS]
            build(load_recipe(recipe), store, workers=len(os.sched_getaffinity(0)))
        table, report.data["measured"] = measure_all(store, torch.device(args.device), args.batches, args.workers, args.batch)
    report.tables.append(table)
    publish(report, args.json)
    if args.write:
        (RESULTS / "train-gpu.json").write_text(json.dumps(report, default=json_value, indent=1) + "\n", "utf-8")
        (RESULTS / "train-gpu.md").write_text(page(report), "utf-8")


if __name__ == "__main__":
    main()
