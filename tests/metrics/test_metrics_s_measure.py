"""S-measure: the definition, written out, and the values of PySODMetrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from salient import CASES, drawn

from miso_gen.errors import InputError, RecipeError
from miso_gen.metrics import METRICS, joint_histogram, planes
from miso_gen.metrics import moments as moments_module
from miso_gen.metrics.moments import moments, moments_of
from miso_gen.metrics.scores.s_measure import s_measure

LEVELS = [0.0, 0.125, 0.25, 0.5, 0.75, 1.0]  # sums of these are exact: what is constant is so to the last bit
CENTRE = torch.zeros(6, 6, dtype=torch.bool)
CENTRE[2:4, 2:4] = True


def alike_objects(values: np.ndarray) -> float:
    mean = values.mean()
    std = values.std(ddof=1) if values.size > 1 else 0.0
    return 2 * mean / (mean**2 + 1 + std)


def alike_regions(x: np.ndarray, y: np.ndarray) -> float:
    one_less = max(x.size - 1, 1)
    sxx, syy = ((part - part.mean()) @ (part - part.mean()) / one_less for part in (x, y))
    sxy = (x - x.mean()) @ (y - y.mean()) / one_less
    upper, lower = 4 * x.mean() * y.mean() * sxy, (x.mean() ** 2 + y.mean() ** 2) * (sxx + syy)
    return upper / lower if upper else float(lower == 0)


def literal(map: np.ndarray, truth: np.ndarray, alpha: float, later: int) -> float:
    share = truth.mean()
    if share == 0:
        return np.nan
    if share == 1:
        return map.mean()
    objects = share * alike_objects(map[truth]) + (1 - share) * alike_objects(1 - map[~truth])
    row, col = (int(np.round(axis.mean())) + later for axis in np.nonzero(truth))
    regions = 0.0
    for rows in (slice(0, row), slice(row, None)):
        for cols in (slice(0, col), slice(col, None)):
            x, y = map[rows, cols].ravel(), truth[rows, cols].astype(float).ravel()
            if x.size:
                regions += x.size / map.size * alike_regions(x, y)
    return max(0.0, alpha * objects + (1 - alpha) * regions)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_is_the_definition(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    map = data.draw(hnp.arrays(np.float64, shape, elements=st.sampled_from(LEVELS)))
    truth = data.draw(hnp.arrays(np.bool_, shape))
    alpha = data.draw(st.sampled_from([0.5, 0.0, 1.0, 0.3]))
    for centre, later in (("lower-right", 0), ("upper-left", 1)):
        found = s_measure(torch.from_numpy(map), torch.from_numpy(truth), alpha, centre)  # type: ignore[arg-type]
        assert float(found) == pytest.approx(literal(map, truth, alpha, later), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("map", "expected", "objects", "regions"),
    [
        (CENTRE * 1.0, 1.0, 1.0, 1.0),
        (CENTRE * 0.0, 0.722222, 0.888889, 0.555556),
        (CENTRE * 0.5, 0.908889, 0.977778, 0.84),
        (torch.ones(6, 6), 0.333333, None, None),
        (torch.full((6, 6), 0.3), 0.725958, None, None),
    ],
)
def test_vectors(map: torch.Tensor, expected: float, objects: float | None, regions: float | None) -> None:
    for alpha, value in ((0.5, expected), (1.0, objects), (0.0, regions)):
        if value is not None:
            assert float(s_measure(map.to(torch.float64), CENTRE, alpha)) == pytest.approx(value, abs=1e-6)


def test_an_empty_quadrant_counts_nothing_and_is_undefined_in_legacy() -> None:
    truth = torch.zeros(5, 6, dtype=torch.bool)
    truth[0, 0] = True
    map, legacy = truth.to(torch.float64), METRICS.get("s-measure-legacy")()
    assert float(s_measure(map, truth)) == pytest.approx(1.0)
    assert legacy.score(map, truth).isnan()
    assert float(legacy.score(map, CENTRE[:5])) == pytest.approx(float(s_measure(map, CENTRE[:5])))
    assert float(legacy.score(map, torch.zeros_like(truth))) == pytest.approx(29 / 30)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["seed"]))
def test_values_of_pysodmetrics(case: dict[str, Any]) -> None:
    map, truth = drawn(case["seed"], case["rows"], case["cols"])
    for alpha, name in ((0.5, "s-measure"), (0.7, "s-measure alpha 0.7")):
        metric = METRICS.get("s-measure").from_spec({"alpha": alpha, "centre": "upper-left"})
        joint = joint_histogram(map, truth, split=metric.split(truth))
        assert float(metric.from_joint(joint)) == pytest.approx(case[name], abs=1e-9)
        assert float(metric.score(map.to(torch.float64) / 255, truth)) == pytest.approx(case[name], abs=1e-9)


@pytest.mark.parametrize("cut", [(0, 0), (5, 0), (70, 90), (31, 44), (99, 99)])
def test_strips_matrices_and_histograms_agree(cut: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The three ways to count have one result; the second one is that of CUDA."""
    generator = torch.Generator().manual_seed(1)
    map = (torch.rand(2, 70, 90, dtype=torch.float64, generator=generator) * 255).round() / 255
    map[1] = 0.3
    truth, split = torch.rand(2, 70, 90, generator=generator) > 0.6, torch.tensor(cut)
    together = moments(map, truth, split)
    monkeypatch.setattr(moments_module, "_LARGE", 1)
    monkeypatch.setattr(planes, "_STRIP", 200)
    apart = moments(map, truth, split)
    counted = moments_of(joint_histogram(map, truth, levels=None, split=split.expand(2, 2)))
    held = together.number > 0
    for other in (apart, counted):
        assert torch.equal(other.number, together.number)
        for one, two in zip(together[1:], other[1:], strict=True):
            assert torch.allclose(one[held], two[held], rtol=0, atol=1e-9)
        assert torch.equal(other.spread[1][held[1]], torch.zeros_like(other.spread[1][held[1]]))
        assert torch.equal(other.mean[1][held[1]], torch.full_like(other.mean[1][held[1]], 0.3))


def test_parameters_are_checked() -> None:
    cls = METRICS.get("s-measure")
    with pytest.raises(RecipeError, match="alpha"):
        cls.from_spec({"alpha": 1.5})
    with pytest.raises(RecipeError, match="centre"):
        cls.from_spec({"centre": "left"})
    with pytest.raises(InputError, match="shape"):
        s_measure(torch.zeros(3, 4), torch.zeros(4, 3, dtype=torch.bool))
