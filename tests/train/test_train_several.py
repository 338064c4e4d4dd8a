"""Images that are of several classes at once: cell fields whose rule asks for two types of cells."""

from __future__ import annotations

import csv
import json
import math

import pytest
import torch
from tiny_network import NAME

from miso_gen.build import build
from miso_gen.data import PatchDataset
from miso_gen.errors import InputError
from miso_gen.recipe import load_recipe
from miso_gen.store import open_dataset
from miso_gen.train import load_experiment, train
from miso_gen.train.evaluating import accuracy, look, validate
from miso_gen.train.feeding import items_of
from miso_gen.train.starting import draw_model
from miso_gen.train.tasks import tasks_of

FIELD = {"type": "cell-field", "reach_px": 24, "area_px": [200, 300], "points": {"type": "matern", "candidates_per_mpx": 400}}
RULES = {"several": ["cell-bar", "rect-green", "tail-3"], "one": ["tail-3"]}


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """Sixteen training and eight test images of either scenario, 240 x 260 px."""
    folder = tmp_path_factory.mktemp("fields") / "store"
    scenarios = [
        {**FIELD, "name": name, "images": {"train": 16, "test": 8}, "rule": {"type": "present", "cells": cells, "most": 2}}
        for name, cells in RULES.items()
    ]
    canvas = {"shape": [240, 260], "channels": 3}
    build(
        load_recipe({"schema": 1, "name": "f", "seed": 3, "splits": ["train", "test"], "canvas": canvas, "scenarios": scenarios}),
        folder,
        workers=1,
    )
    return folder


@pytest.fixture
def several(plan, fields):
    def write(rest=None, **block):
        where = {"dataset": str(fields), "scenarios": ["several"], "splits": {"share": 0.5, "group": "pair"}}
        return plan({**where, **(rest or {})}, **{"subset": None, "epochs": 1, **block})

    return write


def wins(shares, own):
    """AUROC, by its definition: the share of pairs that are in order."""
    hot, cold = shares[own], shares[~own]
    return float(((hot[:, None] > cold).double() + 0.5 * (hot[:, None] == cold)).mean())


def literal_loss(logits, targets, weights):
    terms = []
    for row, bits in zip(logits.double().tolist(), targets.tolist(), strict=True):
        shares = [1 / (1 + math.exp(-value)) for value in row]
        each = [-w * math.log(s if bit else 1 - s) for w, s, bit in zip(weights, shares, bits, strict=True)]
        terms.append(sum(each) / len(each))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("reads", ["image", "patch"])
@pytest.mark.parametrize("weights", ["none", [1, 2, 3]])
def test_the_log_of_several_classes_is_what_the_weights_say(several, fields, tmp_path, reads, weights):
    """Targets from the column of the index, patch by patch; loss and AUROC by their definitions."""
    (run,) = train(several(reads=reads, batch=4, class_weights=weights), tmp_path)
    assert (run.record["labels"], run.record["loss"], run.record["num_classes"]) == ("several", "binary-cross-entropy", 3)
    assert json.loads((run.folder / "run.json").read_text()) == run.record
    dataset = open_dataset(fields)
    bits = dataset.table.set_index("image_id")["params.multi_hot"]
    ids = run.task.ids["validation"]
    if reads == "patch":
        patches = PatchDataset(dataset, ids=ids, size=32)
        items = [(patches[number]["image"], patches[number]["image_id"]) for number in range(len(patches))]
    else:
        items = [(torch.from_numpy(dataset[name].image.all()) / 255, name) for name in ids]
    targets = torch.tensor([json.loads(bits[name]) for _, name in items])
    assert targets.sum(1).max() > 1
    with torch.no_grad():
        logits = run.load()(torch.stack([image for image, _ in items]))
    with (run.folder / "log.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    expected = literal_loss(logits, targets, (1, 1, 1) if weights == "none" else weights)
    assert float(row["val_loss"]) == pytest.approx(expected, rel=1e-5)
    mean = sum(wins(logits[:, c].double().sigmoid(), targets[:, c] == 1) for c in range(3)) / 3
    assert float(row["val_auroc"]) == pytest.approx(mean, abs=1e-9)
    right = [(value > 0) == bool(bit) for value, bit in zip(logits.flatten().tolist(), targets.flatten().tolist(), strict=True)]
    assert float(row["val_accuracy"]) == pytest.approx(sum(right) / len(right))
    if reads == "patch":
        names = [name for _, name in items]
        shares = torch.stack([logits[[n == name for n in names]].double().sigmoid().mean(0) for name in dict.fromkeys(names)])
        truth = torch.tensor([json.loads(bits[name]) for name in dict.fromkeys(names)]) == 1
        mean = sum(wins(shares[:, c], truth[:, c]) for c in range(3)) / 3
        assert float(row["val_image_auroc"]) == pytest.approx(mean, abs=1e-9)


def test_a_step_goes_down_the_mean_of_the_binary_cross_entropies(several, fields, tmp_path):
    """One batch of all training images, by hand."""
    calm = several({"models": [{"type": NAME, "norm": False, "dropout": 0.0}], "splits": {"share": 0}}, reads="image", batch=16)
    calm["train"] |= {"optimizer": "sgd", "lr": 0.5, "class_weights": "balanced"}
    (run,) = train(calm, tmp_path)
    assert run.record["steps"] == 1
    dataset = open_dataset(fields)
    (task,) = tasks_of(load_experiment(calm))
    table = dataset.table.set_index("image_id")
    images = torch.stack([torch.from_numpy(dataset[name].image.all()) / 255 for name in task.ids["train"]])
    targets = torch.tensor([json.loads(table["params.multi_hot"][name]) for name in task.ids["train"]]).float()
    weights = len(targets) / (3 * targets.sum(0))
    model = draw_model(task)
    share = model(images).sigmoid()
    loss = -(weights * (targets * share.log() + (1 - targets) * (1 - share).log())).mean()
    loss.backward()
    state = torch.load(run.weights, weights_only=True)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(state[name], parameter.detach() - 0.5 * parameter.grad, rtol=1e-4, atol=1e-6)


def test_a_rule_of_one_type_has_two_classes(several, tmp_path):
    (run,) = train(several({"scenarios": ["one"]}, reads="image", batch=4), tmp_path)
    assert (run.record["labels"], run.record["loss"], run.record["num_classes"]) == ("one", "cross-entropy", 2)


def test_the_number_of_classes_is_that_of_the_rule_whatever_labels_there_are(several):
    """Three bits, also where a part has no image of the third class."""
    (task,) = tasks_of(load_experiment(several(reads="image")))
    labels = items_of(task, "train").labels
    assert set(labels.tolist()) <= set(range(8))
    assert (task.num_classes, task.several) == (3, True)


def test_looks_and_validation_know_several_classes(several):
    (task,) = tasks_of(load_experiment(several(reads="image", batch=4)))
    model, items = draw_model(task).eval(), items_of(task, "validation")
    found = validate(model, task, items, None, torch.device("cpu"))
    whole = look(model, task, items, 0, len(items), torch.device("cpu"))
    assert whole == pytest.approx(found["val_accuracy"])
    assert accuracy(torch.tensor([[1.0, -1.0], [0.0, 2.0]]), torch.tensor([[1, 1], [1, 1]])) == 0.5


@pytest.mark.parametrize(
    ("rest", "block", "said"),
    [
        ({}, {"loss": "cross-entropy"}, "train.loss must be auto or binary-cross-entropy for several, got 'cross-entropy'"),
        ({"patches": {"size": 32, "labels": "truth"}}, {}, "patches.labels must be inherit for several, got 'truth'"),
        ({}, {"class_weights": [1, 2]}, "train.class_weights must be 3 numbers"),
    ],
)
def test_what_several_classes_do_not_allow(several, tmp_path, rest, block, said):
    with pytest.raises(InputError, match=said):
        train(several(rest, **block), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
