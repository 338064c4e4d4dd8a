"""What a store is, in plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from miso_gen.errors import StoreError
from miso_gen.recipe import Recipe, plan_images
from miso_gen.store import list_images, offer_contents, open_dataset, open_store, read_root

if TYPE_CHECKING:
    from miso_gen.store import Target


def describe(location: str) -> dict[str, Any]:
    """Return name, version, state, digests, canvas, sizes and class counts of a store, complete or not.

    Raises:
        StoreError: There is no store, or it can't be read.
    """
    target = open_store(location)
    root = read_root(target)
    if root.imports:
        offer_contents(target)
    recipe = Recipe.from_dict(root.recipe)
    classes: list[dict[str, Any]] = []
    if root.complete:
        table = open_dataset(location).table
        counts = table.groupby(["scenario", "split", "label", "class_name"], sort=False).size().reset_index(name="images")
        names = ("scenario", "split", "label", "class", "images")
        classes = [dict(zip(names, row, strict=True)) for row in counts.itertuples(index=False)]
        images = len(table)
    else:
        images = len(list_images(target))
    canvas = recipe.canvas
    return {
        "name": root.name,
        "version": root.version,
        "state": root.state,
        "images": images,
        "planned": len(plan_images(recipe)),
        "bytes": _size(target),
        "recipe_digest": root.recipe_digest,
        "root_digest": root.root_digest,
        "canvas": f"{canvas.height} x {canvas.width} px, {canvas.channels} channel{'s' * (canvas.channels > 1)}, {canvas.dtype}",
        "generator": dict(root.generator),
        "classes": classes,
    }


def _size(target: Target) -> int | None:
    """Return the bytes of all files of a store; None where files can't be listed, as on web servers."""
    try:
        return _bytes(target)
    except StoreError:
        return None


def _bytes(target: Target, folder: str = "") -> int:
    """Return the sizes of all files below a folder of the store, added up."""
    total = 0
    for name in target.list(folder):
        path = f"{folder}/{name}" if folder else name
        size = target.size(path)
        total += _bytes(target, path) if size is None else size
    return total
