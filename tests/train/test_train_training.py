"""Training: what a run leaves, what decides the weights, and what is refused."""

from __future__ import annotations

import csv
import json
import sys
from io import BytesIO
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from building import small
from PIL import Image
from tiny_network import NAME

from miso_gen.build import build
from miso_gen.data import PatchDataset, PatchLoader, split_ids
from miso_gen.errors import InputError, OutputError, UnknownNameError, WorkError
from miso_gen.store import open_dataset
from miso_gen.train import TrainedModel, load_experiment, smoke, train
from miso_gen.train.feeding import items_of
from miso_gen.train.progress import phases_of
from miso_gen.train.starting import draw_model
from miso_gen.train.tasks import tasks_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Listener:
    """A watcher that remembers."""

    def __init__(self):
        self.totals, self.steps, self.lines = {}, 0, []

    def start(self, what, total):
        self.totals[what] = total

    def step(self, what, count=1):
        self.steps += count

    def say(self, line):
        self.lines.append(line)


def weights(run: TrainedModel) -> dict[str, torch.Tensor]:
    return torch.load(run.weights, weights_only=True)


def assert_equal(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        if tolerance:
            torch.testing.assert_close(other[name], tensor, **tolerance)
        else:
            assert torch.equal(other[name], tensor), name


def differ(one, other):
    return any(not torch.equal(other[name], tensor) for name, tensor in one.items())


def log(run):
    with (run.folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# --- a run ------------------------------------------------------------------------------------------------------------


def test_a_run_leaves_weights_log_curves_and_a_record(plan, tmp_path):
    listener = Listener()
    (run,) = train(plan(epochs=3), tmp_path, watcher=listener)
    assert {path.name for path in run.folder.iterdir()} == {"best.pt", "last.pt", "log.csv", "curves.png", "run.json"}
    record = json.loads((run.folder / "run.json").read_text())
    assert record == run.record
    assert (record["state"], record["name"], record["steps"], record["epochs"]) == ("finished", f"evp-{NAME}-0", 21, 3)
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert record["images"] == {"train": 6, "validation": 2, "test": 8}
    assert record["precision"] == "fp32"
    assert record["peak_memory_bytes"]["process"] > 2**20
    assert 0 <= record["loader_share"] <= 1
    rows = log(run)
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert {row["phase"] for row in rows} == {"all"}
    picture = Image.open(BytesIO((run.folder / "curves.png").read_bytes()))
    assert picture.size[0] > picture.size[1] > 100
    assert listener.totals == {f"evp-{NAME}-0": 21}
    assert listener.steps == 21
    assert len(listener.lines) == 3
    model = run.load()
    assert not model.training
    assert_equal(weights(run), model.state_dict())


def test_patches_are_learned(plan, tmp_path):
    (run,) = train(plan(epochs=3, subset=None), tmp_path)
    last = log(run)[-1]
    assert float(last["val_auroc"]) > 0.95
    assert float(last["val_image_auroc"]) > 0.95


def test_the_log_is_what_the_weights_say(plan, tmp_path, store):
    """Loss and scores of the last epoch, computed again from last.pt, patch by patch."""
    (run,) = train(plan(epochs=1), tmp_path)
    dataset = open_dataset(store)
    ids = run.task.ids
    assert not set(ids["train"]) & set(ids["validation"])
    pairs = dataset.table.set_index("image_id")["pair"]
    assert not {pairs[name] for name in ids["train"]} & {pairs[name] for name in ids["validation"]}
    patches = PatchDataset(dataset, ids=ids["validation"], size=32)
    model, row = run.load(), log(run)[-1]
    images = torch.stack([patches[number]["image"] for number in range(len(patches))])
    labels = torch.tensor(patches.table.label)
    with torch.no_grad():
        logits = model(images)
    assert float(row["val_loss"]) == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    assert float(row["val_accuracy"]) == pytest.approx(float((logits.argmax(1) == labels).double().mean()))
    share = logits.double().softmax(1)[:, 1]
    hot, cold = share[labels == 1], share[labels == 0]
    wins = (hot[:, None] > cold).double() + 0.5 * (hot[:, None] == cold)
    assert float(row["val_auroc"]) == pytest.approx(float(wins.mean()), abs=1e-9)


def test_what_was_trained_is_not_trained_again(plan, tmp_path):
    (run,) = train(plan(), tmp_path)
    stamp = run.weights.stat().st_mtime_ns
    listener = Listener()
    (again,) = train(plan(workers=1, checkpoint_steps=2), tmp_path, watcher=listener)
    assert again.cached
    assert not run.cached
    assert again.weights.stat().st_mtime_ns == stamp
    assert listener.steps == 0
    (anew,) = train(plan(), tmp_path, resume=False)
    assert not anew.cached
    assert_equal(weights(again), weights(anew))
    assert TrainedModel.of(run.folder).name == run.name


def test_each_network_scenario_and_seed_is_a_run(plan, tmp_path):
    wanted = plan({"models": [NAME, {"type": NAME, "norm": False}]}, seeds=[0, 1], epochs=1)
    runs = train(wanted, tmp_path)
    assert len({run.folder for run in runs}) == 4
    assert [run.record["seed"] for run in runs] == [0, 1, 0, 1]
    assert differ(weights(runs[0]), weights(runs[1]))


# --- what decides the weights -----------------------------------------------------------------------------------------


def test_the_seed_decides_and_the_users_generator_does_not(plan, tmp_path):
    torch.manual_seed(1)
    (one,) = train(plan(), tmp_path / "one")
    torch.manual_seed(2)
    before = torch.get_rng_state()
    (other,) = train(plan(), tmp_path / "other")
    assert torch.equal(torch.get_rng_state(), before)
    assert_equal(weights(one), weights(other))


@pytest.mark.parametrize(
    "change",
    [{"lr": 0.02}, {"weight_decay": 0.1}, {"optimizer": "adamax"}, {"optimizer": "sgd"}, {"class_weights": [1, 3]}, {"batch": 8},
     {"loss": "binary-cross-entropy"}, {"augmentation": "flips"}, {"augmentation": "dihedral"}, {"precision": "bf16"},
     {"pool": 1}, {"subset": {"patches": 99}}],
    ids=str,
)  # fmt: skip
def test_what_matters_changes_digest_and_weights(plan, tmp_path, change):
    (one,) = train(plan(epochs=1), tmp_path)
    (other,) = train(plan(**{"epochs": 1, **change}), tmp_path)
    assert one.folder != other.folder
    assert differ(weights(one), weights(other))


def test_momentum_is_that_of_sgd(plan, tmp_path):
    (one,) = train(plan(optimizer="sgd", epochs=1), tmp_path)
    (other,) = train(plan(optimizer="sgd", momentum=0.9, epochs=1), tmp_path)
    assert differ(weights(one), weights(other))


def test_accumulated_batches_are_one_large_batch(plan, tmp_path):
    """Also where the last one is smaller: 100 patches in batches of 12 x 2, and of 24."""
    calm = {"models": [{"type": NAME, "norm": False, "dropout": 0.0}]}
    (small,) = train(plan(calm, batch=12, accumulate=2), tmp_path)
    (large,) = train(plan(calm, batch=24), tmp_path)
    assert small.record["steps"] == large.record["steps"] == 10
    assert_equal(weights(large), weights(small), rtol=1e-4, atol=1e-6)


def test_a_training_by_hand_gives_the_same_weights(plan, tmp_path, store):
    """Ten lines of torch, without any of our loop."""
    calm = plan(
        {"models": [{"type": NAME, "norm": False, "dropout": 0.0}], "splits": {"share": 0}}, subset=None, optimizer="sgd", lr=0.1
    )
    (run,) = train(calm, tmp_path)
    (task,) = tasks_of(load_experiment(calm))
    model = draw_model(task)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = PatchLoader(PatchDataset(store, split="train", size=32), batch=16, seed=0)
    for _ in range(2):
        for batch in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(batch["image"]), batch["label"]).backward()
            optimizer.step()
    assert_equal(model.state_dict(), weights(run), rtol=1e-4, atol=1e-6)
    assert "val_loss" not in run.record["last"]


def test_the_best_epoch_is_kept(plan, tmp_path):
    (run,) = train(plan(epochs=5, lr=0.05, keep="best"), tmp_path)
    losses = [float(row["val_loss"]) for row in log(run)]
    assert run.weights.name == "best.pt"
    assert run.record["best_epoch"] == int(np.argmin(losses)) + 1


def test_the_subset_is_the_same_for_all(plan):
    one, other = (items_of(task, "train") for task in tasks_of(load_experiment(plan(seeds=[0, 1]))))
    assert len(one) == 100
    assert one.table.row.tolist() == other.table.row.tolist()
    every = items_of(tasks_of(load_experiment(plan(subset=None)))[0], "train")
    places = set(zip(every.table.image, every.table.row, every.table.col, strict=True))
    assert len(set(zip(one.table.image, one.table.row, one.table.col, strict=True)) & places) == 100


def test_parts_are_those_of_the_data_module(plan, store):
    (task,) = tasks_of(load_experiment(plan()))
    dataset = open_dataset(store)
    table = dataset.table
    train_ids = tuple(table[table["split"] == "train"]["image_id"])
    assert dict(task.ids) == {
        **split_ids(dataset, by="pair", ids=train_ids, shares={"train": 0.75, "validation": 0.25}),
        "test": tuple(table[table["split"] == "test"]["image_id"]),
    }


# --- early ends -------------------------------------------------------------------------------------------------------


def test_the_plateau_lowers_the_rate_and_ends(plan, tmp_path):
    """With a rate so low that no loss is better by the threshold: the rates of PYLON, in a real training."""
    still = plan(epochs=20, lr=1e-4, optimizer="sgd", schedule={"type": "plateau", "threshold": 1.0}, subset={"patches": 20})
    (run,) = train(still, tmp_path)
    rates = [float(row["lr"]) for row in log(run)]
    assert rates == pytest.approx([1e-4] * 2 + [2e-5] * 2 + [4e-6] * 2)


def test_patience_ends_a_training(plan, tmp_path):
    (run,) = train(
        plan(epochs=30, lr=1.0, optimizer="sgd", stop={"type": "patience", "epochs": 1}, subset={"patches": 20}), tmp_path
    )
    losses = [float(row["val_loss"]) for row in log(run)]
    assert 1 < len(losses) < 30
    assert all(later < earlier for earlier, later in pairwise(losses[:-1]))
    assert losses[-1] >= losses[-2]


def test_evaluation_mode_ends_in_the_middle_of_an_epoch(plan, tmp_path):
    stop = {"type": "evaluation", "every": 3, "items": 40, "patience": 1, "accuracy": 1.0, "refund": 0.0}
    (run,) = train(plan(epochs=30, stop=stop, lr=1e-6, subset=None), tmp_path)
    assert run.record["steps"] % 3 == 0
    assert run.record["steps"] < 30 * 20


# --- images, bags, formats --------------------------------------------------------------------------------------------


def test_whole_images_are_read(plan, tmp_path):
    (run,) = train(plan(reads="image", subset=None, batch=2), tmp_path)
    assert run.record["image_size"] == [300, 280]
    assert run.record["steps"] == 6
    assert "val_image_auroc" not in run.record["last"]


def test_a_subset_of_images(plan, tmp_path):
    (run,) = train(plan(reads="image", subset={"images": 3, "validation": 1}, batch=1, epochs=1), tmp_path)
    assert run.record["steps"] == 3


def test_a_smoke_test_trains_two_batches(plan, tmp_path):
    (run,) = train(smoke(load_experiment(plan(seeds=[3, 4], epochs=9))), tmp_path)
    assert (run.record["steps"], run.record["seed"]) == (2, 3)


def test_bags_are_read(plan, tmp_path, store):
    bags = plan({"models": [{"type": "abmil", "encoder": "lenet"}]}, subset=None, batch=2, epochs=1)
    bags["patches"]["most"] = 5
    (run,) = train(bags, tmp_path)
    assert run.record["reads"] == "bag"
    assert run.record["steps"] == 3


def test_bf16_trains(plan, tmp_path):
    (run,) = train(plan(precision="bf16", epochs=1), tmp_path)
    assert run.record["precision"] == "bf16"
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in weights(run).values())


def test_tensorboard_is_told_where_it_is(plan, tmp_path, monkeypatch):
    told = []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def add_scalar(self, name, value, step):
            told.append((name, step))

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    train(plan(), tmp_path)
    assert {("train_loss", 1), ("val_auroc", 2), ("lr", 2)} <= set(told)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rest", "block", "error", "said"),
    [
        ({"scenarios": ["gsp"]}, {}, UnknownNameError, "scenario must be one of evp, got 'gsp'"),
        ({"splits": {"test": "tset"}}, {}, UnknownNameError, "Did you mean 'test'?"),
        ({"splits": {"share": 0}}, {"keep": "best"}, InputError, "train.keep best must have validation images"),
        ({"splits": {"share": 0}}, {"schedule": "plateau"}, InputError, "train.schedule plateau must have validation images"),
        ({}, {"reads": "bag"}, InputError, "train.reads must be one of patch, image for tiny-for-tests, got 'bag'."),
        ({"patches": {"size": 32, "labels": "truth"}}, {"reads": "image"}, InputError, "patches.labels truth must go with"),
        ({}, {"class_weights": [1, 2, 3]}, InputError, "train.class_weights must be 2 numbers"),
        ({"patches": {"size": 8}}, {}, InputError, "16"),
        ({"patches": {"size": 32, "most": 3}}, {}, InputError, "patches.most must go with networks that read a bag"),
        ({}, {"precision": "fp16", "device": "cpu"}, InputError, "train.precision must be auto, fp32 or bf16 on a CPU"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_before_any_work(plan, tmp_path, rest, block, error, said):
    with pytest.raises(error, match=said.replace("?", r"\?")):
        train(plan(rest, **block), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_loss_that_is_not_finite_ends_the_work(plan, tmp_path):
    with pytest.raises(WorkError, match="training loss of evp-tiny-for-tests-0 must be finite, got"):
        train(plan(optimizer="sgd", lr=1e30, epochs=3), tmp_path)


def test_folders_of_others_are_refused(plan, tmp_path):
    (run,) = train(plan(epochs=1), tmp_path)
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(record | {"digest": "0"}))
    with pytest.raises(OutputError, match="must be a run of this experiment"):
        train(plan(epochs=1), tmp_path)
    (run.folder / "run.json").write_text("{")
    with pytest.raises(WorkError, match="must be readable"):
        train(plan(epochs=1), tmp_path)
    with pytest.raises(InputError, match="must be the folder of a finished run, got no run"):
        TrainedModel.of(tmp_path)


def test_a_training_has_one_phase_or_two(plan):
    (task,) = tasks_of(load_experiment(plan(two_phase={"epochs": 4})))
    assert [(phase.name, phase.epochs, phase.frozen) for phase in phases_of(task)] == [("head", 4, True), ("all", 2, False)]


@pytest.mark.parametrize(
    ("scenario", "most", "count"), [("evp", 4, 4), ("evp", 5, 4), ("evp", 1, 2), ("evp", 99, 8), ("md", 3, 3)]
)
def test_some_images_are_tested_in_whole_groups(
    scenario: str, most: int, count: int, plan: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Pairs stay together; images without a pair, as those of md, count alone."""
    build(small(scenarios=[scenario]), tmp_path, workers=1)
    rest = {"dataset": str(tmp_path), "splits": {"share": 0.0, "most": most}}
    (task,) = tasks_of(load_experiment(plan(rest)))
    table = open_dataset(tmp_path).table.set_index("image_id")
    assert len(task.ids["test"]) == count
    assert list(task.ids["test"]) == [one for one in table.index if one in set(task.ids["test"])]
    pairs = table.loc[list(task.ids["test"]), "pair"].dropna()
    assert (pairs.value_counts() == 2).all()
    every = tasks_of(load_experiment(plan({"dataset": str(tmp_path), "splits": {"share": 0.0}})))[0]
    assert every.digest == task.digest  # weights are the same
