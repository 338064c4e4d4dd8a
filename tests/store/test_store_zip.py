"""Stores in zip archives: every way to zip one, damage, and what a read touches."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import pickle
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from miso_gen.errors import CorruptStoreError, IncompleteStoreError, MisoGenError, OutputError, StoreError
from miso_gen.geometry import Box
from miso_gen.store import StoreRoot, create_root, finish_root, local, open_dataset, open_target, validate_store
from miso_gen.store.root import root_text
from miso_gen.store.url import UrlTarget
from miso_gen.store.zip import ZipTarget, _Kept

IDS = ["gsp/test/0000", "md/train/0001"]


@pytest.fixture(scope="module")
def folder(kit, new_folder):
    """A complete store of two images of several shards and chunks, one with objects."""
    place = new_folder() / "toy"
    target = open_target(place)
    root = create_root(target, StoreRoot("toy", "1.0.0", {"schema": 1}, "ab" * 32, {}), IDS)
    records = []
    for seed, image_id in enumerate(IDS):
        planes = kit.sample((3, 300, 310), seed=seed)
        layout = kit.layout_of(planes, instances=not seed, chunk=64, shard=256)
        objects = None if seed else kit.table()
        records.append(kit.write(target, f"images.zarr/{image_id}", planes, layout, image_id=image_id, objects=objects))
    finish_root(target, root, records)
    return place


def pack(folder, archive, *, below="", method=zipfile.ZIP_DEFLATED, skip=lambda name: False, force_zip64=False):
    """Zip a store by Python's own hand."""
    with zipfile.ZipFile(archive, "w", method) as file:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_dir() or skip(name):
                continue
            info = zipfile.ZipInfo(below + name)
            info.compress_type = method
            with file.open(info, "w", force_zip64=force_zip64) as entry:
                entry.write(path.read_bytes())
    return archive


@pytest.fixture(scope="module", params=["stored", "deflated"])
def archive(request, folder, new_folder):
    method = zipfile.ZIP_STORED if request.param == "stored" else zipfile.ZIP_DEFLATED
    return pack(folder, new_folder() / "toy.zip", method=method)


@pytest.fixture(scope="module")
def stored(folder, new_folder):
    return pack(folder, new_folder() / "toy.zip", method=zipfile.ZIP_STORED)


def assert_equal_datasets(one, other):
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
            assert np.array_equal(getattr(view, name).all(), pixels)
            for box in (Box(0, 0, 1, 1), Box(60, 60, 70, 200), Box(190, 250, 300, 310)):
                assert np.array_equal(getattr(view, name).read(box), pixels[..., box.top : box.bottom, box.left : box.right])
        assert (view.objects is None) == (expected.objects is None)
        if expected.objects is not None:
            assert list(view.objects.rows()) == list(expected.objects.rows())


# --- ways to zip ------------------------------------------------------------------------------------------------------


def test_the_folder_and_its_archive_are_equal(archive, folder):
    dataset = open_dataset(archive)
    assert_equal_datasets(dataset, open_dataset(folder))
    assert_equal_datasets(pickle.loads(pickle.dumps(dataset)), open_dataset(folder))
    assert validate_store(archive) == []
    assert open_dataset(archive / "images.zarr").ids == open_dataset(f"{archive}/").ids == IDS
    assert (dataset.scenarios, dataset.splits) == (["gsp", "md"], ["test", "train"])


@pytest.mark.parametrize("below", ["toy/", "datasets/toy/1.0.0/", "./", "./toy/"])
@pytest.mark.parametrize("name", ["toy.ozx", "TOY.ZIP"])
def test_one_folder_in_the_archive(folder, tmp_path, below, name):
    dataset = open_dataset(pack(folder, tmp_path / name, below=below))
    assert_equal_datasets(dataset, open_dataset(folder))
    assert dataset.target.list("images.zarr") == ["gsp", "md", "zarr.json"]


def test_zip64_headers(folder, tmp_path):
    # The extra field of a header is then longer than that of the directory.
    place = pack(folder, tmp_path / "a.zip", method=zipfile.ZIP_STORED, force_zip64=True)
    assert_equal_datasets(open_dataset(place), open_dataset(folder))


def test_an_archive_written_to_a_pipe(folder, tmp_path):
    class Pipe(io.RawIOBase):
        def __init__(self, file):
            self.file = file

        def writable(self):
            return True

        def write(self, data):
            return self.file.write(data)

    with (tmp_path / "a.zip").open("wb") as file:
        pack(folder, Pipe(file), method=zipfile.ZIP_STORED)
    assert_equal_datasets(open_dataset(tmp_path / "a.zip"), open_dataset(folder))


def test_bytes_before_the_archive(stored, folder, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"#!/bin/sh\nexit\n" + stored.read_bytes())
    assert_equal_datasets(open_dataset(tmp_path / "a.zip"), open_dataset(folder))


def test_the_last_entry_of_a_name_counts(stored, folder, tmp_path):
    place = tmp_path / "a.zip"
    place.write_bytes(stored.read_bytes())
    document = json.loads((folder / "images.zarr/zarr.json").read_bytes())
    text = root_text({**document["attributes"]["miso"], "name": "new"})
    with zipfile.ZipFile(place, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("images.zarr/zarr.json", text)
    assert open_dataset(place).name == "new"


def test_a_folder_that_is_called_like_an_archive(folder, tmp_path):
    (tmp_path / "toy.zip").symlink_to(folder)
    assert open_dataset(tmp_path / "toy.zip").ids == IDS


def test_behind_a_url(archive, folder):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pipe_file("/place/toy.zip", archive.read_bytes())
    dataset = open_dataset("memory://place/toy.zip")
    assert_equal_datasets(dataset, open_dataset(folder))
    assert_equal_datasets(pickle.loads(pickle.dumps(dataset)), open_dataset(folder))
    assert dataset.target.describe("index.parquet") == "memory://place/toy.zip/index.parquet"


def test_the_target(archive, folder):
    target = open_target(archive)
    assert repr(target) == f"ZipTarget(LocalTarget({str(archive)!r}))"
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))]
    assert len(names) > 60
    for name in ["", *names]:
        path = folder / name
        assert target.exists(name)
        if path.is_dir():
            assert (target.size(name), target.list(name)) == (None, sorted(inner.name for inner in path.iterdir()))
        else:
            assert (target.size(name), target.list(name), target.read(name)) == (path.stat().st_size, [], path.read_bytes())
    for name in ("images.zarr/gsp/nothing", "images", "index.parquet/a"):
        assert not target.exists(name)
        assert (target.size(name), target.list(name)) == (None, [])
        for read in (target.read, target.open):
            with pytest.raises(FileNotFoundError, match=name):
                read(name)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_of_an_entry(archive, folder, data):
    name = data.draw(st.sampled_from(["index.parquet", "images.zarr/gsp/test/0000/0/c/0/1/1"]))
    expected = (folder / name).read_bytes()
    source = open_target(archive).open(name)
    start, length = data.draw(st.integers(0, len(expected) + 5)), data.draw(st.integers(0, len(expected) + 5))
    assert source.size == len(expected)
    assert source.read(start, length) == expected[start : start + length]


# --- what a read touches ----------------------------------------------------------------------------------------------


def test_a_box_reads_its_chunks_only(stored, monkeypatch):
    reads = []
    original = local._LocalFile.read
    monkeypatch.setattr(local._LocalFile, "read", lambda self, start, n: (reads.append(n), original(self, start, n))[1])
    dataset = open_dataset(stored)
    tail = reads[0]
    assert sum(reads) < tail + 40_000  # the directory once, root, index
    image = dataset[IDS[0]].image
    image.read(Box(70, 70, 80, 80))
    reads.clear()
    image.read(Box(3, 3, 60, 60))
    assert len(reads) == 1
    assert reads[0] <= 3 * 64 * 64 + 100
    image.read(Box(60, 60, 70, 70))
    assert len(reads) == 1 + 4


def test_inflated_entries_are_kept_up_to_a_limit(folder, tmp_path, monkeypatch):
    place = pack(folder, tmp_path / "a.zip")
    target = open_target(place)
    shards = [f"images.zarr/gsp/test/0000/0/c/0/{row}/{col}" for row in (0, 1) for col in (0, 1)]
    sizes = [(folder / shard).stat().st_size for shard in shards]
    target._inflated = _Kept(sizes[2] + sizes[3])
    inflated = []
    original = type(target._archive).read
    monkeypatch.setattr(type(target._archive), "read", lambda self, path: (inflated.append(path), original(self, path))[1])
    sources = [target.open(shard) for shard in shards]
    for _ in range(2):
        for source in sources[2:]:
            source.read(0, 10)
    assert inflated == shards[2:]
    assert [source.read(5, 7) for source in sources] == [(folder / shard).read_bytes()[5:12] for shard in shards]
    assert sum(map(len, target._inflated._data.values())) == target._inflated._held <= target._inflated.limit
    sources[0].read(0, 1)
    assert inflated.count(shards[0]) == 2
    target._inflated.limit = 1
    assert sources[0].read(0, 9) == (folder / shards[0]).read_bytes()[:9]
    sources[1].read(0, 1)
    assert len(target._inflated._data) == 1


def read_all(dataset):
    return [dataset[image_id].image.all().tobytes() for image_id in dataset]


def answer(dataset, answers):
    answers.put(read_all(dataset) == read_all(pickle.loads(pickle.dumps(dataset))))


def test_forks(archive):
    dataset = open_dataset(archive)
    read_all(dataset)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    dataset.target._inflated._lock.acquire()  # as another thread might at that moment
    children = [context.Process(target=answer, args=(dataset, answers)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert [answers.get() for _ in children] == [True, True]


def test_a_new_process(archive, folder, tmp_path):
    (tmp_path / "dataset").write_bytes(pickle.dumps(open_dataset(archive)))
    code = (
        "import pickle, sys, hashlib; d = pickle.load(open(sys.argv[1], 'rb'));"
        "print(hashlib.sha256(b''.join(d[i].image.all().tobytes() for i in d)).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "dataset"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == hashlib.sha256(b"".join(read_all(open_dataset(folder)))).hexdigest()


def test_threads(archive, folder):
    target, expected = open_target(archive), open_dataset(folder)[IDS[0]].image
    image = open_dataset(archive)[IDS[0]]
    target._inflated = _Kept(1)
    boxes = [Box(top, left, top + 40, left + 60) for top in range(0, 260, 20) for left in range(0, 240, 20)]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda box: image.array("image").read(box), boxes))
    assert all(np.array_equal(part, expected.read(box)) for part, box in zip(parts, boxes, strict=True))


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_no_archive(tmp_path):
    with pytest.raises(StoreError, match=r"nothing\.zip must be a miso-gen store, got no such path"):
        open_dataset(tmp_path / "nothing.zip")
    target = open_target(tmp_path / "nothing.zip")
    assert (target.exists(""), target.size("a"), target.list("")) == (False, None, [])
    with pytest.raises(StoreError, match="got no such path"):
        open_dataset("memory://nowhere/nothing.zip")


@pytest.mark.parametrize(
    ("skip", "message"),
    [
        (lambda name: True, "must be the zip archive of a miso-gen store, got one of something else"),
        (lambda name: name == "images.zarr/zarr.json", "must be the zip archive of a miso-gen store, got one of something else"),
        (lambda name: name == "index.parquet", r"index\.parquet must exist in a complete store"),
    ],
)
def test_foreign_archives(folder, tmp_path, skip, message):
    with pytest.raises(StoreError, match=message):
        open_dataset(pack(folder, tmp_path / "a.zip", skip=skip))


def test_an_archive_of_the_images_alone(folder, tmp_path):
    with pytest.raises(StoreError, match=r"got one of images\.zarr alone\. Zip the whole folder"):
        open_dataset(pack(folder / "images.zarr", tmp_path / "a.ozx"))


def test_an_archive_of_another_zarr(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("images.zarr/zarr.json", '{"node_type": "group"}')
    with pytest.raises(StoreError, match="got a Zarr group of something else"):
        open_dataset(tmp_path / "a.zip")


def test_several_stores(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("one", "two"):
            file.write(folder / "images.zarr/zarr.json", f"{name}/images.zarr/zarr.json")
    with pytest.raises(StoreError, match="must hold one store, got 2: one, two"):
        open_dataset(tmp_path / "a.zip")


def test_an_incomplete_store(folder, tmp_path):
    target = open_target(tmp_path / "toy")
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".parquet":
            target.write(path.relative_to(folder).as_posix(), path.read_bytes())
    create_root(target, StoreRoot("toy", "1.0.0", {}, "", {}), IDS)
    place = pack(tmp_path / "toy", tmp_path / "a.zip")
    with pytest.raises(IncompleteStoreError, match=r"a\.zip must be complete, got a build that has not finished"):
        open_dataset(place)
    assert open_dataset(place, incomplete=True).ids == IDS


def test_encrypted(stored, tmp_path):
    data = bytearray(stored.read_bytes())
    with zipfile.ZipFile(stored) as file:
        data[file.start_dir + 8] |= 1  # the flags of the first entry in the directory
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(StoreError, match=r"must be a plain zip archive, got 'images.zarr/.*' encrypted"):
        open_dataset(tmp_path / "a.zip")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression(folder, tmp_path, method):
    with pytest.raises(StoreError, match=f"must hold files stored or deflated, got .* method {method}"):
        open_dataset(pack(folder, tmp_path / "a.zip", method=method))


@pytest.mark.parametrize("data", [b"", b"PK", b"hello" * 100, b"PK\x05\x06" + b"\xff" * 18])
def test_no_zip(tmp_path, data):
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(StoreError, match=r"a\.zip must be a(| miso-gen store, got)|zip archive"):
        open_dataset(tmp_path / "a.zip")


@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cut_off(archive, tmp_path, share):
    data = archive.read_bytes()
    (tmp_path / "a.zip").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CorruptStoreError, match=r"a\.zip must be a zip archive, got a file that can't be read as one"):
        open_dataset(tmp_path / "a.zip")


def everything(place):
    dataset = open_dataset(place)
    views = [dataset[image_id] for image_id in dataset]
    arrays = [array for view in views for array in (view.image.all(), view.truth.all(), view.instances.all(), view.summary)]
    objects = [list(view.objects.rows()) for view in views if view.objects is not None]
    return [array.tobytes() for array in arrays], objects, dataset.table.to_json(), dataset.objects.to_json(), dataset.root


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_is_refused_or_changes_nothing(archive, folder, tmp_path, data):
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        directory = file.start_dir
        headers = [info.header_offset for info in file.infolist()]
    place = data.draw(
        st.integers(0, len(content) - 1)
        | st.integers(directory, len(content) - 1)
        | st.sampled_from(headers).flatmap(lambda offset: st.integers(offset, offset + 29))
    )
    content[place] ^= data.draw(st.integers(1, 255))
    (tmp_path / "a.zip").write_bytes(content)
    try:
        found = everything(tmp_path / "a.zip")
    except MisoGenError:
        return
    assert found == everything(folder)


def test_a_damaged_chunk_is_named(stored, folder, tmp_path):
    content = bytearray(stored.read_bytes())
    with zipfile.ZipFile(stored) as file:
        info = file.getinfo(f"images.zarr/{IDS[0]}/0/c/0/0/0")
    content[info.header_offset + 30 + len(info.filename) + 100] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(CorruptStoreError, match=r"chunk \(0, 0\) of .*a\.zip/images\.zarr/gsp/test/0000/0/c/0/0/0"):
        open_dataset(tmp_path / "a.zip")[IDS[0]].image.all()


def test_unreadable(stored, tmp_path, monkeypatch):
    def refuse(name):
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(local, "_LocalFile", refuse)
    with pytest.raises(StoreError, match="must be readable, got Permission denied"):
        open_dataset(stored)


# --- nothing is written -----------------------------------------------------------------------------------------------


def test_nothing_is_written(archive):
    before = archive.read_bytes()
    target = open_target(archive)
    acts = (lambda: target.write("a", b"a"), lambda: target.remove("index.parquet"), lambda: target.rename("a", "b"))
    for act in acts:
        with pytest.raises(OutputError, match=r"output must be a folder .* got the zip archive .*toy\.zip"):
            act()
    assert archive.read_bytes() == before


def test_a_build_into_an_archive_is_refused(stored, tmp_path):
    from miso_gen.build import build

    with pytest.raises(OutputError, match="output must be a folder"):
        build("tutorial-01-first", stored, workers=1)
    for place in (str(tmp_path / "new.zip"), "memory://place/new.zip"):
        with pytest.raises(OutputError, match=r"output must be a folder or a URL of one, got the zip archive .*new\.zip"):
            build("tutorial-01-first", place, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_only_names_of_archives_are_archives(tmp_path):
    assert isinstance(open_target("https://host/a.zip?download=1"), ZipTarget)
    assert isinstance(open_target(f"file://{tmp_path}/a.ozx"), ZipTarget)
    assert type(open_target("memory://a.zip/store")) is UrlTarget
    assert not isinstance(open_target(tmp_path / "zip"), ZipTarget)
