"""Maps beside their truth, and their pictures, against literal definitions."""

from __future__ import annotations

import dataclasses
import math
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from miso_gen.report.cells import Lead
from miso_gen.report.layers import find_map, layers_of, truth_of
from miso_gen.report.pictures import (
    DIFFERENCE_COLOURS,
    TRUTH_COLOURS,
    image_picture,
    levels_picture,
    map_picture,
    map_range,
    ramp,
    shrunk_levels,
    shrunk_values,
)
from miso_gen.store.map_files import MapFolder
from miso_gen.store.map_group import MapGroup, StoredMap

if TYPE_CHECKING:
    from miso_gen.report.results import Results

IMAGE = "gsp/test/0006"
CELL = 16


def lead(at: str = "grid", binarizer: str = "two-mean", positive: int = 1) -> Lead:
    return Lead("f-beta", at, binarizer, positive)


def opened(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(BytesIO(data)).convert("RGBA"))


def test_mask_and_difference_of_cells_are_those_of_the_rules(results: Results) -> None:
    found = find_map(results, "vgg-att", "gsp", 0, "saliency", IMAGE)
    assert found is not None
    layers = layers_of(results, found, lead())
    values = np.nan_to_num(found.values.astype(np.float64))
    wanted = values > 2 * np.abs(values).mean()
    assert layers.mask is not None
    assert layers.difference is not None
    assert (layers.mask == wanted).all()
    assert 0 < wanted.sum() < wanted.size
    truth = results.dataset[IMAGE].truth.all() >= 1
    for row in range(values.shape[0]):
        for col in range(values.shape[1]):
            patches = [
                truth[top : top + 2 * CELL, left : left + 2 * CELL].mean()
                for top in ((row - 1) * CELL, row * CELL)
                for left in ((col - 1) * CELL, col * CELL)
                if top >= 0 and left >= 0 and top + 2 * CELL <= 300 and left + 2 * CELL <= 280
                and (top // CELL - left // CELL) % 2 == 0 and top // CELL % 2 == left // CELL % 2
            ]  # fmt: skip
            evidence = bool(patches) and all(share > 0.1 for share in patches)
            code = {(False, False): 0, (True, True): 1, (True, False): 2, (False, True): 3}[bool(wanted[row, col]), evidence]
            assert layers.difference[row, col] == code
    assert layers.rule == "patches"
    assert layers.extent == (18 * CELL / 300, 17 * CELL / 280)


def test_a_map_of_cells_is_compared_at_pixels_where_it_was_scored_there(results: Results) -> None:
    found = find_map(results, "vgg-att", "gsp", 0, "saliency", IMAGE)
    assert found is not None
    cells, pixels = layers_of(results, found, lead()), layers_of(results, found, lead("pixel", positive=2))
    assert cells.mask is not None
    assert pixels.mask is not None
    assert pixels.difference is not None
    assert pixels.mask.shape == (300, 280)
    for row, col in ((0, 0), (17, 33), (150, 140), (287, 271), (288, 0), (299, 279), (0, 272)):
        inside = row < 18 * CELL and col < 17 * CELL
        assert pixels.mask[row, col] == (inside and cells.mask[row // CELL, col // CELL])
    evidence = results.dataset[IMAGE].truth.all() == 2
    assert ((pixels.difference == 1) == (pixels.mask & evidence)).all()
    assert ((pixels.difference == 2) == (pixels.mask & ~evidence)).all()
    assert ((pixels.difference == 3) == (~pixels.mask & evidence)).all()


def test_truth_of_other_grids_is_the_larger_half(results: Results) -> None:
    truth, rule = truth_of(results, IMAGE, 1, (7, 9))
    whole = results.dataset[IMAGE].truth.all() >= 1
    assert rule == "cells"
    assert truth is not None
    for row in range(7):
        for col in range(9):
            part = whole[row * 300 // 7 : (row + 1) * 300 // 7, col * 280 // 9 : (col + 1) * 280 // 9]
            assert truth[row, col] == (part.mean() > 0.5)


def test_unknown_evidence_is_not_compared(results: Results) -> None:
    class Unknown:
        table = results.dataset.table.assign(truth_2_known=False)

        def __getitem__(self, image_id: str) -> Any:
            return results.dataset[image_id]

    found = find_map(results, "vgg-att", "gsp", 0, "saliency", IMAGE)
    assert found is not None
    layers = layers_of(dataclasses.replace(results, dataset=Unknown()), found, lead(positive=2))  # type: ignore[arg-type]
    assert layers.difference is None
    assert layers.rule == "unknown"
    assert layers.mask is not None


def test_without_a_known_binarizer_there_is_no_mask(results: Results) -> None:
    found = find_map(results, "vgg-att", "gsp", 0, "saliency", IMAGE)
    assert found is not None
    for name in ("", "mine", '{"type": "mine"}', "{"):
        assert layers_of(results, found, lead(binarizer=name)).mask is None
    fixed = layers_of(results, found, lead(binarizer='{"type": "fixed", "value": 0.5}')).mask
    assert fixed is not None
    assert (fixed == (np.nan_to_num(found.values) > 0.5)).all()


def test_of_several_maps_that_of_the_class_is_shown(results: Results) -> None:
    group = MapGroup("m", "heatmap", {}, "heatmap", "grid")
    values = np.arange(3 * 4 * 4, dtype=np.float32).reshape(3, 4, 4)
    for target, wanted in ((2, 2), (None, 1), (7, 2)):  # label of the image: 1
        found = StoredMap(IMAGE, values, target, False, False, "", {}, group)
        assert results.dataset[IMAGE].attributes["label"] == 1
        assert (layers_of(results, found, lead()).values == values[wanted]).all()


def test_maps_are_found_by_network_scenario_and_seed(results: Results, tmp_path: Any) -> None:
    assert find_map(results, "vgg-att", "gsp", 1, "saliency", IMAGE) is None  # no maps of this training
    assert find_map(results, "vgg-att", "gsp", 0, "mine", IMAGE) is None
    assert find_map(results, "vgg-att", "gsp", 0, "saliency", "gsp/test/0099") is None
    found = find_map(results, "vgg-att", "gsp", math.nan, "saliency", IMAGE)
    assert found is not None
    assert found.group.model == "gsp-vgg-att-0"
    (tmp_path / "mine" / "gsp" / "test").mkdir(parents=True)
    np.save(tmp_path / "mine" / f"{IMAGE}.npy", np.ones((300, 280), np.float32))
    folders = dataclasses.replace(results, maps=[MapFolder(tmp_path / "mine")])
    own = find_map(folders, "", "gsp", None, "mine", IMAGE)
    assert own is not None
    assert own.constant
    assert find_map(folders, "", "gsp", None, "saliency", IMAGE) is None


# --- pictures ---------------------------------------------------------------------------------------------------------


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=30), elements=st.integers(0, 2)), st.integers(1, 30)
)
def test_levels_shrink_to_the_most_frequent_and_then_greatest(levels: np.ndarray[Any, Any], side: int) -> None:
    small = shrunk_levels(levels, 3, side)
    assert max(small.shape) <= side
    factor = max(1, -(-max(levels.shape) // side))
    for row in range(small.shape[0]):
        for col in range(small.shape[1]):
            block = levels[row * factor : (row + 1) * factor, col * factor : (col + 1) * factor].ravel().tolist()
            assert small[row, col] == max(range(3), key=lambda level: (block.count(level), level))


def test_values_shrink_to_means_of_what_is_there() -> None:
    values = np.array([[1, np.nan, 5], [3, np.nan, 7], [np.nan, np.nan, 9]], np.float32)
    small = shrunk_values(values, 2)
    np.testing.assert_array_equal(small, [[2, 6], [np.nan, 9]])


def test_truth_keeps_its_colours_and_nothing_is_transparent() -> None:
    levels = np.array([[0, 1], [2, 0]], np.uint8)
    found = opened(levels_picture(levels, TRUTH_COLOURS, 10_000).data)
    assert found[..., 3].tolist() == [[0, 255], [255, 0]]
    assert tuple(found[0, 1, :3]) == TRUTH_COLOURS[1]
    assert tuple(found[1, 0, :3]) == TRUTH_COLOURS[2]
    assert len(set(DIFFERENCE_COLOURS)) == 4


def test_maps_go_from_one_end_of_the_colours_to_the_other() -> None:
    values = np.array([[0.0, 1.0], [np.nan, 0.5]])
    found = opened(map_picture(values, *map_range(values, signed=False), signed=False, budget=10_000).data)
    assert found[..., 3].tolist() == [[255, 255], [0, 255]]
    assert found[0, 0, :3].tolist() == [0, 32, 76]
    assert found[0, 1, :3].tolist() == [255, 233, 70]
    assert found[1, 1, :3].tolist() == [124, 123, 120]
    signed = np.array([[-2.0, 1.0, 0.0]])
    assert map_range(signed, signed=True) == (-2.0, 2.0)
    row = opened(map_picture(signed, -2.0, 2.0, signed=True, budget=10_000).data)[0, :, :3]
    assert row[0].tolist() == [84, 39, 136]
    assert row[2].tolist() == [247, 247, 247]


def test_maps_without_values_or_range_have_pictures() -> None:
    nothing = np.full((2, 3), np.nan)
    assert map_range(nothing, signed=False) == (0.0, 0.0)
    assert not opened(map_picture(nothing, 0.0, 0.0, signed=False, budget=1000).data)[..., 3].any()
    flat = opened(map_picture(np.full((2, 3), 7.0), 7.0, 7.0, signed=False, budget=1000).data)
    assert (flat[..., :3] == [0, 32, 76]).all()


def test_colours_differ_for_readers_who_see_no_red_or_no_green() -> None:
    """Colours of a difference, and the ends of maps, stay apart after Machado, Oliveira and Fernandes' matrices."""
    protan = np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]])
    deutan = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])
    for seen in (np.eye(3), protan, deutan):
        for colours in (DIFFERENCE_COLOURS, TRUTH_COLOURS):
            shown = np.array(colours) @ seen.T
            apart = [np.abs(shown[one] - shown[other]).max() for one in range(len(shown)) for other in range(one)]
            assert min(apart) > 45
    grey = np.array(ramp([(0, 32, 76), (255, 233, 70)])) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(grey) > 0).all()


def test_images_stay_below_their_budget_and_keep_two_values(results: Results) -> None:
    view = results.dataset[IMAGE]
    whole = image_picture(view, 10**6)
    assert (whole.height, whole.width) == (300, 280)
    assert (opened(whole.data)[..., 0] == view.image.all()[0]).all()
    small = image_picture(view, 4_000)
    assert len(small.data) <= 4_000
    assert 100 <= small.height < 300
    assert whole.uri.startswith("data:image/png;base64,")


@pytest.mark.parametrize("budget", [1_000, 3_000, 9_000])
def test_pictures_are_no_smaller_than_they_must_be(budget: int) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (400, 400)).astype(np.uint8)
    found = levels_picture(noise, ((0, 0, 0), (255, 255, 255)), budget)
    assert len(found.data) <= budget or found.height <= 128
    assert found.height >= 100
