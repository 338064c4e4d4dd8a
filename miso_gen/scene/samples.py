"""Samples that users brought: masks of cells, stitched, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.contents import recall
from miso_gen.errors import RecipeError, UnknownNameError
from miso_gen.imports.labels import labels_of
from miso_gen.runs import LabelRuns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.contents import Content


class SampleTable:
    """The samples of a content."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.samples: Mapping[str, Mapping[str, Any]] = {
            s["name"]: s for s in sorted(content.facts["samples"], key=lambda s: s["name"])
        }
        self.classes = tuple(sorted({str(sample["class"]) for sample in self.samples.values()}))
        self._masks: dict[str, list[int]] = {}
        for number, mask in enumerate(content.facts["masks"]):
            self._masks.setdefault(mask["sample"], []).append(number)

    def tile(self, numbers: Sequence[int]) -> tuple[int, int]:
        """Return the size of the masks of a sample.

        Raises:
            RecipeError: They differ.
        """
        masks = [self.content.facts["masks"][number] for number in numbers]
        sizes = {(int(mask["height"]), int(mask["width"])) for mask in masks}
        if len(sizes) > 1:
            raise RecipeError(
                f"masks of sample {masks[0]['sample']!r} must have one size to be stitched, got {sorted(sizes)}. Cut them alike."
            )
        return sizes.pop()

    def size(self, name: str) -> tuple[int, int]:
        """Return height and width of a sample."""
        numbers = self._masks[name]
        across = _across(len(numbers))
        height, width = self.tile(numbers)
        return -(-len(numbers) // across) * height, across * width

    def sample(self, name: str) -> Sample:
        """Return a sample.

        Raises:
            UnknownNameError: There is none of the name.
        """
        if name not in self._masks:
            raise UnknownNameError("sample", name, self.samples)
        return Sample(self, self._masks[name])


class Sample:
    """The masks of a sample, stitched.

    Attributes:
        runs: The cells, ids from 1.
        kinds: What each is.
        telling: Whether each makes the class; None where nobody knows.
    """

    def __init__(self, table: SampleTable, numbers: Sequence[int]) -> None:
        facts, content = table.content.facts, table.content
        across = _across(len(numbers))
        height, width = table.tile(numbers)
        shape = (-(-len(numbers) // across) * height, across * width)
        parts, codes, ids = [], [], 0
        for place, number in enumerate(numbers):
            runs = labels_of(recall(facts["masks"][number]["labels"]))
            row, column = divmod(place, across)
            parts.append(
                (runs.rows + row * height, runs.first + column * width, runs.stop + column * width, runs.ids + np.int64(ids))
            )
            start, stop = content.arrays["starts"][number : number + 2]
            codes.append(content.arrays["cells"][start:stop])
            ids += int(stop - start)
        self.runs = LabelRuns.of_runs(*shape, *(np.concatenate(part) for part in zip(*parts, strict=True)))
        code = np.concatenate(codes)
        names = facts["kinds"]
        self.kinds = np.array([*names, "cell"], np.str_)[code] if names else np.full(len(code), "cell")
        self.telling: NDArray[np.bool_] | None = None
        if names:
            self.telling = np.array([*facts["telling_kinds"], False])[code]
        elif all(facts["masks"][number]["telling_known"] for number in numbers):
            self.telling = code == 1


@lru_cache(maxsize=8)
def sample_table(digest: str) -> SampleTable:
    """Return the table of a content; see ``imports.samples``."""
    return SampleTable(recall(digest))


def _across(count: int) -> int:
    """Return the columns of the most nearly square grid for so many masks: the root, rounded up."""
    return isqrt(count - 1) + 1
