"""What a report is made of: scores, classification, the maps themselves, and what is known of the networks.

Every number of a report is computed from the two tables here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

    from miso_gen.store import Dataset
    from miso_gen.store.map_files import MapFolder
    from miso_gen.store.maps import MapStore

#: Columns of the table of scores, one row a score.
#:
#: ``model`` is the network ("vgg-att"), whatever its ``seed``; "" where nobody said. ``predicted`` is the class that the network
#: decided for, missing where nobody said. ``explainer`` is the name of the group of maps ("saliency", "ppm"), ``kind`` what they
#: are ("ssm", "pixel", "ppm"), ``at`` "grid" or "pixel". ``binarizer`` is what made a mask of the map, "" for metrics that take
#: maps. ``positive`` is the level of truth from which on pixels are evidence. ``value`` is nan where undefined.
SCORES: Final = (
    "dataset", "version", "scenario", "split", "image_id", "label", "predicted", "model", "seed", "explainer", "kind", "at",
    "binarizer", "positive", "metric", "value",
)  # fmt: skip

#: Columns of the table of classification, one row a number: of all patches (``level`` "patch", ``rule`` ""), or of all images
#: by a decision rule (``level`` "image", ``rule`` "top-k-majority", ...; "network" where it decides itself). ``low`` and ``high``
#: are an interval of confidence of 95 % where there is one, else nan; ``n`` is the number of patches or images.
CLASSIFICATION: Final = (
    "dataset", "version", "scenario", "split", "model", "seed", "level", "rule", "metric", "value", "low", "high", "n",
)  # fmt: skip

NULLS: Final = ("random", "constant", "center", "edges", "input")  #: explainers that know nothing of the network
ORACLE: Final = "oracle"  #: the explainer that is the truth


@dataclass(frozen=True)
class Run:
    """A trained network, as a report speaks of it.

    Attributes:
        model: Network, as in the tables.
        scenario: What it was trained on.
        seed: Of the training.
        name: Model of its maps in the stores of maps.
        record: What ``run.json`` of the training says; empty: unknown.
    """

    model: str
    scenario: str
    seed: int
    name: str
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Results:
    """What a report is made of.

    Attributes:
        scores: Table of :data:`SCORES`.
        classification: Table of :data:`CLASSIFICATION`; no rows where no network was asked.
        dataset: The images and their truth.
        maps: Where maps are, asked one after the other.
        runs: The networks.
        explainers: Explainer -> its specification ``{"type": ..., parameters...}``; empty: unknown.
        patches: Block ``patches`` of the experiment: ``size``, ``shift``, ...; None: images as they are.
        experiment: The experiment as plain data; empty: there is none.
        command: What to type to make it again.
        problems: Lines about maps that could not be scored.
        digests: What was scored: ``dataset``, ``experiment``, ``scores``, ... -> hexadecimal.
    """

    scores: pd.DataFrame
    classification: pd.DataFrame
    dataset: Dataset
    maps: Sequence[MapStore | MapFolder]
    runs: Sequence[Run]
    explainers: Mapping[str, Mapping[str, Any]]
    patches: Mapping[str, Any] | None = None
    experiment: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    problems: Sequence[str] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
