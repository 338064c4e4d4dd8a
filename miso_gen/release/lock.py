"""The lock of a release: what, besides the recipe, decides its bytes."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from miso_gen.store.metadata import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.recipe import Recipe
    from miso_gen.store.root import StoreRoot

FORMAT: Final = 1
_WRITERS: Final = ("pillow", "pyarrow", "pyyaml")  #: packages that write tables, pictures and texts of a release


def lock(recipe: Recipe, root: StoreRoot) -> bytes:
    """Return the text of ``lock.json``: digests, what the images were built with, and what the release was written with.

    Versions that decided pixels are those of the build (:attr:`StoreRoot.generator`); pixels and digests do not depend on them.
    Compressed bytes, tables and pictures do.
    """
    from numcodecs import blosc

    document = {
        "format": FORMAT,
        "recipe_digest": recipe.digest,
        "canonical_recipe": recipe.canonical(),
        "imports": list(root.imports),
        "root_digest": root.root_digest,
        "layout": root.layout,
        "codec": recipe.codec,
        "built_with": built_with(root.generator),
        "released_with": {
            **_installed(),
            "blosc": str(blosc.VERSION_STRING),
            "python": ".".join(platform.python_version_tuple()[:2]),
        },
    }
    return canonical(document)


def built_with(generator: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of the packages that built a store, without the digest of miso-gen's own code."""
    return {name: str(value) for name, value in sorted(generator.items()) if name != "miso-gen code"}


def _installed() -> dict[str, str]:
    found = {}
    for name in ("miso-gen", *_WRITERS):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # another package may provide the module
            found[name] = "unknown"
    return found
