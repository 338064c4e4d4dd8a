"""What changed from one data set to another, told by content digests alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.store import ImageEntry, Manifest

#: What of an image may change, in words: fields of its entry.
ASPECTS: dict[str, tuple[str, ...]] = {
    "pixels": ("image_digest",),
    "truth": ("truth_digest",),
    "instances": ("instances_digest", "objects_digest"),
    "label": ("label", "class_name"),
    "pair": ("pair",),
}


@dataclass(frozen=True)
class Difference:
    """What changed between two data sets. Ids are sorted.

    Attributes:
        old: The one before.
        new: The one after.
        added: Ids that only the new one has.
        removed: Ids that only the old one has.
        moved: (old id, new id) of images that are the same under another id: another split, scenario or number. They count
            neither as added nor as removed.
        changed: For each of ``pixels``, ``truth``, ``instances``, ``label`` and ``pair`` the ids of both whose it is another.
    """

    old: Manifest
    new: Manifest
    added: tuple[str, ...]
    removed: tuple[str, ...]
    moved: tuple[tuple[str, str], ...]
    changed: Mapping[str, tuple[str, ...]]

    @property
    def same_images(self) -> bool:
        """Whether both have the same images, pixels, truth, labels and splits."""
        return not (self.added or self.removed or self.moved or self.altered)

    @property
    def altered(self) -> tuple[str, ...]:
        """Ids of both that changed in any way, sorted."""
        return tuple(sorted({image_id for ids in self.changed.values() for image_id in ids}))

    @property
    def breaks(self) -> bool:
        """Whether anything of the old one is gone or another."""
        return bool(self.removed or self.moved or self.altered)

    def counts(self) -> dict[str, int]:
        """Return how many images each kind of change concerns; kinds without any are left out."""
        found = {"added": len(self.added), "removed": len(self.removed), "moved": len(self.moved)}
        found |= {f"other {aspect}": len(ids) for aspect, ids in self.changed.items()}
        return {kind: count for kind, count in found.items() if count}

    def texts(self) -> dict[str, tuple[str, str]]:
        """Return what both say of themselves where they differ: (old, new) of title, licence and recipe digest."""
        names = ("title", "license", "recipe_digest")
        pairs = {name: (getattr(self.old, name), getattr(self.new, name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def compare(old: Manifest, new: Manifest) -> Difference:
    """Return what changed from ``old`` to ``new``."""
    gone = sorted(old.images.keys() - new.images.keys())
    come = sorted(new.images.keys() - old.images.keys())
    places: dict[tuple[object, ...], list[str]] = {}
    for image_id in come:
        places.setdefault(_content(new.images[image_id]), []).append(image_id)
    moved = []
    for image_id in gone:
        same = places.get(_content(old.images[image_id]))
        if same:
            moved.append((image_id, same.pop(0)))
    left, reached = {pair[0] for pair in moved}, {pair[1] for pair in moved}
    both = sorted(old.images.keys() & new.images.keys())
    changed = {
        aspect: tuple(i for i in both if _values(old.images[i], fields) != _values(new.images[i], fields))
        for aspect, fields in ASPECTS.items()
    }
    return Difference(
        old,
        new,
        added=tuple(image_id for image_id in come if image_id not in reached),
        removed=tuple(image_id for image_id in gone if image_id not in left),
        moved=tuple(moved),
        changed={aspect: ids for aspect, ids in changed.items() if ids},
    )


def _values(entry: ImageEntry, fields: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(getattr(entry, name) for name in fields)


def _content(entry: ImageEntry) -> tuple[object, ...]:
    return _values(entry, ("image_digest", "truth_digest", "instances_digest", "label"))
