"""Numbers that Quantus and captum gave, committed in ``fixtures/faithfulness.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import formula, gradient_times_input
from torch import Tensor, nn

from miso_gen.metrics.faithfulness import infidelity as infidelity_module
from miso_gen.metrics.faithfulness import irof as irof_module
from miso_gen.metrics.faithfulness import max_sensitivity as sensitivity_module
from miso_gen.metrics.faithfulness.complexity import complexity
from miso_gen.metrics.faithfulness.deletion import Deletion
from miso_gen.metrics.faithfulness.infidelity import Infidelity
from miso_gen.metrics.faithfulness.irof import Irof
from miso_gen.metrics.faithfulness.max_sensitivity import MaxSensitivity
from miso_gen.metrics.faithfulness.sparseness import sparseness
from miso_gen.metrics.interfaces import Explained

PEERS = json.loads((Path(__file__).parent / "fixtures" / "faithfulness.json").read_text())


def net(channels: int) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    with torch.no_grad():
        for k, one in enumerate(model.parameters()):
            one.copy_(torch.from_numpy(4 * formula(k + 1, *one.shape) - 2))
    return model.double().eval()


def given(images: np.ndarray, targets: list[int]) -> Explained:
    tensor, target = torch.from_numpy(images), torch.tensor(targets)
    model = net(tensor.shape[1])
    return Explained(model, tensor, gradient_times_input(model, tensor, target), target, explain=gradient_times_input)


@pytest.fixture
def small() -> Explained:
    return given(formula(50, 3, 1, 5, 7), [0, 1, 2])


def change(sample: int) -> Tensor:
    return torch.from_numpy(0.4 * formula(200 + sample, 1, 5, 7) - 0.2)


def test_pixel_flipping_of_quantus(small: Explained) -> None:
    """Quantus starts its curve after the first pixel, and asks in float32."""
    curve = Deletion(steps=35, baseline="zero").curve(small)
    assert curve is not None
    assert curve.y[:, 1:].numpy() == pytest.approx(np.array(PEERS["pixel_flipping"]["curves"]), abs=1e-6)


def test_irof_of_quantus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantus leaves the start out of the area: over the same pieces, ours is what its curve would be with it."""
    y, x = np.mgrid[:24, :32]
    images = [np.stack([0.5 + 0.4 * np.sin(y / (3 + k + b)) * np.cos(x / (4 + k)) for k in range(3)]) for b in range(2)]
    segments = torch.tensor(PEERS["irof"]["segments"])
    monkeypatch.setattr(irof_module, "segments_of", lambda *_: segments)
    curve = Irof(baseline="zero").curve(given(np.stack(images), [0, 2]))
    assert curve is not None
    number = len(curve.x) - 1
    theirs = number - torch.trapezoid(curve.y[:, 1:], dim=1)
    assert theirs.numpy() == pytest.approx(np.array(PEERS["irof"]["scores"]), rel=1e-5)
    assert Irof().summary(curve).numpy() == pytest.approx((theirs - (1 + curve.y[:, 1]) / 2).numpy())


@pytest.mark.parametrize("peer", ["quantus", "captum"])
def test_max_sensitivity_of_both(peer: str, small: Explained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensitivity_module, "_noise", drawn())
    found = MaxSensitivity(samples=6).score(small)
    assert found.numpy() == pytest.approx(np.array(PEERS["max_sensitivity"][peer]), rel=1e-9)


def test_infidelity_of_captum(small: Explained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infidelity_module, "_change", lambda *given: drawn_in_order(*given)[0])
    drawn_in_order = drawn()
    found = Infidelity(samples=6, output="logit").score(small)
    assert found.numpy() == pytest.approx(np.array(PEERS["infidelity"]["captum"]), rel=1e-9)


def drawn() -> Any:
    """Return what draws the changes of the formula, one after the other."""
    samples = iter(range(6))
    return lambda *_: change(next(samples))


def test_complexity_and_sparseness_of_quantus(small: Explained) -> None:
    """Quantus adds 1e-12 within the logarithm, and 1e-7 to values before it sorts them."""
    assert complexity(small.maps).numpy() == pytest.approx(np.array(PEERS["complexity"]), abs=1e-9)
    assert sparseness(small.maps).numpy() == pytest.approx(np.array(PEERS["sparseness"]), abs=1e-5)
