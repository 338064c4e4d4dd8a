"""Silhouettes from pictures that users bring."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from miso_gen.contents import recall
from miso_gen.errors import UnknownNameError
from miso_gen.geometry import LATTICE
from miso_gen.imports.outlines import Outline
from miso_gen.imports.silhouettes import PictureFiles
from miso_gen.recipe.entry import Name
from miso_gen.recipe.importing import ContentDigest, Importing
from miso_gen.recipe.parameters import Parameters
from miso_gen.recipe.plugins import MORPHOLOGIES
from miso_gen.scene.interfaces import OutlinedMorphologies

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MARGIN = 0.05


class NamedOutline(Parameters):
    """An imported silhouette; written by the import, not by people."""

    name: Name
    """What it is called."""

    content: ContentDigest
    """Digest of its outline."""


@MORPHOLOGIES.register("bitmaps")
class Bitmaps(OutlinedMorphologies, Importing):
    """Silhouettes from pictures: PNG, JPEG, GIF, BMP, TIFF, WebP.

    Files are read once and kept as whole-number polygons along the edges of their pixels. These are scaled to the canvas by one
    factor and centred; at scale 1 a silhouette is the black-and-white picture, pixel for pixel.

    ::

        morphologies: {type: bitmaps, path: shapes/*.png, binarize: auto, holes: keep, fit: object, margin_share: 0.1}
    """

    source: ClassVar = PictureFiles
    found: ClassVar = ("shapes", "reference_shape")

    shapes: Annotated[tuple[NamedOutline, ...], Field(min_length=1)]
    """The silhouettes in index order; written by the import."""

    reference_shape: NamedOutline
    """The silhouette that MD deforms; written by the import."""

    fit: Literal["image", "object"] = "image"
    """What is scaled to the canvas: the whole picture, or the box of the object in it, within a margin."""

    margin_share: Annotated[float, Field(ge=0, lt=0.5)] = _MARGIN
    """Least distance of the object from every border over the shorter side of the canvas; for ``fit: object`` only."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.names())) < len(self.shapes):
            raise PydanticCustomError("expected", "silhouettes with a name each")
        if self.fit == "image" and self.margin_share != _MARGIN:
            raise PydanticCustomError("expected", "without margin_share where fit is image (write fit: object)")
        return self

    def names(self) -> tuple[str, ...]:
        """See :class:`Morphologies`."""
        return tuple(shape.name for shape in self.shapes)

    @property
    def reference(self) -> str:
        """See :class:`Morphologies`."""
        return self.reference_shape.name

    def contents(self) -> tuple[str, ...]:
        """See :class:`Importing`."""
        return tuple(dict.fromkeys(shape.content for shape in (*self.shapes, self.reference_shape)))

    def outline(self, name: str) -> Outline:
        """Return the outline of a silhouette in pixels of its picture.

        Raises:
            UnknownNameError: No silhouette has the name.
            InputError: Its content is nowhere, or no outline.
        """
        known = {shape.name: shape.content for shape in (self.reference_shape, *self.shapes)}
        if name not in known:
            raise UnknownNameError("silhouette", name, sorted(known))
        return _outline(known[name])

    def rings(self, name: str, height: int, width: int) -> list[NDArray[np.int64]]:
        """See :class:`OutlinedMorphologies`."""
        outline = self.outline(name)
        left, top, right, bottom = outline.bounds if self.fit == "object" else (0, 0, outline.width, outline.height)
        half = LATTICE // 2  # odd lattice points are 2 n + 1
        margin = int(self.margin_share * (half * min(height, width))) if self.fit == "object" else 0
        down, across = half * height - 2 * margin, half * width - 2 * margin
        # The scale is down / (bottom - top) or across / (right - left), whichever is less, in half lattice units per pixel.
        if down * (right - left) <= across * (bottom - top):
            scale, per = down, bottom - top
        else:
            scale, per = across, right - left
        middle = np.array([left + right, top + bottom], np.int64)
        centre = np.array([half * width * per, half * height * per], np.int64)
        return [2 * (((2 * ring.astype(np.int64) - middle) * scale + centre) // (2 * per)) + 1 for ring in outline.rings]


@lru_cache(maxsize=64)
def _outline(digest: str) -> Outline:
    return Outline.of_content(recall(digest))
