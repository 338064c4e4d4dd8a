"""Releases are fetched: resumed, verified, kept, or refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
import warnings
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_server import serving

from miso_gen.errors import CorruptStoreError, InputError, MisoGenWarning, OutputError, SpaceError, StoreError
from miso_gen.store import StoreRoot, create_root, fetch, finish_root, open_dataset, open_target, part, sources
from miso_gen.store.digests import root_digest
from miso_gen.store.download import RETRIES
from miso_gen.store.fetch import fetch as fetch_release
from miso_gen.store.known import known_manifests
from miso_gen.store.manifest import FileEntry, ImageEntry, Manifest
from miso_gen.store.streams import Stream, UnreachableError

FILES = {
    "README.md": b"# toy\n",
    "empty.txt": b"",
    "imports/0a.npz": bytes(range(256)) * 20,
    "index.parquet": b"PAR1" * 700,
    "train-001.ozx": random.Random(1).randbytes(40_000),
}
PACK = "train-001.ozx"


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """An empty current folder and an empty cache; no proxy, no token."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MISO_GEN_CACHE", str(tmp_path / "cache"))
    proxies = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    for name in ("MISO_GEN_DATASETS", "HF_TOKEN", "HF_ENDPOINT", *proxies):
        monkeypatch.delenv(name, raising=False)


def entry(data):
    return FileEntry(len(data), sha256(data).hexdigest())


def manifest_of(files, version="1.0.0", name="toy"):
    entries = {path: entry(data) for path, data in files.items()}
    return Manifest(name, version, "Toy", "CC0-1.0", "2026-11-21", None, "ab" * 32, root_digest([]), entries)


def release(files=FILES, version="1.0.0", name="toy"):
    return {**files, "manifest.json": manifest_of(files, version, name).to_bytes()}


def publication(*places, **texts):
    listed = [{"target": target, "url": "https://page", "files": files, "doi": None} for target, files in places]
    return json.dumps({"format": 1, "publications": listed, "files": texts}).encode()


def put(folder, files):
    for path, data in files.items():
        (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
        (Path(folder) / path).write_bytes(data)
    return Path(folder)


def holdings(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


class Diary:
    """Hears of a fetch, and writes it down."""

    def __init__(self):
        self.starts, self.sizes, self.waits, self.retries, self.paused = [], {}, [], [], threading.Event()

    def start(self, files, size):
        self.starts.append((files, size))

    def progress(self, path, size):
        self.sizes.setdefault(path, []).append(size)

    def waiting(self, path):
        self.waits.append(path)
        self.paused.set()

    def retrying(self, path, reason, wait):
        self.retries.append((path, reason, wait))


def run(source=None, name="toy@1.0.0", out=None, **more):
    """A fetch that does not sleep; what it would have slept is in ``naps`` of the diary."""
    diary, naps = more.pop("watcher", None) or Diary(), []
    result = fetch_release(name, source, out, watcher=diary, sleep=naps.append, **more)
    return SimpleNamespace(result=result, diary=diary, naps=naps)


@pytest.fixture
def web():
    with serving(release()) as server:
        yield server


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache/datasets/toy/1.0.0"


# --- whole fetches ----------------------------------------------------------------------------------------------------


def test_a_fetch(web, cache):
    done = run(web.url)
    size = sum(map(len, FILES.values()))
    assert done.result == fetch.FetchResult(str(cache), "1.0.0", len(FILES), size, downloaded=len(FILES), kept=0)
    assert holdings(cache) == release()
    assert done.diary.starts == [(len(FILES), size)]
    assert {path: sizes[-1] for path, sizes in done.diary.sizes.items() if path in FILES} == {p: len(d) for p, d in FILES.items()}
    assert done.naps == done.diary.retries == []


def test_a_second_fetch_needs_no_network(web, cache):
    run(web.url)
    web.shutdown()
    web.server_close()
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    for source in (web.url, None):
        done = run(source)
        assert (done.result.downloaded, done.result.kept) == (0, len(FILES))
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_what_is_missing_or_wrong_is_fetched_again(web, cache):
    run(web.url)
    (cache / "index.parquet").unlink()
    (cache / PACK).write_bytes(FILES[PACK][:-1] + b"x")
    web.asked.clear()
    done = run(web.url)
    assert (done.result.downloaded, done.result.kept) == (2, 3)
    assert holdings(cache) == release()
    assert {path for path, _ in web.asked} == {"manifest.json", "publication.json", "index.parquet", PACK}


def test_the_folder_is_chosen(web, tmp_path):
    for out in ("out/deep", Path("other"), tmp_path / "third"):
        assert run(web.url, out=out).result.path == str(Path(out).absolute())
        assert holdings(out) == release()


def test_every_kind_of_source(web, tmp_path, monkeypatch):
    put(tmp_path / "r", release())
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    for path, data in release().items():
        fs.pipe_file(f"/r/{path}", data)
    zenodo = {f"api/records/77/files/{path.replace('/', '--')}/content": data for path, data in release().items()}
    hub = {f"datasets/o/n/resolve/1.0.0/{path}": data for path, data in release().items()}
    web.files = {**zenodo, **hub, **{f"plain/{path}": data for path, data in release().items()}}
    monkeypatch.setenv("HF_ENDPOINT", web.url)
    monkeypatch.setattr(sources, "ZENODO", web.url)
    places = [tmp_path / "r", "memory://r", f"{web.url}/plain/", f"{web.url}/records/77", "zenodo:77", "hf:o/n"]
    for number, source in enumerate(places):
        assert run(source, out=f"out{number}").result.downloaded == len(FILES)
        assert holdings(f"out{number}") == release()


def test_s3(tmp_path):
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        options = {"endpoint_url": url, "key": "a", "secret": "b", "client_kwargs": {"region_name": "eu-west-1"}}
        fs = s3fs.S3FileSystem(**options)
        fs.mkdir("fetched")
        for path, data in release().items():
            fs.pipe_file(f"fetched/toy/1.0.0/{path}", data)
        run("s3://fetched/toy/1.0.0", out="out", options=options)
        put("datasets/toy/1.0.0", {"manifest.json": release()["manifest.json"]})
        put("datasets/toy/1.0.0", {"publication.json": publication(("s3", "s3://fetched/toy/1.0.0"))})
        run(out="two", options=options)
        assert holdings("out") == holdings("two") == release()
    finally:
        server.stop()


def test_it_opens_by_name(kit, tmp_path):
    place = tmp_path / "built"
    target = open_target(place)
    ids = ["gsp/test/0000"]
    root = create_root(target, StoreRoot("toy", "1.0.0", {}, "", {}), ids)
    planes = kit.sample((1, 80, 90))
    finish_root(target, root, [kit.write(target, f"images.zarr/{ids[0]}", planes, kit.layout_of(planes), image_id=ids[0])])
    files = holdings(place)
    with serving(release(files)) as server:
        run(server.url)
    dataset = open_dataset("toy@1.0.0")
    assert dataset.ids == ids
    assert (dataset[ids[0]].truth.all() == planes["truth"]).all()


# --- trouble on the way -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["plain", "chunked", "close"])
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_cut_anywhere(web, cache, seed, ranges, length):
    """Six of ten answers are cut somewhere; where the connection's end is the file's end, only the hash tells."""
    rng = random.Random(f"{seed} {ranges} {length}")
    cuts = {}

    def cut(path, data):
        cuts[path] = cuts.get(path, 0) + 1
        # Without ranges nothing is gained by a try, so that tries are bounded.
        often = cuts[path] <= (RETRIES if ranges is False else 12)
        return rng.randrange(len(data) + 1) if data and often and rng.random() < 0.6 else None

    web.cut, web.ranges, web.length = cut, ranges, length
    for _ in range(60):
        try:
            run(web.url)
        except StoreError:
            assert not (cache / "manifest.json").exists()
        else:
            break
    assert holdings(cache) == release()


def test_a_cut_file_goes_on_where_it_was(web, cache):
    cuts = iter([10_000, 7_000])
    web.cut = lambda path, data: next(cuts, None) if path == PACK else None
    done = run(web.url)
    assert web.starts(PACK) == [0, 10_000, 17_000]
    assert [headers["If-Range"] for path, headers in web.asked if path == PACK] == [None, *[web.etag(PACK, FILES[PACK])] * 2]
    assert holdings(cache) == release()
    assert [wait for path, _, wait in done.diary.retries] == done.naps == [1.0, 1.0]  # each try brought something
    assert sum(web.sent) == sum(map(len, release().values())) + len(b"no such file")


def test_the_next_run_goes_on_where_this_one_stopped(web, cache):
    limit = [10_000] + [0] * RETRIES
    web.cut = lambda path, data: limit.pop(0) if path == PACK and limit else None
    with pytest.raises(UnreachableError, match=rf"{PACK} must be reachable, got an end after 10000 of 40000 bytes\.") as caught:
        run(web.url)
    assert caught.value.exit_code == 1  # the work failed, not the command
    assert set(holdings(cache)) == {*FILES, f"{PACK}.part", "manifest.json.part"} - {PACK}
    web.asked.clear()
    done = run(web.url)
    assert web.starts(PACK) == [10_000]
    assert (done.result.downloaded, done.result.kept) == (1, 4)
    assert holdings(cache) == release()


def test_waits_grow_while_nothing_comes(web):
    web.answers[PACK] = [(503, {}, b"")] * 9
    done = Diary()
    naps = []
    with pytest.raises(UnreachableError, match="must be reachable, got the answer 503"):
        fetch_release("toy@1.0.0", web.url, watcher=done, sleep=naps.append)
    assert naps == [1, 2, 4, 8, 16]
    assert len(naps) == RETRIES


@pytest.mark.parametrize("path", ["manifest.json", "publication.json", PACK])
def test_a_server_that_asks_to_wait(web, cache, path):
    web.answers[path] = [(429, {"Retry-After": "33"}, b""), (500, {}, b""), (503, {"Retry-After": "4"}, b"")]
    assert run(web.url).naps == [33, 2, 4]
    assert holdings(cache) == release()


def test_the_file_changes_between_two_tries(web, cache):
    """The first answer is of another file, and cut; the right one has another ETag, and is taken from its beginning."""
    web.files[PACK] = b"x" * 40_000

    def cut(path, data):
        if path == PACK and web.files[PACK] != FILES[PACK]:
            web.files[PACK] = FILES[PACK]
            return 5000
        return None

    web.cut = cut
    run(web.url)
    assert web.starts(PACK) == [0, 5000]
    assert web.sent[-1 - len([path for path in FILES if path > PACK])] == 40_000
    assert holdings(cache) == release()


@pytest.mark.parametrize("left", [b"x" * 10, FILES[PACK][:-1] + b"x", FILES[PACK] + b"more", b"x" * 40_000])
def test_what_an_earlier_try_left_is_wrong(web, cache, left):
    put(cache, {"manifest.json.part": release()["manifest.json"], f"{PACK}.part": left})
    run(web.url)
    assert web.starts(PACK) == ([10, 0] if len(left) == 10 else [0])
    assert holdings(cache) == release()


def test_what_an_earlier_try_left_is_whole(web, cache):
    put(cache, {"manifest.json.part": release()["manifest.json"], f"{PACK}.part": FILES[PACK]})
    run(web.url)
    assert web.starts(PACK) == []
    assert holdings(cache) == release()


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"x" * 40_000, rf"40000 bytes with sha256 {sha256(b'x' * 40_000).hexdigest()}\."),
        (FILES[PACK][:-1], r"39999 bytes\."),
        (FILES[PACK] + b"x", r"40001 bytes\."),
        (b"", r"0 bytes\."),
    ],
)
def test_wrong_bytes(web, cache, data, got):
    web.files[PACK] = data
    expected = rf"{PACK} must have 40000 bytes with sha256 {sha256(FILES[PACK]).hexdigest()}, got {got}"
    with pytest.raises(CorruptStoreError, match=expected):
        run(web.url)
    assert web.starts(PACK) == [0, 0]  # once more
    assert set(holdings(cache)) == {*FILES, "manifest.json.part"} - {PACK}
    web.files[PACK] = FILES[PACK]
    assert run(web.url).result.kept == 4


def test_wrong_bytes_once(web, cache):
    web.answers[PACK] = [(200, {}, b"x" * 40_000)]
    run(web.url)
    assert holdings(cache) == release()


@pytest.mark.parametrize("length", ["chunked", "close"])
def test_no_more_is_read_than_the_size_says(web, cache, length, monkeypatch):
    web.length, web.files[PACK] = length, FILES[PACK] + b"x" * 5_000_000
    asked = []
    original = Stream.read
    monkeypatch.setattr(Stream, "read", lambda self, n: (asked.append(n), original(self, n))[1])
    with pytest.raises(CorruptStoreError, match="got more than 40000 bytes"):
        run(web.url)
    assert max(asked[-3:]) <= 40_000
    assert not (cache / f"{PACK}.part").exists()


def test_encodings_are_not_undone(web, cache):
    web.headers = {"Content-Encoding": "gzip"}
    run(web.url)
    assert holdings(cache) == release()  # the bytes are what counts, whatever they are called
    web.files[PACK] = b"\x1f\x8b" + FILES[PACK][2:]
    with pytest.raises(CorruptStoreError, match="sent it with Content-Encoding gzip"):
        run(web.url, out="out")


def test_a_file_that_is_not_there(web, cache):
    del web.files["imports/0a.npz"]
    with pytest.raises(CorruptStoreError, match=r"imports/0a\.npz must exist, got no such file"):
        run(web.url)
    assert not [path for path in holdings(cache) if path.startswith("imports")]
    assert not (cache / "manifest.json").exists()


def test_no_release(web):
    del web.files["manifest.json"]
    with pytest.raises(StoreError, match=r"manifest\.json must exist, got no such file"):
        run(web.url)
    with pytest.raises(StoreError, match=r"manifest\.json must exist, got no such file"):
        run("nowhere")


def test_stopped_by_hand(web, cache):
    class Impatient(Diary):
        def progress(self, path, size):
            if path == PACK:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(web.url, watcher=Impatient())
    assert (cache / f"{PACK}.part").stat().st_size > 0
    assert not (cache / "manifest.json").exists()
    run(web.url)
    assert web.starts(PACK)[1] > 0
    assert holdings(cache) == release()


# --- manifests that must not be trusted -------------------------------------------------------------------------------


def with_paths(paths):
    return replace(manifest_of({}), files={path: entry(b"evil") for path in paths}).to_bytes()


@pytest.mark.parametrize(
    "path", ["../evil", "/evil", "a/../../evil", "C:/evil", "a\\evil", "manifest.json", ".git/config", "a:b"]
)
def test_paths_out_of_the_folder(web, tmp_path, path):
    web.files = {path.lstrip("/"): b"evil", "manifest.json": with_paths([path])}
    with pytest.raises(CorruptStoreError, match="must be plain paths below its folder"):
        run(web.url)
    assert not [found for found in tmp_path.rglob("*") if found.is_file()]
    assert [asked for asked, _ in web.asked] == ["manifest.json"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("aA./\\:~\0é ", max_size=8), min_size=1, max_size=4, unique=True))
def test_nothing_is_written_elsewhere(tmp_path, paths):
    """A folder has whatever it is asked for; still no file appears outside of the output, and every one that it lists in it."""
    source = SimpleNamespace(
        describe=lambda path: f"evil/{path}",
        open=lambda path, start, tag: (
            Stream(lambda n: data_of(path)[start : start + n], lambda: None, start, 4)
            if path != "manifest.json"
            else Stream(lambda n: text, lambda: None, 0, len(text))
        ),
    )
    text = with_paths(paths)

    def data_of(path):
        return b"evil"

    inner = tmp_path / "world/inner"
    shutil.rmtree(tmp_path / "world", ignore_errors=True)
    work = fetch._Fetch("toy", "1.0.0", inner / "out", None, Diary(), lambda wait: None)
    try:
        work.bring(source)
    except CorruptStoreError:
        assert not inner.exists()
    else:
        assert {path for path in holdings(tmp_path / "world") if not path.startswith("inner/out/")} == set()
        assert {path for path in holdings(inner / "out") if path not in ("manifest.json", "publication.json")} == set(paths)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"format": 1, "columns": ' + b"[" * 50_000,
        b'{"format": 1}',
        b'{"format": "1"}',
        release()["manifest.json"][:-9],
        release()["manifest.json"].replace(b"40000", b"40001"),
        b"\xff\xfe",
    ],
)
def test_no_manifest(web, text, tmp_path):
    web.files["manifest.json"] = text
    with pytest.raises(CorruptStoreError, match=r"manifest\.json must be"):
        run(web.url)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"a": FileEntry(-1, "ab" * 32)}},
        {"files": {"a": FileEntry("1", "ab" * 32)}},
        {"files": {"a": FileEntry(True, "ab" * 32)}},
        {"files": {"a": FileEntry(1, None)}},
        {"files": {"a": FileEntry(1, "x")}},
        {"files": {"a": FileEntry(1 << 70, "ab" * 32)}},
    ],
)
def test_files_that_are_none(web, change):
    web.files["manifest.json"] = replace(manifest_of({}), **change).to_bytes()
    with pytest.raises(CorruptStoreError, match="without a size and a sha256"):
        run(web.url)


def test_packs_out_of_the_release(web):
    image = dict.fromkeys(["image_id", "scenario", "split", "class_name", "image_digest", "truth_digest"], "a")
    row = ImageEntry(**image, label=0, pair=None, instances_digest=None, objects_digest=None, checksum=None, pack="../evil.ozx")
    digest = root_digest([row._asdict()])
    web.files["manifest.json"] = replace(manifest_of(FILES), images={"a": row}, root_digest=digest).to_bytes()
    with pytest.raises(CorruptStoreError, match=r"images of .* must be in files that it lists, got '\.\./evil\.ozx'"):
        run(web.url)


def test_a_newer_format(web):
    web.files["manifest.json"] = web.files["manifest.json"].replace(b'"format": 1', b'"format": 2')
    with pytest.raises(StoreError, match="Upgrade"):
        run(web.url)


def test_an_endless_manifest(web, monkeypatch):
    monkeypatch.setattr(fetch, "LONGEST_MANIFEST", 100)
    with pytest.raises(CorruptStoreError, match=r"manifest\.json must have at most 100 bytes, got \d+ bytes"):
        run(web.url)
    web.length = "chunked"
    with pytest.raises(CorruptStoreError, match="got more than 100 bytes"):
        run(web.url)


def test_another_release(web):
    for name in ("toy@2.0.0", "joy@1.0.0"):
        with pytest.raises(StoreError, match=r"must hold .* got 'toy', '1.0.0'"):
            run(web.url, name=name)


def test_no_room(web, monkeypatch, cache):
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: SimpleNamespace(free=40_000))
    need = sum(map(len, FILES.values()))
    with pytest.raises(SpaceError, match=f"must have room for {need} bytes, got 40000"):
        run(web.url)
    assert web.starts(PACK) == []
    put(cache, {f"{PACK}.part": FILES[PACK][:-10]})
    run(web.url)
    assert holdings(cache) == release()


# --- the folder -------------------------------------------------------------------------------------------------------


def test_a_folder_of_something_else(web):
    put("out", {"thesis.tex": b"mine"})
    with pytest.raises(OutputError, match=r"must be new, empty, or hold some of this toy 1.0.0, got something else"):
        run(web.url, out="out")
    put("web", {"manifest.json": b'{"name": "an app"}'})
    with pytest.raises(CorruptStoreError, match=r"web/manifest\.json must be"):
        run(web.url, out="web")
    put("half", {"manifest.json.part": release(version="2.0.0")["manifest.json"]})
    with pytest.raises(OutputError, match="got another manifest"):
        run(web.url, out="half")
    put("other", release(version="2.0.0"))
    with pytest.raises(OutputError, match=r"must be the manifest of toy 1\.0\.0, got one of toy 2\.0\.0"):
        run(web.url, out="other")
    put(".", {"file": b""})
    with pytest.raises(OutputError, match="must be a folder, got the file"):
        run(web.url, out="file")
    assert holdings(".") == {
        "file": b"",
        "out/thesis.tex": b"mine",
        "web/manifest.json": b'{"name": "an app"}',
        "half/manifest.json.part": release(version="2.0.0")["manifest.json"],
        **{f"other/{path}": data for path, data in release(version="2.0.0").items()},
    }


@pytest.mark.parametrize("begun", [True, False])
def test_links_are_not_followed(web, tmp_path, begun):
    if begun:
        put("out", {"manifest.json.part": release()["manifest.json"]})
    else:
        put("out", release())
        shutil.rmtree("out/imports")
    (tmp_path / "elsewhere").mkdir()
    Path("out/imports").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="imports must be a folder, got a link"):
        run(web.url, out="out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_in_place_of_a_file(web, tmp_path):
    put(tmp_path, {"secret": b"secret", "secret2": b"secret"})
    put("out", {"manifest.json.part": release()["manifest.json"]})
    Path("out/README.md").symlink_to(tmp_path / "secret")
    Path(f"out/{PACK}.part").symlink_to(tmp_path / "secret2")
    with pytest.raises(OutputError, match=rf"{PACK}\.part must be a file, got a link"):
        run(web.url, out="out")
    Path(f"out/{PACK}.part").unlink()
    run(web.url, out="out")
    assert holdings("out") == release()
    assert not Path("out/README.md").is_symlink()
    assert (tmp_path / "secret").read_bytes() == (tmp_path / "secret2").read_bytes() == b"secret"


def test_a_folder_in_place_of_a_file(web):
    put("out", {"manifest.json.part": release()["manifest.json"], f"{PACK}/x": b""})
    with pytest.raises(OutputError, match="must be writable, got 'Is a directory'"):
        run(web.url, out="out")


def test_a_pipe_in_place_of_a_part(web):
    put("out", {"manifest.json.part": release()["manifest.json"]})
    os.mkfifo(f"out/{PACK}.part")
    with pytest.raises(OutputError, match=rf"{PACK}\.part must be a file, got something else"):
        run(web.url, out="out")


# --- two at once ------------------------------------------------------------------------------------------------------


def test_one_waits_for_the_other(web, cache):
    """The first stops in the middle of the pack until the second waits for it; the second brings nothing."""
    second, results = Diary(), {}

    class First(Diary):
        def progress(self, path, size):
            if path == PACK and not second.paused.is_set():
                thread.start()
                assert second.paused.wait(60)

    thread = threading.Thread(target=lambda: results.update(second=run(web.url, watcher=second).result))
    first = run(web.url, watcher=First()).result
    thread.join(60)
    assert (first.downloaded, first.kept) == (5, 0)
    assert (results["second"].downloaded, results["second"].kept) == (0, 5)
    assert second.waits == [PACK]
    assert web.starts(PACK) == [0]
    assert holdings(cache) == release()


@pytest.mark.parametrize("locks", [True, False])
def test_many_at_once(web, cache, locks, monkeypatch):
    if not locks:
        monkeypatch.setattr(part, "fcntl", None)
    rng = random.Random(5)
    web.cut = lambda path, data: rng.randrange(len(data)) if len(data) > 10 and rng.random() < 0.2 else None
    errors = []

    def one():
        for _ in range(20):
            try:
                return run(web.url)
            except StoreError as error:
                errors.append(str(error))
        return None

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert holdings(cache) == release()


def test_no_locks(web, cache, monkeypatch):
    monkeypatch.setattr(part, "fcntl", None)
    web.cut = lambda path, data: 5 if path == PACK else None
    web.ranges = False
    with pytest.raises(UnreachableError):
        run(web.url)
    assert set(holdings(cache)) == {*FILES, "manifest.json.part"} - {PACK}
    web.cut = lambda path, data: None
    run(web.url)
    assert holdings(cache) == release()


# --- names, versions, places ------------------------------------------------------------------------------------------


def commit(version="1.0.0", *places, data=None, **texts):
    """What a project keeps of a release."""
    folder = Path("datasets/toy") / version
    files = {"manifest.json": data or release(version=version)["manifest.json"], "recipe.yaml": b""}
    return put(folder, {**files, "publication.json": publication(*places, **texts)} if places else files)


def test_places_are_tried_in_order(web, cache):
    with serving(release()) as other:
        web.files["api/records/5/files/manifest.json/content"] = release()["manifest.json"]
        dead = "http://127.0.0.1:1/x"
        commit("1.0.0", ("zenodo", f"{web.url}/api/records/5/files"), ("s3", dead), ("hf", f"{other.url}/"))
        assert run().result.downloaded == len(FILES)
        assert web.asked[0][0] == "api/records/5/files/manifest.json/content"
        assert len([path for path, _ in other.asked if path == PACK]) == 1
    assert holdings(cache) == release()


def test_what_came_from_one_place_is_kept_for_the_next(web, cache):
    with serving(release()) as other:
        limit = [10_000] + [0] * RETRIES
        web.cut = lambda path, data: limit.pop(0) if path == PACK and limit else None
        commit("1.0.0", ("s3", web.url), ("s3", other.url))
        run()
        assert other.starts(PACK) == [10_000]
        assert not [path for path, _ in other.asked if path == "index.parquet"]
    assert holdings(cache) == release()


def test_no_place_works(web):
    web.files[PACK] = b""
    commit("1.0.0", ("s3", web.url), ("s3", "memory://nowhere"))
    with pytest.raises(StoreError, match=r"(?s)must be in one of its 2 places, got none.*train-001.*manifest\.json must exist"):
        run()
    commit("1.0.0", ("s3", web.url))
    with pytest.raises(CorruptStoreError, match=rf"^{web.url}/{PACK} must have"):
        run()
    commit("1.0.0", ("s3", "http://127.0.0.1:1/x"), ("s3", web.url))  # one of them may work later
    with pytest.raises(UnreachableError, match=r"(?s)must be in one of its 2 places, got none.*must be reachable.*train-001"):
        run()


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"publications": [1]}', b'{"publications": [{"target": "s3"}]}', b"[" * 99_999]
)
def test_no_publications(text):
    put(commit(), {"publication.json": text})
    with pytest.raises(CorruptStoreError, match=r"publication\.json must list publications"):
        run()


def test_nowhere_published():
    with pytest.raises(StoreError, match=r"address of toy must be known, got no manifest\.json of it .*--from.*miso-gen build"):
        run(name="toy")
    with pytest.raises(StoreError, match=r"--from, or build it: miso-gen build datasets/toy/1\.0\.0/recipe\.yaml$"):
        run()
    commit()
    with pytest.raises(
        StoreError, match=r"got no publication\.json beside .*: miso-gen build datasets/toy/1\.0\.0/recipe\.yaml$"
    ):
        run()
    with pytest.raises(StoreError, match=r"Did you mean '1\.0\.0'\?"):
        run(name="toy@1.0.1")
    put("datasets/toy/1.0.0", {"publication.json": publication()})
    with pytest.raises(StoreError, match=r"--from, or build it"):
        run()


def test_only_what_the_project_committed(web, cache):
    commit()
    web.files = release({**FILES, PACK: b"another"})
    with pytest.raises(CorruptStoreError, match=r"published release is not the one this project committed"):
        run(web.url)
    assert not cache.exists()
    put(cache, web.files)
    with pytest.raises(OutputError, match=r"got another than .*which this project committed"):
        run(web.url)


def test_into_the_committed_folder(web):
    folder = commit("1.0.0", ("s3", web.url))
    before = holdings(folder)
    run(out=folder)
    assert holdings(folder) == {**release(), **before}


def test_a_name_alone(web, tmp_path, monkeypatch):
    monkeypatch.setenv("MISO_GEN_DATASETS", str(tmp_path / "more"))
    web.files = {f"{v}/{path}": data for v in ("1.9.0", "1.10.0", "2.0.0-rc.1") for path, data in release(version=v).items()}
    commit("1.9.0", ("s3", f"{web.url}/1.9.0"))
    commit("1.10.0", ("s3", f"{web.url}/1.10.0"))
    assert run(name="toy").result.version == "1.10.0"
    put(tmp_path / "more/toy/2.0.0-rc.1", {"manifest.json": release(version="2.0.0-rc.1")["manifest.json"]})
    assert sorted(known_manifests("toy")) == ["1.10.0", "1.9.0", "2.0.0-rc.1"]
    assert run(f"{web.url}/2.0.0-rc.1", name="toy").result.version == "2.0.0-rc.1"
    with pytest.raises(StoreError, match=r"must hold toy, 2\.0\.0-rc\.1, got 'toy', '1\.9\.0'"):
        run(f"{web.url}/1.9.0", name="toy", out="out")


def test_the_source_says_the_version(web, cache):
    assert run(web.url, name="toy").result.path == str(cache)
    with pytest.raises(StoreError, match="must hold joy, any version, got 'toy'"):
        run(web.url, name="joy")
    with pytest.raises(InputError, match="Give NAME@VERSION"):
        run("hf:o/n", name="joy")
    web.files["manifest.json"] = release(version="../../evil")["manifest.json"]
    with pytest.raises(StoreError, match="must hold joy, any version, got 'toy'"):
        run(web.url, name="joy")
    web.files["manifest.json"] = release(version="../../evil", name="joy")["manifest.json"]
    with pytest.raises(StoreError, match=r"must hold joy, any version, got 'joy', '\.\./\.\./evil'"):
        run(web.url, name="joy")


def test_a_newer_version_is_told(web):
    commit("1.0.0")
    commit("1.1.0-rc.1")
    commit("1.1.0")
    with pytest.warns(
        MisoGenWarning, match=r"^toy@1\.1\.0 is known, and newer than toy@1\.0\.0\. Fetch it with: miso-gen fetch toy@1\.1\.0"
    ):
        run(web.url)
    shutil.rmtree("datasets/toy/1.1.0")
    shutil.rmtree("datasets/toy/1.1.0-rc.1")
    commit("0.9.0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(web.url)


@pytest.mark.parametrize(
    "name",
    ["", "Toy", "toy@", "toy@1", "toy@latest", "toy@1.0.0/x", "../toy", "toy@../1.0.0", "t" * 300, "toy@\u0661.0.0", "a/b"],
)
def test_no_name(name):
    with pytest.raises(InputError, match="name must be NAME@VERSION"):
        run("x", name=name)


# --- texts that were rendered again at publishing ---------------------------------------------------------------------

CARD = b"# toy, DOI 10.5281/zenodo.5\n"


def test_published_texts(web, cache):
    web.files["README.md"] = CARD
    with pytest.raises(CorruptStoreError, match=r"README\.md must have 6 bytes"):
        run(web.url)
    web.files["publication.json"] = publication(("s3", web.url), **{"README.md": entry(CARD)})
    run(web.url)
    assert holdings(cache) == web.files
    assert run(web.url).result.kept == len(FILES)
    shutil.rmtree(cache)
    web.files["README.md"] = FILES["README.md"]  # a folder from before is right, too
    run(web.url)
    assert holdings(cache) == web.files


def test_only_texts_may_differ(web):
    web.files[PACK] = web.files["new"] = b"evil"
    texts = {PACK: entry(b"evil"), "new": entry(b"evil"), "../evil": entry(b"evil"), "README.md": ["x"], "CITATION.cff": [4, "x"]}
    web.files["publication.json"] = publication(**texts)
    with pytest.raises(CorruptStoreError, match=f"{PACK} must have 40000 bytes"):
        run(web.url, out="out")
    assert not Path("out/new").exists()


@pytest.mark.parametrize("text", [b"<html>not found</html>", b"[1]", b"{}", b"\xff", b"[" * 99_999])
def test_a_server_that_answers_anything(web, cache, text):
    web.files["publication.json"] = text
    run(web.url)
    assert holdings(cache) == release()


def test_a_server_that_hides_what_is_not_there(web, cache):
    web.answers["publication.json"] = [(403, {}, b"")]
    run(web.url)
    assert holdings(cache) == release()


def test_a_record_that_is_there_stays(web):
    web.files["publication.json"] = publication(("s3", web.url))
    folder = commit("1.0.0", ("s3", web.url), ("s3", "s3://later"))
    run(out=folder)
    assert b"s3://later" in (folder / "publication.json").read_bytes()


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["wrong", "closed", "gone", "cut"])
def test_secrets_are_nowhere(web, trouble, capfd, caplog, tmp_path):
    secret = "s3cr3t-token"
    options = {"headers": {"Authorization": f"Bearer {secret}"}}
    if trouble == "wrong":
        web.files[PACK] = b"x" * 40_000
    elif trouble == "closed":
        web.answers[PACK] = [(403, {}, b"")]
    elif trouble == "gone":
        del web.files[PACK]
    else:
        web.cut = lambda path, data: 0 if path == PACK else None
    diary = Diary()
    with pytest.raises((StoreError, UnreachableError)) as caught:
        run(f"{web.url}/?sig={secret}", options=options, watcher=diary)
    assert {headers["Authorization"] for _, headers in web.asked} == {f"Bearer {secret}"}
    chain, error = [], caught.value
    while error is not None:
        chain.append(f"{error!r} {vars(error)}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    said = "".join(chain) + str(vars(diary)) + "".join(capfd.readouterr()) + caplog.text
    assert secret not in said
    assert not [path for path, data in holdings(tmp_path).items() if secret.encode() in data or secret in path]


def test_secrets_are_not_for_published_places(web):
    commit("1.0.0", ("s3", web.url), ("zenodo", web.url), ("hf", web.url))
    web.files[PACK] = b""
    with pytest.raises(StoreError):
        run(options={"headers": {"Authorization": "secret"}})
    assert {headers["Authorization"] for _, headers in web.asked} == {None}


def test_no_place_to_write(web):
    put(".", {"file": b""})
    with pytest.raises(OutputError, match="must be writable, got 'Not a directory'"):
        run(web.url, out="file/out")
