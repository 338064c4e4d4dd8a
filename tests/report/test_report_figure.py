"""The figure of a card."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from miso_gen.errors import InputError, MissingExtraError, OutputError, UnknownNameError
from miso_gen.report.cells import Lead
from miso_gen.report.figure import FIGURE_LIMIT, _grid, card_figure
from miso_gen.report.layers import truth_of

if TYPE_CHECKING:
    from miso_gen.report.results import Results

IMAGE, PARTNER = "gsp/test/0006", "gsp/test/0005"


def test_the_figure_is_a_small_png(results: Results, tmp_path: Any) -> None:
    path = card_figure(results, "vgg-att", "gsp", tmp_path / "inner" / "card.png")
    assert path.stat().st_size < FIGURE_LIMIT
    with Image.open(path) as page:
        assert page.format == "PNG"
        pixels = np.asarray(page.convert("L")).astype(float)
    height, width = pixels.shape
    for row in range(4):  # something is drawn in each of the 4 x 5 places
        for column in range(5):
            part = pixels[row * height // 4 : (row + 1) * height // 4, column * width // 5 : (column + 1) * width // 5]
            assert part.std() > 20


def test_its_pictures_are_those_of_the_maps(results: Results) -> None:
    lead = Lead("f-beta", "grid", "two-mean", 1)
    scores = results.scores[results.scores["scenario"] == "gsp"]
    grid = _grid(results, "vgg-att", "gsp", scores, lead, IMAGE, PARTNER, 0)
    titles = [[grid[row, column].title for column in range(5)] for row in range(4)]
    assert titles == [
        [f"class 1: {IMAGE}", "ppm", "ppm, marked", "target", "marked XOR target"],
        [f"class 0: {PARTNER}", "pcm", "pcm of the partner", "target", "|pcm - target|"],
        ["truth of class 1", "saliency", "saliency, marked", "target", "marked XOR target"],
        ["truth of class 0", "gradcam", "gradcam, marked", "target", "marked XOR target"],
    ]
    [store] = results.maps
    ppm = store.read("gsp-vgg-att-0", "ppm", IMAGE).values  # type: ignore[union-attr,call-arg]
    pcm = store.read("gsp-vgg-att-0", "pcm", IMAGE).values  # type: ignore[union-attr,call-arg]
    truth, _ = truth_of(results, IMAGE, 1, ppm.shape)
    assert truth is not None
    np.testing.assert_array_equal(grid[0, 1].values, ppm)
    np.testing.assert_array_equal(grid[0, 2].values, ppm == 1)
    np.testing.assert_array_equal(grid[0, 3].values, truth)
    np.testing.assert_array_equal(grid[0, 4].values, (ppm == 1) != truth)
    np.testing.assert_allclose(grid[1, 4].values, np.abs(np.nan_to_num(pcm) - truth), atol=1e-6)


def test_what_is_not_there_stays_empty(results: Results, tmp_path: Any) -> None:
    bare = dataclasses.replace(results, maps=[])
    assert card_figure(bare, "vgg-att", "gsp", tmp_path / "card.png").stat().st_size < FIGURE_LIMIT
    grid = _grid(bare, "vgg-att", "gsp", results.scores, Lead("f-beta", "grid", "two-mean", 1), IMAGE, None, 0)
    assert set(grid) == {(0, 0), (2, 0)}


def test_wrong_asks_are_named(results: Results, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="card must be one of"):
        card_figure(results, "vgg-att", "dsp", tmp_path / "card.png")
    zeros = dataclasses.replace(results, scores=results.scores[results.scores["label"] == 0])
    with pytest.raises(InputError, match="an image of class 1, got none"):
        card_figure(zeros, "vgg-att", "gsp", tmp_path / "card.png")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="must be a file that can be written"):
        card_figure(dataclasses.replace(results, maps=[]), "vgg-att", "gsp", tmp_path / "file" / "card.png")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        card_figure(results, "vgg-att", "gsp", tmp_path / "card.png")
