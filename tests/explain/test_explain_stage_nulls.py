"""Maps that know nothing of the network beside those of patches, the truth, and networks that read bags."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from staging import MODEL, plan, runs, store, tiny  # noqa: F401  # fixtures
from tiny_network import NAME

from miso_gen.data import PatchDataset, patch_table
from miso_gen.data.stitching import positive_cells, stitch
from miso_gen.errors import InputError
from miso_gen.explain.stage import explain_experiment
from miso_gen.metrics import score
from miso_gen.store import open_dataset
from miso_gen.store.maps import MapStore

IMAGE = "evp/test/0001"
NULLS = ("random", "constant", "center", "edges", "input")
ABMIL = {"type": "abmil", "encoder": "lenet", "features": 8, "width": 4}


@pytest.fixture(scope="module")
def maps(store, runs):  # noqa: F811
    entries = [{"type": name, "at": "both"} for name in ("saliency", *NULLS, "oracle")]
    more = [{"type": "oracle", "name": "binary", "positive": 2}, {"type": "input", "name": "scaled", "scale": "min-max"}]
    found = explain_experiment(plan(store, *entries, *more), runs, runs / "nulls.zarr", limit=3)
    assert {(one.group.kind, one.images) for one in found.groups} == {("ssm", 3)}
    counts = {one.group.explainer: (one.blank, one.constant) for one in found.groups}
    assert counts["constant"] == (0, 3)
    assert counts["random"] == counts["center"] == (0, 0)
    return MapStore.open(found.maps)


def literal_truth(dataset, image, level, size=32):
    """A cell is positive where every patch over it shows more than a tenth of the level."""
    truth = dataset[image].truth.all() >= level
    px = size // 2
    height, width = truth.shape
    covered, failed = (np.zeros((height // px, width // px), bool) for _ in range(2))
    for start in (0, px):
        for row in range(start, height - size + 1, size):
            for col in range(start, width - size + 1, size):
                cells = slice(row // px, row // px + 2), slice(col // px, col // px + 2)
                covered[cells] = True
                failed[cells] |= truth[row : row + size, col : col + size].mean() <= 0.1
    return covered & ~failed


@pytest.fixture(scope="module", params=["evp", "gsp"])
def oracle(request, maps, store, runs):  # noqa: F811
    """Maps of oracles of a scenario, its network, and three of its images."""
    if request.param == "evp":
        return maps, MODEL, [f"evp/test/000{n}" for n in (1, 2, 3)]
    entries = [{"type": "oracle", "at": "both"}, {"type": "oracle", "name": "binary", "positive": 2}]
    found = explain_experiment(plan(store, *entries, rest={"scenarios": ["gsp"]}), runs, runs / "oracle.zarr", limit=3)
    return MapStore.open(found.maps), found.groups[0].group.model, [f"gsp/test/000{n}" for n in (1, 2, 3)]


def test_the_oracle_is_the_truth_of_cells(oracle, store):  # noqa: F811
    maps, model, images = oracle
    dataset = open_dataset(store)
    for image in images:
        object_, evidence = literal_truth(dataset, image, 1), literal_truth(dataset, image, 2)
        values = maps.read(model, "oracle", image).values
        expected = np.where(evidence, 0.9, np.where(object_, 0.4, 0.0)).astype(np.float32)
        np.testing.assert_array_equal(np.nan_to_num(values), expected)
        np.testing.assert_array_equal(np.nan_to_num(maps.read(model, "binary", image).values), evidence)


def test_the_oracle_is_perfect(oracle, store):  # noqa: F811
    maps, model, images = oracle
    dataset = open_dataset(store)
    table = patch_table(dataset, images, size=32, background="keep")
    scored = 0
    for image in images:
        values = maps.read(model, "oracle", image).values
        for level, threshold in ((1, 0.2), (2, 0.5)):
            truth = positive_cells(table, image, positive=level)
            if not truth.any():
                continue  # an intact gsp has no evidence
            fixed = {"type": "fixed", "value": threshold}
            metrics = ["auroc", "average-precision", "dice", "jaccard"]
            assert set(score(values, truth, metrics, at="grid", missing=0.0, binarize=fixed).values()) == {1.0}
            scored += 1
        expected = np.float32([0, 0.4, 0.9])[dataset[image].truth.all()]
        np.testing.assert_array_equal(maps.read(model, "oracle-pixel", image).values, expected)
    assert scored >= 4


def test_nulls_lie_where_the_maps_of_the_network_lie(maps):
    for image in maps.ids(MODEL, "saliency"):
        missing = np.isnan(maps.read(MODEL, "saliency", image).values)
        assert missing.any()
        blank = maps.read(MODEL, "saliency-pixel", image).values == 0
        covered = np.repeat(np.repeat(~missing, 16, 0), 16, 1)
        for name in NULLS:
            np.testing.assert_array_equal(np.isnan(maps.read(MODEL, name, image).values), missing)
            at_pixels = maps.read(MODEL, f"{name}-pixel", image).values
            outside = np.ones_like(blank)
            outside[: covered.shape[0], : covered.shape[1]] = ~covered
            assert (at_pixels[outside] == 0).all()
            assert at_pixels.shape == (300, 280)


def test_nulls_are_of_the_whole_image(maps, store):  # noqa: F811
    pixels = open_dataset(store)[IMAGE].image.all()[0].astype(np.float64) / 255
    there = ~np.isnan(maps.read(MODEL, "input", IMAGE).values)

    def cells(values):
        return np.array([[values[16 * y : 16 * y + 16, 16 * x : 16 * x + 16].mean() for x in range(17)] for y in range(18)])

    y, x = ((np.arange(size) + 0.5) / size - 0.5 for size in (300, 280))
    bell = np.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * 0.25**2))
    wide = np.pad(pixels, 1, mode="edge")
    across = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    gx, gy = np.zeros_like(pixels), np.zeros_like(pixels)
    for i in range(3):
        for j in range(3):
            gx += across[i][j] * wide[i : i + 300, j : j + 280]
            gy += across[j][i] * wide[i : i + 300, j : j + 280]
    for name, expected in (("input", pixels), ("center", bell), ("edges", np.hypot(gx, gy))):
        values = maps.read(MODEL, name, IMAGE).values
        np.testing.assert_allclose(values[there], cells(expected)[there], rtol=1e-5)
    scaled, plain = maps.read(MODEL, "scaled", IMAGE).values[there], cells(pixels)[there]
    np.testing.assert_allclose(scaled, (plain - plain.min()) / (plain.max() - plain.min()), rtol=1e-4, atol=1e-6)


def test_noise_is_drawn_once_a_cell_and_differs_between_images(maps):
    one, other = (maps.read(MODEL, "random", f"evp/test/000{n}").values for n in (1, 2))
    values = one[~np.isnan(one)]
    assert values.std() == pytest.approx(12**-0.5, rel=0.15)  # uniform, not its mean over a cell
    both = ~np.isnan(one) & ~np.isnan(other)
    assert (one[both] != other[both]).all()


@pytest.fixture(scope="module")
def bags(store, runs):  # noqa: F811
    experiment = plan(store, "attention", "oracle", "random", rest={"models": [ABMIL]}, batch=2, subset=None)
    return explain_experiment(experiment, runs, runs / "bags.zarr", limit=2)


def test_attention_to_patches_lies_on_cells(bags, store):  # noqa: F811
    maps = MapStore.open(bags.maps)
    patches = PatchDataset(store, ids=[IMAGE], size=32)
    bag = torch.stack([patches[number]["image"] for number in range(len(patches))])[None]
    model = bags.models[0].load()
    with torch.no_grad():
        weights = model.attention(bag)["patches"][0].numpy()
    stored = maps.read("evp-abmil-0", "attention", IMAGE)
    np.testing.assert_allclose(stored.values, stitch(patches.table, weights, IMAGE), rtol=1e-4)
    assert (stored.group.kind, stored.group.at, stored.group.cell_px, stored.target) == ("sam", "grid", 16, None)
    np.testing.assert_array_equal(np.isnan(maps.read("evp-abmil-0", "random", IMAGE).values), np.isnan(stored.values))


def test_other_explainers_of_bags_are_refused(store, tmp_path):  # noqa: F811
    for entry, message in (
        ("saliency", "explainer must be attention, a null or the oracle for networks that read bags"),
        ({"type": "attention", "at": "pixel"}, "at: pixel must go with networks that read patches"),
        ({"type": "attention", "module": "there"}, "attention map must be one of patches, got 'there'"),
    ):
        with pytest.raises(InputError, match=message):
            explain_experiment(plan(store, entry, rest={"models": [ABMIL]}), tmp_path / "runs")
    with pytest.raises(InputError, match="legacy: true must go with explainers of networks"):
        explain_experiment(plan(store, {"type": "random", "legacy": True}), tmp_path / "runs")


def test_networks_without_what_an_explainer_needs_are_left_out(store, runs, tmp_path):  # noqa: F811
    class Lines:
        def __init__(self):
            self.lines = []

        def start(self, what, total): ...

        def step(self, what, count=1): ...

        def say(self, line):
            self.lines.append(line)

    lines = Lines()
    experiment = plan(store, "attention", {"type": "heatmap"}, rest={"models": [ABMIL, NAME]}, batch=2, subset=None)
    found = explain_experiment(experiment, runs, tmp_path / "m.zarr", limit=1, watcher=lines)
    assert [(one.group.model, one.group.explainer) for one in found.groups] == [("evp-abmil-0", "attention"), (MODEL, "heatmap")]
    assert found.groups[1].group.kind == "ssm"
    assert [line.partition(": ")[0] for line in found.left] == [MODEL, "evp-abmil-0"]
    assert set(found.left) <= set(lines.lines)
    with pytest.raises(
        InputError, match=r"explain\[0\] must fit a network of the experiment, got 'attention' for none: model must"
    ):
        explain_experiment(plan(store, "attention"), tmp_path / "runs")


def test_images_of_networks_of_images_have_the_truth_of_pixels(store, runs, tmp_path):  # noqa: F811
    experiment = plan(store, "oracle", {"type": "random", "scale": "max"}, "heatmap", reads="image", subset=None, batch=3)
    found = explain_experiment(experiment, runs, tmp_path / "m.zarr", limit=2)
    maps, name = MapStore.open(found.maps), found.groups[0].group.model
    truth = open_dataset(store)[IMAGE].truth.all()
    np.testing.assert_array_equal(maps.read(name, "oracle", IMAGE).values, np.float32([0, 0.4, 0.9])[truth])
    assert maps.read(name, "random", IMAGE).values.max() == 1.0
    assert [one.group.kind for one in found.groups] == ["pixel", "pixel", "heatmap"]
