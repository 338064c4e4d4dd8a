"""A release is read like the store it was made of: everything equal, from anywhere, in any process."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from building import cli, tree
from pandas.testing import assert_frame_equal
from releasing import assert_equal_datasets, release_store

from miso_gen.build import build
from miso_gen.check import check
from miso_gen.describe import describe
from miso_gen.errors import CorruptStoreError, IncompleteStoreError, OutputError, StoreError, UnknownNameError
from miso_gen.geometry import Box
from miso_gen.recipe import load_recipe
from miso_gen.release.contents import contents_of
from miso_gen.release.verify import verify
from miso_gen.store import PackedTarget, open_dataset, open_target, read_manifest, validate_store

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES = "images.zarr"


@pytest.fixture(scope="module", params=["colour", "grey"])
def place(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """A store and its release."""
    return request.getfixturevalue(f"{request.param}_store"), request.getfixturevalue(f"{request.param}_release")


@pytest.fixture
def texts(colour_release: Path, tmp_path: Path) -> Path:
    """What git keeps of a release: neither packs nor tables."""
    skip = shutil.ignore_patterns("*.ozx", "*.parquet")
    return Path(shutil.copytree(colour_release, tmp_path / "datasets/colour/1.0.0", ignore=skip))


# --- the same in every way --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verified", [True, False])
def test_a_release_equals_its_store(place: tuple[Path, Path], verified: bool) -> None:
    store, release = place
    dataset = open_dataset(release, verify=verified)
    assert isinstance(dataset.target, PackedTarget)
    assert_equal_datasets(dataset, open_dataset(store))
    assert dataset.recipe == open_dataset(store).recipe
    assert open_dataset(release / IMAGES).ids == dataset.ids
    with pytest.raises(UnknownNameError, match="image must be one of"):
        dataset["cell/test/0099"]


def test_boxes(place: tuple[Path, Path]) -> None:
    store, release = (open_dataset(path) for path in place)
    rng = np.random.default_rng(0)
    for image_id in store:
        height, width = store[image_id].shape[1:]
        for name in ("image", "truth", "instances"):
            top, left = int(rng.integers(height)), int(rng.integers(width))
            box = Box(top, left, int(rng.integers(top, height)) + 1, int(rng.integers(left, width)) + 1)
            assert np.array_equal(getattr(release[image_id], name).read(box), getattr(store[image_id], name).read(box))


def test_the_target_is_that_of_the_store(place: tuple[Path, Path]) -> None:
    store, release = place
    own, other = open_dataset(release).target, open_target(store)
    files = {path: data for path, data in tree(store).items() if path != f"{IMAGES}/zarr.json"}
    folders = {path.rsplit("/", depth)[0] for path in files for depth in range(1, path.count("/") + 1)}
    assert len(files) > 100
    for path, data in files.items():
        assert own.exists(path)
        assert (own.size(path), own.read(path)) == (len(data), data)
        source = own.open(path)
        assert (source.size, source.read(3, 10), source.read(len(data) - 1, 9)) == (len(data), data[3:13], data[-1:])
        source.close()
    for path in folders:
        assert own.exists(path)
        assert (own.size(path), own.list(path)) == (None, other.list(path)), path
    names = {path.partition("/")[0] for path in tree(release)}
    assert own.list("") == sorted({name for name in names if not name.endswith(".ozx")} - {"manifest.json"} | {IMAGES})
    image_id = open_dataset(store).ids[0]
    for path in ("nothing", f"{IMAGES}/nothing", f"{IMAGES}/{image_id}/0/c/0/0/9", f"{IMAGES}/evsp/test/0099", "imports/x.npz"):
        assert not own.exists(path)
        assert (own.size(path), own.list(path)) == (None, [])
        for read in (own.read, own.open):
            with pytest.raises(FileNotFoundError, match=re.escape(path.rpartition("/")[2])):
                read(path)
    assert own.describe(f"{IMAGES}/{image_id}/zarr.json").endswith(f".ozx/{image_id}/zarr.json")
    assert repr(own) == f"PackedTarget(LocalTarget({str(release)!r}))"


def test_a_release_is_not_written_to(colour_release: Path) -> None:
    before = tree(colour_release)
    target = open_dataset(colour_release).target
    for write in (lambda: target.write("a", b""), lambda: target.remove("README.md"), lambda: target.rename("a", "b")):
        with pytest.raises(OutputError, match=r"got the release .* which can only be read"):
            write()
    assert tree(colour_release) == before


def test_nothing_is_written_by_reading(colour_release: Path) -> None:
    before = tree(colour_release)
    verify(colour_release, pixels=True, rebuild=True, sample=1)
    check(str(colour_release))
    assert tree(colour_release) == before


# --- in other processes -----------------------------------------------------------------------------------------------


def pixels_of(dataset: Any) -> list[bytes]:
    return [dataset[image_id].image.all().tobytes() + dataset[image_id].truth.all().tobytes() for image_id in dataset]


def answer(dataset: Any, answers: Any) -> None:
    answers.put(pixels_of(dataset))


def test_it_pickles(colour_release: Path) -> None:
    dataset = open_dataset(colour_release)
    expected = pixels_of(dataset)
    copy = pickle.loads(pickle.dumps(dataset))
    assert pixels_of(copy) == expected
    assert copy.target.verify
    view = pickle.loads(pickle.dumps(dataset["gsp/test/0001"]))
    assert np.array_equal(view.instances.all(), dataset["gsp/test/0001"].instances.all())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes(colour_release: Path, method: str) -> None:
    dataset = open_dataset(colour_release)
    expected = pixels_of(dataset)  # files are open when the other process starts
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    child = context.Process(target=answer, args=(dataset, answers))
    child.start()
    assert answers.get(timeout=120) == expected
    child.join(60)
    assert child.exitcode == 0
    assert pixels_of(dataset) == expected


def test_threads(colour_release: Path) -> None:
    expected = pixels_of(open_dataset(colour_release))
    dataset = open_dataset(colour_release)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: pixels_of(dataset), range(8))) == [expected] * 8


# --- behind URLs ------------------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Hands out the files below ``root``, whole or by ranges; notes what was sent."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def do_HEAD(self) -> None:
        self.reply(body=False)

    def do_GET(self) -> None:
        self.reply(body=True)

    def reply(self, body: bool) -> None:
        server: Any = self.server
        path = server.root / self.path.strip("/")
        data = path.read_bytes() if path.is_file() else b"no such file"
        status, headers = (200 if path.is_file() else 404), {"Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked and status == 200:
            first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
            status, headers["Content-Range"], data = 206, f"bytes {first}-{last}/{len(data)}", data[first : last + 1]
        server.sent.append((self.path.strip("/"), len(data) if body else 0))
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def web(colour_release: Path) -> Iterator[Any]:
    pytest.importorskip("aiohttp")
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.root, server.sent, server.daemon_threads = colour_release, [], True
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def memory(colour_release: Path) -> str:
    import fsspec

    system = fsspec.filesystem("memory")
    system.store.clear()
    for path, data in tree(colour_release).items():
        system.pipe_file(f"/place/colour/{path}", data)
    return "memory://place/colour"


@pytest.fixture(scope="module")
def bucket(colour_release: Path) -> Iterator[dict[str, Any]]:
    """Options of a local S3 whose bucket ``releases`` holds the release."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"endpoint_url": f"http://{host}:{port}", "key": "a", "secret": "b", "client_kwargs": {"region_name": "eu-west-1"}}
    system = s3fs.S3FileSystem(**options)
    system.mkdir("releases")
    for path, data in tree(colour_release).items():
        system.pipe_file(f"releases/colour/{path}", data)
    yield options
    server.stop()


@pytest.mark.parametrize("kind", ["memory", "web", "s3"])
def test_the_same_behind_a_url(kind: str, colour_store: Path, colour_release: Path, request: pytest.FixtureRequest) -> None:
    options = request.getfixturevalue("bucket") if kind == "s3" else None
    url = {"s3": "s3://releases/colour"}.get(kind) or request.getfixturevalue(kind)
    url = getattr(url, "url", url)
    dataset = open_dataset(url, options=options)
    assert_equal_datasets(dataset, open_dataset(colour_store))
    copy = pickle.loads(pickle.dumps(dataset))["gsp/test/0001"]
    assert np.array_equal(copy.image.all(), open_dataset(colour_store)["gsp/test/0001"].image.all())
    found = verify(url, options=options, rebuild=True, sample=1, workers=1)
    assert found.ok
    assert (found.kind, found.images, len(found.rebuilt)) == ("release", 12, 1)
    assert found.files == len(tree(colour_release)) - 1
    assert kind == "s3" or validate_store(url, options) == []


def test_a_store_on_a_web_server_is_verified(web: Any, colour_store: Path) -> None:
    web.root = colour_store
    found = verify(web.url, rebuild=True, sample=1)
    assert found.ok, found.problems
    assert (found.kind, found.images, len(found.rebuilt)) == ("store", 12, 1)


def test_damage_behind_a_url(memory: str, colour_release: Path) -> None:
    target = open_target(memory)
    pack = read_manifest(target).images["gsp/test/0001"].pack
    data = bytearray(target.read(pack))
    at = data.index(b"gsp/test/0001/0/c/0/0/0") + 100
    data[at] ^= 1
    target.write(pack, bytes(data))
    target.remove("LICENSE")
    assert {problem.where for problem in verify(memory).problems} == {pack, "gsp/test/0001", "LICENSE"}
    with pytest.raises(CorruptStoreError, match=rf"memory://place/colour/{pack}/gsp/test/0001/0/c/0/0/0"):
        open_dataset(memory)["gsp/test/0001"].image.all()


def test_opening_reads_little(web: Any, colour_release: Path) -> None:
    dataset = open_dataset(web.url)
    touched = {path for path, _ in web.sent}
    assert touched <= {f"{IMAGES}/zarr.json", IMAGES, "manifest.json", "index.parquet", *dataset.target.manifest.packs}
    web.sent.clear()
    view = dataset["gsp/test/0001"]
    view.image.read(Box(0, 0, 4, 4))
    (pack,) = {path for path, _ in web.sent}
    assert pack == dataset.target.manifest.images["gsp/test/0001"].pack


def test_without_verification_a_box_reads_its_chunks_only(tmp_path: Path, web: Any) -> None:
    recipe = {
        "schema": 1,
        "name": "wide",
        "canvas": {"shape": [520, 700]},
        "splits": ["test"],
        "license": "MIT",
        "date": "2026-11-21",
        "scenarios": [{"type": "evp", "morphologies": {"type": "builtin", "only": ["canary"]}}],
    }
    build(load_recipe(recipe), tmp_path / "store", workers=1, chunk=64)
    cli("release", tmp_path / "store", "-o", tmp_path / "out")
    web.root = tmp_path / "out"
    whole = {}
    for verified in (True, False):
        dataset = open_dataset(web.url, verify=verified)
        image = dataset["evp/test/0001"].image
        web.sent.clear()
        pixels = image.read(Box(70, 70, 90, 90))
        whole[verified] = sum(sent for _, sent in web.sent)
        assert np.array_equal(pixels, open_dataset(tmp_path / "store")["evp/test/0001"].image.read(Box(70, 70, 90, 90)))
    shard = (tmp_path / f"store/{IMAGES}/evp/test/0001/0/c/0/0/0").stat().st_size
    assert whole[True] > shard > 4 * whole[False]


# --- the rest of the house --------------------------------------------------------------------------------------------


def test_patches_of_a_release(place: tuple[Path, Path]) -> None:
    pytest.importorskip("torch")
    from miso_gen.data import PatchDataset

    store, release = place
    options: dict[str, Any] = {"scenario": "gsp", "size": 32, "background": "keep", "truth": True, "instances": True}
    own, other = PatchDataset(release, **options), PatchDataset(store, **options)
    assert len(own) == len(other) > 3
    for number in range(0, len(own), 3):
        one, two = own[number], other[number]
        assert one.keys() == two.keys()
        for name, value in two.items():
            assert np.array_equal(np.asarray(one[name]), np.asarray(value)), name


def test_by_name(colour_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MISO_GEN_DATASETS", str(tmp_path / "shelf"))
    shutil.copytree(colour_release, tmp_path / "shelf/colour/1.0.0")
    for name in ("colour@1.0.0", "colour"):
        assert open_dataset(name).ids == open_dataset(colour_release).ids
        assert verify(name).ok
    assert describe("colour@1.0.0")["version"] == "1.0.0"
    assert contents_of("colour@1.0.0") == read_manifest(open_target(colour_release))
    done = cli("info", "colour@1.0.0")
    assert "colour 1.0.0: complete, 12 of 12 images" in done.output
    with pytest.raises(StoreError, match=r"Did you mean 'colour@1\.0\.0'"):
        open_dataset("colour@1.0.1")


def test_the_texts_alone(texts: Path, colour_release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = r"must hold the images of colour@1\.0\.0, got its manifest\.json alone\. Build them: miso-gen build "
    for read in (open_dataset, validate_store, describe):
        with pytest.raises(StoreError, match=message):
            read(str(texts))
    with pytest.raises(StoreError, match=r"got the texts of colour@1\.0\.0 alone\. Build them"):
        verify(texts)
    monkeypatch.chdir(texts.parents[2])
    with pytest.raises(StoreError, match=r"got its manifest\.json in datasets/colour/1\.0\.0 alone\. Build them"):
        open_dataset("colour@1.0.0")
    assert contents_of(texts) == contents_of("colour@1.0.0") == contents_of("colour") == contents_of(colour_release)


def test_an_unfinished_fetch(colour_release: Path, tmp_path: Path) -> None:
    """It is told from a store that is none, whatever is asked of it."""
    (tmp_path / "manifest.json.part").write_bytes((colour_release / "manifest.json").read_bytes())
    message = r"must hold a whole release, got a download that has not finished\. Run the same miso-gen fetch again"
    for read in (open_dataset, validate_store, describe, verify, contents_of):
        with pytest.raises(IncompleteStoreError, match=message):
            read(str(tmp_path))
    for command in ("verify", "info", "check"):
        done = cli(command, tmp_path)
        assert done.exit_code == 2
        assert "a download that has not finished" in done.output


def test_the_texts_are_built_again(texts: Path, colour_store: Path) -> None:
    """A clone has the recipe and what it imported; its build is the release."""
    done = cli("build", texts / "recipe.yaml", "-o", texts, "--workers", "1")
    assert done.exit_code == 0
    own = tree(texts)
    assert {path: own[path] for path in tree(colour_store)} == tree(colour_store)
    found = verify(texts)
    assert found.ok, found.problems
    assert found.kind == "store and release"
    assert found.compared_with == "release 1.0.0"
    done = cli("verify", texts, "--quiet")
    assert "bit-identical to release 1.0.0" in done.output


def test_description_and_checks(place: tuple[Path, Path]) -> None:
    store, release = place
    own, other = describe(str(release)), describe(str(store))
    for facts in (own, other):
        assert facts.pop("bytes") > 10_000
    assert own.pop("generator") == {}  # it stands in lock.json
    assert json.loads((release / "lock.json").read_bytes())["built_with"].items() <= other.pop("generator").items()
    assert own == other
    assert {**check(str(release)).to_dict(), "store": ""} == {**check(str(store)).to_dict(), "store": ""}
    assert validate_store(release) == []


def test_a_release_is_built_again(place: tuple[Path, Path], tmp_path: Path) -> None:
    store, release = place
    done = cli("build", release, "-o", tmp_path / "again", "--workers", "1")
    assert done.exit_code == 0
    assert tree(tmp_path / "again") == tree(store)
    assert_equal_datasets(open_dataset(tmp_path / "again"), open_dataset(release))
    assert tree(release_store(tmp_path / "again", tmp_path / "released")) == tree(release)


def test_a_picture_of_a_release(place: tuple[Path, Path], tmp_path: Path) -> None:
    store, release = place
    pictures = []
    for number, path in enumerate((store, release)):
        assert cli("view", path, "gsp/test/0002", "-o", tmp_path / f"{number}.png").exit_code == 0
        pictures.append((tmp_path / f"{number}.png").read_bytes())
    assert pictures[0] == pictures[1]


def test_packs_of_another_release(colour_release: Path, grey_release: Path, tmp_path: Path) -> None:
    """A manifest and the packs of something else, under the names it expects."""
    folder = Path(shutil.copytree(grey_release, tmp_path / "mixed"))
    for path in folder.glob("*.ozx"):
        path.write_bytes((colour_release / path.name).read_bytes() if (colour_release / path.name).exists() else b"")
    with pytest.raises(CorruptStoreError, match=r"packs of .* must be of grey 1\.0\.0 .* got colour 1\.0\.0"):
        open_dataset(folder)
    assert {problem.where for problem in verify(folder).problems} >= {path.name for path in folder.glob("*.ozx")}


def test_equal_tables(place: tuple[Path, Path]) -> None:
    """The table of a split is the index, its packs and small pictures; any reader of Parquet opens it."""
    import io

    import pandas as pd
    from PIL import Image

    store, release = place
    table = open_dataset(store).table.drop(columns="histogram")
    manifest = read_manifest(open_target(release))
    for split in ("train", "test"):
        found = pd.read_parquet(release / f"{split}.parquet")
        expected = table[table["split"] == split].reset_index(drop=True)
        assert_frame_equal(found[list(expected.columns)], expected)
        assert found["pack"].tolist() == [manifest.images[image_id].pack for image_id in expected["image_id"]]
        for image_id, picture in zip(found["image_id"], found["preview"], strict=True):
            height, width = open_dataset(store)[image_id].shape[1:]
            with Image.open(io.BytesIO(picture["bytes"])) as drawn:
                assert max(drawn.size) <= 128
                assert abs(drawn.width / drawn.height - width / height) < 0.05
