"""What a manifest from elsewhere may name: plain files below one folder, the same ones on every system."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from miso_gen.errors import CorruptStoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.store.manifest import FileEntry

LONGEST_PATH: Final = 1000  #: bytes
LONGEST_NAME: Final = 200  #: bytes of a file or folder, which leaves room for endings of unfinished files
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FORBIDDEN = frozenset('\\:*?"<>|')
_DEVICES = frozenset({"con", "prn", "aux", "nul", "clock$", "conin$", "conout$"}) | {
    f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"
}
_OURS = frozenset({"manifest.json", "publication.json", "build.lock"})  # what fetching and building write themselves


def check_files(files: Mapping[str, FileEntry], name: str) -> None:
    """Refuse files that could end up outside of their folder, over each other, or nowhere.

    Args:
        files: By path. Nothing about them is taken for granted, not even their types.
        name: What to call the manifest in messages.

    Raises:
        CorruptStoreError: A path is absolute, has ``..``, a hidden name, a backslash, a drive letter, the name of a device or
            a character that no name may have somewhere, is too long, equals another but for case, or is a folder and a
            file; or a size or sha256 is none.
    """
    spelled: dict[str, str] = {}  # every file and every folder, by what systems without case make of it
    folders: set[str] = set()
    for path, entry in files.items():
        fault = path_fault(path) or _entry_fault(entry)
        if not fault:
            parts = path.split("/")
            for count in range(1, len(parts) + 1):
                place = "/".join(parts[:count])
                key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", place).casefold())
                if spelled.setdefault(key, place) != place:
                    fault = f"equal to {spelled[key]!r} where case does not count"
                if count < len(parts):
                    folders.add(place)
        if fault:
            raise _refused(name, path, fault)
    for path in files:
        if path in folders:
            raise _refused(name, path, "a file and a folder")


def path_fault(path: str) -> str:
    """Return what is wrong with a path; nothing if it is plain."""
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        return "no text"
    if length > LONGEST_PATH:
        return "too long"
    if not path.isprintable() or _FORBIDDEN & set(path):
        return "with a character that no name may have"
    for part in path.split("/"):
        if not part:
            return "absolute, or with an empty name"
        if part.startswith("."):
            return "with a hidden name"
        if part[-1] in ". " or part[0] == " ":
            return "with a name that begins or ends with a space or dot"
        if len(part.encode()) > LONGEST_NAME:
            return "too long"
        if part.partition(".")[0].rstrip(" ").casefold() in _DEVICES:
            return "with the name of a device"
        if ".tmp-" in part.casefold() or re.search(r"\.part(-|$)", part.casefold()):
            return "with the name of an unfinished file"
    return "reserved" if path.casefold() in _OURS else ""


def is_entry(size: object, sha256: object) -> bool:
    """Whether these are the size and sha256 of a file."""
    plain = isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 62
    return plain and isinstance(sha256, str) and _SHA256.fullmatch(sha256) is not None


def _entry_fault(entry: FileEntry) -> str:
    return "" if is_entry(entry.size, entry.sha256) else "without a size and a sha256"


def _refused(name: str, path: str, fault: str) -> CorruptStoreError:
    text = repr(path) if len(path) <= 80 else repr(path[:80]) + "..."
    return CorruptStoreError(
        f"files of {name} must be plain paths below its folder, got {text}, {fault}. Do not use this release."
    )
