"""Small networks, images and explainers, for tests of scores that ask the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from miso_gen.metrics.interfaces import Explained


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Small(nn.Module):
    """Convolution, normalisation, another convolution, the mean, dropout, a linear layer; three classes."""

    def __init__(self, channels: int = 3, seed: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 5, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(5, 3)
        self.double()
        with torch.no_grad():
            for k, one in enumerate(self.parameters()):
                one.copy_(3 * random(*one.shape, seed=100 * seed + k) - 1.4)
            self.norm.running_mean.copy_(random(4, seed=50))
            self.norm.running_var.copy_(random(4, seed=51) + 0.5)
        self.eval()
        self.sizes: list[int] = []  # of the batches it was given
        self.modes: list[tuple[bool, bool]] = []  # training, gradients enabled

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        self.modes.append((self.training, torch.is_grad_enabled()))
        hidden = torch.relu(self.norm(self.first(images)))
        hidden = torch.relu(self.second(hidden))
        return self.head(self.drop(hidden.mean((2, 3))))


class Weighted(nn.Module):
    """Two logits: minus and plus the sum of the image times given weights (C, H, W), plus a bias."""

    def __init__(self, weights: Tensor, bias: float = 0.0) -> None:
        super().__init__()
        self.weights, self.bias = weights, bias

    def forward(self, images: Tensor) -> Tensor:
        found = (images * self.weights).sum((1, 2, 3)) + self.bias
        return torch.stack([-found, found], 1)


def gradient_times_input(model: Any, images: Tensor, target: Tensor) -> Tensor:
    images = images.clone().requires_grad_()
    (found,) = torch.autograd.grad(model(images).gather(1, target[:, None]).sum(), images)
    return (found * images).sum(1).detach()


def explained(number: int = 4, rows: int = 12, cols: int = 17, channels: int = 3, **changed: Any) -> Explained:
    """Return images in [0, 1], explained by the gradient times the input of a :class:`Small` network."""
    model = changed.pop("model", None) or Small(channels)
    images = random(number, channels, rows, cols, seed=7)
    target = torch.arange(number) % 3
    maps = gradient_times_input(model, images, target)
    return Explained(
        **{"model": model, "images": images, "maps": maps, "target": target, "explain": gradient_times_input, **changed}
    )


def formula(salt: int, *shape: int) -> np.ndarray:
    """Return the numbers that the committed fixtures are made of."""
    i = np.arange(int(np.prod(shape)), dtype=np.int64)
    return (((i * i * 31 + i * 7919 + salt * 104729) % 10007) / 10007).reshape(shape)
