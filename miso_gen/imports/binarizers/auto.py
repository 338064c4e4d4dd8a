"""The way to binarise that a picture asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miso_gen.imports.binarizing import PictureBinarizer
from miso_gen.recipe.plugins import BINARIZERS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from miso_gen.imports.pictures import Picture


@BINARIZERS.register("auto")
class Auto(PictureBinarizer):
    """By opacity where it varies; else as it is where a picture has two colours; else by Otsu's threshold.

    ::

        binarize: auto
    """

    def binarize(self, picture: Picture, name: str) -> NDArray[np.bool_]:
        """See :class:`PictureBinarizer`."""
        binarizer = BINARIZERS.get(_way(picture))()
        assert isinstance(binarizer, PictureBinarizer)
        return binarizer.binarize(picture, name)


def _way(picture: Picture) -> str:
    if picture.alpha is not None and picture.alpha.min() < picture.alpha.max():
        return "alpha"
    colours = picture.colours
    others = colours[colours != colours[0, 0]]
    return "binary" if len(others) and (others == others[0]).all() else "otsu"
