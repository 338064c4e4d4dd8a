"""Scores of stored maps as a table, kept by what they depend on, so that nothing is scored twice."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import blake3
import numpy as np

from miso_gen.errors import InputError, MisoGenError
from miso_gen.evaluate.scoring import in_batches, scores_of_maps
from miso_gen.report.results import SCORES
from miso_gen.train.recording import write_json, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from miso_gen.evaluate.plan import ScorePlan
    from miso_gen.evaluate.truths import Truths
    from miso_gen.report.results import Run
    from miso_gen.store.map_group import MapGroup, StoredMap
    from miso_gen.store.maps import MapStore
    from miso_gen.train.loop import Watcher

_FORMAT: Final = 1  #: raised whenever the same maps get other scores
_PER_IMAGE: Final = ("image_id", "metric", "binarizer", "positive", "value")


@dataclass
class Scored:
    """Scores of some maps.

    Attributes:
        table: Table of :data:`~miso_gen.report.results.SCORES`.
        problems: Lines about maps that could not be scored.
        cached: Groups whose scores were there.
        made: Groups that were scored now.
    """

    table: pd.DataFrame
    problems: list[str] = field(default_factory=list)
    cached: int = 0
    made: int = 0


def score_run(
    stores: Sequence[MapStore],
    run: Run,
    names: Collection[str],
    truths: Truths,
    plan: ScorePlan,
    out: Path,
    watcher: Watcher,
    *,
    positive_class: int = 1,
) -> Scored:
    """Return the scores of all maps of a network, of the images asked for.

    Args:
        stores: Where its maps are.
        run: The network.
        names: Explainers asked for; stores may hold others.
        truths: Truth of the images asked for.
        plan: What is scored.
        out: Folder where scores are kept, ``MODEL/EXPLAINER.parquet``.
        watcher: Told of every group of maps.
        positive_class: Class that maps of predictions (PPM, PCM) speak of.
    """
    import pandas as pd

    found, parts = Scored(pd.DataFrame(columns=list(SCORES))), []
    groups = [(store, name) for store in stores for name in store.explainers(run.name) if name in names]
    watcher.start(f"score {run.name}", len(groups))
    for store, name in groups:
        group = store.group(run.name, name)
        fault = _fault(group, truths)
        if fault is None:
            part = _kept(store, group, truths, plan, out / run.name / f"{name}.parquet", positive_class, found)
            parts.append(part.assign(explainer=name, kind=group.kind, at=group.at))
        elif fault:
            found.problems.append(f"{run.name}/{name}: {fault}")
        watcher.step(f"score {run.name}", 1)
    if parts:
        found.table = pd.concat(parts, ignore_index=True).assign(model=run.model, seed=run.seed)
    return found


def with_facts(
    scores: pd.DataFrame,
    dataset_table: pd.DataFrame,
    facts: Mapping[str, Any],
    predicted: Mapping[str, int],
    bit: int | None = None,
) -> pd.DataFrame:
    """Return scores with what is known of their images, in the columns of :data:`~miso_gen.report.results.SCORES`.

    Args:
        scores: image_id, model, seed, explainer, kind, at, binarizer, positive, metric, value.
        dataset_table: Index of the data set: image_id, scenario, split, label.
        facts: dataset, version.
        predicted: Image -> class that the network decided for; others are unknown.
        bit: Where images are of several classes at once: the class that is asked for; label and predicted are 0 or 1.
    """
    index = dataset_table.set_index("image_id")
    ids = scores["image_id"]
    known = {name: ids.map(index[name]) for name in ("scenario", "split", "label")}
    if bit is not None:
        known["label"] = known["label"].map(lambda bits: int(bits) >> bit & 1)
    decided = ids.map(dict(predicted)).astype("Int64")
    return scores.assign(**facts, **known, predicted=decided)[list(SCORES)].reset_index(drop=True)


def _fault(group: MapGroup, truths: Truths) -> str | None:
    """Return why the maps of a group can't be scored; "" where they need not be; None: they can."""
    if group.kind == "heatmap" or group.explainer.endswith(("-legacy", "-unscaled")):
        return ""  # the explainer ``heatmap`` has the map of the class explained
    if group.at == "grid" and (truths.patches is None or group.cell_px != truths.cell_px()):
        return f"maps must be of cells of {truths.cell_px()} px or of pixels, got cells of {group.cell_px} px."
    return None


def _kept(
    store: MapStore, group: MapGroup, truths: Truths, plan: ScorePlan, file: Path, positive_class: int, found: Scored
) -> pd.DataFrame:
    """Return the scores of a group from its file, or make them."""
    import pandas as pd

    there = set(store.ids(group.model, group.explainer))
    ids = [image_id for image_id in truths.ids if image_id in there]
    if len(ids) < len(truths.ids):
        lacking = len(truths.ids) - len(ids)
        found.problems.append(f"{group.model}/{group.explainer}: {lacking} of {len(truths.ids)} images have no map.")
    known = [store.about(group.model, group.explainer, image_id) for image_id in ids]
    digest = _digest(group, known, truths, plan, positive_class)
    beside = file.with_suffix(".json")
    try:
        if json.loads(beside.read_text("utf-8")).get("digest") == digest:
            table = pd.read_parquet(file)
            found.cached += 1
            return table
    except (OSError, ValueError, AttributeError):
        pass  # not there, or broken: made anew

    def read(image_id: str) -> StoredMap:
        return store.read(group.model, group.explainer, image_id)

    table = score_table(ids, read, group, truths, plan, positive_class=positive_class, problems=found.problems)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, table.to_parquet(index=False))
    write_json(beside, {"digest": digest, "group": group.to_json()})
    found.made += 1
    return table


def _digest(group: MapGroup, maps: Sequence[Mapping[str, Any]], truths: Truths, plan: ScorePlan, positive_class: int) -> str:
    """Return BLAKE3 of everything that decides the scores of a group, hexadecimal."""
    from miso_gen.metrics import METRICS

    inputs = {
        "format": _FORMAT,
        "group": group.to_json(),
        "maps": [(one["image_id"], one["digest"], one["target"]) for one in maps],
        "truth": truths.dataset.root_digest,
        "patches": None if truths.patches is None else truths.patches.to_spec(),
        "plan": plan.to_spec(),
        "metrics": {name: type(one).revision for name, one in plan.chosen.items()},
        "known": list(METRICS.names()) if plan.metrics in ("all", "legacy") else [],
        "positive_class": positive_class,
        "bit": truths.bit,
    }
    return blake3.blake3(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()


def score_table(
    ids: Sequence[str],
    read: Callable[[str], StoredMap],
    group: MapGroup,
    truths: Truths,
    plan: ScorePlan,
    *,
    positive_class: int = 1,
    problems: list[str] | None = None,
) -> pd.DataFrame:
    """Return the scores of maps of one group: image_id, metric, binarizer, positive, value.

    Small maps are read and scored many at once, large ones one at a time. A map that can't be scored is left out, with a line.

    Args:
        ids: The images.
        read: Reads the map of an image.
        group: What the maps are.
        truths: Truths of their images.
        plan: What is scored.
        positive_class: Class that maps of predictions speak of.
        problems: Gets the lines.
    """
    import pandas as pd

    said = problems if problems is not None else []
    rows: list[tuple[str, str, str, int, float]] = []
    for batch in in_batches([truths.size(image_id, group.at) for image_id in ids]):
        named, shown, known = [], [], []
        for image_id in (ids[place] for place in batch):
            try:
                one = _fitting(read(image_id), truths, group)
            except MisoGenError as error:
                said.append(f"{image_id}: {error}")
                continue
            named.append(image_id)
            shown.append(_shown(one, group, truths, image_id, positive_class))
            known.append(truths.of(image_id, group.at))
        if not named:
            continue
        signed, binary = group.signed and group.kind not in ("ppm", "pcm"), group.kind == "ppm"
        try:
            found = scores_of_maps(np.stack(shown), known, plan, at=group.at, signed=signed, binary=binary)
        except MisoGenError as error:
            said += [f"{image_id}: {error}" for image_id in named]
            continue
        for image_id, scores in zip(named, found, strict=True):
            rows += [(image_id, one.metric, one.binarizer, one.positive, one.value) for one in scores]
    return pd.DataFrame(rows, columns=list(_PER_IMAGE))


def _fitting(one: StoredMap, truths: Truths, group: MapGroup) -> StoredMap:
    wanted = truths.size(one.image_id, group.at)
    if tuple(one.values.shape) != wanted:
        raise InputError(f"map must have the size of its truth, {wanted}, got {tuple(one.values.shape)}. Resize it.")
    return one


def _shown(one: StoredMap, group: MapGroup, truths: Truths, image_id: str, positive_class: int) -> NDArray[Any]:
    """Return a map as it is scored: what it says of the class of the image, for maps of predictions."""
    if group.kind not in ("ppm", "pcm"):
        return one.values
    is_positive = truths.label(image_id) == positive_class
    if group.kind == "ppm":
        return np.asarray(one.values == (1.0 if is_positive else 0.0))
    return np.asarray(one.values if is_positive else 1.0 - one.values)
