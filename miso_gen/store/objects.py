"""The table of an image's objects: one row of numbers and a kind for each disc, tile, cell or nucleus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: Columns that every table has: the id in the instance map and the box, px, half-open.
REQUIRED = ("id", "top", "left", "bottom", "right")
_WHOLE = frozenset(REQUIRED)


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """Objects of one image.

    Args:
        columns: Names of the numbers: ``id top left bottom right``, then drawn parameters.
        values: (n, k) float64, one row an object; n may be 0.
        kinds: Names of the kinds.
        codes: (n,) whole numbers, the place of each object's kind in ``kinds``.

    Raises:
        ValueError: Shapes disagree or a required column is missing.
    """

    columns: tuple[str, ...]
    values: NDArray[np.float64]
    kinds: tuple[str, ...]
    codes: NDArray[np.integer[Any]]

    def __post_init__(self) -> None:
        if self.columns[: len(REQUIRED)] != REQUIRED:
            raise ValueError(f"columns of objects must start with {REQUIRED}, got {self.columns}. Reorder them.")
        shape = (len(self.codes), len(self.columns))
        if self.values.shape != shape:
            raise ValueError(f"values of objects must have shape {shape}, got {self.values.shape}. Give one row an object.")
        if len(self.codes) and not 0 <= int(self.codes.min()) <= int(self.codes.max()) < len(self.kinds):
            raise ValueError(f"kind codes must be below {len(self.kinds)}, got up to {int(self.codes.max())}. Name every kind.")

    def __len__(self) -> int:
        return len(self.codes)

    def stored(self) -> NDArray[np.float64]:
        """Return what is stored: (n, 1 + k) float64, the kind's code first."""
        return np.column_stack([self.codes.astype(np.float64), self.values.astype(np.float64, copy=False)])

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the stored array."""
        return {"miso": {"columns": ["kind", *self.columns], "kinds": list(self.kinds)}}

    @classmethod
    def from_stored(cls, values: NDArray[np.float64], attributes: dict[str, Any]) -> ObjectTable:
        """Return the table of a stored array and its attributes."""
        miso = attributes["miso"]
        return cls(tuple(miso["columns"][1:]), values[:, 1:], tuple(miso["kinds"]), values[:, 0].astype(np.int64))

    def rows(self, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield objects as mappings; id and box as int, kind as text, nan as None."""
        for code, numbers in zip(self.codes[:limit].tolist(), self.values[:limit].tolist(), strict=True):
            row: dict[str, Any] = {"kind": self.kinds[code]}
            for name, number in zip(self.columns, numbers, strict=True):
                row[name] = int(number) if name in _WHOLE else None if number != number else number
            yield row
