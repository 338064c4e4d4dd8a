"""Train the networks of an experiment, each in a folder of its own that is found again and gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from lightning.fabric import Fabric

from miso_gen.errors import InputError, OutputError, WorkError
from miso_gen.models import count_parameters, create_model
from miso_gen.models.weights import read_state
from miso_gen.train.experiment import Experiment
from miso_gen.train.experiment_file import load_experiment
from miso_gen.train.loop import BEST, CHECKPOINT, LAST, Progress, Silent, Watcher, run_training
from miso_gen.train.recording import device_name, git_revision, peak_memory, versions, write_json
from miso_gen.train.tasks import Task, tasks_of

if TYPE_CHECKING:
    from torch import nn

RUN: Final = "run.json"
RUNS: Final = "runs"  #: folder of runs, in the current one
FORMAT: Final = 1  #: version of run.json
_PRECISIONS: Final = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network that was trained, and what is known of the training.

    Attributes:
        folder: Its run: ``run.json``, ``log.csv``, ``curves.png``, weights.
        record: What ``run.json`` says.
        cached: Whether it had been trained before.
    """

    folder: Path
    record: Mapping[str, Any]
    cached: bool = False

    @classmethod
    def of(cls, folder: str | Path) -> TrainedModel:
        """Return the network of a finished run.

        Raises:
            InputError: The folder has no finished run.
        """
        record = _record(Path(folder))
        if record is None or record.get("state") != "finished":
            what = "no run" if record is None else "a run that has not finished"
            raise InputError(f"{folder} must be the folder of a finished run, got {what}. Train again: it goes on.")
        return cls(Path(folder), record, cached=True)

    @property
    def name(self) -> str:
        """Scenario, network and seed: ``evp-vgg19-0``."""
        return str(self.record["name"])

    @property
    def weights(self) -> Path:
        """File of its weights, a state dict."""
        return self.folder / str(self.record["weights"])

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that it is of."""
        return load_experiment(self.record["experiment"])

    @cached_property
    def task(self) -> Task:
        """What was trained.

        Raises:
            InputError: The data set, or a file of weights, is no longer what it was.
        """
        found = next((task for task in tasks_of(self.experiment) if task.digest == self.record["digest"]), None)
        if found is None:
            raise InputError(f"inputs of {self.folder} must be those it was trained on, got others. Train again.")
        return found

    def load(self) -> nn.Module:
        """Return the network with its weights, in evaluation mode, on the CPU."""
        model = create_model(
            {**self.record["model"], "weights": "none"},
            in_channels=self.record["in_channels"],
            num_classes=self.record["num_classes"],
            image_size=self.record["image_size"],
        )
        model.load_state_dict(read_state(self.weights))
        return model.eval()


def train(
    experiment: str | Path | Mapping[str, Any] | Experiment,
    out: str | Path | None = None,
    *,
    resume: bool = True,
    watcher: Watcher | None = None,
) -> list[TrainedModel]:
    """Train the networks of an experiment: by scenario, then network, then seed.

    Each has a folder of its own, named by scenario, network, seed and the digest of everything that decides its weights. What
    has been trained before is not trained again; what was broken off goes on where it was, also within an epoch, and ends with
    the same weights as if it had not been (on a CPU bit by bit).

    Args:
        experiment: What :func:`~miso_gen.train.experiment_file.load_experiment` takes.
        out: Folder of the runs; None: ``runs``.
        resume: False: train anew what is there.
        watcher: Told of every step. Where several processes train (``train.devices``), of beginning and end alone.

    Raises:
        InputError: The experiment is wrong, or does not fit the data.
        StoreError: There is no store, or it can't be read.
        WorkError: The loss is no longer finite.
        MissingExtraError: A package of the extra ``eval`` is not installed.
    """
    plan = experiment if isinstance(experiment, Experiment) else load_experiment(experiment)
    folder = Path(RUNS if out is None else out)
    watcher = watcher or Silent()
    tasks = tasks_of(plan)
    device, precision = chosen_device(plan), chosen_precision(plan)  # complains before any work
    return [_train_one(task, folder / task.folder_name, device, precision, resume, watcher) for task in tasks]


def chosen_device(experiment: Experiment) -> str:
    """Return where to compute, ``cpu`` or ``cuda``.

    Raises:
        InputError: There are not as many GPUs as wanted.
    """
    wanted, there = experiment.train, torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted.device == "cpu" or (wanted.device == "auto" and not there):
        return "cpu"
    if there < wanted.devices:
        raise InputError(f"train.devices must be at most {there}, the GPUs there are, got {wanted.devices}. Or set device: cpu.")
    return "cuda"


def chosen_precision(experiment: Experiment) -> str:
    """Return the number format of the arithmetic, ``fp32``, ``bf16`` or ``fp16``.

    Raises:
        InputError: fp16 without a GPU.
    """
    wanted, device = experiment.train.precision, chosen_device(experiment)
    if wanted == "auto":
        return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if wanted == "fp16" and device == "cpu":
        raise InputError("train.precision must be auto, fp32 or bf16 on a CPU, got 'fp16'.")
    return wanted


def _train_one(task: Task, folder: Path, device: str, precision: str, resume: bool, watcher: Watcher) -> TrainedModel:
    record = _record(folder) if resume else None
    if record is not None and record.get("digest") != task.digest:
        raise OutputError(f"{folder} must be a run of this experiment, got another one. Give another folder.")
    if record is not None and record["state"] == "finished":
        watcher.say(f"{task.name}: trained before, {folder}")
        return TrainedModel(folder, record, cached=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} must be a folder that can be written, got {error.strerror}. Give another one.") from None
    if not resume:
        for name in (RUN, CHECKPOINT, BEST, LAST):
            (folder / name).unlink(missing_ok=True)
    record = _beginning(task, device, precision)
    if (folder / CHECKPOINT).is_file():
        watcher.say(f"{task.name}: goes on from {folder / CHECKPOINT}")
    write_json(folder / RUN, record)
    progress, memory = _launched(task, folder, device, precision, watcher)
    record |= _ending(task, progress, memory)
    write_json(folder / RUN, record)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return TrainedModel(folder, record)


def _launched(task: Task, folder: Path, device: str, precision: str, watcher: Watcher) -> tuple[Progress, dict[str, int]]:
    """Train in this process, or in as many as are wanted."""
    devices = task.experiment.train.devices
    fabric = Fabric(
        accelerator=device,
        devices=devices,
        strategy="ddp_spawn" if devices > 1 else "auto",
        precision=_PRECISIONS[precision],  # type: ignore[arg-type]  # one of the texts that it knows
    )
    state = torch.random.get_rng_state()
    try:
        if devices > 1:
            watcher.start(task.name, 1)
            found = fabric.launch(partial(_worked, task=task, folder=folder, watcher=None))
            watcher.step(task.name, 1)
        else:
            found = fabric.launch(partial(_worked, task=task, folder=folder, watcher=watcher))
    finally:
        torch.random.set_rng_state(state)
    return found


def _worked(fabric: Fabric, task: Task, folder: Path, watcher: Watcher | None) -> tuple[Progress, dict[str, int]]:
    """What each process does."""
    if fabric.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(fabric.device)
    progress = run_training(fabric, task, folder, watcher)
    return progress, peak_memory(fabric.device)


def _beginning(task: Task, device: str, precision: str) -> dict[str, Any]:
    """Return what is known before a training."""
    dataset = task.dataset
    return {
        "format": FORMAT,
        "state": "started",
        "name": task.name,
        "digest": task.digest,
        "scenario": task.scenario,
        "model": task.network.to_spec(),
        "seed": task.seed,
        "reads": task.reads,
        "in_channels": task.in_channels,
        "num_classes": task.num_classes,
        "image_size": list(task.image_size),
        "experiment": task.experiment.to_spec(),
        "dataset": {"name": dataset.name, "version": dataset.version, "root_digest": dataset.root_digest},
        "device": device_name(torch.device(device)),
        "devices": task.experiment.train.devices,
        "precision": precision,
        "versions": versions(),
        "revision": git_revision(Path.cwd()),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _ending(task: Task, progress: Progress, memory: dict[str, int]) -> dict[str, Any]:
    """Return what is known after it."""
    with torch.device("meta"):
        model = create_model(
            {**task.network.to_spec(), "weights": "none"},
            in_channels=task.in_channels,
            num_classes=task.num_classes,
            image_size=task.image_size,
        )
    rows = progress.rows
    busy = sum(row["seconds"] for row in rows)
    waited = sum(row["waited"] for row in rows)
    return {
        "state": "finished",
        "weights": BEST if task.experiment.train.keep == "best" else LAST,
        "parameters": count_parameters(model),
        "images": {part: len(ids) for part, ids in task.ids.items()},
        "epochs": progress.epochs,
        "steps": progress.step,
        "best_epoch": progress.best_epoch,
        "last": rows[-1] if rows else None,
        "seconds": round(progress.total, 3),
        "loader_share": round(waited / busy, 4) if busy else None,
        "peak_memory_bytes": memory,
        "energy_j": None if progress.joules is None else round(progress.joules, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _record(folder: Path) -> dict[str, Any] | None:
    """Return what the run of a folder says; None: there is none."""
    try:
        record = json.loads((folder / RUN).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise WorkError(f"{folder / RUN} must be readable, got {error}. Delete the folder, or train without resume.") from None
    return record if isinstance(record, dict) else None
