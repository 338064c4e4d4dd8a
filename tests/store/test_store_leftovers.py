"""What killed attempts leave behind, and which images a later build may keep."""

from __future__ import annotations

from miso_gen.store import ShardedImage, finished_record, open_target, sweep

PATH = "images.zarr/gsp/test/0007"


def test_an_image_with_instances_is_kept_without_knowing_its_scene(kit, tmp_path):
    planes, target = kit.sample((1, 300, 280)), open_target(tmp_path)
    record = kit.write(target, PATH, planes, kit.layout_of(planes, instances=True))
    assert finished_record(target, PATH, kit.layout_of(planes), {"split": "test"}) == record
    assert finished_record(target, PATH, kit.layout_of(planes, chunk=64), {}) is None
    target.remove(f"{PATH}/labels/instances/0/c/0/0")
    assert finished_record(target, PATH, kit.layout_of(planes), {}) is None


def test_files_that_a_writer_was_killed_at_are_swept(kit, tmp_path):
    planes, target = kit.sample((1, 300, 600)), open_target(tmp_path)
    image = ShardedImage(target, PATH, kit.layout_of(planes, shard=256), token="t")
    shard, box = next(iter(image.shards(0).items()))
    writer = image.writer(shard)
    writer.write(box, planes["image"][(..., *box.slices)], planes["truth"][box.slices])
    writer.finish()
    strays = [
        "index.parquet.tmp-1-a",
        "images.zarr/zarr.json.tmp-1-a",
        "images.zarr/gsp/test/zarr.json.tmp-1-a",
        "images.zarr/gsp/test/.work-0007/image/0/c/0/0/1.tmp-1-a",
        "images.zarr/gsp/test/.work-0007/parts/0-0-1.json.tmp-1-a",
    ]
    before = set(kit.contents(tmp_path))
    for name in strays:
        target.write(name, b"cut", atomic=False)
    sweep(target)
    assert set(kit.contents(tmp_path)) == before
    assert image.is_done(0, shard)
