"""How it was done: tables of what differs, what all share said once, and every parameter below."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from miso_gen.explain.interfaces import EXPLAINERS
from miso_gen.report.cells import role_of, row_order
from miso_gen.report.declared import binarizer_of
from miso_gen.report.layers import run_names
from miso_gen.report.results import ORACLE
from miso_gen.report.words import KINDS, NULL_WORDS
from miso_gen.store.maps import MapStore

if TYPE_CHECKING:
    import pandas as pd

    from miso_gen.report.results import Results, Run
    from miso_gen.store.map_group import MapGroup

_APART: Final = frozenset({"experiment"})  #: of a run's record, what stands elsewhere on the page
_PACKAGES: Final = ("miso-gen", "torch", "numpy", "pandas")
_FIRST: Final = ("model", "reads", "parameters", "epochs", "best_epoch", "images", "precision", "device", "seconds")
_UNNAMED: Final = ("type", "name")  #: of a specification, what has a column of its own
_INTERVALS: Final = {
    "normal": "mean +- 1.96 standard deviations / sqrt(n), as in MISO; an image is one unit, whatever many trainings scored it",
    "bootstrap": "percentiles of 2000 resamples of images; an image is one unit, whatever many trainings scored it",
}


@dataclass(frozen=True)
class Fact:
    """A line of a table of methods."""

    name: str
    value: str


@dataclass(frozen=True)
class Section:
    """A table of names and values."""

    title: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes:
        name: Of the run.
        main: What a reader asks first.
        all: Its whole record.
    """

    name: str
    main: tuple[Fact, ...]
    all: tuple[Fact, ...]


@dataclass(frozen=True)
class Method:
    """An explainer.

    Attributes:
        name: As in the tables.
        type: Its plug-in; empty: unknown.
        changed: Parameters that differ from their defaults; all where the plug-in is unknown.
        kinds: What its maps are, as in the tables.
        knows: What a null explainer or the oracle knows, in words; empty for others.
        cell: Side of a cell of its maps; empty: they have none.
        all: Every parameter and every fact of its maps that is its own.
    """

    name: str
    type: str
    changed: tuple[Fact, ...]
    kinds: tuple[str, ...]
    knows: str
    cell: str
    all: tuple[Fact, ...]


@dataclass(frozen=True)
class Methods:
    """All that must be known to make a card again.

    Attributes:
        sections: Data set, patches, binarisers, statistics, digests, versions.
        networks: One for each training.
        explainers: In the order of the tables of scores.
        shared: What is the same for all maps of explainers.
        kinds: Kinds of maps with their words.
    """

    sections: tuple[Section, ...]
    networks: tuple[Network, ...]
    explainers: tuple[Method, ...]
    shared: tuple[Fact, ...]
    kinds: tuple[Fact, ...]


def flat(data: Mapping[str, Any], prefix: str = "") -> list[Fact]:
    """Return nested plain data as lines, keys joined by dots; lists stay in one line."""
    lines: list[Fact] = []
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            lines += flat(value, f"{name}.")
        else:
            lines.append(Fact(name, text_of(value)))
    return lines


def text_of(value: Any) -> str:
    """Return a plain value as text: numbers as they are, nothing as ``none``."""
    if value is None:
        return "none"
    if isinstance(value, Sequence | Mapping) and not isinstance(value, str):
        return json.dumps(value, default=str)
    return str(value)


def methods(results: Results, model: str, scenario: str, scores: pd.DataFrame, interval: str) -> Methods:
    """Return all that must be known to make a card again.

    Args:
        results: What the report is made of.
        model: Of the card.
        scenario: Of the card.
        scores: Of the card.
        interval: How intervals were computed.
    """
    dataset = results.dataset
    data = [
        Fact("name", dataset.name),
        Fact("version", dataset.version),
        Fact("root digest", dataset.root_digest or "none"),
        Fact("recipe digest", dataset.recipe_digest),
        Fact("splits scored", ", ".join(sorted(set(scores["split"].astype(str)))) or "none"),
    ]
    binarizers = [_binarizer(name) for name in sorted(set(scores["binarizer"])) if name]
    sections = (
        Section("Data set", tuple(data)),
        Section("Patches", tuple(flat(results.patches or {}))),
        *binarizers,
        Section("Statistics", (Fact("interval", _INTERVALS.get(interval, interval)), Fact("level", "95 %"))),
        Section("Digests", tuple(Fact(name, value) for name, value in results.digests.items())),
        Section("This page was made by", tuple(_versions())),
    )
    groups = _groups(results, model, scenario, scores)
    shared = _shared(groups)
    pairs = sorted(set(zip(scores["explainer"].astype(str), scores["kind"].astype(str), strict=True)), key=row_order)
    explainers = []
    for name in dict.fromkeys(name for name, _ in pairs):
        kinds = tuple(kind for one, kind in pairs if one == name)
        explainers.append(_method(results, name, kinds, groups.get(name, {}), shared))
    known = sorted({kind for _, kind in pairs if kind in KINDS})
    return Methods(
        tuple(section for section in sections if section.facts),
        tuple(_network(run) for run in _runs(results, model, scenario)),
        tuple(explainers),
        tuple(Fact(name, value) for name, value in shared.items()),
        tuple(Fact(kind, KINDS[kind]) for kind in known),
    )


def _runs(results: Results, model: str, scenario: str) -> list[Run]:
    runs = [run for run in results.runs if run.model == model]
    return [run for run in runs if run.scenario == scenario] or runs


def _network(run: Run) -> Network:
    record: dict[str, Any] = {"seed": run.seed, **{key: value for key, value in run.record.items() if key not in _APART}}
    main: dict[str, Any] = {"seed": run.seed, **{key: record[key] for key in _FIRST if key in record}}
    return Network(run.name, tuple(flat(main)), tuple(flat(record)))


# --- explainers -------------------------------------------------------------------------------------------------------

_Groups = dict[str, dict[str, "MapGroup"]]  #: explainer -> run -> its maps


def _groups(results: Results, model: str, scenario: str, scores: pd.DataFrame) -> _Groups:
    """Return the groups of maps of a card; where its runs have none, as of a null explainer of another run, the first."""
    own = run_names(results, model, scenario, None)
    names = sorted(set(scores["explainer"].astype(str)))
    found: _Groups = {}
    others: _Groups = {}
    for store in (store for store in results.maps if isinstance(store, MapStore)):
        for run in store.models():
            held = set(store.explainers(run))
            for name in (name for name in names if name in held):
                if run in own:
                    found.setdefault(name, {}).setdefault(run, store.group(run, name))
                elif name not in others:
                    others[name] = {run: store.group(run, name)}
    return {**others, **found}


def _shared(groups: _Groups) -> dict[str, str]:
    """Return the facts that all maps of explainers have, and have alike; those of predictions are left out."""
    lists = [
        {fact.name: fact.value for fact in flat(group.facts)}
        for name, runs in groups.items()
        for group in runs.values()
        if role_of(name, group.kind) != "prediction"
    ]
    if len(lists) < 2:
        return {}
    return {name: value for name, value in lists[0].items() if all(other.get(name) == value for other in lists)}


def _method(
    results: Results, name: str, kinds: tuple[str, ...], groups: Mapping[str, MapGroup], shared: Mapping[str, str]
) -> Method:
    first = next(iter(groups.values()), None)
    spec = dict(results.explainers.get(name, {})) or dict(first.spec if first is not None else {})
    own: list[Fact] = []
    for run, group in groups.items():
        end = f" ({run})" if len(groups) > 1 else ""
        facts = flat(group.facts)
        own += [Fact(f"maps.{fact.name}{end}", fact.value) for fact in facts if shared.get(fact.name) != fact.value]
    knows = "the truth itself" if name == ORACLE else NULL_WORDS.get(name, "")
    cell = f"{first.cell_px} px" if first is not None and first.cell_px else ""
    lines = flat(spec)
    changed = [fact for fact in lines if fact.name not in _UNNAMED and fact.value != _defaults(spec).get(fact.name)]
    return Method(name, str(spec.get("type", "")), tuple(changed), kinds, knows, cell, (*lines, *own))


def _defaults(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of an explainer that have a default, as text; none of an explainer that nobody registered."""
    kind = spec.get("type", "")
    if kind not in EXPLAINERS:
        return {}
    found = {}
    for name, field in EXPLAINERS.get(str(kind)).model_fields.items():
        if not field.is_required():
            value = field.get_default(call_default_factory=True)
            spec_of = getattr(value, "to_spec", None)
            found[name] = spec_of() if spec_of is not None else value
    return {fact.name: fact.value for fact in flat(found)}


def _binarizer(name: str) -> Section:
    found = binarizer_of(name)
    if found is None:
        return Section(f"Binariser {name}", (Fact("parameters", "unknown"),))
    facts = flat(found.to_spec())
    bound = Fact("greatest share of a map that it marks", found.bound)
    return Section(f"Binariser {name}", (*facts, bound, Fact("source", found.source)))


def _versions() -> list[Fact]:
    found = []
    for name in _PACKAGES:
        try:
            found.append(Fact(name, version(name)))
        except PackageNotFoundError:
            continue
    return found
