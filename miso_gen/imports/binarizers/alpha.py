"""Binarisation by opacity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miso_gen.errors import InputError
from miso_gen.imports.binarizing import PictureBinarizer
from miso_gen.recipe.plugins import BINARIZERS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from miso_gen.imports.pictures import Picture


@BINARIZERS.register("alpha")
class Alpha(PictureBinarizer):
    """What is at least half opaque is inside.

    ::

        binarize: alpha
    """

    def binarize(self, picture: Picture, name: str) -> NDArray[np.bool_]:
        """See :class:`PictureBinarizer`."""
        if picture.alpha is None:
            raise InputError("must have an alpha channel, got none. Write another binarize, such as otsu.")
        if picture.alpha.min() == picture.alpha.max():
            raise InputError(
                f"must have an alpha channel that varies, got {int(picture.alpha[0, 0])} of 255 everywhere. "
                "Write another binarize, such as otsu."
            )
        return picture.alpha >= 128
