"""Services to publish to, played in this process: an InvenioRDM server such as Zenodo, and a Hugging Face Hub.

They keep what they get in memory, note every request, and refuse what the real ones refuse. They can be told to be
unreliable: to break a connection before, within or after a request, or to answer that they are busy.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "tok-5e4c2b8f-not-to-be-seen"


class Request(NamedTuple):
    """A request as it was answered."""

    method: str
    path: str
    status: int | str  #: of the answer; else how the connection broke
    size: int


class Answer(Exception):  # noqa: N818
    """What a service says, from any depth."""

    def __init__(self, status: int, document: Any = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.document, self.headers = status, document, headers or {}


class Faults:
    """Decides, from a seed, which requests go wrong, and how; at most ``limit`` of them.

    ``cut``: broken before it is read; ``body``: broken within the body; ``lost``: carried out, but the answer is not sent;
    500, 503 and 429: not carried out. ``only`` picks requests.
    """

    KINDS = ("cut", "body", "lost", 500, 503, 429)

    def __init__(
        self,
        seed: int,
        limit: int,
        share: float = 0.4,
        kinds: tuple[Any, ...] = KINDS,
        only: Callable[[str, str], bool] = lambda *_: True,
    ) -> None:
        self.rng, self.left, self.share, self.kinds, self.only = random.Random(seed), limit, share, kinds, only
        self.lock = threading.Lock()

    def __call__(self, method: str, path: str) -> Any:
        with self.lock:
            if self.left and self.only(method, path) and self.rng.random() < self.share:
                self.left -= 1
                return self.rng.choice(self.kinds)
        return None


class Fake(ThreadingHTTPServer):
    """A service at ``self.url``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.token = TOKEN
        self.requests: list[Request] = []
        self.sent: Counter[str] = Counter()  #: whole files received, by place
        self.faults: Callable[[str, str], Any] = lambda *_: None
        self.always: int | None = None  #: status of every answer
        self.lock = threading.RLock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no trouble."""

    def calls(self) -> list[tuple[str, str]]:
        return [(request.method, request.path) for request in self.requests]

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        raise NotImplementedError

    def is_open(self, method: str, path: str) -> bool:
        """Whether a request needs no token."""
        return False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: Fake

    def log_message(self, *_: Any) -> None:
        """Tests read the list of requests."""

    def _serve(self) -> None:
        server, parts = self.server, urlsplit(self.path)
        path = unquote(parts.path)
        fault = server.faults(self.command, path)
        length = int(self.headers.get("Content-Length") or 0)
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            raise AssertionError("bodies must have a length")
        if fault == "cut":
            return self._break(path, "cut", 0)
        if fault == "body" and length:
            part = server.faults.rng.randrange(length)
            self.rfile.read(part)
            return self._break(path, "body", part)
        body = self.rfile.read(length)
        if len(body) != length:
            return self._break(path, "short", len(body))
        headers: dict[str, str] = {}
        with server.lock:
            try:
                if isinstance(fault, int):
                    raise Answer(fault, {"message": "busy"}, {"Retry-After": "7"} if fault == 429 else {})
                if server.always:
                    # A server may well say back what it was sent.
                    raise Answer(server.always, {"message": f"no: {self.headers.get('Authorization')}"})
                if not server.is_open(self.command, path) and self.headers.get("Authorization") != f"Bearer {server.token}":
                    raise Answer(401, {"error": "Invalid credentials"})
                status, document = 200, server.answer(self.command, path, parse_qs(parts.query), body)
            except Answer as answer:
                status, document, headers = answer.status, answer.document, answer.headers
            if fault == "lost":
                return self._break(path, f"lost {status}", length)
            server.requests.append(Request(self.command, path, status, length))
        data = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        return None

    def _break(self, path: str, how: str, size: int) -> None:
        self.server.requests.append(Request(self.command, path, how, size))
        self.close_connection = True
        self.connection.close()

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    """Serve while the block runs."""
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class FakeZenodo(Fake):
    """The records API of InvenioRDM: drafts, DOIs, files, versions.

    ``records``: by number, ``{id, parent, metadata, pids, published, files: {key: [data or None, committed]}}``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, dict[str, Any]] = {}
        self.published: list[str] = []
        self.required: tuple[str, ...] = ("title", "creators", "publication_date", "resource_type")

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        parts = path.removeprefix("/api/records").strip("/").split("/")
        document = json.loads(body) if body and not path.endswith("/content") else None
        if method == "POST" and parts == [""]:
            raise Answer(201, self.view(self.new(document.get("metadata") or {})))
        record = self.records.get(parts[0])
        if record is None:
            raise Answer(404, {"message": "no such record"})
        match method, *parts[1:]:
            case "GET", "draft":
                if record["published"]:
                    raise Answer(404, {"message": "no draft"})
                return self.view(record)
            case ("GET",):
                if not record["published"]:
                    raise Answer(404, {"message": "not registered"})
                return self.view(record)
            case "PUT", "draft":
                self.must_be_draft(record)
                record["metadata"] = document["metadata"]
                record["pids"] = document.get("pids") or {}  # what is left out is forgotten
                errors = [{"field": f"metadata.{name}"} for name in self.required if not document["metadata"].get(name)]
                return {**self.view(record), **({"errors": errors} if errors else {})}
            case "POST", "draft", "pids", "doi":
                self.must_be_draft(record)
                if "doi" in record["pids"]:
                    raise Answer(400, {"message": "A PID already exists for type doi"})
                record["pids"] = {"doi": {"identifier": f"10.5281/zenodo.{record['id']}", "provider": "datacite"}}
                raise Answer(201, self.view(record))
            case "GET", "versions":
                hits = [self.view(found) for found in self.records.values() if found["published"]]
                return {"hits": {"hits": [hit for hit in hits if hit["parent"]["id"] == record["parent"]]}}
            case "POST", "versions":
                if not record["published"]:
                    raise Answer(404, {"message": "not published"})
                for found in self.records.values():
                    if found["parent"] == record["parent"] and not found["published"]:
                        raise Answer(201, self.view(found))
                kept = {name: value for name, value in record["metadata"].items() if name not in ("publication_date", "version")}
                raise Answer(201, self.view(self.new(kept, record)))
            case "POST", "draft", "actions", "files-import":
                self.must_be_draft(record)
                if record["files"]:
                    raise Answer(400, {"message": "Please remove all files first."})
                record["files"] = {key: list(value) for key, value in self.records[record["before"]]["files"].items()}
                raise Answer(201, self.listing(record))
            case "POST", "draft", "actions", "publish":
                self.must_be_draft(record)
                assert all(committed for _, committed in record["files"].values()), "published before all files were committed"
                if any(not record["metadata"].get(name) for name in self.required):
                    raise Answer(400, {"message": "A validation error occurred."})
                record["published"] = True
                self.published.append(record["id"])
                raise Answer(202, self.view(record))
            case "GET", "files":
                if not record["published"]:
                    raise Answer(404, {"message": "not registered"})
                return self.listing(record)
            case "GET", "draft", "files":
                self.must_be_draft(record)
                return self.listing(record)
            case "POST", "draft", "files":
                self.must_be_draft(record)
                for entry in document:
                    if entry["key"] in record["files"]:
                        raise Answer(400, {"message": f"File with key {entry['key']} already exists."})
                    record["files"][entry["key"]] = [None, False]
                raise Answer(201, self.listing(record))
            case _:
                return self.file(method, record, parts[3], parts[4:], body) if parts[1:3] == ["draft", "files"] else self.lost()

    def file(self, method: str, record: dict[str, Any], key: str, rest: list[str], body: bytes) -> Any:
        self.must_be_draft(record)
        entry = record["files"].get(key)
        if entry is None:
            raise Answer(404, {"message": "no such file"})
        match method, *rest:
            case "PUT", "content":
                if entry[1]:
                    raise Answer(400, {"message": "file is committed"})
                entry[0] = body
                self.sent[f"{record['id']}/{key}"] += 1
            case "POST", "commit":
                if entry[0] is None or entry[1]:
                    raise Answer(400, {"message": "no content, or committed"})
                entry[1] = True
            case ("DELETE",):
                del record["files"][key]
                raise Answer(204)
            case _:
                self.lost()
        return self.entry(key, entry)

    def new(self, metadata: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
        number = str(1000 + len(self.records))
        self.records[number] = {
            "id": number,
            "parent": before["parent"] if before else f"p{number}",
            "before": before["id"] if before else None,
            "metadata": metadata,
            "pids": {},
            "published": False,
            "files": {},
        }
        return self.records[number]

    def view(self, record: dict[str, Any]) -> dict[str, Any]:
        shown = {name: record[name] for name in ("id", "metadata", "pids")}
        return {**shown, "is_published": record["published"], "parent": {"id": record["parent"]}}

    def entry(self, key: str, value: list[Any]) -> dict[str, Any]:
        data, committed = value
        if not committed:
            return {"key": key, "status": "pending"}
        return {"key": key, "status": "completed", "size": float(len(data)), "checksum": f"md5:{hashlib.md5(data).hexdigest()}"}

    def listing(self, record: dict[str, Any]) -> dict[str, Any]:
        return {"enabled": True, "entries": [self.entry(key, value) for key, value in record["files"].items()]}

    def must_be_draft(self, record: dict[str, Any]) -> None:
        if record["published"]:
            raise Answer(404, {"message": "no draft"})

    def lost(self) -> Any:
        raise Answer(405, {"message": "no such call"})

    def data(self, number: str) -> dict[str, bytes]:
        return {key: data for key, (data, _) in self.records[number]["files"].items()}


class FakeHub(Fake):
    """One data set repository of a Hub, in commits; files go to LFS unless they end as texts do.

    ``commits``: number -> {path: bytes}; ``tags``: name -> number.
    """

    TEXTS = (".md", ".json", ".yaml", ".cff", ".gitattributes")

    def __init__(self) -> None:
        super().__init__()
        self.repository: str | None = None
        self.commits: dict[str, dict[str, bytes]] = {}
        self.tags: dict[str, str] = {}
        self.head = ""
        self.blobs: dict[str, bytes] = {}

    def is_open(self, method: str, path: str) -> bool:
        return path.startswith("/lfs/")

    def commit(self, files: dict[str, bytes]) -> str:
        self.head = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[self.head] = files
        return self.head

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        if path == "/api/repos/create":
            document = json.loads(body)
            name = f"{document['organization']}/{document['name']}"
            assert document["type"] == "dataset"
            if self.repository is not None:
                raise Answer(409, {"error": "You already created this dataset repo", "url": f"{self.url}/datasets/{name}"})
            self.repository = name
            self.commit({".gitattributes": b"*.ozx filter=lfs\n"})
            return {"url": f"{self.url}/datasets/{name}"}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if path.startswith("/lfs/"):
            oid = path.rpartition("/")[2]
            if hashlib.sha256(body).hexdigest() != oid:
                raise Answer(400, {"error": "other bytes"})
            self.blobs[oid] = body
            self.sent[oid] += 1
            return {}
        if path == f"/datasets/{self.repository}.git/info/lfs/objects/batch":
            objects = []
            for item in json.loads(body)["objects"]:
                upload = {"actions": {"upload": {"href": f"{self.url}/lfs/{item['oid']}"}}}
                objects.append({**item, **({} if item["oid"] in self.blobs else upload)})
            return {"transfer": "basic", "objects": objects}
        found = re.fullmatch(rf"(?:/api)?/datasets/{re.escape(self.repository or '?')}/(\w+)(?:/(.*))?", path)
        if not found:
            raise Answer(404, {"error": "not found"}, {"X-Error-Code": "RepoNotFound"})
        verb, rest = found[1], found[2] or ""
        return getattr(self, f"{verb}_")(rest, body)

    def refs_(self, rest: str, body: bytes) -> Any:
        tags = [{"name": name, "ref": f"refs/tags/{name}", "targetCommit": commit} for name, commit in self.tags.items()]
        return {
            "branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": self.head}],
            "converts": [],
            "tags": tags,
        }

    def at(self, revision: str) -> dict[str, bytes]:
        commit = self.head if revision == "main" else self.tags.get(revision, revision)
        if commit not in self.commits:
            raise Answer(404, {"error": "no such revision"}, {"X-Error-Code": "RevisionNotFound"})
        return self.commits[commit]

    def tree_(self, rest: str, body: bytes) -> Any:
        entries = []
        for path, data in self.at(rest).items():
            entry = {
                "type": "file",
                "path": path,
                "size": len(data),
                "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(),
            }
            if not path.endswith(self.TEXTS):
                entry["oid"] = hashlib.sha1(b"pointer" + data).hexdigest()
                entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            entries.append(entry)
        return entries

    def preupload_(self, rest: str, body: bytes) -> Any:
        modes = [
            {
                "path": file["path"],
                "uploadMode": "regular" if file["path"].endswith(self.TEXTS) else "lfs",
                "shouldIgnore": False,
                "oid": None,
            }
            for file in json.loads(body)["files"]
        ]
        return {"files": modes}

    def commit_(self, rest: str, body: bytes) -> Any:
        files = dict(self.at("main"))
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            match item["key"]:
                case "header":
                    if value.get("parentCommit") not in (None, self.head):
                        raise Answer(412, {"error": "the branch has moved"})
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                    self.sent[value["path"]] += 1
                case "lfsFile":
                    files[value["path"]] = self.blobs[value["oid"]]
                case "deletedFile":
                    del files[value["path"]]
        commit = self.commit(files)
        return {"commitUrl": f"{self.url}/datasets/{self.repository}/commit/{commit}", "commitOid": commit}

    def tag_(self, rest: str, body: bytes) -> Any:
        name = json.loads(body)["tag"]
        if name in self.tags:
            raise Answer(409, {"error": "tag exists"})
        self.at(rest)
        self.tags[name] = rest
        return {}

    def resolve_(self, rest: str, body: bytes) -> Any:
        revision, _, path = rest.partition("/")
        return self.at(revision)[path]
