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
from miso_gen.store.map_group import MapGroup
from miso_gen.store.maps import MAPS, MapStore
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
    from miso_gen.store.map_group import MapKind, MapPlace
    from miso_gen.train.tasks import Part, Task

PREDICTIONS: Final = "predictions"
PATCHES, IMAGES = "patches.parquet", "images.parquet"
_EXPLAINERS: Final = ("ppm", "pcm", "ppm-legacy", "pcm-legacy", "heatmap")
ITSELF: Final = "network"  #: rule of images that the network decides itself


@dataclass(frozen=True)
class Predictions:
    """What a network says of the images of a part.

    Attributes:
        folder: ``patches.parquet``, ``images.parquet``, and ``maps.zarr``, a :class:`miso_gen.store.MapStore`.
        images: One row an image and rule: image_id, scenario, split, label, rule, probability of ``positive``, predicted. Where
            images are of several classes at once, label and predicted are 1 for those of ``positive``, else 0.
        patches: One row a patch: where it is, its label, a logit and a probability of each class; None: it reads no patches.
        maps: Explainers that the store has maps of now, the model being called like the run: ``ppm``, ``pcm``, ``ppm-legacy``,
            ``pcm-legacy``, ``heatmap``.
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
    images or bags, it decides itself. Heat maps of networks that have their own are written of whole images, (maps, h, w), or
    (h, w) where there is one whatever the class. Maps of an earlier prediction of the network in the same folder are removed.

    Args:
        run: A trained network, or the folder of its run.
        out: Folder to write to; None: ``predictions/PART`` of the run.
        part: ``test``, ``validation`` or ``train``.
        positive: Class that PCM, PPM and rules speak of, against all others.
        legacy: Whether maps and rules of the released code of MISO are written, too.
        watcher: Told of every image.

    Raises:
        InputError: The run has not finished, its data are others now, or the part has no images.
        OutputError: The folder holds maps of another data set, or can't be written.
    """
    trained = run if isinstance(run, TrainedModel) else TrainedModel.of(run)
    task = trained.task
    if not task.ids[part]:
        raise InputError(f"part must have images, got none in {part!r} of {trained.folder}. Take test or train.")
    if not 0 <= positive < task.num_classes:
        raise InputError(f"positive must be a class from 0 to {task.num_classes - 1}, got {positive}.")
    device = torch.device(chosen_device(trained.experiment))
    folder = Path(out or trained.folder / PREDICTIONS / part)
    facts = {"run": trained.record["digest"], "training_seed": task.seed, "part": part, "versions": trained.record["versions"]}
    work = _Work(task, trained.load().to(device), device, part, positive, _Maps(folder / MAPS, task, facts), watcher)
    return work.of_patches(legacy) if task.reads == "patch" else work.of_images()


class _Work:
    """Predicting a part.

    Args:
        task: What was trained.
        model: The network.
        device: Where it is.
        part: The part.
        positive: The class that maps speak of.
        maps: Where maps go; tables lie beside them.
        watcher: Told of every image.
    """

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        device: torch.device,
        part: Part,
        positive: int,
        maps: _Maps,
        watcher: Watcher | None,
    ) -> None:
        self.task, self.model, self.device, self.positive, self.maps = task, model, device, positive, maps
        self.watcher, self.part = watcher or Silent(), part
        self.items: Items = items_of(task, part)
        self.name = f"{task.name}, {part}"
        self.index = task.dataset.table.set_index("image_id")

    def of_patches(self, legacy: bool) -> Predictions:
        """Predict patches, and images by the rules."""
        table: PatchTable = self.items.table  # type: ignore[union-attr]  # reads patches
        logits = all_logits(self.model, self.task, self.items, self.device)
        shares = self._shares(logits)
        patches = _patch_frame(self.task, table, logits, shares, self.positive)
        rows: list[dict[str, Any]] = []
        kinds = {"": prediction_maps} | ({"-legacy": legacy_prediction_maps} if legacy else {})
        for suffix in kinds:
            for kind in ("ppm", "pcm"):
                self.maps.begin(f"{kind}{suffix}", kind, table, self.positive, signed=bool(suffix))
        self.watcher.start(self.name, len(table.ids))
        for image in table.ids:
            for suffix, make in kinds.items():
                maps = make(table, shares[:, self.positive], image)
                self.maps.write(f"ppm{suffix}", image, maps.ppm.numpy(), self.positive)
                self.maps.write(f"pcm{suffix}", image, maps.pcm.numpy(), self.positive)
                rows += self._decided(image, maps, is_legacy=bool(suffix))
            self.watcher.step(self.name, 1)
        return self._written(rows, patches)

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
                if maps is not None and not rows:
                    size = self.task.dataset[batch["image_id"][0]].shape[-2:]
                    signed = offer_of(self.model).heatmap == "classes"
                    self.maps.begin_heatmap(size, tuple(batch["image"].shape[-2:]), maps.shape[-2:], signed=signed)
                for number, image in enumerate(batch["image_id"]):
                    if maps is not None:
                        self.maps.write("heatmap", image, maps[number], None)
                    share = float(shares[number, self.positive])
                    predicted = int(share >= 0.5) if self.task.several else int(logits[number].argmax())
                    rows.append(self._row(image, ITSELF, share, predicted))
                    self.watcher.step(self.name, 1)
        return self._written(rows, None)

    def _shares(self, logits: Tensor) -> NDArray[np.float64]:
        found: NDArray[np.float64] = probabilities(logits, self.task.loss).numpy()
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
        known: dict[str, Any] = {name: self.index.at[image, name] for name in ("scenario", "split", "label")}
        if self.task.several:
            known["label"] = int(known["label"]) >> self.positive & 1
        return {"image_id": image, **known, "rule": rule, "probability": probability, "predicted": predicted}

    def _written(self, rows: list[dict[str, Any]], patches: pd.DataFrame | None) -> Predictions:
        import pandas as pd

        images, folder = pd.DataFrame(rows), self.maps.store.path.parent
        write_whole(folder / IMAGES, images.to_parquet(index=False))
        if patches is not None:
            write_whole(folder / PATCHES, patches.to_parquet(index=False))
        return Predictions(folder, images, patches, tuple(self.maps.begun))


class _Maps:
    """The store that the maps of one network go to; those of an earlier prediction leave it, others stay.

    Args:
        place: Its folder.
        task: What was trained.
        facts: What is said of every group of maps.
    """

    def __init__(self, place: Path, task: Task, facts: dict[str, Any]) -> None:
        dataset = {name: getattr(task.dataset, name) for name in ("name", "version", "root_digest")}
        self.store, self.model, self.facts = MapStore.create(place, dataset=dataset), task.name, facts
        self.begun: list[str] = []
        for name in set(_EXPLAINERS) & set(self.store.explainers(self.model)):
            self.store.remove(self.model, name)

    def begin(self, name: str, kind: MapKind, table: PatchTable, positive: int, *, signed: bool) -> None:
        """Begin maps of patches."""
        facts = {**self.facts, "positive": positive, "patch_size": table.size, "shift": table.shift}
        self._add(MapGroup(self.model, name, {"type": name}, kind, "grid", table.size // 2, signed, facts))

    def begin_heatmap(self, image: tuple[int, ...], given: tuple[int, ...], heat: tuple[int, ...], *, signed: bool) -> None:
        """Begin maps of the network itself, of size ``heat`` for an image that it is given in size ``given``."""
        facts = {**self.facts, "input_size": list(given)}
        at: MapPlace = "pixel" if heat == image else "grid"
        # Cells of a layer are seldom a whole number of pixels, so no side is given.
        self._add(MapGroup(self.model, "heatmap", {"type": "heatmap"}, "heatmap", at, None, signed, facts))

    def write(self, name: str, image: str, values: NDArray[Any], target: int | None) -> None:
        """Write the map of an image."""
        self.store.write(self.model, name, image, values, target=target)

    def _add(self, group: MapGroup) -> None:
        self.store.add_group(group)
        self.begun.append(group.explainer)


def _patch_frame(task: Task, table: PatchTable, logits: Tensor, shares: NDArray[np.float64], positive: int) -> pd.DataFrame:
    """Return the table of patches with what the network says of each; of several classes at once, whether it is ``positive``."""
    frame = table.frame()
    for number in range(logits.shape[1]):
        frame[f"logit_{number}"] = logits[:, number].numpy()
        frame[f"probability_{number}"] = shares[:, number]
    if task.several:
        frame["label"] = table.label >> positive & 1
        frame["predicted"] = (shares[:, positive] >= 0.5).astype(np.int64)
    else:
        frame["predicted"] = logits.argmax(1).numpy()
    return frame
