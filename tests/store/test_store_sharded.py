"""Images of several shards: pieces, resuming, pyramids."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import zarr

from miso_gen.errors import CorruptStoreError
from miso_gen.store import ImageLayout, ShardedImage, array_digest, open_target
from miso_gen.store.pyramid import halve_label, halve_mean
from miso_gen.store.read import ImageView
from miso_gen.store.validate import validate_image

PATH = "images.zarr/gsp/test/0007"


@pytest.fixture
def small_pyramid(monkeypatch):
    """Levels until 128 px, so that small images have several."""
    for module in ("layout", "validate"):
        monkeypatch.setattr(f"miso_gen.store.{module}.PYRAMID_END", 128)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_pieces_make_one_image(kit, tmp_path, small_pyramid, dtype):
    planes = kit.sample((3, 601, 777), dtype)
    layout = kit.layout_of(planes, instances=True, chunk=64, shard=256)
    record = kit.write(open_target(tmp_path), PATH, planes, layout, tile=(100, 256), objects=kit.table())
    assert [level.shape for level in (zarr.open_array(tmp_path / PATH / str(n), mode="r") for n in range(4))] == [
        (3, 601, 777),
        (3, 301, 389),
        (3, 151, 195),
        (3, 76, 98),
    ]
    assert validate_image(tmp_path / PATH) == []
    assert record.miso["digests"]["image"] == array_digest(planes["image"])
    view = ImageView(open_target(tmp_path), PATH)
    image, truth = planes["image"], planes["truth"]
    for level in range(4):
        assert np.array_equal(view.array("image", level).all(), image)
        assert np.array_equal(view.array("truth", level).all(), truth)
        image, truth = literal_mean(image), truth[::2, ::2]
    assert not (tmp_path / "images.zarr/gsp/test/.work-0007").exists()


def test_one_shard_with_several_levels(kit, tmp_path, small_pyramid):
    planes = kit.sample((1, 300, 500))
    layout = kit.layout_of(planes, shard=512)
    assert layout.single
    kit.write(open_target(tmp_path), PATH, planes, layout)
    assert validate_image(tmp_path / PATH) == []


def literal_mean(pixels):
    channels, height, width = pixels.shape
    out = np.zeros((channels, -(-height // 2), -(-width // 2)), pixels.dtype)
    for row in range(out.shape[1]):
        for col in range(out.shape[2]):
            for channel in range(channels):
                few = pixels[channel, 2 * row : 2 * row + 2, 2 * col : 2 * col + 2].reshape(-1)
                if pixels.dtype == np.float32:
                    out[channel, row, col] = np.float32(sum(float(v) for v in few) / len(few))
                else:
                    out[channel, row, col] = (2 * sum(int(v) for v in few) + len(few)) // (2 * len(few))
    return out


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 2), (2, 7, 8), (1, 8, 7), (3, 9, 11)])
def test_halve_mean(kit, shape, dtype):
    pixels = kit.sample(shape, dtype)["image"]
    assert np.array_equal(halve_mean(pixels), literal_mean(pixels))


def test_half_rounds_up():
    assert halve_mean(np.array([[0, 1], [1, 0]], np.uint8)).tolist() == [[1]]
    assert halve_mean(np.array([[255, 255], [255, 255]], np.uint8)).tolist() == [[255]]
    assert halve_label(np.array([[1, 2, 0]], np.uint8)).tolist() == [[1, 0]]


def send(image, shard, planes):
    box = image.shards(0)[shard]
    writer = image.writer(shard)
    rows, cols = slice(box.top, box.bottom), slice(box.left, box.right)
    writer.write(box, planes["image"][:, rows, cols], planes["truth"][rows, cols])
    writer.finish()


@pytest.fixture
def half_done(kit, tmp_path):
    planes = kit.sample((1, 500, 500), kind="binary")
    image = ShardedImage(open_target(tmp_path), PATH, kit.layout_of(planes, shard=256), token="recipe")
    send(image, (1, 1), planes)
    send(image, (0, 0), planes)
    return image, planes, tmp_path


def done(image):
    return [shard for shard in image.shards(0) if image.is_done(0, shard)]


def test_a_killed_build_resumes_and_ends_with_the_same_files(kit, half_done, new_folder):
    image, planes, folder = half_done
    resumed = pickle.loads(pickle.dumps(image))
    assert done(resumed) == [(0, 0), (1, 1)]
    for shard in resumed.shards(0):
        if not resumed.is_done(0, shard):
            send(resumed, shard, planes)
    resumed.assemble(kit.given())
    whole = new_folder()
    kit.write(open_target(whole), PATH, planes, image.layout)
    assert kit.contents(folder) == kit.contents(whole)


@pytest.mark.parametrize("loss", ["record", "cut record", "file", "cut file", "summary"])
def test_a_piece_is_done_again_if_anything_of_it_is_missing(half_done, loss):
    image, _, folder = half_done
    work = folder / "images.zarr/gsp/test/.work-0007"
    match loss:
        case "record":
            (work / "parts/0-1-1.json").unlink()
        case "cut record":
            (work / "parts/0-1-1.json").write_text('{"token"')
        case "file":
            (work / "image/0/c/0/1/1").unlink()
        case "cut file":
            (work / "image/0/c/0/1/1").write_bytes(b"123")
        case "summary":
            (work / "image/summary/c/0/1/1").unlink()
    assert done(image) == [(0, 0)]


def test_pieces_of_another_recipe_or_layout_do_not_count(half_done):
    image = half_done[0]
    assert done(ShardedImage(image.target, image.path, image.layout, "other recipe")) == []
    assert done(ShardedImage(image.target, image.path, ImageLayout(500, 500, shard=256, codec="zstd"), "recipe")) == []


def test_assembling_too_early_is_refused(kit, half_done):
    image = half_done[0]
    with pytest.raises(ValueError, match=r"got none for shard \(0, 1\) of level 0"):
        image.assemble(kit.given())
    image.discard()
    assert done(image) == []


def test_a_level_needs_the_level_below(half_done, small_pyramid):
    image = ShardedImage(half_done[0].target, PATH, ImageLayout(500, 500, shard=256))
    with pytest.raises(CorruptStoreError, match="must exist, got no such file"):
        image.downsample(1, (0, 0))
