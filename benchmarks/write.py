"""A build (render, encode, write) against zarr-python writing the same arrays, already rendered, in the same layout.

Image by image and turn by turn (A B A B) in one process. A is all of ``carry_out``. B creates the same arrays (image, truth,
instances where due, summary) with the same chunks, shards and codecs through zarr-python and fills each by one assignment,
with ``write_empty_chunks=True``, which is its fast way. B writes no digests, no object table and no labels metadata.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import sample
from benchmarks.measure import Report, Spread, Table, Time, met, parser, publish, scratch, timed
from benchmarks.render import build_image
from miso_gen.store import ImageLayout, StoredArray, image_path
from miso_gen.store.layout import ArrayLayout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.sample import Sampled
    from miso_gen.work import Site

BAR = 1.0
Stored = tuple[ArrayLayout, "NDArray[Any]"]


def stored_arrays(one: Sampled, site: Site) -> dict[str, Stored]:
    """Return the arrays of an image that was built, with their layouts, by path."""
    folder = Path(site.target.describe(image_path(one.plan.id)))
    canvas = one.plan.canvas
    labels = folder / "labels" / "instances" / "0" / "zarr.json"
    instances = json.loads(labels.read_text("utf-8"))["data_type"] if labels.is_file() else None
    layout = ImageLayout(
        canvas.height, canvas.width, canvas.channels, canvas.dtype, instances, site.chunk, site.shard, site.codec
    )
    layouts = {layout.path(name): layout.array(name) for name in layout.names}
    layouts["summary"] = layout.summary
    path = image_path(one.plan.id)
    return {name: (array, StoredArray(site.target, f"{path}/{name}").all()) for name, array in layouts.items()}


def write_with_zarr(folder: Path, arrays: dict[str, Stored]) -> None:
    """Create and fill the arrays of one image."""
    import zarr
    from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec

    group = zarr.create_group(store=folder, zarr_format=3)
    for name, (layout, pixels) in arrays.items():
        blosc = BloscCodec(
            typesize=layout.np_dtype.itemsize, cname=layout.codec, clevel=layout.clevel, shuffle=layout.shuffle, blocksize=0
        )
        array = group.create_array(
            name,
            shape=layout.shape,
            dtype=layout.dtype,
            chunks=layout.chunk,
            shards=layout.shard,
            filters=None,
            serializer=BytesCodec(),
            compressors=[blosc, Crc32cCodec()],
            fill_value=0,
            dimension_names=layout.dimension_names,
            config={"write_empty_chunks": True},
        )
        array[...] = pixels


def check(ours: Path, theirs: Path, arrays: dict[str, Stored]) -> None:
    """Raise unless zarr-python wrote the same pixels in the same layout."""
    import numpy as np
    import zarr

    for name, (_, pixels) in arrays.items():
        mine, other = (json.loads((folder / name / "zarr.json").read_text("utf-8")) for folder in (ours, theirs))
        for key in ("shape", "data_type", "chunk_grid", "codecs"):
            if _plain(mine[key]) != _plain(other[key]):
                raise AssertionError(f"{name}: {key} must be {mine[key]}, zarr-python has {other[key]}")
        if not np.array_equal(zarr.open_array(theirs / name, mode="r")[...], pixels):
            raise AssertionError(f"{name}: zarr-python wrote other pixels")


def _plain(value: Any) -> Any:
    """Return metadata without byte order and empty configurations: zarr-python leaves both out where bytes have no order."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items() if key != "endian" and _plain(part) != {}}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def measure_scenario(images: Sequence[Sampled], site: Site, repeats: int) -> dict[str, list[Time]]:
    """Return the weighted time over all images, by way and repeat, in seconds an image."""
    folder = Path(site.target.describe("by-zarr"))
    out: dict[str, list[Time]] = {"build": [], "zarr": []}
    total = sum(one.weight for one in images)
    for repeat in range(-1, repeats):  # the first is a warm-up
        sums = dict.fromkeys(out, Time(0.0, 0.0))
        for one in images:
            sums["build"] += build_image(one, site) * (one.weight / total)
            arrays = stored_arrays(one, site)
            shutil.rmtree(folder, ignore_errors=True)
            sums["zarr"] += timed(partial(write_with_zarr, folder, arrays)) * (one.weight / total)
            if repeat < 0:
                check(Path(site.target.describe(image_path(one.plan.id))), folder, arrays)
        if repeat >= 0:
            for way, spent in sums.items():
                out[way].append(spent)
    shutil.rmtree(folder, ignore_errors=True)
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--each", type=int, default=6, help="images of each kind: label, fuzz, branch")
    options.add_argument("--scenarios", nargs="+", default=list(sample.ORDER))
    args = options.parse_args(arguments)
    repeats, each = (1, 1) if args.quick else (args.repeats, args.each)
    report = Report("write")
    table = Table(
        "A build, against zarr-python writing the same arrays already rendered",
        [
            "scenario",
            "images",
            "build, ms CPU",
            "zarr-python, ms CPU",
            "build / zarr (CPU)",
            "bar",
            "build, ms wall",
            "zarr-python, ms wall",
            "build / zarr (wall)",
        ],
        note=f"Mean over a scenario's images, median of {repeats} repeats (least-greatest). zarr-python with "
        "`write_empty_chunks=True`. Wall: zarr-python may use threads on all cores, the build uses one.",
    )
    with scratch(args.tmp) as folder:
        site = sample.site(folder, args.recipe)
        for scenario in args.scenarios:
            images = sample.sample(args.recipe, scenario, each)
            times = measure_scenario(images, site, repeats)
            pairs = list(zip(times["build"], times["zarr"], strict=True))
            cpu = Spread.of([build.cpu / zarr.cpu for build, zarr in pairs])
            wall = Spread.of([build.wall / zarr.wall for build, zarr in pairs])
            spreads = [Spread.of([1e3 * t.cpu for t in times[way]]) for way in ("build", "zarr")]
            walls = [Spread.of([1e3 * t.wall for t in times[way]]) for way in ("build", "zarr")]
            row = [scenario, str(len(images)), *(s.text() for s in spreads), cpu.text(2), met(cpu.median, BAR, least=False)]
            table.rows.append([*row, *(s.text() for s in walls), wall.text(2)])
            report.data[scenario] = {"times_s": times, "ratio_cpu": cpu, "ratio_wall": wall, "bar": BAR}
            print(table.rows[-1], flush=True)
    report.tables.append(table)
    publish(report, args.json)


if __name__ == "__main__":
    main()
