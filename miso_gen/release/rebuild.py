"""Render images again, and compare them with what a store says of them: the proof that no checksum can give."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.geometry import Box
from miso_gen.recipe import Recipe, plan_images
from miso_gen.render import render_box
from miso_gen.rng import Stream
from miso_gen.scene import make_scene
from miso_gen.store import BlockDigests, Problem, array_digest, offer_contents
from miso_gen.store.digests import block_digest
from miso_gen.store.layout import BLOCK
from miso_gen.work import attributes_of, object_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from miso_gen.recipe import ImagePlan
    from miso_gen.store import ImageEntry, Target

_ROWS = 2 * BLOCK  #: rendered at a time
_FEW = 4_000_000  #: pixels up to which other processes are not worth their start


@dataclass(frozen=True)
class Rendered:
    """What rendering an image gave.

    Attributes:
        image_id: Its id.
        label: Its class.
        class_name: Name of its class.
        pair: Its pair.
        digests: Of ``image``, ``truth``, ``instances`` and ``objects``, where there are any.
    """

    image_id: str
    label: int
    class_name: str
    pair: str | None
    digests: Mapping[str, str]


def rebuild(
    recipe: Recipe,
    images: Mapping[str, ImageEntry],
    target: Target,
    sample: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    seen: Callable[[str], None] | None = None,
) -> tuple[list[str], list[Problem]]:
    """Render images again and compare pixels, truth, instances, objects and labels.

    Args:
        recipe: What they were built from.
        images: What is said of them, by id.
        target: Where imported contents are found.
        sample: How many, drawn at random; None: all.
        seed: Decides which.
        workers: Processes; default one a core.
        seen: Called with the id of every image that is done.

    Returns:
        The ids that were rendered, sorted, and what differs.
    """
    plans = {plan.id: plan for plan in plan_images(recipe)}
    problems = [Problem(i, "recipe", "is no image of the recipe") for i in sorted(images.keys() - plans.keys())]
    problems += [
        Problem(i, "missing", "is an image of the recipe, and is not there") for i in sorted(plans.keys() - images.keys())
    ]
    ids = sorted(images.keys() & plans.keys())
    if sample is not None and sample < len(ids):
        order = np.argsort(Stream("verify", seed).uniforms(len(ids)), kind="stable")
        ids = sorted(ids[place] for place in order[:sample].tolist())
    for found in _render_all([plans[image_id] for image_id in ids], target, workers):
        problems += _differences(images[found.image_id], found)
        if seen is not None:
            seen(found.image_id)
    return ids, sorted(problems, key=str)


def render_digests(plan: ImagePlan) -> Rendered:
    """Render an image, some rows at a time, and return its digests."""
    scene = make_scene(plan)
    canvas = plan.canvas
    names = ["image", "truth"] + (["instances"] if scene.instances is not None else [])
    shapes = {"image": (canvas.channels, canvas.height, canvas.width)}
    blocks: dict[str, BlockDigests] = {}
    for top in range(0, canvas.height, _ROWS):
        part = render_box(scene, Box(top, 0, min(canvas.height, top + _ROWS), canvas.width))
        for name in names:
            pixels = getattr(part, name)
            own = blocks.setdefault(name, BlockDigests(pixels.dtype.name, shapes.get(name, (canvas.height, canvas.width))))
            _add(own, pixels, top)
    digests = {name: own.hexdigest() for name, own in blocks.items()}
    digests["objects"] = array_digest(object_table(scene.objects).stored())
    known = attributes_of(plan, scene)
    return Rendered(plan.id, known["label"], known["class_name"], known["pair"], digests)


def _add(blocks: BlockDigests, pixels: Any, top: int) -> None:
    height, width = pixels.shape[-2:]
    for row in range(0, height, BLOCK):
        for col in range(0, width, BLOCK):
            block = np.ascontiguousarray(pixels[..., row : row + BLOCK, col : col + BLOCK])
            blocks.add((top + row) // BLOCK, col // BLOCK, block_digest(block))


def _render_all(plans: Sequence[ImagePlan], target: Target, workers: int | None) -> Iterator[Rendered]:
    pixels = sum(plan.canvas.height * plan.canvas.width for plan in plans)
    count = min(workers or os.cpu_count() or 1, len(plans))
    if count <= 1 or pixels <= _FEW:
        offer_contents(target)
        yield from map(render_digests, plans)
        return
    # Fresh processes: forking one that has threads may copy a lock that nobody will open.
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=offer_contents, initargs=(target,)) as pool:
        for future in as_completed([pool.submit(render_digests, plan) for plan in plans]):
            yield future.result()


def _differences(entry: ImageEntry, found: Rendered) -> Iterator[Problem]:
    for name in ("image", "truth", "instances", "objects"):
        said, got = getattr(entry, f"{name}_digest"), found.digests.get(name)
        if said != got:
            what = "pixels" if name == "image" else name
            yield Problem(
                entry.image_id, "rebuild", f"{what} rendered from the recipe are others ({_short(said)} is {_short(got)})"
            )
    for name in ("label", "class_name", "pair"):
        said, got = getattr(entry, name), getattr(found, name)
        if said != got:
            yield Problem(entry.image_id, "rebuild", f"{name} by the recipe is {got!r}, not {said!r}")


def _short(digest: str | None) -> str:
    return "none" if digest is None else digest[:12]
