"""Recipe -> store.

Images are planned, cut into pieces (see ``work``), and the pieces are handed to processes (see ``engines``) through a bounded
window. No pixels travel. An image that is there is kept, so that a build that was stopped in any way goes on where it was.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from miso_gen.contents import all_needed
from miso_gen.engines import Engine, choose_engine
from miso_gen.errors import (
    ClusterError,
    CorruptStoreError,
    InputError,
    MisoGenError,
    OutputError,
    SpaceError,
    StoreError,
)
from miso_gen.recipe import Recipe, load_recipe, plan_images
from miso_gen.store import (
    BuildLock,
    Dataset,
    StoreRoot,
    collect_records,
    create_root,
    finish_root,
    finished_record,
    image_path,
    list_images,
    open_target,
    read_manifest,
    read_root,
    sweep,
    write_contents,
    write_recipe,
)
from miso_gen.store.imports import RECIPE, recipe_text
from miso_gen.work import Piece, Site, UnforeseenError, fingerprint, stages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from miso_gen.recipe import ImagePlan
    from miso_gen.store import Manifest, Target

_BEAT_S = 10.0
_BATCH = 32  # pieces in a task, at most
_BATCH_PIXELS = 24_000_000  # a task's pixels, about; a tenth of a second of work against some milliseconds of the cluster's


@dataclass(frozen=True)
class Failure:
    """An image that could not be built, and why."""

    image_id: str
    reason: str


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    Attributes:
        path: The store.
        root_digest: Digest over all images; None where some failed.
        images: Images of the recipe.
        built: Images that this build rendered.
        kept: Images that were there already.
        failures: Images that could not be built.
        seconds: Time it took.
        pixels: Pixels that this build rendered.
    """

    path: str
    root_digest: str | None
    images: int
    built: int
    kept: int
    failures: tuple[Failure, ...]
    seconds: float
    pixels: int


class Watcher(Protocol):
    """Whoever wants to know how a build goes."""

    def start(self, plans: Sequence[ImagePlan], kept: set[str]) -> None:
        """All images, and the ids of those that are there already."""

    def progress(self, plan: ImagePlan, pixels: int, *, finished: bool) -> None:
        """More pixels of an image are rendered, or it is finished."""

    def failed(self, plan: ImagePlan, reason: str) -> None:
        """An image could not be built."""


class _Silent:
    def start(self, plans: Sequence[ImagePlan], kept: set[str]) -> None: ...

    def progress(self, plan: ImagePlan, pixels: int, *, finished: bool) -> None: ...

    def failed(self, plan: ImagePlan, reason: str) -> None: ...


def default_output(recipe: Recipe) -> Path:
    """Return ``datasets/<name>/<version>`` below the current folder."""
    return Path("datasets") / recipe.name / recipe.version


def build(
    recipe: Recipe | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    tile: int = 512,
    chunk: int = 256,
    shard: int | None = None,
    retries: int = 2,
    watcher: Watcher | None = None,
) -> BuildResult:
    """Build the images of a recipe into a store, or finish a build that was stopped.

    Args:
        recipe: A recipe, or what :func:`load_recipe` takes.
        out: Folder or URL of the store; default ``datasets/<name>/<version>``.
        workers: Processes on this machine; default one per core. 1 works in this process, and so do small builds by default.
        scheduler: Address of a running Dask scheduler (``tcp://...``) or its scheduler file; ``sync`` works in this process.
        tile: Side in pixels of the squares rendered at a time; never changes a byte of an image.
        chunk: Side of the stored chunks in pixels; never changes a digest.
        shard: Side of the stored shards in pixels, a multiple of ``chunk``; never changes a digest.
        retries: How often an image that failed is tried again.
        watcher: Hears of the progress.

    Returns:
        What was done; images that failed are in ``failures``, and the store is then not complete.

    Raises:
        RecipeError: The recipe is wrong.
        OutputError: The output can't be used: another recipe's store, something else, or another build at work.
        SpaceError: The disk is full. What is finished stays.
        ClusterError: The scheduler can't be reached, or its workers run other versions.
        BuildError: The workers were lost.
    """
    begin = monotonic()
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(os.fspath(recipe))
    _check_numbers(workers, tile, retries)
    plans = plan_images(recipe)
    location = default_output(recipe) if out is None else out
    target = open_target(location if "://" in str(location) else Path(location).absolute())
    site = Site(target, recipe.digest, fingerprint(), recipe.codec, tile, chunk, shard)
    pieces = {plan.id: deque(stages(plan, site)) for plan in plans}  # also checks chunk and shard, before anything is written
    watcher = watcher or _Silent()
    _require_place(target, recipe)
    with BuildLock(target) as lock:
        _require_place(target, recipe)
        sweep(target)
        kept = _finished(target, site, plans)
        watcher.start(plans, kept)
        todo = [plan for plan in plans if plan.id not in kept]
        if not todo and _is_complete(target, recipe):
            return BuildResult(str(location), read_root(target).root_digest, len(plans), 0, len(kept), (), monotonic() - begin, 0)
        contents = all_needed(recipe.contents())
        root = StoreRoot(recipe.name, recipe.version, recipe.to_dict(), recipe.digest, generator=fingerprint(), imports=contents)
        with _Heartbeat(lock) as heart, choose_engine(workers, scheduler, site, todo) as engine:
            root = create_root(target, root, pieces)
            write_recipe(target, root.recipe)
            write_contents(target, contents)
            run = _Run(engine, site, {plan.id: pieces[plan.id] for plan in todo}, retries, watcher, heart)
            run.work()
        digest = None
        if not run.failures:
            digest = finish_root(target, root, collect_records(target, pieces)).root_digest
    return BuildResult(
        path=str(location),
        root_digest=digest,
        images=len(plans),
        built=len(todo) - len(run.failures),
        kept=len(kept),
        failures=tuple(run.failures),
        seconds=monotonic() - begin,
        pixels=run.pixels,
    )


def _check_numbers(workers: int | None, tile: int, retries: int) -> None:
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, got {workers}. Leave it out for one per core.")
    if tile < 16:
        raise InputError(f"tile must be at least 16 px, got {tile}. 512 is a good choice.")
    if retries < 0:
        raise InputError(f"retries must be at least 0, got {retries}.")


def _require_place(target: Target, recipe: Recipe) -> None:
    """Raise OutputError unless the place is empty or holds a store of this recipe.

    Raises:
        OutputError: The place holds another recipe's store, or something that is no store.
    """
    where = target.describe("")
    if "://" not in where and Path(where).is_file():
        raise OutputError(f"output must be a folder, got the file {where}. Choose another place with -o.")
    if not [name for name in target.list("") if not name.startswith("build.lock")]:
        return
    released = read_manifest(target)
    if released is not None:
        _require_same_release(target, released, recipe)
        if not target.exists("images.zarr"):
            return  # the texts of a release, as git keeps them: its images are to come
    try:
        root = read_root(target)
    except StoreError as error:
        if target.exists("images.zarr") and not target.exists("index.parquet") and not target.exists("images.zarr/zarr.json"):
            return  # an earlier build was stopped before its first file
        got = "a damaged store" if isinstance(error, CorruptStoreError) else "something else"
        raise OutputError(
            f"output {where} must be new or a store of this recipe, got {got}. Choose another place with -o, or remove it first."
        ) from error
    if (root.recipe_digest, root.name, root.version) != (recipe.digest, recipe.name, recipe.version):
        raise OutputError(
            f"output {where} must be a store of {recipe.name} {recipe.version} (digest {recipe.digest[:12]}), got one of "
            f"{root.name} {root.version} (digest {root.recipe_digest[:12]}). Choose another place with -o, or remove it first."
        )


def _require_same_release(target: Target, released: Manifest, recipe: Recipe) -> None:
    """Raise OutputError unless a place of a release is asked for exactly that release.

    Raises:
        OutputError: The recipe is another one, or has other texts.
    """
    name = f"release {released.version} of {released.name}"
    same = (released.name, released.version, released.recipe_digest) == (recipe.name, recipe.version, recipe.digest)
    if same and target.read(RECIPE) == recipe_text(recipe.to_dict()):
        return
    got = "the same images with other texts" if same else f"{recipe.name} {recipe.version} (digest {recipe.digest[:12]})"
    raise OutputError(
        f"output {target.describe('')} must be built from {target.describe(RECIPE)}, as it holds {name}, got a recipe of {got}. "
        "Released versions never change: choose another place with -o, or give the recipe another version."
    )


def _finished(target: Target, site: Site, plans: Sequence[ImagePlan]) -> set[str]:
    """Return the ids of the images that are there with all their files, in the layout that is asked for."""
    there = set(list_images(target))
    return {
        plan.id
        for plan in plans
        if plan.id in there
        and finished_record(target, image_path(plan.id), site.layout(plan), {"id": plan.id, "morphology": plan.morphology})
    }


def _is_complete(target: Target, recipe: Recipe) -> bool:
    """Whether the root says so, with the texts of this recipe, and both tables can be read."""
    root = read_root(target)
    if root.recipe != recipe.to_dict() or not root.files:
        return False
    try:
        return root.complete and len(Dataset(target, root).objects) >= 0
    except StoreError:
        return False


@dataclass
class _Run:
    """The state of one build."""

    engine: Engine
    site: Site
    stages: dict[str, deque[list[Piece]]]
    retries: int
    watcher: Watcher
    heart: _Heartbeat
    failures: list[Failure] = field(default_factory=list)
    pixels: int = 0
    _open: dict[str, int] = field(default_factory=dict)  #: pieces of an image's present stage that are not done
    _tries: dict[str, int] = field(default_factory=dict)

    def work(self) -> None:
        """Carry out all pieces; images that fail are noted, what concerns all of them is raised."""
        waiting: deque[str] = deque(self.stages)
        queue: deque[Piece] = deque()
        flying = 0
        while True:
            while waiting and len(queue) < self.engine.window * _BATCH:
                queue.extend(self._advance(waiting.popleft()))
            while queue and flying < self.engine.window:
                self.engine.submit(self._batch(queue, len(queue) + len(waiting)))
                flying += 1
            if not flying:
                return
            outcomes = self.engine.result()
            flying -= 1
            self.heart.check()
            for piece, error in outcomes:
                queue.extendleft(self._done(piece) if error is None else self._failed(piece, error))

    def _batch(self, queue: deque[Piece], left: int) -> list[Piece]:
        """Take pieces off the queue: enough that the cluster's own work is small, few enough that all workers have some."""
        most = min(_BATCH, max(1, left // (2 * self.engine.window)))
        batch, pixels = [queue.popleft()], 0
        if batch[0].key in self._tries:
            return batch  # alone, so that it takes no other with it
        while queue and len(batch) < most and pixels < _BATCH_PIXELS and queue[0].key not in self._tries:
            batch.append(queue.popleft())
            pixels += batch[-1].pixels
        return batch

    def _advance(self, image_id: str) -> list[Piece]:
        """Return the pieces of an image's next stage; none where it is finished."""
        if not self.stages[image_id]:
            return []
        pieces = self.stages[image_id].popleft()
        self._open[image_id] = len(pieces)
        return pieces

    def _done(self, piece: Piece) -> list[Piece]:
        image_id = piece.plan.id
        self.pixels += piece.pixels
        if image_id not in self._open:  # the image failed in another piece
            return []
        self._open[image_id] -= 1
        following = [] if self._open[image_id] else self._advance(image_id)
        finished = not self._open[image_id] and not following
        self.watcher.progress(piece.plan, piece.pixels, finished=finished)
        return following

    def _failed(self, piece: Piece, error: BaseException) -> list[Piece]:
        if isinstance(error, SpaceError | ClusterError | OutputError):
            raise error
        tries = self._tries[piece.key] = self._tries.get(piece.key, 0) + 1
        if not isinstance(error, MisoGenError) and tries <= self.retries:
            return [piece]
        if self._open.pop(piece.plan.id, None) is not None:
            self.stages[piece.plan.id].clear()
            known = isinstance(error, MisoGenError | UnforeseenError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            self.failures.append(Failure(piece.plan.id, reason))
            self.watcher.failed(piece.plan, reason)
        return []


class _Heartbeat:
    """Renews the lock of a store while a build works, and says so if it was lost."""

    def __init__(self, lock: BuildLock) -> None:
        self._lock = lock
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._beat, name="build-lock", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(_BEAT_S):
            try:
                self._lock.beat()
            except Exception as error:  # raised again by check(), in the build's own thread
                self._error = error
                return

    def check(self) -> None:
        """Raise what the last beat ran into."""
        if self._error is not None:
            raise self._error
