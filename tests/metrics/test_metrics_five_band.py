"""Five bands: against a literal count pixel by pixel, and the test vectors of the source."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen.errors import InputError, RecipeError
from miso_gen.metrics.band_metrics import FiveBand, five_band_scores
from miso_gen.metrics.bands import (
    BandScores,
    _Finder,
    band,
    band_counts,
    band_scores,
    clamped,
    clamped_legacy,
    heat,
    soft_thresholds,
    summed,
    truth_bands,
)
from miso_gen.metrics.interfaces import METRICS
from miso_gen.metrics.pooled import BandRoc, BandRocLegacy

THRESHOLDS = soft_thresholds(0.3, 0.5, 0.005, 56)


def literal_band(value: Any, inner: Any, outer: Any) -> int:
    if value <= -outer:
        return -2
    if value <= -inner:
        return -1
    if value <= inner:
        return 0
    return 1 if value <= outer else 2


def literal_counts(map: torch.Tensor, truth: torch.Tensor, inner: float, outer: float) -> list[int]:
    """Return tp, fp, fn, tn of one map divided by its greatest absolute value, pixel by pixel."""
    kind = map.numpy().dtype.type
    peak = max(abs(value) for value in map.numpy().flatten())
    tp = fp = fn = tn = 0
    for value, g in zip(map.numpy().flatten(), truth.flatten().tolist(), strict=True):
        h = literal_band(value / peak if peak > 0 else value, kind(inner), kind(outer))
        tp += g != 0 and h == g
        fp += (h != 0 and g == 0) or (h != 0 and g != 0 and h != g)
        fn += h == 0 and g != 0
        tn += h == 0 and g == 0
    return [tp, fp, fn, tn]


def band_curves(map: torch.Tensor, truth: torch.Tensor, thresholds: tuple[tuple[float, float], ...]) -> BandScores:
    return band_scores(band_counts(map, truth, thresholds))


def metric(name: str, **fields: Any) -> FiveBand:
    made = METRICS.get(name).from_spec(fields)
    assert isinstance(made, FiveBand)
    return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bands_of_the_vector(dtype: torch.dtype) -> None:
    values = [-0.7, -0.69, -0.3, -0.29, 0.3, 0.31, 0.7, 0.71]
    assert band(torch.tensor([values], dtype=dtype), 0.3, 0.7).tolist() == [[-2, -1, -1, 0, 0, 1, 1, 2]]


def line() -> torch.Tensor:
    return torch.from_numpy(np.linspace(-1, 1, 10).round(3).reshape(2, 5)).expand(3, 2, 5).clone()


def changed(row: int, value: float, channel: int | slice = 0) -> torch.Tensor:
    found = line()
    found[channel, row] = value
    return found


@pytest.mark.parametrize(
    ("prediction", "target", "accuracy", "recall", "without_wrong_bands", "precision"),
    [
        (line(), line(), 1.0, 0.999999875, 0.999999875, 0.999999875),
        (changed(0, 1.0), line(), 0.6, 0.571428, 1.0, 4 / 5),
        (changed(0, -1.0), line(), 0.8, 1.0, 0.875, 7 / 9),
        (line(), changed(0, 0.0, slice(None)), 0.6, 1.0, 0.5, 0.5),
        (changed(1, 0.0, slice(None)), changed(0, 0.0, slice(None)), 0.2, 0.0, 0.0, 0.0),
    ],
)
def test_scores_of_the_vector(
    prediction: torch.Tensor,
    target: torch.Tensor,
    accuracy: float,
    recall: float,
    without_wrong_bands: float,
    precision: float,
) -> None:
    map, truth = summed(prediction), truth_bands(summed(target))
    fields = {"inner": 0.3, "outer": 0.7, "count": 1}
    names = ("accuracy", "recall-legacy", "precision-legacy")
    found = [float(metric(f"five-band-{name}", **fields).score(map, truth)) for name in names]
    assert found == pytest.approx([accuracy, recall, precision], abs=1e-6)
    if recall == 0.999999875:
        assert found[1:] == pytest.approx([recall, precision], abs=1e-12)
    # The precisions that were printed with the vectors count no pixel of a wrong band; the released code and the paper do.
    bands = band(map, 0.3, 0.7)
    right, stray = (bands == truth) & (truth != 0), (bands != 0) & (truth == 0)
    assert int(right.sum()) / (int(right.sum() + stray.sum()) + 1e-6) == pytest.approx(without_wrong_bands, abs=1e-6)


def test_clamped_vector() -> None:
    map, truth = clamped(line(), 0.5), band(summed(line()), 0.5, 0.9)
    fields = {"inner": 0.5, "outer": 0.9, "count": 1}
    found = [float(metric(f"five-band-{name}", **fields).score(map, truth)) for name in ("accuracy", "recall", "precision")]
    # The printed precision is 1/2, without the 4 pixels of a wrong band.
    assert found == pytest.approx([0.4, 1.0, 2 / 8])
    assert literal_counts(map, truth, 0.5, 0.9) == [2, 6, 0, 2]
    assert int(((band(map, 0.5, 0.9) != 0) & (truth == 0)).sum()) == 2


def test_summing_and_clamping() -> None:
    attribution = torch.tensor([[[4.0, -2.0]], [[0.0, 1.0]]])
    assert summed(attribution).tolist() == [[1.0, -0.25]]
    # Divided by 4: (1, -1/2), (0, 1/4); cut: (.1, -.1), (0, .1); summed: (.1, 0).
    assert clamped(attribution).tolist() == [[1.0, 0.0]]
    # Cut as they are: (.1, -.08), (0, .04); summed: (.1, -.04).
    assert torch.allclose(clamped_legacy(0.04 * attribution), torch.tensor([[1.0, -0.4]]))
    assert clamped(0.04 * attribution).tolist() == [[1.0, 0.0]]
    assert summed(torch.tensor([[[1.0, 2.0]], [[-1.0, -2.0]]])).tolist() == [[0.0, 0.0]]
    batch = torch.randn(2, 5, 3, 4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for function in (summed, clamped, clamped_legacy):
        loop = torch.stack([function(part) for part in batch.flatten(0, 1)])
        assert torch.equal(function(batch).flatten(0, 1), loop)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 9)),
    grain=st.sampled_from([None, 5, 20, 200]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    low=st.sampled_from([-2, 0]),
)
def test_counts_are_those_of_pixels(seed: int, shape: tuple[int, int], grain: int | None, dtype: torch.dtype, low: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(-1, 1, shape) if grain is None else rng.integers(-grain, grain + 1, shape) / grain
    map = torch.from_numpy(values).to(dtype)
    truth = torch.from_numpy(rng.integers(low, 3, shape))
    found = torch.stack(band_counts(map, truth, THRESHOLDS)[:4], -1)
    assert found.tolist() == [literal_counts(map, truth, *pair) for pair in THRESHOLDS]


def test_batch_equals_loop_on_small_and_large_maps() -> None:
    rng = np.random.default_rng(1)
    for shape in ((2, 3, 5, 11), (2, 1, 200, 401)):
        map = torch.from_numpy(rng.standard_normal(shape)).to(torch.float32)
        truth = torch.from_numpy(rng.integers(0, 3, shape).astype(np.uint8))
        found = band_curves(map, truth, THRESHOLDS)
        for part, name in zip(found, BandScores._fields, strict=True):
            assert part.shape == (*shape[:2], 56)
            loop = [
                getattr(band_curves(*pair, THRESHOLDS), name) for pair in zip(map.flatten(0, 1), truth.flatten(0, 1), strict=True)
            ]
            assert torch.equal(part.flatten(0, 1), torch.stack(loop))
    # A large map by plain comparisons.
    plane, marks = map[0, 0], truth[0, 0]
    bands = torch.stack([band(plane / plane.abs().max(), *pair) for pair in THRESHOLDS])
    assert torch.equal(found.accuracy[0, 0], (bands == marks).double().mean((1, 2)))


@settings(max_examples=60)
@given(
    edges=st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=30, unique=True),
    values=st.lists(st.one_of(st.floats(-4, 4, width=32), st.floats(width=32, allow_nan=False)), min_size=1, max_size=30),
)
def test_finder_is_searchsorted(edges: list[float], values: list[float]) -> None:
    sorted_edges = np.sort(np.array(edges, np.float32) + np.float32(0))
    sorted_edges = np.unique(sorted_edges)
    asked = np.concatenate([np.array(values, np.float32), sorted_edges, np.nextafter(sorted_edges, np.float32(9))])
    assert _Finder(torch.from_numpy(sorted_edges))(asked).tolist() == np.searchsorted(sorted_edges, asked).tolist()


def test_finder_with_edges_in_one_cell() -> None:
    edges = np.array([0.0, 0.5, np.nextafter(0.5, 1), 1.0])
    finder = _Finder(torch.from_numpy(edges))
    assert not finder.alone
    asked = np.array([-1, 0, 0.5, np.nextafter(0.5, 1), 0.75, 2])
    assert finder(asked).tolist() == np.searchsorted(edges, asked).tolist()


def test_thresholds_of_the_paper() -> None:
    assert len(THRESHOLDS) == 56
    assert THRESHOLDS[-1] == (0.025, 0.225)
    assert soft_thresholds(0.5, 0.9, 0.01, 41)[-1] == (0.1, 0.5)
    assert soft_thresholds(0.3, 0.7, 0.005, 56)[-1] == (0.025, 0.425)
    assert metric("five-band-recall").thresholds == THRESHOLDS
    with pytest.raises(InputError, match="0 < inner <= outer"):
        soft_thresholds(0.3, 0.5, 0.005, 61)


@pytest.mark.parametrize("fields", [{"count": 61}, {"inner": 0.6}, {"over": "median"}, {"count": 0}, {"step": -0.1}])
def test_parameters_that_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="must be"):
        metric("five-band-recall", **fields)


def test_best_and_mean_over_thresholds() -> None:
    rng = np.random.default_rng(2)
    map, truth = torch.from_numpy(rng.uniform(-1, 1, (3, 6, 8))), torch.from_numpy(rng.integers(0, 3, (3, 6, 8)))
    curves = band_curves(map, truth, THRESHOLDS)
    for name, part in zip(("accuracy", "precision", "recall", "fpr"), curves, strict=True):
        best = part.min(-1).values if name == "fpr" else part.max(-1).values
        assert torch.equal(metric(f"five-band-{name}").score(map, truth), best)
        assert torch.equal(metric(f"five-band-{name}", over="mean").score(map, truth), part.mean(-1))
        if name != "accuracy":
            legacy = metric(f"five-band-{name}-legacy", over="mean")
            assert legacy.legacy
            assert legacy.score(map, truth).numpy() == pytest.approx(part.mean(-1).numpy(), abs=1e-5)


def test_several_scores_of_one_pass() -> None:
    rng = np.random.default_rng(6)
    map, truth = torch.from_numpy(rng.uniform(-1, 1, (3, 6, 8))), torch.from_numpy(rng.integers(0, 3, (3, 6, 8)))
    made = [cls() for name, cls in METRICS if name.startswith("five-band")]
    made += [metric("five-band-recall", over="mean"), metric("five-band-recall", sign="absolute", scale="none", count=3)]
    bands = [one for one in made if isinstance(one, FiveBand)]
    assert len(bands) == 9
    for one, found in zip(bands, five_band_scores(bands, map, truth), strict=True):
        assert torch.equal(found, one.score(map, truth))


def test_signs_and_scale() -> None:
    map, truth = torch.tensor([[-0.9, 0.4, 0.4, 0.0]]), torch.tensor([[2, 1, 0, 0]])
    fields = {"inner": 0.3, "outer": 0.7, "count": 1}
    assert float(metric("five-band-accuracy", **fields).score(map, truth)) == 0.5
    assert float(metric("five-band-accuracy", sign="absolute", **fields).score(map, truth)) == 0.75
    # Only the positive ones: 0.4 is the peak, and of band 2.
    assert float(metric("five-band-accuracy", sign="positive", **fields).score(map, truth)) == 0.25
    assert float(metric("five-band-accuracy", sign="positive", scale="none", **fields).score(map, truth)) == 0.5
    # A map of 0.4 alone: unscaled it is of band 1.
    flat = torch.full((2, 3), 0.4)
    ones = torch.ones(2, 3, dtype=torch.int64)
    assert float(metric("five-band-recall", scale="none", **fields).score(flat, ones)) == 1.0
    assert float(metric("five-band-recall", **fields).score(flat, ones)) == 0.0


def test_oracle() -> None:
    truth = torch.tensor([[0, 1, 2], [2, 0, 0]])
    for name, value in (("accuracy", 1.0), ("precision", 1.0), ("recall", 1.0), ("fpr", 0.0)):
        made = metric(f"five-band-{name}")
        assert float(made.score(made.oracle(truth), truth)) == value
        assert made.best is None
    assert heat(truth).tolist() == [[0.0, 0.4, 0.9], [0.9, 0.0, 0.0]]
    assert torch.equal(truth_bands(heat(truth)), truth.to(torch.int8))


def test_without_truth_and_of_blank_maps() -> None:
    rng = np.random.default_rng(3)
    map, none = torch.from_numpy(rng.uniform(-1, 1, (4, 5))), torch.zeros(4, 5, dtype=torch.uint8)
    truth = none.clone()
    truth[1, 2] = 2
    blank = torch.zeros(4, 5)
    for name in ("precision", "recall"):
        assert isnan(float(metric(f"five-band-{name}").score(map, none)))
        assert float(metric(f"five-band-{name}-legacy").score(map, none)) == 0.0
        assert float(metric(f"five-band-{name}").score(blank, truth)) == 0.0
    zeros = [float(((map / map.abs().max()).abs() <= low).double().mean()) for low, _ in THRESHOLDS]
    assert band_curves(map, none, THRESHOLDS).accuracy.tolist() == pytest.approx(zeros)
    assert float(metric("five-band-accuracy").score(blank, truth)) == 19 / 20
    assert float(metric("five-band-fpr").score(blank, truth)) == 0.0
    for value in (nan, float("inf")):
        broken = map.clone()
        broken[2, 2] = value
        for name in ("accuracy", "precision", "recall", "fpr", "precision-legacy", "recall-legacy", "fpr-legacy"):
            assert isnan(float(metric(f"five-band-{name}").score(broken, truth)))


@pytest.mark.parametrize(
    ("map", "truth", "match"),
    [
        (torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool), "whole numbers"),
        (torch.zeros(2, 3), torch.zeros(3, 2, dtype=torch.uint8), "shape"),
        (torch.zeros(2, 3), torch.full((2, 3), 3), "levels"),
        (torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.uint8), "floating"),
    ],
)
def test_refused(map: torch.Tensor, truth: torch.Tensor, match: str) -> None:
    with pytest.raises(InputError, match=match):
        metric("five-band-accuracy").score(map, truth)


def test_roc_over_images_and_its_merging() -> None:
    rng = np.random.default_rng(4)
    map, truth = torch.from_numpy(rng.uniform(-1, 1, (5, 6, 8))), torch.from_numpy(rng.integers(0, 3, (5, 6, 8)))
    truth[1] = 0
    map[2, 0, 0] = nan
    curves = [band_curves(*pair, THRESHOLDS) for pair in zip(map, truth, strict=True)]
    whole, one, two = (BandRoc(metric("five-band-recall")) for _ in range(3))
    whole.update(map, truth)
    one.update(map[:2], truth[:2])
    two.update(map[2:], truth[2:])
    one.merge_state(two)
    found = whole.compute()
    assert found.recall.numpy() == pytest.approx(np.mean([curves[k].recall.numpy() for k in (0, 3, 4)], 0))
    assert found.false_positive_rate.numpy() == pytest.approx(
        np.mean([curves[k].false_positive_rate.numpy() for k in (0, 1, 3, 4)], 0)
    )
    for merged, part in zip(one.compute(), found, strict=True):
        assert merged.numpy() == pytest.approx(part.numpy())
    legacy = BandRocLegacy(metric("five-band-recall"))
    legacy.update(map, truth)
    assert legacy.compute().recall.numpy() == pytest.approx(found.recall.numpy() * 3 / 4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_cuda_equals_cpu() -> None:
    rng = np.random.default_rng(5)
    map, truth = torch.from_numpy(rng.standard_normal((3, 50, 70))), torch.from_numpy(rng.integers(0, 3, (3, 50, 70)))
    for here, there in zip(band_counts(map, truth, THRESHOLDS), band_counts(map.cuda(), truth.cuda(), THRESHOLDS), strict=True):
        assert torch.equal(here, there.cpu())
