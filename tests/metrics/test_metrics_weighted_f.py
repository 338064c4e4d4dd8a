"""Weighted F-measure: the definition, pixel by pixel, and the values of PySODMetrics."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from salient import CASES, drawn

from miso_gen.errors import InputError, MissingExtraError
from miso_gen.metrics import METRICS
from miso_gen.metrics.scores import weighted_f as module
from miso_gen.metrics.scores.weighted_f import weighted_f


def literal(map: np.ndarray, truth: np.ndarray, beta_squared: float, nearest: np.ndarray) -> float:
    """Return the score, given the flat place of the nearest evidence of each pixel (of several, any is the nearest)."""
    rows, cols = truth.shape
    error = np.abs(map - truth)
    offsets = np.arange(-3, 4)
    kernel = np.exp(-(offsets[:, None] ** 2 + offsets**2) / 50)
    kernel /= kernel.sum()
    weighted = np.zeros_like(error)
    for row in range(rows):
        for col in range(cols):
            if not truth[row, col]:
                away = np.hypot(*(np.argwhere(truth) - (row, col)).T).min()
                weighted[row, col] = error[row, col] * (2 - np.exp(np.log(0.5) / 5 * away))
                continue
            around = 0.0
            for dy in offsets:
                for dx in offsets:
                    if 0 <= row + dy < rows and 0 <= col + dx < cols:
                        around += kernel[dy + 3, dx + 3] * error.flat[nearest[row + dy, col + dx]]
            weighted[row, col] = min(error[row, col], around)
    right = truth.sum() - weighted[truth].sum()
    recall, lower = 1 - weighted[truth].mean(), right + weighted[~truth].sum()
    precision = right / lower if lower else 0.0
    below = recall + beta_squared * precision
    return (1 + beta_squared) * recall * precision / below if below else 0.0


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_is_the_definition(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    map = data.draw(hnp.arrays(np.float64, shape, elements=st.floats(0, 1, width=16)))
    truth = data.draw(hnp.arrays(np.bool_, shape))
    beta_squared = data.draw(st.sampled_from([1.0, 0.3]))
    found = float(weighted_f(torch.from_numpy(map), torch.from_numpy(truth), beta_squared))
    if not truth.any():
        assert np.isnan(found)
        return
    away, nearest = module._nearest(truth)
    for row, col in np.ndindex(*shape):
        there = np.array(divmod(int(nearest[row, col]), shape[1]))
        assert truth[tuple(there)]
        assert np.hypot(*(there - (row, col))) == pytest.approx(np.hypot(*(np.argwhere(truth) - (row, col)).T).min())
        assert away[row, col] == pytest.approx(np.hypot(*(there - (row, col))))
    assert found == pytest.approx(literal(map, truth, beta_squared, nearest), abs=1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["seed"]))
def test_values_of_pysodmetrics(case: dict[str, Any]) -> None:
    map, truth = drawn(case["seed"], case["rows"], case["cols"])
    shown = map.to(torch.float64) / 255
    assert float(METRICS.get("weighted-f")().score(shown, truth)) == pytest.approx(case["weighted-f"], abs=1e-9)
    assert float(weighted_f(shown, truth, 0.3)) == pytest.approx(case["weighted-f beta_squared 0.3"], abs=1e-9)


def test_both_devices_find_the_same_errors() -> None:
    """The way of CUDA, on the CPU."""
    map, truth = drawn(2, 33, 90)
    shown, (_, nearest) = map.to(torch.float64) / 255, module._nearest(truth.numpy())
    ours = module._errors(shown.numpy(), truth.numpy(), nearest)
    theirs = module._errors_on_device(shown, truth, torch.from_numpy(nearest))
    assert np.allclose(ours, theirs.numpy(), rtol=0, atol=1e-12)


def test_a_hole_within_counts_less_than_a_missing_end() -> None:
    truth = torch.zeros(20, 30, dtype=torch.bool)
    truth[5:15, 5:25] = True
    hole, end = truth.to(torch.float64), truth.to(torch.float64)
    hole[9:11, 10:15], end[5:15, 24] = 0.0, 0.0
    assert float(weighted_f(hole, truth)) > float(weighted_f(end, truth))
    near, far = (truth.to(torch.float64) for _ in range(2))
    near[4, 10], far[0, 29] = 1.0, 1.0
    assert float(weighted_f(near, truth)) > float(weighted_f(far, truth))


def test_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.ndimage", None)
    with pytest.raises(MissingExtraError, match="scipy"):
        weighted_f(torch.rand(3, 4), torch.ones(3, 4, dtype=torch.bool))


def test_batches_and_errors() -> None:
    maps, truth = torch.rand(3, 9, 12), torch.rand(3, 9, 12) > 0.5
    truth[1] = False
    maps[2, 4, 5] = torch.inf
    found = weighted_f(maps, truth)
    assert found.isnan().tolist() == [False, True, True]
    assert float(found[0]) == pytest.approx(float(weighted_f(maps[0], truth[0])))
    with pytest.raises(InputError, match="floating"):
        weighted_f(truth, truth)
