"""From an experiment to its report: train, predict, explain, score, report. What is there already is not made again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

import blake3

from miso_gen.evaluate.classifying import classification
from miso_gen.evaluate.keeping import write_results, write_tables
from miso_gen.evaluate.plan import ScorePlan, score_plan
from miso_gen.evaluate.tables import Scored, score_run, with_facts
from miso_gen.evaluate.truths import Truths
from miso_gen.explain.experiment import entries_of
from miso_gen.explain.jobs import plan_jobs
from miso_gen.explain.stage import explain_experiment
from miso_gen.report.results import CLASSIFICATION, SCORES, Results, Run
from miso_gen.store import open_dataset
from miso_gen.store.maps import MAPS, MapStore
from miso_gen.train.loop import Silent, Watcher
from miso_gen.train.predicting import IMAGES, PATCHES, PREDICTIONS, predict
from miso_gen.train.recording import write_json
from miso_gen.train.tasks import tasks_of
from miso_gen.train.training import TrainedModel, train

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from miso_gen.train.experiment import Experiment

TRAINED: Final = "trained"  #: folder of the networks, in that of an evaluation
SCORED: Final = "scores"  #: folder of scores by network and explainer
EVALUATION: Final = "evaluation.json"
PREDICTED: Final = ("ppm", "pcm")  #: maps of predictions that are scored
RULE: Final = "top-k-majority"  #: rule that makes the class of an image, where the network reads patches
_DONE: Final = "done.json"
_FORMAT: Final = 1


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an experiment came to.

    Attributes:
        folder: ``trained/``, ``maps.zarr``, ``scores.parquet``, ``classification.parquet``, ``report/``.
        results: What the report is made of.
        report: The page to open.
        seconds: Time by stage: train, predict, explain, score, report.
        cached: What was there already: ``networks``, ``predictions`` of networks, groups of ``scores``.
    """

    folder: Path
    results: Results
    report: Path | None
    seconds: Mapping[str, float]
    cached: Mapping[str, int] = field(default_factory=dict)


def evaluate(
    experiment: Experiment,
    out: str | Path,
    *,
    command: str = "",
    watcher: Watcher | None = None,
    report: bool = True,
) -> Evaluation:
    """Train, predict, explain, score and report.

    Everything is checked before the first step of training. Each stage keeps what it did by the digest of what it depends on:
    run again, killed or not, only what is missing or changed is done; other metrics are scored without asking a network.

    Args:
        experiment: Of :func:`~miso_gen.train.load_experiment`.
        out: Folder to write to.
        command: What to type to make it again, for the report.
        watcher: Told of every stage.
        report: Whether the report is written.

    Raises:
        InputError: The experiment does not fit the data, the networks or the explainers.
        StoreError: There is no data set, or it can't be read.
        WorkError: A training or an explainer failed.
    """
    folder, watcher = Path(out), watcher or Silent()
    plan = score_plan(experiment.score)
    entries = entries_of(experiment)
    plan_jobs(tasks_of(experiment), entries)  # complains before any work
    clock = _Clock()
    trained = train(experiment, folder / TRAINED, watcher=watcher)
    clock.stop("train")
    fresh = sum(not _predicted(one, watcher) for one in trained)
    clock.stop("predict")
    left = explain_experiment(experiment, folder / TRAINED, folder / MAPS, watcher=watcher).left if entries else ()
    clock.stop("explain")
    results, scored = score_stage(experiment, trained, folder, plan, watcher, command=command, notes=left)
    clock.stop("score")
    page = None
    if report:
        from miso_gen.report import write_report

        page = write_report(results, folder / "report").index
    clock.stop("report")
    cached = {
        "networks": sum(one.cached for one in trained),
        "predictions": len(trained) - fresh,
        "scores": scored.cached,
    }
    record = {"format": _FORMAT, "seconds": clock.seconds, "cached": cached, "digests": dict(results.digests)}
    write_json(folder / EVALUATION, record)
    return Evaluation(folder, results, page, clock.seconds, cached)


def score_stage(
    experiment: Experiment,
    trained: Sequence[TrainedModel],
    folder: Path,
    plan: ScorePlan,
    watcher: Watcher,
    *,
    command: str = "",
    notes: Sequence[str] = (),
) -> tuple[Results, Scored]:
    """Score the maps of an evaluation, and how well its networks classify; write both tables, and return what a report needs."""
    import pandas as pd

    dataset = open_dataset(experiment.dataset)
    facts = {"dataset": dataset.name, "version": dataset.version}
    runs = runs_of(trained)
    names = {*PREDICTED, *(name for entry in entries_of(experiment) for name in entry.names)}
    tables, classes = [], []
    everything = Scored(pd.DataFrame(columns=list(SCORES)))
    for run, one in zip(runs, trained, strict=True):
        ids = one.task.ids["test"]
        patches = experiment.patches if one.task.reads != "image" else None
        bit = 1 if one.task.several else None
        truths = Truths(dataset, ids, patches, bit)
        stores = _stores(folder, one)
        scored = score_run(stores, run, names, truths, plan, folder / SCORED, watcher)
        images, parts = _predictions(one)
        if len(scored.table):
            tables.append(with_facts(scored.table, dataset.table, facts, _decided(images), bit))
        where = {**facts, "scenario": run.scenario, "split": experiment.splits.test, "model": run.model, "seed": run.seed}
        classes.append(classification(images, parts, where))
        everything.problems += scored.problems
        everything.cached += scored.cached
        everything.made += scored.made
    scores = pd.concat(tables, ignore_index=True) if tables else everything.table
    said = pd.concat(classes, ignore_index=True) if classes else pd.DataFrame(columns=list(CLASSIFICATION))
    digest = write_tables(folder, scores, said)
    places = [folder / MAPS, *(one.folder / PREDICTIONS / "test" / MAPS for one in trained)]
    places = [place for place in places if place.is_dir()]
    reads_patches = any(one.task.reads != "image" for one in trained)
    results = Results(
        scores=scores,
        classification=said,
        dataset=dataset,
        maps=[MapStore.open(place) for place in places],
        runs=runs,
        explainers={entry.name: entry.explainer.to_spec() for entry in entries_of(experiment)},
        patches=experiment.patches.to_spec() if reads_patches else None,
        experiment=experiment.to_spec(),
        command=command,
        problems=(*notes, *everything.problems),
        digests={
            "dataset": dataset.root_digest or "",
            "experiment": blake3.blake3(json.dumps(experiment.to_spec(), sort_keys=True).encode()).hexdigest(),
            "scores": digest,
        },
    )
    write_results(folder, results, experiment.dataset, places)
    return results, everything


def runs_of(trained: Sequence[TrainedModel]) -> list[Run]:
    """Return networks as reports speak of them."""
    return [
        Run(model=one.task.label, scenario=one.task.scenario, seed=one.task.seed, name=one.name, record=one.record)
        for one in trained
    ]


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = monotonic()

    def stop(self, stage: str) -> None:
        """End a stage."""
        now = monotonic()
        self.seconds[stage] = round(now - self._began, 3)
        self._began = now


def _predicted(one: TrainedModel, watcher: Watcher) -> bool:
    """Predict the test images, unless that was done; return whether it was."""
    folder = one.folder / PREDICTIONS / "test"
    weights = blake3.blake3(one.weights.read_bytes()).hexdigest()
    inputs = {"digest": one.task.digest, "ids": list(one.task.ids["test"]), "weights": weights}
    digest = blake3.blake3(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    try:
        if json.loads((folder / _DONE).read_text("utf-8")).get("digest") == digest:
            return True
    except (OSError, ValueError, AttributeError):
        pass  # not there, or broken: made anew
    (folder / _DONE).unlink(missing_ok=True)
    predict(one, watcher=watcher)
    write_json(folder / _DONE, {"digest": digest})
    return False


def _predictions(one: TrainedModel) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    import pandas as pd

    folder = one.folder / PREDICTIONS / "test"
    patches = folder / PATCHES
    return pd.read_parquet(folder / IMAGES), pd.read_parquet(patches) if patches.is_file() else None


def _decided(images: pd.DataFrame) -> dict[str, int]:
    """Return the class that a network decided for, by image: by its own word, or by the first rule of MISO."""
    rule = RULE if (images["rule"] == RULE).any() else images["rule"].iloc[0]
    mine = images[images["rule"] == rule]
    return dict(zip(mine["image_id"], mine["predicted"].astype(int), strict=True))


def _stores(folder: Path, one: TrainedModel) -> list[MapStore]:
    """Return the stores that have maps of a network: of explainers, then of predictions."""
    places = (folder / MAPS, one.folder / PREDICTIONS / "test" / MAPS)
    return [MapStore.open(place) for place in places if place.is_dir()]
