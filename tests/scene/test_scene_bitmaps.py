"""Silhouettes from pictures in scenes: scaled to canvases, deformed, written in recipes, shown to people."""

from __future__ import annotations

import io
import shutil
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from miso_gen.contents import Content, keep
from miso_gen.errors import InputError, RecipeError, UnknownNameError
from miso_gen.geometry import Box, Spans
from miso_gen.imports.outlines import Outline
from miso_gen.preview import outline_sheet, preview
from miso_gen.recipe import MORPHOLOGIES, Recipe, load_recipe, plan_images, recipe_json_schema
from miso_gen.render import render
from miso_gen.scene.morphologies.bitmaps import Bitmaps


def bitmaps(masks, **fields):
    shapes = [{"name": name, "content": keep(Outline.of_mask(mask).content)} for name, mask in masks.items()]
    return Bitmaps.from_spec({"shapes": shapes, "reference_shape": shapes[0], **fields})


def raster(found, name, height, width):
    return Spans.of_polygon(found.rings(name, height, width), height, width).mask(Box(0, 0, height, width)).astype(bool)


def blob(height, width, seed=0):
    """Return smooth random spots: pieces, holes, corners that touch, some at the border."""
    rng = np.random.default_rng([height, width, seed])
    coarse = rng.random((-(-height // 4), -(-width // 4))) < 0.5
    mask = np.kron(coarse, np.ones((4, 4), bool))[:height, :width]
    mask[rng.integers(height), rng.integers(width)] ^= True
    return mask


# --- scale ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(64, 64), (70, 131), (400, 90)])
@pytest.mark.parametrize("scale", [1, 2, 3, 7])
def test_whole_scales_repeat_pixels(shape, scale):
    mask = blob(*shape)
    found = raster(bitmaps({"a": mask}), "a", shape[0] * scale, shape[1] * scale)
    assert np.array_equal(found, mask.repeat(scale, axis=0).repeat(scale, axis=1))


@pytest.mark.parametrize(
    ("canvas", "top", "left"), [((64, 100), 0, 10), ((64, 180), 0, 50), ((200, 80), 68, 0), ((90, 80), 13, 0)]
)
def test_other_aspects_are_centred(canvas, top, left):
    mask = blob(64, 80)
    found = raster(bitmaps({"a": mask}), "a", *canvas)
    expected = np.zeros(canvas, bool)
    expected[top : top + 64, left : left + 80] = mask
    assert np.array_equal(found, expected)


def literal(mask, height, width, margin=None):
    """Return the picture on a canvas by fractions: a pixel is inside where the picture is at its centre.

    Vertices are rounded down to 1/128 px: pixels whose centre is that near to an edge are left open.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = 0, mask.shape[0], 0, mask.shape[1]
    if margin is not None:
        top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    room = 2 * Fraction(margin or 0).limit_denominator(1000) * min(height, width)
    scale = min((height - room) / (bottom - top), (width - room) / (right - left))
    half = Fraction(1, 2)

    def back(place, size, low, high):
        """Return the position in the picture of a position on the canvas."""
        return (place + half - Fraction(size, 2)) / scale + Fraction(low + high, 2)

    def source(size, low, high, count):
        positions = [back(place, size, low, high) for place in range(size)]
        near = [abs(position - round(position)) * scale <= Fraction(1, 60) for position in positions]
        return [int(position // 1) if 0 <= position < count else -1 for position in positions], near

    (y, open_y), (x, open_x) = source(height, top, bottom, mask.shape[0]), source(width, left, right, mask.shape[1])
    padded = np.pad(mask, ((0, 1), (0, 1)))
    return padded[np.ix_(y, x)], ~(np.array(open_y)[:, None] | np.array(open_x)[None, :])


@given(
    st.integers(8, 60), st.integers(8, 60), st.integers(64, 150), st.integers(64, 150), st.sampled_from([None, 0.0, 0.05, 0.3])
)
def test_any_scale_by_fractions(rows, columns, height, width, margin):
    mask = np.pad(blob(rows, columns), ((3, 5), (2, 9)))
    fields = {} if margin is None else {"fit": "object", "margin_share": margin}
    found = raster(bitmaps({"a": mask}, **fields), "a", height, width)
    expected, sure = literal(mask, height, width, margin)
    assert np.array_equal(found[sure], expected[sure])


@pytest.mark.parametrize("canvas", [(200, 200), (200, 420), (300, 180)])
@pytest.mark.parametrize("margin", [0.0, 0.05, 0.25])
def test_fit_object_fills_the_canvas(canvas, margin):
    mask = np.pad(np.ones((30, 50), bool), ((100, 7), (3, 40)))
    found = raster(bitmaps({"a": mask}, fit="object", margin_share=margin), "a", *canvas)
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    gap = margin * min(canvas)
    gaps = [rows[0], canvas[0] - 1 - rows[-1], columns[0], canvas[1] - 1 - columns[-1]]
    assert min(gaps) == pytest.approx(gap, abs=1)
    assert abs(gaps[0] - gaps[1]) <= 1
    assert abs(gaps[2] - gaps[3]) <= 1


def test_large_canvases():
    """Whole numbers do not overflow."""
    side = 2**20
    rings = bitmaps({"a": np.ones((8191, 8192), bool)}).rings("a", side, side)
    assert rings[0].tolist() == [[1, 256 * 64 + 1], [256 * side + 1, 256 * 64 + 1], *rings[0][2:].tolist()]
    assert (rings[0] & 1).all()


# --- the plug-in ------------------------------------------------------------------------------------------------------


def test_names_and_reference():
    found = bitmaps({"cat": blob(64, 64), "ant": blob(64, 64, 1)})
    assert found.names() == ("cat", "ant")
    assert found.reference == "cat"
    hidden = bitmaps({"cat": blob(64, 64), "ant": blob(64, 64, 1)}, reference_shape=found.to_spec()["shapes"][1])
    assert hidden.reference == "ant"
    with pytest.raises(UnknownNameError, match="silhouette must be one of ant, cat, got 'dog'"):
        found.rings("dog", 64, 64)
    assert found.contents() == tuple(shape.content for shape in found.shapes)


def test_a_reference_that_is_not_shown_can_be_had():
    shown, other = (bitmaps({name: blob(64, 64, seed)}) for seed, name in enumerate(("cat", "ant")))
    found = Bitmaps.from_spec({**shown.to_spec(), "reference_shape": other.to_spec()["shapes"][0]})
    assert found.names() == ("cat",)
    assert found.reference == "ant"
    assert len(found.contents()) == 2
    assert np.array_equal(raster(found, "ant", 64, 64), blob(64, 64, 1))


def test_what_does_not_fit_together():
    shape = bitmaps({"a": blob(64, 64)}).to_spec()["shapes"][0]
    good = {"shapes": [shape], "reference_shape": shape}
    for wrong, words in (
        ({"shapes": [shape, shape]}, "must be silhouettes with a name each"),
        ({"margin_share": 0.1}, "must be without margin_share where fit is image"),
        ({"fit": "object", "margin_share": 0.5}, "margin_share must be less than 0.5"),
        ({"shapes": []}, "shapes must be a list of at least 1"),
        ({"shapes": [{**shape, "content": "abc"}]}, "the digest of an imported content, 64 hexadecimal digits"),
    ):
        with pytest.raises(RecipeError, match=words):
            Bitmaps.from_spec({**good, **wrong})


def test_contents_that_are_no_outlines_or_nowhere():
    points = keep(Content("points", {"n": 3}))
    for digest, words in ((points, "must be an outline, got points"), ("0" * 64, "must be in the store, in imports/ beside")):
        shape = {"name": "a", "content": digest}
        found = Bitmaps.from_spec({"shapes": [shape], "reference_shape": shape})
        with pytest.raises(InputError, match=words):
            found.rings("a", 64, 64)


# --- recipes ----------------------------------------------------------------------------------------------------------

SHAPES = {"ant": blob(90, 90, 4), "bee": np.pad(np.ones((40, 60), bool), 15), "fly": np.tri(120, 120, -9, dtype=bool)}
RECIPE = """\
schema: 1
name: mine
canvas: {shape: [120, 150]}
splits: [train, test]
defaults:
  morphologies: {type: bitmaps, path: PATH, MORE}
scenarios:
  - {type: evp}
  - type: md
    deformations:
      - {type: sine, cycles: 2, axis: x}
      - {type: sine, cycles: 1, axis: y}
      - {type: affine, rotation_rad: 0.3, shear_rad: 0.1, translation_px: [10.0, 5.0]}
"""


def files(folder, kind):
    folder.mkdir(parents=True)
    for name, mask in SHAPES.items():
        Image.fromarray(np.where(mask, 0, 255).astype(np.uint8)).save(folder / f"{name}.{kind}")


def recipe(folder, path="shapes/*.*", more="binarize: {type: binary, object: dark}"):
    (folder / "mine.yaml").write_text(RECIPE.replace("PATH", path).replace("MORE", more))
    return load_recipe(folder / "mine.yaml")


def image_of(mask, height, width):
    found = bitmaps({"a": mask})
    return raster(found, "a", height, width)


def test_whole_recipes(tmp_path):
    files(tmp_path / "shapes", "png")
    found = recipe(tmp_path)
    plans = {plan.id: plan for plan in plan_images(found)}
    assert [plan.morphology for plan in plans.values() if plan.scenario == "evp" and plan.split == "test"] == [
        name for name in SHAPES for _ in range(2)
    ]
    for plan in plans.values():
        image, truth = render(found, plan.id)
        assert image.shape == (1, 120, 150)
        if plan.scenario == "evp":
            expected = image_of(SHAPES[plan.morphology], 120, 150)
            assert np.array_equal(truth == 2, expected)
            assert (image[0][expected] == (255 if plan.label else 0)).all()
    deformed = [plan for plan in plans.values() if plan.settings]
    assert {plan.morphology for plan in deformed} == {"ant"}
    assert len(deformed) == 6
    whole = image_of(SHAPES["ant"], 120, 150)
    shares = [(render(found, plan.id)[1] == 2).sum() / whole.sum() for plan in deformed]
    assert shares[:2] == [1.0, 1.0]  # rolled
    assert 0.5 < shares[2] < 1.2


def test_digests_know_neither_paths_nor_formats(tmp_path):
    made = {}
    for kind, folder in (("png", "one"), ("tiff", "two"), ("bmp", "three")):
        files(tmp_path / folder / "shapes", kind)
        made[kind] = recipe(tmp_path / folder)
    assert made["png"].digest == made["tiff"].digest == made["bmp"].digest
    assert made["png"].to_dict() == made["tiff"].to_dict()
    assert "path" not in str(made["png"].to_dict())
    assert "binar" not in str(made["png"].to_dict())
    assert set(made["png"].contents()) == {Outline.of_mask(mask).content.digest for mask in SHAPES.values()}
    other = recipe(tmp_path / "one", more="binarize: {type: binary, object: light}")
    assert other.digest != made["png"].digest


def test_recipes_outlive_their_files(tmp_path):
    files(tmp_path / "shapes", "png")
    found = recipe(tmp_path)
    before = [render(found, plan.id) for plan in plan_images(found)[:4]]
    shutil.rmtree(tmp_path / "shapes")
    again = Recipe.from_dict(found.to_dict())
    assert again.to_dict() == found.to_dict()
    assert again.digest == found.digest
    for (image, truth), plan in zip(before, plan_images(again), strict=False):
        assert np.array_equal(render(again, plan.id)[0], image)
        assert np.array_equal(render(again, plan.id)[1], truth)
    with pytest.raises(RecipeError, match=r"path must name pictures, got 'shapes/\*\.\*', which matches no file"):
        load_recipe(tmp_path / "mine.yaml")


def test_choices_in_recipes(tmp_path):
    files(tmp_path / "shapes", "png")
    found = recipe(tmp_path, path="[shapes/fly.png, shapes]", more="only: [fly, bee], reference: ant, split: disjoint")
    shown = {
        split: {p.morphology for p in plan_images(found) if p.scenario == "evp" and p.split == split} for split in found.splits
    }
    assert shown == {"train": {"bee"}, "test": {"fly"}}
    assert {p.morphology for p in plan_images(found) if p.scenario == "md" and p.label == 0} == {"ant"}
    fitted = recipe(tmp_path, more="fit: object, margin_share: 0.1")
    assert fitted.digest != recipe(tmp_path, more="fit: object").digest
    assert fitted.contents() == recipe(tmp_path, more="fit: image").contents()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("hols: keep", "must be one of the keys type, path, binarize, holes, .*, margin_share, got 'hols'.*Did you mean 'holes'"),
        ("holes: kept", "holes must be 'keep' or 'fill', got 'kept'"),
        ("binarize: ostu", "binarize.* must be a binarizer, one of alpha, auto, binary, otsu, threshold.*Did you mean 'otsu'"),
        ("binarize: {type: otsu, objekt: dark}", "must be one of the keys type, object, got 'objekt'.*Did you mean 'object'"),
        ("binarize: {type: threshold, low: 0.9, high: 0.1}", "binarize must be thresholds with low below high"),
        ("binarize: {type: threshold, low: {uniform: [0, 1]}}", "must be a plain value"),
        ("margin_share: 0.1", "without margin_share where fit is image"),
        ("only: [bea]", "silhouette must be one of ant, bee, fly, got 'bea'. Did you mean 'bee'"),
        ("fit: {each: [image, object]}, margin_share: 0.7", "margin_share must be less than 0.5"),
    ],
)
def test_mistakes_in_recipes(more, words, tmp_path):
    files(tmp_path / "shapes", "png")
    with pytest.raises(RecipeError, match=words) as caught:
        recipe(tmp_path, more=more)
    assert "mine.yaml:6" in str(caught.value)


def test_refused_files_in_recipes(tmp_path):
    files(tmp_path / "shapes", "png")
    (tmp_path / "shapes" / "bee.png").write_bytes(b"Hello")
    (tmp_path / "shapes" / "fly.png").write_bytes((tmp_path / "shapes" / "ant.png").read_bytes()[:90])
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path)
    assert "mine.yaml:6: scenarios[0].morphologies: shapes/bee.png must be a PNG" in str(caught.value).replace(
        "defaults", "scenarios[0]"
    )
    assert "shapes/fly.png must be a whole PNG picture" in str(caught.value)


def test_schema_knows_the_keys():
    properties = recipe_json_schema()["$defs"]["morphologies.bitmaps"]["properties"]
    assert {"path", "binarize", "holes", "islands", "only", "reference", "fit", "margin_share", "split", "shapes"} <= set(
        properties
    )
    assert "bitmaps" in MORPHOLOGIES


# --- for people -------------------------------------------------------------------------------------------------------


def test_sheet_of_outlines():
    ring = np.pad(np.pad(np.zeros((20, 30), bool), 10, constant_values=True), 20)
    two = np.pad(np.ones((400, 100), bool), ((0, 0), (10, 0)))
    two[200] = False
    (row,) = outline_sheet(bitmaps({"ring": ring, "two": two}), side=100)
    assert row.bare
    assert [(cell.caption, cell.note) for cell in row.cells] == [
        ("ring", "90 x 80 px, 1 piece, 1 hole"),
        ("two", "110 x 400 px, 2 pieces, 0 holes"),
    ]
    assert np.array_equal(row.cells[0].shrunk.picture[..., 0], np.where(ring, 0, 255))
    assert row.cells[1].shrunk.picture.shape == (100, 28, 3)


def test_sheet_of_many_outlines():
    rows = outline_sheet(bitmaps({f"n{k:02}": blob(64, 64, k) for k in range(19)}), side=64)
    assert [len(row.cells) for row in rows] == [8, 8, 3]


def opened(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))


def test_preview_shows_what_became_of_files(tmp_path):
    """Once for all scenarios that show it, and not beside a scenario that is not asked for."""
    files(tmp_path / "shapes", "png")
    found = recipe(tmp_path)
    page = opened(preview(found, side=150))
    places = []
    for name, mask in SHAPES.items():
        expected = np.where(mask, 0, 255)
        height, width = expected.shape
        corners = [expected[0, 0], expected[0, -1], expected[-1, 0], expected[-1, -1]]
        there = [
            (top, left)
            for top in range(60, 120)
            for left in range(10, page.shape[1] - width)
            if np.array_equal(
                page[top : top + height : height - 1, left : left + width : width - 1].reshape(-1) > 127, np.array(corners) > 127
            )
            and np.abs(page[top : top + height, left : left + width].astype(int) - expected).max() < 30
        ]
        assert there, name
        places.append(there[0])
    assert places == sorted(places, key=lambda place: place[1])
    one = opened(preview(found, side=150, scenarios=["evp"]))
    assert one.shape[0] < page.shape[0]
