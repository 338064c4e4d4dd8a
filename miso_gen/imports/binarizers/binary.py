"""Pictures of two colours as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miso_gen.errors import InputError
from miso_gen.imports.binarizing import PictureBinarizer, Side, chosen_side
from miso_gen.recipe.plugins import BINARIZERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.imports.pictures import Picture


@BINARIZERS.register("binary")
class Binary(PictureBinarizer):
    """Pictures that have exactly two colours.

    ::

        binarize: {type: binary, object: dark}
    """

    object: Side = "auto"
    """Which colour is the object; auto: the one that fewer pixels of the picture's outermost frame have, else the lighter."""

    def binarize(self, picture: Picture, name: str) -> NDArray[np.bool_]:
        """See :class:`PictureBinarizer`."""
        first = picture.colours == picture.colours[0, 0]
        others = np.flatnonzero(~first)
        count = 1
        if len(others):
            rest = picture.colours.reshape(-1)[others]
            count = 2 if (rest == rest[0]).all() else 1 + len(np.unique(rest))
        if count != 2:
            raise InputError(f"must have exactly two colours, got {count}. Write another binarize, such as otsu.")
        lighter = picture.grey[0, 0] > picture.grey.reshape(-1)[others[0]]
        return chosen_side(first if lighter else ~first, self.object)
