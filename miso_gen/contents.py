"""What was imported, in canonical form, found by its digest.

A content is a few whole-number arrays and plain facts. It is kept below ``imports/`` of every store that shows it, and in a
cache, as a file that ``numpy.load`` reads. Recipes name it by its digest: a rebuild needs neither the files that were
imported nor their decoders.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from zipfile import BadZipFile

from miso_gen.errors import CorruptStoreError, InputError, OutputError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

FOLDER: Final = "imports"  #: of a store, or beside a recipe
_HEADER: Final = "content"  #: the array that holds everything but the arrays, as JSON
_KEPT_BYTES: Final = 64 << 20
_KEPT_SOURCES: Final = 16


@dataclass(frozen=True, eq=False)
class Content:
    """Something imported.

    Attributes:
        kind: What it is: ``outline``, ``points``, ``labels``, ``samples``.
        facts: What the arrays do not say: JSON-able.
        arrays: Whole numbers by name, of any shape.
        needs: Digests of other contents that it speaks of.
    """

    kind: str
    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[np.integer[Any]]] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """sha256 of the header and the arrays (little endian, C order) in the order of their names; hexadecimal."""
        hashed = sha256(self._header())
        for name in sorted(self.arrays):
            hashed.update(_little(self.arrays[name]).tobytes())
        return hashed.hexdigest()

    @property
    def size(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def _header(self) -> bytes:
        shapes = {name: [_little(array).dtype.str, list(array.shape)] for name, array in self.arrays.items()}
        header = {"kind": self.kind, "facts": self.facts, "arrays": shapes, "needs": self.needs}
        return json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()

    def to_bytes(self) -> bytes:
        """Return the content as the bytes of an ``.npz`` file."""
        import numpy as np

        buffer = io.BytesIO()
        arrays: dict[str, Any] = {name: _little(array) for name, array in sorted(self.arrays.items())}
        np.savez_compressed(buffer, **{_HEADER: np.frombuffer(self._header(), np.uint8), **arrays})
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, digest: str) -> Content:
        """Return the content of such a file.

        Raises:
            CorruptStoreError: It is none, or has another digest.
        """
        import numpy as np

        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                header = json.loads(file[_HEADER].tobytes())
                arrays = {name: file[name] for name in file.files if name != _HEADER}
            content = cls(header["kind"], header["facts"], arrays, tuple(header["needs"]))
        except (BadZipFile, ValueError, KeyError, TypeError, OSError, EOFError) as error:
            raise CorruptStoreError(f"imported content {digest[:12]} must be a file of miso-gen, got {error}.") from error
        if content.digest != digest:
            raise CorruptStoreError(f"imported content must have the digest {digest[:12]}, got {content.digest[:12]}.")
        return content


class Source(Protocol):
    """A place with files."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            FileNotFoundError: There is no such file.
        """


class FolderSource:
    """A folder on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, path: str) -> bytes:
        """See :class:`Source`."""
        return (self.folder / path).read_bytes()


_memory: OrderedDict[str, Content] = OrderedDict()
_sources: OrderedDict[str, Source] = OrderedDict()


def content_path(digest: str) -> str:
    """Return the path of a content in a store."""
    return f"{FOLDER}/{digest}.npz"


def cache_folder() -> Path:
    """Return where imports are kept between runs: ``MISO_GEN_CACHE``, or ``miso-gen`` in the user's cache folder."""
    given = os.environ.get("MISO_GEN_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "miso-gen"


def look_in(name: str, source: Source) -> None:
    """Look for contents in a place from now on; the last one named comes first.

    Args:
        name: What the place is called; another source of the name is forgotten.
        source: The place; contents lie below its ``imports/``.
    """
    _sources[name] = source
    _sources.move_to_end(name)
    while len(_sources) > _KEPT_SOURCES:
        _sources.popitem(last=False)


def keep(content: Content) -> str:
    """Keep a content in memory and in the cache; return its digest.

    Raises:
        OutputError: The cache can't be written.
    """
    path = cache_folder() / content_path(content.digest)
    if not path.exists():
        write_file(path, content.to_bytes())
    _remember(content)
    return content.digest


def recall(digest: str) -> Content:
    """Return a content.

    Raises:
        InputError: It is nowhere.
        CorruptStoreError: Where it should be there is something else.
    """
    if digest in _memory:
        _memory.move_to_end(digest)
        return _memory[digest]
    path = content_path(digest)
    for source in reversed(_sources.values()):
        try:
            content = Content.from_bytes(source.read(path), digest)
        except CorruptStoreError:
            raise
        except (OSError, StoreError):  # not there, or out of reach: another place may have it
            continue
        return _remember(content)
    cached = cache_folder() / path
    try:
        return _remember(Content.from_bytes(cached.read_bytes(), digest))
    except (OSError, CorruptStoreError):
        raise InputError(
            f"imported content {digest[:12]} must be in the store, in {FOLDER}/ beside the recipe, or in the cache "
            f"({cache_folder()}), got it nowhere. Copy the folder {FOLDER}/ along with the recipe, or import the files again."
        ) from None


def known(digest: str) -> bool:
    """Return whether a content can be had."""
    try:
        recall(digest)
    except InputError:
        return False
    return True


def all_needed(digests: Iterable[str]) -> tuple[str, ...]:
    """Return the digests of contents and of whatever they need, sorted.

    Raises:
        InputError: One is nowhere.
    """
    found: set[str] = set()
    waiting = list(digests)
    while waiting:
        digest = waiting.pop()
        if digest not in found:
            found.add(digest)
            waiting += recall(digest).needs
    return tuple(sorted(found))


def once(key: str, make: Callable[[], Content]) -> Content:
    """Return what ``make`` returned when it was last called for this key, on this machine, or call it.

    Args:
        key: Digest of all that decides the content: the bytes of its files, the options of the import.
        make: Imports.
    """
    note = cache_folder() / FOLDER / f"{key}.txt"
    try:
        return recall(note.read_text("ascii").strip())
    except (OSError, ValueError, InputError):
        pass
    content = make()
    write_file(note, keep(content).encode("ascii"))
    return content


def write_file(path: Path, data: bytes) -> None:
    """Write a file of the cache, whole or not at all.

    Raises:
        OutputError: It can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
            file.write(data)
        Path(file.name).replace(path)
    except OSError as error:
        raise OutputError(
            f"the cache {cache_folder()} must be writable, got {error.strerror or error}. Set MISO_GEN_CACHE to another folder."
        ) from error


def _remember(content: Content) -> Content:
    _memory[content.digest] = content
    _memory.move_to_end(content.digest)
    while len(_memory) > 1 and sum(kept.size for kept in _memory.values()) > _KEPT_BYTES:
        _memory.popitem(last=False)
    return content


def _little(array: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    import numpy as np  # reading a recipe that imports nothing needs none

    array = np.ascontiguousarray(array)
    return array.astype(array.dtype.newbyteorder("<"), copy=False)
