"""Scores that remove pixels: against slow loops, and closed forms of linear models."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from math import exp, isnan
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import Small, Weighted, explained, random
from scipy.ndimage import gaussian_filter
from skimage.segmentation import slic
from torch import Tensor

from miso_gen.errors import InputError, MissingExtraError, RecipeError
from miso_gen.metrics.faithfulness.deletion import Deletion
from miso_gen.metrics.faithfulness.insertion import Insertion
from miso_gen.metrics.faithfulness.irof import Irof
from miso_gen.metrics.faithfulness.masked_out_area import MaskedOutArea
from miso_gen.metrics.faithfulness.pixel_flipping import PixelFlipping
from miso_gen.metrics.filling import BASELINES
from miso_gen.metrics.interfaces import Explained
from miso_gen.metrics.removal import even_counts, places
from miso_gen.metrics.segments import grid, segments_of

if TYPE_CHECKING:
    from miso_gen.metrics.asking import AskingMetric


def order_of(map: Tensor) -> list[tuple[int, int]]:
    """Return (row, column) of the pixels, the highest first, of equal ones the first in rows."""
    pixels = [(row, col) for row in range(map.shape[0]) for col in range(map.shape[1])]
    return sorted(pixels, key=lambda pixel: -float(map[pixel]))


def probabilities(model: Any, images: list[Tensor], target: int) -> list[float]:
    with torch.no_grad():
        logits = model(torch.stack(images)).tolist()
    return [exp(row[target]) / sum(exp(logit) for logit in row) for row in logits]


def probability(model: Any, image: Tensor, target: int) -> float:
    return probabilities(model, [image], target)[0]


def curve_of(model: Any, image: Tensor, put: Tensor, map: Tensor, target: int, counts: list[int]) -> list[float]:
    pixels, images = order_of(map), []
    for count in counts:
        changed = image.clone()
        for row, col in pixels[:count]:
            changed[:, row, col] = put[:, row, col]
        images.append(changed)
    return probabilities(model, images, target)


def trapezoid(x: list[float], y: list[float]) -> float:
    return sum((b - a) * (c + d) / 2 for a, b, c, d in zip(x[:-1], x[1:], y[:-1], y[1:], strict=True))


def tied(**changed: Any) -> Explained:
    """Return images of 6 x 7 px whose maps have few values."""
    found = explained(3, 6, 7, **changed)
    return replace(found, maps=(random(3, 6, 7, seed=3) * 5).round())


def linear(weights: Tensor, images: Tensor, maps: Tensor, bias: float = 0.0, **changed: Any) -> Explained:
    return Explained(Weighted(weights, bias), images, maps, torch.ones(len(images), dtype=torch.int64), **changed)


# --- order and steps --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 4), min_size=6, max_size=6))
def test_places_are_a_stable_descending_order(values: list[int]) -> None:
    map = torch.tensor(values, dtype=torch.float64).reshape(2, 3)
    found = places(map).reshape(2, 3)
    for place, pixel in enumerate(order_of(map)):
        assert found[pixel] == place


def test_negative_zero_is_zero() -> None:
    assert places(torch.tensor([[-0.0, 0.0, -0.0]])).tolist() == [0, 1, 2]


@given(st.integers(1, 3000), st.integers(1, 200))
def test_even_counts(size: int, steps: int) -> None:
    found = even_counts(size, steps)
    assert found[0] == 0
    assert found[-1] == size
    assert all(a < b for a, b in pairwise(found))
    assert set(found) == {int(np.floor(k * size / steps + 0.5 + 1e-9)) for k in range(steps + 1)}


def test_step_counts_of_the_masked_out_area() -> None:
    """PYLON: 0.5 % of 256 x 256 pixels is 327.68."""
    counts = MaskedOutArea().counts(256 * 256)
    assert len(counts) == 200
    assert counts[:3] == [328, 655, 983]
    assert counts[-1] == 65536
    assert MaskedOutArea(step=0.3).counts(10) == [3, 6, 9, 10]
    assert MaskedOutArea(step=0.001).counts(3) == [1, 2, 3]


# --- curves -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 5, 42, 1000])
@pytest.mark.parametrize("baseline", ["zero", "mean", "blur"])
def test_deletion_and_insertion_literally(steps: int, baseline: str) -> None:
    found = tied()
    put = BASELINES.get(baseline)().fill(found.images)
    counts = sorted({int(np.floor(k * 42 / steps + 0.5)) for k in range(steps + 1)})
    share = [count / 42 for count in counts]
    for metric, before, after in (
        (Deletion(steps=steps, baseline=baseline), found.images, put),
        (Insertion(steps=steps, baseline=baseline), put, found.images),
    ):
        curve, score = metric.curve(found), metric.score(found)
        assert curve is not None
        assert curve.x.tolist() == pytest.approx(share)
        for k in range(3):
            wanted = curve_of(found.model, before[k], after[k], found.maps[k], int(found.target[k]), counts)
            assert curve.y[k].tolist() == pytest.approx(wanted)
            assert score[k].item() == pytest.approx(trapezoid(share, wanted))


def test_deletion_of_a_linear_model_has_a_closed_form() -> None:
    weights, images = random(1, 5, 8, seed=1) - 0.5, random(3, 1, 5, 8, seed=2)
    shares = (weights * images)[:, 0]
    found = linear(weights, images, shares, bias=0.3)
    deletion = Deletion(steps=40, baseline="zero", output="logit")
    insertion = Insertion(steps=40, baseline="zero", output="logit")
    score = deletion.score(found)
    for k in range(3):
        # Pixel i (from 0) in descending order is there during i + 1/2 of 40 steps.
        ordered = sorted(shares[k].flatten().tolist(), reverse=True)
        assert score[k].item() == pytest.approx(0.3 + sum(value * (i + 0.5) / 40 for i, value in enumerate(ordered)))
    # What is left and what is back add up to the whole, and the bias.
    assert torch.allclose(score + insertion.score(found), shares.sum((1, 2)) + 0.6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_no_map_beats_the_contributions_of_a_linear_model(seed: int) -> None:
    weights, images = random(1, 3, 4, seed=seed) - 0.5, random(1, 1, 3, 4, seed=seed + 1)
    found = linear(weights, images, (weights * images)[:, 0])
    other = replace(found, maps=random(1, 3, 4, seed=seed + 2))
    for output in ("softmax", "sigmoid", "logit"):
        best = Deletion(steps=12, baseline="zero", output=output)
        assert best.score(found) <= best.score(other) + 1e-9
        finds = Insertion(steps=12, baseline="zero", output=output)
        assert finds.score(found) >= finds.score(other) - 1e-9


def test_outputs() -> None:
    weights, images = torch.ones(1, 2, 2, dtype=torch.float64), torch.full((1, 1, 2, 2), 0.25, dtype=torch.float64)
    found = linear(weights, images, torch.ones(1, 2, 2, dtype=torch.float64))  # logits -1 and 1
    for output, wanted in (("logit", 1.0), ("sigmoid", 1 / (1 + exp(-1))), ("softmax", 1 / (1 + exp(-2)))):
        curve = Deletion(steps=1, output=output).curve(found)
        assert curve is not None
        assert curve.y[0, 0].item() == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("step_px", "until", "counts"), [(4, 0.2, [0, 4, 8, 12]), (512, 0.2, [0, 42]), (10, 1.0, [0, 10, 20, 30, 40, 42])]
)
def test_pixel_flipping_literally(step_px: int, until: float, counts: list[int]) -> None:
    found = tied()
    metric = PixelFlipping(step_px=step_px, until=until)
    put = found.images.mean((2, 3), keepdim=True).expand_as(found.images)
    curve, score = metric.curve(found), metric.score(found)
    assert curve is not None
    assert curve.x.tolist() == pytest.approx([count / 42 for count in counts])
    for k in range(3):
        wanted = curve_of(found.model, found.images[k], put[k], found.maps[k], int(found.target[k]), counts)
        assert curve.y[k].tolist() == pytest.approx(wanted)
        assert score[k].item() == pytest.approx(1 - trapezoid([n / counts[-1] for n in counts], wanted))


# --- masked-out area --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 5, 64])
@pytest.mark.parametrize(("step", "threshold"), [(0.1, 0.5), (0.03, 0.35), (0.005, 0.2)])
def test_masked_out_area_literally(step: float, threshold: float, batch: int) -> None:
    found = explained(12, 6, 7, batch=batch)
    score = MaskedOutArea(step=step, threshold=threshold).score(found)
    for k in range(12):
        target = int(found.target[k])
        if probability(found.model, found.images[k], target) <= threshold:
            assert isnan(score[k])
            continue
        wanted, count, number = 1.0, 0, 0
        while count < 42:
            number += 1
            before, count = count, min(int(number * step * 42 + 0.5), 42)
            zero = torch.zeros_like(found.images[k])
            if count > before and curve_of(found.model, found.images[k], zero, found.maps[k], target, [count])[0] <= threshold:
                wanted = count / 42
                break
        assert score[k].item() == pytest.approx(wanted)


def test_masked_out_area_asks_no_more_than_it_must() -> None:
    weights = torch.ones(1, 4, 5, dtype=torch.float64)
    images = torch.ones(3, 1, 4, 5, dtype=torch.float64) * torch.tensor([1.0, 1.0, -1.0])[:, None, None, None]
    asked = 0

    class Counting(Weighted):
        def forward(self, images: Tensor) -> Tensor:
            nonlocal asked
            asked += len(images)
            return super().forward(images)

    # The logit is what is left, less 15.5: it flips with the fifth pixel, and never for the second bias.
    found = Explained(Counting(weights, -15.5), images, random(3, 4, 5), torch.ones(3, dtype=torch.int64), batch=2)
    score = MaskedOutArea(step=0.05, output="sigmoid").score(found)
    assert score[:2].tolist() == pytest.approx([0.25, 0.25])
    assert isnan(score[2])
    assert asked == 3 + 2 * 5
    never = replace(found, model=Counting(weights, 25.0))
    assert MaskedOutArea(step=0.05, output="sigmoid").score(never).tolist() == [1.0, 1.0, 1.0]


# --- IROF -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segmentation", ["grid", "slic"])
def test_irof_literally(segmentation: Any) -> None:
    found = explained(3, 16, 23)
    metric = Irof(segmentation=segmentation, segments=9)
    segments = segments_of(found.images, segmentation, 9)
    curve, score = metric.curve(found), metric.score(found)
    assert curve is not None
    for k in range(3):
        target, pieces = int(found.target[k]), sorted(set(segments[k].flatten().tolist()))
        assert pieces == list(range(len(pieces)))
        ordered = sorted(pieces, key=lambda piece, k=k: -found.maps[k][segments[k] == piece].mean().item())
        image, colour = found.images[k].clone(), found.images[k].mean((1, 2))
        first = probability(found.model, image, target)
        wanted = [1.0]
        for piece in ordered:
            image[:, segments[k] == piece] = colour[:, None]
            wanted.append(probability(found.model, image, target) / first)
        number = len(pieces)
        assert curve.y[k, : number + 1].tolist() == pytest.approx(wanted)
        assert curve.y[k, number + 1 :].isnan().all()
        assert score[k].item() == pytest.approx(number - trapezoid(list(range(number + 1)), wanted))


def test_irof_of_a_model_that_minds_nothing() -> None:
    images = random(2, 1, 8, 9)
    found = linear(torch.zeros(1, 8, 9, dtype=torch.float64), images, random(2, 8, 9, seed=1))
    assert Irof(segments=4).score(found).tolist() == [0.0, 0.0]
    sure = linear(torch.zeros(1, 8, 9, dtype=torch.float64), images, random(2, 8, 9, seed=1), bias=-50.0)
    assert Irof(segments=4).score(sure).isnan().all()  # no probability to lose


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 200))
def test_grids(rows: int, cols: int, number: int) -> None:
    found = grid(rows, cols, number)
    down, across = (len(found[:, 0].unique()), len(found[0].unique()))
    assert found.unique().tolist() == list(range(down * across))
    sizes = [(int((found == cell).any(1).sum()), int((found == cell).any(0).sum())) for cell in range(down * across)]
    assert all(int((found == cell).sum()) == h * w for cell, (h, w) in enumerate(sizes))  # rectangles
    for side in zip(*sizes, strict=True):
        assert max(side) - min(side) <= 1
    side = (rows * cols / number) ** 0.5
    assert down == min(max(1, int(rows / side + 0.5)), rows)
    assert across == min(max(1, int(cols / side + 0.5)), cols)


def test_superpixels_are_those_of_scikit_image() -> None:
    images = random(2, 3, 30, 41)
    for k, image in enumerate(images):
        wanted = slic(np.moveaxis(image.numpy(), 0, -1), n_segments=20, start_label=0)
        found = segments_of(images, "slic", 20)[k].numpy()
        assert len(np.unique(wanted)) == len(np.unique(found)) == len({*zip(wanted.flat, found.flat, strict=True)})


def test_superpixels_need_scikit_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(MissingExtraError, match="scikit-image"):
        Irof(segmentation="slic").score(explained())


# --- baselines --------------------------------------------------------------------------------------------------------


def test_baselines() -> None:
    images = random(2, 3, 9, 14)
    assert not BASELINES.get("zero")().fill(images).any()
    middle = BASELINES.get("mean")().fill(images)
    assert torch.allclose(middle, images.mean((2, 3), keepdim=True).expand_as(images))
    value = BASELINES.get("value")
    assert (value.from_spec({"value": 0.25}).fill(images) == 0.25).all()
    colours = value.from_spec({"value": [0.1, 0.2, 0.3]}).fill(images)
    assert colours[1, :, 4, 5].tolist() == [0.1, 0.2, 0.3]
    with pytest.raises(InputError, match="number for each of 3 channels"):
        value.from_spec({"value": [0.1, 0.2]}).fill(images)
    assert all(cls().fill(images.float()).dtype == torch.float32 for _, cls in BASELINES)


@pytest.mark.parametrize("sigma", [0.7, 2.0, 5.0])
def test_blur_is_that_of_scipy(sigma: float) -> None:
    images = random(2, 3, 9, 14)
    found = BASELINES.get("blur").from_spec({"sigma_px": sigma}).fill(images).numpy()
    radius = int(np.ceil(3 * sigma))
    wanted = gaussian_filter(images.numpy(), sigma, mode="nearest", axes=(2, 3), radius=radius)
    assert np.abs(found - wanted).max() < 1e-12


# --- wrong models and parameters --------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [Deletion(steps=2), Irof(segments=2), MaskedOutArea()])
def test_models_that_return_no_logits(metric: AskingMetric) -> None:
    found = explained(2, 5, 6)
    for model in (lambda images: images, lambda images: images.mean((1, 2, 3)), lambda images: Small()(images)[:1]):
        with pytest.raises(InputError, match="model must return logits"):
            metric.score(replace(found, model=model))


@pytest.mark.parametrize("name", ["images", "maps", "target"])
def test_arrays_are_refused(name: str) -> None:
    found = explained(2, 5, 6)
    with pytest.raises(InputError, match=f"{name} must be a tensor, got ndarray"):
        Deletion(steps=2).score(replace(found, **{name: getattr(found, name).numpy()}))


@pytest.mark.parametrize(
    ("cls", "spec"),
    [
        (Deletion, {"steps": 0}),
        (Deletion, {"output": "log"}),
        (PixelFlipping, {"output": "logit"}),
        (PixelFlipping, {"until": 0}),
        (MaskedOutArea, {"step": 0}),
        (Irof, {"segmentation": "felzenszwalb"}),
    ],
)
def test_parameters_that_cannot_be(cls: Any, spec: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        cls.from_spec(spec)


def test_a_probability_at_the_threshold_is_no_prediction() -> None:
    weights = torch.zeros(1, 2, 5, dtype=torch.float64)
    weights[0, 0, 2] = 1.0
    found = linear(weights, torch.ones(1, 1, 2, 5, dtype=torch.float64), -torch.arange(10.0).reshape(1, 2, 5))
    assert MaskedOutArea(step=0.1).score(found).tolist() == pytest.approx([0.3])  # without the third pixel: exactly 0.5
    nothing = replace(found, images=torch.zeros_like(found.images))
    assert MaskedOutArea(step=0.1).score(nothing).isnan().all()


def test_equal_pieces_go_in_rows() -> None:
    """Of 900 pieces of the same relevance, the one that counts is the 37th."""
    weights = torch.zeros(1, 30, 30, dtype=torch.float64)
    weights[0, 1, 6] = 1.0
    found = linear(weights, torch.ones(1, 1, 30, 30, dtype=torch.float64), torch.zeros(1, 30, 30))
    curve = Irof(segments=900, baseline="zero").curve(found)
    assert curve is not None
    assert int((curve.y[0] == 1.0).sum()) == 37
    assert (curve.y[0, :37] == 1.0).all()
