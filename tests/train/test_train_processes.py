"""Several processes that train together."""

from __future__ import annotations

import pytest
import torch
from tiny_network import NAME

from miso_gen.data import PatchLoader
from miso_gen.train import load_experiment, train
from miso_gen.train.feeding import items_of, logits_of
from miso_gen.train.losses import item_losses
from miso_gen.train.starting import draw_model
from miso_gen.train.tasks import tasks_of


@pytest.mark.full
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("weights", ["none", [1.0, 3.0]])
def test_two_processes_are_one_with_the_doubled_batch(plan, tmp_path, weights):
    """Ten steps of two processes with batches of 8, and by hand of one with those 16 patches together."""
    calm = {"models": [{"type": NAME, "norm": False, "dropout": 0.0}]}
    block = plan(calm, batch=8, epochs=1, devices=2, device="cpu", subset={"patches": 160}, class_weights=weights)
    (run,) = train(block, tmp_path)
    assert run.record["steps"] == 10
    (task,) = tasks_of(load_experiment(block))
    model = draw_model(task)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    items = items_of(task, "train", training=True)
    loaders = [PatchLoader(items, batch=8, seed=0, rank=rank, ranks=2, drop_last=True) for rank in (0, 1)]
    each = None if weights == "none" else torch.tensor(weights)
    for halves in zip(*loaders, strict=True):
        logits = torch.cat([logits_of(model, half, torch.device("cpu")) for half in halves])
        labels = torch.cat([half["label"] for half in halves])
        optimizer.zero_grad()
        item_losses(logits, labels, weights=each).mean().backward()
        optimizer.step()
    state = torch.load(run.weights, weights_only=True)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-5, atol=1e-5)
    # the validation is that of all items together
    (alone,) = train(plan(calm, batch=8, epochs=1, subset={"patches": 160}, lr=1e-12, class_weights=weights), tmp_path)
    (both,) = train(
        plan(calm, batch=8, epochs=1, devices=2, device="cpu", subset={"patches": 160}, lr=1e-12, class_weights=weights), tmp_path
    )
    for key in ("val_loss", "val_auroc", "val_accuracy"):
        assert both.record["last"][key] == pytest.approx(alone.record["last"][key], rel=1e-5)
