"""The Hugging Face Hub: a data set repository in which every version is a tag.

All files of a version arrive in one commit, which is compared and then tagged; without its tag nothing counts as a
release. What the repository has already, by size and sha256 (git's SHA-1 for files that are not in LFS), is not sent.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from contextlib import contextmanager
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar

from miso_gen.errors import InputError, MisoGenError, MissingExtraError, WorkError, listing
from miso_gen.release.facts import Publication
from miso_gen.release.publication import PUBLICATION
from miso_gen.release.publishing.interfaces import Call, Reservation
from miso_gen.release.publishing.records_api import check_base_url
from miso_gen.release.publishing.retrying import Interrupted, persist, retry_after
from miso_gen.release.publishing.tokens import find_token
from miso_gen.store.manifest import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from miso_gen.release.publishing.interfaces import Release, Upload, Watcher
    from miso_gen.release.publishing.tokens import Token

T = TypeVar("T")

HUB: Final = "https://huggingface.co"
VARIABLE: Final = "HF_TOKEN"
FILES: Final = 100_000  #: of a repository, at most
FOLDER_FILES: Final = 10_000  #: of a folder, at most
FILE_SIZE: Final = 20_000_000_000  #: bytes of a file, at most; the Hub takes more, and recommends this
_KIND: Any = {"repo_type": "dataset"}
_OURS = (".gitattributes", "README.md")  # what a new repository may have that no release put there
_LFS = "unless the Hub keeps the file in git itself"


def check_repository(name: str) -> str:
    """Return the name of a repository.

    Raises:
        InputError: It has not the form ``org/name``.
    """
    if (
        not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name, re.ASCII)
        or len(name) > 96
        or ".." in name
        or "--" in name
    ):
        raise InputError(f"target must name a repository as hf:org/name, got {f'hf:{name}'!r}. Correct it.")
    return name


class Hub:
    """Publishes a release as a tag; see :class:`~miso_gen.release.publishing.interfaces.Publisher`.

    Args:
        release: The release.
        repository: Such as ``org/name``; made if there is none.
        base_url: Address of the Hub; None: ``HF_ENDPOINT``, else huggingface.co.
        sleep: Waits for seconds between tries. ``huggingface_hub`` has waits of its own within a try.
        watcher: Hears of the progress.
    """

    target = "hf"
    digests: tuple[str, ...] = ("git",)

    def __init__(
        self, release: Release, repository: str, base_url: str | None, sleep: Callable[[float], object], watcher: Watcher
    ) -> None:
        self.base = check_base_url(base_url or os.environ.get("HF_ENDPOINT") or HUB)
        self.repository = check_repository(repository)
        self._release, self._sleep, self._watcher = release, sleep, watcher
        self._commit = ""
        self._published = False

    @cached_property
    def _token(self) -> Token:
        return find_token(VARIABLE, self.base)

    @cached_property
    def _api(self) -> Any:
        try:
            from huggingface_hub import HfApi
        except ImportError:
            raise MissingExtraError("huggingface_hub", "publish", "publishing to the Hugging Face Hub") from None
        return HfApi(endpoint=self.base, token=self._token.reveal())

    def check(self, sizes: Mapping[str, int]) -> None:
        """Refuse more than 100 000 files, 10 000 in a folder, and files of more than 20 GB."""
        if len(sizes) > FILES:
            raise InputError(f"release must have at most {FILES} files for the Hub, got {len(sizes)}. Make larger packs.")
        folder, count = Counter(str(PurePosixPath(path).parent) for path in sizes).most_common(1)[0]
        if count > FOLDER_FILES:
            raise InputError(
                f"folder {folder!r} must have at most {FOLDER_FILES} files for the Hub, got {count}. Make larger packs."
            )
        path = max(sizes, key=lambda path: sizes[path])
        if sizes[path] > FILE_SIZE:
            raise InputError(f"{path} must have at most {FILE_SIZE} bytes for the Hub, got {sizes[path]}. Make smaller packs.")

    def check_new(self, earlier: tuple[Publication, ...]) -> None:
        """Refuse nothing yet: a version that is there is compared."""

    def expected(self) -> Publication:
        """Return the publication."""
        page, version = f"{self.base}/datasets/{self.repository}", self._release.version
        return Publication(self.target, f"{page}/tree/{version}", f"{page}/resolve/{version}")

    def plan(self, sizes: Mapping[str, int | None]) -> tuple[Call, ...]:
        """Return the calls. Which files go to LFS, and where, is for the Hub to say."""
        api = f"{self.base}/api/datasets/{self.repository}"
        page = f"{self.base}/datasets/{self.repository}"
        return (
            Call("POST", f"{self.base}/api/repos/create"),
            Call("GET", f"{api}/refs"),
            Call("GET", f"{api}/tree/main"),
            Call(
                "GET", f"{self.base}/datasets/{self.repository}/resolve/{{commit}}/{MANIFEST}", when="if another version is there"
            ),
            Call("POST", f"{self.base}/api/validate-yaml", when="if README.md is not there as it is"),
            Call("POST", f"{api}/preupload/main"),
            Call("POST", f"{page}.git/info/lfs/objects/batch", when="if files go to LFS"),
            *(Call("PUT", f"LFS object of {path}", size, _LFS) for path, size in sorted(sizes.items())),
            Call("POST", f"{api}/commit/main", None),
            Call("GET", f"{api}/tree/{{commit}}"),
            Call("POST", f"{api}/tag/{{commit}}"),
        )

    def reserve(self, earlier: tuple[Publication, ...]) -> Reservation:
        """Make the repository if there is none, and look for the tag."""
        self._ask(lambda: self._api.create_repo(self.repository, exist_ok=True, **_KIND), "the repository")
        refs = self._ask(lambda: self._api.list_repo_refs(self.repository, **_KIND), "a look at the tags")
        for tag in refs.tags:
            if tag.name == self._release.version:
                self._commit, self._published = tag.target_commit, True
        heads = [branch.target_commit for branch in refs.branches if branch.name == "main"]
        self._head = heads[0] if heads else None
        return Reservation(self.expected(), self._published)

    def push(self, uploads: Sequence[Upload], publications: tuple[Publication, ...]) -> None:
        """Commit what is new or other, and take away what only the version before had."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        there = self._tree("main")
        gone = self._outdated(there, {upload.path for upload in uploads})
        todo = [upload for upload in uploads if not _is_same(upload, there.get(upload.path))]
        for upload in uploads:
            if upload not in todo:
                self._watcher.sent(upload.path, upload.size, kept=True)
        if not todo and not gone:
            self._commit = self._head or "main"
            return

        def commit() -> Any:
            # Operations can't be used twice. What an attempt put into LFS stays there, and is not sent by the next.
            changes: list[Any] = [CommitOperationDelete(path) for path in gone]
            changes += [CommitOperationAdd(upload.path, upload.content) for upload in todo]
            message = f"{self._release.name} {self._release.version}"
            with _no_bars():
                return self._api.create_commit(
                    self.repository, changes, commit_message=message, parent_commit=self._head, **_KIND
                )

        def attempt(number: int) -> Any:
            if number:
                found = self._tree("main")
                if all(_is_same(upload, found.get(upload.path)) for upload in uploads):  # committed; the answer was lost
                    return None
            return self._once(commit, "the files")

        info = persist(attempt, self._sleep, f"files to {self.base}")
        self._commit = info.oid if info is not None else self._main()
        for upload in todo:
            self._watcher.sent(upload.path, upload.size, kept=False)

    def _main(self) -> str:
        refs = self._ask(lambda: self._api.list_repo_refs(self.repository, **_KIND), "a look at the branches")
        commit: str = next(branch.target_commit for branch in refs.branches if branch.name == "main")
        return commit

    def _tree(self, revision: str) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            entries = self._api.list_repo_tree(self.repository, recursive=True, revision=revision, **_KIND)
            return {entry.path: entry for entry in entries if hasattr(entry, "blob_id")}

        return self._ask(look, "a look at the files")

    def _outdated(self, there: Mapping[str, Any], ours: set[str]) -> list[str]:
        """Return the files of the version before that are no more.

        Raises:
            InputError: The repository is used for something else.
        """
        if not there.keys() - set(_OURS):
            return []
        known = self._manifest() if MANIFEST in there else {}
        if known.get("name") != self._release.name:
            raise InputError(
                f"{self.base}/datasets/{self.repository} must be new or hold {self._release.name}, got one that holds "
                f"{known.get('name') or 'something else'}. Choose another repository."
            )
        listed = {MANIFEST, PUBLICATION, *known.get("files", {})}
        return sorted((listed & there.keys()) - ours)

    def _manifest(self) -> dict[str, Any]:
        from huggingface_hub.utils import (  # type: ignore[attr-defined, unused-ignore]
            build_hf_headers,
            get_session,
            hf_raise_for_status,
        )

        url = f"{self.base}/datasets/{self.repository}/resolve/{self._head or 'main'}/{MANIFEST}"

        def look() -> Any:
            answer = get_session().get(url, headers=build_hf_headers(token=self._token.reveal()))
            hf_raise_for_status(answer)
            try:
                return json.loads(answer.content)
            except ValueError:
                return {}

        found = self._ask(look, "a look at the manifest")
        return found if isinstance(found, dict) else {}

    def verify(self, uploads: Sequence[Upload]) -> None:
        """Compare size and sha256, or git's SHA-1, of all files in the commit."""
        there = self._tree(self._commit)
        other = [upload.path for upload in uploads if not _is_same(upload, there.get(upload.path))]
        if other and self._published:
            raise InputError(
                f"version {self._release.version} of {self._release.name} must be new, got one that is published already, "
                f"{self.expected().url}, with other files ({listing(other, 3)}). "
                "Published files are never replaced: raise the version."
            )
        if other:
            raise WorkError(
                f"files of commit {self._commit} must be those of the release, got others: {listing(other, 3)}. "
                "Publish again: they are replaced. Nothing was published."
            )

    def publish(self) -> None:
        """Make the tag."""

        def attempt(number: int) -> None:
            if number:
                refs = self._once(lambda: self._api.list_repo_refs(self.repository, **_KIND), "a look at the tags")
                if any((tag.name, tag.target_commit) == (self._release.version, self._commit) for tag in refs.tags):
                    return
            version = self._release.version
            self._once(lambda: self._api.create_tag(self.repository, tag=version, revision=self._commit, **_KIND), "the tag")

        persist(attempt, self._sleep, f"tag {self._release.version} at {self.base}")

    def finish(self) -> None:
        """Nothing is remembered: all that matters is at the Hub."""

    def close(self) -> None:
        """The connection is that of ``huggingface_hub``, which keeps it."""

    def _ask(self, action: Callable[[], T], doing: str) -> T:
        return persist(lambda _: self._once(action, doing), self._sleep, f"{doing} at {self.base}")

    def _once(self, action: Callable[[], T], doing: str) -> T:
        try:
            return action()
        except (MisoGenError, Interrupted):
            raise
        except Exception as error:
            translated = self._translated(error, doing)
            if translated is None:
                raise
        raise translated

    def _translated(self, error: BaseException, doing: str) -> Exception | None:
        """Return what an error of the client means; None for one that is no answer and no broken connection."""
        from huggingface_hub.errors import HfHubHTTPError

        chain: list[BaseException] = [error]
        while (cause := chain[-1].__cause__) is not None and cause not in chain:
            chain.append(cause)
        for link in chain:
            answer = getattr(link, "response", None)
            if isinstance(link, HfHubHTTPError) and answer is not None:
                return self._judged(answer.status_code, retry_after(answer.headers.get("Retry-After")), doing, link)
        broken = tuple(sys.modules[name].TransportError for name in ("httpx", "httpx2") if name in sys.modules)
        for link in chain:
            if isinstance(link, (*broken, OSError)):
                return Interrupted(f"{type(link).__name__} ({self._token.redact(str(link))})")
        if isinstance(error, ValueError):
            return self._refusal(doing, error)
        return None

    def _judged(self, status: int, wait_s: float | None, doing: str, error: BaseException) -> Exception:
        if status in (401, 403):
            return InputError(
                f"{VARIABLE} must be a token that may write to {self.base}/datasets/{self.repository}, got the answer {status}. "
                "Make one with the permission to write."
            )
        if status in (408, 429) or status >= 500:
            return Interrupted(f"the answer {status}", wait_s)
        return self._refusal(doing, error)

    def _refusal(self, doing: str, error: BaseException) -> InputError:
        text = " ".join(self._token.redact(str(error)).split())[:500]
        return InputError(f"{doing} must be accepted by {self.base}, got {text}. Correct what it names, and publish again.")


def _is_same(upload: Upload, entry: Any) -> bool:
    if entry is None or entry.size != upload.size:
        return False
    if entry.lfs is not None:
        return bool(entry.lfs.sha256 == upload.sha256)
    return bool(entry.blob_id == upload.git)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep the bars of ``huggingface_hub`` out of what the command line prints."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined, unused-ignore]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
