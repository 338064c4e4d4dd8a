"""Maps from values of patches: against painting every pixel, patch by patch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from building import small
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.build import build
from miso_gen.data.grid import grid_patches
from miso_gen.data.legacy import legacy_overlay
from miso_gen.data.patches import PatchTable, patch_table
from miso_gen.data.stitching import Cells, cells_of, positive_cells, stitch
from miso_gen.errors import InputError, UnknownNameError
from miso_gen.store import open_dataset

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPES = st.lists(st.tuples(st.integers(1, 70), st.integers(1, 70)), min_size=1, max_size=3)
EVEN = st.integers(1, 12).map(lambda half: 2 * half)
SHIFTS = st.sampled_from(["half", "none", "legacy"])


def table_of(shapes: list[tuple[int, int]], size: int, shift: Any, seed: int = 0, positive: int = 2) -> PatchTable:
    """Return a table of made-up shares; some patches are missing."""
    rng = np.random.default_rng(seed)
    parts = [grid_patches(*shape, size, shift) for shape in shapes]
    places = {key: np.concatenate([getattr(part, key) for part in parts]) for key in ("grid", "i", "j", "row", "col")}
    count = len(places["row"])
    objects = rng.choice([0.05, 0.1, 0.2, 0.9], count)
    table = PatchTable(
        image=np.repeat(np.arange(len(shapes)), [len(part) for part in parts]),
        **places,
        label=np.zeros(count, np.int64),
        object_share=objects,
        evidence_share=objects * rng.integers(0, 2, count),
        pixel_mean=rng.random(count),
        ids=tuple(f"made/test/{number}" for number in range(len(shapes))),
        scenarios=("made",) * len(shapes),
        splits=("test",) * len(shapes),
        shapes=tuple(shapes),
        size=size,
        shift=shift,
        positive=positive,
    )
    return table.where(rng.random(count) < 0.8)


def covering(table: PatchTable, number: int) -> list[list[list[int]]]:
    """Return the rows of the table that cover each pixel of an image."""
    height, width = table.shapes[number]
    found: list[list[list[int]]] = [[[] for _ in range(width)] for _ in range(height)]
    for row in np.flatnonzero(table.image == number).tolist():
        for y in range(table.size):
            for x in range(table.size):
                found[int(table.row[row]) + y][int(table.col[row]) + x].append(row)
    return found


def pixels(found: NDArray[Any], table: PatchTable, number: int) -> NDArray[np.float64]:
    return cells_of(table, table.ids[number]).canvas(found, *table.shapes[number])


@given(SHAPES, EVEN, SHIFTS, st.integers(0, 100))
def test_stitching_is_painting(shapes: list[tuple[int, int]], size: int, shift: Any, seed: int) -> None:
    table = table_of(shapes, size, shift, seed)
    values = np.random.default_rng(seed).normal(size=len(table))
    for number, image in enumerate(table.ids):
        found = stitch(table, values, image)
        assert found.dtype == np.float64
        assert found.shape == (shapes[number][0] // (size // 2), shapes[number][1] // (size // 2))
        painted = np.full(shapes[number], np.nan)
        for y, line in enumerate(covering(table, number)):
            for x, rows in enumerate(line):
                if rows:
                    painted[y, x] = sum(values[row] for row in rows) / len(rows)
        np.testing.assert_allclose(pixels(found, table, number), painted, rtol=0, atol=1e-12, equal_nan=True)


@given(SHAPES, EVEN, SHIFTS, st.integers(0, 100), st.sampled_from([1, 2]), st.sampled_from([0.0, 0.1, 0.5]))
def test_positive_cells_are_the_definition(
    shapes: list[tuple[int, int]], size: int, shift: Any, seed: int, positive: int, min_share: float
) -> None:
    table = table_of(shapes, size, shift, seed)
    shares = table.object_share if positive == 1 else table.evidence_share
    for number, image in enumerate(table.ids):
        found = positive_cells(table, image, positive=positive, min_share=min_share)
        assert found.dtype == np.bool_
        painted = np.zeros(shapes[number], bool)
        for y, line in enumerate(covering(table, number)):
            for x, rows in enumerate(line):
                painted[y, x] = bool(rows) and all(shares[row] > min_share for row in rows)
        assert np.array_equal(np.nan_to_num(pixels(found, table, number)), painted)


@given(SHAPES, EVEN, SHIFTS, st.floats(-1e6, 1e6))
def test_a_constant_comes_back(shapes: list[tuple[int, int]], size: int, shift: Any, value: float) -> None:
    table = table_of(shapes, size, shift)
    for number, image in enumerate(table.ids):
        values = np.where(table.image == number, value, np.nan)  # nothing of other images gets in
        found = stitch(table, values, image)
        assert set(found[~np.isnan(found)].tolist()) <= {value}
        assert (~np.isnan(found)).any() == (table.image == number).any()


def test_a_store_there_and_back(tmp_path: Path) -> None:
    """Cells of shares tell where the truth is."""
    build(small(scenarios=["gsp"]), tmp_path / "out", workers=1)
    dataset = open_dataset(tmp_path / "out")
    table = patch_table(dataset, dataset.ids, size=32, background="keep")
    seen = 0
    for image_id in dataset.ids:
        truth = dataset[image_id].truth.all()
        found = positive_cells(table, image_id)
        seen += int(found.sum())
        for row, col in np.argwhere(found).tolist():
            for down in (0, 16):
                for right in (0, 16):
                    top, left = 16 * row - down, 16 * col - right
                    patch = truth[top : top + 32, left : left + 32] if min(top, left) >= 0 else None
                    if patch is not None and patch.shape == (32, 32) and (top % 32, left % 32) in ((0, 0), (16, 16)):
                        assert (patch == 2).mean() > 0.1
        shares = stitch(table, table.evidence_share, image_id)
        assert (shares[found] > 0.1).all()
        if dataset[image_id].attributes["label"] == 0:
            assert not found.any()
    assert seen > 0


def test_values_of_nobody_stay_unknown() -> None:
    table = table_of([(40, 40)], 20, "none").where([0])
    found = stitch(table, [np.nan], table.ids[0])
    assert np.isnan(found).all()
    assert not positive_cells(table.where([]), table.ids[0]).any()
    assert np.isnan(stitch(table.where([]), [], table.ids[0])).all()


def test_cells() -> None:
    table = table_of([(300, 280)], 96, "half")
    assert cells_of(table, "made/test/0") == Cells(6, 5, 48, (0, 0))
    canvas = Cells(1, 2, 3).canvas([[1.0, 2.0]], 4, 7)
    assert np.array_equal(canvas[:3, :6], np.repeat([[1.0, 1.0, 1.0, 2.0, 2.0, 2.0]], 3, axis=0))
    assert np.isnan(canvas[3:]).all()
    assert np.isnan(canvas[:, 6:]).all()
    with pytest.raises(InputError, match=r"values must be a map of 1 x 2 cells, got shape \(2, 1\)"):
        Cells(1, 2, 3).canvas([[1.0], [2.0]], 4, 7)


def test_what_cannot_be_stitched() -> None:
    table = table_of([(40, 40)], 10, "half")
    for call in (cells_of, positive_cells):
        with pytest.raises(UnknownNameError, match="image must be one of made/test/0, got 'made/test/1'"):
            call(table, "made/test/1")
        with pytest.raises(InputError, match=r"size of patches must be even to be stitched, got 9\. Cells are half a patch"):
            call(table_of([(40, 40)], 9, "none"), "made/test/0")
    with pytest.raises(InputError, match=r"values must be one number a patch, shape \(\d+,\), got shape \(1,\)"):
        stitch(table, [1.0], "made/test/0")
    with pytest.raises(InputError, match="positive must be 1 or 2, got 3"):
        positive_cells(table, "made/test/0", positive=3)
    with pytest.raises(
        InputError, match=r"positive=2 must have a table of positive=2, got one of positive=1\. Make the table anew"
    ):
        positive_cells(table_of([(40, 40)], 10, "half", positive=1), "made/test/0")
    unknown = table_of([(40, 40)], 10, "half")
    unknown.evidence_share[:] = np.nan
    with pytest.raises(InputError, match="evidence of made/test/0 must be known, got an image whose evidence nobody knows"):
        positive_cells(unknown, "made/test/0")
    assert positive_cells(unknown, "made/test/0", positive=1).any()


# --- the released code ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", ["legacy", "half"])
@pytest.mark.parametrize(("dropped", "start"), [(-1.0, 0.0), (0.0, -1.0)])
def test_the_overlay_of_the_released_code(shift: Any, dropped: float, start: float) -> None:
    table = table_of([(50, 37), (33, 64)], 10, shift)
    values = np.random.default_rng(1).normal(size=len(table))
    for number, (rows, columns) in enumerate([(5, 3), (3, 6)]):
        canvas = np.full((2 * (rows + 1) + 1, 2 * (columns + 1) + 1), start)
        for grid in (0, 1):
            for i in range(rows + 1):
                for j in range(columns + 1):
                    mine = (table.image == number) & (table.grid == grid) & (table.i == i) & (table.j == j)
                    value = float(values[mine][0]) if mine.any() else dropped
                    for down in (0, 1):
                        for right in (0, 1):
                            canvas[2 * i + down + grid, 2 * j + right + grid] += value
        found = legacy_overlay(table, values, table.ids[number], dropped=dropped, start=start)
        np.testing.assert_allclose(found, canvas / 2, rtol=0, atol=1e-12)
        assert found[-1, 0] == found[0, -1] == start / 2  # corners that neither grid reaches


def test_overlays_that_cannot_be() -> None:
    table = table_of([(40, 40)], 10, "legacy")
    with pytest.raises(UnknownNameError, match="image must be one of made/test/0"):
        legacy_overlay(table, np.zeros(len(table)), "made/test/1")
    with pytest.raises(InputError, match="values must be one number a patch"):
        legacy_overlay(table, [1.0], "made/test/0")
