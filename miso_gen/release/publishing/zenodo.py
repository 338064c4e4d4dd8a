"""Zenodo, or another InvenioRDM server: a draft with a DOI, its files, then a record that stays.

The DOI is reserved before any file is sent, so that it can stand in the files. The draft is remembered in
``publishing.json``, so that another attempt goes on with it. Its files have no folders: ``imports/a.npz`` is called
``imports--a.npz``. Zenodo compares by MD5; sha256 of every file is in ``manifest.json`` and ``publication.json``.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from miso_gen.errors import InputError, WorkError, listing
from miso_gen.release.facts import Publication
from miso_gen.release.publishing.interfaces import Call, Reservation
from miso_gen.release.publishing.records_api import RecordsApi, Refused, check_base_url
from miso_gen.release.publishing.retrying import Interrupted, persist
from miso_gen.release.publishing.state import read_state, remove_state, write_state
from miso_gen.release.publishing.tokens import find_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from miso_gen.release.publication import PublicationRecord
    from miso_gen.release.publishing.interfaces import Release, Upload, Watcher

    #: Metadata of a record in InvenioRDM's form, of where the release is published.
    Deposit = Callable[[tuple[Publication, ...]], Mapping[str, Any]]

ZENODO: Final = "https://zenodo.org"
SANDBOX: Final = "https://sandbox.zenodo.org"
VARIABLE: Final = "ZENODO_TOKEN"
FILES: Final = 100  #: of a record, at most
SIZE: Final = 50_000_000_000  #: bytes of a record, at most
_SCOPES = "deposit:write and deposit:actions"
_ACCESS = {"access": {"record": "public", "files": "public"}, "files": {"enabled": True}}
_MISSING = (404, 410)
_COMMITS = 2  # a server that fails this often in committing a file has not got its bytes


def key_of(path: str) -> str:
    """Return what a file is called on Zenodo, which knows no folders."""
    return path.replace("/", "--")


class Zenodo:
    """Publishes a release as a record; see :class:`~miso_gen.release.publishing.interfaces.Publisher`.

    Args:
        release: The release.
        deposit: Makes the metadata of the record.
        base_url: Address of the server.
        previous: Where the version before was published; if that was here, the release becomes a new version of it.
        sleep: Waits for seconds between tries.
        watcher: Hears of the progress.
    """

    target = "zenodo"
    digests: tuple[str, ...] = ("md5",)

    def __init__(
        self,
        release: Release,
        deposit: Deposit,
        base_url: str,
        previous: PublicationRecord | None,
        sleep: Callable[[float], object],
        watcher: Watcher,
    ) -> None:
        self.base = check_base_url(base_url)
        self._release, self._deposit, self._sleep, self._watcher = release, deposit, sleep, watcher
        self._previous = self._record_of(previous)
        self._id = ""
        self._published = False
        self._pids: Any = {}

    @cached_property
    def _api(self) -> RecordsApi:
        return RecordsApi(self.base, find_token(VARIABLE, self.base), _SCOPES, self._sleep)

    def _record_of(self, previous: PublicationRecord | None) -> str | None:
        head, tail = f"{self.base}/api/records/", "/files"
        for publication in previous.publications if previous else ():
            if publication.target == self.target and publication.files.startswith(head) and publication.files.endswith(tail):
                return publication.files[len(head) : -len(tail)]
        return None

    def check(self, sizes: Mapping[str, int]) -> None:
        """Refuse more than 100 files, more than 50 GB, and two paths with one name."""
        if len(sizes) > FILES:
            raise InputError(f"release must have at most {FILES} files for Zenodo, got {len(sizes)}. Make larger packs.")
        total = sum(sizes.values())
        if total > SIZE:
            raise InputError(
                f"release must have at most {SIZE} bytes for Zenodo, got {total}. Split it, or ask Zenodo for a larger quota."
            )
        twice = [key for key, count in Counter(map(key_of, sizes)).items() if count > 1]
        if twice:
            raise InputError(
                f"files must have names of their own on Zenodo, which has no folders, got two called {listing(twice, 3)}. "
                "Rename one."
            )

    def check_new(self, earlier: tuple[Publication, ...]) -> None:
        """Refuse a release that has a record here, unless an attempt is to be finished."""
        if read_state(self._release.folder, self.target, self.base):
            return
        for publication in earlier:
            if publication.target == self.target and publication.files.startswith(f"{self.base}/"):
                raise self._taken(publication.url)

    def expected(self) -> None:
        """Return None: the DOI is given by the server."""

    def plan(self, sizes: Mapping[str, int | None]) -> tuple[Call, ...]:
        """Return the calls of a first attempt, or those that go on with the draft of an earlier one."""
        known = read_state(self._release.folder, self.target, self.base)
        new, before = known or "{id}", self._previous
        record, draft = f"{self.base}/api/records/{new}", f"{self.base}/api/records/{new}/draft"
        maybe = "unless it is there" if known else ""
        calls = []
        if known:
            calls.append(Call("GET", draft))
        elif before:
            calls += [Call("GET", f"{self.base}/api/records/{before}/versions")]
            calls += [Call("POST", f"{self.base}/api/records/{before}/versions")]
        else:
            calls.append(Call("POST", f"{self.base}/api/records"))
        calls += [Call("POST", f"{draft}/pids/doi", when=maybe), Call("PUT", draft), Call("GET", f"{draft}/files")]
        if before:
            equal = "if a file is as in the version before"
            calls.append(Call("GET", f"{self.base}/api/records/{before}/files", when=maybe))
            calls += [Call("POST", f"{draft}/actions/files-import", when=equal), Call("GET", f"{draft}/files", when=equal)]
            maybe = "unless it is as in the version before"
        if maybe:
            calls.append(Call("DELETE", f"{draft}/files/{{key}}", when="for each file that is there and is another"))
        calls.append(Call("POST", f"{draft}/files", when=maybe))
        for path in _in_order(sizes):
            file = f"{draft}/files/{quote(key_of(path), safe='')}"
            calls += [Call("PUT", f"{file}/content", sizes[path], maybe), Call("POST", f"{file}/commit", when=maybe)]
        return (*calls, Call("GET", f"{draft}/files"), Call("POST", f"{record}/draft/actions/publish"))

    def reserve(self, earlier: tuple[Publication, ...]) -> Reservation:
        """Make a draft, or find that of an earlier attempt, and reserve its DOI."""
        known = read_state(self._release.folder, self.target, self.base)
        record = self._find(known) if known else None
        if record is None:
            record = self._create(earlier)
            write_state(self._release.folder, self.target, self.base, self._id)
        self._pids = record.get("pids") or {}
        if not (self._published or self._pids.get("doi")):
            self._pids = self._reserve_doi().get("pids") or {}
        doi = (self._pids.get("doi") or {}).get("identifier")
        if not doi:
            raise InputError(f"{self.base} must give a DOI to record {self._id}, got none. Publish to a server that gives DOIs.")
        page = f"{self.base}/records/{self._id}"
        return Reservation(Publication(self.target, page, f"{self.base}/api/records/{self._id}/files", doi), self._published)

    def _find(self, number: str) -> Any:
        """Return a draft, or the record that it became; None where there is neither."""
        self._id = number
        draft = self._get(f"/api/records/{number}/draft")
        if draft is not None and not draft.get("is_published"):
            return draft
        record = self._get(f"/api/records/{number}")
        self._published = record is not None
        return record

    def _get(self, path: str) -> Any:
        try:
            return self._api.call("GET", path)
        except Refused as refused:
            if refused.status in _MISSING:
                return None
            raise self._api.refusal("a look at the record", refused) from None

    def _create(self, earlier: tuple[Publication, ...]) -> Any:
        before = self._previous
        if before:
            found = self._get(f"/api/records/{before}/versions") or {}
            hits = (found.get("hits") or {}).get("hits") or []
            for hit in hits:
                if (hit.get("metadata") or {}).get("version") == self._release.version:
                    raise self._taken(f"{self.base}/records/{hit.get('id')}")
        path = f"/api/records/{before}/versions" if before else "/api/records"
        document = None if before else {**_ACCESS, "metadata": dict(self._deposit(earlier))}
        try:
            # When the answer is lost, a draft without files may stay behind; nobody sees it.
            draft = self._api.call("POST", path, document)
        except Refused as refused:
            raise self._api.refusal("a draft", refused) from None
        self._id = str(draft["id"])
        return draft

    def _reserve_doi(self) -> Any:
        def ask(number: int) -> Any:
            try:
                return self._api.once("POST", f"{self._draft}/pids/doi")
            except Refused as refused:
                draft = self._get(self._draft) if number else None
                if draft and (draft.get("pids") or {}).get("doi"):  # reserved, but the answer was lost
                    return draft
                raise self._api.refusal("a DOI", refused) from None

        return persist(ask, self._sleep, f"a DOI from {self.base}")

    def _taken(self, where: str) -> InputError:
        return InputError(
            f"version {self._release.version} of {self._release.name} must be new, got one that is published already, {where}. "
            "Published files are never replaced: raise the version."
        )

    @property
    def _draft(self) -> str:
        return f"/api/records/{self._id}/draft"

    def _file(self, key: str) -> str:
        return f"{self._draft}/files/{quote(key, safe='')}"

    def push(self, uploads: Sequence[Upload], publications: tuple[Publication, ...]) -> None:
        """Write the metadata, then send the files that the draft has not or has otherwise."""
        document = {**_ACCESS, "metadata": dict(self._deposit(publications)), "pids": self._pids}
        try:
            answer = self._api.call("PUT", self._draft, document) or {}
            if answer.get("errors"):
                raise Refused(200, str(answer["errors"])[:500])
            entries = self._imported(uploads, self._entries())
            wanted = {key_of(upload.path): upload for upload in uploads}
            for key in entries.keys() - wanted.keys():
                self._delete(key)
            todo = [wanted[key] for key in map(key_of, _in_order({upload.path: 0 for upload in uploads}))]
            missing = [upload for upload in todo if not self._settled(upload, entries.get(key_of(upload.path)))]
            for upload in todo:
                if upload not in missing:
                    self._watcher.sent(upload.path, upload.size, kept=True)
            if missing:
                self._register([key_of(upload.path) for upload in missing])
            for upload in missing:
                self._send(upload)
                self._watcher.sent(upload.path, upload.size, kept=False)
        except Refused as refused:
            raise self._api.refusal("the draft", refused) from None

    def _entries(self, path: str | None = None) -> dict[str, Any]:
        answer = self._api.call("GET", path or f"{self._draft}/files") or {}
        return {entry["key"]: entry for entry in answer.get("entries") or []}

    def _imported(self, uploads: Sequence[Upload], entries: dict[str, Any]) -> dict[str, Any]:
        """Take over the files of the version before, if one of them is as it was."""
        if not self._previous or entries:
            return entries
        before = self._entries(f"/api/records/{self._previous}/files")
        if not any(_is_same(upload, before.get(key_of(upload.path))) for upload in uploads):
            return entries
        try:
            self._api.call("POST", f"{self._draft}/actions/files-import")
        except Refused as refused:
            if refused.status != 400:  # it says so, too, when an import came through whose answer was lost
                raise
        return self._entries()

    def _register(self, keys: list[str]) -> None:
        def ask(number: int) -> None:
            left = [key for key in keys if key not in self._entries()] if number else keys
            if left:
                self._api.once("POST", f"{self._draft}/files", [{"key": key} for key in left])

        persist(ask, self._sleep, f"POST {self.base}{self._draft}/files")

    def _settled(self, upload: Upload, entry: Any) -> bool:
        """Return whether a file is there; what is half there, or another, is removed."""
        if entry is None:
            return False
        key = key_of(upload.path)
        if entry.get("status") != "completed":
            entry = self._commit(key)  # all bytes may have arrived before the connection broke
        if _is_same(upload, entry):
            return True
        self._delete(key)
        return False

    def _commit(self, key: str) -> Any:
        """Return the entry of a file whose bytes are there; None where they are not."""

        def ask(number: int) -> Any:
            entry = self._entries().get(key) if number else None
            if entry and entry.get("status") == "completed":  # committed, but the answer was lost
                return entry
            try:
                return self._api.once("POST", f"{self._file(key)}/commit")
            except Refused:
                return None
            except Interrupted as interruption:
                if interruption.status == 500 and number >= _COMMITS:  # what a server may say of a file without bytes
                    return None
                raise

        return persist(ask, self._sleep, f"POST {self.base}{self._file(key)}/commit")

    def _delete(self, key: str) -> None:
        try:
            self._api.call("DELETE", self._file(key))
        except Refused as refused:
            if refused.status not in _MISSING:
                raise

    def _send(self, upload: Upload) -> None:
        key = key_of(upload.path)

        def send(number: int) -> None:
            if number:
                entry = self._entries().get(key)
                if self._settled(upload, entry):
                    return
                self._api.once("POST", f"{self._draft}/files", [{"key": key}])
            self._api.once("PUT", f"{self._file(key)}/content", upload=upload)
            entry = self._api.once("POST", f"{self._file(key)}/commit")
            if not _is_same(upload, entry):
                raise Interrupted("other bytes than were sent")

        persist(send, self._sleep, f"{upload.path} to {self.base}")

    def verify(self, uploads: Sequence[Upload]) -> None:
        """Compare names, sizes and MD5 of all files."""
        try:
            entries = self._entries(f"/api/records/{self._id}/files" if self._published else None)
        except Refused as refused:
            raise self._api.refusal("a look at the files", refused) from None
        wanted = {key_of(upload.path): upload for upload in uploads}
        other = sorted(key for key in entries.keys() | wanted.keys() if not _is_same(wanted.get(key), entries.get(key)))
        if other and self._published:
            raise self._taken(f"{self.base}/records/{self._id}, with other files ({listing(other, 3)})")
        if other:
            raise WorkError(
                f"files of draft {self._id} must be those of the release, got others: {listing(other, 3)}. "
                "Publish again: they are replaced. Nothing was published."
            )

    def publish(self) -> None:
        """Publish the draft."""

        def ask(number: int) -> None:
            if number and self._get(f"/api/records/{self._id}") is not None:  # published, but the answer was lost
                return
            try:
                self._api.once("POST", f"{self._draft}/actions/publish")
            except Refused as refused:
                raise self._api.refusal("the record", refused) from None

        persist(ask, self._sleep, f"publishing record {self._id} at {self.base}")

    def finish(self) -> None:
        """Forget the draft."""
        remove_state(self._release.folder)

    def close(self) -> None:
        """Hang up."""
        if "_api" in self.__dict__:
            self._api.close()


def _in_order(paths: Mapping[str, Any]) -> list[str]:
    """Return paths sorted, the manifest last."""
    return sorted(paths, key=lambda path: (path == "manifest.json", path))


def _is_same(upload: Upload | None, entry: Any) -> bool:
    if upload is None or not isinstance(entry, dict) or entry.get("status") != "completed":
        return False
    return (entry.get("size"), entry.get("checksum")) == (upload.size, f"md5:{upload.md5}")
