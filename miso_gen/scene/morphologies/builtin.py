"""The library of 24 silhouettes that miso-gen brings."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.errors import UnknownNameError
from miso_gen.geometry import LATTICE
from miso_gen.recipe.plugins import MORPHOLOGIES
from miso_gen.scene.interfaces import OutlinedMorphologies

if TYPE_CHECKING:
    from numpy.typing import NDArray


@cache
def library() -> dict[str, Any]:
    """Return ``{"grid": side of the design square, "shapes": {name: {"title": ..., "rings": [[x0, y0, ...], ...]}}}``."""
    text = files("miso_gen.scene.morphologies").joinpath("silhouettes.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


@MORPHOLOGIES.register("builtin")
class Builtin(OutlinedMorphologies):
    """24 own silhouettes, from bare-tree to window; the canary is the reference.

    Whole-number polygons, drawn by ``scripts/draw_silhouettes.py``. The design square is scaled to the shorter side of the
    canvas and centred.

    ::

        morphologies: {type: builtin, only: [canary, teapot], split: shared}
    """

    revision = 1

    only: tuple[str, ...] = ()
    """Names of the silhouettes to show; empty: all of them."""

    def names(self) -> tuple[str, ...]:
        """See :class:`Morphologies`; raises UnknownNameError where ``only`` holds a name that no silhouette has."""
        known = sorted(library()["shapes"])
        for name in self.only:
            if name not in known:
                raise UnknownNameError("silhouette", name, known)
        return tuple(dict.fromkeys(self.only)) or tuple(known)

    @property
    def reference(self) -> str:
        """The canary."""
        return "canary"

    def rings(self, name: str, height: int, width: int) -> list[NDArray[np.int64]]:
        """See :class:`OutlinedMorphologies`."""
        shapes, grid = library()["shapes"], library()["grid"]
        if name not in shapes:
            raise UnknownNameError("silhouette", name, sorted(shapes))
        side = min(height, width)
        corner = np.array([width - side, height - side], np.int64) * (LATTICE // 4)
        rings = [np.array(ring, np.int64).reshape(-1, 2) for ring in shapes[name]["rings"]]
        return [2 * (ring * (side * LATTICE // 2) // grid + corner) + 1 for ring in rings]
