"""Scores by object: against loops over objects and pixels."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import recall_score

from miso_gen.errors import InputError
from miso_gen.metrics.interfaces import METRICS
from miso_gen.metrics.objects import evidence_instances, objects, pointed
from miso_gen.metrics.scores.object_energy import object_energy, object_shares
from miso_gen.metrics.scores.object_pointing_game import object_pointing_game
from miso_gen.metrics.scores.object_recall import object_coverage, object_recall
from miso_gen.metrics.scores.relevance_mass import relevance_mass

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 12))


def drawn(seed: int, shape: tuple[int, ...], high: int = 4) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, high, shape) * (rng.random(shape) < 0.6))


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=SHAPES,
    dtype=st.sampled_from([torch.uint8, torch.uint16, torch.int32, torch.int64, torch.uint32]),
    factor=st.sampled_from([1, 60]),
)
def test_objects_are_those_of_pixels(seed: int, shape: tuple[int, int], dtype: torch.dtype, factor: int) -> None:
    instances = drawn(seed, (2, *shape)) * factor
    found = objects(instances.to(dtype))
    wanted = [
        (number, id, int((plane == id).sum()))
        for number, plane in enumerate(instances)
        for id in sorted(set(plane.flatten().tolist()) - {0})
    ]
    assert list(zip(found.map.tolist(), found.id.tolist(), found.area.tolist(), strict=True)) == wanted
    values = torch.from_numpy(np.random.default_rng(seed).random((2, *shape)))
    sums = [float(values[number][instances[number] == id].sum()) for number, id, _ in wanted]
    assert found.sums(values).tolist() == pytest.approx(sums)
    assert found.counts().tolist() == [len(set(plane.flatten().tolist()) - {0}) for plane in instances]


def test_great_ids_are_numbered_anew() -> None:
    instances = torch.zeros(2, 3, 4, dtype=torch.int64)
    instances[0, 0, 0], instances[0, 2, 3], instances[1, 1, 1] = 2**40, 7, 2**40
    found = objects(instances)
    assert found.map.tolist() == [0, 0, 1]
    assert found.id.tolist() == [7, 2**40, 2**40]
    assert found.area.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("instances", "match"),
    [
        (torch.full((2, 3), -1), "from 0"),
        (torch.zeros(2, 3), "whole numbers"),
        (torch.zeros(2, 3, dtype=torch.bool), "whole numbers"),
        (torch.zeros(0, 3, dtype=torch.uint8), "pixel"),
    ],
)
def test_what_no_instances_are(instances: torch.Tensor, match: str) -> None:
    with pytest.raises(InputError, match=match):
        objects(instances)


# --- recall -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES, min_share=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_recall_is_that_of_a_loop(seed: int, shape: tuple[int, int], min_share: float) -> None:
    instances = drawn(seed, shape)
    mask = torch.from_numpy(np.random.default_rng(seed + 1).random(shape) < 0.5)
    hits = []
    for id in set(instances.flatten().tolist()) - {0}:
        inside = mask[instances == id].tolist()
        hits.append(any(inside) and sum(inside) / len(inside) >= min_share)
    found = float(object_recall(mask, instances, min_share))
    assert isnan(found) if not hits else found == sum(hits) / len(hits)


def test_coverage_is_the_recall_of_each_object() -> None:
    instances = drawn(5, (9, 14))
    mask = torch.from_numpy(np.random.default_rng(6).random((9, 14)) < 0.5)
    found, covered = object_coverage(mask, instances)
    for id, share in zip(found.id.tolist(), covered.tolist(), strict=True):
        place = (instances == id).flatten().numpy()
        assert share == pytest.approx(recall_score(place[place], mask.flatten().numpy()[place]))


def test_a_small_object_counts_as_a_large_one() -> None:
    instances = torch.zeros(6, 10, dtype=torch.uint8)
    instances[:, :5], instances[0, 8] = 1, 9
    assert float(object_recall(instances == 1, instances)) == 0.5
    assert float(object_recall(instances == 9, instances)) == 0.5
    half = instances == 1
    half[:3] = False
    assert float(object_recall(half, instances)) == 0.5
    assert float(object_recall(half, instances, 0.51)) == 0.0


# --- energy -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES)
def test_energy_is_that_of_a_loop(seed: int, shape: tuple[int, int]) -> None:
    instances = drawn(seed, shape)
    map = torch.from_numpy(np.random.default_rng(seed + 1).random(shape))
    every, total = map.sum(), int((instances > 0).sum())
    parts = [
        min(float(map[instances == id].sum() / every), int((instances == id).sum()) / total)
        for id in set(instances.flatten().tolist()) - {0}
    ]
    found = float(object_energy(map, instances))
    assert found == pytest.approx(sum(parts)) if parts else isnan(found)


def test_energy_of_one_object_is_the_relevance_mass() -> None:
    instances = drawn(3, (4, 7, 9), high=2)
    map = torch.from_numpy(np.random.default_rng(4).random((4, 7, 9)))
    assert torch.allclose(object_energy(map, instances), relevance_mass(map, instances > 0), rtol=0, atol=1e-12)
    shares = object_shares(map, instances)[1]
    assert torch.allclose(shares, relevance_mass(map, instances > 0), rtol=0, atol=1e-12)


def test_one_object_makes_up_for_no_other() -> None:
    instances = torch.zeros(5, 8, dtype=torch.int64)
    instances[:2, :3], instances[4, 5:7] = 1, 2
    assert float(object_energy((instances > 0).double(), instances)) == pytest.approx(1.0)
    assert float(object_energy((instances == 1).double(), instances)) == pytest.approx(6 / 8)
    assert float(object_energy((instances == 2).double(), instances)) == pytest.approx(2 / 8)
    assert isnan(float(object_energy(torch.zeros(5, 8), instances)))
    assert isnan(float(object_energy((instances > 0).double() - 0.1, instances)))
    assert isnan(float(object_energy(torch.full((5, 8), nan), instances)))
    assert object_energy(torch.ones(5, 8), torch.zeros_like(instances)).dtype == torch.float64


# --- pointing ---------------------------------------------------------------------------------------------------------


def test_pointing_at_each_of_two_objects() -> None:
    instances = torch.zeros(12, 30, dtype=torch.uint8)
    instances[2:5, 2:6], instances[7:11, 22:27] = 1, 2
    map = torch.zeros(12, 30)
    map[3, 3], map[8, 24], map[1, 14] = 0.9, 0.8, 0.7
    assert float(object_pointing_game(map, instances, 3)) == 1.0
    map[1, 14] = 0.85
    assert float(object_pointing_game(map, instances, 3)) == 0.5  # two marks for two objects, the second one beside them
    map[1, 14] = 1.0
    map[8, 24] = 0.0
    assert float(object_pointing_game(map, instances, 3)) == 0.5
    map[3, 3] = 0.0
    assert float(object_pointing_game(map, instances, 3)) == 0.0
    assert float(object_pointing_game(torch.ones(12, 30), instances, 3)) == 0.0
    twice = torch.zeros(12, 30)
    twice[8, 22], twice[8, 26] = 0.9, 0.8
    assert float(object_pointing_game(twice, instances, 3)) == 0.5  # the same object twice


def test_pointing_of_batches_and_empties() -> None:
    map = torch.from_numpy(np.random.default_rng(7).random((2, 3, 20, 31)).astype(np.float32))
    instances = drawn(8, (2, 3, 20, 31))
    instances[0, 1] = 0
    map[1, 2, 4, 4] = nan
    for score in (object_pointing_game, object_energy):
        found = score(map, instances)
        loop = [score(*pair) for pair in zip(map.flatten(0, 1), instances.flatten(0, 1), strict=True)]
        assert torch.equal(found.flatten(0, 1).nan_to_num(9), torch.stack(loop).nan_to_num(9))
        assert found.isnan().tolist() == [[False, True, False], [False, False, True]]


def test_oracle_points_at_every_object() -> None:
    instances = torch.zeros(2, 30, 44, dtype=torch.int64)
    instances[0, 3:9, 4:9], instances[0, 20:29, 30:40], instances[1, 12, 12:30] = 3, 1, 2
    map = pointed(instances)
    assert map[0].unique().tolist() == [0.0, 0.5, 1.0]
    assert map[0, 3, 4] == map[0, 20, 30] == map[1, 12, 12] == 1.0
    assert int((map == 1).sum()) == 3
    assert torch.equal(map > 0, instances > 0)
    for name in ("object-pointing-game", "froc"):
        metric = METRICS.get(name)()
        assert metric.score(metric.oracle(instances), instances).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.uint32, torch.int32])
def test_scores_of_every_type_of_instances(dtype: torch.dtype) -> None:
    map, instances = torch.from_numpy(np.random.default_rng(12).random((2, 9, 17))), drawn(13, (2, 9, 17))
    for name in ("object-energy", "object-pointing-game", "froc", "object-recall"):
        metric = METRICS.get(name)()
        shown = map > 0.5 if metric.takes == "binary" else map
        assert torch.equal(metric.score(shown, instances.to(dtype)), metric.score(shown, instances))
        assert torch.equal(metric.oracle(instances.to(dtype)), metric.oracle(instances))
    levels = torch.from_numpy(np.random.default_rng(14).integers(0, 3, (2, 9, 17)))
    assert torch.equal(evidence_instances(instances.to(dtype), levels).to(torch.int64), evidence_instances(instances, levels))


def test_evidence_instances() -> None:
    instances, levels = torch.tensor([[1, 1, 2, 0]]), torch.tensor([[1, 2, 1, 0]])
    assert evidence_instances(instances, levels).tolist() == [[0, 1, 0, 0]]
    assert evidence_instances(instances, levels, 1).tolist() == [[1, 1, 2, 0]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_cuda_equals_cpu() -> None:
    map = torch.from_numpy(np.random.default_rng(9).random((3, 40, 50)))
    instances = drawn(10, (3, 40, 50))
    for name in ("object-energy", "object-pointing-game", "froc"):
        metric = METRICS.get(name)()
        assert torch.allclose(metric.score(map, instances), metric.score(map.cuda(), instances.cuda()).cpu())
    assert torch.equal(object_recall(map > 0.5, instances), object_recall(map.cuda() > 0.5, instances.cuda()).cpu())
