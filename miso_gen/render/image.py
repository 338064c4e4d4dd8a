"""An image of a recipe, by its id."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.geometry import Box
from miso_gen.recipe import ImagePlan, Recipe, plan_images
from miso_gen.render.compose import render_box
from miso_gen.scene import make_scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def render(
    recipe: Recipe, image_id: str, box: tuple[int, int, int, int] | Box | None = None
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Render an image of a recipe, or a box of it, without a store.

    Args:
        recipe: The recipe.
        image_id: Id of the image, e.g. ``gsp/test/0007``.
        box: (top, left, bottom, right) in pixels, half open; None: the whole image.

    Returns:
        The image, shape (C, H, W) of the canvas's dtype, and its truth, shape (H, W) uint8 in {0, 1, 2}.

    Raises:
        UnknownNameError: The recipe has no such image.
        InputError: The box is empty or reaches beyond the image.
    """
    plan = plan_of(recipe, image_id)
    scene = make_scene(plan)
    try:
        area = scene.box if box is None else box if isinstance(box, Box) else Box(*box)
        part = render_box(scene, area)
    except (ValueError, TypeError) as error:
        raise InputError(f"{image_id}: {error} Give (top, left, bottom, right) in pixels.") from error
    return part.image, part.truth


def plan_of(recipe: Recipe, image_id: str) -> ImagePlan:
    """Return the plan of one image.

    Raises:
        UnknownNameError: The recipe has no such image.
    """
    plans = _plans(_ByDigest(recipe))
    if image_id not in plans:
        raise UnknownNameError("image", image_id, plans)
    return plans[image_id]


class _ByDigest:
    """A recipe as the key of a cache."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def __hash__(self) -> int:
        return hash(self.recipe.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByDigest) and other.recipe.digest == self.recipe.digest


@lru_cache(maxsize=4)
def _plans(key: _ByDigest) -> dict[str, ImagePlan]:
    return {plan.id: plan for plan in plan_images(key.recipe)}
