"""How many images a scenario has, where its silhouettes do not decide that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError, core_schema

from miso_gen.errors import RecipeError, listing
from miso_gen.recipe.parameters import PositiveFloat, PositiveInt
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


class SplitShares(Mapping[str, float]):
    """A share for each split, adding up to 1; equal to a dict of the same items, and hashable."""

    def __init__(self, shares: Mapping[str, float]) -> None:
        self._shares = dict(shares)

    def __getitem__(self, split: str) -> float:
        return self._shares[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shares)

    def __len__(self) -> int:
        return len(self._shares)

    def __hash__(self) -> int:
        return hash(frozenset(self._shares.items()))

    def __repr__(self) -> str:
        return repr(self._shares)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        shares = core_schema.dict_schema(core_schema.str_schema(), handler(PositiveFloat), min_length=1)
        return core_schema.no_info_after_validator_function(cls._checked, shares)

    @classmethod
    def _checked(cls, shares: Mapping[str, float]) -> SplitShares:
        if not 0.999 <= sum(shares.values()) <= 1.001:
            raise PydanticCustomError("expected", "shares that add up to 1")
        return cls(shares)


class CountedScenario(Scenario):
    """A scenario of which any number of images can be made."""

    images: PositiveInt | SplitCounts
    """Images in every split, or a number for each split: ``{train: 6400, test: 1600}``."""

    def images_in(self, split: str) -> int:
        """See :class:`Scenario`."""
        return images_of(self.images, split, self.type_name)


def images_of(images: int | SplitCounts, split: str, name: str) -> int:
    """Return how many images a split has.

    Raises:
        RecipeError: Nobody said; ``name`` is what lacks the number.
    """
    if not isinstance(images, SplitCounts):
        return images
    if split not in images:
        raise RecipeError(
            f"{name}: images must have a number for every split, got none for {split!r} "
            f"(there are {listing(tuple(images))}). Add {split}: to images."
        )
    return images[split]
