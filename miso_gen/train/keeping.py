"""What a training keeps in its folder: checkpoints, weights, log and curves. Of several processes, the first one writes."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import torch

from miso_gen.models.weights import read_state
from miso_gen.train.curves import learning_curves
from miso_gen.train.recording import kept_weights, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lightning.fabric import Fabric
    from torch import Tensor

    from miso_gen.train.tasks import Task

CHECKPOINT, LOG, CURVES, BOARD = "checkpoint.pt", "log.csv", "curves.png", "tensorboard"
COLUMNS = (
    "phase", "epoch", "step", "lr", "train_loss", "val_loss", "val_auroc", "val_accuracy", "val_image_auroc", "seconds", "waited",
)  # fmt: skip


def base_weights(task: Task, folder: Path) -> dict[str, Tensor] | None:
    """Return the weights that a branch goes on from, of the run of its base beside its own; None: it is no branch.

    Raises:
        InputError: They are not there.
    """
    return None if task.base is None else read_state(folder.parent / task.base.folder_name / kept_weights(task.base))


class RunFiles:
    """The files of a run; every rank calls each method, and waits until the files are there.

    Args:
        fabric: The processes.
        folder: Where the files are.
        title: Name of the run, on its curves.
    """

    def __init__(self, fabric: Fabric, folder: Path, title: str) -> None:
        self.fabric, self.folder, self.title = fabric, folder, title

    def checkpoint(self) -> dict[str, Any] | None:
        """Return the last checkpoint, on the CPU; None: there is none."""
        path = self.folder / CHECKPOINT
        return torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else None

    def weights(self, name: str) -> dict[str, Any]:
        """Return weights that were written, where the network is."""
        self.fabric.barrier()
        state: dict[str, Any] = torch.load(self.folder / name, map_location=self.fabric.device, weights_only=True)
        return state

    def write(self, name: str, state: Mapping[str, Any]) -> None:
        """Write weights or a checkpoint, wholly or not at all."""
        if self.fabric.is_global_zero:
            data = io.BytesIO()
            torch.save(state, data)
            write_whole(self.folder / name, data.getvalue())
        self.fabric.barrier()

    def write_log(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the log, its curves, and its last row for TensorBoard where that is installed."""
        if not self.fabric.is_global_zero:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.folder / LOG, text.getvalue().encode())
        write_whole(self.folder / CURVES, learning_curves(rows, self.title))
        board = _board(self.folder / BOARD)
        if board is not None:
            with board:
                for name, value in rows[-1].items():
                    if isinstance(value, int | float) and name not in ("epoch", "step"):
                        board.add_scalar(name, value, rows[-1]["epoch"])


def _board(folder: Path) -> Any:
    """Return a writer for TensorBoard, None where that is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
