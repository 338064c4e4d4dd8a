"""Mean absolute error, relevance mass, relevance rank, top-k intersection, pointing game: against their definitions."""

from __future__ import annotations

from itertools import pairwise, permutations
from math import hypot, isnan, nan

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from miso_gen.metrics import top
from miso_gen.metrics.scores.mae import mae
from miso_gen.metrics.scores.pointing_game import pointing_game
from miso_gen.metrics.scores.relevance_mass import relevance_mass
from miso_gen.metrics.scores.relevance_rank import RelevanceRank, relevance_rank
from miso_gen.metrics.scores.top_k_intersection import TopKIntersection, top_k_intersection


@st.composite
def maps(draw: st.DrawFn, least: float = -3.0) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8))
    values = st.sampled_from([value for value in (-3.0, -0.25, 0.0, 0.1, 0.5, 0.75, 1.0, 40.0) if value >= least])
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return draw(hnp.arrays(dtype, shape, elements=values)), draw(hnp.arrays(bool, shape))


def tensors(drawn: tuple[np.ndarray, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(drawn[0]), torch.from_numpy(drawn[1])


@given(maps())
def test_mae(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    map, truth = drawn
    expected = sum(abs(float(a) - float(b)) for a, b in zip(map.flat, truth.flat, strict=True)) / map.size
    assert float(mae(*tensors(drawn))) == pytest.approx(expected, abs=1e-12)
    target = torch.from_numpy(truth * 0.3)
    expected = float(np.abs(map.astype(np.float64) - truth * 0.3).mean())
    assert float(mae(torch.from_numpy(map), target)) == pytest.approx(expected, abs=1e-12)


@given(maps(least=0.0))
def test_relevance_mass(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    map, truth = drawn[0].astype(np.float64), drawn[1]
    expected = map[truth].sum() / map.sum() if map.sum() and truth.any() else nan
    assert float(relevance_mass(*tensors(drawn))) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_relevance_mass_of_negative_values_is_undefined() -> None:
    map, truth = torch.tensor([[2.0, -1.0], [3.0, 0.5]]), torch.tensor([[True, False], [False, False]])
    assert isnan(float(relevance_mass(map, truth)))
    assert float(relevance_mass(map.abs(), truth)) == pytest.approx(2 / 6.5)


def expected_hits(values: list[float], marks: list[bool], k: int) -> float:
    """Return the mean share of evidence among the first k pixels, over every order of pixels of the same value."""
    orders = permutations(range(len(values)))
    sorted_ones = [order for order in orders if all(values[a] >= values[b] for a, b in pairwise(order))]
    return sum(sum(marks[pixel] for pixel in order[:k]) / k for order in sorted_ones) / len(sorted_ones)


@given(st.data())
def test_the_highest_pixels_with_ties(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(1, 3), (2, 3), (1, 5), (2, 2)]))
    map = data.draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([-1.0, 0.0, 0.5])))
    truth = data.draw(hnp.arrays(bool, shape))
    values, marks = map.ravel().tolist(), truth.ravel().tolist()
    pair = tensors((map, truth))
    number = sum(marks)
    expected = expected_hits(values, marks, number) if number else nan
    assert float(relevance_rank(*pair)) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    for k in (1, 2, 4, 100):
        expected = expected_hits(values, marks, min(k, map.size)) if number else nan
        assert float(top_k_intersection(*pair, k)) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_the_highest_pixels_without_ties() -> None:
    rng = np.random.default_rng(0)
    map, truth = rng.random((4, 30, 41)), rng.random((4, 30, 41)) < 0.3
    for number in range(4):
        order = np.argsort(-map[number].ravel())
        marks = truth[number].ravel()
        pair = tensors((map, truth))
        assert float(relevance_rank(*pair)[number]) == pytest.approx(marks[order[: marks.sum()]].mean())
        assert float(TopKIntersection(k=77).score(*pair)[number]) == pytest.approx(marks[order[:77]].mean())
    assert RelevanceRank().score(*tensors((map, truth))).shape == (4,)


def literal_pointing(map: np.ndarray, truth: np.ndarray, tolerance: float) -> list[bool]:
    """Return for each highest pixel, in reading order, whether any evidence is near."""
    evidence = np.argwhere(truth).tolist()
    return [any(hypot(a - c, b - d) <= tolerance for c, d in evidence) for a, b in np.argwhere(map == map.max()).tolist()]


@given(maps(), st.sampled_from([0.0, 0.9, 1.0, 1.4, 1.5, 2.0, 3.0, 5.0, 100.0]))
def test_pointing_game(drawn: tuple[np.ndarray, np.ndarray], tolerance: float) -> None:
    hits = literal_pointing(*drawn, tolerance)
    known = drawn[1].any()
    share, first, some = (float(pointing_game(*tensors(drawn), tolerance, ties)) for ties in ("share", "first", "any"))
    assert share == pytest.approx(sum(hits) / len(hits) if known else nan, nan_ok=True)
    assert first == pytest.approx(float(hits[0]) if known else nan, nan_ok=True)
    assert some == pytest.approx(float(any(hits)) if known else nan, nan_ok=True)


def test_pointing_game_counts_pixels_between_centres() -> None:
    map, truth = torch.zeros(9, 9), torch.zeros(9, 9, dtype=torch.bool)
    map[1, 1], truth[4, 5] = 1.0, True  # 3 down, 4 to the right
    assert float(pointing_game(map, truth, 4.99)) == 0.0
    assert float(pointing_game(map, truth, 5.0)) == 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("kind", ["uniform", "steps", "constant", "peak", "blocks"])
def test_a_rank_among_many_pixels(kind: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sample says of the place of a rank changes the way, not the value."""
    rng, size = np.random.default_rng(2), 20_000
    values = {
        "uniform": rng.random(size),
        "steps": rng.integers(0, 4, size) / 4,
        "constant": np.full(size, 0.3),
        "peak": np.where(np.arange(size) % 997 == 5, 1.0, rng.random(size) * 0.01),
        "blocks": np.repeat(rng.random(size // 100), 100) * np.tile([1, 0.5], size // 2),  # a sample sees every second pixel
    }[kind]
    flat = torch.from_numpy(values).to(dtype)[None]
    expected = flat[0].sort(descending=True).values
    for sample, margin in ((1 << 30, 1), (1000, 30), (1000, 0), (100, 2)):
        monkeypatch.setattr(top, "_SAMPLE", sample)
        monkeypatch.setattr(top, "_MARGIN", margin)
        for k in (1, 2, 20, 500, 10_000, 19_990, size):
            assert top.kth_highest(flat, torch.tensor([k])) == expected[k - 1], (sample, k)
