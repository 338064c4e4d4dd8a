"""Loading patches for training: a shuffled epoch, and patches alone, against the ways that people store patches.

Images: ``evp`` of ``miso1`` at full size, 192 images of 3072 x 3072 pixels. Patches: those that training uses (half-shifted
grids, background left out). Every way gives the same batches of 36, float32 in [0, 1] or (``--stored``) uint8, in one process and
from a warm page cache, unless told otherwise:

- ours: ``PatchLoader`` over ``PatchDataset``;
- memmap: all images uncompressed in one ``.npy`` file, patches cut out of ``np.load(mmap_mode="r")`` in random order;
- files: one ``.npy`` file a patch, in random order;
- tar: the same files in tars of 1,000, read one after the other through a shuffle buffer, as WebDataset does, by ``tarfile``;
- zarr: zarr-python's indexing of the store, in random order.
"""

from __future__ import annotations

import io
import os
import random
import tarfile
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import zarr

from benchmarks.measure import Report, Spread, Table, met, parser, publish, scratch
from miso_gen.build import build
from miso_gen.data import PatchDataset, PatchLoader, RecipeDataset
from miso_gen.recipe import load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

SIDE, BATCH = 3072, 36
SIZES = (96, 224)
WORKERS = (0, 1, 2)
FILES = {96: 40_000, 224: 10_000}  #: patches of the ways that store each by itself
ALONE = 2000  #: patches of ways that read one at a time
EPOCHS = 10
BARS = {
    "memmap": {96: 0.4, 224: 0.6},
    "files": {96: 2.5, 224: 2.0},
    "tar": {96: 4.0, 224: 4.0},
    "zarr": {96: 50.0, 224: 50.0},
}
ALONE_BAR, COLD_BAR = 10.0, 10.0
_TAR, _BUFFER = 1000, 1000


def recipe(side: int) -> dict[str, Any]:
    """Return the scenario ``evp`` of ``miso1``."""
    defaults = {"morphologies": {"type": "builtin"}, "fuzz": {"each": [0.0, 0.1]}}
    head = {"schema": 1, "name": "benchmark", "seed": 2022, "canvas": {"shape": [side, side]}, "splits": ["train", "test"]}
    return {**head, "defaults": defaults, "scenarios": [{"type": "evp"}]}


def rate(batches: Iterator[torch.Tensor]) -> float:
    """Return the patches a second of an iterator, its start included."""
    begin, count = perf_counter(), 0
    for batch in batches:
        count += len(batch)
    return count / (perf_counter() - begin)


def forget(paths: Sequence[Path]) -> None:
    """Drop files from the page cache."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


# --- the ways ---------------------------------------------------------------------------------------------------------


@dataclass
class Ways:
    """All ways to the same patches.

    Attributes:
        patches: The patches; a data set of ours.
        folder: Where the others have their files.
        side: Of the images, px.
        files: Patches that are stored one by one.
    """

    patches: PatchDataset
    folder: Path
    side: int
    files: int

    @property
    def size(self) -> int:
        """Side of the patches, px."""
        return self.patches.table.size

    def given(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """Return stored pixels as a batch: as they are, or as floats in [0, 1]."""
        if self.patches.stored:
            return torch.from_numpy(pixels)
        return torch.from_numpy(np.divide(pixels, np.float32(255), dtype=np.float32))

    @property
    def npy(self) -> Path:
        """The uncompressed images."""
        return self.folder / "all.npy"

    @cached_property
    def bare(self) -> PatchDataset:
        """The patches again, from a pool that keeps nothing."""
        return PatchDataset(self.patches.dataset, size=self.size, pool_bytes=0, stored=self.patches.stored)

    @cached_property
    def arrays(self) -> list[Any]:
        """The images as zarr-python opens them."""
        root = Path(self.patches.dataset.target.describe("images.zarr"))
        return [zarr.open_array(root / image_id / "0", mode="r") for image_id in self.patches.table.ids]

    def write(self) -> None:
        """Write what the others read."""
        table, dataset = self.patches.table, self.patches.dataset
        if not self.npy.exists():
            whole = np.lib.format.open_memmap(self.npy, "w+", np.uint8, (len(table.ids), self.side, self.side))
            for number, image_id in enumerate(table.ids):
                whole[number] = dataset[image_id].image.all()[0]
            whole.flush()
        images = np.load(self.npy, mmap_mode="r")
        chosen = np.random.default_rng(0).permutation(len(table))[: self.files]
        self.files = len(chosen)
        (self.folder / f"files-{self.size}").mkdir()
        (self.folder / f"tars-{self.size}").mkdir()
        for start in range(0, len(chosen), _TAR):
            with tarfile.open(self.folder / f"tars-{self.size}" / f"{start // _TAR:04}.tar", "w") as tar:
                for number, row in enumerate(chosen[start : start + _TAR].tolist(), start):
                    data = io.BytesIO()
                    np.save(data, self.cut(images, row))
                    (self.folder / f"files-{self.size}" / f"{number}.npy").write_bytes(data.getvalue())
                    info = tarfile.TarInfo(f"{number}.npy")
                    info.size = len(data.getvalue())
                    tar.addfile(info, io.BytesIO(data.getvalue()))

    def cut(self, images: Any, place: int) -> NDArray[np.uint8]:
        """Return a patch of the uncompressed images."""
        table = self.patches.table
        row, col = int(table.row[place]), int(table.col[place])
        return images[int(table.image[place]), row : row + self.size, col : col + self.size]

    def ours(self, workers: int = 0) -> Iterator[torch.Tensor]:
        """Ours, a whole epoch."""
        for batch in PatchLoader(self.patches, batch=BATCH, workers=workers):
            yield batch["image"]

    def memmap(self, count: int | None = None, seed: int = 1) -> Iterator[torch.Tensor]:
        """Uncompressed images."""
        images, table, size = np.load(self.npy, mmap_mode="r"), self.patches.table, self.size
        order = np.random.default_rng(seed).permutation(len(table))[:count]
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            out = np.empty((len(rows), 1, size, size), np.uint8)
            places = zip(table.image[rows].tolist(), table.row[rows].tolist(), table.col[rows].tolist(), strict=True)
            for place, (number, row, col) in enumerate(places):
                out[place, 0] = images[number, row : row + size, col : col + size]
            yield self.given(out)

    def one_by_one(self) -> Iterator[torch.Tensor]:
        """A file a patch."""
        order = np.random.default_rng(1).permutation(self.files).tolist()
        folder = f"{self.folder}/files-{self.size}"
        yield from self._batches(np.load(f"{folder}/{number}.npy") for number in order)

    def tar(self) -> Iterator[torch.Tensor]:
        """Patches in tars."""
        names = sorted((self.folder / f"tars-{self.size}").iterdir())
        random.Random(1).shuffle(names)
        yield from self._batches(self._buffered(chain.from_iterable(map(_members, names))))

    def zarr(self, count: int, seed: int = 1) -> Iterator[torch.Tensor]:
        """zarr-python."""
        table, size = self.patches.table, self.size
        arrays = self.arrays
        order = np.random.default_rng(seed).permutation(len(table))[:count].tolist()
        places = ((arrays[table.image[place]], int(table.row[place]), int(table.col[place])) for place in order)
        yield from self._batches(array[0, row : row + size, col : col + size] for array, row, col in places)

    def alone(self, count: int, seed: int = 1) -> Iterator[torch.Tensor]:
        """Ours, patches in no order and nothing kept."""
        bare = self.bare
        order = np.random.default_rng(seed).permutation(len(bare))[:count]
        for start in range(0, count, BATCH):
            yield bare.batch(order[start : start + BATCH])["image"]

    def _batches(self, patches: Iterator[NDArray[np.uint8]]) -> Iterator[torch.Tensor]:
        while taken := [patch for patch, _ in zip(patches, range(BATCH), strict=False)]:
            yield self.given(np.stack(taken)[:, None])

    def _buffered(self, patches: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        held: list[NDArray[np.uint8]] = []
        draw = random.Random(2)
        for patch in patches:
            if len(held) < _BUFFER:
                held.append(patch)
                continue
            place = draw.randrange(_BUFFER)
            held[place], patch = patch, held[place]
            yield patch
        draw.shuffle(held)
        yield from held


def _members(path: Path) -> Iterator[NDArray[np.uint8]]:
    with tarfile.open(path, "r|") as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            yield np.load(io.BytesIO(file.read()))


# --- what is measured -------------------------------------------------------------------------------------------------


def measure_epochs(ways: Ways, repeats: int) -> tuple[list[list[str]], dict[str, Any]]:
    """Return rows of the table of epochs, and its numbers."""
    runs: dict[str, Callable[[], Iterator[torch.Tensor]]] = {f"ours, {n} workers": partial(ways.ours, n) for n in WORKERS}
    runs |= {"memmap": ways.memmap, "files": ways.one_by_one, "tar": ways.tar, "zarr": partial(ways.zarr, ALONE)}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    rate(ways.ours())
    rate(ways.memmap())  # warms the page cache
    for _ in range(repeats):
        for name, run in runs.items():
            rates[name].append(rate(run()))
    rows, data = [], {}
    for name, values in rates.items():
        ratio = Spread.of([mine / other for mine, other in zip(rates["ours, 0 workers"], values, strict=True)])
        bar = BARS.get(name, {}).get(ways.size)
        rows.append([str(ways.size), name, Spread.of(values).text(0), f"{ratio.text(2)}x", met(ratio.median, bar, least=True)])
        data[name] = {"patches_per_s": Spread.of(values), "ours_over_it": ratio, "bar": bar}
        print(rows[-1], flush=True)
    return rows, data


def measure_alone(ways: Ways, repeats: int) -> tuple[list[list[str]], dict[str, Any]]:
    """Return rows of patches in no order, warm, and of a cold page cache, and their numbers."""
    store = [path for path in Path(ways.patches.dataset.target.describe("")).rglob("*") if path.is_file()]
    assert ways.arrays  # opened before
    assert ways.bare
    ours, theirs, cold, cold_memmap = [], [], [], []
    for repeat in range(repeats):
        ours.append(rate(ways.alone(ALONE, repeat)))
        theirs.append(rate(ways.zarr(ALONE, repeat)))
        forget(store)
        cold.append(rate(ways.ours()))
        forget([ways.npy])
        cold_memmap.append(rate(ways.memmap(ALONE, repeat)))
    rows, data = [], {}
    for name, mine, other, bar in (
        ("patches in no order, nothing kept, against zarr", ours, theirs, ALONE_BAR),
        ("a shuffled epoch from a cold page cache, against memmap", cold, cold_memmap, COLD_BAR),
    ):
        ratio = Spread.of([one / two for one, two in zip(mine, other, strict=True)])
        texts = [Spread.of(values).text(0) for values in (mine, other)]
        rows.append([str(ways.size), name, *texts, f"{ratio.text()}x", met(ratio.median, bar, least=True)])
        data[name] = {"ours": Spread.of(mine), "other": Spread.of(other), "ratio": ratio, "bar": bar}
        print(rows[-1], flush=True)
    return rows, data


def resident_mib() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def bytes_read() -> int:
    """Return what this process has read from files so far."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text("utf-8").splitlines())
    return int(fields["rchar"])


def measure_memory(ways: Ways, epochs: int) -> tuple[list[str], dict[str, Any]]:
    """Return a row of memory over epochs, and of the bytes read."""
    loader = PatchLoader(PatchDataset(ways.patches.dataset, size=ways.size, stored=ways.patches.stored), batch=BATCH)
    after, before = [], bytes_read()
    for _ in range(epochs):
        for _ in loader:
            pass
        after.append(resident_mib())
    each = (bytes_read() - before) / (epochs * len(ways.patches))
    growth = after[-1] - after[0]
    row = [str(ways.size), str(epochs), f"{after[0]:.0f}", f"{after[-1]:.0f}", f"{growth:+.1f}", f"{each:,.0f}"]
    print(row, flush=True)
    return row, {"resident_mib": after, "bytes_read_per_patch": each, "pixels_per_patch": ways.size**2}


def measure_recipes(side: int, repeats: int) -> tuple[list[list[str]], dict[str, Any]]:
    """Return rows of patches that are rendered, and their numbers."""
    grids = {size: RecipeDataset(recipe(side), split="train", size=size, background="drop") for size in SIZES}
    wide = RecipeDataset({**recipe(32768), "splits": ["train"]}, size=96, places="random", count=50)
    runs = {
        f"{96} px, grid, {side} px images": (grids[96], 5000.0),
        f"{224} px, grid, {side} px images": (grids[224], None),
        "96 px, random places, 32768 px images": (wide, 5000.0),
    }
    rows, data = [], {}
    for name, (patches, bar) in runs.items():
        values = [rate(batch["image"] for batch in PatchLoader(patches, batch=BATCH)) for _ in range(repeats + 1)][1:]
        spread = Spread.of(values)
        rows.append([name, f"{len(patches):,}", spread.text(0), met(spread.median, bar, least=True)])
        data[name] = {"patches": len(patches), "patches_per_s": spread, "bar": bar}
        print(rows[-1], flush=True)
    return rows, data


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument(
        "--stored", action="store_true", help="batches of uint8, made floats on the device; else floats in [0, 1]"
    )
    options.add_argument("--side", type=int, default=SIDE, help="side of the images, px")
    args = options.parse_args(arguments)
    repeats, side, epochs = (1, 1024, 3) if args.quick else (args.repeats, args.side, EPOCHS)
    torch.set_num_threads(1)
    report = Report("loading")
    kind = "uint8, as stored" if args.stored else "float32"
    note = f"Batches of {BATCH}, {kind}; median of {repeats} repeats (least-greatest), ratios within each repeat."
    epoch = Table(
        "A shuffled epoch", ["size, px", "way", "patches/s", "ours / it", "bar"], note=note + " Ours / it: of 0 workers."
    )
    alone = Table("No order, and a cold page cache", ["size, px", "what", "ours, /s", "other, /s", "ratio", "bar"], note=note)
    memory = Table(
        "Memory and bytes over epochs",
        ["size, px", "epochs", "resident after 1, MiB", "after the last, MiB", "growth, MiB", "bytes read a patch"],
        note="One process, no workers. A patch has as many bytes of pixels as its size squared.",
    )
    with scratch(args.tmp) as folder:
        build(load_recipe(recipe(side)), folder / "store", workers=len(os.sched_getaffinity(0)))
        for size in SIZES:
            patches = PatchDataset(folder / "store", size=size, stored=args.stored)
            ways = Ways(patches, folder, side, min(FILES[size], len(patches)))
            ways.write()
            print(f"{size} px: {len(patches):,} patches of {len(patches.table.ids)} images", flush=True)
            row, report.data[f"memory_{size}"] = measure_memory(ways, epochs)
            memory.rows.append(row)
            rows, report.data[f"epoch_{size}"] = measure_epochs(ways, repeats)
            epoch.rows += rows
            rows, report.data[f"alone_{size}"] = measure_alone(ways, repeats)
            alone.rows += rows
    rows, report.data["recipe"] = measure_recipes(side, repeats)
    rendered = Table(
        "Rendered from the recipe", ["patches", "number", "patches/s", "bar"], rows, note + " One core; image and truth."
    )
    report.tables += [epoch, alone, memory, rendered]
    publish(report, args.json)


if __name__ == "__main__":
    main()
