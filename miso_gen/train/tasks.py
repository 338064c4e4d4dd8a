"""One training of an experiment: a network, a scenario, a seed, and everything else that decides its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import blake3
import numpy as np

from miso_gen.data import split_ids
from miso_gen.data.items import labels_of
from miso_gen.errors import InputError, UnknownNameError, listing
from miso_gen.models.weights import WeightsFile
from miso_gen.rng import Stream
from miso_gen.store import open_dataset

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from miso_gen.models import Network
    from miso_gen.models.interfaces import Reads
    from miso_gen.store import Dataset
    from miso_gen.train.experiment import Experiment, Splits

Part = Literal["train", "validation", "test"]

#: Keys of the block ``train`` that change how long training takes, or what else is trained, and no weight.
_IDLE = ("seeds", "workers", "checkpoint_steps", "reads", "base")
MULTI_HOT = "params.multi_hot"  #: column of the index: a list of 0 and 1, one for each class; and the bits of the label
KNOWN = "truth_2_known"  #: column of the index: whether anybody knows which objects make the label
_FORMAT = 1  #: raised whenever the same experiment gives other weights


@dataclass(frozen=True, eq=False)
class Task:
    """A network to train.

    Attributes:
        experiment: What the user wrote.
        dataset: The store.
        scenario: Name of the scenario.
        network: Parameters of the network.
        seed: Decides weights, order, dropout and augmentation.
        reads: What the network is given.
        ids: Images of each part; no validation: empty.
        in_channels: Channels of images.
        num_classes: Classes of the scenario.
        image_size: Height and width of what the network is given, px.
        several: Whether an item may be of several classes: bit c of its label says whether it is of class c.
        base: What it goes on from; None: from the start.
    """

    experiment: Experiment
    dataset: Dataset
    scenario: str
    network: Network
    seed: int
    reads: Reads
    ids: Mapping[Part, tuple[str, ...]]
    in_channels: int
    num_classes: int
    image_size: tuple[int, int]
    several: bool = False
    base: Task | None = None

    @property
    def loss(self) -> str:
        """``cross-entropy`` or ``binary-cross-entropy``."""
        wanted = self.experiment.train.loss
        return ("binary-cross-entropy" if self.several else "cross-entropy") if wanted == "auto" else wanted

    @property
    def label(self) -> str:
        """The network as tables call it: its type; numbered where the experiment has several of one type, as it lists them."""
        same = [network for network in self.experiment.models if network.type_name == self.network.type_name]
        return self.network.type_name + (f"-{same.index(self.network) + 1}" if len(same) > 1 else "")

    @property
    def name(self) -> str:
        """Scenario, network and seed: ``evp-vgg19-0``."""
        return f"{self.scenario}-{self.label}-{self.seed}"

    @property
    def folder_name(self) -> str:
        """Scenario, type of the network, seed, and the beginning of the digest: whatever else the experiment has."""
        return f"{self.scenario}-{self.network.type_name}-{self.seed}-{self.digest[:8]}"

    @cached_property
    def digest(self) -> str:
        """BLAKE3 of everything that decides the weights, hexadecimal."""
        return blake3.blake3(json.dumps(self._inputs(), sort_keys=True).encode()).hexdigest()

    def _inputs(self) -> dict[str, Any]:
        spec = self.experiment.to_spec()
        train = {name: value for name, value in spec["train"].items() if name not in _IDLE}
        weights = self.network.weights
        file = Path(weights.file if isinstance(weights, WeightsFile) else weights)
        return {
            "format": _FORMAT,
            "root_digest": self.dataset.root_digest,
            "scenario": self.scenario,
            "ids": {part: self.ids[part] for part in ("train", "validation")},
            "reads": self.reads,
            "patches": None if self.reads == "image" else spec["patches"],
            "model": self.network.to_spec(),
            "revision": self.network.revision,
            "weights": blake3.blake3(file.read_bytes()).hexdigest() if file.is_file() else None,
            "train": train,
            "seed": self.seed,
            "base": None if self.base is None else self.base.digest,
        }


def tasks_of(experiment: Experiment) -> list[Task]:
    """Return the trainings of an experiment: by scenario, then network, then seed. Bases are those of their branches alone.

    Raises:
        InputError: Something of the experiment doesn't fit the data or a network.
        UnknownNameError: The store has no such scenario or split.
        StoreError: There is no store, or it can't be read.
    """
    dataset = open_dataset(experiment.dataset)
    return list(_tasks(experiment, dataset))


def _tasks(experiment: Experiment, dataset: Dataset) -> Iterator[Task]:
    scenarios = experiment.scenarios or tuple(dataset.scenarios)
    for scenario in scenarios:
        if scenario not in dataset.scenarios:
            raise UnknownNameError("scenario", scenario, dataset.scenarios)
        ids = _ids(experiment, dataset, scenario)
        channels, size = _shape(dataset, ids["train"])
        every = [name for part in ids.values() for name in part]
        bits = _bits(dataset, scenario)
        classes = bits or max(2, int(labels_of(dataset, every).max()) + 1)
        for network in experiment.models:
            reads = _reads(experiment, network)
            side = experiment.patches.size
            given = size if reads == "image" else (side, side)
            network.sizes.check(given, network.type_name)
            start = Task(experiment, dataset, scenario, network, 0, reads, ids, channels, classes, given, bits is not None)
            _check(start)
            base = _base(start)
            for seed in experiment.train.seeds:
                yield replace(start, seed=seed, base=base)


def _base(task: Task) -> Task | None:
    """Return what the branches of an experiment go on from: a training of the same without branches and early end."""
    train = task.experiment.train
    if train.base is None:
        return None
    alone = train.model_copy(update={"base": None, "stop": None, "epochs": train.base.epochs, "seeds": (train.base.seed,)})
    return replace(task, experiment=task.experiment.model_copy(update={"train": alone}), seed=train.base.seed)


def _bits(dataset: Dataset, scenario: str) -> int | None:
    """Return how many classes images of a scenario may be of at once; None: an image is of one class."""
    table = dataset.table
    if MULTI_HOT not in table:
        return None
    given = table.loc[table["scenario"] == scenario, MULTI_HOT].dropna()
    return len(json.loads(given.iloc[0])) if len(given) else None


def _reads(experiment: Experiment, network: Network) -> Reads:
    wanted = experiment.train.reads
    if wanted == "auto":
        return network.reads[0]
    if wanted not in network.reads:
        raise InputError(f"train.reads must be one of {listing(network.reads)} for {network.type_name}, got {wanted!r}.")
    return wanted


def _ids(experiment: Experiment, dataset: Dataset, scenario: str) -> dict[Part, tuple[str, ...]]:
    splits = experiment.splits
    table = dataset.table
    mine = table[table["scenario"] == scenario]
    known = tuple(dict.fromkeys(mine["split"]))
    for name in (splits.train, splits.test, splits.validation):
        if name is not None and name not in known:
            raise UnknownNameError(f"split of {scenario}", name, known)

    def of(split: str) -> tuple[str, ...]:
        return tuple(mine[mine["split"] == split]["image_id"])

    train, test = of(splits.train), _some(mine, of(splits.test), splits)
    if splits.validation is not None:
        return {"train": train, "validation": of(splits.validation), "test": test}
    if not splits.share:
        return {"train": train, "validation": (), "test": test}
    shares = {"train": 1.0 - splits.share, "validation": splits.share}
    parts = split_ids(dataset, by=splits.group, ids=train, shares=shares)
    return {"train": parts["train"], "validation": parts["validation"], "test": test}


def _some(table: pd.DataFrame, ids: tuple[str, ...], splits: Splits) -> tuple[str, ...]:
    """Return at most so many images as are wanted to test on, in whole groups, one group at least."""
    if splits.most is None or len(ids) <= splits.most:
        return ids
    named = table.set_index("image_id").loc[list(ids), splits.group]
    owner = named.where(named.notna(), named.index.to_series()).astype(str)  # an image without a group is one by itself
    groups = list(dict.fromkeys(owner))
    taken: set[str] = set()
    room = splits.most
    for place in np.argsort(Stream("splits", "most").raw(len(groups)), kind="stable"):
        size = int((owner == groups[place]).sum())
        if size <= room or not taken:
            taken.add(groups[place])
            room -= size
    return tuple(image_id for image_id, group in zip(ids, owner, strict=True) if group in taken)


def _shape(dataset: Dataset, ids: tuple[str, ...]) -> tuple[int, tuple[int, int]]:
    channels, height, width = dataset[ids[0]].shape
    return channels, (height, width)


def _check(task: Task) -> None:
    """Refuse what can't be together."""
    train, patches = task.experiment.train, task.experiment.patches
    needs = [
        name
        for name, there in (
            ("train.schedule plateau", train.schedule.type == "plateau"),
            ("train.stop", train.stop is not None),
            ("train.keep best", train.keep == "best"),
        )
        if there
    ]
    if needs and not task.ids["validation"]:
        raise InputError(f"{needs[0]} must have validation images, got none. Raise splits.share, or name splits.validation.")
    for name, value, only in (
        ("patches.labels truth", patches.labels == "truth", "patch"),
        ("patches.most", patches.most, "bag"),
    ):
        if value and task.reads != only:
            raise InputError(f"{name} must go with networks that read a {only}, got one that reads a {task.reads}. Leave it out.")
    weights, classes = train.class_weights, task.num_classes
    if isinstance(weights, tuple) and len(weights) != classes:
        raise InputError(f"train.class_weights must be {classes} numbers, one for each class, got {len(weights)}.")
    if task.several and train.loss == "cross-entropy":
        raise InputError(
            f"train.loss must be auto or binary-cross-entropy for {task.scenario}, got 'cross-entropy'. "
            "Its images may be of several classes at once."
        )
    if task.several and patches.labels == "truth":
        raise InputError(
            f"patches.labels must be inherit for {task.scenario}, got 'truth'. "
            "Its images may be of several classes at once, and the truth doesn't say of which a pixel is."
        )
    _check_pixels(task)


def _check_pixels(task: Task) -> None:
    """Refuse a loss of pixels where nobody labels them or nobody knows their labels, and a head that nothing trains."""
    train, name = task.experiment.train, task.network.type_name
    if not train.pixel_loss:
        if task.network.pixel_levels and train.devices > 1:
            raise InputError(f"train.devices must be 1 for {name} without train.pixel_loss, got {train.devices}.")
        return
    if not task.network.pixel_levels:
        raise InputError(f"train.pixel_loss must be 0 for {name}, got {train.pixel_loss}. It does not label pixels.")
    rows = task.dataset.table.set_index("image_id").loc[list(task.ids["train"])]
    unknown = [] if KNOWN not in rows else rows.index[rows[KNOWN].eq(other=False)].tolist()
    if unknown:
        raise InputError(
            f"train.pixel_loss must have images whose evidence is known, got {listing(unknown, 3)}, whose evidence nobody knows. "
            "Set it to 0."
        )
