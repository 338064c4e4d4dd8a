"""What a run says of itself: versions, revision, device, time, memory, energy."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from miso_gen.models import count_parameters, create_model

if TYPE_CHECKING:
    from miso_gen.train.progress import Progress
    from miso_gen.train.tasks import Task

FORMAT: Final = 1  #: version of run.json
LAST, BEST = "last.pt", "best.pt"  #: weights of the last epoch, and of that with the lowest validation loss
_PACKAGES: Final = ("miso-gen", "torch", "lightning", "torchvision", "timm", "numpy")
_RAPL: Final = Path("/sys/class/powercap/intel-rapl:0/energy_uj")  # of the first processor


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there wholly or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)


def write_json(path: Path, data: Any) -> None:
    """Write plain data as a JSON file, wholly or not at all."""
    write_whole(path, (json.dumps(data, indent=1) + "\n").encode())


def versions() -> dict[str, str]:
    """Return the versions of what trains, by name; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found


def git_revision(folder: Path) -> dict[str, Any] | None:
    """Return commit of a folder, and whether it has changes; None: it is under no version control, or git is not there."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def device_name(device: torch.device) -> str:
    """Return what computes, for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def peak_memory(device: torch.device) -> dict[str, int]:
    """Return the most memory that was in use, bytes: ``process``, and on a GPU ``device``."""
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if device.type == "cuda":
        found["device"] = torch.cuda.max_memory_allocated(device)
    return found


def energy(device: torch.device) -> float | None:
    """Return a running count of joules of the device; None: its driver doesn't tell us.

    A GPU: NVML, where the package ``pynvml`` is installed. A processor: Linux's RAPL, where users may read it.
    """
    if device.type == "cuda":
        try:
            pynvml = import_module("pynvml")
            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByIndex(device.index or 0)
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
        except Exception:  # whatever the driver says: it doesn't tell
            return None
    try:
        return int(_RAPL.read_text("ascii")) / 1e6
    except (OSError, ValueError):
        return None


def kept_weights(task: Task) -> str:
    """Return the name of the file whose weights the network has in the end."""
    return BEST if task.experiment.train.keep == "best" else LAST


def beginning(task: Task, device: str, precision: str) -> dict[str, Any]:
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
        "labels": "several" if task.several else "one",
        "loss": task.loss,
        "base": None if task.base is None else task.base.folder_name,
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


def ending(task: Task, progress: Progress, memory: dict[str, int]) -> dict[str, Any]:
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
        "weights": kept_weights(task),
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
