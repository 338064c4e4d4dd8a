"""What a run says of itself, and its picture."""

from __future__ import annotations

import subprocess
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from miso_gen.train.curves import learning_curves
from miso_gen.train.recording import device_name, energy, git_revision, peak_memory, versions, write_json, write_whole


def test_files_are_there_wholly(tmp_path):
    path = tmp_path / "a" / "b.json"
    write_json(path, {"x": [1, None]})
    write_json(path, {"x": [2]})
    assert path.read_text() == '{\n "x": [\n  2\n ]\n}\n'
    assert [one.name for one in path.parent.iterdir()] == ["b.json"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", b"x")


def test_the_revision_is_that_of_git(tmp_path):
    assert git_revision(tmp_path) is None

    def git(*arguments):
        known = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", "-C", tmp_path, *known, *arguments], check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    found = git_revision(tmp_path)
    assert found == {"commit": git("rev-parse", "HEAD").strip(), "changed": False}
    (tmp_path / "file").write_text("two")
    assert git_revision(tmp_path)["changed"]


def test_versions_device_memory_energy_are_known_or_said_not_to_be():
    cpu = torch.device("cpu")
    assert versions()["numpy"] == np.__version__
    assert "threads" in device_name(cpu)
    before = peak_memory(cpu)["process"]
    assert 2**20 < before <= peak_memory(cpu)["process"]
    joules = energy(cpu)
    assert joules is None or joules >= 0


def colours(data):
    return {tuple(colour) for colour in np.unique(np.asarray(Image.open(BytesIO(data))).reshape(-1, 3), axis=0).tolist()}


def test_curves_show_what_there_is():
    rows = [{"train_loss": 1.0 / k, "val_loss": 1.2 / k, "val_auroc": 0.5 + 0.04 * k} for k in range(1, 9)]
    every = learning_curves(rows, "title")
    blue, orange = (64, 132, 204), (230, 120, 20)
    assert {blue, orange} <= colours(every)
    only = learning_curves([{"train_loss": row["train_loss"]} for row in rows], "title")
    assert blue in colours(only)
    assert orange not in colours(only)
    assert learning_curves(rows, "title") == every
    for odd in ([], rows[:1], [{"train_loss": float("nan")}], [{"train_loss": 2.0}] * 3):
        assert Image.open(BytesIO(learning_curves(odd, "title"))).size == Image.open(BytesIO(every)).size


def test_a_falling_loss_falls_in_the_picture():
    rows = [{"train_loss": 9.0 - k} for k in range(9)]
    pixels = np.asarray(Image.open(BytesIO(learning_curves(rows, "")))).astype(int)
    inside = pixels[100:, :540]  # below the legend
    where = np.argwhere((inside == (64, 132, 204)).all(-1))
    left, right = where[where[:, 1] < where[:, 1].min() + 20], where[where[:, 1] > where[:, 1].max() - 20]
    assert left[:, 0].mean() < right[:, 0].mean() - 100
