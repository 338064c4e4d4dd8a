"""Files of a web server: of a folder, of a Zenodo record, or of a data set on the Hugging Face Hub.

Plain http(s) needs the standard library alone. Secrets (headers, tokens, what stands behind ``?``) are sent to the server
they are for, never to one it redirects to, and stand in no message.
"""

from __future__ import annotations

import os
import re
import ssl
from email.utils import parsedate_to_datetime
from http.client import HTTPException, InvalidURL
from typing import TYPE_CHECKING, Any, Final
from urllib import request
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit, urlunsplit

from miso_gen.errors import InputError, StoreError
from miso_gen.store.streams import ClosedError, Stream, TransferError, origin, reason_of, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

HUB: Final = "https://huggingface.co"
_TIMEOUT_S = 60.0  # without a byte
_LONGEST_WAIT_S = 300.0  # that a server may ask for
_GONE = (404, 410)
_CLOSED = (401, 403, 407)
_LATER = (408, 425, 429)  # and 5xx
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class WebSource:
    """A folder of files on a web server.

    Args:
        address: Its URL; what stands behind ``?`` is sent along with every path.
        options: ``{"headers": {...}}``: sent to this server alone.
    """

    def __init__(self, address: str, options: Mapping[str, Any] | None = None) -> None:
        unknown = sorted(set(options or {}) - {"headers"})
        if unknown:
            raise InputError(f"options of {shown(address)} must be 'headers', got {', '.join(unknown)}.")
        try:
            self._parts = urlsplit(address)
            self._origin = origin(address)
        except ValueError as error:
            raise InputError(f"source must be the URL of a folder, got {shown(address)!r} ({error}).") from None
        if "@" in self._parts.netloc or not self._parts.hostname:
            raise InputError(
                f"source must be a URL of a server, without user and password, got one for {shown(address)!r}. "
                "Give what it wants to know as headers in options."
            )
        self._secrets = dict((options or {}).get("headers") or {})
        # No file:// and no ftp://, wherever a server may point.
        self._opener = request.OpenerDirector()
        for handler in (
            request.ProxyHandler(),
            request.UnknownHandler(),
            request.HTTPHandler(),
            request.HTTPSHandler(),
            request.HTTPDefaultErrorHandler(),
            request.HTTPErrorProcessor(),
            _Redirects(),
        ):
            self._opener.add_handler(handler)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe('')!r})"

    def describe(self, path: str) -> str:
        """See :class:`ReleaseSource`."""
        return shown(self._address(path)) if path else shown(urlunsplit(self._parts)).rstrip("/")

    def open(self, path: str, start: int, tag: str | None) -> Stream:
        """See :class:`ReleaseSource`."""
        stream = self._open(path, start, tag)
        return stream if stream is not None else self._start_again(path)

    def _start_again(self, path: str) -> Stream:
        stream = self._open(path, 0, None)
        if stream is None:
            raise TransferError("a piece instead of the file")
        return stream

    def _open(self, path: str, start: int, tag: str | None) -> Stream | None:
        """Return the stream, None where the answer is a piece that does not follow what is there."""
        asked = request.Request(self._address(path), headers={"Accept-Encoding": "identity", "User-Agent": "miso-gen"})
        for key, value in self._secrets.items():
            asked.add_unredirected_header(key, value)
        if start:
            asked.add_header("Range", f"bytes={start}-")
            if tag is not None:
                asked.add_header("If-Range", tag)
        try:
            answer = self._opener.open(asked, timeout=_TIMEOUT_S)
        except HTTPError as error:
            error.close()
            if error.code == 416 and start:
                return None
            raise self._refusal(path, error.code, error.headers) from None
        except ssl.SSLCertVerificationError as error:
            raise self._distrusted(path, error) from None
        except (InvalidURL, UnicodeError) as error:
            raise StoreError(f"address {self.describe(path)!r} must be a valid URL, got {type(error).__name__}.") from None
        except (OSError, HTTPException) as error:
            if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
                raise self._distrusted(path, error) from None
            raise TransferError(reason_of(error)) from None
        stream = _stream(answer, start, tag)
        if stream is None:
            answer.close()
            if answer.status not in (200, 206):
                raise self._refusal(path, answer.status, answer.headers)
        return stream

    def _address(self, path: str) -> str:
        folder = self._parts.path.rstrip("/")
        return urlunsplit(self._parts._replace(path=f"{folder}/{self._key(path)}", fragment=""))

    def _key(self, path: str) -> str:
        return quote(path)

    def _refusal(self, path: str, status: int, headers: Message) -> Exception:
        name = self.describe(path)
        if status in _GONE:
            return FileNotFoundError(name)
        if status in _CLOSED:
            return ClosedError(f"{name} must be open to you, got the answer {status}. {self._advice()}")
        if status in _LATER or status >= 500:
            return TransferError(f"the answer {status}", _wait(headers))
        return StoreError(f"{name} must be a file, got the answer {status}. Check the address.")

    def _advice(self) -> str:
        return "Check the address, or give the headers that it wants in options."

    def _distrusted(self, path: str, error: Exception) -> StoreError:
        return StoreError(
            f"server of {self.describe(path)} must have a certificate that this machine trusts, got {reason_of(error)}."
        )


class ZenodoSource(WebSource):
    """The files of a record of Zenodo, or of another InvenioRDM; a record has no folders, so ``a/b`` is called ``a--b``.

    Args:
        address: ``<base>/api/records/<id>/files``.
        options: See :class:`WebSource`.
    """

    def _key(self, path: str) -> str:
        return f"{quote(path.replace('/', '--'), safe='')}/content"


class HubSource(WebSource):
    """A revision of a data set on the Hugging Face Hub.

    Args:
        address: ``<endpoint>/datasets/<org>/<name>/resolve/<revision>``.
        options: See :class:`WebSource`. The token in ``HF_TOKEN`` is sent to the endpoint (``HF_ENDPOINT``), to nobody else.
    """

    def __init__(self, address: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, options)
        token = os.environ.get("HF_TOKEN", "").strip()
        if token and self._origin == origin(endpoint()) and "authorization" not in {key.lower() for key in self._secrets}:
            self._secrets["Authorization"] = f"Bearer {token}"

    def _advice(self) -> str:
        return "Check the address; if the data set is private, put a token that may read it in HF_TOKEN."


class _Redirects(request.HTTPRedirectHandler):
    """Follows redirections; secrets stay with the server they are for, and https stays https."""

    def http_error_302(self, req: request.Request, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()  # a text of any length, that nobody reads
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> request.Request | None:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is None:
            return None
        try:
            here, there = origin(req.full_url), origin(newurl)
        except ValueError:
            raise StoreError(f"{shown(req.full_url)} must redirect to a valid URL, got another. Check the address.") from None
        if there[0] != "https" and (here[0] == "https" or there[0] != "http"):
            raise StoreError(f"{shown(req.full_url)} must redirect to https, got {there[0]}. Check the address.")
        if here == there:
            for key, value in req.unredirected_hdrs.items():
                if key.lower() != "host":
                    new.add_unredirected_header(key, value)
        return new


def _stream(answer: Any, start: int, tag: str | None) -> Stream | None:
    def read(length: int) -> bytes:
        try:
            # What has come: a cut must not lose what came before it.
            return bytes(answer.read1(length))
        except (OSError, HTTPException, ValueError) as error:
            raise TransferError(reason_of(error)) from None

    headers = answer.headers
    found = (headers.get("ETag") or "").strip()
    strong = found if found.startswith('"') else None
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    note = "" if encoding in ("", "identity") else f" The server sent it with Content-Encoding {encoding}, which it must not."
    if answer.status == 200:
        length = headers.get("Content-Length", "")
        return Stream(read, answer.close, 0, int(length) if re.fullmatch("[0-9]+", length) else None, strong, note)
    match = _RANGE.fullmatch(headers.get("Content-Range", ""))
    if answer.status != 206 or not match or int(match[1]) != start or (tag is not None and strong != tag):
        return None
    return Stream(read, answer.close, start, None if match[3] == "*" else int(match[3]), strong, note)


def endpoint() -> str:
    """Return the address of the Hub: ``HF_ENDPOINT``, or the one of all."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def _wait(headers: Message) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, counted from the server's own clock."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]{1,9}", text):
        return min(float(text), _LONGEST_WAIT_S)
    try:
        seconds = (parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (TypeError, ValueError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT_S)
