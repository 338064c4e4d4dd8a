"""Two phases: first the encoder stays as it is, bit by bit, then it moves."""

from __future__ import annotations

import csv

import pytest
import torch
from tiny_network import NAME

from miso_gen.models import create_model, network_of
from miso_gen.train import load_experiment, train
from miso_gen.train.freezing import encoder_modules
from miso_gen.train.keeping import CHECKPOINT
from miso_gen.train.starting import draw_model
from miso_gen.train.tasks import tasks_of


class Recorder:
    """A watcher that keeps the weights of every checkpoint."""

    def __init__(self, folder):
        self.folder, self.states = folder, []

    def start(self, what, total):
        self.total = total

    def step(self, what, count=1):
        if count and (path := next(iter(self.folder.glob(f"*/{CHECKPOINT}")), None)):
            self.states.append(torch.load(path, weights_only=True))

    def say(self, line):
        pass


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def encoder_of(state, statistics=False):
    return {
        key: tensor for key, tensor in state.items() if key.startswith("encoder.") and (key.endswith(STATISTICS)) == statistics
    }


def same(one, other):
    return {key: torch.equal(other[key], tensor) for key, tensor in one.items()}


@pytest.mark.parametrize("still", [False, True])
def test_the_encoder_stays_in_phase_one_and_moves_in_phase_two(plan, tmp_path, still):
    block = plan(two_phase={"epochs": 2, "still_norm": still}, epochs=2, checkpoint_steps=1)
    start = {key: tensor.clone() for key, tensor in draw_model(tasks_of(load_experiment(block))[0]).state_dict().items()}
    recorder = Recorder(tmp_path)
    (run,) = train(block, tmp_path, watcher=recorder)
    assert recorder.total == 4 * 7
    first = [state["model"] for state in recorder.states if state["progress"]["phase"] == 0]
    assert len(first) > 10
    for state in first:
        assert all(same(encoder_of(start), encoder_of(state)).values())
        assert all(same(encoder_of(start, True), encoder_of(state, True)).values()) == still
        assert not torch.equal(state["head.weight"], start["head.weight"])
    end = torch.load(run.weights, weights_only=True)
    assert not any(same(encoder_of(start), encoder_of(end)).values())
    assert not all(same(encoder_of(start, True), encoder_of(end, True)).values())
    with (run.folder / "log.csv").open(newline="") as file:
        assert [row["phase"] for row in csv.DictReader(file)] == ["head", "head", "all", "all"]


def test_phase_two_begins_with_the_best_weights_of_phase_one(plan, tmp_path):
    """Phase two with a rate of nothing, almost: its weights are those of the best epoch of phase one."""
    block = plan({"models": [{"type": NAME, "norm": False, "dropout": 0.0}]}, two_phase={"epochs": 4}, epochs=1, lr=3.0)
    (run,) = train(block, tmp_path)
    with (run.folder / "log.csv").open(newline="") as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 5
    best = min(range(4), key=losses.__getitem__)
    shorter = plan({"models": [{"type": NAME, "norm": False, "dropout": 0.0}]}, two_phase={"epochs": best + 1}, epochs=1, lr=3.0)
    (peer,) = train(shorter, tmp_path)
    one, other = (torch.load(found.weights, weights_only=True) for found in (run, peer))
    # The orders of phase two differ, as more epochs went before; where the best one was the last, all is equal.
    assert (best == 3) == all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ({"type": NAME}, "encoder.0.weight", "head.weight"),
        ({"type": "vgg-att"}, None, None),
        ({"type": "resnet50"}, None, None),
    ],
    ids=str,
)
def test_the_encoder_is_what_does_not_depend_on_classes(network, inside, outside):
    with torch.device("meta"):
        model = create_model(network, in_channels=1, num_classes=2, image_size=32)
        other = create_model(network, in_channels=1, num_classes=5, image_size=32)
    names = {id(one): name for name, one in model.named_parameters()}
    modules = encoder_modules(model, network_of(network).head)
    frozen = {names[id(one)] for module in modules for one in module.parameters()}
    shapes = {name: one.shape for name, one in other.named_parameters()}
    changed = {name for name, one in model.named_parameters() if shapes[name] != one.shape}
    assert not frozen & changed
    assert frozen
    if inside is None:
        assert frozen | {name for name in names.values() if name.rpartition(".")[0] in network_of(network).head} == set(
            names.values()
        )
    else:
        assert inside in frozen
        assert outside not in frozen
