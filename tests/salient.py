"""Maps of 8 bits that PySODMetrics was run on; its scores are in ``tests/metrics/fixtures/pysodmetrics_structure.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "metrics" / "fixtures" / "pysodmetrics_structure.json").read_text(encoding="utf-8")
)["cases"]


def drawn(seed: int, rows: int, cols: int) -> tuple[Tensor, Tensor]:
    """Return a map (rows, cols) uint8 from 0 to 255, and its truth, bool."""
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:rows, :cols]
    truth = ((row - 0.6 * rows) / (0.3 * rows)) ** 2 + ((col - 0.35 * cols) / (0.25 * cols)) ** 2 <= 1
    if seed == 4:
        truth |= (row < 4) & (col > cols - 6)
    if seed == 5:
        truth = (row == 0) & (col == 0)
    noise = rng.integers(0, 256, (rows, cols))
    shown = np.where(truth, 128 + noise // 2, noise // 3 * 2).astype(np.uint8)
    shown[0, 0], shown[-1, -1] = 0, 255
    return torch.from_numpy(shown), torch.from_numpy(truth)
