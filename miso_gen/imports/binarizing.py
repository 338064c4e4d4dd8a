"""What every way to make a picture black and white must be able to do, and what several of them share."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from miso_gen.recipe.plugins import Binarizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from miso_gen.imports.pictures import Picture

Side: TypeAlias = Literal["auto", "light", "dark"]


class PictureBinarizer(Binarizer):
    """A way to make pictures black and white."""

    def check(self, names: Iterable[str]) -> None:
        """Raise :class:`~miso_gen.errors.InputError` for names that none of the pictures has."""

    @abstractmethod
    def binarize(self, picture: Picture, name: str) -> NDArray[np.bool_]:
        """Return what of a picture is inside, (h, w) bool.

        Args:
            picture: The picture.
            name: What it is called.

        Raises:
            InputError: The picture is not of the kind that this can do. The message says what it must be, without its name.
        """


def chosen_side(light: NDArray[np.bool_], side: Side) -> NDArray[np.bool_]:
    """Return the object of a picture in two parts.

    Args:
        light: (h, w) bool, the lighter part.
        side: Which part is the object; auto: the one that fewer pixels of the picture's outermost frame have, else the lighter.
    """
    if side == "auto":
        frame = np.concatenate([light[0], light[-1], light[1:-1, 0], light[1:-1, -1]])
        side = "dark" if 2 * np.count_nonzero(frame) > frame.size else "light"
    return light if side == "light" else ~light
