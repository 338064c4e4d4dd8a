"""Synthetic cells: an image of 512 px against the published generator's rules in whole-image numpy, and megapixel fields.

An image: ours (scene, image and truth, as a worker makes them) and ``literal_cells.draw_cell`` (image and heat map) of the same
drawn numbers, image by image and turn by turn in one process; the nodes of noise and backgrounds are each side's own. Before
every pass the caches are emptied and filled again by other images of the recipe, so that they hold what a build would find.

A field: the default ``cell-field`` on 3072 px, rendered in the tiles of a build, and the peak memory of a process that builds it.
"""

from __future__ import annotations

import ctypes
import pickle
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import literal_cells, sample
from benchmarks.measure import Report, Spread, Table, Time, met, parser, publish, scratch, timed
from benchmarks.memory import IMAGE_BAR, spawn
from benchmarks.render import build_image
from benchmarks.sample import Sampled
from miso_gen.geometry import cos_turns, sin_turns
from miso_gen.recipe import ImagePlan, load_recipe, plan_images
from miso_gen.recipe.plugins import CELLS
from miso_gen.render import render_box, send
from miso_gen.scene import make_scene
from miso_gen.store import open_target
from miso_gen.work import Piece, Site, _prepare_process, fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miso_gen.geometry import Box
    from miso_gen.scene import Scene

SIDE, FIELD_SIDE = 512, 3072
BACKGROUNDS = ("black", "color-field", "rings")
MEAN_BAR, TYPE_BAR = 100.0, 20.0
_OVERLAP = 0.6  #: of two cells that differ in their noise


# --- one cell ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawing:
    """What the literal generator is given of an image.

    Attributes:
        number: Class, 0 to 9.
        parameters: Numbers of the cell.
        background: 0 none, 1 colour field, 2 rings.
        background_parameters: Numbers of the background.
    """

    number: int
    parameters: dict[str, float]
    background: int
    background_parameters: dict[str, Any]

    def draw(self, generator: np.random.Generator) -> literal_cells.LiteralCell:
        """Return the sample; its noise comes from the generator."""
        return literal_cells.draw_cell(
            self.number,
            self.parameters,
            background=self.background,
            generator=generator,
            background_parameters=self.background_parameters,
        )


def drawing(plan: ImagePlan) -> Drawing:
    """Return what the literal generator starts from: the numbers drawn for ours."""
    scene = make_scene(plan)
    parameters = {name: float(value) for name, value in scene.drawn.items() if not isinstance(value, str)}
    number: int = CELLS.get(plan.class_name).number
    if parameters:
        down, across = parameters.pop("row") - 0.5 * SIDE, parameters.pop("column") - 0.5 * SIDE
        if number in literal_cells.RECTANGLES:  # published ones are moved before they are turned
            turns = parameters["rotation_deg"] / 360.0
            cos, sin = float(cos_turns(turns)), float(sin_turns(turns))
            down, across = across * sin + down * cos, across * cos - down * sin
        parameters |= {"offset_rows": float(round(down)), "offset_columns": float(round(across))}
    return Drawing(number, parameters, BACKGROUNDS.index(str(scene.drawn["background_type"])), _background(scene))


def _background(scene: Scene) -> dict[str, Any]:
    """Return the drawn numbers of rings as the literal generator has them: pixels from the middle of the image."""
    if scene.drawn["background_type"] != "rings":
        return {}
    numbers = scene.background.background.to_spec()  # type: ignore[attr-defined]
    return {
        "centre_row": (numbers["centre_row"] - 0.5) * SIDE,
        "centre_column": (numbers["centre_column"] - 0.5) * SIDE,
        "frequencies": [numbers[f"frequency_{name}"] for name in ("red", "green", "blue")],
    }


def make(plan: ImagePlan) -> tuple[Any, Any]:
    """Return image and truth of a plan."""
    scene = make_scene(plan)
    rendered = render_box(scene, scene.box)
    return rendered.image, rendered.truth


def check(plan: ImagePlan, given: Drawing, generator: np.random.Generator) -> None:
    """Raise unless both show the same: cells that overlap, and backgrounds of about the same brightness."""
    image, truth = make(plan)
    theirs = given.draw(generator)
    ours, other = truth > 0, theirs.heatmap > 0
    if ours.any() != other.any() or (ours & other).sum() < _OVERLAP * (ours | other).sum():
        raise AssertionError(f"{plan.id}: the cells of ours and of the literal image lie apart")
    around = ~(ours | other)
    apart = abs(float(image[:, around].mean()) / 255.0 - float(theirs.image[around].mean()))
    if apart > 0.1:
        raise AssertionError(f"{plan.id}: the backgrounds of ours and of the literal image differ by {apart:.3f} in the mean")


def as_in_a_build(others: Sequence[ImagePlan], site: Site) -> None:
    """Leave the caches as a build does that has made other images."""
    for cache in sample.caches():
        cache.cache_clear()
    for plan in others:
        build_image(Sampled(plan, 1.0, ""), site)


def measure_cells(each: int, repeats: int, site: Site, plans: Sequence[ImagePlan]) -> dict[str, dict[str, list[Time]]]:
    """Return the mean time of an image by way, type and repeat, in seconds.

    Args:
        each: Images of each type on each background.
        repeats: Passes over all of them.
        site: Where images are built.
        plans: All of the recipe; those behind the sample warm up.
    """
    count = each * len(BACKGROUNDS) * len(plans_types(plans))
    images, others = plans[:count], plans[count:]
    given = {plan.id: drawing(plan) for plan in images}
    generator = np.random.default_rng(2022)
    as_in_a_build(others, site)
    for plan in images:  # a warm-up, too
        check(plan, given[plan.id], generator)
    ways = ("ours", "literal", "stored")
    types = plans_types(plans)
    out: dict[str, dict[str, list[Time]]] = {way: {name: [] for name in types} for way in ways}
    for _ in range(repeats):
        sums = {way: dict.fromkeys(types, Time(0.0, 0.0)) for way in ways}
        share = len(types) / count
        as_in_a_build(others, site)
        for plan in images:
            sums["ours"][plan.class_name] += timed(partial(make, plan)) * share
            sums["literal"][plan.class_name] += timed(partial(given[plan.id].draw, generator)) * share
        as_in_a_build(others, site)
        for plan in images:
            sums["stored"][plan.class_name] += build_image(Sampled(plan, 1.0, ""), site) * share
        for way in ways:
            for name in types:
                out[way][name].append(sums[way][name])
    return out


def plans_types(plans: Sequence[ImagePlan]) -> tuple[str, ...]:
    """Return the types of cells, by label."""
    return tuple(dict.fromkeys(plan.class_name for plan in plans))


def cells_table(times: dict[str, dict[str, list[Time]]], each: int, repeats: int) -> tuple[Table, dict[str, Any]]:
    """Return the table of the types, the mean over them last."""
    table = Table(
        f"An image of one cell, {SIDE} px, against the published rules in whole-image numpy",
        ["type", "samples", "ours, ms", "literal, ms", "ratio (CPU)", "bar", "samples/s", "ours, stored, ms"],
        note=f"CPU time of one process an image; median of {repeats} repeats (least-greatest), the ratio within each. Ours: "
        "scene, image and truth; samples/s of one core. Literal: image and heat map. Mean: the ratio of the summed means of the "
        "types. Stored: all that a build does for the image, with table, summary, digests, compression and files.",
    )
    data = {}
    types = list(times["ours"])
    for name in [*types, "mean"]:
        members = types if name == "mean" else [name]
        of = {
            way: [sum(spent[one][repeat].cpu for one in members) / len(members) for repeat in range(repeats)]
            for way, spent in times.items()
        }
        ratio = Spread.of([theirs / ours for theirs, ours in zip(of["literal"], of["ours"], strict=True)])
        ms = {way: Spread.of([1e3 * value for value in values]) for way, values in of.items()}
        rate = Spread.of([1 / value for value in of["ours"]])
        bar = MEAN_BAR if name == "mean" else None if name == "none" else TYPE_BAR
        table.rows.append(
            [
                "mean of the types" if name == "mean" else name,
                str(each * len(BACKGROUNDS) * len(members)),
                ms["ours"].text(2),
                ms["literal"].text(0),
                f"{ratio.text(0)}x",
                met(ratio.median, bar, least=True),
                rate.text(0),
                ms["stored"].text(2),
            ]
        )
        print(table.rows[-1], flush=True)
        data[name] = {"ms": ms, "ratio_cpu": ratio, "samples_per_s": rate, "bar": bar}
    return table, data


# --- fields -----------------------------------------------------------------------------------------------------------


class Nowhere:
    """A writer that keeps nothing."""

    def write(self, box: Box, image: Any, truth: Any, instances: Any = None) -> None:
        """Take a box."""


def render_tiles(scene: Scene, tile: int) -> None:
    """Render a scene tile by tile, as a build does."""
    for box in scene.box.tiles(tile, tile):
        send(scene, box, Nowhere())


def measure_fields(repeats: int, site: Site, plans: Sequence[ImagePlan]) -> tuple[Table, dict[str, Any]]:
    """Return times and peak memory by background."""
    table = Table(
        f"A field of cells, {FIELD_SIDE} px, RGB",
        ["background", "images", "cells", "scene, ms", "render, ms", "Mpx/s", "stored, ms", "baseline, MiB", "above, MiB", "bar"],
        note=f"Mean over the images, CPU time of one process; median of {repeats} repeats (least-greatest). Render: image, truth "
        f"and instances in tiles of {site.tile} px; Mpx/s: of scene and render. Memory: the largest peak of a process of its own "
        "that builds one image, above its imports.",
    )
    data = {}
    for number, background in enumerate(BACKGROUNDS):
        images = [plan for plan in plans if plan.settings["background"] == number]
        spent: dict[str, list[float]] = {"scene": [], "render": [], "stored": []}
        cells = [int(make_scene(plan).drawn["cells"]) for plan in images]
        for repeat in range(-1, repeats):  # the first is a warm-up
            sums = dict.fromkeys(spent, 0.0)
            for cache in sample.caches():
                cache.cache_clear()
            for plan in images:
                sums["scene"] += timed(partial(make_scene, plan)).cpu
                sums["render"] += timed(partial(render_tiles, make_scene(plan), site.tile)).cpu
            for cache in sample.caches():
                cache.cache_clear()
            sums["stored"] = sum(build_image(Sampled(plan, 1.0, ""), site).cpu for plan in images)
            if repeat >= 0:
                for way, value in sums.items():
                    spent[way].append(value / len(images))
        peaks, bases = [], []
        for _ in range(repeats):
            found = [spawn(["--child", "image"], pickle.dumps(([Piece(plan, "image")], site))) for plan in images]
            peaks.append(max(run["peak_mib"] - run["base_mib"] for run in found))
            bases.append(max(run["base_mib"] for run in found))
        peak, base = Spread.of(peaks), Spread.of(bases)
        ms = {way: Spread.of([1e3 * value for value in values]) for way, values in spent.items()}
        area = FIELD_SIDE * FIELD_SIDE / 1e6
        rate = Spread.of([area / (scene + render) for scene, render in zip(spent["scene"], spent["render"], strict=True)])
        table.rows.append(
            [
                background,
                str(len(images)),
                f"{np.mean(cells):.0f}",
                ms["scene"].text(0),
                ms["render"].text(0),
                rate.text(),
                ms["stored"].text(0),
                base.text(0),
                peak.text(),
                met(peak.greatest, IMAGE_BAR, least=False),
            ]
        )
        data[background] = {"cells": cells, "ms": ms, "mpx_per_s": rate, "peak_above_base_mib": peak, "base_mib": base}
        print(table.rows[-1], flush=True)
    return table, data


# --- all of it --------------------------------------------------------------------------------------------------------


def planned(folder: Path, side: int, **scenario: Any) -> tuple[Site, tuple[ImagePlan, ...]]:
    """Return the images of a recipe with one scenario, and where they are built."""
    canvas = {"shape": [side, side], "channels": 3}
    head = {"schema": 1, "name": "benchmark", "seed": 2022, "splits": ["test"], "canvas": canvas}
    recipe = load_recipe({**head, "scenarios": [scenario]})
    return Site(open_target(folder), recipe.digest, fingerprint(), recipe.codec), plan_images(recipe)


def keep_memory() -> None:
    """Let the C library keep what the baseline frees: given back, the next image, ours or theirs, pays for its pages again."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(-1, 512 << 20)  # M_TRIM_THRESHOLD


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--each", type=int, default=1, help="images of each type on each background")
    options.add_argument("--fields", type=int, default=2, help="fields on each background")
    args = options.parse_args(arguments)
    repeats, each, fields = (1, 1, 2) if args.quick else (args.repeats, args.each, args.fields)
    _prepare_process()
    keep_memory()
    report = Report("cells")
    with scratch(args.tmp) as folder:
        site, plans = planned(folder, SIDE, type="cell", images=(each + 1) * 30, backgrounds=list(BACKGROUNDS))
        times = measure_cells(each, repeats, site, plans)
        report.data["cell_times_s"] = times
        table, report.data["cell"] = cells_table(times, each, repeats)
        report.tables.append(table)
        rule = {"type": "present", "cells": ["tail-3"]}
        images = fields * len(BACKGROUNDS)
        site, plans = planned(folder, FIELD_SIDE, type="cell-field", images=images, rule=rule, backgrounds=list(BACKGROUNDS))
        table, report.data["field"] = measure_fields(repeats, site, plans)
        report.tables.append(table)
    publish(report, args.json)


if __name__ == "__main__":
    main()
