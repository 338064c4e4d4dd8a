"""What an experiment explains: which explainer with which network, and the groups of maps that come of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import blake3
import torch

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.explain.experiment import LEGACY, PIXEL, UNSCALED, Entry
from miso_gen.explain.interfaces import LayerExplainer, Subject, check_needs
from miso_gen.explain.layers import chosen_layers
from miso_gen.models import create_model, offer_of
from miso_gen.store.map_group import MapGroup
from miso_gen.train.recording import versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from miso_gen.store.map_group import MapKind
    from miso_gen.train.tasks import Task

FORMAT: Final = 1  #: raised whenever the same inputs give other maps
DATASET: Final = "dataset-"  #: beginning of the names of scales over all maps of a group

#: Where values lie: on cells of half a patch, at pixels, or on cells as the released code of MISO lays them.
Place: TypeAlias = Literal["grid", "pixel", "legacy"]


@dataclass(frozen=True, eq=False)
class Job:
    """An explainer of a network.

    Attributes:
        task: What was trained.
        entry: The explainer.
        model: Name of the network in the store of maps: that of the task.
        places: Where values lie, at least one.
    """

    task: Task
    entry: Entry
    model: str
    places: tuple[Place, ...]


def plan_jobs(tasks: Sequence[Task], entries: Sequence[Entry]) -> tuple[list[Job], list[str]]:
    """Return what is to be explained, and a line about each explainer that a network has nothing for.

    An explainer that needs attention is left out for networks that have none, say, and so on; it must fit one.

    Raises:
        InputError: An explainer fits no network of the experiment.
        UnknownNameError: The same, for a layer that no network has.
    """
    names, modules = [task.name for task in tasks], _Modules()
    jobs: list[Job] = []
    left: list[str] = []
    for number, entry in enumerate(entries):
        first: InputError | UnknownNameError | None = None
        fits = False
        for task, name in zip(tasks, names, strict=True):
            try:
                places = places_of(task, entry)
                _check_model(task, entry, modules)
            except (InputError, UnknownNameError) as error:
                first = first or error
                left.append(f"{name}: without {entry.name}: {error}")
            else:
                jobs.append(Job(task, entry, name, places))
                fits = True
        if first is not None and not fits:
            raise InputError(f"explain[{number}] must fit a network of the experiment, got {entry.name!r} for none: {first}")
    return sorted(jobs, key=lambda job: names.index(job.model)), left


def places_of(task: Task, entry: Entry) -> tuple[Place, ...]:
    """Return where the values of maps lie.

    Raises:
        InputError: There are no maps there, of what the network reads.
    """
    reads, at, name = task.reads, entry.at, entry.name
    if reads == "image" and (at == "grid" or entry.legacy):
        wanted = "at: grid" if at == "grid" else "legacy: true"
        raise InputError(f"{wanted} must go with networks that read patches or bags, got {name!r} of images. Leave it out.")
    if reads == "image":
        return ("pixel",)
    if reads == "bag" and (at == "pixel" or entry.legacy):
        wanted = "at: pixel" if at == "pixel" else "legacy: true"
        raise InputError(f"{wanted} must go with networks that read patches, got {name!r} of bags. Leave it out.")
    if entry.legacy and entry.is_null:
        raise InputError(f"legacy: true must go with explainers of networks, got {name!r}. Leave it out.")
    if reads == "bag" and not entry.is_null and entry.explainer.type_name != "attention":
        raise InputError(f"explainer must be attention, a null or the oracle for networks that read bags, got {name!r}.")
    wanted_places: tuple[Place, ...] = {"pixel": ("pixel",), "both": ("grid", "pixel")}.get(at, ("grid",))  # type: ignore[assignment]
    places = wanted_places if reads == "patch" else ("grid",)
    size = task.experiment.patches.size
    if "grid" in places and size % 2:
        raise InputError(f"size of patches must be even for maps of cells, got {size}. Change it, or write at: pixel.")
    return (*places, "legacy") if entry.legacy else places


def _check_model(task: Task, entry: Entry, modules: _Modules) -> None:
    """Refuse an explainer that a network has nothing for, or a class that isn't."""
    explainer = entry.explainer
    if explainer.class_sensitive and not entry.is_null:
        if isinstance(explainer.explains, int) and explainer.explains >= task.num_classes:
            raise InputError(
                f"explains must be a class from 0 to {task.num_classes - 1} for {task.scenario}, got {explainer.explains}."
            )
        if explainer.explains == "label" and task.several:
            raise InputError(
                f"explains must be predicted or a number where images are of several classes, got 'label' for {task.scenario}."
            )
    if entry.is_null:
        return
    model = modules.of(task)
    image = torch.zeros(1, task.in_channels, *task.image_size, device="meta")
    check_needs(explainer, Subject(model, image, torch.zeros(1, dtype=torch.int64, device="meta"), (0,)))
    if isinstance(explainer, LayerExplainer):
        chosen_layers(model, explainer.layer)
    named, there = getattr(explainer, "module", None), offer_of(model).attention
    if "attention" in explainer.needs and isinstance(named, str) and named not in there:
        raise UnknownNameError("attention map", named, there)


class _Modules:
    """Networks without weights, each built once."""

    def __init__(self) -> None:
        self._made: dict[str, nn.Module] = {}

    def of(self, task: Task) -> nn.Module:
        size = task.image_size
        spec = {**task.network.to_spec(), "weights": "none"}
        key = json.dumps([spec, task.in_channels, task.num_classes, size])
        if key not in self._made:
            with torch.device("meta"):
                self._made[key] = create_model(spec, in_channels=task.in_channels, num_classes=task.num_classes, image_size=size)
        return self._made[key]


@dataclass(frozen=True, eq=False)
class Form:
    """Maps of a job at one place.

    Attributes:
        place: Where their values lie.
        group: Their group.
        raw: Group of the maps that wait to be scaled, when all of them are there; None: none wait.
    """

    place: Place
    group: MapGroup
    raw: MapGroup | None = None

    @property
    def target(self) -> MapGroup:
        """The group that maps are written to as they are made."""
        return self.raw or self.group


def forms_of(job: Job, weights: str, ids: Sequence[str]) -> list[Form]:
    """Return the groups of maps of a job.

    Each says by a digest what decides its maps: data set, weights, network, explainer and revision, how images are cut, where
    values lie; and the images, where it is scaled over all of them.

    Args:
        job: The explainer and the network.
        weights: Digest of the weights.
        ids: The images.
    """
    entry, task = job.entry, job.task
    explainer = entry.explainer
    wide = explainer.scale.startswith(DATASET)
    found = []
    for place in job.places:
        pixels = place == "pixel"
        inputs = {
            "format": FORMAT,
            "root_digest": task.dataset.root_digest,
            "weights": weights,
            "model": task.network.to_spec(),
            "explainer": {key: value for key, value in explainer.to_spec().items() if key != "name"},
            "revision": explainer.revision,
            "reads": task.reads,
            "patches": None if task.reads == "image" else task.experiment.to_spec()["patches"],
            "place": place,
            "seed": task.seed,
            "ids": list(ids) if wide else None,
        }
        name = entry.name + {"grid": "", "pixel": PIXEL if "grid" in job.places else "", "legacy": LEGACY}[place]
        group = MapGroup(
            job.model,
            name,
            explainer.to_spec(),
            _kind(job),
            "pixel" if pixels else "grid",
            None if pixels else task.experiment.patches.size // 2,
            explainer.is_signed if pixels or entry.is_null else False,
            {
                "digest": _digest(inputs),
                "weights": weights,
                "scenario": task.scenario,
                "seed": task.seed,
                "reads": task.reads,
                "patches": inputs["patches"],
                "revision": explainer.revision,
                "legacy": place == "legacy",
                "versions": versions(),
            },
        )
        later = wide or (pixels and task.reads == "patch" and explainer.scale != "none" and not entry.is_null)
        found.append(Form(place, group, replace(group, explainer=name + UNSCALED) if later else None))
    return found


def _kind(job: Job) -> MapKind:
    name = job.entry.explainer.type_name
    if job.task.reads != "image":
        return "sam" if name == "attention" else "ssm"
    return "heatmap" if name == "heatmap" else "pixel"


def weights_digest(file: Path) -> str:
    """Return the BLAKE3 of a file of weights, hexadecimal."""
    hasher = blake3.blake3()
    with file.open("rb") as data:
        while part := data.read(1 << 20):
            hasher.update(part)
    return hasher.hexdigest()


def _digest(inputs: dict[str, Any]) -> str:
    return blake3.blake3(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
