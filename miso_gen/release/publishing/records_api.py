"""Requests to an InvenioRDM server, such as Zenodo, with a token that goes to that server alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from miso_gen.errors import InputError, MisoGenError, MissingExtraError
from miso_gen.release.publishing.folder import BLOCK
from miso_gen.release.publishing.retrying import Interrupted, persist, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from miso_gen.release.publishing.interfaces import Upload
    from miso_gen.release.publishing.tokens import Token

_TIMEOUT_S = 600.0  # a server may take minutes to compute the MD5 of a file
_CONNECT_S = 30.0
_LOCAL = ("127.0.0.1", "localhost", "::1")
_TEXT = 500  # characters of an answer that go into a message


class Refused(Exception):  # noqa: N818 - an answer, which the caller may have expected
    """The server answered with a status of 4xx that is neither about the token nor about the pace.

    Args:
        status: The status.
        text: What the server said, cut.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


def check_base_url(url: str) -> str:
    """Return the address of a server without a slash at its end.

    Raises:
        InputError: A token can't go there safely.
    """
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
    if not safe or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise InputError(
            f"address of the service must be of the form https://host, got {parts.scheme}://{parts.hostname}. Correct it."
        )
    return url.rstrip("/")


class RecordsApi:
    """The records API below one address.

    Args:
        base: Such as ``https://zenodo.org``.
        token: Sent as a bearer token; redirections are not followed.
        scopes: What the token must be allowed, for messages.
        sleep: Waits for seconds between tries.
    """

    def __init__(self, base: str, token: Token, scopes: str, sleep: Callable[[float], object]) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtraError("httpx", "publish", "publishing to Zenodo") from None
        self.base, self.sleep = base, sleep
        self._token, self._scopes, self._httpx = token, scopes, httpx
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {token.reveal()}", "Accept": "application/json"},
            timeout=httpx.Timeout(_TIMEOUT_S, connect=_CONNECT_S),
            follow_redirects=False,
        )

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def call(self, method: str, path: str, document: Any = None) -> Any:
        """Return the answer to a request, trying again while it does not come through.

        Raises:
            Refused: A 4xx.
            InputError: The token was refused.
            WorkError: The server could not be reached.
        """
        return persist(lambda _: self.once(method, path, document), self.sleep, f"{method} {self.base}{path}")

    def once(self, method: str, path: str, document: Any = None, upload: Upload | None = None) -> Any:
        """Return the answer to a request that is made once; None for an empty one.

        Raises:
            Interrupted: It may come through the next time.
            Refused: A 4xx.
            InputError: The token was refused, or the server answers with no JSON.
        """
        extra: dict[str, Any] = {} if document is None else {"json": document}
        if upload is not None:
            head = {"Content-Type": "application/octet-stream", "Content-Length": str(upload.size)}
            extra = {"content": _blocks(upload), "headers": head}
        try:
            answer = self._client.request(method, self.base + path, **extra)
        except self._httpx.TransportError as error:  # a message of httpx never has the headers of the request
            raise Interrupted(f"{type(error).__name__} ({self._token.redact(str(error))})") from None
        return self._judged(method, path, answer)

    def _judged(self, method: str, path: str, answer: Any) -> Any:
        status = answer.status_code
        text = self._token.redact(answer.text)[:_TEXT]
        if status in (401, 403):
            raise InputError(
                f"{self._token.variable} must be a token that {self.base} accepts, got the answer {status} to {method} {path}. "
                f"Make one with the scopes {self._scopes}."
            )
        if status == 429 or status >= 500:
            raise Interrupted(f"the answer {status}", retry_after(answer.headers.get("Retry-After")), status)
        if status >= 400:
            raise Refused(status, text)
        if status >= 300:
            raise InputError(f"{self.base} must answer requests itself, got a redirection ({status}). Correct its address.")
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise InputError(
                f"{self.base} must be an InvenioRDM server, got an answer that is no JSON. Correct its address."
            ) from None

    def refusal(self, doing: str, refused: Refused) -> MisoGenError:
        """Return the error that tells a user of a refusal."""
        return InputError(f"{doing} must be accepted by {self.base}, got {refused}. Correct what it names, and publish again.")


def _blocks(upload: Upload) -> Iterator[bytes]:
    with upload.open() as file:
        while block := file.read(BLOCK):
            yield block
