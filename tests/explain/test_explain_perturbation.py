"""Occlusion, RISE and LIME: definitions written out, and captum, lime and scikit-image beside them."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pytest
import torch
from explaining import Net, random
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from miso_gen.errors import RecipeError
from miso_gen.explain.calling import explain, explained, explainer_of
from miso_gen.explain.segmenting import Grid, Slic
from miso_gen.rng import Stream

ROWS, COLS = 11, 14


def given(count: int = 2, channels: int = 3) -> Tensor:
    return random(count, channels, ROWS, COLS, seed=3)


class Counting(nn.Module):
    """Keeps what a network is given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.clone())
        return self.model(images)


class Segmental(nn.Module):
    """Two logits: minus and plus a weight for each of the cells of a grid, times the mean of the image over it."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, images: Tensor) -> Tensor:
        cells = F.adaptive_avg_pool2d(images.mean(1, keepdim=True), self.weights.shape)[:, 0]
        found = (cells * self.weights).sum((1, 2))
        return torch.stack([-found, found], 1)


# --- occlusion --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "stride"), [(4, 2), (5, 3), (3, 3), (6, 1), (11, 5), (1, 1)])
@pytest.mark.parametrize("batch", [64, 7])
def test_occlusion_is_that_of_captum(window: int, stride: int, batch: int) -> None:
    from captum.attr import Occlusion

    model, images, target = Net(), given(), torch.tensor([2, 1])
    wanted = Occlusion(model).attribute(
        images, (3, window, window), strides=(3, stride, stride), baselines=0.25, target=target, perturbations_per_eval=16
    )
    baseline = {"type": "value", "value": 0.25}
    found = explain(model, images, "occlusion", target=target, window_px=window, stride_px=stride, baseline=baseline, batch=batch)
    torch.testing.assert_close(found, wanted[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("output", ["logit", "softmax", "sigmoid"])
@pytest.mark.parametrize(("baseline", "fill"), [("mean", None), ("zero", 0.0)])
def test_occlusion_is_its_definition(output: str, baseline: str, fill: float | None) -> None:
    model, images, target = Net(), given(), [0, 2]
    counting = Counting(model)
    found = explain(
        counting, images, "occlusion", target=target, window_px=5, stride_px=4, baseline=baseline, output=output, batch=5
    )
    assert max(len(one) for one in counting.seen) <= 5

    def score(image: Tensor, k: int) -> float:
        with torch.no_grad():
            logits = model(image[None])[0].double()
        read = {"logit": logits, "softmax": logits.softmax(0), "sigmoid": logits.sigmoid()}[output]
        return float(read[target[k]])

    for k, image in enumerate(images):
        total, times = np.zeros((ROWS, COLS)), np.zeros((ROWS, COLS))
        colour = image.mean((1, 2), keepdim=True) if fill is None else torch.tensor(fill)
        for top in (0, 4, 8):  # 8 + 5 > 11: cut at the border
            for left in (0, 4, 8, 12):
                window = (slice(top, top + 5), slice(left, left + 5))
                hidden = image.clone()
                hidden[:, *window] = colour
                total[window] += score(image, k) - score(hidden, k)
                times[window] += 1
        np.testing.assert_allclose(found[k], total / times, rtol=1e-4, atol=1e-6)


def test_occlusion_of_small_images_and_gaps() -> None:
    images = given()
    found = explain(Net(), images, "occlusion", target=0, window_px=50, stride_px=7)
    assert (found == found[:, :1, :1]).all()
    assert found.any()
    with pytest.raises(RecipeError, match="stride_px <= window_px"):
        explainer_of("occlusion", {"window_px": 4, "stride_px": 5})


# --- RISE -------------------------------------------------------------------------------------------------------------


def drawn_masks(seed: int, count: int, probability: float, cells: int) -> list[Tensor]:
    stream = Stream(seed, "explain", "rise")
    grids = (stream.uniforms(count * cells * cells) < probability).reshape(count, cells, cells)
    sides = [ceil(ROWS / cells), ceil(COLS / cells)]
    starts = [stream.integers(0, side, count) for side in sides]
    found = []
    for number in range(count):
        size = [(cells + 1) * side for side in sides]
        grid = torch.from_numpy(grids[number]).float()
        large = F.interpolate(grid[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
        top, left = (int(start[number]) for start in starts)
        found.append(large[top : top + ROWS, left : left + COLS])
    return found


@pytest.mark.parametrize("normalize", ["expectation", "coverage"])
@pytest.mark.parametrize(("output", "batch"), [("softmax", 64), ("logit", 7)])
def test_rise_is_its_definition(normalize: str, output: str, batch: int) -> None:
    model, images, target, seeds = Net(), given(), [0, 2], [5, 77]
    parameters: dict[str, Any] = {"masks": 30, "probability": 0.4, "cells": 3, "normalize": normalize, "output": output}
    found = explained(model, images, "rise", target=torch.tensor(target), seed=seeds, batch=batch, **parameters).maps
    for k, image in enumerate(images):
        total, cover = torch.zeros(ROWS, COLS), torch.zeros(ROWS, COLS)
        for mask in drawn_masks(seeds[k], 30, 0.4, 3):
            with torch.no_grad():
                logits = model((image * mask)[None])[0]
            total += float((logits.softmax(0) if output == "softmax" else logits)[target[k]]) * mask
            cover += mask
        wanted = total / (0.4 * 30) if normalize == "expectation" else total / cover.where(cover > 0, 1.0)
        torch.testing.assert_close(found[k], wanted, rtol=1e-4, atol=1e-5)


def test_masks_show_as_much_as_they_should_and_differ() -> None:
    counting = Counting(Segmental(torch.ones(2, 2)))
    explain(counting, torch.ones(1, 1, ROWS, COLS), "rise", target=1, masks=400, probability=0.3, cells=4)
    masks = torch.cat(counting.seen[1:])
    assert masks.shape == (400, 1, ROWS, COLS)
    assert masks.min() >= 0
    assert masks.max() <= 1 + 1e-6
    assert abs(float(masks.mean()) - 0.3) < 0.02
    assert (masks.mean((0, 1)) - 0.3).abs().max() < 0.1
    assert len(masks.flatten(1).unique(dim=0)) > 390
    assert ((masks > 0.01) & (masks < 0.99)).float().mean() > 0.3  # resized, not in blocks


def test_rise_finds_what_matters() -> None:
    weights = torch.zeros(2, 2)
    weights[0, 1] = 1
    found = explain(Segmental(weights), torch.ones(1, 1, 8, 8), "rise", target=1, masks=600, cells=4, output="logit")
    quarters = F.adaptive_avg_pool2d(found, 2)[0].flatten()
    assert quarters.argmax() == 1
    assert quarters[1] > 1.05 * quarters.sort().values[-2]


# --- LIME -------------------------------------------------------------------------------------------------------------


def shown_segments(seed: int, samples: int, count: int, keep: float) -> np.ndarray:
    shown = (Stream(seed, "explain", "lime").uniforms(samples * count) < keep).reshape(samples, count)
    shown[0] = True
    return shown


def ridge(shown: np.ndarray, scores: np.ndarray, width: float, alpha: float) -> np.ndarray:
    """Return argmin over (w, b) of sum_i pi_i (y_i - w z_i - b)^2 + alpha w w, from its normal equations."""
    samples, count = shown.shape
    weights = np.zeros(samples)
    for i in range(samples):
        cosine = shown[i].sum() / np.sqrt(shown[i].sum() * count) if shown[i].any() else 0.0
        weights[i] = np.sqrt(np.exp(-((1 - cosine) ** 2) / width**2))
    z = np.hstack([shown.astype(float), np.ones((samples, 1))])
    penalty = alpha * np.eye(count + 1)
    penalty[count, count] = 0
    return np.linalg.solve(z.T @ (weights[:, None] * z) + penalty, z.T @ (weights * scores))[:count]


@pytest.mark.parametrize("output", ["softmax", "logit"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch", [64, 9])
def test_lime_is_its_definition(output: str, channels: int, batch: int) -> None:
    model, images, target, seeds = Net(channels), given(channels=channels), [0, 2], [9, 10]
    parameters: dict[str, Any] = {
        "segmentation": {"type": "grid", "cells": 12}, "samples": 50, "keep": 0.6, "width": 0.4, "alpha": 0.5, "output": output,
        "baseline": "zero",
    }  # fmt: skip
    counting = Counting(model)
    found = explained(counting, images, "lime", target=torch.tensor(target), seed=seeds, batch=batch, **parameters).maps
    assert max(len(one) for one in counting.seen) <= max(batch, 2)
    for k, image in enumerate(images):
        segments = Grid(cells=12).of(image).numpy()
        shown = shown_segments(seeds[k], 50, int(segments.max()) + 1, 0.6)
        scores = np.zeros(50)
        for i in range(50):
            hidden = image * torch.from_numpy(shown[i][segments])
            with torch.no_grad():
                logits = model(hidden[None])[0].double()
            scores[i] = (logits.softmax(0) if output == "softmax" else logits)[target[k]]
        wanted = ridge(shown, scores, 0.4, 0.5)[segments]
        np.testing.assert_allclose(found[k], wanted, rtol=1e-4, atol=1e-6)


class Drawn(np.random.RandomState):
    """Gives lime the segments that we draw."""

    def __init__(self, shown: np.ndarray) -> None:
        super().__init__(0)
        self.shown = shown

    def randint(self, low: Any, high: Any = None, size: Any = None, dtype: Any = int) -> Any:
        return 0 if size is None else self.shown.astype(int).ravel()


@pytest.mark.parametrize("alpha", [1.0, 0.1])
def test_lime_is_that_of_the_package(alpha: float, capsys: pytest.CaptureFixture[str]) -> None:
    from lime.lime_image import LimeImageExplainer
    from sklearn.linear_model import Ridge

    model, image = Net().double(), given(1).double()
    segments = Slic(segments=15).of(image[0]).numpy()
    count = int(segments.max()) + 1
    assert count > 4

    def classify(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(torch.from_numpy(np.moveaxis(images, -1, 1))).softmax(1).numpy()

    peer = LimeImageExplainer(random_state=Drawn(shown_segments(4, 60, count, 0.5)), feature_selection="none")
    answer = peer.explain_instance(
        np.moveaxis(image[0].numpy(), 0, -1), classify, labels=(1,), top_labels=None, hide_color=0, num_samples=60,
        segmentation_fn=lambda _: segments, model_regressor=Ridge(alpha=alpha), random_seed=1,
    )  # fmt: skip
    capsys.readouterr()  # its progress bar
    coefficients = dict(answer.local_exp[1])
    wanted = np.vectorize(coefficients.get)(segments)
    parameters: dict[str, Any] = {
        "segmentation": {"type": "slic", "segments": 15},
        "samples": 60,
        "alpha": alpha,
        "baseline": "zero",
    }
    found = explained(model, image, "lime", target=1, seed=[4], **parameters).maps[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("target", [0, 1])
def test_lime_recovers_a_model_that_is_linear_in_segments(target: int) -> None:
    weights = torch.tensor([[0.5, -1.0, 2.0], [3.0, 0.0, -2.5]])
    images = torch.ones(1, 1, 8, 12)
    found = explain(
        Segmental(weights), images, "lime", target=target, output="logit", baseline="zero",
        segmentation={"type": "grid", "cells": 6}, samples=2000, alpha=0.0,
    )[0]  # fmt: skip
    cells = F.adaptive_avg_pool2d(found[None], (2, 3))[0]
    torch.testing.assert_close(cells, weights if target else -weights, rtol=1e-5, atol=1e-5)
    few = explain(
        Segmental(weights), images, "lime", target=1, output="logit", baseline="zero", segmentation={"type": "grid", "cells": 6},
    )[0]  # fmt: skip
    assert torch.equal(F.adaptive_avg_pool2d(few[None], (2, 3)).flatten().argsort(), weights.flatten().argsort())


def test_hidden_segments_are_of_the_baseline() -> None:
    image = given(1)
    counting = Counting(Net())
    explain(counting, image, "lime", target=0, segmentation="grid", samples=40)
    middle = image.mean((2, 3), keepdim=True)
    copies = torch.cat(counting.seen[1:])
    assert torch.equal(copies[0], image[0])
    kept, filled = (copies == image).all(1), ((copies - middle).abs() < 1e-6).all(1)
    assert (kept | filled).all()
    assert 0.4 < kept[1:].float().mean() < 0.6


# --- segments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_superpixels_are_those_of_scikit_image(channels: int) -> None:
    from skimage.segmentation import slic

    rows, cols = np.mgrid[:32, :40]
    image = torch.from_numpy(np.stack([np.sin(rows / 7 + k) * np.cos(cols / (5 + k)) for k in range(channels)]) / 2 + 0.5)
    for parameters in ({"segments": 20}, {"segments": 50, "compactness": 0.5}):
        found = Slic(**parameters).of(image).numpy()
        values = np.moveaxis(image.numpy(), 0, -1)
        wanted = slic(values, parameters["segments"], parameters.get("compactness", 10.0), start_label=0, channel_axis=-1)
        assert len(np.unique(np.stack([found, wanted]).reshape(2, -1), axis=1).T) == len(np.unique(wanted))  # one to one
        assert (np.unique(found) == np.arange(found.max() + 1)).all()
        assert found.dtype == np.int64


def test_segmentations_are_chosen_by_type() -> None:
    assert explainer_of("lime").segmentation == Slic(segments=100, compactness=10.0)
    assert explainer_of("lime", {"segmentation": "grid"}).segmentation == Grid(cells=100)
    slic = explainer_of("lime", {"segmentation": {"type": "slic", "segments": 50, "compactness": 10}})
    assert slic.to_spec()["segmentation"] == {"type": "slic", "segments": 50, "compactness": 10.0}
    assert explainer_of(slic.to_spec()) == slic
    for wrong in ("quickshift", {"type": "grid", "segments": 4}, {"type": "slic", "segments": 0}):
        with pytest.raises(RecipeError, match="segmentation"):
            explainer_of("lime", {"segmentation": wrong})
    for parameters in ({"samples": 1}, {"keep": 1.0}, {"width": 0.0}):
        with pytest.raises(RecipeError):
            explainer_of("lime", parameters)


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("occlusion", {}), ("rise", {"masks": 20, "normalize": "coverage"}), ("lime", {"samples": 30, "segmentation": "grid"})],
)
def test_a_model_that_sees_nothing_has_nothing_to_say(name: str, parameters: dict[str, Any]) -> None:
    found = explain(Net(zero="head"), given(), name, target=1, **parameters)
    assert (found == 0).all() if name != "rise" else torch.allclose(found, found[:, :1, :1], atol=1e-6)


@pytest.mark.parametrize("name", ["rise", "lime"])
def test_masks_do_not_depend_on_the_batch(name: str) -> None:
    parameters: dict[str, Any] = {"masks": 40} if name == "rise" else {"samples": 40, "segmentation": "grid"}
    images, seeds = given(3), [3, 4, 5]
    whole = explained(Net(), images, name, target=0, seed=seeds, **parameters).maps
    alone = explained(Net(), images[1:2], name, target=0, seed=seeds[1:2], **parameters).maps
    assert torch.equal(whole[1:2], alone)
    same = explained(Net(), images[[1, 1]], name, target=0, seed=[4, 4], **parameters).maps
    assert torch.equal(same[0], same[1])
    assert not torch.equal(whole[0], explained(Net(), images[:1], name, target=0, seed=[9], **parameters).maps[0])
