"""Scores of anybody's maps: a folder of files, or a store of maps, against the truth of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miso_gen.errors import InputError
from miso_gen.evaluate.keeping import write_results, write_tables
from miso_gen.evaluate.plan import ScorePlan, score_plan
from miso_gen.evaluate.tables import score_table, with_facts
from miso_gen.evaluate.truths import Truths
from miso_gen.report.results import CLASSIFICATION, Results, Run
from miso_gen.store import open_dataset
from miso_gen.store.map_files import MapFolder, lies_at, open_maps
from miso_gen.store.map_group import MapGroup
from miso_gen.train.experiment import Patches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pandas as pd

    from miso_gen.store import Dataset
    from miso_gen.store.map_group import MapKind, MapPlace, StoredMap


@dataclass(frozen=True, eq=False)
class OutsideScores:
    """What anybody's maps score.

    Attributes:
        folder: Where ``scores.parquet`` and the report are.
        results: What the report is made of.
        images: Images whose map was scored.
        wanted: Images asked for.
    """

    folder: Path
    results: Results
    images: int
    wanted: int


def score_outside(
    dataset: str | Path | Dataset,
    maps: str | Path,
    out: str | Path,
    *,
    split: str | None = "test",
    scenarios: Iterable[str] | None = None,
    patches: Patches | None = None,
    plan: ScorePlan | Any = "all",
    signed: bool = False,
    name: str | None = None,
    command: str = "",
) -> OutsideScores:
    """Score maps that were made elsewhere. What is wrong with a map is said, and the others are scored.

    Args:
        dataset: The images: path, URL, ``name@version``, or open.
        maps: Folder of ``.npy``, ``.tif`` or ``.png`` files named by image id; a store of maps goes, too.
        out: Folder to write to.
        split: Split whose images should have a map; None: all.
        scenarios: Their scenarios; None: those that the maps are of, by name.
        patches: How images were cut, for maps of cells of half a patch; None: maps are of pixels.
        plan: What is scored, as the block ``score`` of an experiment.
        signed: Whether negative values speak against the class.
        name: What to call the explainer; None: the name of the folder.
        command: What to type to make it again, for the report.

    Raises:
        InputError: No map can be scored, or there is nothing of that split.
        StoreError: There is no data set, or no folder.
    """
    import pandas as pd

    data = open_dataset(dataset) if isinstance(dataset, str | Path) else dataset
    found, chosen = open_maps(maps), score_plan(plan)
    ids = _asked(data, found, split, scenarios)
    cell_px = None if patches is None else patches.size // 2
    truths = Truths(data, ids, patches)
    problems: list[str] = []
    if isinstance(found, MapFolder):
        title = name or Path(maps).name
        wrong = found.check({one: truths.size(one, "pixel") for one in ids}, cell_px)
        problems += [str(one) for one in wrong]
        bad = {one.subject for one in wrong}
        good = [one for one in found.ids(ids) if bad.isdisjoint((one, *found.files(one)))]
        tables = [_of_folder(found, title, good, truths, chosen, signed, problems)]
        runs = [Run(model="", scenario=scenario, seed=0, name="") for scenario in _scenarios(data, ids)]
    else:
        tables, runs = _of_store(found, ids, data, truths, chosen, problems)
    scores = pd.concat([table for table in tables if len(table)], ignore_index=True) if any(map(len, tables)) else None
    if scores is None:
        said = "\n".join(problems[:5])
        raise InputError(f"maps must be scored of one image at least, got none in {maps}.\n{said}")
    table = with_facts(scores, data.table, {"dataset": data.name, "version": data.version}, {})
    folder = Path(out)
    nothing = pd.DataFrame(columns=list(CLASSIFICATION))
    digests = {"dataset": data.root_digest or "", "scores": write_tables(folder, table, nothing)}
    results = Results(
        scores=table,
        classification=nothing,
        dataset=data,
        maps=[found],
        runs=runs,
        explainers={},
        patches=None if patches is None else patches.to_spec(),
        command=command,
        problems=tuple(dict.fromkeys(problems)),
        digests=digests,
    )
    if isinstance(dataset, str | Path):
        write_results(folder, results, str(dataset), [maps])
    return OutsideScores(folder, results, int(table["image_id"].nunique()), len(ids))


def _asked(data: Dataset, maps: Any, split: str | None, scenarios: Iterable[str] | None) -> tuple[str, ...]:
    """Return the images that should have a map."""
    table = data.table
    if split is not None and split not in set(table["split"]):
        raise InputError(f"split must be one of {', '.join(data.splits)}, got {split!r}.")
    mine = table if split is None else table[table["split"] == split]
    if scenarios is None:
        known = set(_named(maps, tuple(table["image_id"])))
        there = set(table[table["image_id"].isin(known)]["scenario"])
        mine = mine[mine["scenario"].isin(there)] if there else mine
    else:
        wanted = tuple(scenarios)
        for one in wanted:
            if one not in data.scenarios:
                raise InputError(f"scenario must be one of {', '.join(data.scenarios)}, got {one!r}.")
        mine = mine[mine["scenario"].isin(wanted)]
    if not len(mine):
        raise InputError("images must be at least one, got none of this split and these scenarios.")
    return tuple(mine["image_id"])


def _named(maps: Any, known: Sequence[str]) -> tuple[str, ...]:
    if isinstance(maps, MapFolder):
        return maps.ids(known)
    return tuple({one for model in maps.models() for explainer in maps.explainers(model) for one in maps.ids(model, explainer)})


def _scenarios(data: Dataset, ids: Sequence[str]) -> tuple[str, ...]:
    index = data.table.set_index("image_id")["scenario"]
    return tuple(dict.fromkeys(index.loc[list(ids)]))


def _of_folder(
    maps: MapFolder, title: str, ids: Sequence[str], truths: Truths, plan: ScorePlan, signed: bool, problems: list[str]
) -> pd.DataFrame:
    """Return the scores of a folder's maps, each by the size it has: of pixels, or of cells."""
    import pandas as pd

    cell_px, parts = truths.cell_px(), []
    places: dict[MapPlace, list[str]] = {"pixel": [], "grid": []}
    for one in ids:
        places[lies_at(maps.read(one).values.shape, truths.size(one, "pixel"), cell_px) or "pixel"].append(one)
    for place, some in places.items():
        if not some:
            continue
        kind: MapKind = "patch" if place == "grid" else "pixel"
        group = MapGroup("", title, {}, kind, place, cell_px if place == "grid" else None, signed)
        part = score_table(some, maps.read, group, truths, plan, problems=problems)
        parts.append(part.assign(explainer=title, kind=kind, at=place, model="", seed=0))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _of_store(
    maps: Any, ids: Sequence[str], data: Dataset, truths: Truths, plan: ScorePlan, problems: list[str]
) -> tuple[list[pd.DataFrame], list[Run]]:
    """Return the scores of every group of a store, and what they are of."""
    tables, runs = [], []
    for model in maps.models():
        for explainer in maps.explainers(model):
            group = maps.group(model, explainer)
            there = set(maps.ids(model, explainer))
            some = [one for one in ids if one in there]
            if group.at == "grid" and truths.cell_px() != group.cell_px:
                advice = f"Say how patches were cut: size {2 * (group.cell_px or 0)}."
                problems.append(f"{model}/{explainer}: maps must be of pixels, got cells of {group.cell_px} px. {advice}")
                continue
            if not some or group.kind == "heatmap":
                continue
            read = _reader(maps, model, explainer)
            part = score_table(some, read, group, truths, plan, problems=problems)
            tables.append(part.assign(explainer=explainer, kind=group.kind, at=group.at, model=model, seed=0))
            runs += [Run(model=model, scenario=one, seed=0, name=model) for one in _scenarios(data, some)]
    return tables, list({(run.name, run.scenario): run for run in runs}.values())


def _reader(maps: Any, model: str, explainer: str) -> Callable[[str], StoredMap]:
    def read(image_id: str) -> StoredMap:
        return maps.read(model, explainer, image_id)

    return read
