"""Samples dealt to splits: shares of classes, whole groups."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.rng import Stream
from miso_gen.scene.splitting import deal

PAPER = {"train": 0.8, "test": 0.2}


def of_classes(**counts: int) -> dict[str, tuple[str, str]]:
    return {f"{kind}-{number}": (f"{kind}-{number}", kind) for kind, count in counts.items() for number in range(count)}


def test_the_papers_split_comes_out() -> None:
    items = of_classes(adeno=92, squamous=92)
    split = deal(items, PAPER, Stream("deal", 0))
    counts = Counter((split[name], kind) for name, (_, kind) in items.items())
    assert counts == {("train", "adeno"): 74, ("train", "squamous"): 74, ("test", "adeno"): 18, ("test", "squamous"): 18}


def test_another_seed_deals_otherwise_and_the_same_seed_alike() -> None:
    items = of_classes(a=30, b=20)
    assert deal(items, PAPER, Stream("deal", 1)) == deal(dict(reversed(items.items())), PAPER, Stream("deal", 1))
    assert deal(items, PAPER, Stream("deal", 1)) != deal(items, PAPER, Stream("deal", 2))


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=4), st.tuples(st.sampled_from("pqrstuvw"), st.sampled_from("xy")), max_size=40
    ),
    st.sampled_from([PAPER, {"a": 0.5, "b": 0.25, "c": 0.25}, {"only": 1.0}]),
)
def test_groups_stay_together(items: dict[str, tuple[str, str]], shares: dict[str, float]) -> None:
    split = deal(items, shares, Stream("deal", 3))
    assert split.keys() == items.keys()
    assert set(split.values()) <= set(shares)
    of_group: dict[str, set[str]] = {}
    for name, (group, _) in items.items():
        of_group.setdefault(group, set()).add(split[name])
    assert all(len(splits) == 1 for splits in of_group.values())


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([PAPER, {"a": 0.6, "b": 0.3, "c": 0.1}]))
def test_single_items_meet_the_largest_remainders(first: int, second: int, shares: dict[str, float]) -> None:
    items = of_classes(x=first, y=second)
    split = deal(items, shares, Stream("deal", 5))
    for kind, count in (("x", first), ("y", second)):
        exact = {name: count * share for name, share in shares.items()}
        found = Counter(split[name] for name, (_, own) in items.items() if own == kind)
        assert all(abs(found[name] - exact[name]) < 1 + 1e-9 for name in shares)


def test_large_groups_keep_the_shares_about() -> None:
    items = {
        f"{patient}-{number}": (f"p{patient}", "xy"[patient % 2]) for patient in range(40) for number in range(1 + patient % 5)
    }
    split = deal(items, PAPER, Stream("deal", 0))
    for kind in "xy":
        mine = [split[name] for name, (_, own) in items.items() if own == kind]
        assert mine.count("test") / len(mine) == pytest.approx(0.2, abs=0.05)
