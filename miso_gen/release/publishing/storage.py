"""Object storage, through fsspec: files below ``<prefix>/<name>/<version>/``, and ``manifest.json`` last.

The manifest makes the release: without it nothing counts. On S3 every request carries the SHA-256 of what it sends, which the
service compares, and the manifest is written only where there is none. Elsewhere files are read back and compared.
"""

from __future__ import annotations

import errno
import hashlib
from base64 import b64decode, b64encode
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from miso_gen.errors import InputError, MisoGenError, MissingExtraError, WorkError, listing
from miso_gen.release.facts import Publication
from miso_gen.release.publishing.folder import BLOCK
from miso_gen.release.publishing.interfaces import Call, Reservation
from miso_gen.release.publishing.retrying import Interrupted, persist
from miso_gen.store.manifest import MANIFEST
from miso_gen.store.target import attempt_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from miso_gen.release.publishing.interfaces import Release, Upload, Watcher

T = TypeVar("T")

PART: Final = 1 << 26  #: bytes that are sent to S3 in one request, at most, and held in memory
PARTS: Final = 10_000  #: of an object, at most
OBJECT_SIZE: Final = 5 << 40  #: bytes of an object of S3, at most
_S3 = ("s3", "s3a")
_EXTRAS = {"s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3"), "gs": ("gcsfs", "gcs"), "gcs": ("gcsfs", "gcs")}
_EXTRAS |= {"az": ("adlfs", "azure"), "abfs": ("adlfs", "azure")}
_READ_ONLY = ("http", "https")


def check_place(url: str) -> str:
    """Return the address of a place in object storage, without a slash at its end.

    Raises:
        InputError: It can't be written to, or has a password in it, which would stand in ``publication.json``.
    """
    protocol, _, rest = url.partition("://")
    if protocol in _READ_ONLY:
        raise InputError(
            "target must be a place that can be written to, got a web server. Use a place such as s3://bucket/prefix."
        )
    user, at, _ = rest.partition("/")[0].partition("@")
    if at and ":" in user:
        raise InputError("target must be an address without a password, got one with it. Keep it where the service looks.")
    if not rest.strip("/"):
        raise InputError(f"target must name a bucket, got {url!r}. Write {protocol}://bucket/prefix.")
    return url.rstrip("/")


class Store(Protocol):
    """One kind of storage. Names are whole addresses. Missing files raise FileNotFoundError."""

    def stored(self, name: str) -> tuple[int, str]:
        """Return the size and sha256 of a file."""

    def put(self, name: str, upload: Upload) -> None:
        """Store a file, whole or not at all; one that is there is replaced."""

    def create(self, name: str, upload: Upload) -> None:
        """Store a small file. Raises FileExistsError where there is one."""


class ObjectStorage:
    """Publishes a release to a prefix; see :class:`~miso_gen.release.publishing.interfaces.Publisher`.

    Args:
        release: The release.
        place: Such as ``s3://bucket/prefix``.
        options: Of the fsspec file system.
        sleep: Waits for seconds between tries. Clients of storage services have waits of their own within a try.
        watcher: Hears of the progress.
    """

    target = "s3"
    digests: tuple[str, ...] = ()

    def __init__(
        self,
        release: Release,
        place: str,
        options: Mapping[str, Any],
        sleep: Callable[[float], object],
        watcher: Watcher,
    ) -> None:
        self.url = f"{check_place(place)}/{release.name}/{release.version}"
        self._release, self._options, self._sleep, self._watcher = release, dict(options), sleep, watcher
        self._published = False
        self._manifest: Upload | None = None

    @property
    def _protocol(self) -> str:
        return self.url.partition("://")[0]

    @cached_property
    def _store(self) -> Store:
        import fsspec  # type: ignore[import-untyped, unused-ignore]

        try:
            fs, _ = fsspec.core.url_to_fs(self.url, use_listings_cache=False, **self._options)
        except ImportError as error:
            if self._protocol in _EXTRAS:
                package, extra = _EXTRAS[self._protocol]
                raise MissingExtraError(package, extra, f"publishing to {self._protocol}://") from None
            raise InputError(
                f"target must be of a kind that fsspec can use here, got {self._protocol}://: {error}. Install what it asks for."
            ) from None
        except OSError as error:  # a library of the system that is not there
            got = str(error).partition("\n")[0]
            raise InputError(f"target must be of a kind that fsspec can use here, got {self._protocol}://: {got}.") from None
        except ValueError:
            raise InputError(f"target must be an address that fsspec knows, got {self.url!r}. Correct it.") from None
        return S3(fs) if self._protocol in _S3 else Plain(fs)

    def _name(self, path: str) -> str:
        return f"{self.url}/{path}"

    def check(self, sizes: Mapping[str, int]) -> None:
        """Refuse files of more than 5 TiB on S3."""
        path = max(sizes, key=lambda path: sizes[path])
        if self._protocol in _S3 and sizes[path] > OBJECT_SIZE:
            raise InputError(f"{path} must have at most {OBJECT_SIZE} bytes for S3, got {sizes[path]}. Make smaller packs.")

    def check_new(self, earlier: tuple[Publication, ...]) -> None:
        """Refuse nothing yet: a version that is there is compared."""

    def expected(self) -> Publication:
        """Return the publication."""
        return Publication(self.target, self.url, self.url)

    def plan(self, sizes: Mapping[str, int | None]) -> tuple[Call, ...]:
        """Return the calls."""
        paths = sorted(path for path in sizes if path != MANIFEST)
        look = "HEAD" if self._protocol in _S3 else "GET"
        calls = [Call(look, self._name(MANIFEST))]
        for path in paths:
            calls += [Call(look, self._name(path)), *self._sends(path, sizes[path] or 0)]
        calls += [Call(look, self._name(path)) for path in paths]
        return (*calls, Call("PUT", self._name(MANIFEST), sizes[MANIFEST]))

    def _sends(self, path: str, size: int) -> list[Call]:
        name = self._name(path)
        if self._protocol not in _S3 or size <= PART:
            return [Call("PUT", name, size)]
        part = part_size(size)
        sent = [Call("PUT", f"{name}?partNumber={k + 1}", min(part, size - k * part)) for k in range(-(-size // part))]
        return [Call("POST", f"{name}?uploads"), *sent, Call("POST", f"{name}?uploadId={{id}}")]

    def reserve(self, earlier: tuple[Publication, ...]) -> Reservation:
        """Look whether the release is there."""
        self._published = self._ask(self._has_manifest, self._name(MANIFEST))
        return Reservation(self.expected(), self._published)

    def _has_manifest(self) -> bool:
        try:
            self._store.stored(self._name(MANIFEST))
        except FileNotFoundError:
            return False
        return True

    def push(self, uploads: Sequence[Upload], publications: tuple[Publication, ...]) -> None:
        """Send what is not there, or is there otherwise; all but the manifest."""
        for upload in sorted(uploads, key=lambda upload: upload.path):
            if upload.path == MANIFEST:
                continue
            name = self._name(upload.path)
            kept = self._is_there(upload)
            if not kept:
                self._send(name, upload)
            self._watcher.sent(upload.path, upload.size, kept=kept)

    def _send(self, name: str, upload: Upload) -> None:
        def send() -> None:
            try:
                self._store.put(name, upload)
            except FileNotFoundError:
                raise self._no_bucket() from None

        def attempt(number: int) -> None:
            # The file may have arrived, and the answer been lost.
            if not (number and self._once(lambda: self._same(upload))):
                self._once(send)

        persist(attempt, self._sleep, name)

    def _is_there(self, upload: Upload) -> bool:
        return self._ask(lambda: self._same(upload), self._name(upload.path))

    def _same(self, upload: Upload) -> bool:
        try:
            return self._store.stored(self._name(upload.path)) == (upload.size, upload.sha256)
        except FileNotFoundError:
            return False

    def verify(self, uploads: Sequence[Upload]) -> None:
        """Compare size and sha256 of all files, but the manifest of a release that is not published."""
        self._manifest = next(upload for upload in uploads if upload.path == MANIFEST)
        seen = [upload for upload in uploads if self._published or upload.path != MANIFEST]
        other = [upload.path for upload in sorted(seen, key=lambda upload: upload.path) if not self._is_there(upload)]
        if other and self._published:
            raise self._taken(f", with other files ({listing(other, 3)})")
        if other:
            raise WorkError(
                f"files at {self.url} must be those of the release, got others: {listing(other, 3)}. "
                "Publish again: they are replaced. Nothing was published."
            )

    def publish(self) -> None:
        """Write the manifest, if there is none."""
        manifest = self._manifest
        assert manifest is not None  # verify comes before

        def attempt(number: int) -> None:
            try:
                self._once(lambda: self._store.create(self._name(MANIFEST), manifest))
            except FileExistsError:
                # Another attempt was faster, or this one was, and its answer was lost.
                if not self._once(lambda: self._same(manifest)):
                    raise self._taken(", with another manifest") from None

        persist(attempt, self._sleep, self._name(MANIFEST))

    def finish(self) -> None:
        """Nothing is remembered: all that matters is in the store."""

    def close(self) -> None:
        """The connection is that of fsspec, which keeps it."""

    def _taken(self, how: str) -> InputError:
        return InputError(
            f"version {self._release.version} of {self._release.name} must be new, got one that is published already, "
            f"{self.url}{how}. Published files are never replaced: raise the version."
        )

    def _no_bucket(self) -> InputError:
        return InputError(f"{self.url} must be in a bucket that exists, got none. Create the bucket.")

    def _ask(self, action: Callable[[], T], what: str) -> T:
        return persist(lambda _: self._once(action), self._sleep, what)

    def _once(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except (MisoGenError, Interrupted, FileExistsError):
            raise
        except Exception as error:
            # Each client raises errors of its own; their texts may have signed addresses, so only the kind is told.
            kind = type(error).__name__
            denied = isinstance(error, PermissionError) or "Credentials" in kind
        if denied:
            raise InputError(
                f"{self.url} must be a place that your credentials may read, write and list, got {kind}. "
                "Give them where its own tools look, for S3 in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or in ~/.aws."
            )
        raise Interrupted(kind)


class S3:
    """S3, with the checksum of everything that is sent.

    Args:
        fs: An ``s3fs.S3FileSystem``.
    """

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def _place(self, name: str) -> dict[str, str]:
        bucket, key, _ = self._fs.split_path(name)
        return {"Bucket": bucket, "Key": key}

    def stored(self, name: str) -> tuple[int, str]:
        """Return size and sha256: by the checksum of the service, else as noted when it was sent, else by reading."""
        answer = self._fs.call_s3("head_object", **self._place(name), ChecksumMode="ENABLED")
        checksum = answer.get("ChecksumSHA256") or ""
        noted = (answer.get("Metadata") or {}).get("sha256")
        if checksum and "-" not in checksum + answer["ETag"]:  # of an object in parts it is over their checksums
            noted = b64decode(checksum).hex()
        return int(answer["ContentLength"]), noted or _read_back(self._fs, name)

    def put(self, name: str, upload: Upload) -> None:
        """Store an object, in parts where it is large."""
        if upload.size > PART:
            self._put_parts(name, upload)
            return
        with upload.open() as file:
            data = file.read(PART + 1)
        self._fs.call_s3("put_object", **self._place(name), **self._whole(upload, data))

    def create(self, name: str, upload: Upload) -> None:
        """Store an object where there is none."""
        with upload.open() as file:
            whole = self._whole(upload, file.read())
        try:
            self._fs.call_s3("put_object", **self._place(name), **whole, IfNoneMatch="*")
            return
        except FileExistsError:
            raise
        except OSError as error:
            if "PreconditionFailed" in str(error) or "pre-conditions" in str(error):
                raise FileExistsError(name) from None
            if error.errno != errno.ENOSYS:
                raise
        # The service does not know the condition: look first.
        if self._fs.exists(name):
            raise FileExistsError(name)
        self.put(name, upload)

    def _whole(self, upload: Upload, data: bytes) -> dict[str, Any]:
        # The digest is that of the release, not of the data: a file that was changed meanwhile is refused by the service.
        checksum = b64encode(bytes.fromhex(upload.sha256)).decode()
        return {"Body": data, "ChecksumSHA256": checksum, "Metadata": {"sha256": upload.sha256}}

    def _put_parts(self, name: str, upload: Upload) -> None:
        place = self._place(name)
        begun = self._fs.call_s3(
            "create_multipart_upload", **place, ChecksumAlgorithm="SHA256", Metadata={"sha256": upload.sha256}
        )
        number = {"UploadId": begun["UploadId"]}
        parts: list[dict[str, Any]] = []
        whole = hashlib.sha256()
        try:
            with upload.open() as file:
                while data := file.read(part_size(upload.size)):
                    whole.update(data)
                    sums = {"PartNumber": len(parts) + 1, "ChecksumSHA256": b64encode(hashlib.sha256(data).digest()).decode()}
                    answer = self._fs.call_s3("upload_part", **place, **number, **sums, Body=data)
                    parts.append({**sums, "ETag": answer["ETag"]})
            if whole.hexdigest() != upload.sha256:
                raise WorkError(f"{upload.path} must stay as it is while it is published, got changed. Publish again.")
            self._fs.call_s3("complete_multipart_upload", **place, **number, MultipartUpload={"Parts": parts})
        except BaseException:
            with suppress(Exception):  # the first error counts; a lifecycle rule of the bucket removes the parts
                self._fs.call_s3("abort_multipart_upload", **place, **number)
            raise


class Plain:
    """Any other file system of fsspec: what is there is read back and compared.

    Args:
        fs: The file system.
    """

    def __init__(self, fs: Any) -> None:
        self._fs = fs
        names = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
        self._local = "file" in names

    def stored(self, name: str) -> tuple[int, str]:
        """Return size and sha256 of a file, by reading it."""
        info = self._fs.info(name)
        if info["type"] != "file":
            raise FileNotFoundError(name)
        return int(info["size"]), _read_back(self._fs, name)

    def put(self, name: str, upload: Upload) -> None:
        """Store a file; on a disk under another name first."""
        self._fs.makedirs(name.rpartition("/")[0], exist_ok=True)
        begun = f"{name}.tmp-{attempt_id()}" if self._local else name
        if isinstance(upload.content, Path):
            self._fs.put_file(str(upload.content), begun)
        else:
            self._fs.pipe_file(begun, upload.content)
        if self._local:
            self._fs.mv(begun, name)

    def create(self, name: str, upload: Upload) -> None:
        """Store a file where there is none, as far as such a service can tell."""
        if self._fs.exists(name):
            raise FileExistsError(name)
        self.put(name, upload)


def part_size(size: int) -> int:
    """Return the bytes of a part, such that an object has at most 10 000."""
    return max(PART, -(-size // PARTS))


def _read_back(fs: Any, name: str) -> str:
    digest = hashlib.sha256()
    with fs.open(name, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
