"""Verify a store or a release: every byte against checksums, what it holds against a manifest, and pixels against the recipe."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from miso_gen.errors import IncompleteStoreError, MisoGenError, StoreError
from miso_gen.recipe import Recipe
from miso_gen.release.contents import contents_of, manifest_of, released_as, released_like
from miso_gen.release.damage import release_damage, release_files
from miso_gen.release.differences import compare
from miso_gen.release.making import Silent
from miso_gen.release.publication import PUBLICATION
from miso_gen.release.rebuild import rebuild
from miso_gen.store import (
    MANIFEST,
    Dataset,
    Manifest,
    PackedTarget,
    Problem,
    locate,
    offer_contents,
    open_target,
    read_manifest,
    read_root,
    validate_target,
)
from miso_gen.store.damage import BROKEN, contradictions, store_damage
from miso_gen.store.index import INDEX
from miso_gen.store.named import ways_to_images
from miso_gen.store.opening import require_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from miso_gen.release.making import Watcher
    from miso_gen.store import Target

_ROOT: Final = "images.zarr/zarr.json"
_BATCH: Final = 1 << 22
_BESIDE: Final = frozenset(
    {MANIFEST, PUBLICATION, "publishing.json", "build.lock", "images.zarr"}
)  #: names that no manifest lists
_ASPECTS: Final = {"pixels": "pixels", "truth": "truth", "instances": "instances", "label": "label", "pair": "pair"}


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        location: What was verified.
        name: Name of the data set; empty where nothing says it.
        version: Its version.
        kind: ``store``, ``release``, or ``store and release`` where both lie in one folder.
        images: Number of images that were looked at.
        files: Number of files of the release that were looked at.
        problems: What is wrong, each with the image or file and the rule.
        compared_with: The manifest that the images were compared with, in words; None: there was none but its own.
        rebuilt: Ids of the images that were rendered again.
        root_digest: Digest over all images, as it should be.
    """

    location: str
    name: str
    version: str
    kind: str
    images: int
    files: int
    problems: tuple[Problem, ...]
    compared_with: str | None = None
    rebuilt: tuple[str, ...] = ()
    root_digest: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.problems:
            many = f"{len(self.problems)} problem{'s' * (len(self.problems) > 1)}"
            return f"{self.name or self.location} {self.version}: {many}".replace(" :", ":")
        proof = f", {len(self.rebuilt)} of them rendered again" if self.rebuilt else ""
        what = f"{self.name} {self.version}: {self.images} image{'s' * (self.images != 1)}{proof}, all as they should be"
        return f"{what}; bit-identical to {self.compared_with}" if self.compared_with else what


def verify(
    location: str | os.PathLike[str],
    *,
    against: str | os.PathLike[str] | None = None,
    pixels: bool | None = None,
    rebuild: bool = False,
    sample: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    options: Mapping[str, Any] | None = None,
    watcher: Watcher | None = None,
) -> Verification:
    """Verify a store or a release.

    Checksums find every changed, missing, swapped or strange file. Pixels are decoded and compared with their digests where
    ``pixels`` says so. What the images are is compared with a manifest: the given one, that of the release, or that of the
    release of this name and version which is known here. Rendering again (``rebuild``) finds what was changed with care.

    Args:
        location: Folder, URL or zip archive of a store; folder or URL of a release; ``name@version``.
        against: A manifest, release, store or ``name@version`` to compare with.
        pixels: Decode all pixels; default: of stores yes, of releases no.
        rebuild: Render images again from the recipe.
        sample: How many of them, drawn at random; None: all.
        seed: Decides which.
        workers: Processes that render; default one a core.
        options: Passed to the fsspec file system of a URL.
        watcher: Hears of the progress.

    Raises:
        StoreError: There is nothing that could be verified.
    """
    found = locate(location)
    check = _Check(str(location), open_target(os.fspath(found).rstrip("/") or "/", options), watcher or Silent())
    check.look(against, pixels)
    if found != location and check.holds is not None:
        try:
            require_named(found, check.holds.name, check.holds.version)
        except StoreError as error:
            check.problems.append(Problem(str(location), "misplaced", str(error)))
    if rebuild:
        check.render(sample, seed, workers)
    return check.result()


class _Check:
    """One verification at work."""

    def __init__(self, location: str, target: Target, watcher: Watcher) -> None:
        self.location, self.target, self.watcher = location, target, watcher
        self.problems: list[Problem] = []
        self.manifest: Manifest | None = None  #: of the release in this place
        self.holds: Manifest | None = None  #: what the images say of themselves
        self.compared_with: str | None = None
        self.rebuilt: list[str] = []
        self.kinds: list[str] = []
        self.files = 0
        self.is_store = False

    def look(self, against: str | os.PathLike[str] | None, pixels: bool | None) -> None:
        """Check files, images and pixels, and compare with another manifest."""
        try:
            self.manifest = read_manifest(self.target)
        except IncompleteStoreError:
            raise
        except (StoreError, OSError) as error:
            self.problems.append(Problem(MANIFEST, "damaged", str(error)))
        # Web servers know no folders, and a damaged store may have no root.
        is_store = self.is_store = self.target.size(_ROOT) is not None or self.target.exists("images.zarr")
        has_packs = self.manifest is not None and any(self.target.size(pack) is not None for pack in self.manifest.packs)
        if not is_store and self.manifest is not None and not has_packs and not self._has_tables():
            raise StoreError(
                f"{self.target.describe('')} must hold images to verify, got the texts of {self.manifest.name}@"
                f"{self.manifest.version} alone. "
                f"{ways_to_images(self.target.describe(''), self.manifest.name, self.manifest.version)}"
            )
        if self.manifest is None and not self.problems and self._has_packs():
            self.problems.append(Problem(MANIFEST, "missing", "is not there"))
        if not is_store and self.manifest is None:
            if not self.problems:
                read_root(self.target)  # says what is there instead
            known = self._guess()
            if known is None:
                return
            self.manifest = known
        if is_store:
            self._look_at_store(pixels is not False)
        if self.manifest is not None and (not is_store or has_packs or self._has_own_files()):
            self._look_at_release(self.manifest, packs=not is_store or has_packs, pixels=bool(pixels))
        self._compare(against)

    def _has_packs(self) -> bool:
        try:
            return any(name.endswith(".ozx") for name in self.target.list(""))
        except StoreError:  # web servers list nothing
            return False

    def _has_tables(self) -> bool:
        assert self.manifest is not None
        return any(self.target.size(path) is not None for path in self.manifest.files if path.endswith(".parquet"))

    def _has_own_files(self) -> bool:
        return self.target.size("README.md") is not None

    def _guess(self) -> Manifest | None:
        """Return the manifest that a place with a damaged one should have: that of the name and version it lies under."""
        parts = self.target.describe("").rstrip("/").split("/")
        try:
            return released_as(parts[-2], parts[-1]) if len(parts) > 1 else None
        except MisoGenError:  # it is the damaged one
            return None

    def _look_at_store(self, pixels: bool) -> None:
        self.kinds.append("store")
        try:
            total = read_root(self.target).images or 0
        except BROKEN:
            total = 0
        self.watcher.start("files", total)
        found = list(store_damage(self.target, lambda _: self.watcher.step("files")))
        self.problems += found
        if any(problem.where in (_ROOT, INDEX) and problem.rule in ("damaged", "missing") for problem in found):
            return  # what damaged tables hold is not worth reading
        try:
            dataset = Dataset(self.target, read_root(self.target))
            self.holds = manifest_of(dataset)
        except BROKEN as error:
            if not found:
                self.problems.append(Problem(self.location, "readable", str(error)))
            return
        if not found:
            found = list(contradictions(dataset))
            self.problems += found
        if pixels and not found:
            self._decode(lambda: validate_target(self.target))

    def _look_at_release(self, manifest: Manifest, *, packs: bool, pixels: bool) -> None:
        self.kinds.append("release")
        self.watcher.start("files of the release", len(release_files(manifest, packs=packs)))
        found = list(release_damage(self.target, manifest, packs=packs, seen=self._seen))
        self.problems += found
        if packs and self.holds is None:
            self.holds = manifest
        if packs and pixels and not found:
            self._decode(lambda: validate_target(PackedTarget(self.target, manifest)))

    def _seen(self, _: str) -> None:
        self.files += 1
        self.watcher.step("files of the release")

    def _decode(self, look: Callable[[], list[Problem]]) -> None:
        self.watcher.start("pixels", 1)
        self.problems += look()
        self.watcher.step("pixels")

    def _compare(self, against: str | os.PathLike[str] | None) -> None:
        """Compare what the images say of themselves with another manifest."""
        if against is not None:
            other: Manifest | None = contents_of(against)
            name = str(against)
        elif self.holds is not None and self.holds is not self.manifest and self.manifest is not None:
            other, name = self.manifest, f"release {self.manifest.version}"
        elif self.holds is not None:
            other = released_like(self.holds, self.target.describe(""))
            name = "" if other is None else f"release {other.version}"
        else:
            return
        if other is None or self.holds is None:
            return
        difference = compare(other, self.holds)
        if difference.same_images and other.root_digest == self.holds.root_digest and other.name == self.holds.name:
            self.compared_with = name
            return
        if other.name != self.holds.name:
            self.problems.append(Problem(self.location, "name", f"is {self.holds.name}, not {other.name}"))
        self.problems += [Problem(i, "unexpected", f"is no image of {name}") for i in difference.added]
        self.problems += [Problem(i, "missing", f"is an image of {name}") for i in difference.removed]
        self.problems += [Problem(old, "moved", f"is {new} here") for old, new in difference.moved]
        for aspect, ids in difference.changed.items():
            verb = "are" if aspect in ("pixels", "instances") else "is"
            self.problems += [Problem(i, "changed", f"{_ASPECTS[aspect]} {verb} not that of {name}") for i in ids]

    def render(self, sample: int | None, seed: int, workers: int | None) -> None:
        """Render images again."""
        if self.holds is None:
            return
        if self.is_store or self.manifest is None:
            target: Target = self.target
        else:
            target = PackedTarget(self.target, self.manifest)
        try:
            root = read_root(target)
            if root.imports:
                offer_contents(target)
            recipe = Recipe.from_dict(root.recipe)
            if recipe.digest != self.holds.recipe_digest:
                self.problems.append(Problem(_ROOT, "recipe", "the recipe has another digest than its root says"))
            images = self.holds.images
            self.watcher.start("rendering", len(images) if sample is None else min(sample, len(images)))
            step = lambda _: self.watcher.step("rendering")  # noqa: E731
            self.rebuilt, found = rebuild(recipe, images, target, sample, seed, workers, step)
        except (MisoGenError, OSError) as error:
            self.problems.append(Problem(self.location, "rebuild", f"can't be rendered again: {error}"))
            return
        self.problems += found

    def result(self) -> Verification:
        """Return what was found."""
        said = self.holds or self.manifest
        return Verification(
            location=self.location,
            name=said.name if said else "",
            version=said.version if said else "",
            kind=" and ".join(self.kinds) or "nothing",
            images=len(said.images) if said else 0,
            files=self.files,
            problems=tuple(dict.fromkeys(self.problems)),
            compared_with=self.compared_with if not self.problems else None,
            rebuilt=tuple(self.rebuilt),
            root_digest=said.root_digest if said else "",
        )
