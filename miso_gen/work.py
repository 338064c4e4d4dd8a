"""The pieces of a build, and what a worker does with one. No Dask here: a piece is data, carrying it out a plain function."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from miso_gen.errors import ClusterError, MisoGenError
from miso_gen.recipe.plugins import SCENARIOS
from miso_gen.registry import plugin_packages
from miso_gen.render import send
from miso_gen.scene import make_scene
from miso_gen.store import ImageLayout, ImageWriter, ObjectTable, ShardedImage, image_path, offer_contents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from miso_gen.geometry import Box
    from miso_gen.recipe import ImagePlan
    from miso_gen.scene import Objects, Scene
    from miso_gen.store import ShardWriter, Target


class UnforeseenError(Exception):
    """What a piece ran into that nobody foresaw, as text: not every exception can travel between processes."""


_DECIDING = ("numpy", "opencv-python-headless", "numcodecs", "blake3", "google-crc32c", "pydantic")


@dataclass(frozen=True)
class Site:
    """Where and how images are built; the same for every piece.

    Attributes:
        target: The store.
        recipe_digest: What pieces of an earlier build must agree with.
        fingerprint: What every worker must run, see :func:`fingerprint`.
        codec: ``lz4`` or ``zstd``.
        tile: Height in pixels of what is rendered at a time; twice as wide, eight times where that is a bit a pixel.
        chunk: Side of the stored chunks in pixels.
        shard: Side of the stored shards in pixels; None: chosen by size.
    """

    target: Target
    recipe_digest: str
    fingerprint: Mapping[str, str]
    codec: Literal["lz4", "zstd"] = "lz4"
    tile: int = 512
    chunk: int = 256
    shard: int | None = None

    def layout(self, plan: ImagePlan, scene: Scene | None = None) -> ImageLayout:
        """Return how an image is stored; without its scene, as if it had no instances (the shards are the same)."""
        instances = None if scene is None or scene.instances is None else scene.instances.name
        canvas = plan.canvas
        return ImageLayout(
            height=canvas.height,
            width=canvas.width,
            channels=canvas.channels,
            dtype=canvas.dtype,
            instances_dtype=instances,
            chunk=self.chunk,
            shard=self.shard,
            codec=self.codec,
        )


@dataclass(frozen=True)
class Piece:
    """One thing for one worker to do.

    Attributes:
        plan: The image.
        kind: ``image``: all of a small image. ``shard``: a shard of a large one. ``level``: a shard of one of its smaller
            levels. ``assemble``: its metadata, after all of its shards.
        level: The level, for ``level``.
        shard: (row, column) of the shard, for ``shard`` and ``level``.
        pixels: Pixels that are rendered.
    """

    plan: ImagePlan
    kind: Literal["image", "shard", "level", "assemble"]
    level: int = 0
    shard: tuple[int, int] = (0, 0)
    pixels: int = 0

    @property
    def key(self) -> str:
        """A name that no other piece of the build has."""
        return f"{self.plan.id}:{self.kind}:{self.level}:{self.shard[0]},{self.shard[1]}"


def stages(plan: ImagePlan, site: Site) -> list[list[Piece]]:
    """Return the pieces of an image; those of one stage may be done in any order, after all of the stage before."""
    layout = site.layout(plan)
    if layout.single:
        return [[Piece(plan, "image", pixels=plan.canvas.height * plan.canvas.width)]]
    shards = [Piece(plan, "shard", 0, shard, box.height * box.width) for shard, box in layout.shards(0).items()]
    levels = [[Piece(plan, "level", level, shard) for shard in layout.shards(level)] for level in range(1, len(layout.levels))]
    return [shards, *levels, [Piece(plan, "assemble")]]


def carry_out(piece: Piece, site: Site) -> None:
    """Do one piece; afterwards its files are in the store. A piece that is done already costs next to nothing.

    Raises:
        ClusterError: This process runs other versions than the build asks for.
        MisoGenError: The image can't be made, or the store can't be written.
    """
    require_fingerprint(site.fingerprint)
    _prepare_process()
    offer_contents(site.target)
    plan, scene = piece.plan, make_scene(piece.plan)
    layout = site.layout(plan, scene)
    path = image_path(plan.id)
    if piece.kind == "image":
        writer = ImageWriter(site.target, path, layout)
        _render(scene, scene.box, writer, site.tile)
        writer.finish(attributes_of(plan, scene), object_table(scene.objects))
        return
    image = ShardedImage(site.target, path, layout, token=f"{site.recipe_digest} {plan.id}")
    if piece.kind == "assemble":
        image.assemble(attributes_of(plan, scene), object_table(scene.objects))
    elif image.is_done(piece.level, piece.shard):
        return
    elif piece.kind == "level":
        image.downsample(piece.level, piece.shard)
    else:
        shard = image.writer(piece.shard)
        _render(scene, shard.box, shard, site.tile)
        shard.finish()


def carry_out_all(pieces: Sequence[Piece], site: Site) -> list[Exception | None]:
    """Do pieces in turn; return what each of them raised, so that one image's trouble does not stop the others."""
    outcomes: list[Exception | None] = []
    for piece in pieces:
        try:
            carry_out(piece, site)
            outcomes.append(None)
        except MisoGenError as error:  # whoever asked for the pieces decides what an error means
            outcomes.append(error)
        except Exception as error:
            outcomes.append(UnforeseenError(f"{type(error).__name__}: {error}"))
    return outcomes


@cache
def _prepare_process() -> None:
    """One thread for each process, and freed memory kept for the next tile.

    Tiles take and free some hundred kilobytes thousands of times a second. Where the C library gives them back each time (Dask
    asks it to), the kernel's page faults cost as much as the rendering.
    """
    cv2.setNumThreads(1)
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:  # glibc
            mallopt(-1, 32 << 20)  # M_TRIM_THRESHOLD: bytes kept at the top of the heap
            mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD: blocks from this size on are mapped one by one


def _render(scene: Scene, area: Box, writer: ImageWriter | ShardWriter, tile: int) -> None:
    # Wide tiles are fewer; these still fit into the cache, as bits are an eighth of bytes.
    for box in area.tiles(tile, 8 * tile if scene.few_valued else 2 * tile):
        send(scene, box, writer)


def attributes_of(plan: ImagePlan, scene: Scene) -> dict[str, Any]:
    """Return what is known of an image without its pixels: what a writer asks of a builder."""
    label, class_name = plan.label, plan.class_name
    if scene.label is not None:
        label = scene.label
        class_name = SCENARIOS.get(plan.type).from_spec(plan.spec).class_names[label]
    return {
        "id": plan.id,
        "scenario": plan.scenario,
        "split": plan.split,
        "label": label,
        "class_name": class_name,
        "pair": plan.pair,
        "morphology": plan.morphology,
        "parameters": {**plan.params, **scene.drawn},
        "truth_2_known": scene.truth_2_known,
    }


def object_table(objects: Sequence[Objects]) -> ObjectTable:
    """Return the objects of a scene as one table, sorted by id; parameters that a kind lacks are nan."""
    kinds = tuple(dict.fromkeys(group.kind for group in objects))
    names = tuple(dict.fromkeys(name for group in objects for name in group.params))
    values, codes = [np.empty((0, 5 + len(names)))], [np.empty(0, np.int64)]
    for group in objects:
        count = len(group.ids)
        params = [group.params.get(name, np.full(count, np.nan)) for name in names]
        values.append(np.column_stack([group.ids, group.boxes, *params]).astype(np.float64))
        codes.append(np.full(count, kinds.index(group.kind), np.int64))
    table, kind = np.concatenate(values), np.concatenate(codes)
    order = np.argsort(table[:, 0], kind="stable")
    return ObjectTable(("id", "top", "left", "bottom", "right", *names), table[order], kinds, kind[order])


@cache
def fingerprint() -> dict[str, str]:
    """Return what decides the bytes of a build in this process: versions, and a digest of miso-gen's own code."""
    root = Path(__file__).parent
    code = sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".json", ".npy")):
        code.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return dict(_versions(), **{"miso-gen code": code.hexdigest()[:16]})


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", f"{sys.version_info.major}.{sys.version_info.minor}"
    for name in ("miso-gen", *_DECIDING):
        yield name, version(name)
    for room in plugin_packages():
        yield f"plug-in {room}", version(room)


def require_fingerprint(expected: Mapping[str, str]) -> None:
    """Raise ClusterError, naming the differences, unless this process runs what is expected."""
    mine = fingerprint()
    if mine == expected:
        return
    differences = ", ".join(
        f"{name} {mine.get(name, 'missing')} instead of {value}" for name, value in expected.items() if mine.get(name) != value
    )
    raise ClusterError(
        f"workers must run the same versions as the build, got {differences}. Install the same environment on every worker."
    )
