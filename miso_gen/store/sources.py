"""Where the files of a release come from: a web server, a Zenodo record, the Hugging Face Hub, a folder or an object store."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from miso_gen.errors import InputError, OutputError
from miso_gen.store.streams import ClosedError, ReleaseSource, Stream, TransferError, origin, reason_of, shown
from miso_gen.store.target import open_target
from miso_gen.store.web import HUB, HubSource, WebSource, ZenodoSource, endpoint
from miso_gen.store.zip import is_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from miso_gen.store.target import Target

ZENODO: Final = "https://zenodo.org"
_RECORD = re.compile(r"(https?://[^?#]+?)/(?:api/)?records?/(\d+|[a-z0-9]{5}-[a-z0-9]{5})(?:/files)?/?(?:\?[^#]*)?(?:#.*)?")
_REPOSITORY = re.compile(r"(/datasets/[\w.-]+/[\w.-]+)(?:/(?:resolve|tree)/([^/]+))?/?", re.ASCII)


def open_source(
    source: str | os.PathLike[str], version: str | None = None, options: Mapping[str, Any] | None = None
) -> ReleaseSource:
    """Return the source of an address; nothing is asked for yet.

    Args:
        source: Path or URL of a folder (or zip archive) with ``manifest.json``; ``zenodo:<record>`` or the URL of a record;
            ``hf:<org>/<name>`` or the URL of a data set on the Hub.
        version: What the Hub calls the version; needed there alone.
        options: For http(s): ``{"headers": {...}}``; for other URLs, passed to the fsspec file system.

    Raises:
        InputError: No such address, options that it has no use for, or a data set on the Hub without version.
        MissingExtraError: The package for this kind of URL is not installed.
    """
    text = os.fspath(source)
    if text.startswith("zenodo:"):
        record = text.removeprefix("zenodo:")
        if not re.fullmatch(r"[0-9]+", record):
            raise InputError(
                f"source must be zenodo:<number of the record>, got {text!r}. It is the last part of the record's URL."
            )
        return ZenodoSource(f"{ZENODO}/api/records/{record}/files", options)
    if text.startswith("hf:"):
        repository = re.fullmatch(r"[\w.-]+/[\w.-]+", text.removeprefix("hf:"), re.ASCII)
        if not repository:
            raise InputError(f"source must be hf:<org>/<name>, got {text!r}.")
        return _hub(f"{endpoint()}/datasets/{repository.group()}", version, options)
    if not text.startswith(("http://", "https://")) or is_archive(text):
        try:
            return TargetSource(open_target(source, options))
        except OutputError:
            raise InputError(f"source must be a path, a URL, zenodo:<record> or hf:<org>/<name>, got {shown(text)!r}.") from None
    folder = WebSource(text, options)  # refuses what is no URL
    if match := _RECORD.fullmatch(text):
        query = urlsplit(text).query
        return ZenodoSource(f"{match[1]}/api/records/{match[2]}/files" + (f"?{query}" if query else ""), options)
    parts = urlsplit(text)
    page = _REPOSITORY.fullmatch(parts.path)
    if page and origin(text) in (origin(HUB), origin(endpoint())):
        return _hub(f"{endpoint()}{page[1]}", page[2] or version, options)
    return folder


class TargetSource:
    """A folder on this machine or a prefix of an object store.

    Args:
        target: The place.
    """

    def __init__(self, target: Target) -> None:
        self.target = target

    def __repr__(self) -> str:
        return f"TargetSource({self.describe('')!r})"

    def describe(self, path: str) -> str:
        """See :class:`ReleaseSource`."""
        return shown(self.target.describe(path))

    def open(self, path: str, start: int, tag: str | None) -> Stream:
        """See :class:`ReleaseSource`; there are no tags here, so that one given is of another file."""
        file = self._ask(path, lambda: self.target.open(path))
        place = start if tag is None and start <= file.size else 0
        position = place

        def read(length: int) -> bytes:
            nonlocal position
            data = self._ask(path, lambda: file.read(position, length))
            position += len(data)
            return data

        return Stream(read, file.close, place, file.size)

    def _ask(self, path: str, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(self.describe(path)) from None
        except (PermissionError, IsADirectoryError) as error:
            got = error.strerror or type(error).__name__
            raise ClosedError(f"{self.describe(path)} must be a file that can be read, got {got!r}. Check it.") from error
        except OSError as error:
            raise TransferError(reason_of(error)) from error


def _hub(repository: str, revision: str | None, options: Mapping[str, Any] | None) -> HubSource:
    if revision is None:
        raise InputError(f"version must be given for {repository}, got a name alone. Give NAME@VERSION.")
    return HubSource(f"{repository}/resolve/{quote(revision, safe='%')}", options)
