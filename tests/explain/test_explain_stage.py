"""Maps of an experiment: of patches, literally; resumed; made anew; of images; flagged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from staging import MODEL, Stopper, digests, plan, plan_text, runs, store, tiny  # noqa: F401  # fixtures
from tiny_network import NAME

from miso_gen.errors import InputError, OutputError, RecipeError, UnknownNameError
from miso_gen.explain import explain
from miso_gen.explain.experiment import check_explain, entries_of
from miso_gen.explain.stage import explain_experiment
from miso_gen.store import open_dataset
from miso_gen.store.maps import MapStore
from miso_gen.train import TrainedModel, load_experiment, train

IMAGE = "evp/test/0001"  # hot
COLD = "evp/test/0002"


def kept_patches(dataset, image, size=32):
    """(grid, i, j, row, col) of the patches of two grids that show more than a tenth of object."""
    truth = dataset[image].truth.all()
    found = []
    for grid, start in enumerate((0, size // 2)):
        for i, row in enumerate(range(start, truth.shape[0] - size + 1, size)):
            for j, col in enumerate(range(start, truth.shape[1] - size + 1, size)):
                if (truth[row : row + size, col : col + size] >= 1).mean() > 0.1:
                    found.append((grid, i, j, row, col))
    return found


def gradients(model, dataset, image, patches, target, size=32):
    """The gradient of the logit of a class with respect to each patch, (n, size, size)."""
    pixels = torch.from_numpy(dataset[image].image.all().astype(np.float32) / 255)
    out = []
    for _, _, _, row, col in patches:
        one = pixels[None, :, row : row + size, col : col + size].clone().requires_grad_()
        goal = int(model(one).argmax()) if target is None else target
        (found,) = torch.autograd.grad(model(one)[0, goal], one)
        out.append(found[0].sum(0).numpy())
    return np.array(out)


def literal_cells(patches, scores, shape, size=32):
    """The mean score of the patches that cover each cell, nan where none does."""
    px = size // 2
    out = np.full((shape[0] // px, shape[1] // px), np.nan)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            inside = [
                score
                for (_, _, _, row, col), score in zip(patches, scores, strict=True)
                if row <= y * px < row + size and col <= x * px < col + size
            ]
            if inside:
                out[y, x] = np.mean(inside)
    return out


@pytest.fixture(scope="module")
def made(store, runs):  # noqa: F811
    """What the small network says by saliency, at all places."""
    entries = [
        {"type": "saliency", "at": "both", "legacy": True},
        {"type": "saliency", "name": "signed", "absolute": False, "at": "pixel", "explains": 0},
        {"type": "saliency", "name": "own", "explains": "predicted"},
    ]
    found = explain_experiment(plan(store, *entries), runs, runs / "made.zarr")
    return found, MapStore.open(found.maps), found.models[0].load(), open_dataset(store)


def test_cells_have_the_mean_absolute_gradient_of_the_patches_over_them(made):
    _, maps, model, dataset = made
    for image, label in ((IMAGE, 1), (COLD, 0)):
        assert dataset.table.set_index("image_id").at[image, "label"] == label
        patches = kept_patches(dataset, image)
        scores = [np.abs(one).mean() for one in gradients(model, dataset, image, patches, label)]
        stored = maps.read(MODEL, "saliency", image)
        np.testing.assert_allclose(stored.values, literal_cells(patches, scores, dataset[image].shape[1:]), rtol=1e-4)
        assert stored.target == label
        assert (stored.group.kind, stored.group.at, stored.group.cell_px) == ("ssm", "grid", 16)
        assert stored.facts == {"patches": len(patches)}


def test_pixels_have_the_mean_of_the_maps_of_the_patches_over_them(made):
    _, maps, model, dataset = made
    height, width = dataset[IMAGE].shape[1:]
    patches = kept_patches(dataset, IMAGE)
    for name, target, part in (("saliency-pixel", 1, np.abs), ("signed", 0, np.asarray)):
        sums, counts = np.zeros((height, width)), np.zeros((height, width))
        for (_, _, _, row, col), one in zip(patches, gradients(model, dataset, IMAGE, patches, target), strict=True):
            sums[row : row + 32, col : col + 32] += part(one)
            counts[row : row + 32, col : col + 32] += 1
        stored = maps.read(MODEL, name, IMAGE)
        np.testing.assert_allclose(stored.values, sums / np.maximum(counts, 1), rtol=1e-4, atol=1e-8)
        assert (counts == 0).any()
        assert stored.group.signed == (name == "signed")
        assert (stored.group.at, stored.group.cell_px, stored.target) == ("pixel", None, target)


def test_legacy_maps_lie_as_the_released_code_lays_them(made):
    _, maps, model, dataset = made
    patches = kept_patches(dataset, IMAGE)
    scores = [np.abs(one).mean() for one in gradients(model, dataset, IMAGE, patches, 1)]
    rows, cols = 300 // 32, 280 // 32
    expected = np.zeros((2 * (rows + 1) + 1, 2 * (cols + 1) + 1))
    for (grid, i, j, _, _), score in zip(patches, scores, strict=True):
        for down in range(2):
            for right in range(2):
                expected[2 * i + down + grid, 2 * j + right + grid] += score / 2
    stored = maps.read(MODEL, "saliency-legacy", IMAGE)
    np.testing.assert_allclose(stored.values, expected, rtol=1e-4)
    assert stored.group.facts["legacy"] is True


def test_each_patch_may_explain_the_class_predicted_for_it(made):
    _, maps, model, dataset = made
    patches = kept_patches(dataset, COLD)
    scores = [np.abs(one).mean() for one in gradients(model, dataset, COLD, patches, None)]
    stored = maps.read(MODEL, "own", COLD)
    np.testing.assert_allclose(stored.values, literal_cells(patches, scores, (300, 280)), rtol=1e-4)
    assert stored.target is None


def test_the_result_counts(made):
    found, maps, _, _ = made
    assert [(one.group.explainer, one.images, one.made, one.blank, one.constant) for one in found.groups] == [
        (name, 8, 8, 0, 0) for name in ("saliency", "saliency-pixel", "saliency-legacy", "signed", "own")
    ]
    assert maps.explainers(MODEL) == ("own", "saliency", "saliency-legacy", "saliency-pixel", "signed")
    assert maps.dataset["name"] == "small"


def test_stopped_work_goes_on_and_gives_the_same_maps(store, runs, tmp_path):  # noqa: F811
    entries = [{"type": "saliency", "at": "both"}, {"type": "gradcam", "scale": "dataset-max"}, {"type": "saliency", "name": "b"}]
    experiment = plan(store, *entries)
    whole = explain_experiment(experiment, runs, tmp_path / "whole.zarr")
    for after in (3, 5, 2):
        with pytest.raises(KeyboardInterrupt):
            explain_experiment(experiment, runs, tmp_path / "parts.zarr", watcher=Stopper(after))
        parts = MapStore.open(tmp_path / "parts.zarr")
        done = digests(parts)
        assert not list(parts.path.glob(".tmp-*"))
    again = explain_experiment(experiment, runs, parts.path)
    assert digests(parts) == digests(MapStore.open(whole.maps))
    assert len(done) + sum(one.made for one in again.groups) >= 8 * 4
    assert [one.made for one in again.groups] != [8, 8, 8, 8]
    assert [one.made for one in explain_experiment(experiment, runs, parts.path).groups] == [0, 0, 0, 0]


def test_a_failure_within_an_image_leaves_no_half_map(store, runs, tmp_path, monkeypatch):  # noqa: F811
    from miso_gen.explain import network

    calls = []

    def failing(*given):
        calls.append(given)
        if len(calls) == 5:
            raise OSError("no more")
        return real(*given)

    real = network.maps_of
    monkeypatch.setattr(network, "maps_of", failing)
    experiment = plan(store, {"type": "saliency", "at": "both"})
    with pytest.raises(OSError, match="no more"):
        explain_experiment(experiment, runs, tmp_path / "m.zarr")
    maps = MapStore.open(tmp_path / "m.zarr")
    assert len(digests(maps)) < 16
    assert maps.ids(MODEL, "saliency") == maps.ids(MODEL, "saliency-pixel")
    explain_experiment(experiment, runs, tmp_path / "m.zarr")
    assert len(digests(maps)) == 16


def test_other_inputs_make_maps_anew(store, runs, tmp_path):  # noqa: F811
    path = tmp_path / "m.zarr"
    first = explain_experiment(plan(store, {"type": "saliency", "name": "s"}), runs, path, limit=2)
    assert [(one.images, one.made) for one in first.groups] == [(2, 2)]
    assert explain_experiment(plan(store, {"type": "saliency", "name": "s"}), runs, path, limit=3).groups[0].made == 1
    before = digests(MapStore.open(path))
    other = explain_experiment(plan(store, {"type": "saliency", "name": "s", "explains": 0}), runs, path, limit=3)
    assert other.groups[0].made == 3
    after = digests(MapStore.open(path))
    assert after.keys() == before.keys()
    assert after[MODEL, "s", IMAGE] != before[MODEL, "s", IMAGE]
    weights = other.models[0].weights
    kept = weights.read_bytes()
    try:
        state = torch.load(weights, weights_only=True)
        torch.save({name: torch.zeros_like(one) if name.startswith("head") else one for name, one in state.items()}, weights)
        blank = explain_experiment(plan(store, {"type": "saliency", "name": "s", "explains": 0}), runs, path, limit=3)
    finally:
        weights.write_bytes(kept)
    assert [(one.made, one.blank, one.constant) for one in blank.groups] == [(3, 3, 3)]


def test_networks_of_images_explain_them_whole(store, runs, tmp_path):  # noqa: F811
    entries = [{"type": "gradcam", "relu": False}, {"type": "saliency", "scale": "max"}]
    experiment = plan(store, *entries, reads="image", subset=None, batch=3)
    found = explain_experiment(experiment, runs, tmp_path / "m.zarr")
    maps, model, dataset = MapStore.open(found.maps), found.models[0].load(), open_dataset(store)
    for image, label in ((IMAGE, 1), (COLD, 0)):
        pixels = torch.from_numpy(dataset[image].image.all().astype(np.float32) / 255)[None]
        for name, entry in (("gradcam", entries[0]), ("saliency", entries[1])):
            stored = maps.read(found.groups[0].group.model, name, image)
            expected = explain(model, pixels, entry, target=label)[0]
            np.testing.assert_allclose(stored.values, expected, rtol=1e-4, atol=1e-7)
            assert (stored.group.kind, stored.group.at, stored.target) == ("pixel", "pixel", label)
    with pytest.raises(InputError, match="at: grid must go with networks that read patches or bags"):
        explain_experiment(plan(store, {"type": "saliency", "at": "grid"}, reads="image", subset=None, batch=3), runs)


def test_networks_of_one_name_have_maps_of_their_own(store, runs, tmp_path):  # noqa: F811
    models = [{"type": NAME, "norm": True}, {"type": NAME, "norm": False}]
    found = explain_experiment(plan(store, "saliency", rest={"models": models}), runs, tmp_path / "m.zarr", limit=1)
    names = [one.group.model for one in found.groups]
    assert names == [model.name for model in found.models]
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["saliency", "saliency"], r"explain\[1\]\.name must be different from all others, got 'saliency'. explain\[0\] has it"),
        ([{"type": "saliency", "at": "both"}, {"type": "saliency", "name": "saliency-pixel"}], "got 'saliency-pixel'"),
        ([{"type": "saliency", "at": "cell"}], r"explain\[0\]\.at must be one of auto, grid, pixel, both, got 'cell'"),
        ([{"type": "saliency", "legacy": 1}], r"explain\[0\]\.legacy must be true or false, got 1"),
        (["salience"], "Did you mean 'saliency'"),
        ([{"type": "saliency", "absolut": True}], "absolute"),
        ([{"type": "saliency", "name": "a/b"}], "must be a plain name of a folder"),
        ([3], "must be a name"),
    ],
)
def test_wrong_entries_are_refused_before_any_work(store, tmp_path, entries, message):  # noqa: F811
    text = plan_text(store, *entries)
    with pytest.raises(RecipeError, match=message):
        load_experiment(text, checks=(check_explain,))
    with pytest.raises(RecipeError, match=message):
        explain_experiment(load_experiment(text), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_problems_name_file_and_line(store, tmp_path):  # noqa: F811
    rest = {key: value for key, value in plan_text(store).items() if key != "explain"}
    file = tmp_path / "plan.yaml"
    entries = ["explain:", "  - saliency", "  - type: gradcam", "    at: cells", "  - saliency"]
    file.write_text("\n".join([*entries, yaml.safe_dump(rest)]))
    with pytest.raises(RecipeError) as caught:
        load_experiment(file, checks=(check_explain,))
    assert f"{file}:4: explain[1].at must be" in str(caught.value)
    assert f"{file}:5: explain[2].name must be different" in str(caught.value)


def test_what_fits_no_network_is_refused_before_any_work(store, tmp_path):  # noqa: F811
    def refused(*entries, **rest):
        explain_experiment(plan(store, *entries, **rest), tmp_path / "runs")

    with pytest.raises(InputError, match=r"explain\[0\] must fit a network .* got 'gradcam' for none: layer must be one of"):
        refused({"type": "gradcam", "layer": "nowhere"})
    with pytest.raises(InputError, match="explains must be a class from 0 to 1 for evp, got 2"):
        refused({"type": "saliency", "explains": 2})
    with pytest.raises(InputError, match="size of patches must be even for maps of cells, got 33"):
        refused("saliency", rest={"patches": {"size": 33}})
    with pytest.raises(InputError, match="explain must name an explainer, got none"):
        refused()
    with pytest.raises(InputError, match="limit must be 1 image or more"):
        explain_experiment(plan(store, "saliency"), tmp_path / "runs", limit=0)
    with pytest.raises(InputError, match="got none in 'validation'"):
        explain_experiment(plan(store, "saliency", rest={"splits": {"share": 0}}), tmp_path / "runs", part="validation")
    assert not (tmp_path / "runs").exists()


def test_maps_of_another_data_set_are_left_alone(store, runs, tmp_path):  # noqa: F811
    MapStore.create(tmp_path / "m.zarr", dataset={"name": "other", "version": "1.0.0", "root_digest": "ab"})
    with pytest.raises(OutputError, match="must hold maps of small"):
        explain_experiment(plan(store, "saliency"), runs, tmp_path / "m.zarr")


def test_entries_have_a_place_and_a_name(store):  # noqa: F811
    one, other = entries_of(plan(store, "saliency", {"type": "gradcam", "name": "g", "at": "both", "scale": "dataset-max"}))
    assert (one.name, one.at, one.legacy, one.names) == ("saliency", "auto", False, ("saliency",))
    assert other.names == ("g", "g-pixel", "g-unscaled", "g-pixel-unscaled")


def test_odd_patches_have_maps_of_pixels(store, runs, tmp_path):  # noqa: F811
    experiment = plan(store, {"type": "saliency", "at": "pixel"}, rest={"patches": {"size": 33, "shift": "none"}})
    found = explain_experiment(experiment, runs, tmp_path / "m.zarr", limit=1)
    assert MapStore.open(found.maps).read(MODEL, "saliency", IMAGE).values.shape == (300, 280)


def test_networks_are_trained_once(store, runs):  # noqa: F811
    (run,) = train(plan(store, "saliency"), runs)
    assert isinstance(run, TrainedModel)
    assert run.cached
    with pytest.raises(UnknownNameError):
        explain_experiment(plan(store, "saliency", rest={"scenarios": ["dsp"]}), runs)
