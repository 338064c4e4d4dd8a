"""A release as a store: its images lie in packs, and every byte is compared with the manifest before it is used."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NoReturn

from miso_gen.errors import CorruptStoreError, OutputError
from miso_gen.store import metadata
from miso_gen.store.checksums import checksum
from miso_gen.store.record import read_record
from miso_gen.store.zip import ZipTarget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.store.manifest import Manifest
    from miso_gen.store.target import RangeSource, Target

_IMAGES: Final = "images.zarr"
_AGAIN: Final = "Fetch the release again."


class PackedTarget:
    """The store that a release holds. Only to read. Pickles; safe after fork and spawn.

    A file is read as a whole and compared with its checksum when it is first touched; ranges of it are then read as they
    are asked for. Nothing else is read ahead.

    Args:
        folder: The folder of the release.
        manifest: Its manifest.
        verify: Compare checksums.

    Reading raises:
        CorruptStoreError: A file is not what the manifest says, or is missing.
    """

    renames = False

    def __init__(self, folder: Target, manifest: Manifest, *, verify: bool = True) -> None:
        self.folder, self.manifest, self.verify = folder, manifest, verify
        self.url = folder.url
        self._packs = {name: ZipTarget(_PackFile(folder, name), root="zarr.json") for name in manifest.packs}
        self._start()

    def _start(self) -> None:
        self._checked: set[str] = set()
        self._files: dict[str, Mapping[str, str]] = {}
        self._folders: dict[str, set[str]] | None = None

    def __repr__(self) -> str:
        return f"PackedTarget({self.folder!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "manifest": self.manifest, "verify": self.verify, "url": self.url, "_packs": self._packs}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def pack(self, name: str) -> Target:
        """Return one of the packs."""
        return self._packs[name]

    def describe(self, path: str) -> str:
        """Return the full name of a file: the pack, then the place in it."""
        target, inner = self._place(path)
        return target.describe(inner)

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        target, inner = self._place(path)
        try:
            data = target.read(inner)
        except FileNotFoundError:
            raise self._missing(path) from None
        self._compare(path, data)
        return data

    def open(self, path: str) -> RangeSource:
        """Open a file for reading pieces of it."""
        if self.verify and path not in self._checked:
            self.read(path)
        target, inner = self._place(path)
        try:
            return target.open(inner)
        except FileNotFoundError:
            raise self._missing(path) from None

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder with files."""
        target, inner = self._place(path)
        return target.exists(inner) or path in self._tree()

    def size(self, path: str) -> int | None:
        """Return the bytes of a file, None where there is none."""
        target, inner = self._place(path)
        return target.size(inner)

    def list(self, path: str) -> list[str]:
        """Return the sorted names directly below a folder; none where it does not exist."""
        if path in self._tree():
            return sorted(self._tree()[path])
        target, inner = self._place(path)
        return target.list(inner)

    def write(self, path: str, data: bytes, *, atomic: bool = True) -> NoReturn:
        """Releases are not written to."""
        self._refuse()

    def remove(self, path: str) -> NoReturn:
        """Releases are not written to."""
        self._refuse()

    def rename(self, source: str, destination: str) -> NoReturn:
        """Releases are not written to."""
        self._refuse()

    def _place(self, path: str) -> tuple[Target, str]:
        """Return where a file of the store lies: a pack and the path in it, or the folder."""
        if path != _IMAGES and not path.startswith(f"{_IMAGES}/"):
            return self.folder, path
        inner = path[len(_IMAGES) + 1 :]
        entry = self.manifest.images.get(_image_of(inner))
        if entry is not None and entry.pack is not None:
            return self._packs[entry.pack], inner
        if not self._packs:
            return self.folder, path
        parts = inner.removesuffix("zarr.json").strip("/")
        named = (e.pack for image_id, e in self.manifest.images.items() if parts and image_id.startswith(f"{parts}/"))
        return self._packs[next((pack for pack in named if pack is not None), self.manifest.packs[0])], inner

    def _tree(self) -> dict[str, set[str]]:
        """Return the folders above the images, and the store itself, with the names in each."""
        if self._folders is None:
            own = {path.partition("/")[0] for path in self.manifest.files if path not in self._packs}
            tree: dict[str, set[str]] = {"": {*own, _IMAGES}, _IMAGES: {"zarr.json"}}
            for image_id in self.manifest.images:
                above = _IMAGES
                for part in image_id.split("/"):
                    tree.setdefault(above, {"zarr.json"}).add(part)
                    above = f"{above}/{part}"
            self._folders = tree
        return self._folders

    def _compare(self, path: str, data: bytes) -> None:
        """Raise CorruptStoreError unless a file has the checksum that is known of it."""
        if not self.verify or path in self._checked:
            return
        inner = path.removeprefix(f"{_IMAGES}/")
        if inner == path:
            entry = self.manifest.files.get(path)
            right = entry is None or (len(data), sha256(data).hexdigest()) == tuple(entry)
        elif inner == "zarr.json":
            right = True  # the root vouches for itself, and whoever reads it compares its digest
        elif (image_id := _image_of(inner)) in self.manifest.images:
            right = checksum(data) == self._expected(image_id, inner[len(image_id) + 1 :])
        else:
            right = data == metadata.group()
        if not right:
            raise CorruptStoreError(f"{self.describe(path)} must have the checksum of its release, got another. {_AGAIN}")
        self._checked.add(path)

    def _expected(self, image_id: str, file: str) -> str | None:
        if file == "zarr.json":
            return self.manifest.images[image_id].checksum
        if image_id not in self._files:
            self._files[image_id] = read_record(self, f"{_IMAGES}/{image_id}").files
        return self._files[image_id].get(file)

    def _missing(self, path: str) -> Exception:
        if _image_of(path.removeprefix(f"{_IMAGES}/")) in self.manifest.images and path.endswith("zarr.json"):
            return CorruptStoreError(f"{self.describe(path)} must exist, got no such file. {_AGAIN}")
        return FileNotFoundError(self.describe(path))

    def _refuse(self) -> NoReturn:
        raise OutputError(
            f"output must be a folder or a URL of one, got the release {self.folder.describe('')}, which can only be read. "
            "Choose another place with -o."
        )


class _PackFile:
    """A pack in the folder of its release, as the target that a zip archive is read from: its path ``""`` is the file."""

    renames = False

    def __init__(self, folder: Target, name: str) -> None:
        self.folder, self.name = folder, name
        self.url = f"{folder.url}/{name}"

    def describe(self, path: str) -> str:
        return self.folder.describe(self.name)

    def open(self, path: str) -> RangeSource:
        return self.folder.open(self.name)

    def read(self, path: str) -> bytes:
        return self.folder.read(self.name)

    def size(self, path: str) -> int | None:
        return self.folder.size(self.name)

    def exists(self, path: str) -> bool:
        return self.folder.exists(self.name)

    def list(self, path: str) -> list[str]:
        return []

    def write(self, path: str, data: bytes, *, atomic: bool = True) -> NoReturn:
        raise OutputError(f"{self.describe('')} must not be written, got a write. It belongs to a release.")

    def remove(self, path: str) -> NoReturn:
        raise OutputError(f"{self.describe('')} must not be removed, got a removal. It belongs to a release.")

    def rename(self, source: str, destination: str) -> NoReturn:
        raise OutputError(f"{self.describe('')} must not be moved, got a move. It belongs to a release.")


def _image_of(inner: str) -> str:
    """Return the id of the image that a path below ``images.zarr`` belongs to, if it belongs to one."""
    return "/".join(inner.split("/", 3)[:3])
