"""A training that was killed goes on as if it had not been: the same weights, the same log."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from miso_gen.train import train
from miso_gen.train.keeping import CHECKPOINT

TESTS = Path(__file__).resolve().parents[1]
IDLE = ("seconds", "waited")  # columns that no run has twice


class StopError(Exception):
    """What stands for a kill."""


class Stopping:
    """A watcher that stops a training after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def start(self, what, total):
        pass

    def step(self, what, count=1):
        self.left -= count
        if count and self.left <= 0:
            raise StopError

    def say(self, line):
        pass


def rows(run):
    return [",".join(line.split(",")[: -len(IDLE)]) for line in (run.folder / "log.csv").read_text().splitlines()]


def assert_same_run(one, other):
    for name in ("last.pt", "best.pt"):
        if (one.folder / name).exists() or (other.folder / name).exists():
            left, right = (torch.load(run.folder / name, weights_only=True) for run in (one, other))
            assert left.keys() == right.keys()
            assert all(torch.equal(left[key], right[key]) for key in left)
    assert rows(one) == rows(other)
    for key in ("steps", "epochs", "best_epoch"):
        assert one.record[key] == other.record[key]


PLANS = {
    "plain": {},
    "augmented": {"augmentation": "dihedral", "optimizer": "sgd", "momentum": 0.9},
    "accumulated": {"accumulate": 3, "batch": 6, "optimizer": "adamax"},
    "plateau": {"schedule": {"type": "plateau", "threshold": 1.0, "patience": 0, "least_lr": 0.0}, "keep": "best", "epochs": 3},
    "bf16": {"precision": "bf16"},
    "evaluation": {"stop": {"type": "evaluation", "every": 2, "items": 30, "accuracy": 1.0, "patience": 50}},
}


@pytest.mark.parametrize("name", PLANS)
def test_a_training_stopped_within_an_epoch_ends_with_the_same_weights(plan, tmp_path, name):
    """Checkpoints after every second step; stopped after 3, and, going on, after 6 more; epochs have 6 or 7."""
    block = {"epochs": 2, **PLANS[name], "checkpoint_steps": 2}
    (whole,) = train(plan(**block), tmp_path / "whole")
    for steps in (3, 2 + 6):  # the second counts the two that it finds
        with pytest.raises(StopError):
            train(plan(**block), tmp_path / "broken", watcher=Stopping(steps))
    (folder,) = (tmp_path / "broken").iterdir()
    state = torch.load(folder / CHECKPOINT, weights_only=True)
    assert state["progress"]["step"] in (7, 6, 8)
    (broken,) = train(plan(**block), tmp_path / "broken")
    assert_same_run(whole, broken)


@pytest.mark.parametrize("steps", [1, 2, 7, 8, 13])
def test_wherever_it_was_stopped(plan, tmp_path, steps):
    """Before the first checkpoint, at one, with the last step of an epoch, and after."""
    (whole,) = train(plan(), tmp_path / "whole")
    with pytest.raises(StopError):
        train(plan(checkpoint_steps=2), tmp_path / "broken", watcher=Stopping(steps))
    (broken,) = train(plan(workers=1), tmp_path / "broken")  # another number of workers
    assert_same_run(whole, broken)


@pytest.mark.parametrize("steps", [3, 7, 10, 14, 17])
def test_two_phases_go_on_too(plan, tmp_path, steps):
    block = {"two_phase": {"epochs": 1, "still_norm": True}, "checkpoint_steps": 1, "epochs": 2}
    (whole,) = train(plan(**block), tmp_path / "whole")
    with pytest.raises(StopError):
        train(plan(**block), tmp_path / "broken", watcher=Stopping(steps))
    (broken,) = train(plan(**block), tmp_path / "broken")
    assert_same_run(whole, broken)


def test_images_and_bags_go_on_too(plan, tmp_path):
    bags = plan({"models": [{"type": "abmil", "encoder": "lenet"}]}, subset=None, batch=2, checkpoint_steps=1)
    bags["patches"]["most"] = 4
    (whole,) = train(bags, tmp_path / "whole")
    with pytest.raises(StopError):
        train(bags, tmp_path / "broken", watcher=Stopping(5))
    (broken,) = train(bags, tmp_path / "broken")
    assert_same_run(whole, broken)


KILLED = """
import json, os, signal, sys
import torch
from tiny_network import registered
from miso_gen.train import train

torch.set_num_threads(1)

class Kill:
    left = 10
    def start(self, what, total): pass
    def say(self, line): pass
    def step(self, what, count=1):
        self.left -= count
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

with registered():
    train(json.loads(sys.argv[1]), sys.argv[2], watcher=Kill())
"""


def test_a_killed_process_loses_no_more_than_the_steps_since_the_checkpoint(plan, tmp_path):
    block = plan(checkpoint_steps=3)
    command = [sys.executable, "-c", KILLED, json.dumps(block), str(tmp_path / "broken")]
    found = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=False)
    assert found.returncode == -signal.SIGKILL, found.stderr
    (folder,) = (tmp_path / "broken").iterdir()
    assert json.loads((folder / "run.json").read_text())["state"] == "started"
    state = torch.load(folder / CHECKPOINT, weights_only=True)
    assert (state["progress"]["step"], state["progress"]["epoch"]) == (9, 1)  # of 7 an epoch: in the middle of the second
    (broken,) = train(block, tmp_path / "broken")
    (whole,) = train(block, tmp_path / "whole")
    assert_same_run(whole, broken)
