"""Small stores and their releases, as a build and a release leave them; and ways to show a folder with something changed."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import brought
import numpy as np
from building import recipe_file, tree

from miso_gen.build import build
from miso_gen.release.making import make_release

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from miso_gen.store import Dataset, ImageView

HEAD: dict[str, Any] = {
    "schema": 1,
    "version": "1.0.0",
    "title": "Little shapes",
    "license": "CC-BY-4.0",
    "date": "2026-11-21",
    "authors": [{"name": "Lovelace, Ada"}],
    "splits": ["train", "test"],
}
PACK_BYTES = 30_000  #: several packs a split


def colour(folder: Path) -> dict[str, Any]:
    """Return a recipe of 12 images, RGB: cells (objects), superpixels (instances), and shapes that were imported."""
    return {
        **HEAD,
        "name": "colour",
        "seed": 7,
        "canvas": {"shape": [80, 90], "channels": 3},
        "scenarios": [
            {"type": "cell", "images": {"train": 2, "test": 2}},
            _superpixels(),
            {"type": "evsp", "radius_px": 4, "morphologies": brought.shapes(folder) | {"path": "shapes/ring.png"}},
        ],
    }


def grey(folder: Path) -> dict[str, Any]:
    """Return a recipe of 8 images with one channel: superpixels (instances), and shapes that were imported."""
    shapes = brought.shapes(folder) | {"path": "shapes/disc.png"}
    scenarios = [_superpixels(), {"type": "evsp", "radius_px": 5, "morphologies": shapes}]
    return {**HEAD, "name": "grey", "seed": 8, "canvas": {"shape": [300, 280]}, "scenarios": scenarios}


def _superpixels() -> dict[str, Any]:
    only = {"type": "builtin", "only": ["canary"]}
    return {"type": "gsp", "morphologies": only, "radius_px": {"uniform": [8, 12]}, "window_px": 4}


RECIPES = {"colour": colour, "grey": grey}


def build_store(folder: Path, name: str = "colour", **options: Any) -> Path:
    """Build one of ``RECIPES`` below a folder and return the store."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = recipe_file(folder / f"{name}.yaml", RECIPES[name](folder))
    assert build(recipe, folder / "store", **{"workers": 1, **options}).root_digest
    return folder / "store"


def release_store(store: Path, folder: Path, **options: Any) -> Path:
    """Release a store into a folder, in several packs a split."""
    result = make_release(store, folder, **{"pack_bytes": PACK_BYTES, **options})
    assert len([pack for pack in result.manifest.packs if pack.startswith("test-")]) > 1
    return folder


# --- what a store holds -----------------------------------------------------------------------------------------------


def everything(view: ImageView) -> dict[str, Any]:
    """Return all that an image holds, decoded."""
    arrays = {name: getattr(view, name).all() for name in ("image", "truth", "instances")}
    objects = None if view.objects is None else list(view.objects.rows())
    return {**arrays, "summary": view.summary, "objects": objects, "attributes": dict(view.attributes)}


def assert_equal_images(got: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Compare what two images hold."""
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            assert got[name].dtype == value.dtype
            assert np.array_equal(got[name], value), name
        else:
            assert got[name] == value, name


def assert_equal_datasets(one: Dataset, other: Dataset) -> None:
    """Compare two data sets: what they are, their tables, and all that their images hold."""
    from pandas.testing import assert_frame_equal

    assert (one.name, one.version, one.recipe_digest, one.root_digest) == (
        other.name,
        other.version,
        other.recipe_digest,
        other.root_digest,
    )
    assert (one.ids, one.scenarios, one.splits, len(one)) == (other.ids, other.scenarios, other.splits, len(other))
    assert_frame_equal(one.table, other.table)
    assert_frame_equal(one.objects, other.objects)
    for image_id in other:
        assert_equal_images(everything(one[image_id]), everything(other[image_id]))


# --- changed folders --------------------------------------------------------------------------------------------------

Files = dict[str, bytes]  #: a folder: the bytes of every file by its path


class Scene:
    """A copy of a folder that can show other files for a while; only what differs is written.

    Args:
        source: The folder.
        folder: Where the copy goes.
    """

    def __init__(self, source: Path, folder: Path) -> None:
        shutil.copytree(source, folder)
        self.folder = folder
        self.files: Files = {path: data for path, data in tree(folder).items() if not path.endswith("/")}

    @contextmanager
    def showing(self, files: Mapping[str, bytes]) -> Iterator[Path]:
        """Show these files, and then again what was there."""
        try:
            self._turn(self.files, files)
            yield self.folder
        finally:
            self._turn(files, self.files)

    def _turn(self, old: Mapping[str, bytes], new: Mapping[str, bytes]) -> None:
        for path in old.keys() - new.keys():
            (self.folder / path).unlink()
            above = os.path.dirname(path)  # noqa: PTH120
            while above and not any(True for _ in (self.folder / above).iterdir()):
                (self.folder / above).rmdir()
                above = os.path.dirname(above)  # noqa: PTH120
        for path, data in new.items():
            if old.get(path) is not data:
                place = self.folder / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
