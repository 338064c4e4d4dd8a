"""What this machine has, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

_CORE = (
    "numpy",
    "zarr",
    "numcodecs",
    "blake3",
    "google-crc32c",
    "opencv-python-headless",
    "dask",
    "distributed",
    "pydantic",
    "pyarrow",
)
_OPTIONAL = {"s3fs": "reading and writing s3:// stores: pip install 'miso-gen[s3]'"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        value: What was found.
        state: ``ok``, ``note`` (works without) or ``problem``.
        advice: What to do; empty where nothing is to do.
    """

    name: str
    value: str
    state: Literal["ok", "note", "problem"] = "ok"
    advice: str = ""


def examine(folder: Path | None = None) -> list[Finding]:
    """Look at versions, cores, memory, disk, GPU and Dask.

    Args:
        folder: Where a store would be written; default the current folder.
    """
    findings = [_python(), *(_package(name) for name in _CORE), *(_extra(name, use) for name, use in _OPTIONAL.items())]
    return [*findings, _one_opencv(), _cores(), _memory(), _disk(folder or Path.cwd()), _gpu()]


def _python() -> Finding:
    return Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _package(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "missing", "problem", "pip install --force-reinstall miso-gen")


def _extra(name: str, use: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "not installed", "note", f"for {use}")


def _one_opencv() -> Finding:
    names = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    if len(found) > 1:
        advice = "Several packages own the module cv2. Uninstall all of them, then: pip install opencv-python-headless"
        return Finding("cv2", ", ".join(found), "problem", advice)
    return Finding("cv2", "one package")


def _cores() -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding("cores", f"{count} (a build uses one process for each)")


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        return Finding("memory", "unknown", "note")
    if total < 2:
        return Finding("memory", f"{total:.1f} GiB", "note", "A worker of a build takes some 200 MiB; use few --workers.")
    return Finding("memory", f"{total:.1f} GiB")


def _disk(folder: Path) -> Finding:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    if free < 5:
        return Finding("disk", f"{free:.1f} GiB free in {folder}", "note", "MISO-1 takes 3 GiB. Use -o for another place.")
    return Finding("disk", f"{free:.1f} GiB free in {folder}")


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("GPU", "none found", "note", "Builds need none.")
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return Finding("GPU", "nvidia-smi does not answer", "note", "Builds need none.")
    names = [line.partition(": ")[2].partition(" (UUID")[0] for line in listed.splitlines() if line.startswith("GPU ")]
    return Finding("GPU", ", ".join(names) or "none found", "ok" if names else "note", "" if names else "Builds need none.")
