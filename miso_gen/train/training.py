"""Train the networks of an experiment, each in a folder of its own that is found again and gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from lightning.fabric import Fabric

from miso_gen.errors import InputError, OutputError, WorkError
from miso_gen.models import create_model
from miso_gen.models.weights import read_state
from miso_gen.train.experiment import Experiment
from miso_gen.train.experiment_file import load_experiment
from miso_gen.train.keeping import CHECKPOINT
from miso_gen.train.locking import locked
from miso_gen.train.loop import Silent, Watcher, run_training
from miso_gen.train.recording import BEST, LAST, beginning, ending, peak_memory, write_json
from miso_gen.train.tasks import Task, tasks_of

if TYPE_CHECKING:
    from torch import nn

    from miso_gen.train.progress import Progress

RUN: Final = "run.json"
RUNS: Final = "runs"  #: folder of runs, in the current one
_PRECISIONS: Final = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network that was trained, and what is known of the training.

    Attributes:
        folder: Its run: ``run.json``, ``log.csv``, ``curves.png``, weights.
        record: What ``run.json`` says.
        cached: Whether it had been trained before.
        asked: What was asked for when it was found or made; None: what its record says. Weights are the same, test images and
            what follows them may differ.
    """

    folder: Path
    record: Mapping[str, Any]
    cached: bool = False
    asked: Task | None = None

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
        return str(self.record["name"]) if self.asked is None else self.asked.name

    @property
    def weights(self) -> Path:
        """File of its weights, a state dict."""
        return self.folder / str(self.record["weights"])

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that it is of."""
        return load_experiment(self.record["experiment"]) if self.asked is None else self.asked.experiment

    @cached_property
    def task(self) -> Task:
        """What was trained.

        Raises:
            InputError: The data set, or a file of weights, is no longer what it was.
        """
        if self.asked is not None:
            return self.asked
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
    """Train the networks of an experiment: by scenario, then network, then seed. Bases come first; they are not returned.

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
        OutputError: A folder can't be written, has another run, or another process trains in it.
        WorkError: The loss is no longer finite.
        MissingExtraError: A package of the extra ``eval`` is not installed.
    """
    plan = experiment if isinstance(experiment, Experiment) else load_experiment(experiment)
    folder = Path(RUNS if out is None else out)
    watcher = watcher or Silent()
    tasks = tasks_of(plan)
    device, precision = chosen_device(plan), chosen_precision(plan)  # complains before any work
    for base in {task.base.digest: task.base for task in tasks if task.base is not None}.values():
        _train_one(base, folder / base.folder_name, device, precision, resume, watcher)
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
    found = _finished(task, folder, watcher) if resume else None
    if found is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} must be a folder that can be written, got {error.strerror}. Give another one.") from None
    with locked(folder):
        found = _finished(task, folder, watcher) if resume else None  # by another process, meanwhile
        if found is not None:
            return found
        if not resume:
            for name in (RUN, CHECKPOINT, BEST, LAST):
                (folder / name).unlink(missing_ok=True)
        record = beginning(task, device, precision)
        if (folder / CHECKPOINT).is_file():
            watcher.say(f"{task.name}: goes on from {folder / CHECKPOINT}")
        write_json(folder / RUN, record)
        progress, memory = _launched(task, folder, device, precision, watcher)
        record |= ending(task, progress, memory)
        write_json(folder / RUN, record)
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return TrainedModel(folder, record, asked=task)


def _finished(task: Task, folder: Path, watcher: Watcher) -> TrainedModel | None:
    """Return what the folder has if it is finished; None: there is still something to do."""
    record = _record(folder)
    if record is not None and record.get("digest") != task.digest:
        raise OutputError(f"{folder} must be a run of this experiment, got another one. Give another folder.")
    if record is None or record["state"] != "finished":
        return None
    watcher.say(f"{task.name}: trained before, {folder}")
    return TrainedModel(folder, record, cached=True, asked=task)


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


def _record(folder: Path) -> dict[str, Any] | None:
    """Return what the run of a folder says; None: there is none."""
    try:
        record = json.loads((folder / RUN).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise WorkError(f"{folder / RUN} must be readable, got {error}. Delete the folder, or train without resume.") from None
    return record if isinstance(record, dict) else None
