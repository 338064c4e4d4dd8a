"""Scores of maps, prepared for each metric as it takes them.

- masks: the map without signs (see ``sign``), binarised;
- values of at least 0 (``positive``): without signs;
- values in [0, 1] (``unit``), and ``mae`` and ``ssim``, which compare values: without signs, normalised;
- order (``continuous``): as it is;
- ``signed``: as it is.

``mae-raw`` and ``ssim-raw`` are of the map as it is, as MISO prints them. Cells without a patch count as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from miso_gen.metrics import score

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from miso_gen.evaluate.plan import ScorePlan
    from miso_gen.evaluate.truths import Truth
    from miso_gen.metrics.interfaces import Metric

COMPARED: Final = ("mae", "ssim")  #: metrics of any values that compare them with 0 and 1
RAW: Final = "-raw"  #: end of their names where the map is as it is


class Score(NamedTuple):
    """A score.

    Attributes:
        metric: Its name.
        binarizer: What made a mask of the map; "": nothing did.
        positive: Level of the truth from which on a pixel is evidence.
        value: nan where undefined.
    """

    metric: str
    binarizer: str
    positive: int
    value: float


def scores_of_maps(
    maps: NDArray[np.floating[Any]] | NDArray[np.bool_],
    truths: Sequence[Truth],
    plan: ScorePlan,
    *,
    at: str,
    signed: bool,
    binary: bool = False,
) -> list[list[Score]]:
    """Return the scores of each map.

    Args:
        maps: (n, H, W) floating, nan where there is no value; or bool, masks.
        truths: n of them, of the same size.
        plan: What is scored.
        at: ``pixel`` or ``grid``.
        signed: Whether negative values speak against the class.
        binary: Whether only metrics of masks are computed.
    """
    levels = np.stack([truth.levels for truth in truths])
    objects = None if any(truth.instances is None for truth in truths) else np.stack([truth.instances for truth in truths])  # type: ignore[misc]
    chosen = {
        name: one for name, one in plan.chosen.items() if at in one.at and (objects is not None or one.truth != "instances")
    }
    is_mask = maps.dtype == bool
    shown = maps if is_mask else np.nan_to_num(np.asarray(maps, np.float32), nan=0.0)
    found: list[list[Score]] = [[] for _ in truths]

    def add(metrics: Mapping[str, Metric], positive: int, *, named: str = "", end: str = "", **options: Any) -> None:
        if not metrics:
            return
        values = score(shown, levels, dict(metrics), positive=positive, at=at, instances=objects, **options)  # type: ignore[arg-type]
        for name, numbers in values.items():
            for place, value in enumerate(np.asarray(numbers)):
                found[place].append(Score(name + end, named, positive, float(value)))

    sign: Any = "keep" if is_mask or not signed else plan.sign
    masks = {name: one for name, one in chosen.items() if one.takes == "binary"}
    for positive in plan.positive:
        for name, binarizer in {"": None}.items() if is_mask else plan.binarizers.items():
            options: dict[str, Any] = {} if binarizer is None else {"binarize": binarizer}
            add(masks, positive, named=name, sign=sign, **options)
        if binary:
            continue
        compared = {name: one for name, one in chosen.items() if one.takes == "unit" or one.type_name in COMPARED}
        kept = {name: one for name, one in chosen.items() if one.takes in ("continuous", "signed") and name not in compared}
        add({name: one for name, one in chosen.items() if one.takes == "positive"}, positive, sign=sign)
        add(compared, positive, sign=sign, normalize="none" if is_mask else plan.normalize)
        add(kept, positive)
        add({name: one for name, one in chosen.items() if one.type_name in COMPARED}, positive, end=RAW)
    return found


def in_batches(sizes: Iterable[tuple[int, int]], most: int = 1 << 22) -> list[list[int]]:
    """Return the numbers of things by size, (height, width), in groups of equal size of at most so many pixels, one at least."""
    groups: dict[tuple[int, int], list[list[int]]] = {}
    for place, size in enumerate(sizes):
        batches = groups.setdefault(size, [[]])
        if batches[-1] and (len(batches[-1]) + 1) * size[0] * size[1] > most:
            batches.append([])
        batches[-1].append(place)
    return [batch for batches in groups.values() for batch in batches]
