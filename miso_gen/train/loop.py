"""The loop that trains one network, on one process or several, and goes on after it was killed as if it never was.

Whatever a step draws (dropout, say) comes from torch's generators, seeded by seed, epoch, batch and rank before each batch. So a
checkpoint needs weights, the state of the optimiser, the place in the epoch and what the schedules remember, and no state of a
generator. Checkpoints are taken between steps.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import torch

from miso_gen.errors import InputError, WorkError
from miso_gen.rng import Stream
from miso_gen.train.blocks import EvaluationMode, Patience, Plateau
from miso_gen.train.evaluating import look, validate
from miso_gen.train.feeding import items_of, loader_of, logits_of, targets_of, targets_of_items
from miso_gen.train.freezing import encoder_modules, set_frozen, still
from miso_gen.train.keeping import CHECKPOINT, COLUMNS, RunFiles, base_weights
from miso_gen.train.losses import class_weights, item_losses, pixel_losses
from miso_gen.train.progress import Phase, Progress, phases_of
from miso_gen.train.recording import BEST, LAST, energy
from miso_gen.train.schedules import EvaluationStop, PatienceStop, PlateauSchedule
from miso_gen.train.starting import WithPixels, draw_model, optimizer_of, seed_of

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.fabric import Fabric
    from torch import Tensor

    from miso_gen.train.tasks import Task


class Watcher(Protocol):
    """Whoever wants to know how it goes."""

    def start(self, what: str, total: int) -> None:
        """A training begins: so many steps of it at most."""

    def step(self, what: str, count: int = 1) -> None:
        """Some more steps are done."""

    def say(self, line: str) -> None:
        """Something is worth a line."""


class Silent:
    """A watcher that says nothing."""

    def start(self, what: str, total: int) -> None:
        """See :class:`Watcher`."""

    def step(self, what: str, count: int = 1) -> None:
        """See :class:`Watcher`."""

    def say(self, line: str) -> None:
        """See :class:`Watcher`."""


def run_training(fabric: Fabric, task: Task, folder: Path, watcher: Watcher | None = None) -> Progress:
    """Train, or go on with what the folder has; what every process of a training runs.

    Args:
        fabric: Processes and devices.
        task: What to train.
        folder: Where log, weights and checkpoints are.
        watcher: Told of every step; on the first rank.
    """
    return Training(fabric, task, folder, watcher or Silent()).run()


class Training:
    """A training of one network.

    Args:
        fabric: Processes and devices.
        task: What to train.
        folder: Where log, weights and checkpoints are.
        watcher: Told of every step; on the first rank.
    """

    def __init__(self, fabric: Fabric, task: Task, folder: Path, watcher: Watcher) -> None:
        self.fabric, self.task, self.files = fabric, task, RunFiles(fabric, folder, task.name)
        self.plan = task.experiment.train
        self.watcher: Watcher = watcher if fabric.is_global_zero else Silent()
        self.phases, self.progress = phases_of(task), Progress()
        self.items = items_of(task, "train", training=True)
        self.validation = items_of(task, "validation") if task.ids["validation"] else None
        self.loader = loader_of(task, self.items, training=True, ranks=fabric.world_size)
        if not len(self.loader):
            raise InputError(
                f"train.batch must be at most {len(self.items) // fabric.world_size} for {len(self.items)} items and "
                f"{fabric.world_size} processes, got {self.plan.batch}."
            )
        self.model = draw_model(task)
        base = base_weights(task, folder)
        if base is not None:
            self.model.load_state_dict(base)
        self.model.to(fabric.device)
        if fabric.device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)
        labels = targets_of_items(task, self.items).numpy()
        weights = class_weights(self.plan.class_weights, labels, task.num_classes)
        self.weights = None if weights is None else weights.to(fabric.device)
        self.encoder = encoder_modules(self.model, task.network.head)
        self._loss = torch.zeros((), dtype=torch.float64, device=fabric.device)  # of this rank, since it was last added up
        self._began = 0.0
        self._joules: float | None = None

    @property
    def batch(self) -> int:
        """Items of a step of this rank."""
        return self.plan.batch * self.plan.accumulate

    @property
    def phase(self) -> Phase:
        """The phase that it is in."""
        return self.phases[self.progress.phase]

    def run(self) -> Progress:
        """Train to the end."""
        state = self.files.checkpoint()
        if state is not None:
            self._take(state)
        windows = -(-len(self.loader) // self.plan.accumulate)
        self.watcher.start(self.task.name, windows * sum(phase.epochs for phase in self.phases))
        self.watcher.step(self.task.name, self.progress.step)
        self._began, self._joules = monotonic(), energy(self.fabric.device)
        while self.progress.phase < len(self.phases):
            self._set_up(state)
            state = None
            while not self.progress.ended and self.progress.epoch < self.phase.epochs:
                self._epoch()
            self._end_phase()
        self._add_costs()
        return self.progress

    def _set_up(self, state: dict[str, Any] | None) -> None:
        """Make optimiser and schedules of the phase, as they were left or anew."""
        set_frozen(self.encoder, self.phase.frozen)
        parameters = [one for one in self.model.parameters() if one.requires_grad]
        self.schedule = PlateauSchedule(self.plan.schedule if isinstance(self.plan.schedule, Plateau) else None, self.plan.lr)
        self.patience = PatienceStop(self.plan.stop if isinstance(self.plan.stop, Patience) else None)
        self.looks = EvaluationStop(self.plan.stop if isinstance(self.plan.stop, EvaluationMode) else None)
        optimizer = optimizer_of(self.plan, parameters)
        if state is not None:
            optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.patience.load_state_dict(state["patience"])
            self.looks.load_state_dict(state["looks"])
            self.fabric.strategy.precision.load_state_dict(state["precision"])
        asked = WithPixels(self.model) if self.plan.pixel_loss else self.model
        called: Any = torch.compile(asked) if self.plan.compile else asked
        self.called, self.optimizer = self.fabric.setup(called, optimizer)

    # --- an epoch -----------------------------------------------------------------------------------------------------

    def _epoch(self) -> None:
        """Train an epoch, or what is left of it, and look at the validation items."""
        began = asked = monotonic()
        self._to_training()
        batches = len(self.loader)
        first = self.loader.state_dict()["batches"]
        for number, batch in enumerate(self.loader, first):
            self.progress.waited += monotonic() - asked
            steps = (number + 1) % self.plan.accumulate == 0 or number + 1 == batches
            self._batch(number, batch, steps)
            if steps:
                self._stepped()
                if self.looks.done:
                    break
                if self.progress.step % self.plan.checkpoint_steps == 0 and number + 1 < batches:
                    self.progress.seconds += monotonic() - began
                    began = monotonic()
                    self.save()
            asked = monotonic()
        self.progress.seconds += monotonic() - began
        self._end_epoch()

    def _to_training(self) -> None:
        self.called.train()
        if self.phase.still_norm:
            still(self.encoder)

    def _batch(self, number: int, batch: dict[str, Any], steps: bool) -> None:
        """Add the gradient of a batch."""
        fabric = self.fabric
        torch.manual_seed(seed_of(self.task.seed, "batch", self.progress.epochs, number, fabric.global_rank))
        with fabric.no_backward_sync(self.called, enabled=not steps) if fabric.world_size > 1 else nullcontext():
            loss = self._losses(batch).sum()
            fabric.backward(loss / self._window(number))
        self._loss += loss.detach()
        self.progress.items += len(batch["label"]) * fabric.world_size

    def _losses(self, batch: dict[str, Any]) -> Tensor:
        """Return the loss of each item of a batch, (B,)."""
        device, weight = self.fabric.device, self.plan.pixel_loss
        labels = targets_of(self.task, batch["label"].to(device))
        found = logits_of(self.called, batch, device)
        if not weight:
            return item_losses(found, labels, self.task.loss, self.weights)
        logits, pixels = found
        losses = item_losses(logits, labels, self.task.loss, self.weights)
        return losses + weight * pixel_losses(pixels, batch["truth"].to(device))

    def _window(self, number: int) -> int:
        """Return how many items of this rank the step has that a batch belongs to: their mean loss is made smaller."""
        count = len(self.loader) * self.plan.batch if self.loader.drop_last else len(self.items)
        start = number // self.plan.accumulate * self.batch
        return min(self.batch, count - start)

    def _stepped(self) -> None:
        """Take a step."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        if self.looks.due(self.progress.step):
            self._look()
        self.watcher.step(self.task.name, 1)

    def _look(self) -> None:
        """Look at a random part of the validation items."""
        assert self.validation is not None
        assert isinstance(self.plan.stop, EvaluationMode)
        count = self.plan.stop.items
        parts = -(-len(self.validation) // count)
        part = Stream(self.task.seed, "look", self.progress.step).integer(0, parts)
        with self.fabric.autocast():
            accuracy = look(self.model, self.task, self.validation, part * count, count, self.fabric.device)
        self.looks.look(accuracy)
        self._to_training()

    def _end_epoch(self) -> None:
        """Validate, write the log, and decide what follows."""
        progress = self.progress
        self._add_losses()
        loss = progress.loss / progress.items if self.fabric.is_global_zero else 0.0
        loss = float(self.fabric.broadcast(loss))
        if not math.isfinite(loss):
            raise WorkError(
                f"training loss of {self.task.name} must be finite, got {loss} in epoch {progress.epochs + 1}. "
                f"Lower train.lr, {self.plan.lr}, or train with precision fp32."
            )
        found: dict[str, float] = {}
        if self.validation is not None:
            with self.fabric.autocast():  # not the wrapped network: ranks have unlike numbers of batches
                found = validate(self.model, self.task, self.validation, self.weights, self.fabric.device)
        row = {"phase": self.phase.name, "epoch": progress.epochs + 1, "step": progress.step, "lr": self.schedule.lr}
        row |= {"train_loss": loss, **found, "seconds": round(progress.seconds, 3), "waited": round(progress.waited, 3)}
        progress.rows.append(row)
        self._decide(found.get("val_loss"))
        progress.epoch, progress.epochs = progress.epoch + 1, progress.epochs + 1
        progress.loss, progress.items, progress.seconds, progress.waited = 0.0, 0, 0.0, 0.0
        self.loader.set_epoch(progress.epochs)
        self.files.write_log(progress.rows)
        self.watcher.say(f"{self.task.name}: " + ", ".join(f"{name} {_short(row[name])}" for name in COLUMNS if name in row))
        self.save()

    def _decide(self, loss: float | None) -> None:
        """Keep the weights if they are the best, lower the learning rate, or end the phase."""
        progress = self.progress
        if loss is not None and loss < progress.best:
            progress.best, progress.best_epoch = loss, progress.epochs + 1
            self.files.write(BEST, self.model.state_dict())
        self.schedule.epoch(loss)
        self.patience.epoch(loss)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.lr
        progress.ended = self.schedule.done or self.patience.done or self.looks.done

    def _end_phase(self) -> None:
        """Go to the next phase, from the best weights."""
        progress = self.progress
        if progress.phase + 1 < len(self.phases) and progress.best_epoch is not None:
            self.model.load_state_dict(self.files.weights(BEST))
            progress.best, progress.best_epoch = math.inf, None
        progress.phase, progress.epoch, progress.ended = progress.phase + 1, 0, False
        if progress.phase == len(self.phases):
            self.files.write(LAST, self.model.state_dict())

    # --- what is kept -------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint; every rank calls it."""
        self._add_losses()
        self._add_costs()
        state = {
            "digest": self.task.digest,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "loader": self.loader.state_dict(),
            "schedule": self.schedule.state_dict(),
            "patience": self.patience.state_dict(),
            "looks": self.looks.state_dict(),
            "progress": vars(self.progress),
        }
        self.files.write(CHECKPOINT, state)

    def _take(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.loader.load_state_dict(state["loader"])
        self.progress = Progress(**state["progress"])
        if not self.fabric.is_global_zero:
            self.progress.loss = 0.0

    def _add_losses(self) -> None:
        """Add up the losses of all ranks, on the first."""
        total = self.fabric.all_reduce(self._loss, reduce_op="sum")
        assert isinstance(total, torch.Tensor)
        if self.fabric.is_global_zero:
            self.progress.loss += float(total)
        self._loss = torch.zeros_like(self._loss)

    def _add_costs(self) -> None:
        """Add the time, and the energy if it is known, since they were last added."""
        now, joules = monotonic(), energy(self.fabric.device)
        self.progress.total += now - self._began
        known = self.progress.joules is not None and joules is not None and self._joules is not None and joules >= self._joules
        self.progress.joules = self.progress.joules + joules - self._joules if known else None  # type: ignore[operator]
        self._began, self._joules = now, joules


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
