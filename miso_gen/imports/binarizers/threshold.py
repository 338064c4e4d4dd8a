"""Binarisation by two thresholds, for all files or for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.imports.binarizing import PictureBinarizer
from miso_gen.recipe.parameters import Parameters
from miso_gen.recipe.plugins import BINARIZERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from miso_gen.imports.pictures import Picture


def _ordered(low: float, high: float) -> None:
    if not low < high:
        raise PydanticCustomError("expected", "thresholds with low below high")


class FileThreshold(Parameters):
    """The thresholds of one file."""

    name: str
    """Name of its silhouette."""

    low: float
    """What is inside is lighter than this."""

    high: float
    """What is inside is darker than this."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _ordered(self.low, self.high)
        return self


@BINARIZERS.register("threshold")
class Threshold(PictureBinarizer):
    """Greys between two thresholds are inside, both excluded.

    Grey is .2125 R + .7154 G + .0721 B, from 0 black to 1 white. What is transparent lies on white. No picture is refused as a
    photograph: you decide.

    ::

        binarize: {type: threshold, low: -1, high: 0.5, files: [{name: cat, low: 0.1, high: 0.9}]}

    Source: MISO, appendix A2.
    """

    low: float = -1.0
    """What is inside is lighter than this; black is inside where it is below 0."""

    high: float = 0.5
    """What is inside is darker than this; white is inside where it is above 1."""

    files: tuple[FileThreshold, ...] = ()
    """Thresholds of single files, by the names of their silhouettes."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _ordered(self.low, self.high)
        return self

    def check(self, names: Iterable[str]) -> None:
        """See :class:`PictureBinarizer`."""
        known, given = sorted(names), [file.name for file in self.files]
        for place, name in enumerate(given):
            if name not in known:
                raise UnknownNameError("name in files of threshold", name, known)
            if name in given[:place]:
                raise InputError(f"names in files of threshold must be given once, got {name!r} again. Delete one of them.")

    def binarize(self, picture: Picture, name: str) -> NDArray[np.bool_]:
        """See :class:`PictureBinarizer`."""
        low, high = next(((file.low, file.high) for file in self.files if file.name == name), (self.low, self.high))
        return (picture.grey > low) & (picture.grey < high)
