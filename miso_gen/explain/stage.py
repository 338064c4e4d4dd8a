"""The stage of an experiment that explains: maps of what each network decided by, of each image, into a store of maps.

It goes on where it was stopped. A map is there wholly or not at all, and a group of maps says by a digest what decides them:
where that is another one, its maps are made anew.

**Patches.** Of networks that read patches, all kept patches of an image are explained, with the class of the image unless the
explainer says otherwise. A patch's score is the mean of the absolute values of its map; a cell has the mean score of the patches
that cover it (MISO's SSM and SAM, by the rule of :mod:`miso_gen.data.stitching`). At pixels, a pixel has the mean of the maps of
the patches that cover it, resized to the patch, with their signs, and 0 where there is none.

**Scales.** The map of an image is scaled, not the maps of its patches. ``dataset-max`` and ``dataset-p99`` need all maps of a
group: these are first written unscaled to a group of the name ``NAME-unscaled``, which is removed when the scaled ones are
there. What a store holds under the name of an explainer is always scaled. The number is ``scale_value`` of the group's facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import torch

from miso_gen.errors import InputError
from miso_gen.explain.calling import resting
from miso_gen.explain.experiment import entries_of
from miso_gen.explain.jobs import Form, Job, forms_of, plan_jobs, weights_digest
from miso_gen.explain.network import Network
from miso_gen.explain.rescaling import finish_scaled
from miso_gen.store.maps import MAPS, MapStore
from miso_gen.train.loop import Silent
from miso_gen.train.tasks import tasks_of
from miso_gen.train.training import RUNS, chosen_device, train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miso_gen.store.map_group import MapGroup
    from miso_gen.train import Experiment, TrainedModel
    from miso_gen.train.loop import Watcher
    from miso_gen.train.tasks import Part


@dataclass(frozen=True)
class GroupResult:
    """Maps of one network and one explainer.

    Attributes:
        group: What they have in common.
        images: How many there are.
        made: How many of them were made now.
        blank: How many are 0 everywhere.
        constant: How many have one value everywhere; blank ones, too.
        seconds: Time that it took now.
    """

    group: MapGroup
    images: int
    made: int
    blank: int
    constant: int
    seconds: float


@dataclass(frozen=True)
class ExplainResult:
    """What the stage made, or found.

    Attributes:
        maps: Folder of the store of maps.
        groups: Groups of maps, by network, then by explainer.
        models: The networks.
        left: A line about each explainer that a network has nothing for.
    """

    maps: Path
    groups: tuple[GroupResult, ...]
    models: tuple[TrainedModel, ...]
    left: tuple[str, ...] = ()


def explain_experiment(
    experiment: Experiment,
    runs_folder: str | Path | None = None,
    maps_path: str | Path | None = None,
    *,
    part: Part = "test",
    limit: int | None = None,
    watcher: Watcher | None = None,
) -> ExplainResult:
    """Explain what the networks of an experiment decide by; networks that are not trained yet are trained first.

    Everything that can be checked is, before any work. Maps that are there and are still right stay.

    Args:
        experiment: The experiment.
        runs_folder: Folder of the runs; None: ``runs``.
        maps_path: Store of maps; None: ``maps.zarr`` in the folder of the runs.
        part: Whose images are explained: ``test``, ``validation`` or ``train``.
        limit: Images of each scenario at most, the first ones; None: all.
        watcher: Told of every image.

    Raises:
        RecipeError: The block ``explain`` is wrong.
        InputError: An explainer fits no network, there is nothing to explain, or the experiment does not fit the data.
        OutputError: The store of maps is of another data set, or can't be written.
        WorkError: A map, or the loss of a training, is not finite.
    """
    entries = entries_of(experiment)
    if not entries:
        raise InputError("explain must name an explainer, got none. Write explain: [{type: saliency}], say.")
    if limit is not None and limit < 1:
        raise InputError(f"limit must be 1 image or more, got {limit}. Leave it out for all.")
    tasks = tasks_of(experiment)
    jobs, left = plan_jobs(tasks, entries)
    for task in tasks:
        if not task.ids[part]:
            raise InputError(f"part must have images, got none in {part!r} of {task.scenario}. Take test or train.")
    watcher, folder = watcher or Silent(), Path(RUNS if runs_folder is None else runs_folder)
    for line in left:
        watcher.say(line)
    models = train(experiment, folder, watcher=watcher)
    dataset = tasks[0].dataset
    about = {"name": dataset.name, "version": dataset.version, "root_digest": dataset.root_digest}
    store = MapStore.create(folder / MAPS if maps_path is None else maps_path, dataset=about)
    trained = {model.record["digest"]: model for model in models}
    device = torch.device(chosen_device(experiment))
    groups: list[GroupResult] = []
    for task in tasks:
        mine = [job for job in jobs if job.task is task]
        if mine:
            groups += _explain_one(trained[task.digest], mine, store, device, task.ids[part][:limit], watcher)
    return ExplainResult(store.path, tuple(groups), tuple(models), tuple(left))


def _explain_one(
    trained: TrainedModel, jobs: Sequence[Job], store: MapStore, device: torch.device, ids: Sequence[str], watcher: Watcher
) -> list[GroupResult]:
    """Explain what one network decides by."""
    weights = weights_digest(trained.weights)
    forms = [forms_of(job, weights, ids) for job in jobs]
    missing = [_prepared(store, some, ids) for some in forms]
    network = None
    found: list[GroupResult] = []
    model = trained.load().to(device) if any(missing) else torch.nn.Identity()
    with resting(model):
        for job, some, lacking in zip(jobs, forms, missing, strict=True):
            start, what = monotonic(), f"{job.model}, {job.entry.name}"
            before = {form.group.explainer: _done(store, form.group, ids) for form in some}
            if lacking:
                network = network or Network(job.task, model, device, ids)
                watcher.start(what, len(lacking))
                for _ in network.write(store, job, some, lacking):
                    watcher.step(what, 1)
            for form in some:
                if form.raw is not None:
                    finish_scaled(store, form.raw, form.group, ids, job.entry.explainer.scale)
            seconds = (monotonic() - start) / len(some)  # forms of one explainer are made together
            found += [_result(store, form.group, ids, before[form.group.explainer], seconds) for form in some]
    return found


# --- groups -----------------------------------------------------------------------------------------------------------


def _prepared(store: MapStore, forms: Sequence[Form], ids: Sequence[str]) -> list[str]:
    """Add the groups, instead of those whose maps are other ones; return the images that lack a map."""
    lacking: dict[str, None] = {}
    for form in forms:
        for group in filter(None, (form.group, form.raw)):
            there = _stored(store, group)
            if there is not None and there.facts.get("digest") != group.facts["digest"]:
                store.remove(group.model, group.explainer)
        if form.raw is None:
            _add(store, form.group)
        elif _done(store, form.group, ids) < len(ids):
            _add(store, form.raw)
        done = set(store.ids(form.group.model, form.group.explainer))
        if form.raw is not None:
            done |= set(store.ids(form.raw.model, form.raw.explainer))
        lacking |= dict.fromkeys(image for image in ids if image not in done)
    return [image for image in ids if image in lacking]


def _stored(store: MapStore, group: MapGroup) -> MapGroup | None:
    there = group.explainer in store.explainers(group.model)
    return store.group(group.model, group.explainer) if there else None


def _add(store: MapStore, group: MapGroup) -> None:
    if _stored(store, group) is None:  # one that is there is as good, if other versions made it
        store.add_group(group)


def _done(store: MapStore, group: MapGroup, ids: Sequence[str]) -> int:
    """Return how many of the images have a map."""
    return len(set(store.ids(group.model, group.explainer)) & set(ids))


def _result(store: MapStore, group: MapGroup, ids: Sequence[str], before: int, seconds: float) -> GroupResult:
    said = [store.about(group.model, group.explainer, image) for image in ids]
    blank, constant = (sum(bool(one[key]) for one in said) for key in ("blank", "constant"))
    there = store.group(group.model, group.explainer)
    return GroupResult(there, len(said), len(said) - before, blank, constant, seconds)
