"""Weights: every class, every bin of object shares, is drawn equally often."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.data.order import EpochOrder
from miso_gen.data.patches import PatchTable
from miso_gen.data.sampling import SHARES, class_balanced, object_balanced
from miso_gen.errors import InputError

LABELS = st.lists(st.integers(-1, 3), max_size=50)
OBJECTS = st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.11, 0.25, 0.5, 0.6, 0.75, 0.99, 1.0]), max_size=50)


def table_of(labels: list[int], objects: list[float] | None = None) -> PatchTable:
    none = np.zeros(len(labels), np.int64)
    shares = np.zeros(len(labels)) if objects is None else np.array(objects, np.float64)
    columns: dict[str, Any] = {key: none for key in ("image", "grid", "i", "j", "row", "col")}
    return PatchTable(
        **columns,
        label=np.array(labels, np.int64),
        object_share=shares,
        evidence_share=shares,
        pixel_mean=shares,
        ids=("made/test/0",),
        scenarios=("made",),
        splits=("test",),
        shapes=((100, 100),),
        size=10,
        shift="half",
        positive=2,
    )


def check(weights: np.ndarray | None, kinds: list[Any]) -> None:
    """Every kind has the same sum, its members are equal; what is of no kind (None) is never drawn; None: all are equal."""
    found = [1.0] * len(kinds) if weights is None else weights.tolist()
    assert len(found) == len(kinds)
    members = defaultdict(list)
    for kind, weight in zip(kinds, found, strict=True):
        members[kind].append(weight)
    assert set(members.pop(None, [0.0])) == {0.0}
    assert all(len(set(held)) == 1 for held in members.values())
    totals = [sum(held) for held in members.values()]
    assert totals == pytest.approx([len(kinds) / len(totals)] * len(totals) if totals else [])
    uniform = None not in kinds and len({len(held) for held in members.values()}) == 1
    assert (weights is None) == (uniform or not kinds)


@given(LABELS)
def test_labels_are_drawn_equally_often(labels: list[int]) -> None:
    if labels and set(labels) == {-1}:
        with pytest.raises(InputError, match="patches must have a class, got none that has"):
            class_balanced(table_of(labels))
    else:
        check(class_balanced(table_of(labels)), [None if label == -1 else label for label in labels])


@given(OBJECTS, st.sampled_from([SHARES, (0.0, 0.5, 1.0), (0.2, 0.4, 0.6)]))
def test_object_shares_are_drawn_equally_often(objects: list[float], edges: tuple[float, ...]) -> None:
    def bin_of(share: float) -> int:
        for number in range(len(edges) - 2):
            if share <= edges[number + 1]:
                return number
        return len(edges) - 2

    check(object_balanced(table_of([0] * len(objects), objects), edges), [bin_of(share) for share in objects])


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 6))
def test_a_number_of_bins_that_hold_equally_many(places: list[int], bins: int) -> None:
    """Cut the sorted shares into parts; equal shares go where the first of them is."""
    objects = [place / 30 for place in places]
    ordered, kinds = sorted(objects), {}
    for rank, share in enumerate(ordered):
        part = sum(rank * bins >= len(ordered) * number for number in range(1, bins))
        kinds.setdefault(share, part)
    check(object_balanced(table_of([0] * len(objects), objects), bins), [kinds[share] for share in objects])


def test_draws_follow() -> None:
    labels = [0] * 900 + [1] * 90 + [2] * 10
    weights = class_balanced(table_of(labels))
    drawn = np.array(labels)[EpochOrder([0] * 1000, weights=weights).indices(0)]
    assert all(abs(count - 1000 / 3) < 5 * (1000 * 2 / 9) ** 0.5 for count in np.bincount(drawn))


def test_equal_counts_need_no_weights() -> None:
    assert class_balanced(table_of([0, 1, 1, 0])) is None
    assert class_balanced(table_of([])) is None
    assert object_balanced(table_of([0, 0], [0.05, 0.9])) is None
    assert class_balanced(table_of([0, 1, -1])) is not None


@pytest.mark.parametrize("bins", [0, -1])
def test_bins_that_cannot_be_counted(bins: int) -> None:
    with pytest.raises(InputError, match=f"bins must be 1 or more, got {bins}"):
        object_balanced(table_of([0]), bins)


@pytest.mark.parametrize("bins", [[], [0.5], [0.5, 0.5], [0.0, 1.0, 0.5]])
def test_edges_that_do_not_rise(bins: list[float]) -> None:
    with pytest.raises(InputError, match="bins must be two or more rising edges, got"):
        object_balanced(table_of([0]), bins)
