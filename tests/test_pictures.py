"""Pictures: of a recipe without a build, and of an image in a store."""

from __future__ import annotations

import io

import building
import numpy as np
import pytest
from building import cli
from PIL import Image

from miso_gen.build import build
from miso_gen.errors import InputError, UnknownNameError
from miso_gen.geometry import Box
from miso_gen.preview import preview, view
from miso_gen.recipe import plan_images
from miso_gen.render import render
from miso_gen.render.pictures import TRUTH_COLOURS, shrink
from miso_gen.store import open_dataset

COLOURS = [tuple(colour) for colour in TRUTH_COLOURS.astype(int).tolist()]


def opened(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def share_of(page, colour, slack=6):
    """Return the share of pixels near a colour; 256 colours of a PNG are rarely the very ones."""
    return (np.abs(page.astype(int) - colour).max(axis=-1) <= slack).mean()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "store"
    build(building.small(splits=["test"]), folder, workers=1)
    return open_dataset(folder)


# --- contact sheets ---------------------------------------------------------------------------------------------------


def find(page, picture, slack):
    """Return where a picture lies on a page by its red, None where it does not: by some of its pixels, then by all."""
    page, picture = page[..., 0].astype(np.int16), picture.astype(np.int16)
    height, width = picture.shape
    rows, cols = page.shape[0] - height + 1, page.shape[1] - width + 1
    here = np.ones((rows, cols), bool)
    for row, col in np.random.default_rng(1).integers(0, (height, width), (40, 2)):
        here &= np.abs(page[row : row + rows, col : col + cols] - picture[row, col]) <= slack
    for top, left in np.argwhere(here):
        if np.abs(page[top : top + height, left : left + width] - picture).max() <= slack:
            return top, left
    return None


def test_sheet_shows_several_pairs():
    recipe = building.small(scenarios=["gsp"], splits=["test"])
    page = opened(preview(recipe, side=300, pairs=3))
    plans = [plan for plan in plan_images(recipe) if find(page, render(recipe, plan.id)[0][0], slack=24) is not None]
    assert len(plans) == 6
    assert len({plan.pair for plan in plans}) == 3


@pytest.mark.parametrize("scenario", building.SCENARIOS)
def test_sheet_shows_an_image_of_each_label_beside_its_truth(scenario):
    """Found on the page by the pixels of the whole image: at this size nothing is shrunk."""
    recipe = building.small(scenarios=[scenario], splits=["test"])
    page = opened(preview(recipe, side=300))
    shown = []
    for plan in plan_images(recipe):
        image, truth = render(recipe, plan.id)
        place = find(page, image[0], slack=24)  # greys are few in 256 colours
        if place is not None:
            shown.append(plan)
            top, left = place
            beside = page[top : top + 300, left + 280 : left + 280 + 320]
            assert find(beside, TRUTH_COLOURS[truth][..., 0], slack=6) is not None
    assert sorted(plan.label for plan in shown) == [0, 1]
    if scenario != "md":
        assert len({plan.pair for plan in shown}) == 1


def test_sheet_has_a_row_for_each_scenario_and_columns_for_pairs():
    recipe = building.small(splits=["test"])

    def shape(names=(), **options):
        return opened(preview(recipe, side=100, scenarios=names, **options)).shape

    one, two = shape(["gsp"])[0], shape(["gsp", "fm"])[0]
    assert two - one >= 100
    assert shape()[0] == one + 5 * (two - one)
    assert shape(pairs=5)[0] == shape()[0]
    assert shape(pairs=5)[1] > 10 * 200
    page = opened(preview(recipe, side=100))
    assert all(share_of(page, colour) > 0.005 for colour in COLOURS)


def test_sheet_of_every_shipped_kind_of_canvas():
    canvas = {"shape": [120, 200], "channels": 3, "dtype": "uint16"}
    page = opened(preview(building.small(canvas=canvas, scenarios=["dsp"]), side=100))
    for colour in COLOURS[::2]:
        assert share_of(page, colour) > 0.01


def test_sheet_of_an_unknown_scenario():
    with pytest.raises(UnknownNameError, match="Did you mean 'gsp'"):
        preview(building.small(), scenarios=["gps"])


def test_preview_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = building.recipe_file(tmp_path / "r.yaml", building.SMALL)
    result = cli("preview", recipe, "--side", "64")
    assert (result.exit_code, result.stdout) == (0, "small-preview.png\n")
    expected = preview(building.small(), side=64)
    assert (tmp_path / "small-preview.png").read_bytes() == expected
    options = ["--scenario", "md", "--scenario", "fm", "--pairs", "2", "--side", "64"]
    assert cli("preview", recipe, "-o", tmp_path / "x.png", *options).exit_code == 0
    assert (tmp_path / "x.png").read_bytes() == preview(building.small(), side=64, scenarios=["md", "fm"], pairs=2)
    assert cli("preview", recipe, "-o", tmp_path / "y.png", "--set", "seed=8", "--side", "64").exit_code == 0
    assert (tmp_path / "y.png").read_bytes() != expected


def test_preview_of_what_is_shipped(tmp_path):
    assert cli("preview", "miso1", "-o", tmp_path / "x.png", "--side", "48").exit_code == 0
    with Image.open(tmp_path / "x.png") as page:
        assert page.format == "PNG"
        assert min(page.size) > 200


# --- shrinking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "side"), [(300, 280, 300), (300, 280, 100), (301, 77, 64), (1100, 1050, 50), (70, 1301, 16)]
)
def test_shrunk_is_the_mean_of_each_block(height, width, side):
    rng = np.random.default_rng([height, width, side])
    image = rng.integers(0, 256, (1, height, width), np.uint8)
    truth = rng.integers(0, 3, (height, width), np.uint8)
    box = Box(3, 2, height - 1, width)

    def read(part):
        return image[(slice(None), *part.slices)], truth[part.slices]

    found = shrink(read, box, side)
    factor = -(-max(box.shape) // side)
    assert max(found.image.shape[:2]) <= side
    for row, col in [(0, 0), (found.image.shape[0] - 1, found.image.shape[1] - 1), (found.image.shape[0] // 2, 1)]:
        rows = slice(3 + row * factor, min(height - 1, 3 + (row + 1) * factor))
        cols = slice(2 + col * factor, min(width, 2 + (col + 1) * factor))
        assert found.image[row, col] == pytest.approx([image[0, rows, cols].mean()] * 3)
        assert found.truth[row, col] == pytest.approx([(truth[rows, cols] == level).mean() for level in range(3)])


# --- one image --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_id", ["gsp/test/0002", "evp/test/0001", "fm/test/0002", "md/test/0001"])
def test_view_is_image_under_truth(store, image_id):
    image, truth = store[image_id].read()
    page = opened(view(store[image_id]))
    assert page.shape[0] == 300 + 56
    shown = page[30:330, :280].astype(float)
    grey = np.repeat(image[0][..., None].astype(float), 3, axis=-1)
    colour = TRUTH_COLOURS[truth]
    expected = np.where((truth > 0)[..., None], 0.55 * grey + 0.45 * colour, grey)
    assert np.abs(shown - expected).mean() < 4
    assert np.abs(shown - expected).max() < 40  # 256 colours


def test_view_of_a_box(store):
    image_id, box = "gsp/test/0002", (100, 50, 260, 200)
    whole, part = opened(view(store[image_id])), opened(view(store[image_id], box))
    assert part.shape == (160 + 56, whole.shape[1], 3)
    assert np.abs(part[30:190, :150].astype(int) - whole[130:290, 50:200]).mean() < 6
    small = opened(view(store[image_id], side=50))
    assert small.shape == (50 + 56, whole.shape[1], 3)


@pytest.mark.parametrize("box", [(0, 0, 301, 5), (0, 0, 5, 281), (5, 5, 5, 9), (5, 5, 9, 5), (9, 9, 5, 5), (-1, 0, 5, 5)])
def test_view_of_a_box_that_cannot_be(store, box):
    with pytest.raises(InputError, match=r"gsp/test/0002: box must"):
        view(store["gsp/test/0002"], box)


def test_view_command(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = store.target.describe("")
    assert cli("view", folder, "gsp/test/0002").stdout == "gsp-test-0002.png\n"
    assert (tmp_path / "gsp-test-0002.png").read_bytes() == view(store["gsp/test/0002"])
    result = cli("view", folder, "gsp/test/0002", "--box", "10,20,110,140", "--side", "60", "-o", "x.png")
    assert (result.exit_code, result.stdout) == (0, "x.png\n")
    assert (tmp_path / "x.png").read_bytes() == view(store["gsp/test/0002"], (10, 20, 110, 140), side=60)
