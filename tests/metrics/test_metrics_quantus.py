"""Localisation scores against Quantus: equal values, and how the definitions differ on ties and negative values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from miso_gen.metrics import score

FIXTURE = json.loads((Path(__file__).parent / "fixtures" / "quantus_localisation.json").read_text("utf-8"))
CASES: list[dict[str, Any]] = FIXTURE["cases"]
PLAIN = [case for case in CASES if not case["levels"] and not case["shift"]]
(TIED,) = (case for case in CASES if case["levels"])
(NEGATIVE,) = (case for case in CASES if case["shift"])
K = 25
METRICS = ["relevance-mass", "relevance-rank", "pointing-game", {"type": "top-k-intersection", "k": K}, "auroc"]


def drawn(case: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the map and the truth that Quantus was given: ``formula`` in the fixture."""
    shape = case["rows"], case["cols"]
    place = np.arange(shape[0] * shape[1], dtype=np.int64)
    values = (((31 * place * place + 7919 * place + 104729 * case["salt"]) % 10007) / 10007).reshape(shape)
    row, col = np.mgrid[: shape[0], : shape[1]]
    truth = 3 * (row - shape[0] // 3) ** 2 + 2 * (col - case["salt"] - 3) ** 2 <= 30
    if case["levels"]:
        values = np.round(values * case["levels"]) / case["levels"]
    return torch.from_numpy(values + case["more"] * truth - case["shift"]), torch.from_numpy(truth)


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: str(case["salt"]))
def test_values_of_quantus(case: dict[str, Any]) -> None:
    found, theirs = score(*drawn(case), METRICS), case["scores"]
    for name, value in found.items():
        assert value == pytest.approx(theirs[name], abs=1e-6), name
    assert found["relevance-mass"] == pytest.approx(theirs["attribution-localisation"], abs=1e-6)  # the same by two names


def test_pointing_game_hits_and_misses() -> None:
    assert {case["scores"]["pointing-game"] for case in PLAIN} == {0.0, 1.0}


def test_ties() -> None:
    """Quantus takes tied pixels in the order of its sort, ours counts the mean over all orders; mass and AUROC have one value."""
    (map, truth), theirs = drawn(TIED), TIED["scores"]
    found = score(map, truth, METRICS)
    for name in ("relevance-mass", "auroc"):
        assert found[name] == pytest.approx(theirs[name], abs=1e-6)
    for name, k in (("relevance-rank", int(truth.sum())), ("top-k-intersection", K)):
        bounds = [_share(map + way * 1e-6 * truth, truth, k) for way in (-1, 1)]
        assert bounds[0] <= theirs[name] <= bounds[1]
        assert bounds[0] < found[name] < bounds[1]
    tied_pixels = map == map.max()
    shares = truth[tied_pixels].double()
    assert found["pointing-game"] == pytest.approx(float(shares.mean()))
    assert theirs["pointing-game"] == float(shares.max())  # a hit of any is a hit
    assert score(map, truth, [{"type": "pointing-game", "ties": "any"}])["pointing-game"] == theirs["pointing-game"]


def _share(map: Tensor, truth: Tensor, k: int) -> float:
    return float(truth.flatten()[map.flatten().argsort(descending=True)[:k]].double().mean())


def test_negative_values() -> None:
    """Quantus divides what is positive on the truth by the sum of all, which may pass 1; ours wants to know what they mean."""
    (map, truth), theirs = drawn(NEGATIVE), NEGATIVE["scores"]
    assert theirs["relevance-mass"] > 1
    assert theirs["relevance-mass"] == pytest.approx(float(map[truth].sum() / map.sum()), abs=1e-6)
    inside, every = map.clamp(min=0)[truth].sum(), map.clamp(min=0).sum()
    assert score(map, truth, ["relevance-mass"], sign="positive")["relevance-mass"] == pytest.approx(float(inside / every))
    for name, value in score(map, truth, [name for name in METRICS if name != "relevance-mass"]).items():
        assert value == pytest.approx(theirs[name], abs=1e-6), name
