"""Sanity studies of the explainers of an experiment: do maps depend on what a network learned, and do they add up?

Each network explains some patches or images that hold evidence, drawn once, the same for all networks of a scenario.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import torch

from miso_gen.errors import InputError, UnknownNameError, listing
from miso_gen.explain.calling import explaining, maps_of, resting
from miso_gen.explain.channels import ChannelExplainer
from miso_gen.explain.experiment import Entry, entries_of
from miso_gen.explain.interfaces import Explainer, Subject
from miso_gen.explain.jobs import plan_jobs
from miso_gen.explain.layers import feature_layers
from miso_gen.explain.network import targets_of
from miso_gen.explain.pooling import resized
from miso_gen.explain.sample import Sample, draw_sample
from miso_gen.metrics.asking import chunks
from miso_gen.metrics.interfaces import MAP_BINARIZERS, MODEL_METRICS, Explained
from miso_gen.metrics.plugins import plugin_of
from miso_gen.metrics.randomizing import LAYERS, layers_of
from miso_gen.rng import Stream
from miso_gen.train.loop import Silent
from miso_gen.train.tasks import tasks_of
from miso_gen.train.training import chosen_device, train

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    from torch import Tensor, nn

    from miso_gen.train import Experiment
    from miso_gen.train.loop import Watcher
    from miso_gen.train.tasks import Part, Task

Study: TypeAlias = Literal["randomization", "dropout", "axioms"]
Rows: TypeAlias = "list[dict[str, Any]]"

PASSES: Final = 10  #: with dropout
_DROPOUT: Final = (torch.nn.modules.dropout._DropoutNd,)  # all of torch


def sanity_study(
    experiment: Experiment,
    study: Study,
    runs_folder: str | Path | None = None,
    *,
    explainer: str | None = None,
    part: Part = "test",
    items: int = 32,
    watcher: Watcher | None = None,
) -> pd.DataFrame:
    """Return the table of a study; networks that are not trained yet are trained first.

    ``randomization``: one row for each network, explainer, order (``cascading``: weights of all stages up to this one are drawn
    anew; ``independent``: of this one) and stage, with the rank correlation of the maps with those of the trained network. Stages
    are the head and the feature layers from the last to the first, or each layer where feature layers hold no weights.

    ``dropout``: one row with dropout on and one with it off, with the intersection over union of masks (above mean + standard
    deviation) with the evidence: pooled over items as You has it, and its mean; both are means over ten passes where it is on.

    ``axioms``: one row for each feature layer, with the scores ``conservation-axiom`` and ``sensitivity-axiom``, of explainers
    that weigh channels. Relevance starts as the logit; starts that add up to 0, or to something else, are left out.

    Args:
        experiment: The experiment.
        study: What is asked.
        runs_folder: Folder of the runs; None: ``runs``.
        explainer: Name of one of its explainers; None: all that the study can ask.
        part: Whose patches or images are drawn.
        items: How many, at most.
        watcher: Told of every explainer.

    Raises:
        UnknownNameError: The experiment has no such explainer.
        InputError: There is nothing that the study can ask.

    Source: Adebayo et al., Sanity checks for saliency maps, 2018; You, sanity checks, dropout of layers, axioms.
    """
    import pandas as pd

    entries = entries_of(experiment)
    names = [entry.name for entry in entries]
    if explainer is not None and explainer not in names:
        raise UnknownNameError("explainer", explainer, names)
    chosen = [entry for entry in entries if explainer in (None, entry.name) and not entry.is_null]
    if study == "axioms":
        chosen = [entry for entry in chosen if _adds_up(entry.explainer)]
    if not chosen:
        kinds = "that weigh channels, such as gradcam" if study == "axioms" else "that ask the network"
        raise InputError(f"explain must name explainers {kinds} for the study {study}, got {listing(names)}.")
    tasks = [task for task in tasks_of(experiment) if task.reads != "bag"]
    jobs, left = plan_jobs(tasks, chosen) if tasks else ([], ["networks that read bags have no such study"])
    watcher = watcher or Silent()
    for line in left:
        watcher.say(line)
    trained = {model.record["digest"]: model for model in train(experiment, runs_folder, watcher=watcher)}
    device = torch.device(chosen_device(experiment))
    rows: Rows = []
    for task in tasks:
        mine = [job for job in jobs if job.task is task]
        if not mine:
            continue
        model = trained[task.digest].load().to(device)
        sample = draw_sample(task, part, items, device)
        watcher.start(f"{mine[0].model}, {study}", len(mine))
        with resting(model):
            for job in mine:
                found = _STUDIES[study](task, model, job.entry, sample)
                rows += [{"network": job.model, "explainer": job.entry.name, **row} for row in found]
                watcher.step(f"{mine[0].model}, {study}", 1)
    if not rows:
        raise InputError(f"networks must have what the study {study} asks, got none. {_LACKS[study]}")
    return pd.DataFrame(rows)


# --- randomisation ----------------------------------------------------------------------------------------------------


def _randomization(task: Task, model: nn.Module, entry: Entry, sample: Sample) -> Rows:
    make, batch = explaining(entry.explainer), sample.batch
    target = targets_of(task, model, entry.explainer, sample.images, sample.labels)
    parts = chunks(len(sample.images), batch)  # as the metrics do, so that what is drawn is the same
    maps = torch.cat([make(model, sample.images[some], target[some]) for some in parts])
    explained = Explained(model, sample.images, maps, target, make, batch=batch)
    stages = stages_of(task, model)
    names = stages or tuple(name for stage in layers_of(model, ()) for name, _ in stage)
    rows: Rows = []
    for order in ("cascading", "independent"):
        metric = plugin_of({"type": f"{order}-randomization", "stages": stages}, MODEL_METRICS)
        curve = metric.curve(explained)
        assert curve is not None  # of randomisations
        for number, name in enumerate(names):
            alike = curve.y[:, number]
            known = int((~alike.isnan()).sum())
            rows.append({"order": order, "stage": number + 1, "layer": name, "similarity": float(alike.nanmean()), "n": known})
    return rows


def stages_of(task: Task, model: nn.Module) -> tuple[str, ...]:
    """Return the modules to randomise one after the other: head, then feature layers from the last; empty: layer by layer."""
    modules = dict(model.named_modules())
    layers = feature_layers(model)[::-1]
    found = (*task.network.head, *layers)
    held = all(name in modules and any(isinstance(one, LAYERS) for one in modules[name].modules()) for name in found)
    return found if held and layers else ()


# --- dropout ----------------------------------------------------------------------------------------------------------


def _dropout(task: Task, model: nn.Module, entry: Entry, sample: Sample) -> Rows:
    layers: list[nn.Module] = [module for module in model.modules() if isinstance(module, _DROPOUT) and module.p > 0]
    if not layers:
        return []
    target = targets_of(task, model, entry.explainer, sample.images, sample.labels)
    rows: Rows = []
    for is_on, passes in ((False, 1), (True, PASSES)):
        every = []
        for number in range(passes):
            with _dropping(
                layers if is_on else [], Stream("sanity", "dropout", task.seed, number).word() >> 1, sample.images.device
            ):
                maps = _maps(model, entry, sample, target)
            every.append(_overlaps(maps, sample.truth >= 2))
        pooled, mean = (float(np.mean(values)) for values in zip(*every, strict=True))
        rows.append({"dropout": "on" if is_on else "off", "passes": passes, "iou": pooled, "mean_iou": mean, "n": len(maps)})
    return rows


@contextmanager
def _dropping(layers: list[nn.Module], seed: int, device: torch.device) -> Iterator[None]:
    """Turn dropout on, from a seed of its own."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for layer in layers:
            layer.train()
        try:
            yield
        finally:
            for layer in layers:
                layer.eval()


def _maps(model: nn.Module, entry: Entry, sample: Sample, target: Tensor) -> Tensor:
    """Return the maps at the size of the images, (n, H, W)."""
    parts = []
    for some in chunks(len(sample.images), sample.batch):
        images = sample.images[some]
        seeds = tuple(Stream("sanity", "maps", number).word() >> 1 for number in range(some.start, some.start + len(images)))
        found = maps_of(entry.explainer, Subject(model, images, target[some], seeds, sample.truth[some], sample.batch))
        parts.append(resized(found, images.shape[-2:]))
    return torch.cat(parts)


def _overlaps(maps: Tensor, evidence: Tensor) -> tuple[float, float]:
    """Return the intersection over union of masks with evidence (n, H, W): of all together, and the mean of each.

    Source: You, saliency mask and IoU.
    """
    masks = plugin_of("mean-std", MAP_BINARIZERS).binarize(maps)
    common, either = ((part.flatten(1).sum(1)).double() for part in (masks & evidence, masks | evidence))
    each = (common / either)[either > 0]
    return float(common.sum() / either.sum()), float(each.mean())


# --- axioms -----------------------------------------------------------------------------------------------------------


def _adds_up(explainer: Explainer) -> bool:
    """Whether maps of channels should add up to the logit, or to a share of it that the scores know."""
    start, contrast = getattr(explainer, "start", "onehot"), getattr(explainer, "contrast", "n")
    known = start == "onehot" or (start == "contrastive" and contrast == "n")
    return known and isinstance(explainer, ChannelExplainer)


def _axioms(task: Task, model: nn.Module, entry: Entry, sample: Sample) -> Rows:
    explainer = entry.explainer
    target = targets_of(task, model, explainer, sample.images, sample.labels)
    if "scale_by_logit" in type(explainer).model_fields:  # relevance of 1 at the class would have to add up to 1
        explainer = explainer.model_copy(update={"scale_by_logit": True})
    assert isinstance(explainer, ChannelExplainer)  # chosen so
    start = "contrastive" if getattr(explainer, "start", None) == "contrastive" else "logit"
    metrics = {
        name: plugin_of({"type": f"{name}-axiom", "start": start}, MODEL_METRICS) for name in ("conservation", "sensitivity")
    }
    rows: Rows = []
    for layer in feature_layers(model):
        parts = []
        for some in chunks(len(sample.images), sample.batch):
            images = sample.images[some]
            with torch.enable_grad():
                found = explainer.channel_maps(
                    Subject(model, images, target[some], (0,) * len(images), None, sample.batch), layer
                )
            parts.append(found.detach().float())
        explained = Explained(model, sample.images, torch.cat(parts), target, layer=layer, batch=sample.batch)
        scores = {name: metric.score(explained) for name, metric in metrics.items()}
        known = int((~scores["sensitivity"].isnan()).sum())
        rows.append({"layer": layer, **{name: float(values.nanmean()) for name, values in scores.items()}, "n": known})
    return rows


_STUDIES = {"randomization": _randomization, "dropout": _dropout, "axioms": _axioms}
_LACKS: Final = {
    "randomization": "Train networks of patches or images.",
    "dropout": "Take networks with dropout.",
    "axioms": "Take networks with feature layers.",
}
