"""How it was done, as tables of names and values: networks, explainers, binarisers, patches, digests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from miso_gen.report.cells import role_of
from miso_gen.report.declared import binarizer_of
from miso_gen.report.results import ORACLE
from miso_gen.report.words import KINDS, NULL_WORDS
from miso_gen.store.maps import MapStore

if TYPE_CHECKING:
    import pandas as pd

    from miso_gen.report.results import Results

_APART: Final = frozenset({"experiment"})  #: of a run's record, what stands elsewhere on the page
_PACKAGES: Final = ("miso-gen", "torch", "numpy", "pandas")
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
    """A table of methods."""

    title: str
    facts: tuple[Fact, ...]


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


def methods(results: Results, model: str, scenario: str, scores: pd.DataFrame, interval: str) -> list[Section]:
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
    sections = [Section("Data set", tuple(data))]
    if results.patches:
        sections.append(Section("Patches", tuple(flat(results.patches))))
    sections += [_network(run.name, run.record, run.seed) for run in _runs(results, model, scenario)]
    sections += [_explainer(results, name, scores) for name in sorted(set(scores["explainer"]))]
    sections += [_binarizer(name) for name in sorted(set(scores["binarizer"])) if name]
    sections.append(Section("Statistics", (Fact("interval", _INTERVALS.get(interval, interval)), Fact("level", "95 %"))))
    sections.append(Section("Digests", tuple(Fact(name, value) for name, value in results.digests.items())))
    sections.append(Section("This page was made by", tuple(_versions())))
    return [section for section in sections if section.facts]


def _runs(results: Results, model: str, scenario: str) -> list[Any]:
    runs = [run for run in results.runs if run.model == model]
    return [run for run in runs if run.scenario == scenario] or runs


def _network(name: str, record: Mapping[str, Any], seed: int) -> Section:
    facts = [Fact("seed", str(seed))] if "seed" not in record else []
    facts += flat({key: value for key, value in record.items() if key not in _APART})
    return Section(f"Network {name}", tuple(facts))


def _explainer(results: Results, name: str, scores: pd.DataFrame) -> Section:
    role, spec = role_of(name, ""), dict(results.explainers.get(name, {}))
    group = None
    for source in results.maps:
        if isinstance(source, MapStore) and group is None:
            held = [model for model in source.models() if name in source.explainers(model)]
            group = source.group(held[0], name) if held else None
    if not spec and group is not None:
        spec = dict(group.spec)
    facts = flat(spec)
    if group is not None:
        facts += [Fact(f"maps.{fact.name}", fact.value) for fact in flat(group.facts)]
        facts += [Fact("cell", f"{group.cell_px} px")] if group.cell_px else []
    mine = scores[scores["explainer"] == name]
    facts += [Fact("maps", KINDS.get(kind, kind)) for kind in sorted(set(mine["kind"].astype(str)))]
    if role == "null":
        facts.append(Fact("knows nothing of the network", NULL_WORDS[name]))
    elif name == ORACLE:
        facts.append(Fact("knows everything", "the truth itself"))
    return Section(f"Explainer {name}", tuple(facts))


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
