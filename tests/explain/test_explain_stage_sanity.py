"""Sanity studies: what they tell of maps that depend on weights and of maps that don't."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from staging import MODEL, plan, runs, store, tiny  # noqa: F401  # fixtures

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.explain import explain
from miso_gen.explain.sample import draw_sample
from miso_gen.explain.sanity import sanity_study, stages_of
from miso_gen.metrics.interfaces import MAP_BINARIZERS
from miso_gen.metrics.randomizing import randomize
from miso_gen.train import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(store, runs):  # noqa: F811
    (run,) = train(plan(store, "saliency"), runs)
    return run.task, run, draw_sample(run.task, "test", 6, CPU)


def test_samples_hold_evidence_and_are_the_same_each_time(trained):
    task, _, sample = trained
    assert sample.images.shape == (6, 1, 32, 32)
    assert float(sample.images.max()) <= 1.0
    assert ((sample.truth >= 2).flatten(1).sum(1) > 0).all()
    again = draw_sample(task, "test", 6, CPU)
    assert torch.equal(again.images, sample.images)
    assert again.labels == sample.labels
    assert sample.batch == 6


def test_randomised_networks_have_other_maps(trained, store, runs):  # noqa: F811
    from scipy.stats import spearmanr

    _, run, sample = trained
    model = run.load()
    table = sanity_study(plan(store, "saliency"), "randomization", runs, items=6)
    assert table["layer"].tolist() == ["head", "encoder.3", "encoder.0"] * 2
    assert table["order"].tolist() == ["cascading"] * 3 + ["independent"] * 3
    assert (table["n"] == 6).all()
    target = torch.tensor(sample.labels)
    before = explain(model, sample.images, "saliency", target=target)
    modules = dict(model.named_modules())
    for name in ("head", "encoder.3"):
        randomize(name, modules[name], 0)
    after = explain(model, sample.images, "saliency", target=target)
    alike = [spearmanr(one.flatten(), other.flatten()).statistic for one, other in zip(before, after, strict=True)]
    assert table["similarity"][1] == pytest.approx(np.mean(alike), abs=1e-4)


def test_dropout_is_on_in_ten_passes(trained, store, runs):  # noqa: F811
    _, run, sample = trained
    model = run.load()
    experiment = plan(store, {"type": "saliency", "channels": "max-abs"}, "random")
    table = sanity_study(experiment, "dropout", runs, items=6)
    assert table[["dropout", "passes", "n"]].to_numpy().tolist() == [["off", 1, 6], ["on", 10, 6]]
    maps = explain(model, sample.images, "saliency", target=torch.tensor(sample.labels)).numpy()
    masks = np.stack([one > one.mean() + one.std() for one in maps])
    truth = sample.truth.numpy() >= 2
    each = [(mask & mark).sum() / (mask | mark).sum() for mask, mark in zip(masks, truth, strict=True)]
    assert table["iou"][0] == pytest.approx((masks & truth).sum() / (masks | truth).sum())
    assert table["mean_iou"][0] == pytest.approx(np.mean(each))
    assert table["iou"][0] != table["iou"][1]
    assert sanity_study(experiment, "dropout", runs, items=6).equals(table)
    assert "mean-std" in MAP_BINARIZERS.names()
    with pytest.raises(InputError, match=r"got none\. Take networks with dropout"):
        sanity_study(plan(store, "saliency", rest={"models": [{"type": "tiny-for-tests", "dropout": 0.0}]}), "dropout", runs)


def test_grad_cam_has_the_sensitivity_axiom_below_a_linear_head(store, runs):  # noqa: F811
    entries = [{"type": "gradcam", "relu": False}, "saliency", {"type": "xrelevance-cam", "contrast": "n-1"}]
    table = sanity_study(plan(store, *entries), "axioms", runs, items=6)
    assert table["explainer"].tolist() == ["gradcam"] * 2
    assert table["layer"].tolist() == ["encoder.2", "encoder.4"]
    assert table["sensitivity"][1] < 1e-4  # what is lost without a channel is its share: the head is linear
    assert table["sensitivity"][0] > 1e-2
    assert (table["conservation"] > 0).all()  # the head has a bias


def test_relevance_adds_up_to_the_logit_or_its_share(store, runs):  # noqa: F811
    entries = [
        {"type": "xrelevance-cam", "start": start, "name": start, "rule": "epsilon-plus"} for start in ("onehot", "contrastive")
    ]
    table = sanity_study(
        plan(store, *entries, rest={"models": [{"type": "tiny-for-tests", "norm": False}]}), "axioms", runs, items=6
    )
    assert set(table["network"]) == {MODEL}
    assert len(table) == 4
    assert np.isfinite(table[["conservation", "sensitivity"]].to_numpy()).all()


def test_what_nothing_can_be_asked_of_is_refused(store, tmp_path):  # noqa: F811
    with pytest.raises(UnknownNameError, match="explainer must be one of saliency, got 'salience'"):
        sanity_study(plan(store, "saliency"), "dropout", tmp_path, explainer="salience")
    with pytest.raises(InputError, match="explainers that weigh channels, such as gradcam for the study axioms, got saliency"):
        sanity_study(plan(store, "saliency"), "axioms", tmp_path)
    with pytest.raises(InputError, match="explainers that ask the network for the study dropout, got random"):
        sanity_study(plan(store, "random"), "dropout", tmp_path)
    assert not list(tmp_path.iterdir())


def test_networks_of_images_are_asked_about_images(store, runs):  # noqa: F811
    experiment = plan(store, "saliency", reads="image", subset=None, batch=3)
    table = sanity_study(experiment, "randomization", runs, items=2)
    assert (table["n"] == 2).all()
    (run,) = train(experiment, runs)
    assert draw_sample(run.task, "test", 2, CPU).images.shape == (2, 1, 300, 280)
    assert stages_of(run.task, run.load()) == ()
