"""Object stores through fsspec: memory, and S3 as moto plays it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from miso_gen.errors import MissingExtraError, OutputError, StoreError
from miso_gen.store import BuildLock, ShardedImage, StoreRoot, create_root, finish_root, open_dataset, open_target, validate_store
from miso_gen.store.lock import LOCK

IDS = ["gsp/test/0000", "gsp/test/0001"]


@pytest.fixture(scope="module")
def s3():
    """Options of a local S3 with the bucket ``bucket``."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"endpoint_url": f"http://{host}:{port}", "key": "a", "secret": "b", "client_kwargs": {"region_name": "eu-west-1"}}
    s3fs.S3FileSystem(**options).mkdir("bucket")
    yield options
    server.stop()


@pytest.fixture(params=["memory", "s3"])
def place(request):
    import fsspec

    name = request.node.name.replace("[", "-").replace("]", "")
    if request.param == "s3":
        return f"s3://bucket/{name}", request.getfixturevalue("s3")
    fsspec.filesystem("memory").store.clear()
    return f"memory://{name}", {}


def build(kit, place, shard=None):
    url, options = place
    target = open_target(url, options)
    root = create_root(target, StoreRoot("toy", "1.0.0", {}, "", {}), IDS)
    records = []
    for seed, image_id in enumerate(IDS):
        planes = kit.sample((1, 300, 310), kind="binary", seed=seed)
        layout = kit.layout_of(planes, instances=True, shard=shard)
        path = f"images.zarr/{image_id}"
        records.append(kit.write(target, path, planes, layout, tile=100, id=image_id, objects=kit.table()))
    return target, finish_root(target, root, records)


def files(target, path=""):
    names = target.list(path)
    found = {}
    for name in names:
        inner = f"{path}/{name}" if path else name
        data = target.read(inner) if target.size(inner) is not None else None
        found.update({inner: data} if data is not None else files(target, inner))
    return found


@pytest.mark.parametrize("shard", [None, 256])
def test_a_store_under_a_url(kit, place, shard, tmp_path):
    url, options = place
    target, root = build(kit, place, shard)
    dataset = open_dataset(url, options=options)
    assert dataset.root_digest == root.root_digest
    planes = kit.sample((1, 300, 310), kind="binary", seed=1)
    view = pickle.loads(pickle.dumps(dataset))["gsp/test/0001"]
    assert np.array_equal(view.image[..., 5:290, 7:300], planes["image"][..., 5:290, 7:300])
    assert validate_store(url, options) == []
    local, _ = build(kit, (str(tmp_path), {}), shard)
    assert files(target) == files(local)


def test_building_again_keeps_what_is_there(kit, place, monkeypatch):
    target, root = build(kit, place)
    before = files(target)
    written = []
    original = type(target).write
    monkeypatch.setattr(
        type(target), "write", lambda self, path, data, **k: (written.append(path), original(self, path, data, **k))
    )
    assert build(kit, place)[1] == root
    assert files(target) == before
    assert not [path for path in written if "/c/" in path]


def test_a_half_written_image_is_no_image_and_is_replaced(kit, place):
    target, root = build(kit, place)
    before = files(target)
    target.remove(f"images.zarr/{IDS[0]}/zarr.json")
    target.write(f"images.zarr/{IDS[0]}/0/c/0/0/0", b"half")
    target.write(f"images.zarr/{IDS[0]}/stray", b"stray")
    assert build(kit, place)[1] == root
    assert files(target) == before


def test_pieces_resume(kit, place):
    url, options = place
    planes = kit.sample((1, 300, 310))
    image = ShardedImage(open_target(url, options), "images.zarr/gsp/test/0000", kit.layout_of(planes, shard=256))
    box = image.shards(0)[0, 1]
    writer = image.writer((0, 1))
    writer.write(
        box,
        planes["image"][:, box.top : box.bottom, box.left : box.right],
        planes["truth"][box.top : box.bottom, box.left : box.right],
    )
    writer.finish()
    assert [shard for shard in image.shards(0) if image.is_done(0, shard)] == [(0, 1)]
    image.discard()
    assert files(image.target) == {}


def test_lock(place):
    target = open_target(*place)
    with BuildLock(target) as lock:
        lock.beat()
        with pytest.raises(OutputError, match="must be free to build into"):
            BuildLock(target).__enter__()
    assert target.size(LOCK) is None
    target.write(LOCK, b'{"host": "elsewhere", "pid": 1, "beat": 5}')
    with BuildLock(target):
        pass


def test_a_missing_package_names_its_extra(monkeypatch):
    import fsspec

    def missing(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'miso-gen\[s3\]'"):
        open_target("s3://bucket/x")


def test_a_missing_package_without_an_extra(monkeypatch):
    """No advice names an extra that there is not."""
    import fsspec

    def missing(*_, **__):
        raise ImportError('SFTPFileSystem requires "paramiko" to be installed')

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(
        StoreError, match=r"sftp://host/x must be of a kind .* requires \"paramiko\" to be installed\. Install"
    ) as caught:
        open_target("sftp://host/x")
    assert "miso-gen[" not in str(caught.value)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(OutputError, match="URL that fsspec knows, got 'nonsense://x'"):
        open_target("nonsense://x")


def test_file_urls_are_local(tmp_path):
    assert open_target(f"file://{tmp_path}").describe("a") == str(tmp_path / "a")


def test_a_bucket_that_is_not_there(s3):
    with pytest.raises(OutputError, match="must be in a bucket that exists"):
        open_target("s3://nowhere/x", s3).write("a", b"a")
