"""What the texts of a release say: one set of facts, from which card, citation, Croissant and records are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import pandas as pd

    from miso_gen.recipe import Recipe
    from miso_gen.store.manifest import FileEntry


@dataclass(frozen=True)
class Publication:
    """Where a release was published.

    Attributes:
        target: ``zenodo``, ``hf`` or ``s3``.
        url: Page for people, or address of the folder.
        files: Address below which the files lie.
        doi: Its DOI, such as ``10.5281/zenodo.123``; None for none.
    """

    target: str
    url: str
    files: str
    doi: str | None = None

    def address(self, path: str) -> str:
        """Return the address of a file. Zenodo knows no folders: ``imports/a.npz`` is called ``imports--a.npz`` there."""
        folder = self.files.rstrip("/")
        if self.target == "zenodo":
            return f"{folder}/{quote(path.replace('/', '--'))}/content"
        return f"{folder}/{quote(path)}"


@dataclass(frozen=True)
class ReleaseFacts:
    """Facts of a release.

    Attributes:
        recipe: The recipe, with the name, title, description, licence, authors, url and keywords of the data set.
        version: The version.
        date: Day of the release, ``YYYY-MM-DD``.
        previous: The version before, None for the first.
        recipe_digest: Digest of the recipe.
        root_digest: Digest over all images.
        table: The index, one row an image, with the columns of ``index.parquet`` but the histogram.
        objects: Rows of ``instances.parquet``.
        files: The data files (packs, tables, recipe, imports, contact sheet) by path; not the texts made from these facts.
        images_in: Number of images in each pack.
        versions: Versions of the packages that decided bytes.
        publications: Where it was published, in order; empty before.
    """

    recipe: Recipe
    version: str
    date: str
    previous: str | None
    recipe_digest: str
    root_digest: str
    table: pd.DataFrame
    objects: int
    files: Mapping[str, FileEntry]
    images_in: Mapping[str, int]
    versions: Mapping[str, str]
    publications: tuple[Publication, ...] = field(default=())

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.recipe.name

    @property
    def title(self) -> str:
        """One line for people."""
        return self.recipe.title or self.recipe.name

    @property
    def size(self) -> int:
        """Size of the data files, added up."""
        return sum(entry.size for entry in self.files.values())

    @property
    def doi(self) -> str | None:
        """The DOI, None before one is reserved."""
        return next((publication.doi for publication in self.publications if publication.doi), None)
