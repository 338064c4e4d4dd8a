"""Picture files -> named outlines: what a recipe says of them, their names, and what is wrong with them."""

from __future__ import annotations

import json
import re
import unicodedata
import warnings
from glob import has_magic
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from blake3 import blake3

from miso_gen.contents import Content, once
from miso_gen.errors import InputError, MisoGenWarning, RefusedFilesError, UnknownNameError
from miso_gen.imports.binarizing import PictureBinarizer
from miso_gen.imports.outlines import Outline
from miso_gen.imports.pictures import SUFFIXES, read_picture
from miso_gen.recipe.importing import FileSource
from miso_gen.recipe.parameters import OneOf, chosen
from miso_gen.recipe.plugins import BINARIZERS, Binarizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

REVISION: Final = 1  #: raised whenever the same file becomes another outline
MOST_PARTS: Final = 500  #: pieces and holes of a silhouette
LEAST_SIDE: Final = 64  #: pixels; smaller pictures show as steps
LONGEST_NAME: Final = 64


class PictureFiles(FileSource):
    """Pictures of silhouettes, and how to read them."""

    path: str | tuple[str, ...]
    """A file, a pattern such as ``shapes/*.png``, a folder (every picture in it), or a list of these; relative to the recipe."""

    binarize: Annotated[Binarizer, OneOf(BINARIZERS)] = chosen("auto")
    """How pictures become black and white."""

    holes: Literal["keep", "fill"] = "keep"
    """fill: holes become part of the object."""

    islands: Literal["keep", "drop"] = "keep"
    """drop: only the largest piece is kept, after holes are filled."""

    only: tuple[str, ...] = ()
    """Names of the silhouettes to show, in this order; empty: all of them, in the order of their names."""

    reference: str = ""
    """The silhouette that MD deforms and compares with; it need not be among ``only``. Empty: the first one shown."""

    def load(self, folder: Path) -> Mapping[str, Any]:
        """See :class:`FileSource`."""
        files = _named(_found((self.path,) if isinstance(self.path, str) else self.path, folder))
        names = tuple(dict.fromkeys(self.only)) or tuple(sorted(files))
        reference = self.reference or names[0]
        for name in (*names, reference):
            if name not in files:
                raise UnknownNameError("silhouette", name, sorted(files))
        assert isinstance(self.binarize, PictureBinarizer)
        self.binarize.check(files)
        refused: list[tuple[str, str]] = []
        outlines: dict[str, Content] = {}
        for name in dict.fromkeys((*names, reference)):
            try:
                outlines[name] = self._outline(name, files[name][1])
            except InputError as error:
                refused.append((files[name][0], str(error)))
        if refused:
            raise RefusedFilesError(refused)
        _warn({files[name][0]: content for name, content in outlines.items()})
        shapes = [{"name": name, "content": outlines[name].digest} for name in names]
        return {"shapes": shapes, "reference_shape": {"name": reference, "content": outlines[reference].digest}}

    def _outline(self, name: str, path: Path) -> Content:
        """Return the outline of a file.

        Raises:
            InputError: The file holds no sensible silhouette; the message goes on after the name of the file.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"must be a readable file, got {error.strerror or error}. Look at its permissions.") from None
        options = [self.binarize.to_spec(), type(self.binarize).revision, name, self.holes, self.islands]
        text = json.dumps(["outline", REVISION, blake3(data).hexdigest(), options], sort_keys=True)
        return once(sha256(text.encode()).hexdigest(), lambda: self._imported(name, data).content)

    def _imported(self, name: str, data: bytes) -> Outline:
        assert isinstance(self.binarize, PictureBinarizer)
        mask = self.binarize.binarize(read_picture(data), name)
        if self.holes == "fill":
            mask = filled(mask)
        if self.islands == "drop":
            mask = largest(mask)
        inside = np.count_nonzero(mask)
        if inside in (0, mask.size):
            found = "none of them" if inside == 0 else "all of them"
            raise InputError(f"must have some of its pixels inside, got {found}. Write another binarize, or leave the file out.")
        parts = _parts(mask)
        if parts > MOST_PARTS:
            raise InputError(
                f"must have at most {MOST_PARTS} pieces and holes, got {parts}. "
                "Clean it, give a threshold, or write islands: drop and holes: fill."
            )
        return Outline.of_mask(mask)


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a picture, (h, w) bool, with its holes filled: what is outside and joined to no border by sides of pixels."""
    import cv2

    outside = np.pad(~mask, 1, constant_values=True).view(np.uint8)
    cv2.floodFill(outside, None, (0, 0), 2, flags=4)
    return outside[1:-1, 1:-1] != 2


def largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest piece of a picture, (h, w) bool; the uppermost of several, then the leftmost; nothing of nothing."""
    import cv2

    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    if count < 3:
        return mask
    areas = facts[1:, cv2.CC_STAT_AREA]
    ties = np.flatnonzero(areas == areas.max()) + 1
    if len(ties) == 1:
        return labels == ties[0]
    found = labels.reshape(-1)[np.flatnonzero(np.isin(labels, ties))[0]]
    return labels == found


def _parts(mask: NDArray[np.bool_]) -> int:
    """Return the number of pieces and holes."""
    import cv2

    pieces, _ = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    outside, _ = cv2.connectedComponents(np.pad(~mask, 1, constant_values=True).view(np.uint8), connectivity=4)
    return int(pieces - 1 + outside - 2)


def kebab(stem: str) -> str:
    """Return a name in kebab-case, without accents: ``blackCat 2`` is ``black-cat-2``; empty where no letter or digit is left."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1-\2", plain))
    return re.sub(r"[^a-z0-9]+", "-", split.lower()).strip("-")


def _found(paths: Iterable[str], folder: Path) -> dict[str, Path]:
    """Return the files that paths mean, by what messages call them, in order.

    Raises:
        InputError: A path means nothing.
    """
    files: dict[str, Path] = {}
    for path in paths:
        given = Path(path).expanduser()
        place = folder / given
        if place.is_file():
            found = [place]
        elif place.is_dir():
            found = [file for file in _matching(place, Path("*")) if file.suffix.lower() in SUFFIXES]
        else:
            found = _matching(Path(given.anchor) if given.anchor else folder, given.relative_to(given.anchor))
        if not found:
            got = f"the folder {path!r} without one" if place.is_dir() else f"{path!r}, which "
            if not place.is_dir():
                got += "matches no file" if has_magic(path) else "is not there"
            raise InputError(f"path must name pictures, got {got}. Paths are relative to {_shown(folder)}.")
        files |= {file.resolve().as_posix(): file for file in found}
    if not files:
        raise InputError("path must name pictures, got an empty list. Name a file, a pattern or a folder.")
    return {_relative(file, folder): file for file in files.values()}


def _matching(folder: Path, pattern: Path) -> list[Path]:
    """Return the files below a folder that a pattern matches, sorted, without hidden ones."""
    parts = pattern.parts
    plain = next((place for place, part in enumerate(parts) if has_magic(part)), len(parts))
    if plain == len(parts):
        return []
    found = folder.joinpath(*parts[:plain]).glob("/".join(parts[plain:]))
    return sorted(file for file in found if file.is_file() and not file.name.startswith("."))


def _shown(folder: Path) -> str:
    return "the folder of the recipe" if folder != Path() else f"the current folder, {Path.cwd()}"


def _relative(file: Path, folder: Path) -> str:
    return (file.relative_to(folder) if file.is_relative_to(folder) else file).as_posix()


def _named(files: Mapping[str, Path]) -> dict[str, tuple[str, Path]]:
    """Return what messages call a file, and its path, by the name of its silhouette.

    Raises:
        RefusedFilesError: Files have the same name, or none.
    """
    named: dict[str, tuple[str, Path]] = {}
    refused: list[tuple[str, str]] = []
    for shown, path in files.items():
        name = kebab(path.stem)
        if not name or len(name) > LONGEST_NAME:
            expected = f"have a file name that gives a name of 1 to {LONGEST_NAME} of a-z, 0-9 and hyphens"
            refused.append((shown, f"must {expected}, got {name!r}. Rename it."))
        elif name in named:
            refused.append((shown, f"must have a name of its own, got {name!r}, as {named[name][0]}. Rename one of them."))
        else:
            named[name] = shown, path
    if refused:
        raise RefusedFilesError(refused)
    return named


def _warn(outlines: Mapping[str, Content]) -> None:
    """Warn of what will work, and may not be meant; ``outlines`` by what messages call their files."""
    seen: dict[str, str] = {}
    for shown, content in outlines.items():
        height, width = content.facts["height"], content.facts["width"]
        if max(height, width) < LEAST_SIDE:
            text = f"{shown} has {width} x {height} pixels. Enlarged they show as steps: a larger picture looks smoother."
            warnings.warn(text, MisoGenWarning, stacklevel=3)
        if content.digest in seen:
            text = f"{shown} shows the same silhouette as {seen[content.digest]}: with split: disjoint, splits may share it."
            warnings.warn(text, MisoGenWarning, stacklevel=3)
        seen.setdefault(content.digest, shown)
