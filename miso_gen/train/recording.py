"""What a run says of itself: versions, revision, device, time, memory, energy."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import torch

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
