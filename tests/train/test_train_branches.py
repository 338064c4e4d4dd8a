"""Branches that go on from one base, as Tjoa & Guan evaluate."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from miso_gen.errors import InputError, OutputError
from miso_gen.train import load_experiment, train
from miso_gen.train.locking import LOCK, locked
from miso_gen.train.recording import kept_weights
from miso_gen.train.starting import draw_model
from miso_gen.train.tasks import tasks_of

STOP = {"type": "evaluation", "every": 2, "items": 40, "accuracy": 1.0, "patience": 2, "refund": 0.0}


def state(run):
    return torch.load(run.weights, weights_only=True)


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_branches_go_on_from_one_base(plan, tmp_path):
    """With a rate of almost nothing a branch is the base; the base is what a training without branches gives."""
    (alone,) = train(plan(epochs=1, seeds=[7]), tmp_path / "alone")
    branches = train(plan(epochs=2, base={"epochs": 1, "seed": 7}, stop=STOP, seeds=[0, 1, 2]), tmp_path / "runs")
    assert [run.record["seed"] for run in branches] == [0, 1, 2]
    folders = {path.name for path in (tmp_path / "runs").iterdir()}
    assert folders == {run.folder.name for run in branches} | {alone.folder.name}  # the base is that very run
    base = tmp_path / "runs" / alone.folder.name
    assert same(state(alone), torch.load(base / "last.pt", weights_only=True))
    assert json.loads((base / "run.json").read_text())["base"] is None
    for run in branches:
        assert run.record["base"] == base.name
        assert run.record["steps"] % 2 == 0
        assert not same(state(run), state(alone))
        assert run.task.base.folder_name == base.name
        assert set(run.load().state_dict()) == set(state(run))
    assert not same(state(branches[0]), state(branches[1]))


def test_a_branch_begins_with_the_weights_of_its_base(plan, tmp_path):
    """Rates of almost nothing: the branch ends where it began, which is where the base ended; not where its own seed begins."""
    block = plan(optimizer="sgd", lr=1e-30, epochs=1, base={"epochs": 1}, seeds=[5])
    (branch,) = train(block, tmp_path)
    (base,) = [path for path in tmp_path.iterdir() if path != branch.folder]
    expected, (task,) = torch.load(base / "last.pt", weights_only=True), tasks_of(load_experiment(block))
    names = [name for name, _ in branch.load().named_parameters()]
    assert all(torch.allclose(state(branch)[name], expected[name], rtol=0, atol=1e-20) for name in names)
    own = draw_model(task).state_dict()
    assert not all(torch.allclose(own[name], expected[name]) for name in names)


def test_the_base_is_trained_once_and_decides_the_digest(plan, tmp_path):
    block = {"epochs": 1, "base": {"epochs": 1}, "seeds": [0, 1]}
    train(plan(**block), tmp_path)
    marks = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/last.pt")}
    assert len(marks) == 3
    again = train(plan(**{**block, "seeds": [0, 1, 2]}), tmp_path)
    assert [run.cached for run in again] == [True, True, False]
    assert all(path.stat().st_mtime_ns == mark for path, mark in marks.items())
    digests = {
        task.digest
        for base in (None, {"epochs": 1}, {"epochs": 2}, {"epochs": 1, "seed": 1})
        for task in tasks_of(load_experiment(plan(**{**block, "base": base})))
    }
    assert len(digests) == 4 * 2
    anew = train(plan(**block), tmp_path, resume=False)
    assert not any(run.cached for run in anew)


def test_a_base_may_keep_its_best_epoch(plan, tmp_path):
    block = plan(epochs=1, base={"epochs": 2}, keep="best")
    (task,) = tasks_of(load_experiment(block))
    assert kept_weights(task.base) == "best.pt"
    (run,) = train(block, tmp_path)
    assert run.weights.name == "best.pt"


def test_a_base_that_was_lost_is_trained_again_before_its_branches(plan, tmp_path):
    block = plan(epochs=1, base={"epochs": 1})
    (run,) = train(block, tmp_path)
    (base,) = [path for path in tmp_path.iterdir() if path != run.folder]
    before = torch.load(base / "last.pt", weights_only=True)
    for path in base.iterdir():
        path.unlink()
    train(block, tmp_path)
    assert same(torch.load(base / "last.pt", weights_only=True), before)
    (base / "last.pt").unlink()
    with pytest.raises(InputError, match=r"last.pt"):
        train(plan(epochs=1, base={"epochs": 1}, seeds=[3]), tmp_path)


# --- one process a run ------------------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from miso_gen.train.locking import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder():
    """Return a function that has another process hold a folder."""
    started = []

    def hold(folder):
        pipe = subprocess.PIPE
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=pipe, stdout=pipe, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_two_processes_do_not_train_one_run(plan, tmp_path, holder):
    (task,) = tasks_of(load_experiment(plan(epochs=1)))
    folder = tmp_path / task.folder_name
    folder.mkdir()
    process = holder(folder)
    with pytest.raises(OutputError, match=f"must be free to train in, got a training by process {process.pid} on "):
        train(plan(epochs=1), tmp_path)
    assert {path.name for path in folder.iterdir()} == {LOCK}
    process.kill()  # without a word: the system lets go
    process.wait()
    assert (folder / LOCK).is_file()
    (run,) = train(plan(epochs=1), tmp_path)
    assert not (folder / LOCK).exists()
    holder(folder)
    (again,) = train(plan(epochs=1), tmp_path)  # what is finished is only read
    assert again.cached
    assert again.folder == run.folder


def test_a_lock_is_that_of_one_training(tmp_path):
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
        with pytest.raises(OutputError, match="got a training by this process"), locked(tmp_path):
            pass
        assert (tmp_path / LOCK).is_file()
    assert not (tmp_path / LOCK).exists()
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_says_nothing_is_no_crash(tmp_path, holder):
    holder(tmp_path)
    (tmp_path / LOCK).write_text("{")
    with pytest.raises(OutputError, match="got a training by another process"), locked(tmp_path):
        pass


def test_a_folder_without_a_place_for_the_lock_is_refused(tmp_path):
    (tmp_path / LOCK).mkdir()
    with pytest.raises(OutputError, match="must be a folder that can be written, got Is a directory"), locked(tmp_path):
        pass
