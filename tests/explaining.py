"""Small networks to explain, and the images for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from miso_gen.models.interfaces import Heatmaps, Offer


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return uniform numbers from 0 to 1."""
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


class Net(nn.Module):
    """Two convolutions with ReLU modules of their own, global average, a linear layer; offers attention and heat maps.

    Args:
        channels: Of images.
        classes: Number of logits.
        inplace: Whether ReLU overwrites its input.
        zero: ``head``: the linear layer has no weights but its bias. ``all``: nothing has, so that no activation depends on the
            image.
        seed: Of the weights.
    """

    def __init__(self, channels: int = 3, classes: int = 3, inplace: bool = False, zero: str = "", seed: int = 0) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 3, padding=1),
            nn.ReLU(inplace),
            nn.Conv2d(6, 8, 3, stride=2, padding=1),
            nn.ReLU(inplace),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.drop = nn.Dropout(0.5)
        self.classifier = nn.Linear(8, classes)
        self.offer = Offer(
            spec={"type": "net"},
            reads=("image",),
            in_channels=channels,
            num_classes=classes,
            image_size=(16, 20),
            feature_layers=("features.1", "features.3"),
            attention=("first", "second"),
            heatmap="classes",
        )
        with torch.no_grad():
            for number, one in enumerate(self.parameters()):
                one.copy_(random(*one.shape, seed=100 * seed + number) - (0.3 if one is self.classifier.weight else 0.45))
                if zero == "all" or (zero == "head" and one is self.classifier.weight):
                    one.zero_()
            if zero:
                self.classifier.bias.copy_(torch.arange(classes) - 0.5)
        self.eval()

    def attention(self, images: Tensor) -> dict[str, Tensor]:
        features = self.features(images)
        return {"first": features.sum(1), "second": features[:, 0] - features[:, 1] * 3}

    def heatmap(self, images: Tensor) -> Tensor:
        return torch.einsum("bkhw,ck->bchw", self.features(images), self.classifier.weight)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.drop(self.flatten(self.pool(self.features(images)))))


class OneMap(Net):
    """A network whose heat map is one, whatever the class."""

    def __init__(self) -> None:
        super().__init__()
        heatmap: Heatmaps = "one"
        self.offer = Offer(**{**self.offer.__dict__, "heatmap": heatmap})

    def heatmap(self, images: Tensor) -> Tensor:
        return super().heatmap(images)[:, :1]


def linear(channels: int, rows: int, cols: int, classes: int = 3, seed: int = 0) -> nn.Sequential:
    """Return logits = W x + b."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(channels * rows * cols, classes))
    with torch.no_grad():
        for number, one in enumerate(model.parameters()):
            one.copy_(random(*one.shape, seed=300 + 10 * seed + number) - 0.4)
    return model.eval()


class Averaged(nn.Module):
    """A convolution A without an activation, ``conv``, and logits = V mean(A) + b: the closed forms of the CAM family."""

    def __init__(self, channels: int = 3, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(4, classes)
        with torch.no_grad():
            for number, one in enumerate(self.parameters()):
                one.copy_(random(*one.shape, seed=400 + number) - 0.4)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.pool(self.conv(images))))
