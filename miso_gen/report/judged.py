"""Which scores a table speaks of: of which maps, at which place, by which method, and what is known of those."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import pandas as pd

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.report.cells import Role, card_scores, cards_of, facts_of, roles
from miso_gen.store.maps import MapStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from miso_gen.report.declared import MetricFacts
    from miso_gen.report.results import Results

RAW: Final = "-raw"  #: end of the names of metrics of maps as they are
_PIXEL: Final = "-pixel"  #: end of the names of maps of pixels beside those of cells
_APART: Final = "\x1f"  #: between network and explainer of a method, where no name has it
_PLACE: Final = ("at", "binarizer", "positive")
_KNOWN: WeakKeyDictionary[Results, pd.DataFrame] = WeakKeyDictionary()  #: of results that are in use: many tables ask for them


@dataclass(frozen=True)
class Place:
    """Where and how maps were scored.

    Attributes:
        at: ``grid`` or ``pixel``.
        binarizer: What made masks; empty: nothing did.
        positive: Level of truth from which on there is evidence.
    """

    at: str
    binarizer: str
    positive: int

    @property
    def words(self) -> str:
        """It in words."""
        where = "cells of half a patch" if self.at == "grid" else "pixels"
        what = "all of the object" if self.positive == 1 else "what tells the classes apart"
        masks = f"masks by {self.binarizer}" if self.binarizer else "maps as they are"
        return f"{where}, evidence is {what}, {masks}"


def judged(results: Results) -> pd.DataFrame:
    """Return all scores, and of each ``has_truth``, whether its image has evidence, and ``role``, see :data:`~.cells.Role`.

    It is computed once for the same results; leave it as it is.

    Raises:
        InputError: An image is none of the data set.
    """
    if results in _KNOWN:
        return _KNOWN[results]
    whole = replace(results, scores=results.scores.reset_index(drop=True))
    parts = [card_scores(whole, model, scenario) for model, scenario in cards_of(whole)]
    table = whole.scores.assign(has_truth=False)
    if any(map(len, parts)):
        table = pd.concat([part for part in parts if len(part)])
        table = table[~table.index.duplicated()].sort_index()
    pairs = table[["explainer", "kind"]].drop_duplicates()
    known = pairs.assign(role=roles(pairs))
    _KNOWN[results] = table.assign(role=table[["explainer", "kind"]].merge(known, how="left")["role"].to_numpy())
    return _KNOWN[results]


def method_of(model: str, explainer: str) -> str:
    """Return network and explainer as one name, which sorts by network."""
    return f"{model}{_APART}{explainer}"


def names_of(method: str) -> tuple[str, str]:
    """Return network and explainer of :func:`method_of`."""
    model, _, explainer = method.partition(_APART)
    return model, explainer


def with_methods(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores with a column ``method``; null explainers and the oracle, who know no network, are one method each."""
    of_none = scores["role"].isin(["null", "oracle"])
    pairs = zip(scores["model"].where(~of_none, ""), scores["explainer"], strict=True)
    return scores.assign(method=[method_of(str(model), str(explainer)) for model, explainer in pairs])


def facts_for(metric: str) -> MetricFacts:
    """Return what is declared of a metric, also where it is of maps as they are."""
    return facts_of(metric.removesuffix(RAW))


def place_for(
    scores: pd.DataFrame, metric: str, *, at: str | None = None, binarizer: str | None = None, positive: int | None = None
) -> Place:
    """Return the place of a metric: what is asked for, else where evidence is what tells the classes apart, and most is defined.

    Places where no map of a network has a score on an image with evidence come last.

    Args:
        scores: Of :func:`judged`.
        metric: The metric.
        at: ``grid`` or ``pixel``; None: either.
        binarizer: What made masks; None: twice the mean before others.
        positive: Level of truth; None: the highest.

    Raises:
        UnknownNameError: There is no such metric.
        InputError: There is no such place.
    """
    mine = scores[scores["metric"] == metric]
    if mine.empty:
        raise UnknownNameError("metric", metric, sorted(scores["metric"].astype(str).unique()))
    known = mine.assign(known=mine["value"].notna().astype(int)).groupby(list(_PLACE))["known"].sum()
    counts = mine["value"].notna() & mine["has_truth"] & mine["role"].isin(["explainer", "prediction"])
    speaks = mine.assign(speaks=counts).groupby(list(_PLACE))["speaks"].any()
    asked = {"at": at, "binarizer": binarizer, "positive": positive}
    found = []
    for place, count in known.items():
        assert isinstance(place, tuple)
        fits = all(asked[name] in (None, value) for name, value in zip(_PLACE, place, strict=True))
        if fits:
            found.append((not speaks[place], -int(place[2]), -int(count), place[1] != "two-mean", str(place[1]), str(place[0])))
    if not found:
        said = ", ".join(f"{name} {value!r}" for name, value in asked.items() if value is not None)
        raise InputError(f"{metric} must be scored at the place asked for, got no scores with {said}. Leave some of it out.")
    _, level, _, _, mask, where = min(found)
    return Place(where, mask, -level)


def rows_at(scores: pd.DataFrame, metric: str, place: Place, *, truth: bool | None = True) -> pd.DataFrame:
    """Return the scores of a metric at a place, of images with evidence (``truth`` True), without (False), or both (None).

    Masks that no binariser made stand beside those of every binariser, as on a card.
    """
    mask = (scores["metric"] == metric) & (scores["at"] == place.at) & (scores["positive"] == place.positive)
    made = (place.binarizer, "") if facts_for(metric).needs_mask else (place.binarizer,)
    mask &= scores["binarizer"].isin(made)
    if truth is not None:
        mask &= scores["has_truth"] == truth
    return scores[mask]


def of_roles(scores: pd.DataFrame, *names: Role) -> pd.DataFrame:
    """Return scores of some roles."""
    return scores[scores["role"].isin(names)]


def network_types(results: Results) -> dict[str, str]:
    """Return network as tables call it -> its type, by the records of training, else by its name."""
    found = {}
    for model in sorted({*results.scores["model"].astype(str), *results.classification["model"].astype(str)} - {""}):
        found[model] = str(network_spec(results, model).get("type") or re.sub(r"-[0-9]$", "", model))
    return found


def network_spec(results: Results, model: str) -> Mapping[str, Any]:
    """Return the specification of a network; empty: unknown."""
    for run in results.runs:
        spec = run.record.get("model")
        if run.model == model and isinstance(spec, dict):
            return spec
    return {}


def explainer_spec(results: Results, name: str) -> Mapping[str, Any]:
    """Return the specification of an explainer, at least its ``type``: by the experiment, the maps, or its name."""
    for known in (name, name.removesuffix(_PIXEL)):
        if results.explainers.get(known):
            return results.explainers[known]
    for store in results.maps:
        if isinstance(store, MapStore):
            for model in store.models():
                if name in store.explainers(model) and store.group(model, name).spec:
                    return store.group(model, name).spec
    return {"type": name.removesuffix(_PIXEL)}


def scenario_order(names: Sequence[str], first: Sequence[str]) -> list[str]:
    """Return scenarios, those of a paper first and in its order."""
    return sorted(set(names), key=lambda name: (first.index(name) if name in first else len(first), name))
