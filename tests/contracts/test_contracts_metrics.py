"""What every metric of a map against truth promises; a new file is tested by existing."""

from __future__ import annotations

import inspect
import json
import math
import pickle
import re
from functools import cache
from typing import Any, get_args

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from miso_gen.errors import InputError
from miso_gen.metrics import MAP_BINARIZERS, METRICS, MapBinarizer, Metric, joint_histogram
from miso_gen.metrics.interfaces import Direction, Resolution, Takes, Truth

NAMES = METRICS.names()
SHAPE = (12, 17)
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: Metrics that look at map and truth along one axis after the other, by their definition.
ONE_AXIS_FIRST = {"scag-dist"}

every = pytest.mark.parametrize("name", NAMES)


@cache
def metric_of(name: str) -> Metric:
    return METRICS.get(name)()


def truth_of(metric: Metric, levels: np.ndarray) -> Tensor:
    """Return truth of the metric's kind: evidence, levels, or an object for each value above 0."""
    whole = torch.from_numpy(np.ascontiguousarray(levels))
    return whole >= 2 if metric.truth == "mask" else whole.to(torch.int64)


def off_diagonal(rows: int = SHAPE[0], cols: int = SHAPE[1]) -> np.ndarray:
    """Return levels: an object in the upper right, with evidence in it, and a small one in the lower left."""
    levels = np.zeros((rows, cols), np.uint8)
    levels[1:5, cols - 7 : cols - 1] = 1
    levels[2:5, cols - 6 : cols - 2] = 2
    levels[rows - 3 : rows - 1, 1:3] = 2
    return levels


def shown(metric: Metric, map: Tensor) -> Tensor:
    """Return what the metric takes of a map in [0, 1]."""
    return MAP_BINARIZERS.get("fixed")().binarize(map) if metric.takes == "binary" else map


def score(metric: Metric, map: Tensor, truth: Tensor) -> Tensor:
    return metric.score(shown(metric, map), truth)


def random_maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def is_better(metric: Metric, one: Tensor, other: Tensor, margin: float) -> bool:
    """Whether one score is better than the other by more than a margin; undefined ones are not."""
    sign = {"higher": 1.0, "lower": -1.0, "none": 0.0}[metric.direction]
    return bool((sign * (one - other) > margin).any())


def same(one: Tensor, other: Tensor, error: float = 1e-9) -> None:
    assert one.dtype == other.dtype == torch.float64
    assert one.shape == other.shape
    assert torch.equal(one.isnan(), other.isnan())
    assert torch.allclose(one, other, rtol=0, atol=error, equal_nan=True), (one, other)


# --- what they declare ------------------------------------------------------------------------------------------------


@every
def test_declarations(name: str) -> None:
    metric = metric_of(name)
    assert KEBAB.fullmatch(name)
    assert metric.type_name == name
    assert metric.direction in get_args(Direction)
    assert metric.range[0] < metric.range[1]
    assert metric.takes in get_args(Takes)
    assert metric.truth in get_args(Truth)
    assert metric.at
    assert set(metric.at) <= set(get_args(Resolution))
    assert metric.source.strip()
    assert metric.legacy or not name.endswith("-legacy")
    if metric.best is not None:
        assert metric.range[0] <= metric.best <= metric.range[1]
    for value in metric.empty:
        assert value is None or math.isnan(value) or metric.range[0] <= value <= metric.range[1]
    assert (metric.chance is None) == (metric.chance_level(0.25) is None)
    if metric.chance is not None and re.fullmatch(r"[0-9.]+", metric.chance):
        assert metric.chance_level(0.25) == metric.chance_level(0.5) == float(metric.chance)


@every
def test_documentation_shows_an_example_and_a_source(name: str) -> None:
    cls = METRICS.get(name)
    text = inspect.getdoc(cls) or ""
    assert re.match(r"[A-Z0-9].*", text)
    assert "Source:" in text
    example = re.search(r"::\n\n((?:    .*\n?)+)", text)
    assert example, f"{cls.__name__} must show an example below '::'"
    spec = yaml.safe_load(inspect.cleandoc(example[1]))
    made = cls.from_spec(spec)
    assert cls.from_spec(json.loads(json.dumps(made.to_spec()))) == made
    assert re.match(r"[A-Z].*[.]", (inspect.getmodule(cls).__doc__ or "").splitlines()[0])  # type: ignore[union-attr]


@every
def test_pickles_and_repeats(name: str) -> None:
    metric, map, truth = metric_of(name), random_maps(*SHAPE), off_diagonal()
    again = pickle.loads(pickle.dumps(metric))
    assert again == metric
    kept, marks = map.clone(), truth_of(metric, truth)
    first = score(metric, map, marks)
    same(score(again, map, marks), first, 0.0)
    assert torch.equal(map, kept)
    assert torch.equal(marks, truth_of(metric, truth))


# --- what they score --------------------------------------------------------------------------------------------------


@every
def test_the_truth_scores_best(name: str) -> None:
    metric = metric_of(name)
    for levels in (off_diagonal(), off_diagonal()[::-1].copy(), off_diagonal(9, 30)):
        truth = truth_of(metric, levels)
        found = metric.score(metric.oracle(truth), truth)
        assert found.dtype == torch.float64
        if metric.best is not None:
            same(found, torch.tensor(metric.best, dtype=torch.float64))
        assert metric.range[0] <= float(found) <= metric.range[1]


@every
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_no_map_beats_the_truth(name: str, data: st.DataObject) -> None:
    metric = metric_of(name)
    shape = data.draw(st.tuples(st.integers(3, 9), st.integers(3, 9)))
    levels = data.draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 2)))
    if metric.truth == "levels":
        levels[0, 0] = 2  # scores of levels may take them relative to the greatest there is
    levels[-1, -1] = 0  # truth everywhere makes a constant map, which test_empty_cases speaks of
    map = torch.from_numpy(
        data.draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.6, 0.9, 1.0])))
    )
    truth = truth_of(metric, levels)
    found, best = score(metric, map, truth), metric.score(metric.oracle(truth), truth)
    assert not is_better(metric, found, best, 1e-9)
    assert bool(found.isnan()) or metric.range[0] - 1e-9 <= float(found) <= metric.range[1] + 1e-9


@every
def test_the_inverted_truth_is_no_better_than_chance(name: str) -> None:
    metric = metric_of(name)
    truth = truth_of(metric, off_diagonal())
    oracle = metric.oracle(truth)
    inverted = ~oracle if oracle.dtype == torch.bool else oracle.max() - oracle
    maps = random_maps(100, *SHAPE)
    chance = score(metric, maps, truth.expand(100, *SHAPE))
    assert not is_better(metric, metric.score(inverted, truth), chance.nanmean(), 1e-9)


@every
def test_random_maps_score_the_chance_level(name: str) -> None:
    metric = metric_of(name)
    for rows, share in ((40, 0.125), (40, 0.5)):
        levels = np.zeros((rows, 64), np.uint8)
        levels[:, 64 - int(64 * share) :] = 2
        expected = metric.chance_level(share)
        if expected is None:
            continue
        found = score(metric, random_maps(100, rows, 64), truth_of(metric, levels).expand(100, rows, 64))
        error = 5 * float(found.std()) / 10 + 2e-3
        assert abs(float(found.mean()) - expected) < error, (float(found.mean()), expected)


@every
def test_axes_are_not_swapped(name: str) -> None:
    metric = metric_of(name)
    for seed, levels in enumerate((off_diagonal(), off_diagonal(20, 9))):
        map, truth = random_maps(*levels.shape, seed=seed), truth_of(metric, levels)
        found = score(metric, map, truth)
        if name not in ONE_AXIS_FIRST:
            same(score(metric, map.T.contiguous(), truth.T.contiguous()), found)
        same(score(metric, map.T.contiguous().T, truth.T.contiguous().T), found)  # other strides
    square = truth_of(metric, off_diagonal(17, 17))
    oracle = metric.oracle(square)
    assert not is_better(metric, metric.score(oracle.T.contiguous(), square), metric.score(oracle, square), 1e-9)


@every
def test_a_batch_is_a_loop(name: str) -> None:
    metric = metric_of(name)
    levels = np.stack([np.roll(off_diagonal(), k, axis=1) for k in range(6)])
    levels[4], levels[5] = 0, 2
    maps, truth = random_maps(6, *SHAPE), truth_of(metric, levels)
    maps[3] = (maps[3] * 4).round() / 4  # ties
    found = score(metric, maps.reshape(2, 3, *SHAPE), truth.reshape(2, 3, *SHAPE))
    alone = torch.stack([score(metric, one, marks) for one, marks in zip(maps, truth, strict=True)])
    assert alone.shape == (6,)
    same(found, alone.reshape(2, 3), 1e-12)
    same(score(metric, maps[:1], truth[:1]), alone[:1], 1e-12)


@every
def test_precision_of_maps(name: str) -> None:
    """float32 maps score as the same numbers in float64."""
    metric, levels = metric_of(name), off_diagonal()
    maps = random_maps(3, *SHAPE).to(torch.float32)
    truth = truth_of(metric, levels).expand(3, *SHAPE)
    same(score(metric, maps, truth), score(metric, maps.to(torch.float64), truth), 1e-5)


# --- the joint histogram ----------------------------------------------------------------------------------------------

joint_names = pytest.mark.parametrize("name", [name for name in NAMES if METRICS.get(name).joint])


@joint_names
@pytest.mark.parametrize("levels", [256, None])
def test_the_joint_histogram_says_the_same(name: str, levels: int | None) -> None:
    metric = metric_of(name)
    if levels is None and metric.levels is not None:
        return
    bytes_ = (random_maps(2, 3, *SHAPE) * 255).round().to(torch.uint8)
    bytes_[0, 0] //= 64
    stacked = np.stack([np.roll(off_diagonal(), k, axis=1) for k in range(6)]).reshape(2, 3, *SHAPE)
    stacked[1, 1:] = np.array([0, 2])[:, None, None]
    truth = torch.from_numpy(stacked) == 2
    maps, split = bytes_.to(torch.float64) / 255, metric.split(truth)
    joint = joint_histogram(bytes_ if levels else maps, truth, levels=levels, split=split)
    if metric.takes == "binary":
        threshold = torch.full((2, 3), 0.5, dtype=torch.float64)
        found = metric.from_joint(joint, threshold)  # type: ignore[call-arg]
    else:
        found = metric.from_joint(joint)
    same(found, score(metric, maps, truth))


@joint_names
@pytest.mark.parametrize("levels", [256, None])
def test_streamed_tiles_are_the_whole(name: str, levels: int | None) -> None:
    metric = metric_of(name)
    if levels is None and metric.levels is not None:
        return
    map, truth = random_maps(*SHAPE), truth_of(metric, off_diagonal())
    split = metric.split(truth)

    def tile(top: int, left: int, rows: int, cols: int) -> Any:
        window = slice(top, top + rows), slice(left, left + cols)
        cut = None if split is None else split - torch.tensor([top, left])
        return joint_histogram(map[window], truth[window], levels=levels, split=cut)

    whole = tile(0, 0, *SHAPE)
    parts = [tile(top, left, 5, 6) for top in range(0, SHAPE[0], 5) for left in range(0, SHAPE[1], 6)]
    streamed = parts[0]
    for part in parts[1:]:
        streamed = streamed + part
    kwargs = {"threshold": torch.tensor(0.5, dtype=torch.float64)} if metric.takes == "binary" else {}
    same(metric.from_joint(streamed, **kwargs), metric.from_joint(whole, **kwargs), 1e-12)


# --- empty cases and errors -------------------------------------------------------------------------------------------


@every
def test_empty_cases(name: str) -> None:
    metric = metric_of(name)
    binary = metric.takes == "binary"
    half = shown(metric, random_maps(*SHAPE))
    blank, full = (torch.full(SHAPE, value, dtype=torch.float64) for value in (0.0, 0.75))
    masks = {"blank_map": blank > 0.5 if binary else blank, "constant_map": full > 0.5 if binary else full}
    levels = {"no_truth": np.zeros(SHAPE, np.uint8), "full_truth": np.full(SHAPE, 2, np.uint8)}
    for case, expected in metric.empty._asdict().items():
        map, truth = masks.get(case, half), truth_of(metric, levels.get(case, off_diagonal()))
        found = metric.score(map, truth)
        assert found.dtype == torch.float64
        assert found.shape == ()
        if expected is not None:
            same(found, torch.tensor(expected, dtype=torch.float64), 1e-9)
        else:
            assert bool(found.isfinite()), case


@every
def test_a_map_that_is_not_finite_is_undefined(name: str) -> None:
    metric = metric_of(name)
    if metric.takes == "binary":
        for binarizer in (cls() for _, cls in MAP_BINARIZERS):
            maps = random_maps(2, *SHAPE)
            maps[0, 3, 4] = torch.nan
            assert not binarizer.binarize(maps)[0].any()
        return
    maps, truth = random_maps(4, *SHAPE), truth_of(metric, off_diagonal()).expand(4, *SHAPE)
    expected = score(metric, maps, truth)
    expected[:3] = torch.nan
    maps[0, 3, 4], maps[1, 0, 0], maps[2, -1, -1] = torch.nan, torch.inf, -torch.inf
    same(score(metric, maps, truth), expected, 1e-12)


@every
def test_errors(name: str) -> None:
    metric = metric_of(name)
    map, truth = shown(metric, random_maps(*SHAPE)), truth_of(metric, off_diagonal())
    for other in (map[:-1], map[None], map.T):
        with pytest.raises(InputError, match=r"must have the shape|must have shape"):
            metric.score(other, truth)
    with pytest.raises(InputError, match="must"):
        metric.score(map.to(torch.int64), truth)
    with pytest.raises(InputError, match="must"):
        metric.score(map, truth.to(torch.float64))


# --- CUDA -------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@every
def test_cuda_is_the_cpu(name: str) -> None:
    metric = metric_of(name)
    levels = np.stack([np.roll(off_diagonal(), k, axis=1) for k in range(6)])
    levels[4], levels[5] = 0, 2
    maps, truth = random_maps(6, *SHAPE), truth_of(metric, levels)
    maps[3] = (maps[3] * 4).round() / 4
    found = score(metric, maps.cuda(), truth.cuda())
    assert found.device.type == "cuda"
    same(found.cpu(), score(metric, maps, truth), 1e-9)
    if metric.joint and metric.takes != "binary":
        joint = joint_histogram(maps.cuda(), truth.cuda(), levels=metric.levels, split=metric.split(truth.cuda()))
        same(metric.from_joint(joint).cpu(), score(metric, maps, truth), 1e-9)


# --- binarisers -------------------------------------------------------------------------------------------------------

every_binarizer = pytest.mark.parametrize("name", MAP_BINARIZERS.names())


def binarizer_of(name: str) -> MapBinarizer:
    return MAP_BINARIZERS.get(name)()


@every_binarizer
def test_binarizers_declare(name: str) -> None:
    binarizer, text = binarizer_of(name), inspect.getdoc(MAP_BINARIZERS.get(name)) or ""
    assert KEBAB.fullmatch(name)
    assert binarizer.source.strip()
    assert binarizer.bound.strip()
    assert "Source:" in text
    example = re.search(r"::\n\n((?:    .*\n?)+)", text)
    assert example
    made = MAP_BINARIZERS.get(name).from_spec(yaml.safe_load(inspect.cleandoc(example[1])))
    assert pickle.loads(pickle.dumps(made)) == made


@every_binarizer
def test_binarizers_batch_joint_and_tiles(name: str) -> None:
    binarizer = binarizer_of(name)
    bytes_ = (random_maps(2, 3, *SHAPE) * 255).round().to(torch.uint8)
    bytes_[0, 0] //= 64
    maps, truth = bytes_.to(torch.float64) / 255, random_maps(2, 3, *SHAPE, seed=1) > 0.5
    found = binarizer.threshold(maps)
    alone = torch.stack([binarizer.threshold(map) for map in maps.reshape(6, *SHAPE)]).reshape(2, 3)
    same(found, alone, 1e-12)
    same(binarizer.from_joint(joint_histogram(bytes_, truth)), found)
    same(binarizer.from_joint(joint_histogram(maps, truth, levels=None)), found)
    mask = binarizer.binarize(maps)
    assert mask.dtype == torch.bool
    assert torch.equal(mask, maps > found[..., None, None])
    assert torch.equal(
        binarizer.binarize(maps.float()), maps.float().double() > binarizer.threshold(maps.float())[..., None, None]
    )


@every_binarizer
def test_binarizers_leave_constant_maps_blank(name: str) -> None:
    binarizer = binarizer_of(name)
    for value in (0.0, 0.1, 0.3):
        for dtype in (torch.float32, torch.float64):
            map = torch.full((7, 9), value, dtype=dtype)
            assert not binarizer.binarize(map).any()
            truth = torch.zeros(7, 9, dtype=torch.bool)
            threshold = binarizer.from_joint(joint_histogram(map, truth, levels=None))
            assert not (map.double() > threshold).any()
    assert binarizer.threshold(torch.full((3, 4), torch.nan)).isnan()
