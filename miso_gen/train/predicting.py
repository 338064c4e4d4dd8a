"""What a trained network says: of every patch, of every image, and where it says so itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from miso_gen.errors import InputError
from miso_gen.metrics import DECISIONS, decide, prediction_maps
from miso_gen.metrics.patch_maps import legacy_prediction_maps
from miso_gen.models import offer_of
from miso_gen.train.evaluating import probabilities
from miso_gen.train.feeding import Items, all_logits, items_of, loader_of, logits_of
from miso_gen.train.loop import Silent, Watcher
from miso_gen.train.recording import write_whole
from miso_gen.train.training import TrainedModel, chosen_device

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from miso_gen.data.patches import PatchTable
    from miso_gen.metrics.patch_maps import PredictionMaps
    from miso_gen.train.tasks import Part, Task

PREDICTIONS: Final = "predictions"
PATCHES, IMAGES, MAPS = "patches.parquet", "images.parquet", "maps"
ITSELF: Final = "network"  #: rule of images that the network decides itself


@dataclass(frozen=True)
class Predictions:
    """What a network says of the images of a part.

    Attributes:
        folder: ``patches.parquet``, ``images.parquet``, ``maps/KIND/IMAGE.npy``.
        images: One row an image and rule: image_id, scenario, split, label, rule, probability of ``positive``, predicted.
        patches: One row a patch: where it is, its label, a logit and a probability of each class; None: it reads no patches.
        maps: Kinds of maps that were written: ``ppm``, ``pcm``, ``ppm-legacy``, ``pcm-legacy``, ``heatmap``.
    """

    folder: Path
    images: pd.DataFrame
    patches: pd.DataFrame | None
    maps: tuple[str, ...]


def predict(
    run: TrainedModel | str | Path,
    out: str | Path | None = None,
    *,
    part: Part = "test",
    positive: int = 1,
    legacy: bool = False,
    watcher: Watcher | None = None,
) -> Predictions:
    """Predict the images of a part, and write tables and maps.

    Of a network that reads patches, cells of half a patch get the mean probability of ``positive`` over the patches that cover
    them (PCM), and whether that is at least 0.5 (PPM); the six decision rules make the class of the image of them. Where it reads
    images or bags, it decides itself. Heat maps of networks that have their own are written of whole images, (maps, h, w) each.

    Args:
        run: A trained network, or the folder of its run.
        out: Folder to write to; None: ``predictions/PART`` of the run.
        part: ``test``, ``validation`` or ``train``.
        positive: Class that PCM, PPM and rules speak of, against all others.
        legacy: Whether maps and rules of the released code of MISO are written, too.
        watcher: Told of every image.

    Raises:
        InputError: The run has not finished, its data are others now, or the part has no images.
    """
    trained = run if isinstance(run, TrainedModel) else TrainedModel.of(run)
    task = trained.task
    if not task.ids[part]:
        raise InputError(f"part must have images, got none in {part!r} of {trained.folder}. Take test or train.")
    if not 0 <= positive < task.num_classes:
        raise InputError(f"positive must be a class from 0 to {task.num_classes - 1}, got {positive}.")
    device = torch.device(chosen_device(trained.experiment))
    work = _Work(
        task, trained.load().to(device), device, part, positive, Path(out or trained.folder / PREDICTIONS / part), watcher
    )
    return work.of_patches(legacy) if task.reads == "patch" else work.of_images()


class _Work:
    """Predicting a part.

    Args:
        task: What was trained.
        model: The network.
        device: Where it is.
        part: The part.
        positive: The class that maps speak of.
        folder: Where to write.
        watcher: Told of every image.
    """

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        device: torch.device,
        part: Part,
        positive: int,
        folder: Path,
        watcher: Watcher | None,
    ) -> None:
        self.task, self.model, self.device, self.positive, self.folder = task, model, device, positive, folder
        self.watcher, self.part = watcher or Silent(), part
        self.items: Items = items_of(task, part)
        self.name = f"{task.name}, {part}"
        self.index = task.dataset.table.set_index("image_id")

    def of_patches(self, legacy: bool) -> Predictions:
        """Predict patches, and images by the rules."""
        table: PatchTable = self.items.table  # type: ignore[union-attr]  # reads patches
        logits = all_logits(self.model, self.task, self.items, self.device)
        shares = self._shares(logits)
        patches = _patch_frame(table, logits, shares)
        rows: list[dict[str, Any]] = []
        self.watcher.start(self.name, len(table.ids))
        for image in table.ids:
            kinds = {"": prediction_maps} | ({"-legacy": legacy_prediction_maps} if legacy else {})
            for suffix, make in kinds.items():
                maps = make(table, shares[:, self.positive], image)
                self._write_map(f"ppm{suffix}", image, maps.ppm.numpy())
                self._write_map(f"pcm{suffix}", image, maps.pcm.numpy())
                rows += self._decided(image, maps, is_legacy=bool(suffix))
            self.watcher.step(self.name, 1)
        names = ("ppm", "pcm") + (("ppm-legacy", "pcm-legacy") if legacy else ())
        return self._written(rows, patches, names)

    def of_images(self) -> Predictions:
        """Predict images or bags."""
        items, ids = self.items, self.items.ids  # type: ignore[union-attr]  # reads images or bags
        heatmap = self.task.reads == "image" and offer_of(self.model).heatmap is not None
        rows: list[dict[str, Any]] = []
        self.watcher.start(self.name, len(ids))
        with torch.no_grad():
            for batch in loader_of(self.task, items, training=False):
                logits = logits_of(self.model, batch, self.device).float().cpu()
                shares = self._shares(logits)
                maps = logits_of(self.model.heatmap, batch, self.device).float().cpu().numpy() if heatmap else None  # type: ignore[arg-type]
                for number, image in enumerate(batch["image_id"]):
                    if maps is not None:
                        self._write_map("heatmap", image, maps[number])
                    predicted = int(logits[number].argmax())
                    rows.append(self._row(image, ITSELF, float(shares[number, self.positive]), predicted))
                    self.watcher.step(self.name, 1)
        return self._written(rows, None, ("heatmap",) if heatmap else ())

    def _shares(self, logits: Tensor) -> NDArray[np.float64]:
        found: NDArray[np.float64] = probabilities(logits, self.task.experiment.train.loss).numpy()
        return found

    def _decided(self, image: str, maps: PredictionMaps, *, is_legacy: bool) -> list[dict[str, Any]]:
        """Return a row for each rule of the kind of the maps."""
        rows = []
        for name, rule in DECISIONS:
            if rule.legacy == is_legacy:
                probability = rule().probability(maps)
                rows.append(self._row(image, name, float(probability), int(decide(probability))))
        return rows

    def _row(self, image: str, rule: str, probability: float, predicted: int) -> dict[str, Any]:
        known = {name: self.index.at[image, name] for name in ("scenario", "split", "label")}
        return {"image_id": image, **known, "rule": rule, "probability": probability, "predicted": predicted}

    def _write_map(self, kind: str, image: str, values: NDArray[Any]) -> None:
        from io import BytesIO

        data = BytesIO()
        np.save(data, np.asarray(values, np.float32))
        write_whole(self.folder / MAPS / kind / f"{image}.npy", data.getvalue())

    def _written(self, rows: list[dict[str, Any]], patches: pd.DataFrame | None, maps: tuple[str, ...]) -> Predictions:
        import pandas as pd

        images = pd.DataFrame(rows)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / IMAGES, images.to_parquet(index=False))
        if patches is not None:
            write_whole(self.folder / PATCHES, patches.to_parquet(index=False))
        return Predictions(self.folder, images, patches, maps)


def _patch_frame(table: PatchTable, logits: Tensor, shares: NDArray[np.float64]) -> pd.DataFrame:
    """Return the table of patches with what the network says of each."""
    frame = table.frame()
    for number in range(logits.shape[1]):
        frame[f"logit_{number}"] = logits[:, number].numpy()
        frame[f"probability_{number}"] = shares[:, number]
    frame["predicted"] = logits.argmax(1).numpy()
    return frame
