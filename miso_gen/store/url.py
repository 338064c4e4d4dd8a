"""A store under a URL, through fsspec: in an object store, or on a web server that hands out files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

from miso_gen.errors import MisoGenError, MissingExtraError, OutputError, StoreError
from miso_gen.store.target import write_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from miso_gen.store.target import RangeSource


_EXTRAS = {  # package and extra of a protocol
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
    "http": ("aiohttp", "http"),
    "https": ("aiohttp", "http"),
}
_GONE = (404, 410)  # answers of a web server that has no such file


class UrlTarget:
    """A prefix of an object store, through fsspec."""

    renames = False

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.url = url.rstrip("/") if not url.endswith("://") else url
        self.options = dict(options or {})
        self._fs: Any = None
        self._pid = -1
        self._root = ""
        self._connect()

    def __repr__(self) -> str:
        return f"UrlTarget({self.url!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "options": self.options, "_fs": None, "_pid": -1, "_root": ""}

    def _connect(self) -> Any:
        if self._pid == os.getpid():
            return self._fs
        import fsspec  # type: ignore[import-untyped, unused-ignore]

        protocol = self.url.split("://", 1)[0]
        try:
            # A cached listing would hide what another process wrote.
            fs, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False, **self.options)
        except ImportError as error:
            if protocol in _EXTRAS:
                package, extra = _EXTRAS[protocol]
                raise MissingExtraError(package, extra, self.url) from error
            raise StoreError(
                f"{self.url} must be of a kind that fsspec can use here, got {error}. Install what it asks for."
            ) from error
        except ValueError as error:
            raise OutputError(f"output must be a path or a URL that fsspec knows, got {self.url!r}. {error}.") from error
        except Exception as error:  # some file systems ask their server at once
            raise self._unreachable(error) from error
        self._fs, self._root, self._pid = fs, root.rstrip("/"), os.getpid()
        return fs

    def _ask(self, what: Callable[[Any], Any]) -> Any:
        """Return what the file system answers; what its client library raises of its own becomes a StoreError."""
        try:
            return what(self._connect())
        except (OSError, MisoGenError):
            raise
        except Exception as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> StoreError:
        return StoreError(
            f"{self.url} must be reachable, got {type(error).__name__}: {error}. "
            "Check its address, the network and your credentials."
        )

    def _name(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def describe(self, path: str) -> str:
        """Return the full URL of a file."""
        return f"{self.url}/{path}" if path else self.url

    def read(self, path: str) -> bytes:
        """Return the bytes of an object."""
        data: bytes = self._ask(lambda fs: fs.cat_file(self._name(path)))
        return data

    def open(self, path: str) -> RangeSource:
        """Open an object for reading pieces of it."""
        size = self.size(path)
        if size is None:
            raise FileNotFoundError(self.describe(path))
        return _UrlFile(self, path, size)

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Return a piece of an object."""
        data: bytes = self._ask(lambda fs: fs.cat_file(self._name(path), start=start, end=start + length))
        return data

    def write(self, path: str, data: bytes, *, atomic: bool = True) -> None:
        """Write an object, whole or not at all."""
        with write_errors(self.describe(path)):
            try:
                self._ask(lambda fs: fs.pipe_file(self._name(path), bytes(data)))
            except FileNotFoundError as error:
                raise OutputError(f"{self.url} must be in a bucket that exists, got {error}. Create the bucket.") from error

    def exists(self, path: str) -> bool:
        """Whether there is an object or a prefix of objects."""
        self._connect().invalidate_cache()
        return bool(self._ask(lambda fs: fs.exists(self._name(path))))

    def size(self, path: str) -> int | None:
        """Return the bytes of an object, None where there is none."""
        self._connect().invalidate_cache()
        try:
            info = self._ask(lambda fs: fs.info(self._name(path)))
        except FileNotFoundError:
            return None
        return int(info["size"]) if info["type"] == "file" else None

    def list(self, path: str) -> list[str]:
        """Return the sorted names directly below a prefix; none where there are none."""
        self._connect().invalidate_cache()
        try:
            entries = self._ask(lambda fs: fs.ls(self._name(path), detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted({str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in entries} - {""})

    def remove(self, path: str) -> None:
        """Remove an object or all below a prefix."""
        with write_errors(self.describe(path)):
            if self.exists(path):
                self._ask(lambda fs: fs.rm(self._name(path), recursive=True))

    def rename(self, source: str, destination: str) -> None:
        """Object stores can't."""
        raise NotImplementedError(f"{self.url} has no rename: {source} -> {destination}")


class WebTarget(UrlTarget):
    """A folder of files on a web server, or one file: read by name and by range of bytes, never listed, never written.

    Args:
        url: ``https://...`` or ``http://...``.
        options: Passed to fsspec's HTTP file system, for example ``{"headers": {"Authorization": ...}}``.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        given = dict(options or {})
        # A server that compresses on the way counts other bytes than the file has.
        headers = {"Accept-Encoding": "identity", **(given.get("headers") or {})}
        super().__init__(url, {**given, "headers": headers})

    def __repr__(self) -> str:
        return f"WebTarget({self.url!r})"

    def _ask(self, what: Callable[[Any], Any]) -> Any:
        try:
            return super()._ask(what)
        except FileNotFoundError:
            raise
        except OSError as error:  # no connection, no answer in time
            raise self._unreachable(error) from error

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Return a piece of a file."""
        data = super().read_range(path, start, length)
        if len(data) > length:
            raise StoreError(
                f"server of {self.url} must answer requests for ranges of bytes, got {len(data)} bytes for {length}. "
                "Fetch the store first, or put it on another server."
            )
        return data

    def exists(self, path: str) -> bool:
        """Whether there is a file; of folders a web server says nothing."""
        return self.size(path) is not None if path else False

    def size(self, path: str) -> int | None:
        """Return the bytes of a file, None where there is none."""
        try:
            info = self._ask(lambda fs: fs.info(self._name(path)))
        except FileNotFoundError as error:
            # fsspec says so of every answer but the file.
            cause = error.__cause__
            if cause is None or getattr(cause, "status", None) in _GONE:
                return None
            raise self._unreachable(cause) from error
        if info["size"] is None:
            raise StoreError(
                f"server of {self.describe(path)} must say how long the file is, got no Content-Length. "
                "Fetch the store first, or put it on another server."
            )
        return int(info["size"])

    def list(self, path: str) -> NoReturn:
        """Web servers list no files."""
        raise StoreError(
            f"{self.describe(path)} must be in a place that lists its files, got a web server, which does not. "
            "Use a folder or an object store; a complete store can be opened and read."
        )

    def write(self, path: str, data: bytes, *, atomic: bool = True) -> NoReturn:
        """Web servers are not written to."""
        self._refuse()

    def remove(self, path: str) -> NoReturn:
        """Web servers are not written to."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise OutputError(
            f"output must be a folder or an object store, got {self.url} on a web server, which can only be read. "
            "Choose another place."
        )


class _UrlFile:
    def __init__(self, target: UrlTarget, path: str, size: int) -> None:
        self._target, self._path, self.size = target, path, size

    def read(self, start: int, length: int) -> bytes:
        length = min(length, self.size - start)  # some servers refuse a range that begins at the end
        return self._target.read_range(self._path, start, length) if length > 0 else b""

    def close(self) -> None:
        """Nothing is held."""
