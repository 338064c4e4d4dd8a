"""Publishing to object storage: S3 as moto plays it, a folder, memory."""

from __future__ import annotations

import hashlib
import random
import threading
from base64 import b64decode
from collections import Counter

import fsspec
import pytest
from fakes import TOKEN
from release_folder import TEXTS, contents, make_release, texts

from miso_gen.errors import InputError, MissingExtraError, WorkError
from miso_gen.release.publication import read_publication
from miso_gen.release.publishing import publish, storage
from miso_gen.store import open_target


class Wire:
    """What the server gets: a layer around moto that notes requests, and makes some go wrong."""

    def __init__(self, app):
        self.app, self.lock = app, threading.RLock()
        self.clear()

    def clear(self):
        self.requests, self.sent, self.faults = [], Counter(), lambda method, path: None

    def __call__(self, environ, start):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        query = environ.get("QUERY_STRING", "")
        head = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
        with self.lock:
            fault = self.faults(method, path)
            if fault == "refuse":
                start("503 Service Unavailable", [("Content-Type", "text/plain"), ("Content-Length", "0")])
                return [b""]
            status = []

            def begin(line, headers, *rest):
                status.append(int(line.split()[0]))
                return (lambda _: None) if fault == "lost" else start(line, headers, *rest)

            answer = b"".join(self.app(environ, begin))
            self.requests.append((method, f"{path}?{query}" if query else path, head, status[0]))
            if method == "PUT" and status[0] == 200:
                self.sent[f"{path}?{query.partition('&uploadId')[0]}"] += 1
            if fault == "lost":
                start("503 Service Unavailable", [("Content-Type", "text/plain"), ("Content-Length", "0")])
                return [b""]
            return [answer]


@pytest.fixture(scope="module")
def moto():
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    wire = server._server.app = Wire(server._server.app)
    options = {
        "endpoint_url": f"http://{host}:{port}",
        "key": "a",
        "secret": TOKEN,
        "client_kwargs": {"region_name": "eu-west-1"},
        "config_kwargs": {"retries": {"total_max_attempts": 1}},
    }
    s3fs.S3FileSystem(**options).mkdir("published")
    yield wire, options
    server.stop()


@pytest.fixture
def s3(moto, monkeypatch):
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)  # it has waits of its own
    moto[0].clear()
    return moto


@pytest.fixture
def release(tmp_path):
    make_release(tmp_path / "toy")
    return tmp_path / "toy"


@pytest.fixture(params=["s3", "file", "memory"])
def place(request, tmp_path):
    import fsspec

    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    if request.param == "s3":
        return f"s3://published/{name}/", request.getfixturevalue("s3")[1]
    if request.param == "file":
        return f"file://{tmp_path}/there", {}
    fsspec.filesystem("memory").store.clear()
    return f"memory://{name}", {}


def send(folder, place, waits=None, **options):
    sleep = (waits if waits is not None else []).append
    return publish(folder, place[0], **{"describe": texts, "options": place[1], "sleep": sleep, **options})


def remote(place, version="1.0.0"):
    target = open_target(f"{place[0].rstrip('/')}/toy/{version}", place[1])

    def files(path):
        found = {}
        for name in target.list(path):
            inner = f"{path}/{name}" if path else name
            size = target.size(inner)
            found.update(files(inner) if size is None else {inner: target.read(inner)})
        return found

    return files("")


def test_a_release_becomes_a_folder(place, release):
    waits = []
    result = send(release, place, waits)
    assert remote(place) == contents(release)
    url = f"{place[0].rstrip('/')}/toy/1.0.0"
    assert (result.publication.target, result.publication.url, result.publication.files) == ("s3", url, url)
    record = read_publication(open_target(release))
    assert record.publications == (result.publication,)
    assert sorted(record.files) == sorted(TEXTS)
    assert (waits, result.already, result.files) == ([], False, len(contents(release)))


def test_publishing_again_changes_nothing(place, release):
    send(release, place)
    before, there = contents(release), remote(place)
    assert send(release, place).already
    assert (contents(release), remote(place)) == (before, there)


def test_a_version_with_other_files_is_refused(place, release, tmp_path):
    send(release, place)
    there = remote(place)
    make_release(tmp_path / "again", seed=3)
    with pytest.raises(InputError, match=r"version 1\.0\.0 of toy must be new.*published already.*raise the version"):
        send(tmp_path / "again", place)
    assert remote(place) == there
    assert not (tmp_path / "again" / "publication.json").exists()


def test_versions_lie_beside_each_other(place, release, tmp_path):
    send(release, place)
    make_release(tmp_path / "later", version="1.1.0")
    send(tmp_path / "later", place)
    assert remote(place) == contents(release)
    assert remote(place, "1.1.0") == contents(tmp_path / "later")


def test_what_is_there_is_kept_and_what_is_other_replaced(place, release):
    target = open_target(f"{place[0].rstrip('/')}/toy/1.0.0", place[1])
    target.write("recipe.yaml", b"schema: 1\n")
    target.write("index.parquet", b"other")
    told = []

    class Watcher:
        def start(self, files, size):
            told.append((files, size))

        def sent(self, path, size, *, kept):
            told.append((path, size, kept))

    send(release, place, watcher=Watcher())
    assert remote(place) == contents(release)
    files = contents(release)
    assert told[0] == (len(files), sum(map(len, files.values())))
    assert told[1:] == [(path, len(data), path == "recipe.yaml") for path, data in files.items() if path != "manifest.json"]


def test_a_dry_run_touches_nothing(place, release, tmp_path):
    before = contents(tmp_path)
    result = send(release, place, dry_run=True)
    assert contents(tmp_path) == before
    assert remote(place) == {}
    assert result.publication.url.endswith("/toy/1.0.0")
    sizes = {call.url: call.size for call in result.calls if call.method == "PUT"}
    assert result.calls[-1].url.endswith("/manifest.json")
    send(release, place)
    assert sizes == {f"{result.publication.url}/{path}": len(data) for path, data in contents(release).items()}


def test_a_dry_run_tells_every_request(s3, release):
    wire, options = s3
    place = ("s3://published/dry", options)
    result = send(release, place, dry_run=True)
    assert wire.requests == []
    send(release, place)
    told = [(call.method, call.url.removeprefix("s3:/")) for call in result.calls]
    assert [(method, path) for method, path, *_ in wire.requests] == told


def test_every_request_carries_its_checksum(s3, release):
    wire, options = s3
    send(release, ("s3://published/sums", options))
    puts = {path.partition("/toy/1.0.0/")[2]: head for method, path, head, _ in wire.requests if method == "PUT"}
    files = contents(release)
    assert puts.keys() == files.keys()
    for path, head in puts.items():
        assert b64decode(head["x-amz-checksum-sha256"]).hex() == hashlib.sha256(files[path]).hexdigest()
        assert head["x-amz-meta-sha256"] == hashlib.sha256(files[path]).hexdigest()
        assert head.get("if-none-match") == ("*" if path == "manifest.json" else None)
    assert [path for method, path, *_ in wire.requests if method == "PUT"][-1].endswith("/manifest.json")


def test_large_files_go_in_parts_with_checksums(s3, release, monkeypatch):
    wire, options = s3
    part = 5 << 20
    monkeypatch.setattr(storage, "PART", part)
    data = random.Random(1).randbytes(2 * part + 17)
    make_release(release, large_ozx=data)
    plan = send(release, ("s3://published/parts", options), dry_run=True)
    send(release, ("s3://published/parts", options))
    assert remote(("s3://published/parts", options)) == contents(release)
    name = "/published/parts/toy/1.0.0/large.ozx"
    puts = [(path, head) for method, path, head, _ in wire.requests if method == "PUT" and path.startswith(name)]
    assert [b64decode(head["x-amz-checksum-sha256"]).hex() for _, head in puts] == [
        hashlib.sha256(data[start : start + part]).hexdigest() for start in range(0, len(data), part)
    ]
    begun = [head for method, path, head, _ in wire.requests if method == "POST" and path == f"{name}?uploads"]
    assert [(head["x-amz-checksum-algorithm"], head["x-amz-meta-sha256"]) for head in begun] == [
        ("SHA256", hashlib.sha256(data).hexdigest())
    ]
    sizes = [call.size for call in plan.calls if call.url.startswith("s3://published/parts/toy/1.0.0/large.ozx?partNumber")]
    assert sizes == [part, part, 17]
    wire.clear()
    assert send(release, ("s3://published/parts", options)).already
    assert not [method for method, *_ in wire.requests if method in ("PUT", "POST")]


def test_parts_are_few_enough():
    assert storage.part_size(1) == 1 << 26
    size = storage.OBJECT_SIZE
    assert -(-size // storage.part_size(size)) <= 10_000
    assert storage.part_size(size) <= 5 << 30


@pytest.mark.parametrize("seed", range(8))
def test_answers_that_get_lost(s3, release, seed):
    wire, options = s3
    rng = random.Random(seed)
    left = [10]

    def faults(method, path):
        if left[0] and rng.random() < 0.3:
            left[0] -= 1
            return rng.choice(["refuse", "lost"])
        return None

    wire.faults = faults
    place, waits = (f"s3://published/lost-{seed}", options), []
    for _ in range(10):
        try:
            send(release, place, waits)
        except WorkError:
            continue
        break
    else:
        pytest.fail("never published")
    assert waits
    wire.faults = lambda *_: None
    assert remote(place) == contents(release)
    assert set(wire.sent.values()) == {1}
    order = [path for method, path, _, status in wire.requests if method == "PUT" and status == 200]
    assert order[-1].endswith("/manifest.json")


def test_a_stop_is_finished(s3, release):
    wire, options = s3
    place = ("s3://published/stop", options)
    wire.faults = lambda method, path: "refuse" if method == "PUT" and path.endswith("train-001.ozx") else None
    waits = []
    with pytest.raises(WorkError, match="6 times"):
        send(release, place, waits)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert "manifest.json" not in remote(place)
    assert not (release / "publication.json").exists()
    wire.faults = lambda *_: None
    send(release, place)
    assert remote(place) == contents(release)
    assert set(wire.sent.values()) == {1}


def test_two_that_publish_at_once(s3, release, tmp_path):
    """The manifest of another appears between the look and the end."""
    wire, options = s3
    place = ("s3://published/race", options)
    target = open_target("s3://published/race/toy/1.0.0", options)

    def faults(method, path):
        if method == "PUT" and path.endswith("manifest.json"):
            wire.faults = lambda *_: None
            threading.Thread(target=target.write, args=("manifest.json", b"another")).start()
            return "refuse"
        return None

    wire.faults = faults

    def sleep(_):
        while target.size("manifest.json") is None:
            pass

    with pytest.raises(InputError, match=r"published already.*with another manifest"):
        send(release, place, sleep=sleep)
    assert target.read("manifest.json") == b"another"


def test_no_bucket_and_no_permission(s3, release):
    wire, options = s3
    with pytest.raises(InputError, match="must be in a bucket that exists"):
        send(release, ("s3://nowhere/x", options))

    def denied(environ, start):
        start("403 Forbidden", [("Content-Type", "application/xml")])
        body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    app, wire.app = wire.app, denied
    try:
        with pytest.raises(InputError, match=r"your credentials may read, write and list.*AWS_ACCESS_KEY_ID") as caught:
            send(release, ("s3://published/denied", options))
    finally:
        wire.app = app
    assert TOKEN not in str(caught.getrepr(style="long", chain=True))


@pytest.mark.parametrize(
    ("url", "error", "expected", "message"),
    [
        ("gs://b/p", ImportError("Install gcsfs"), MissingExtraError, r"pip install 'miso-gen\[gcs\]'"),
        (
            "sftp://h/p",
            ImportError('requires "paramiko"'),
            InputError,
            r'sftp://: requires "paramiko"\. Install what',
        ),
        ("hdfs://h/p", OSError("Unable to load libjvm\nand more"), InputError, "hdfs://: Unable to load libjvm"),
    ],
)
def test_packages_that_are_not_there(release, monkeypatch, url, error, expected, message):
    """Only extras that there are stand in an advice."""

    def missing(*_, **__):
        raise error

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(expected, match=message) as caught:
        send(release, (url, {}))
    assert ("miso-gen[" in str(caught.value)) == (expected is MissingExtraError)


def test_publishing_to_a_second_place_keeps_the_first(release, tmp_path):
    first, second = ((f"file://{tmp_path}/{name}", {}) for name in ("one", "two"))
    send(release, first)
    there = remote(first)
    result = send(release, second)
    record = read_publication(open_target(release))
    assert [place.url for place in record.publications] == [f"{place[0]}/toy/1.0.0" for place in (first, second)]
    assert result.publication == record.publications[1]
    assert remote(first) == there
    assert remote(second) == contents(release)
