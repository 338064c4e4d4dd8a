"""When the learning rate falls, and when training ends. Each remembers plain numbers, for checkpoints."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.train import blocks


class PlateauSchedule:
    """The learning rate falls where the validation loss does not; see :class:`miso_gen.train.blocks.Plateau`.

    Args:
        plan: Its numbers; None: the rate stays.
        lr: The rate at first.

    Attributes:
        lr: The rate now.
    """

    def __init__(self, plan: blocks.Plateau | None, lr: float) -> None:
        self.plan, self.lr = plan, lr
        self.best, self.bad = inf, 0

    def epoch(self, loss: float | None) -> None:
        """Take the validation loss of an epoch."""
        if self.plan is None or loss is None:
            return
        if loss < self.best * (1 - self.plan.threshold):
            self.best, self.bad = loss, 0
            return
        self.bad += 1
        if self.bad > self.plan.patience:
            self.lr, self.bad = self.lr * self.plan.factor, 0

    @property
    def done(self) -> bool:
        """Whether the rate is so low that training ends."""
        return self.plan is not None and self.lr <= self.plan.least_lr

    def state_dict(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {"lr": self.lr, "best": self.best, "bad": self.bad}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them."""
        self.lr, self.best, self.bad = state["lr"], state["best"], state["bad"]


class PatienceStop:
    """Ends after so many epochs without a lower validation loss.

    Args:
        plan: How many; None: never.
    """

    def __init__(self, plan: blocks.Patience | None) -> None:
        self.plan = plan
        self.best, self.bad = inf, 0

    def epoch(self, loss: float | None) -> None:
        """Take the validation loss of an epoch."""
        if loss is not None:
            self.best, self.bad = (loss, 0) if loss < self.best else (self.best, self.bad + 1)

    @property
    def done(self) -> bool:
        """Whether training ends."""
        return self.plan is not None and self.bad >= self.plan.epochs

    def state_dict(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {"best": self.best, "bad": self.bad}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them."""
        self.best, self.bad = state["best"], state["bad"]


class EvaluationStop:
    """Ends by looks at parts of the validation items; see :class:`miso_gen.train.blocks.EvaluationMode`.

    Args:
        plan: Its numbers; None: never.

    Attributes:
        looks: Looks taken.
        done: Whether training ends.
    """

    def __init__(self, plan: blocks.EvaluationMode | None) -> None:
        self.plan = plan
        self.best, self.bad, self.looks, self.done = -inf, 0, 0, False

    def due(self, step: int) -> bool:
        """Whether to look after so many steps."""
        return self.plan is not None and step % self.plan.every == 0

    def look(self, accuracy: float) -> None:
        """Take the accuracy on a part."""
        assert self.plan is not None
        self.looks += 1
        if accuracy > self.best:
            self.best, self.bad = accuracy, int(self.plan.refund * self.bad)
        else:
            self.bad += 1
        self.done = accuracy > self.plan.accuracy or self.bad >= self.plan.patience

    def state_dict(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {"best": self.best, "bad": self.bad, "looks": self.looks, "done": self.done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them."""
        self.best, self.bad, self.looks, self.done = state["best"], state["bad"], state["looks"], state["done"]
