"""Prediction maps and decision rules: against loops over cells, the test vectors of the papers, and what the paper printed."""

from __future__ import annotations

from math import isnan, nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.data.grid import grid_patches
from miso_gen.data.legacy import legacy_overlay
from miso_gen.data.patches import PatchTable
from miso_gen.errors import InputError
from miso_gen.metrics.deciding import DECISIONS, UNDECIDED, decide
from miso_gen.metrics.patch_maps import (
    PredictionMaps,
    evidence,
    legacy_evidence,
    legacy_prediction_maps,
    prediction_maps,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

IMAGE = "made/test/0"
CORRECTED = ("top-k-majority", "all-max", "all-majority", "all-weighted-majority", "caucus-max", "caucus-majority")
LEGACY = tuple(f"{name}-legacy" for name in CORRECTED)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]


def table_of(height: int, width: int, size: int, shift: Any, kept: NDArray[np.bool_] | None = None) -> PatchTable:
    places = grid_patches(height, width, size, shift)
    zeros = np.zeros(len(places))
    table = PatchTable(
        image=np.zeros(len(places), np.int64),
        grid=places.grid,
        i=places.i,
        j=places.j,
        row=places.row,
        col=places.col,
        label=zeros.astype(np.int64),
        object_share=zeros,
        evidence_share=zeros,
        pixel_mean=zeros,
        ids=(IMAGE,),
        scenarios=("made",),
        splits=("test",),
        shapes=((height, width),),
        size=size,
        shift=shift,
        positive=2,
    )
    return table if kept is None else table.where(kept)


def made(pcm: list[list[float]] | NDArray[np.float64]) -> PredictionMaps:
    """Return corrected maps of a PCM."""
    map = torch.tensor(np.asarray(pcm), dtype=torch.float64)
    return PredictionMaps((map >= 0.5).to(torch.float64).where(~map.isnan(), nan), map)


def drawn(seed: int, rows: int, cols: int, kept: float = 0.7) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.where(rng.random((rows, cols)) < kept, rng.integers(0, 9, (rows, cols)) / 8, np.nan)


# --- maps ---------------------------------------------------------------------------------------------------------------


def test_the_vectors_of_one_patch_in_the_released_code() -> None:
    table = table_of(2, 2, 2, "legacy")  # the same patch in both grids
    ppm, _ = legacy_prediction_maps(table, [1.0, 1.0], IMAGE)
    single = [(0, 0), (0, 1), (1, 0), (1, 2), (2, 1), (2, 2)]  # cells that one of the grids covers with a patch
    assert ppm.shape == (5, 5)
    assert ppm[1, 1] == 0.5
    assert [ppm[place].item() for place in ((1, 2), (2, 1), (2, 2))] == [-0.25, -0.25, -0.25]
    assert ppm.count_nonzero() == 4
    _, pcm = legacy_prediction_maps(table, [0.9, 0.9], IMAGE)
    assert pcm[1, 1].item() == pytest.approx(0.9)
    assert [pcm[place].item() for place in single] == pytest.approx([0.225] * 6)
    assert pcm.count_nonzero() == 7
    ppm, _ = legacy_prediction_maps(table, [0.0, 0.0], IMAGE)
    assert [ppm[place].item() for place in ((0, 0), (0, 1), (1, 0))] == [-0.25] * 3
    assert [ppm[place].item() for place in ((1, 1), (1, 2), (2, 1), (2, 2))] == [-0.5] * 4
    assert ppm.count_nonzero() == 7


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [(1.0, 1.0, 0.5), (0.0, 0.0, -0.5), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, None, -0.25), (0.0, None, -0.5)],
)
def test_what_two_patches_leave_in_the_released_ppm(first: float, second: float | None, wanted: float) -> None:
    # 2 x 2 patches a grid: cell (2, 2) is patch (1, 1) of grid 0 and patch (0, 0) of grid 1
    table = table_of(4, 4, 2, "legacy")
    mine = ((table.grid == 0) & (table.i == 1) & (table.j == 1), (table.grid == 1) & (table.i == 0) & (table.j == 0))
    values = np.where(mine[0], first, np.where(mine[1], second or 0.0, 0.5))
    kept = np.ones(len(table), bool) if second is not None else ~mine[1]
    ppm, _ = legacy_prediction_maps(table.where(kept), values[kept], IMAGE)
    assert ppm[2, 2] == wanted


def test_a_perfect_classifier_of_an_ellipse_in_the_released_code() -> None:
    side, size = 3000, 96
    y, x = np.ogrid[:side, :side]
    inside = (y - side / 2) ** 2 + (x - side / 2) ** 2 <= 900.0**2  # two patches have a share of 0.097, almost kept
    counts = {"legacy": (1119, 1121, 1249, 0.944, 0.998, 0.958, 0.031), "half": (1141, None, None, 0.953, None, None, 0.027)}
    for shift, (hot_cells, cold_cells, predicted, dice, sensitivity, specificity, difference) in counts.items():
        table = table_of(side, side, size, shift)
        share = np.array([inside[r : r + size, c : c + size].mean() for r, c in zip(table.row, table.col, strict=True)])
        for label in (1, 0):
            mean = (1 + share) / 2 if label else (1 - share) / 2
            kept = np.abs(mean - 0.5) >= 0.05
            part = table.where(kept)
            truth = legacy_overlay(part, mean[kept], IMAGE)
            target = truth > 0.5 if label else (truth >= 0) & (truth < 0.5)
            mask, _ = legacy_evidence(legacy_prediction_maps(part, np.full(len(part), float(label)), IMAGE), label)
            found = mask.numpy()
            assert found.shape == (65, 65)
            tp = int((found & target).sum())
            if label:
                assert (found == target).all()
                assert target.sum() == hot_cells
                continue
            assert 2 * tp / (found.sum() + target.sum()) == pytest.approx(dice, abs=5e-4)
            assert (found ^ target).mean() == pytest.approx(difference, abs=5e-4)
            if shift == "legacy":
                assert (target.sum(), found.sum()) == (cold_cells, predicted)
                assert tp / target.sum() == pytest.approx(sensitivity, abs=5e-4)
                assert 1 - (found & ~target).sum() / (~target).sum() == pytest.approx(specificity, abs=5e-4)


@given(st.integers(0, 1000))
def test_corrected_maps_are_means_and_votes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    full = table_of(11, 9, 2, "half")
    table = full.where(rng.random(len(full)) < 0.6)
    one = rng.integers(0, 9, len(table)) / 8
    ppm, pcm = prediction_maps(table, one, IMAGE)
    mask, map = evidence(PredictionMaps(ppm, pcm), 0)
    assert ppm.shape == (11, 9)
    for y in range(11):
        for x in range(9):
            over = [p for p, r, c in zip(one, table.row, table.col, strict=True) if r <= y < r + 2 and c <= x < c + 2]
            if not over:
                assert ppm[y, x].isnan()
                assert pcm[y, x].isnan()
                assert (mask[y, x].item(), map[y, x].item()) == (False, 0.0)
                continue
            assert pcm[y, x].item() == pytest.approx(np.mean(over))
            votes = [p >= 0.5 for p in over]
            surest = max(over, key=lambda p: (abs(p - 0.5), p))  # of two that are as sure, class 1
            assert ppm[y, x].item() == float(votes[0] if len(set(votes)) == 1 else surest >= 0.5)
            assert mask[y, x].item() == (ppm[y, x].item() == 0)
            assert map[y, x].item() == pytest.approx(1 - np.mean(over))


def test_evidence_for_class_1_is_the_map_itself() -> None:
    mask, map = evidence(made([[0.75, 0.25, nan]]), 1)
    assert mask.tolist() == [[True, False, False]]
    assert map.tolist() == [[0.75, 0.25, 0.0]]
    legacy = PredictionMaps(torch.tensor([[0.5, -0.25, -0.0]]), torch.tensor([[0.75, -0.25, 0.0]]))
    assert [part.tolist() for part in legacy_evidence(legacy, 1)] == [[[True, False, False]], [[0.75, 0.0, 0.0]]]
    assert [part.tolist() for part in legacy_evidence(legacy, 0)] == [[[False, True, False]], [[0.0, 0.25, 0.0]]]


# --- rules, literally ---------------------------------------------------------------------------------------------------


def cut(map: NDArray[np.float64], size: int) -> list[list[float]]:
    """Return the cells of each block, with nan where the map ends."""
    rows, cols = map.shape
    return [
        [float(map[y, x]) if y < rows and x < cols else nan for y in range(top, top + size) for x in range(left, left + size)]
        for top in range(0, rows, size)
        for left in range(0, cols, size)
    ]


def literal(name: str, pcm: NDArray[np.float64], k: int = 20, block: int = 10) -> float:
    cells = [float(p) for p in pcm.flat if not isnan(p)]
    if not cells:
        return nan
    groups = [[p for p in group if not isnan(p)] for group in cut(pcm, block)]
    groups = [group for group in groups if group]
    if name == "top-k-majority":
        order = sorted(cells, key=lambda p: -max(p, 1 - p))
        least = max(order[: k + 1][min(k, len(order)) - 1], 1 - order[min(k, len(order)) - 1])
        above = [p for p in cells if max(p, 1 - p) > least]
        level = [p for p in cells if max(p, 1 - p) == least]
        places = min(k, len(cells)) - len(above)
        return (sum(above) + places * sum(level) / len(level)) / min(k, len(cells))
    if name == "all-max":
        return max(cells)
    if name == "all-majority":
        return sum(cells) / len(cells)
    if name == "all-weighted-majority":
        return sum(p for p in cells if p >= 0.5) / sum(max(p, 1 - p) for p in cells)
    if name == "caucus-max":
        return sum(max(group) for group in groups) / len(groups)
    return sum(sum(group) / len(group) for group in groups) / len(groups)


@pytest.mark.parametrize("name", CORRECTED)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 24), cols=st.integers(1, 24), kept=st.sampled_from([0.0, 0.1, 0.7, 1.0]))
def test_rules_over_covered_cells(name: str, seed: int, rows: int, cols: int, kept: float) -> None:
    pcm = drawn(seed, rows, cols, kept)
    found = DECISIONS.get(name)().probability(made(pcm))
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(literal(name, pcm), abs=1e-12, nan_ok=True)
    assert isnan(found.item()) or 0 <= found.item() <= 1


@pytest.mark.parametrize(
    ("name", "fields"), [("top-k-majority", {"k": 3}), ("caucus-max", {"block": 4}), ("caucus-majority", {"block": 4})]
)
def test_rules_with_other_numbers(name: str, fields: dict[str, int]) -> None:
    rule = DECISIONS.get(name)
    for seed in range(20):
        pcm = drawn(seed, 9, 13)
        assert rule(**fields).probability(made(pcm)).item() == pytest.approx(literal(name, pcm, **fields), abs=1e-12)


def released(ppm: NDArray[np.float64], pcm: NDArray[np.float64]) -> list[float]:
    """Return the six rules one after the other, on one map that the first changes."""
    order = np.argsort(-np.abs(pcm), axis=None, kind="stable")[:20]
    shared = pcm.copy()
    shared[shared < 0] = 1 + shared[shared < 0]
    found = [float(np.mean([shared.flat[place] for place in order]))]
    found.append(float(shared.max()))
    found.append(float(shared.sum() / shared.size))
    found.append(sum(float(a * b) for a, b in zip(ppm.flat, shared.flat, strict=True)) / shared.size)
    filled = [[0.0 if isnan(p) else p for p in group] for group in cut(shared, 10)]
    found.append(float(np.mean([max(group) for group in filled])))
    found.append(float(np.mean([sum(group) / 100 for group in filled])))
    return found


@given(st.integers(0, 1000), st.integers(2, 30), st.integers(2, 30), st.sampled_from(["half", "legacy"]))
def test_rules_of_the_released_code(seed: int, height: int, width: int, shift: Any) -> None:
    rng = np.random.default_rng(seed)
    full = table_of(height, width, 2, shift)
    table = full.where(rng.random(len(full)) < 0.7)
    maps = legacy_prediction_maps(table, rng.random(len(table)), IMAGE)
    before = maps.pcm.clone()
    found = [DECISIONS.get(name)().probability(maps).item() for name in LEGACY]
    assert found == pytest.approx(released(maps.ppm.numpy(), maps.pcm.numpy()), abs=1e-12)
    assert torch.equal(maps.pcm, before)


def disc(shift: Any, label: int, radius: float = 40.0, side: int = 120, size: int = 4) -> tuple[PatchTable, NDArray[np.float64]]:
    """Return the patches that show a disc, and a perfect classifier's probabilities."""
    table = table_of(side, side, size, shift)
    y, x = (np.asarray(places) + size / 2 - side / 2 for places in (table.row, table.col))
    part = table.where(y**2 + x**2 < radius**2)
    return part, np.full(len(part), float(label))


def test_a_perfect_classifier_is_right_by_every_rule() -> None:
    for label in (0, 1):
        maps = prediction_maps(*disc("half", label), IMAGE)
        for name in CORRECTED:
            assert DECISIONS.get(name)().probability(maps).item() == label


def test_the_released_rules_are_wrong_about_a_perfect_classifier() -> None:
    decided = {
        label: [
            decide(DECISIONS.get(name)().probability(legacy_prediction_maps(*disc("legacy", label, 30.0), IMAGE)))
            for name in LEGACY
        ]
        for label in (0, 1)
    }
    assert [int(found) for found in decided[0]] == [0, 1, 0, 0, 0, 0]  # the fringe of a cold object reads 0.75
    assert [int(found) for found in decided[1]] == [1, 1, 0, 0, 0, 0]  # background votes for class 0


# --- cases --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CORRECTED)
def test_images_of_different_sizes_make_a_batch(name: str, device: str) -> None:
    sizes = [(7, 12), (23, 4), (11, 11)]
    maps = [made(drawn(seed, *size)) for seed, size in enumerate(sizes)]
    padded = [PredictionMaps(*(pad(part, 23, 12).to(device) for part in each)) for each in maps]
    batch = PredictionMaps(torch.stack([each.ppm for each in padded]), torch.stack([each.pcm for each in padded]))
    rule = DECISIONS.get(name)()
    found = rule.probability(PredictionMaps(batch.ppm.reshape(3, 1, 23, 12), batch.pcm.reshape(3, 1, 23, 12)))
    assert found.shape == (3, 1)
    assert found.device.type == device
    assert found.flatten().tolist() == pytest.approx([rule.probability(each).item() for each in maps], abs=1e-12)


def pad(map: torch.Tensor, rows: int, cols: int) -> torch.Tensor:
    return torch.nn.functional.pad(map, (0, cols - map.shape[1], 0, rows - map.shape[0]), value=nan)


@pytest.mark.parametrize("name", LEGACY)
def test_a_batch_of_released_maps_is_a_loop(name: str) -> None:
    rng = np.random.default_rng(0)
    table = table_of(14, 20, 2, "legacy")
    maps = [legacy_prediction_maps(table, rng.random(len(table)), IMAGE) for _ in range(3)]
    rule = DECISIONS.get(name)()
    batch = PredictionMaps(torch.stack([each.ppm for each in maps]), torch.stack([each.pcm for each in maps]))
    assert rule.probability(batch).tolist() == pytest.approx([rule.probability(each).item() for each in maps], abs=1e-12)


@pytest.mark.parametrize("name", CORRECTED[:4])
@given(seed=st.integers(0, 1000))
def test_where_a_cell_lies_does_not_matter(name: str, seed: int) -> None:
    pcm = drawn(seed, 8, 13)
    rule = DECISIONS.get(name)(**({"k": 5} if name.startswith("top") else {}))
    wanted = rule.probability(made(pcm)).item()
    for other in (pcm[::-1], pcm[:, ::-1], pcm.T):
        assert rule.probability(made(other.copy())).item() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("name", [*CORRECTED, *LEGACY])
def test_rules_declare_and_take_spec(name: str) -> None:
    rule = DECISIONS.get(name)
    assert rule.legacy == name.endswith("-legacy")
    assert rule.source.startswith("MISO, rule ")
    assert rule.from_spec(rule().to_spec()) == rule()
    assert DECISIONS.names() == tuple(sorted((*CORRECTED, *LEGACY)))


def test_deciding() -> None:
    assert decide(torch.tensor([0.0, 0.4999, 0.5, 1.0, nan])).tolist() == [0, 0, 1, 1, UNDECIDED]


SIGNED = PredictionMaps(torch.tensor([[-0.5, 0.5]]), torch.tensor([[-0.9, 0.9]]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DECISIONS.get("all-max")().probability(SIGNED), r"pcm must hold probabilities in \[0, 1\]"),
        (lambda: DECISIONS.get("all-max-legacy")().probability(made([[nan, 1.0]])), r"pcm must be the signed map"),
        (
            lambda: DECISIONS.get("all-max")().probability(PredictionMaps(torch.ones(2, 2), torch.ones(2, 3))),
            "must have one shape",
        ),
        (
            lambda: DECISIONS.get("all-max")().probability(PredictionMaps(torch.ones(0, 2), torch.ones(0, 2))),
            "must have one shape",
        ),
        (lambda: prediction_maps(table_of(2, 2, 2, "none"), [1.5], IMAGE), r"probability must be in \[0, 1\], got 1\.5 to 1\.5"),
        (lambda: legacy_prediction_maps(table_of(2, 2, 2, "none"), [nan], IMAGE), r"probability must be in \[0, 1\]"),
        (lambda: evidence(made([[1.0]]), 2), "label must be 0 or 1, got 2"),
        (lambda: legacy_evidence(SIGNED, -1), "label must be 0 or 1, got -1"),
    ],
)
def test_what_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
