"""One training of an experiment: a network, a scenario, a seed, and everything else that decides its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import blake3

from miso_gen.data import split_ids
from miso_gen.data.items import labels_of
from miso_gen.errors import InputError, UnknownNameError, listing
from miso_gen.models.weights import WeightsFile
from miso_gen.store import open_dataset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miso_gen.models import Network
    from miso_gen.models.interfaces import Reads
    from miso_gen.store import Dataset
    from miso_gen.train.experiment import Experiment

Part = Literal["train", "validation", "test"]

#: Keys of the block ``train`` that change how long training takes, or what else is trained, and no weight.
_IDLE = ("seeds", "workers", "checkpoint_steps", "reads")
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

    @property
    def name(self) -> str:
        """Scenario, network and seed: ``evp-vgg19-0``."""
        return f"{self.scenario}-{self.network.type_name}-{self.seed}"

    @property
    def folder_name(self) -> str:
        """Name with the beginning of the digest."""
        return f"{self.name}-{self.digest[:8]}"

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
        }


def tasks_of(experiment: Experiment) -> list[Task]:
    """Return the trainings of an experiment: by scenario, then network, then seed.

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
        classes = max(2, int(labels_of(dataset, every).max()) + 1)
        for network in experiment.models:
            reads = _reads(experiment, network)
            side = experiment.patches.size
            given = size if reads == "image" else (side, side)
            network.sizes.check(given, network.type_name)
            _check(experiment, reads, bool(ids["validation"]), classes)
            for seed in experiment.train.seeds:
                yield Task(experiment, dataset, scenario, network, seed, reads, ids, channels, classes, given)


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

    train, test = of(splits.train), of(splits.test)
    if splits.validation is not None:
        return {"train": train, "validation": of(splits.validation), "test": test}
    if not splits.share:
        return {"train": train, "validation": (), "test": test}
    shares = {"train": 1.0 - splits.share, "validation": splits.share}
    parts = split_ids(dataset, by=splits.group, ids=train, shares=shares)
    return {"train": parts["train"], "validation": parts["validation"], "test": test}


def _shape(dataset: Dataset, ids: tuple[str, ...]) -> tuple[int, tuple[int, int]]:
    channels, height, width = dataset[ids[0]].shape
    return channels, (height, width)


def _check(experiment: Experiment, reads: Reads, validates: bool, classes: int) -> None:
    """Refuse what can't be together."""
    train, patches = experiment.train, experiment.patches
    needs = [
        name
        for name, there in (
            ("train.schedule plateau", train.schedule.type == "plateau"),
            ("train.stop", train.stop is not None),
            ("train.keep best", train.keep == "best"),
        )
        if there
    ]
    if needs and not validates:
        raise InputError(f"{needs[0]} must have validation images, got none. Raise splits.share, or name splits.validation.")
    for name, value, only in (
        ("patches.labels truth", patches.labels == "truth", "patch"),
        ("patches.most", patches.most, "bag"),
    ):
        if value and reads != only:
            raise InputError(f"{name} must go with networks that read a {only}, got one that reads a {reads}. Leave it out.")
    weights = train.class_weights
    if isinstance(weights, tuple) and len(weights) != classes:
        raise InputError(f"train.class_weights must be {classes} numbers, one for each class, got {len(weights)}.")
