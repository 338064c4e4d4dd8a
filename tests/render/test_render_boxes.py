"""Any box of any image equals the crop of the whole: the promise that every tile, worker and reader rests on."""

from __future__ import annotations

from functools import cache
from typing import Any

import literal
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from miso_gen.geometry import Box
from miso_gen.planes import Planes
from miso_gen.recipe import SCENARIOS, ImagePlan
from miso_gen.render import Rendered, render_box, send
from miso_gen.scene import Scene, make_scene
from miso_gen.scene.textures import array_of

HEIGHT, WIDTH = 530, 610  # over the borders of the noise blocks at 512, and not square
NAMES = SCENARIOS.names()


@cache
def image(name: str, label: int, fuzz: float, shape: tuple[int, int], channels: int, dtype: str) -> tuple[Scene, Rendered]:
    """Return the scene and the whole of the last image of that kind."""
    fields: dict[str, Any] = {"truth": "contour", "contour_px": 7} if name == "md" else {}
    channels = literal.channels_of(name, channels)
    plans = literal.plans_of(literal.small(name, shape, **fields), shape, channels=channels, dtype=dtype)
    of_kind = [plan for plan in plans.values() if (plan.label, plan.spec.get("fuzz", fuzz)) == (label, fuzz)]
    scene = make_scene(of_kind[-1])
    return scene, render_box(scene, scene.box)


def same(crop: Rendered, full: Rendered, box: Box) -> None:
    """Assert that a rendered box is the crop: same pixels, same types."""
    for got, whole in ((crop.image, full.image), (crop.truth, full.truth), (crop.instances, full.instances)):
        if whole is None or got is None:
            assert got is whole
            continue
        assert got.dtype == whole.dtype
        assert np.array_equal(got, whole[..., box.top : box.bottom, box.left : box.right])


@st.composite
def boxes(draw: Any) -> Box:
    """Boxes of any size; many small, many at the border of noise blocks, at the edge of the image, one pixel wide."""
    sides = []
    for size in (HEIGHT, WIDTH):
        low = draw(st.integers(0, size - 1) | st.integers(508, 514) | st.just(0))
        high = draw(st.integers(low + 1, size) | st.integers(low + 1, min(low + 20, size)) | st.just(size))
        sides.append((low, high))
    (top, bottom), (left, right) = sides
    return Box(top, left, bottom, right)


@pytest.mark.parametrize(
    ("label", "fuzz", "channels", "dtype"),
    [(1, 0.1, 1, "uint8"), (0, 0.1, 3, "uint8"), (1, 0.0, 1, "uint16"), (1, 0.1, 3, "float32")],
)
@pytest.mark.parametrize("name", NAMES)
def test_any_box_is_the_crop(name: str, label: int, fuzz: float, channels: int, dtype: str) -> None:
    scene, full = image(name, label, fuzz, (HEIGHT, WIDTH), channels, dtype)
    assert full.image.shape == (literal.channels_of(name, channels), HEIGHT, WIDTH)
    assert full.truth.any()

    @settings(max_examples=25, deadline=None)
    @given(boxes())
    @example(Box(0, 0, 1, 1))
    @example(Box(HEIGHT - 1, WIDTH - 1, HEIGHT, WIDTH))
    @example(Box(511, 511, 513, 513))
    @example(Box(512, 512, HEIGHT, WIDTH))
    def check(box: Box) -> None:
        same(render_box(scene, box), full, box)

    check()


@pytest.mark.parametrize("side", [16, 37, 64, 100])
@pytest.mark.parametrize("name", NAMES)
def test_tiles_of_any_size_make_the_whole(name: str, side: int) -> None:
    shape = (210, 170)
    for label, fuzz in ((1, 0.1), (0, 0.0)):
        scene, full = image(name, label, fuzz, shape, 1, "uint8")
        covered = np.zeros(shape, int)
        for tile in scene.box.tiles(side, side):
            same(render_box(scene, tile), full, tile)
            covered[tile.slices] += 1
        assert (covered == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_strips_of_any_height_make_the_whole(name: str) -> None:
    scene, full = image(name, 1, 0.1, (210, 170), 1, "uint8")
    for tile in [*scene.box.tiles(1, 170), *scene.box.tiles(210, 1)]:
        same(render_box(scene, tile), full, tile)


@pytest.mark.parametrize("name", NAMES)
def test_scenes_are_made_alike_again(name: str) -> None:
    """A plan is all there is: a scene made in another process, or after others, renders the same."""
    plans: list[ImagePlan] = list(literal.plans_of(literal.small(name, (120, 120)), (120, 120)).values())[-3:]
    first = [literal.whole(plan) for plan in plans]
    for plan, before in zip(reversed(plans), reversed(first), strict=True):
        again = literal.whole(plan)
        same(again, before, Box(0, 0, 120, 120))


@pytest.mark.parametrize("box", [Box(0, 0, 0, 5), Box(0, 0, 5, 0), Box(-1, 0, 5, 5), Box(0, 0, HEIGHT + 1, 5), Box(0, -3, 5, 5)])
def test_boxes_off_the_image_are_refused(box: Box) -> None:
    scene, _ = image("evp", 1, 0.1, (HEIGHT, WIDTH), 1, "uint8")
    with pytest.raises(ValueError, match="box must lie on the 530 x 610 image and hold a pixel, got Box"):
        render_box(scene, box)


def test_channels_of_grey_textures_are_equal() -> None:
    for name in sorted(set(NAMES) - set(literal.COLOURED)):
        _, full = image(name, 0, 0.1, (HEIGHT, WIDTH), 3, "uint8")
        assert np.array_equal(full.image[0], full.image[1])
        assert np.array_equal(full.image[0], full.image[2])


def test_rendering_leaves_the_scene_as_it_was() -> None:
    """Textures and masks may be views of cached arrays: writing pixels must not change them."""
    for name in NAMES:
        scene, full = image(name, 1, 0.1, (210, 170), 1, "uint8")
        once = render_box(scene, scene.box)
        once.image[...] = 7
        once.truth[...] = 7
        if once.instances is not None:
            once.instances[...] = 7
        same(render_box(scene, scene.box), full, scene.box)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in literal.COLOURED])
def test_few_valued_scenes_are_those_that_are_rendered_a_bit_a_pixel(name: str, dtype: str) -> None:
    """In one channel: on every box the image is of few values, and the object ids are, if there are any. Else on some box not."""
    shape = (140, 150)
    fields: list[dict[str, Any]] = [{}]
    if "background" in SCENARIOS.get(name).model_fields:
        fields += [{"background": {"type": "constant", "value": 0.3}}]
    fields += [{"truth": "contour", "contour_px": 7}] if name == "md" else []
    for extra in fields:
        for plan in literal.plans_of(literal.small(name, shape, **extra), shape, dtype=dtype).values():
            scene = make_scene(plan)
            parts = [render_box(scene, box) for box in [scene.box, *scene.box.tiles(37, 64)]]
            few = all(isinstance(part.painted, Planes) and not isinstance(part.labels, np.ndarray) for part in parts)
            assert scene.few_valued == few, plan.id
            if not few:  # what holds for some box holds for the whole
                assert isinstance(parts[0].painted, np.ndarray) or isinstance(parts[0].labels, np.ndarray), plan.id
            for part in parts:
                assert isinstance(part.levels, Planes)
                assert isinstance(part.labels, Planes | np.ndarray | None)


@pytest.mark.parametrize("name", NAMES)
def test_scenes_of_three_channels_are_not_few_valued(name: str) -> None:
    for plan in literal.plans_of(literal.small(name, (90, 90)), (90, 90), channels=3).values():
        assert not make_scene(plan).few_valued


class Heard:
    """A writer that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Box, Any, Any, Any]] = []

    def write(self, box: Box, image: Any, truth: Any, instances: Any = None) -> None:
        self.told.append((box, image, truth, instances))


@pytest.mark.parametrize(("name", "channels"), [(n, c) for n in NAMES for c in (1, 3) if c == literal.channels_of(n, c)])
def test_what_is_sent_to_a_writer_is_what_is_rendered(name: str, channels: int) -> None:
    """Bits where there are bits, in one channel; of three channels always the array, which is what a writer takes."""
    shape = (140, 150)
    for plan in literal.plans_of(literal.small(name, shape), shape, channels=channels).values():
        scene, writer = make_scene(plan), Heard()
        for box in (scene.box, Box(30, 41, 100, 143)):
            send(scene, box, writer)
            full = render_box(scene, box)
            (place, image, truth, instances) = writer.told.pop()
            assert place == box
            assert isinstance(image, Planes) == (channels == 1 and isinstance(full.painted, Planes))
            assert isinstance(image, Planes) or image.shape == (channels, *box.shape)
            assert np.array_equal(array_of(image) if channels == 3 else array_of(image).reshape(1, *box.shape), full.image)
            assert np.array_equal(array_of(truth), full.truth)
            assert (instances is None) == (full.instances is None)
            if instances is not None:
                assert instances.dtype == scene.instances
                assert np.array_equal(array_of(instances), full.instances)


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_boxes_at_full_size(name: str) -> None:
    """The published numbers at 3,072 px: tiles of 1,000 px, of some images, equal the whole."""
    plans = list(literal.plans_of(literal.counted(name, fuzz=literal.TWO), (3072, 3072)).values())
    for plan in (plans[-1], plans[1]):
        scene = make_scene(plan)
        full = render_box(scene, scene.box)
        for tile in scene.box.tiles(1000, 1000):
            same(render_box(scene, tile), full, tile)
