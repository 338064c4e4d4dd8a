"""E-measure: the definition, pixel by pixel, and the values of PySODMetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from salient import CASES, drawn
from torch import Tensor

from miso_gen.metrics import METRICS, joint_histogram
from miso_gen.metrics.scores.e_measure import e_measure, e_measure_curve

CORNER = torch.zeros(4, 4, dtype=torch.bool)
CORNER[:2, :2] = True


def literal(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return the sum of (a + 1)^2 / 4 over N - 1, pixel by pixel, with the tiny numbers of MISO's code."""
    f, g = mask - mask.mean(), truth - truth.mean()
    total = 0.0
    for one, other in zip(f.ravel(), g.ravel(), strict=True):
        total += (2 * one * other / (one**2 + other**2 + 1e-20) + 1) ** 2 / 4
    return total / (mask.size - 1 + 1e-20)


def literal_curve(map: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.array([literal((map >= t).astype(float), truth) for t in np.linspace(0, 1 - 1e-10, 255)])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_is_the_definition(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 7), st.integers(2, 7)))
    mask, truth = (data.draw(hnp.arrays(np.bool_, shape)) for _ in range(2))
    found = float(e_measure(torch.from_numpy(mask), torch.from_numpy(truth)))
    if not truth.any():
        assert np.isnan(found)
    elif truth.all():
        assert found == pytest.approx(mask.sum() / (mask.size - 1))
    else:
        assert found == pytest.approx(literal(mask.astype(float), truth.astype(float)), abs=1e-12)
    curve = e_measure_curve(torch.from_numpy(mask), torch.from_numpy(truth))
    assert curve.shape == (255,)
    assert np.allclose(curve, literal_curve(mask.astype(float), truth.astype(float)), rtol=0, atol=1e-12)
    legacy = METRICS.get("e-measure-legacy")().score(torch.from_numpy(mask), torch.from_numpy(truth))
    assert float(legacy) == pytest.approx(float(curve.max()))


@pytest.mark.parametrize(
    ("mask", "first", "others"),
    [
        (CORNER, 0.266667, 1.066667),
        (torch.zeros_like(CORNER), 0.266667, 0.266667),
        (torch.ones_like(CORNER), 0.266667, 0.266667),
        (~CORNER, 0.266667, 0.0),
        (CORNER & (torch.arange(4) < 1), 0.266667, 0.794987),
    ],
)
def test_vectors(mask: Tensor, first: float, others: float) -> None:
    curve = e_measure_curve(mask, CORNER)
    assert float(curve[0]) == pytest.approx(first, abs=1e-6)
    assert curve[1:].numpy() == pytest.approx(others, abs=1e-6)
    assert float(e_measure(mask, CORNER)) == pytest.approx(others, abs=1e-6)
    assert float(METRICS.get("e-measure-legacy")().score(mask, CORNER)) == pytest.approx(max(first, others), abs=1e-6)


def test_one_pixel_is_undefined() -> None:
    one = torch.ones(1, 1, dtype=torch.bool)
    assert e_measure(one, one).isnan()
    assert e_measure_curve(one, one).isnan().all()
    assert METRICS.get("e-measure-legacy")().score(one, one).isnan()


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["seed"]))
@pytest.mark.parametrize("name", ["adaptive-e-measure", "mean-e-measure", "max-e-measure"])
def test_values_of_pysodmetrics(case: dict[str, float], name: str) -> None:
    map, truth = drawn(int(case["seed"]), int(case["rows"]), int(case["cols"]))
    metric = METRICS.get(name)()
    assert float(metric.from_joint(joint_histogram(map, truth))) == pytest.approx(case[name], abs=1e-9)
    assert float(metric.score(map.to(torch.float64) / 255, truth)) == pytest.approx(case[name], abs=1e-9)


def test_chance_follows_from_a_large_random_mask() -> None:
    """Where map and truth have nothing to do with each other, pixels of the four kinds are as many as their shares say."""
    share, size = 0.25, 400
    counts = {(1, 1): 50, (1, 0): 150, (0, 1): 50, (0, 0): 150}
    pairs = np.array([pair for pair, number in counts.items() for _ in range(number)], bool)
    mask, truth = (torch.from_numpy(column.reshape(20, 20).copy()) for column in pairs.T)
    expected = METRICS.get("e-measure")().chance_level(share)
    assert expected is not None
    assert float(e_measure(mask, truth)) == pytest.approx(expected * size / (size - 1))
