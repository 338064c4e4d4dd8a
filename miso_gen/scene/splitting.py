"""Samples -> splits: each class in its share, each group in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.rng import Stream


def deal(items: Mapping[str, tuple[str, str]], shares: Mapping[str, float], stream: Stream) -> dict[str, str]:
    """Return the split of every item.

    Each class has a quota in each split, by largest remainders. Groups are taken by the number of their items, largest first,
    and in random order where equal; each goes to the split that lacks most of its items, and, where several lack as many, to
    the first of these. With groups of one item the quotas are met exactly.

    Args:
        items: Group and class of each item.
        shares: Share of each split; they add up to about 1.
        stream: Decides the order.
    """
    counts: dict[str, int] = {}
    groups: dict[str, dict[str, int]] = {}
    for group, kind in (items[name] for name in sorted(items)):
        counts[kind] = counts.get(kind, 0) + 1
        members = groups.setdefault(group, {})
        members[kind] = members.get(kind, 0) + 1
    lacking = {kind: _quotas(count, shares) for kind, count in sorted(counts.items())}
    marks = dict(zip(sorted(groups), stream.uniforms(len(groups)).tolist(), strict=True))
    place: dict[str, str] = {}
    for group in sorted(groups, key=lambda name: (-sum(groups[name].values()), marks[name], name)):
        members = groups[group]
        fits = {split: sum(min(count, lacking[kind][split]) for kind, count in members.items()) for split in shares}
        room = {split: sum(lacking[kind][split] for kind in members) for split in shares}
        best = max(shares, key=lambda split: (fits[split], room[split]))
        place[group] = best
        for kind, count in members.items():
            lacking[kind][best] -= count
    return {name: place[group] for name, (group, _) in items.items()}


def _quotas(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Return how many of ``count`` items each split gets: whole parts, then one more for the largest remainders."""
    total = sum(shares.values())
    exact = {split: count * share / total for split, share in shares.items()}
    quotas = {split: int(value) for split, value in exact.items()}
    left = count - sum(quotas.values())
    for split in sorted(shares, key=lambda name: quotas[name] - exact[name])[:left]:
        quotas[split] += 1
    return quotas
