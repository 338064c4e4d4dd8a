"""Ours, everything that is stored, against a literal numpy rendering of the image alone plus ``np.save``.

Both are done image by image and turn by turn (A B A B) in one process. Ours is all of ``carry_out``: scene, image, truth,
instances where due, summary, digests, checksums, compression, files, commit. A repeat goes once over the sample in index order,
so that the caches of silhouettes, discs, tiles and labels are in the state that a build finds them in ("as in a build"); for
"cold" they are emptied before every image.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import literal, sample
from benchmarks.measure import Report, Spread, Table, Time, met, parser, publish, scratch, timed
from miso_gen.store import StoredArray, image_path
from miso_gen.work import Piece, Site, carry_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.sample import Sampled

#: Other baselines of a scenario, without a bar.
VARIANTS = {"fm-bytes": "fm"}
BARS = {"evp": 6.0, "dsp": 6.0, "evsp": 4.0, "gsp": 6.0, "fm": 50.0}
_TOLERANCE = 0.02


def build_image(one: Sampled, site: Site) -> Time:
    """Build one image anew and return how long it took."""
    folder = Path(site.target.describe(image_path(one.plan.id)))
    shutil.rmtree(folder, ignore_errors=True)
    return timed(partial(carry_out, Piece(one.plan, "image"), site))


def draw_and_save(scenario: str, given: literal.Given, path: Path) -> Time:
    """Draw one image literally and save it, and return how long it took."""
    path.unlink(missing_ok=True)
    return timed(lambda: np.save(path, literal.draw(scenario, given)))


def check(one: Sampled, site: Site, path: Path) -> None:
    """Raise unless both images are of the same kind: equal means, up to noise, inside of the object and around it."""
    folder = image_path(one.plan.id)
    ours = StoredArray(site.target, f"{folder}/0").all()[0] / 255.0
    inside = StoredArray(site.target, f"{folder}/labels/truth/0").all() > 0
    theirs = np.load(path)
    for place, where in (("object", inside), ("background", ~inside)):
        apart = abs(float(ours[where].mean()) - float(theirs[where].mean()))
        if apart > _TOLERANCE:
            raise AssertionError(f"{one.plan.id}: the {place} of ours and the literal image differ by {apart:.3f} in the mean")


def measure_scenario(scenario: str, images: Sequence[Sampled], site: Site, repeats: int) -> dict[str, list[Time]]:
    """Return the weighted time over all images, by way and repeat, in seconds an image."""
    path = Path(site.target.describe("literal.npy"))
    caches = list(sample.caches())
    out: dict[str, list[Time]] = {"ours": [], "cold": [], "literal": []}
    total = sum(one.weight for one in images)
    for repeat in range(-1, repeats):  # the first is a warm-up
        sums = dict.fromkeys(out, Time(0.0, 0.0))
        for one in images:
            given = sample.given(one.plan)
            sums["ours"] += build_image(one, site) * (one.weight / total)
            sums["literal"] += draw_and_save(scenario, given, path) * (one.weight / total)
            if repeat < 0:
                check(one, site, path)
        for one in images:
            for cache in caches:
                cache.cache_clear()
            sums["cold"] += build_image(one, site) * (one.weight / total)
        if repeat >= 0:
            for way, spent in sums.items():
                out[way].append(spent)
    path.unlink(missing_ok=True)
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--each", type=int, default=6, help="images of each kind: label, fuzz, branch")
    options.add_argument("--all", action="store_true", help="all images of the test split")
    options.add_argument("--scenarios", nargs="+", default=[*sample.ORDER, *VARIANTS])
    args = options.parse_args(arguments)
    repeats, each = (1, 1) if args.quick else (args.repeats, None if args.all else args.each)
    report = Report("render")
    table = Table(
        "Rendering and storing an image, against a literal float64 rendering and np.save",
        ["scenario", "images", "ours, ms", "literal, ms", "ratio (CPU)", "bar", "ratio (wall)", "cold, ms", "ratio cold (CPU)"],
        note=f"Mean over a scenario's images, CPU time of one process unless marked wall; median of {repeats} repeats "
        "(least-greatest). Ours stores image, truth, instances, summary, digests and checksums; the literal one the image only. "
        "fm-bytes: a baseline of fm that keeps its 60 x 60 tiles in bytes, not float64, until they are normalised.",
    )
    with scratch(args.tmp) as folder:
        site = sample.site(folder, args.recipe)
        for scenario in args.scenarios:
            images = sample.sample(args.recipe, VARIANTS.get(scenario, scenario), each)
            times = measure_scenario(scenario, images, site, repeats)
            pairs = list(zip(times["ours"], times["cold"], times["literal"], strict=True))
            ratio = Spread.of([theirs.cpu / ours.cpu for ours, _, theirs in pairs])
            wall = Spread.of([theirs.wall / ours.wall for ours, _, theirs in pairs])
            cold = Spread.of([theirs.cpu / fresh.cpu for _, fresh, theirs in pairs])
            ms = {way: Spread.of([1e3 * spent.cpu for spent in values]) for way, values in times.items()}
            bar = BARS.get(scenario)
            table.rows.append(
                [
                    scenario,
                    str(len(images)),
                    ms["ours"].text(),
                    ms["literal"].text(0),
                    f"{ratio.text()}x",
                    met(ratio.median, bar, least=True),
                    f"{wall.text()}x",
                    ms["cold"].text(),
                    f"{cold.text()}x",
                ]
            )
            report.data[scenario] = {
                "images": {one.plan.id: {"kind": one.kind, "weight": one.weight} for one in images},
                "times_s": times,
                "ratio_cpu": ratio,
                "ratio_wall": wall,
                "ratio_cold_cpu": cold,
                "bar": bar,
            }
            print(table.rows[-1], flush=True)
    report.tables.append(table)
    publish(report, args.json)


if __name__ == "__main__":
    main()
