"""What a training starts with: the network with its first weights, and the optimiser of a phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from miso_gen.models import create_model
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.train.blocks import Train
    from miso_gen.train.tasks import Task


def seed_of(*address: str | int) -> int:
    """Return what torch's generators are seeded by, from the address of what is drawn."""
    return Stream("train", *address).word() >> 1


def draw_model(task: Task) -> nn.Module:
    """Return the network at the start, its weights drawn by the seed; those of a branch are those of its base, and come later."""
    torch.manual_seed(seed_of(task.seed, "weights"))
    return create_model(
        task.network,
        in_channels=task.in_channels,
        num_classes=task.num_classes,
        image_size=task.image_size,
        weights=None if task.base is None else "none",
    )


def optimizer_of(plan: Train, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser that a plan wants."""
    common: dict[str, Any] = {"lr": plan.lr, "weight_decay": plan.weight_decay}
    if plan.optimizer == "sgd":
        return torch.optim.SGD(parameters, **common, momentum=plan.momentum or 0.0)
    kind: type[torch.optim.Adam | torch.optim.Adamax] = {"adam": torch.optim.Adam, "adamax": torch.optim.Adamax}[plan.optimizer]
    return kind(parameters, **common, betas=plan.betas)


class WithPixels(nn.Module):
    """A network that is called for both logits (B, classes) and pixel logits (B, levels, H, W).

    What wraps networks, to compile them or to add up gradients of processes, sees one call.

    Args:
        model: The network, which labels pixels.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return both."""
        found: tuple[Tensor, Tensor] = self.model.logits_and_pixels(images)  # type: ignore[operator]  # checked beforehand
        return found
