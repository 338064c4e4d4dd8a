"""A scene: what is where in one image, before any pixel.

A scene is a background and a stack of layers. Everything in it answers for any box of the image, so that a tile costs what
it holds, and equals the same part of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.geometry import Box
from miso_gen.recipe.plugins import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from miso_gen.recipe.plan import ImagePlan
    from miso_gen.scene.crowd import Crowd
    from miso_gen.scene.pixels import PixelType
    from miso_gen.scene.regions import LabelledRegion, Region
    from miso_gen.scene.textures import Texture, Tiled


@dataclass(frozen=True)
class Layer:
    """One thing in an image; later layers lie on top of earlier ones.

    Attributes:
        region: Where it is.
        texture: What it looks like; None leaves the pixels as they are.
        stencil: Where in the region the texture shows, e.g. a tiling whose gaps show what is below; None: everywhere. The
            truth is not cut.
        truth: Truth level of its pixels (0, 1 or 2); None leaves the truth, and the instances, as they are.
        instance: Its object id; ignored where the region labels its objects itself.
    """

    region: Region | LabelledRegion
    texture: Texture | None = None
    stencil: Tiled | None = None
    truth: int | None = None
    instance: int = 1


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of an image, a row each.

    Attributes:
        kind: What they are, e.g. ``disc``.
        ids: (n,) int64, the ids in ``instances``.
        boxes: (n, 4) int64: top, left, bottom, right on the canvas, in pixels; half open.
        params: Drawn numbers, each (n,) float64.
    """

    kind: str
    ids: NDArray[np.int64]
    boxes: NDArray[np.int64]
    params: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def single(cls, kind: str, box: Box, instance: int = 1, **params: float) -> Objects:
        """Return the table of one object."""
        return cls(
            kind,
            np.array([instance], np.int64),
            np.array([[box.top, box.left, box.bottom, box.right]], np.int64),
            {name: np.array([value], np.float64) for name, value in params.items()},
        )


@dataclass(frozen=True, eq=False)
class Scene:
    """One image, before any pixel.

    Attributes:
        height: Rows.
        width: Columns.
        channels: 1 or 3; grey textures show the same value in all of them.
        pixels: The stored pixel type.
        background: What is seen where no layer is.
        layers: Bottom to top.
        objects: What the instance table says of them.
        instances: Type of the instance labels where the image holds more than one object, else None.
        drawn: Numbers drawn while the scene was made, for the image table.
        label: The label where geometry decides it, else None: the plan's holds.
        truth_2_known: Whether somebody knows which objects make the label true; where not, all of them are level 2.
    """

    height: int
    width: int
    channels: int
    pixels: PixelType
    background: Texture
    layers: tuple[Layer | Crowd, ...]
    objects: tuple[Objects, ...] = ()
    instances: np.dtype[Any] | None = None
    drawn: Mapping[str, float | int | str] = field(default_factory=dict)
    label: int | None = None
    truth_2_known: bool = True

    @property
    def few_valued(self) -> bool:
        """Whether image and instances are pictures of few values, which are rendered a bit a pixel."""
        plain = self.channels == 1 and self.background.few_valued
        return plain and all(self._few_valued(layer) for layer in self.layers)

    def _few_valued(self, layer: Layer | Crowd) -> bool:
        if not isinstance(layer, Layer):
            return False
        labelled = self.instances is not None and hasattr(layer.region, "labels")
        return not labelled and (layer.texture is None or layer.texture.few_valued)

    @property
    def box(self) -> Box:
        """The whole image."""
        return Box(0, 0, self.height, self.width)


def instance_type(count: int) -> np.dtype[Any]:
    """Return the smallest of uint16 and uint32 that holds ids 0 .. count."""
    return np.dtype(np.uint16 if count <= 65535 else np.uint32)


def make_scene(plan: ImagePlan) -> Scene:
    """Return the scene of a planned image.

    Raises:
        RecipeError: The numbers of the plan can't work with its silhouette or canvas.
    """
    from miso_gen.scene.interfaces import SceneScenario

    scenario = SCENARIOS.get(plan.type).from_spec(plan.spec)
    if not isinstance(scenario, SceneScenario):
        raise TypeError(f"scenario {plan.type!r} must be a SceneScenario, got {type(scenario).__mro__[1].__name__}.")
    return scenario.scene(plan)
