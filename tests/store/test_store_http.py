"""The same store elsewhere: on a web server and in object stores, as a folder and as an archive."""

from __future__ import annotations

import multiprocessing
import pickle
import re
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from miso_gen.errors import CorruptStoreError, MissingExtraError, OutputError, StoreError
from miso_gen.geometry import Box
from miso_gen.store import StoreRoot, create_root, finish_root, open_dataset, open_target, validate_store
from miso_gen.store.url import WebTarget

pytest.importorskip("aiohttp")

IDS = ["gsp/test/0000", "md/train/0001"]


class Server(ThreadingHTTPServer):
    """Hands out the files below a folder, whole or by ranges, and notes who asked for what; lists no folder."""

    daemon_threads = True

    def __init__(self, root):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.asked = root, []
        self.ranges = self.length = True
        self.status, self.token = None, None
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A reader that hangs up is no trouble."""

    def bodies(self):
        """Bytes that were sent, by request for a body."""
        return [sent for method, _, _, sent in self.asked if method == "GET"]

    def listings(self):
        """Folders that were asked for."""
        return [path for _, path, _, _ in self.asked if (self.root / path).is_dir()]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: two would wait for the answer to the first

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        name = self.path.partition("?")[0].strip("/")
        path = self.server.root / name
        asked = self.headers.get("Range")
        if self.server.token and self.headers.get("Authorization") != self.server.token:
            status, data, headers = 403, b"no", {}
        elif self.server.status:
            status, data, headers = self.server.status, b"sorry", {}
        elif not path.is_file():
            status, data, headers = 404, b"no such file", {}
        else:
            status, data, headers = 200, path.read_bytes(), {"Accept-Ranges": "bytes"}
            if asked and self.server.ranges:
                first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", asked).groups())
                if first > last or first >= len(data):
                    status, data = 416, b""
                else:
                    status, headers["Content-Range"] = 206, f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}"
                    data = data[first : last + 1]
        self.server.asked.append((self.command, name, asked, len(data) if body else 0))
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if self.server.length:
            self.send_header("Content-Length", str(len(data)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def folder(kit, new_folder):
    """A complete store of two images of several shards and chunks, one with objects; beside it an archive of it."""
    place = new_folder() / "toy"
    target = open_target(place)
    root = create_root(target, StoreRoot("toy", "1.0.0", {"schema": 1}, "ab" * 32, {}), IDS)
    records = []
    for seed, image_id in enumerate(IDS):
        planes = kit.sample((3, 600, 530), seed=seed)
        layout = kit.layout_of(planes, instances=not seed, chunk=128, shard=512)
        objects = None if seed else kit.table()
        records.append(kit.write(target, f"images.zarr/{image_id}", planes, layout, image_id=image_id, objects=objects))
    finish_root(target, root, records)
    for name, method in (("toy.zip", zipfile.ZIP_STORED), ("small.zip", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(place.parent / name, "w", method) as file:
            for path in sorted(place.rglob("*")):
                file.write(path, path.relative_to(place.parent))
    return place


@pytest.fixture
def web(folder):
    server = Server(folder.parent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def s3(folder):
    """Options of a local S3 whose bucket ``elsewhere`` holds the store and its archives."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"endpoint_url": f"http://{host}:{port}", "key": "a", "secret": "b", "client_kwargs": {"region_name": "eu-west-1"}}
    fs = s3fs.S3FileSystem(**options)
    fs.mkdir("elsewhere")
    for path in folder.parent.rglob("*"):
        if path.is_file():
            fs.pipe_file(f"elsewhere/{path.relative_to(folder.parent).as_posix()}", path.read_bytes())
    yield options
    server.stop()


def same_dataset(one, other):
    assert one.root == other.root
    assert (one.ids, one.scenarios, one.splits) == (other.ids, other.scenarios, other.splits)
    assert_frame_equal(one.table, other.table)
    assert_frame_equal(one.objects, other.objects)
    for image_id in other:
        view, expected = one[image_id], other[image_id]
        assert view.attributes == expected.attributes
        assert np.array_equal(view.summary, expected.summary)
        for name in ("image", "truth", "instances"):
            pixels = getattr(expected, name).all()
            for box in (Box(0, 0, 1, 1), Box(60, 60, 70, 200), Box(500, 400, 600, 530)):
                assert np.array_equal(getattr(view, name).read(box), pixels[..., box.top : box.bottom, box.left : box.right])
            assert np.array_equal(getattr(view, name).all(), pixels)
        assert (view.objects is None) == (expected.objects is None)
        if expected.objects is not None:
            assert list(view.objects.rows()) == list(expected.objects.rows())
    return True


@pytest.mark.parametrize("name", ["toy", "toy.zip", "small.zip"])
@pytest.mark.parametrize("kind", ["local", "s3", "web"])
def test_the_same_everywhere(folder, kind, name, request):
    options = request.getfixturevalue("s3") if kind == "s3" else None
    place = {"local": folder.parent, "s3": "s3://elsewhere"}.get(kind) or request.getfixturevalue("web").url
    dataset = open_dataset(f"{place}/{name}", options=options)
    assert same_dataset(dataset, open_dataset(folder))
    copy = pickle.loads(pickle.dumps(dataset))[IDS[0]]
    assert np.array_equal(copy.truth.all(), dataset[IDS[0]].truth.all())
    if kind != "web" or name != "toy":
        assert validate_store(f"{place}/{name}", options) == []


def answer(dataset, answers):
    answers.put([dataset[image_id].truth.all().tobytes() for image_id in dataset])


@pytest.mark.parametrize("name", ["toy", "toy.zip"])
def test_forks(web, folder, name):
    dataset = open_dataset(f"{web.url}/{name}")
    dataset[IDS[0]].truth.all()
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=answer, args=(dataset, answers))
    child.start()
    expected = open_dataset(folder)
    assert answers.get(timeout=60) == [expected[image_id].truth.all().tobytes() for image_id in expected]
    child.join(60)
    assert child.exitcode == 0


# --- what goes over the wire ------------------------------------------------------------------------------------------


def test_nothing_is_listed(web, folder):
    dataset = open_dataset(f"{web.url}/toy")
    root = "toy/images.zarr/zarr.json"
    assert [path for _, path, _, _ in web.asked] == [root, root, "toy/index.parquet"]
    same_dataset(dataset, open_dataset(folder))
    assert web.listings() == []
    assert {path for _, path, _, _ in web.asked} <= {path.relative_to(folder.parent).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("name", ["toy", "toy.zip"])
def test_a_box_reads_its_chunks_only(web, folder, name):
    image = open_dataset(f"{web.url}/{name}")[IDS[0]].image
    image.read(Box(0, 0, 5, 5))
    web.asked.clear()
    pixels = image.read(Box(70, 70, 140, 120))
    assert np.array_equal(pixels, open_dataset(folder)[IDS[0]].image.read(Box(70, 70, 140, 120)))
    assert len(web.asked) == 2  # chunks (0, 0) and (1, 0)
    assert all(sent <= 3 * 128 * 128 + 100 for sent in web.bodies())
    web.asked.clear()
    image.read(Box(520, 515, 530, 525))  # another shard: its length, its index, one chunk
    methods = [method for method, _, _, _ in web.asked]
    assert methods == (["HEAD", "GET", "GET"] if name == "toy" else ["GET", "GET", "GET"])
    assert sum(web.bodies()) < 3 * 128 * 128 + 100 + 16 * 16 + 100


def test_an_archive_is_opened_by_three_requests(web, folder):
    open_dataset(f"{web.url}/toy.zip?download=1")
    size = (folder.parent / "toy.zip").stat().st_size
    parts = [(method, asked) for method, _, asked, _ in web.asked]
    assert parts[:2] == [("HEAD", None), ("GET", f"bytes={size - (1 << 18)}-{size - 1}")]
    assert len(parts) == 4  # then root and index
    assert all(asked for method, asked in parts if method == "GET")
    assert size > 3 * (1 << 18)


def test_an_object_store_sends_chunks_only(s3, monkeypatch):
    from miso_gen.store.url import UrlTarget

    image = open_dataset("s3://elsewhere/toy", options=s3)[IDS[0]].image
    image.read(Box(0, 0, 5, 5))
    sent = []
    original = UrlTarget.read_range
    monkeypatch.setattr(UrlTarget, "read_range", lambda self, path, start, n: (sent.append(n), original(self, path, start, n))[1])
    monkeypatch.setattr(UrlTarget, "read", None)
    image.read(Box(70, 70, 140, 120))
    assert len(sent) == 2
    assert max(sent) <= 3 * 128 * 128 + 100


def test_options_are_sent(web):
    web.token = "Bearer x"
    with pytest.raises(StoreError, match="must be reachable, got ClientResponseError: 403"):
        open_dataset(f"{web.url}/toy")
    with pytest.raises(StoreError, match="must be reachable, got ClientResponseError: 403"):
        open_dataset(f"{web.url}/toy.zip")
    for name in ("toy", "toy.zip"):
        assert open_dataset(f"{web.url}/{name}", options={"headers": {"Authorization": "Bearer x"}}).ids == IDS


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nothing", "nothing.zip", "toy/images.zarr/gsp"])
def test_no_store(web, name):
    with pytest.raises(StoreError, match=f"{name} must be a miso-gen store, got no such path"):
        open_dataset(f"{web.url}/{name}")
    assert web.listings() == []


@pytest.mark.parametrize("name", ["toy", "toy.zip"])
def test_no_server(web, name):
    web.shutdown()
    web.server_close()
    with pytest.raises(StoreError, match="must be reachable, got ClientConnectorError"):
        open_dataset(f"{web.url}/{name}")


@pytest.mark.parametrize("name", ["toy", "toy.zip"])
def test_a_server_in_trouble_is_no_missing_file(web, name):
    web.status = 500
    with pytest.raises(StoreError, match="must be reachable, got ClientResponseError: 500"):
        open_dataset(f"{web.url}/{name}")
    web.status = None
    image = open_dataset(f"{web.url}/{name}")[IDS[0]].image
    web.status = 503
    with pytest.raises(StoreError, match="must be reachable, got ClientResponseError: 503"):
        image.all()


@pytest.mark.parametrize("name", ["toy", "toy.zip"])
def test_a_server_without_ranges(web, name):
    web.ranges = False
    with pytest.raises(StoreError, match=r"must answer requests for ranges of bytes, got \d+ bytes for \d+"):
        open_dataset(f"{web.url}/{name}")[IDS[0]].image.all()


@pytest.mark.parametrize("name", ["toy", "toy.zip"])
def test_a_server_that_tells_no_length(web, name):
    web.length = False
    with pytest.raises(StoreError, match="must say how long the file is, got no Content-Length"):
        open_dataset(f"{web.url}/{name}")[IDS[0]].image.all()


def test_missing_files_are_named(kit, new_folder):
    place = new_folder() / "toy"
    target = open_target(place)
    root = create_root(target, StoreRoot("toy", "1.0.0", {}, "", {}), IDS[:1])
    planes = kit.sample((1, 80, 90))
    finish_root(target, root, [kit.write(target, f"images.zarr/{IDS[0]}", planes, kit.layout_of(planes), image_id=IDS[0])])
    server = Server(place)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        view = open_dataset(server.url)[IDS[0]]
        target.remove(f"images.zarr/{IDS[0]}/0/c/0/0/0")
        with pytest.raises(CorruptStoreError, match=r"0/c/0/0/0 must exist, got no such file"):
            view.image.all()
        target.remove(f"images.zarr/{IDS[0]}/zarr.json")
        with pytest.raises(CorruptStoreError, match=r"zarr\.json must exist, got no such file"):
            _ = view.attributes
        target.remove("index.parquet")
        with pytest.raises(CorruptStoreError, match=r"index\.parquet must exist in a complete store"):
            open_dataset(server.url)
        create_root(target, root, IDS[:1])
        with pytest.raises(StoreError, match="must be in a place that lists its files, got a web server"):
            open_dataset(server.url, incomplete=True)
    finally:
        server.shutdown()
        server.server_close()


def test_nothing_is_written(web):
    from miso_gen.build import build

    target = open_target(f"{web.url}/toy")
    assert isinstance(target, WebTarget)
    assert repr(target) == f"WebTarget('{web.url}/toy')"
    assert (target.exists("index.parquet"), target.exists("nothing"), target.exists("")) == (True, False, False)
    for act in (lambda: target.write("a", b"a"), lambda: target.remove("a")):
        with pytest.raises(OutputError, match=r"output must be a folder or an object store, got http.* on a web server"):
            act()
    with pytest.raises(StoreError, match="web server"):
        build("tutorial-01-first", f"{web.url}/new", workers=1)
    assert {method for method, _, _, _ in web.asked} <= {"GET", "HEAD"}


def test_a_missing_package_names_its_extra(monkeypatch):
    import fsspec

    def missing(*_, **__):
        raise ImportError("needs aiohttp")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    for url in ("https://host/toy", "http://host/toy.zip"):
        with pytest.raises(MissingExtraError, match=r"'aiohttp', which is not installed. Run: pip install 'miso-gen\[http\]'"):
            open_target(url)


def test_a_local_path_is_no_url(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert open_dataset(Path("toy.zip")).ids == open_dataset("toy").ids == IDS
