"""How many images a scenario has, where its silhouettes do not decide that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema

from miso_gen.errors import RecipeError, listing
from miso_gen.recipe.parameters import PositiveInt
from miso_gen.recipe.plugins import Scenario

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler


class SplitCounts(Mapping[str, int]):
    """A positive number for each split; equal to a dict of the same items, and hashable."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = dict(counts)

    def __getitem__(self, split: str) -> int:
        return self._counts[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __hash__(self) -> int:
        return hash(frozenset(self._counts.items()))

    def __repr__(self) -> str:
        return repr(self._counts)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        counts = core_schema.dict_schema(core_schema.str_schema(), handler(PositiveInt), min_length=1)
        return core_schema.no_info_after_validator_function(cls, counts)


class CountedScenario(Scenario):
    """A scenario of which any number of images can be made."""

    images: PositiveInt | SplitCounts
    """Images in every split, or a number for each split: ``{train: 6400, test: 1600}``."""

    def images_in(self, split: str) -> int:
        """See :class:`Scenario`."""
        if not isinstance(self.images, SplitCounts):
            return self.images
        if split not in self.images:
            raise RecipeError(
                f"{self.type_name}: images must have a number for every split, got none for {split!r} "
                f"(there are {listing(tuple(self.images))}). Add {split}: to images."
            )
        return self.images[split]
