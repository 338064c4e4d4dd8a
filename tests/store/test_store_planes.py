"""Pictures of few values are stored like the arrays that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from miso_gen.geometry import Box
from miso_gen.planes import Bits, Planes
from miso_gen.store import ImageLayout, array_digest, open_target
from miso_gen.store.area import AreaEncoder
from miso_gen.store.read import ImageView
from miso_gen.store.summary import image_cells, image_planes_cells, truth_cells, truth_planes_cells
from miso_gen.store.validate import validate_image

PATH = "images.zarr/gsp/test/0007"
IMAGE = {"uint8": [255, 128, 1], "uint16": [65535, 1, 300], "float32": [1.0, 0.5, float(np.float32(0.1))]}
KINDS = ["noise", "black and white", "blocks", "constant", "zero"]


def planes_of(array, values):
    """Return an array as a picture of few values; some of the masks may be empty."""
    return Planes(array.dtype, array.shape, {value: Bits.pack(array == array.dtype.type(value)) for value in values})


def pictures(height, width, dtype, kind, seed=0):
    """Arrays of few values: blocks of 256 px that are full, empty and mixed, in every order."""
    rng = np.random.default_rng([seed, height, width])
    image, truth, ids = (np.zeros((height, width), t) for t in (dtype, "uint8", "uint16"))
    if kind in ("noise", "black and white"):
        values = IMAGE[dtype] if kind == "noise" else IMAGE[dtype][:1]
        image[:] = rng.choice(np.array([0, *values], dtype), image.shape)
        truth[:] = rng.integers(0, 3, truth.shape)
        ids[:] = np.where(truth > 0, rng.choice([1, 2, 40000], truth.shape), 0)
    elif kind == "blocks":
        for box in Box(0, 0, height, width).tiles(256, 256):
            image[box.slices] = rng.choice(np.array([0, *IMAGE[dtype]], dtype))
            truth[box.slices] = rng.integers(0, 3)
            ids[box.slices] = rng.choice([0, 1, 2]) if truth[box.top, box.left] else 0
        image[height // 2, width // 2] = IMAGE[dtype][0]
        truth[height // 2, width // 2], ids[height // 2, width // 2] = 2, 40000
    elif kind == "constant":
        image[:], truth[:], ids[:] = IMAGE[dtype][seed % 3], 1 + seed % 2, 2
    return {"image": image, "truth": truth, "instances": ids}


def as_planes(arrays):
    return {
        "image": planes_of(arrays["image"], IMAGE[arrays["image"].dtype.name]),
        "truth": planes_of(arrays["truth"], [1, 2]),
        "instances": planes_of(arrays["instances"], [1, 2, 40000]),
    }


def encoded(layout, parts, area, tiles):
    """Return the result of an area written by tiles; ``parts(box)`` are the pictures of a box."""
    encoder = AreaEncoder(layout, area)
    for box in tiles:
        encoder.write(box, *parts(box))
    return encoder.finish()


def same(one, two):
    assert one.files == two.files
    assert one.digests.keys() == two.digests.keys()
    for name, digests in one.digests.items():
        assert digests.to_json() == two.digests[name].to_json()
    assert np.array_equal(one.summary, two.summary)
    assert one.summary.dtype == two.summary.dtype
    assert np.array_equal(one.histogram, two.histogram)
    assert one.truth_counts == two.truth_counts


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(64, 600),
    width=st.integers(64, 600),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    kind=st.sampled_from(KINDS),
    chunk=st.sampled_from([64, 128, 250, 256, 512]),
    tile=st.sampled_from([(256, 256), (256, 2048), (512, 512), (600, 600), (100, 90), (37, 300), (64, 64)]),
    instances=st.booleans(),
    seed=st.integers(0, 20),
)
@example(height=512, width=512, dtype="uint8", kind="constant", chunk=256, tile=(256, 256), instances=True, seed=0)
@example(height=512, width=512, dtype="uint8", kind="constant", chunk=512, tile=(256, 256), instances=True, seed=1)
@example(height=512, width=512, dtype="uint8", kind="noise", chunk=256, tile=(256, 512), instances=True, seed=0)
@example(height=512, width=512, dtype="uint8", kind="black and white", chunk=256, tile=(512, 512), instances=True, seed=0)
@example(height=512, width=768, dtype="uint16", kind="blocks", chunk=256, tile=(512, 512), instances=True, seed=1)
@example(height=512, width=768, dtype="float32", kind="noise", chunk=256, tile=(256, 256), instances=False, seed=1)
@example(height=300, width=530, dtype="uint8", kind="blocks", chunk=256, tile=(100, 90), instances=True, seed=2)
def test_planes_are_stored_like_arrays(height, width, dtype, kind, chunk, tile, instances, seed):
    arrays = pictures(height, width, dtype, kind, seed)
    few = as_planes(arrays)
    area = Box(0, 0, height, width)
    layout = ImageLayout(height, width, 1, dtype, "uint16" if instances else None, chunk=chunk)

    def of_arrays(box):
        return [arrays["image"][None, *box.slices], *(arrays[name][box.slices] for name in layout.names[1:])]

    def of_planes(box):
        return [few[name].crop(*box.slices) for name in layout.names]

    def of_both(box):
        """Some pictures of a tile as planes, some as arrays, others in the next tile."""
        turn = box.top // tile[0] + box.left // tile[1]
        return [
            one if (turn + place) % 2 else other
            for place, (one, other) in enumerate(zip(of_arrays(box), of_planes(box), strict=True))
        ]

    wanted = encoded(layout, of_arrays, area, [area])
    for parts in (of_planes, of_both, of_arrays):
        same(encoded(layout, parts, area, area.tiles(*tile)), wanted)
    for name in layout.names:
        pixels = arrays[name][None] if name == "image" else arrays[name]
        assert wanted.digests[name].hexdigest() == array_digest(pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_shard_beyond_the_first_one(dtype):
    """An area that does not start at the image's corner."""
    arrays = pictures(700, 900, dtype, "blocks")
    few = as_planes(arrays)
    layout = ImageLayout(700, 900, 1, dtype, "uint16", chunk=128, shard=512)
    area = Box(512, 512, 700, 900)
    tiles = list(area.tiles(100, 130))
    results = [
        encoded(layout, parts, area, tiles)
        for parts in (
            lambda box: [arrays["image"][None, *box.slices], *(arrays[name][box.slices] for name in layout.names[1:])],
            lambda box: [few[name].crop(*box.slices) for name in layout.names],
        )
    ]
    same(*results)


def test_a_stored_image_of_planes_is_whole(kit, tmp_path):
    arrays = pictures(300, 531, "uint8", "blocks")
    stored = {**arrays, "image": arrays["image"][None]}
    layout = kit.layout_of(stored, instances=True)
    few = as_planes(arrays)

    class Cropped:
        """A picture of few values that is cut as an array is."""

        def __init__(self, planes):
            self.planes = planes

        def __getitem__(self, place):
            return self.planes.crop(*place[-2:])

    kit.write(open_target(tmp_path / "arrays"), PATH, stored, layout)
    kit.write(open_target(tmp_path / "planes"), PATH, {name: Cropped(p) for name, p in few.items()}, layout, tile=100)
    assert kit.contents(tmp_path / "arrays") == kit.contents(tmp_path / "planes")
    view = ImageView(open_target(tmp_path / "planes"), PATH)
    for name, pixels in stored.items():
        assert np.array_equal(getattr(view, name).all(), pixels)
    assert validate_image(tmp_path / "planes" / PATH) == []


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("image", Planes(np.dtype("uint8"), (64, 65), {})),
        ("image", Planes(np.dtype("uint16"), (64, 64), {})),
        ("truth", Planes(np.dtype("uint16"), (64, 64), {})),
        ("instances", Planes(np.dtype("uint32"), (64, 64), {})),
    ],
)
def test_planes_of_another_shape_or_type_are_refused(name, wrong):
    layout = ImageLayout(64, 64, 1, "uint8", "uint16")
    parts = {**as_planes(pictures(64, 64, "uint8", "noise")), name: wrong}
    with pytest.raises(ValueError, match=f"{name} of .* must be "):
        AreaEncoder(layout, Box(0, 0, 64, 64)).write(Box(0, 0, 64, 64), *parts.values())


def test_planes_are_no_image_of_three_channels():
    layout = ImageLayout(64, 64, 3, "uint8", None)
    image = Planes(np.dtype("uint8"), (64, 64), {})
    with pytest.raises(ValueError, match=r"image of .* must be uint8 of shape \(3, 64, 64\), got uint8 of \(64, 64\)"):
        AreaEncoder(layout, Box(0, 0, 64, 64)).write(Box(0, 0, 64, 64), image, Planes(np.dtype("uint8"), (64, 64), {}))


# --- summaries --------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 150),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 20),
)
def test_image_planes_cells(height, width, dtype, kind, seed):
    image = pictures(height, width, dtype, kind, seed)["image"]
    wanted = image_cells(image[None])
    there = [value for value in IMAGE[dtype] if (image == image.dtype.type(value)).any()]
    for values in (there, IMAGE[dtype]):  # without and with empty masks
        found = image_planes_cells(planes_of(image, values))
        assert np.array_equal(found.sums, wanted.sums)
        assert found.sums.dtype == wanted.sums.dtype
        assert np.array_equal(found.histogram, wanted.histogram)
        assert found.histogram.dtype == wanted.histogram.dtype
        assert wanted.binary or not found.binary  # an empty mask may hide that an image is binary, never the other way
    assert image_planes_cells(planes_of(image, there)).binary == wanted.binary


@settings(max_examples=100, deadline=None)
@given(value=st.floats(0, 1, width=32, exclude_min=True))
@example(value=1.0)
@example(value=0.5)
@example(value=float(np.float32(255 / 256)))
def test_every_float_value_counts_like_its_pixel(value):
    image = np.full((3, 17), value, np.float32)
    found, wanted = image_planes_cells(planes_of(image, [value])), image_cells(image[None])
    assert np.array_equal(found.sums, wanted.sums)
    assert np.array_equal(found.histogram, wanted.histogram)


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535)])
def test_every_whole_value_counts_like_its_pixel(dtype, top):
    for value in range(1, top + 1, 1 if top == 255 else 251):
        image = np.full((2, 3), value, dtype)
        found, wanted = image_planes_cells(planes_of(image, [value])), image_cells(image[None])
        assert np.array_equal(found.sums, wanted.sums)
        assert np.array_equal(found.histogram, wanted.histogram)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 150), kind=st.sampled_from(KINDS), seed=st.integers(0, 20))
def test_truth_planes_cells(height, width, kind, seed):
    truth = pictures(height, width, "uint8", kind, seed)["truth"]
    wanted = truth_cells(truth)
    there = [value for value in (1, 2) if (truth == value).any()]
    for values in (there, [1, 2], [2, 1]):
        found = truth_planes_cells(planes_of(truth, values))
        for one, two in zip(found, wanted, strict=True):
            assert np.array_equal(one, two)
            assert one.dtype == two.dtype


def test_other_truth_values_of_planes_are_refused():
    with pytest.raises(ValueError, match="truth must hold 0, 1 and 2 only, got 3"):
        truth_planes_cells(Planes(np.dtype("uint8"), (4, 4), {1: Bits.empty((4, 4)), 3: Bits.full((4, 4))}))
