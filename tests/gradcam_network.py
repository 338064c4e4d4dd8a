"""The network and images whose explanations another package made, committed as a fixture. It imports nothing of ours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

ROWS, COLS = 6, 8
TARGETS = (2, 0)


def formula(salt: int, *shape: int) -> Tensor:
    """Return numbers from 0 to 1 that are the same everywhere."""
    i = np.arange(int(np.prod(shape)), dtype=np.int64)
    values = ((i * i * 31 + i * 7919 + salt * 104729) % 10007) / 10007
    return torch.from_numpy(values.reshape(shape)).to(torch.float32)


class Pooled(nn.Module):
    """Two convolutions at the size of the image, one at half of it, a mean over quarters, two linear layers; three logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 5, 3, padding=1), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(5, 6, 3, stride=2, padding=1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.hidden = nn.Linear(24, 7)
        self.head = nn.Linear(7, 3)
        with torch.no_grad():
            for salt, one in enumerate(self.parameters(), 1):
                one.copy_(1.6 * formula(salt, *one.shape) - 0.75)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        features = self.third(self.second(self.first(images)))
        return self.head(torch.tanh(self.hidden(self.pool(features).flatten(1)) / 8))


def images() -> Tensor:
    return 2 * formula(50, 2, 3, ROWS, COLS) - 0.6
