"""Which samples go into which file."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def by_size(items: Sequence[T], sizes: Sequence[int], limit: int) -> list[list[T]]:
    """Return items in their order, cut into groups of at most ``limit`` bytes; one that is larger is a group by itself.

    Args:
        items: What is grouped; none give no group.
        sizes: Bytes of each.
        limit: Greatest sum of a group.
    """
    groups: list[list[T]] = []
    held = 0
    for item, size in zip(items, sizes, strict=True):
        if not groups or held + size > limit:
            groups.append([])
            held = 0
        groups[-1].append(item)
        held += size
    return groups
