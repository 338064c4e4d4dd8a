"""Where a training is: its phases, and plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miso_gen.train.tasks import Task


@dataclass(frozen=True)
class Phase:
    """A part of a training with an optimiser of its own.

    Attributes:
        name: ``head``: the encoder is frozen; ``all``.
        epochs: Epochs at most.
        frozen: Whether the encoder is frozen.
        still_norm: Whether its running statistics stay, too.
    """

    name: str
    epochs: int
    frozen: bool = False
    still_norm: bool = False


def phases_of(task: Task) -> list[Phase]:
    """Return the phases of a training."""
    train = task.experiment.train
    last = Phase("all", train.epochs)
    if train.two_phase is None:
        return [last]
    return [Phase("head", train.two_phase.epochs, True, train.two_phase.still_norm), last]


@dataclass
class Progress:
    """Where a training is: plain numbers.

    Attributes:
        phase: Number of the phase.
        epoch: Epochs of the phase that are done.
        epochs: Epochs of all phases that are done.
        step: Steps of the optimiser, of all phases.
        loss: Sum of the losses of the items of this epoch, over all ranks.
        items: How many they are.
        seconds: Time of this epoch.
        waited: Time of this epoch in which the loader was waited for.
        total: Time in all, with validation.
        joules: Energy in all; None: unknown.
        best: Lowest validation loss of the phase.
        best_epoch: Epoch of all phases that had it, from 1.
        ended: Whether the phase ended early.
        rows: The log.
    """

    phase: int = 0
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    loss: float = 0.0
    items: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    total: float = 0.0
    joules: float | None = 0.0
    best: float = math.inf
    best_epoch: int | None = None
    ended: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)
