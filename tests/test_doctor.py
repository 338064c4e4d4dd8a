"""What doctor finds, and what it says of what is not there."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import namedtuple
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
from building import cli

from miso_gen import doctor


def finding(name, **options):
    (found,) = [finding for finding in doctor.examine(**options) if finding.name == name]
    return found


def missing(monkeypatch, *names):
    def look(name):
        if name in names:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", look)


def test_everything_is_looked_at():
    names = [finding.name for finding in doctor.examine()]
    assert len(set(names)) == len(names)
    assert {"python", "numpy", "zarr", "dask", "distributed", "cores", "memory", "disk", "GPU", "cv2"} <= set(names)
    assert finding("numpy").value == np.__version__


def test_every_advice_is_given_where_it_is_needed():
    for found in doctor.examine():
        assert found.value
        assert bool(found.advice) == (found.state != "ok"), found


def test_command():
    result = cli("doctor")
    assert result.exit_code == (1 if any(found.state == "problem" for found in doctor.examine()) else 0)
    assert np.__version__ in result.stdout
    listed = json.loads(cli("doctor", "--json").stdout)
    assert [item["name"] for item in listed] == [found.name for found in doctor.examine()]
    assert set(listed[0]) == {"name", "value", "state", "advice"}


def test_a_missing_package_is_a_problem(monkeypatch):
    missing(monkeypatch, "zarr")
    found = finding("zarr")
    assert (found.value, found.state) == ("missing", "problem")
    assert found.advice.startswith("pip install")
    result = cli("doctor")
    assert result.exit_code == 1
    assert "pip install --force-reinstall miso-gen" in result.stdout
    assert "Traceback" not in result.output


def test_a_missing_extra_is_a_note(monkeypatch):
    missing(monkeypatch, "s3fs")
    found = finding("s3fs")
    assert found.state == "note"
    assert "pip install 'miso-gen[s3]'" in found.advice


def test_two_packages_of_opencv_are_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda name: "4.0" if name.startswith("opencv-python") else version(name))
    found = finding("cv2")
    assert found.state == "problem"
    assert "opencv-python 4.0, opencv-python-headless 4.0" in found.value


def test_disk(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 8, 2**30))
    found = finding("disk", folder=tmp_path / "not" / "there")
    assert (found.value, found.state) == (f"1.0 GiB free in {tmp_path}", "note")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 8, 2**40))
    assert finding("disk").state == "ok"


def test_memory(monkeypatch):
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**18}
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    assert (finding("memory").value, finding("memory").state) == ("1.0 GiB", "note")

    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", unknown)
    assert finding("memory").value == "unknown"


def gpu(monkeypatch, tmp_path, script):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(tool) if script else None)
    return finding("GPU")


@pytest.mark.parametrize(
    ("script", "value", "state"),
    [
        ("", "none found", "note"),
        ("echo 'GPU 0: NVIDIA H200 (UUID: GPU-1)'; echo 'GPU 1: NVIDIA H200 (UUID: GPU-2)'", "NVIDIA H200, NVIDIA H200", "ok"),
        ("echo 'No devices found'", "none found", "note"),
        ("exit 9", "nvidia-smi does not answer", "note"),
    ],
)
def test_gpu(monkeypatch, tmp_path, script, value, state):
    found = gpu(monkeypatch, tmp_path, script)
    assert (found.value, found.state) == (value, state)


def test_a_gpu_tool_that_hangs(monkeypatch):
    def hang(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(shutil, "which", lambda name: "nvidia-smi")
    monkeypatch.setattr(subprocess, "run", hang)
    assert finding("GPU").value == "nvidia-smi does not answer"


def test_advice_of_where_to_look_is_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert finding("disk").value.endswith(f" free in {Path.cwd()}")
