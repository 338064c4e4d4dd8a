"""The loss of pixels, of networks that label them."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_network import NAME
from torch.nn import functional

from miso_gen.data import PatchDataset
from miso_gen.errors import InputError
from miso_gen.store import open_dataset
from miso_gen.train import load_experiment, tasks, train
from miso_gen.train.feeding import items_of
from miso_gen.train.losses import pixel_losses
from miso_gen.train.starting import draw_model
from miso_gen.train.tasks import tasks_of
from miso_gen.train.training import TrainedModel

SPA = {"models": ["spa-mab"], "patches": {"size": 48}, "splits": {"share": 0}}


def test_the_loss_of_pixels_by_its_definition():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    truth = torch.randint(3, (2, 4, 5), generator=generator, dtype=torch.uint8)
    expected = []
    for image, levels in zip(logits.tolist(), truth.tolist(), strict=True):
        terms = []
        for row in range(4):
            for col in range(5):
                values = [image[level][row][col] for level in range(3)]
                terms.append(-math.log(math.exp(values[levels[row][col]]) / sum(map(math.exp, values))))
        expected.append(sum(terms) / 20)
    assert pixel_losses(logits, truth).tolist() == pytest.approx(expected, rel=1e-6)
    with pytest.raises(InputError, match=r"truth must have the pixels of logits, \(2, 3, 4, 5\), got \(2, 5, 4\)"):
        pixel_losses(logits, truth.transpose(1, 2))


def weights_of(run: TrainedModel) -> dict[str, torch.Tensor]:
    return torch.load(run.weights, weights_only=True)


@pytest.mark.parametrize("reads", ["patch", "image"])
@pytest.mark.parametrize("weight", [5.0, 10.0])
def test_a_step_goes_down_the_loss_of_classes_and_pixels(plan, store, tmp_path, reads, weight):
    """One batch of twelve patches, or of all eight images: CE(class) + weight CE(pixels), as Tjoa & Guan write it."""
    block = plan(SPA, reads=reads, batch=12, epochs=1, subset={"patches": 12}, pixel_loss=weight, optimizer="sgd", lr=0.05)
    (run,) = train(block, tmp_path)
    assert run.record["steps"] == 1
    (task,) = tasks_of(load_experiment(block))
    dataset = open_dataset(store)
    if reads == "patch":
        table = items_of(task, "train", training=True).table
        every = PatchDataset(dataset, ids=task.ids["train"], size=48, truth=True)
        numbers = {
            (every.table.ids[image], row, col): number
            for number, (image, row, col) in enumerate(zip(every.table.image, every.table.row, every.table.col, strict=True))
        }
        rows = zip(table.image, table.row, table.col, strict=True)
        chosen = [every[numbers[table.ids[image], row, col]] for image, row, col in rows]
        images = torch.stack([one["image"] for one in chosen])
        truth = torch.stack([one["truth"] for one in chosen]).long()
        labels = torch.tensor([one["label"] for one in chosen])
    else:
        views = [dataset[name] for name in task.ids["train"]]
        images = torch.stack([torch.from_numpy(view.image.all()) / 255 for view in views])
        truth = torch.stack([torch.from_numpy(view.truth.all()) for view in views]).long()
        labels = torch.tensor([int(dataset.table.set_index("image_id")["label"][name]) for name in task.ids["train"]])
    assert set(truth.unique().tolist()) == {0, 2}
    model = draw_model(task)
    logits, pixels = model.logits_and_pixels(images)
    loss = functional.cross_entropy(logits, labels) + weight * functional.cross_entropy(pixels, truth)
    loss.backward()
    state = weights_of(run)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(state[name], parameter.detach() - 0.05 * parameter.grad, rtol=1e-4, atol=1e-5)
    assert run.record["last"]["train_loss"] == pytest.approx(loss.item(), rel=1e-4)


def test_pixels_are_learned_and_the_head_moves_only_with_their_loss(plan, tmp_path):
    """The loss of pixels falls below that of who knows how much of each level there is; without it the head stays as drawn."""
    block = plan(SPA, reads="image", epochs=15, batch=4, subset=None, pixel_loss=5.0, betas=[0.5, 0.999])
    (run,) = train(block, tmp_path)
    (off,) = train(plan(SPA, reads="image", epochs=1, batch=4, subset=None), tmp_path)
    drawn = draw_model(off.task).state_dict()
    assert all(torch.equal(weights_of(off)[name], tensor) for name, tensor in drawn.items() if name.startswith("mab."))
    items = items_of(run.task, "train", training=True)
    batch = items.load(torch.arange(len(items)).numpy(), 0)
    with torch.no_grad():  # by the statistics of these images: after so few steps the running ones lag behind
        _, pixels = run.load().train().logits_and_pixels(batch["image"] / 255)
    shares = torch.bincount(batch["truth"].flatten().long(), minlength=3) / batch["truth"].numel()
    blind = -(shares[shares > 0] * shares[shares > 0].log()).sum()
    assert pixel_losses(pixels, batch["truth"]).mean() < 0.8 * blind


def test_augmented_truth_moves_with_its_picture(plan, tmp_path):
    block = plan(SPA, reads="patch", subset={"patches": 40}, pixel_loss=5.0, augmentation="dihedral")
    (task,) = tasks_of(load_experiment(block))
    items = items_of(task, "train", training=True)
    plain = PatchDataset(task.dataset, ids=task.ids["train"], size=48, truth=True, stored=True)
    plain.table = items.table
    torch.manual_seed(0)
    for number in range(10):
        turned, straight = items[number], plain[number]
        ways = [
            (torch.rot90(picture, turns, (-2, -1)).flip(-1) if flip else torch.rot90(picture, turns, (-2, -1)))
            for picture in (straight["image"], straight["truth"])
            for turns in range(4)
            for flip in (False, True)
        ]
        same = [torch.equal(turned["image"], way) for way in ways[:8]]
        assert same.count(True) >= 1
        assert any(torch.equal(turned["truth"], way) for way, is_same in zip(ways[8:], same, strict=True) if is_same)


@pytest.mark.parametrize("name", ["vgg-att", "cam"])
def test_networks_that_label_no_pixels_are_refused(plan, tmp_path, name):
    with pytest.raises(InputError, match=f"train.pixel_loss must be 0 for {name}, got 5.0. It does not label pixels."):
        train(plan({"models": [name]}, reads="patch", pixel_loss=5.0), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_head_that_nothing_trains_can_not_be_shared_by_processes(plan, tmp_path):
    with pytest.raises(InputError, match=r"train.devices must be 1 for spa-mab without train.pixel_loss, got 2"):
        train(plan(SPA, devices=2, device="cpu"), tmp_path)


def test_truth_that_nobody_knows_is_refused(plan, store, monkeypatch):
    (task,) = tasks_of(load_experiment(plan(SPA)))
    table = task.dataset.table.assign(truth_2_known=False)
    dataset = open_dataset(store)
    dataset.table = table
    monkeypatch.setattr(tasks, "open_dataset", lambda _: dataset)
    with pytest.raises(InputError, match=r"train.pixel_loss must have images whose evidence is known, got .*evp"):
        tasks_of(load_experiment(plan(SPA, pixel_loss=1.0)))


def test_betas_are_those_of_the_optimiser(plan, tmp_path):
    """Three steps by hand, with torch's Adam of those betas."""
    calm = {"models": [{"type": NAME, "norm": False, "dropout": 0.0}], "splits": {"share": 0}}
    block = plan(calm, batch=8, epochs=3, subset={"patches": 8}, betas=[0.5, 0.9], lr=0.01)
    (run,) = train(block, tmp_path)
    (task,) = tasks_of(load_experiment(block))
    model, items = draw_model(task), items_of(task, "train")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.5, 0.9))
    batch = items.load(torch.arange(8).numpy(), 0)
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(model(batch["image"] / 255), batch["label"]).backward()
        optimizer.step()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(weights_of(run)[name], tensor, rtol=1e-3, atol=1e-5)
