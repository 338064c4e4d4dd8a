"""Smooth fields against bilinear interpolation written out, and the branches of a stream against numpy's own generator."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import cv2
import literal
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.transform import resize

from miso_gen.rng import JUMP, Stream
from miso_gen.scene.lattice import NodeGrid, centres, to_nodes


def field(rows: int, columns: int, step_y: float, step_x: float, seed: int = 0) -> NodeGrid:
    values = np.random.default_rng([seed, rows, columns]).normal(0, 12, (rows, columns))
    return NodeGrid(to_nodes(values), step_y, step_x)


def place(position: float, step: float, count: int) -> tuple[int, int, float]:
    """Node before, node after, how far between: node i lies at (i + 1/2) step; beyond the last one t is 1."""
    t = min(max(position / step - 0.5, 0.0), count - 1.0)
    before = min(math.floor(t), max(count - 2, 0))
    return before, min(before + 1, count - 1), t - before


def bilinear(grid: NodeGrid, y: float, x: float) -> float:
    """First along x, then along y; between nodes a and b a value is a + t (b - a)."""
    nodes = grid.nodes.tolist()
    left, right, t = place(x, grid.step_x, len(nodes[0]))
    above, below, u = place(y, grid.step_y, len(nodes))
    upper = nodes[above][left] + t * (nodes[above][right] - nodes[above][left])
    lower = nodes[below][left] + t * (nodes[below][right] - nodes[below][left])
    return upper + u * (lower - upper)


def assembled(grid: NodeGrid, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the strips put together; they are whole rows, in order, without a gap."""
    out, last = np.full((len(y), len(x)), np.nan), 0
    for rows, values in grid.strips(y, x):
        assert rows.start == last
        assert values.shape == (rows.stop - rows.start, len(x))
        out[rows], last = values, rows.stop
    assert last == len(y)
    return out


sizes = st.integers(1, 5)
steps = st.floats(0.4, 40)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9))
@example([0.5 / 65536, -0.5 / 65536, 1.5 / 65536])
def test_nodes_are_whole_65536ths(values: list[float]) -> None:
    wanted = [float(Fraction(math.floor(v * 65536.0 + 0.5), 65536)) for v in values]
    assert to_nodes(np.array(values)).tolist() == wanted


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, steps, steps, st.integers(0, 9))
@example(1, 1, 5.0, 5.0, 0)
@example(1, 4, 0.5, 3.0, 0)
@example(2, 2, 16.0, 7.5, 1)
def test_strips_are_bilinear_bit_for_bit(rows: int, columns: int, step_y: float, step_x: float, seed: int) -> None:
    """On all pixels of the field and some around it."""
    grid = field(rows, columns, step_y, step_x, seed)
    y, x = centres(-3, min(int(rows * step_y) + 3, 30)), centres(-2, min(int(columns * step_x) + 3, 30))
    assert assembled(grid, y, x).tolist() == [[bilinear(grid, v, u) for u in x.tolist()] for v in y.tolist()]


def test_long_rows_of_one_node_come_in_several_strips() -> None:
    grid = field(2, 2, 400.0, 300.0)
    y, x = centres(0, 800), centres(0, 9)
    strips = list(grid.strips(y, x))
    assert len(strips) > 8  # else the loop over strips wasn't tested
    found = assembled(grid, y, x)
    for row in range(0, 800, 7):
        assert found[row].tolist() == [bilinear(grid, y[row], u) for u in x.tolist()]


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, steps, steps, st.integers(0, 400), st.floats(-300, 300))
@example(1, 1, 5.0, 5.0, 0, 0.0)
@example(8, 8, 64.0, 64.0, 300, -256.0)
def test_values_at_points_are_bilinear(rows: int, columns: int, step_y: float, step_x: float, margin: int, corner: float) -> None:
    """Points as far out as the margin allows, in any arrangement."""
    grid = field(rows, columns, step_y, step_x)
    shares = np.random.default_rng(rows + 7 * columns).random((2, 6, 9))
    shares[:, 0, 0], shares[:, 0, 1] = 0.0, 1.0
    y = corner - margin + shares[0] * (rows * step_y + 2 * margin)
    x = corner - margin + shares[1] * (columns * step_x + 2 * margin)
    wanted = np.vectorize(lambda v, u: bilinear(grid, v - corner, u - corner))(y, x)
    kept = y.copy(), x.copy()
    # At a jump of the slope t may round to either side; so absolute, and a little for nodes that lie close.
    assert np.abs(grid.at(y, x, corner=corner, margin=margin) - wanted).max() <= 1e-12 * 48 * (
        1 + (margin + 300) / min(step_y, step_x)
    )
    assert np.array_equal(y, kept[0])
    assert np.array_equal(x, kept[1])


def test_values_at_pixels_of_a_cell_are_within_1e_12() -> None:
    """The noise of a cell: 8 to 16 nodes on 512 px about the origin."""
    for nodes in (8, 11, 16):
        grid = field(nodes, nodes, 512 / nodes, 512 / nodes)
        y, x = np.meshgrid(np.arange(-290.25, 291, 9.7), np.arange(-290.75, 291, 11.3), indexing="ij")
        wanted = np.vectorize(lambda v, u, grid=grid: bilinear(grid, v + 256, u + 256))(y, x)
        assert np.abs(grid.at(y, x, corner=-256.0, margin=100) - wanted).max() < 1e-12


@pytest.mark.parametrize(
    ("rows", "columns", "height", "width"), [(8, 8, 512, 512), (16, 16, 512, 512), (3, 5, 48, 100), (7, 2, 91, 64)]
)
def test_fields_are_what_others_resize_to(rows: int, columns: int, height: int, width: int) -> None:
    nodes = to_nodes(np.random.default_rng(rows).uniform(-1, 1, (rows, columns)))
    grid = NodeGrid(nodes, height / rows, width / columns)
    found = assembled(grid, centres(0, height), centres(0, width))
    assert np.abs(found - cv2.resize(nodes, (width, height), interpolation=cv2.INTER_LINEAR)).max() < 1e-6
    assert np.abs(found - resize(nodes, (height, width), order=1, mode="edge", anti_aliasing=False)).max() < 1e-6
    y, x = np.meshgrid(centres(0, height), centres(0, width), indexing="ij")
    assert np.abs(grid.at(y, x, corner=0.0, margin=0) - found).max() < 1e-12
    assert found.std() > 0.1


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_part_of_a_field_is_the_crop_of_the_whole(data: Any) -> None:
    grid = field(5, 4, 31.7, 45.1)
    y, x = centres(0, 150), centres(0, 170)
    top, left = data.draw(st.integers(0, 149)), data.draw(st.integers(0, 169))
    rows = slice(top, data.draw(st.integers(top + 1, 150)))
    columns = slice(left, data.draw(st.integers(left + 1, 170)))
    assert np.array_equal(assembled(grid, y[rows], x[columns]), assembled(grid, y, x)[rows, columns])
    across, down = 0.8 * x - 0.6 * y[:, None], 0.6 * x + 0.8 * y[:, None]  # turned, as for a cell
    whole = grid.at(down, across, corner=-20.0, margin=200)
    assert np.array_equal(grid.at(down[rows, columns], across[rows, columns], corner=-20.0, margin=200), whole[rows, columns])


def test_a_wider_margin_changes_last_bits_at_most() -> None:
    """Why all frames of a figure have one margin: tiles must agree in every bit."""
    grid = field(9, 9, 512 / 9, 512 / 9)
    y, x = np.meshgrid(np.arange(-200, 200, 3.1), np.arange(-200, 200, 3.3), indexing="ij")
    near, far = (grid.at(y, x, corner=-256.0, margin=margin) for margin in (0, 3000))
    assert 0 < np.abs(near - far).max() < 1e-11


def test_greatest_and_mapped() -> None:
    grid = NodeGrid(np.array([[1.0, -7.5], [3.0, 2.25]]), 4.0, 5.0)
    assert grid.greatest == 7.5
    assert grid.mapped(2.0, 0.5).nodes.tolist() == [[2.5, -14.5], [6.5, 5.0]]
    assert (grid.mapped(2.0, 0.5).step_y, grid.mapped(2.0, 0.5).step_x) == (4.0, 5.0)
    y, x = np.meshgrid(np.linspace(-9, 20, 40), np.linspace(-9, 20, 40), indexing="ij")
    assert np.abs(grid.at(y, x, corner=0.0, margin=12)).max() <= 7.5


# --- branches of a stream -------------------------------------------------------------------------------------------------

TAKEN = {
    "word": (lambda stream: stream.word(), 1),
    "raw": (lambda stream: stream.raw(5), 5),
    "uniform": (lambda stream: stream.uniform(), 1),
    "uniforms": (lambda stream: stream.uniforms(7), 7),
    "integer": (lambda stream: stream.integer(0, 9), 1),
    "integers": (lambda stream: stream.integers(0, 9, 3), 3),
    "normal": (lambda stream: stream.normal(), 1),
    "normals": (lambda stream: stream.normals(4), 4),
}


def generator(*address: str | int) -> np.random.PCG64DXSM:
    return np.random.PCG64DXSM(np.random.SeedSequence(literal.entropy(address)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**20 + 3), st.lists(st.sampled_from(sorted(TAKEN)), max_size=3)), min_size=1, max_size=5)
)
@example([(3, ["word"]), (0, ["normals"]), (3, []), (2**20 + 1, ["raw", "integer"]), (1, [])])
def test_a_branch_is_the_stream_advanced(visits: list[tuple[int, list[str]]]) -> None:
    """Branch n starts n JUMP words on, whatever was drawn before, and goes on from there."""
    stream = Stream("branches", 5)
    for branch, drawn in visits:
        assert stream.at(branch) is stream
        words = generator("branches", 5)
        words.advance(branch * JUMP)
        for name in drawn:
            take, count = TAKEN[name]
            take(stream)
            words.random_raw(count)
        assert stream.raw(3).tolist() == words.random_raw(3).tolist()


def test_branches_are_numpys_own_jumps() -> None:
    assert JUMP == literal.JUMP
    for branch in (0, 1, 2, 63, 1 << 16):
        assert Stream("b").at(branch).raw(4).tolist() == generator("b").jumped(branch).random_raw(4).tolist()
        assert Stream("b").at(branch).raw(2).tolist() == literal.raw_words(("b",), 2, skip=branch * JUMP)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 300), st.integers(0, 9))
def test_many_draws_are_repeated_single_ones_bit_for_bit(number: int, count: int, branch: int) -> None:
    def stream() -> Stream:
        return Stream("many", number).at(branch)

    one, many = stream(), stream()
    assert many.normals(count).tolist() == [one.normal() for _ in range(count)]
    assert many.word() == one.word()
    one, many = stream(), stream()
    assert many.uniforms(count).tolist() == [one.uniform() for _ in range(count)]
    assert many.word() == one.word()


class Given(Stream):
    """A stream of given words."""

    def __init__(self, words: list[int]) -> None:
        super().__init__("given")
        self.words = list(words)

    def word(self) -> int:
        return self.words.pop(0)

    def raw(self, count: int) -> np.ndarray:
        taken, self.words = self.words[:count], self.words[count:]
        return np.array(taken, np.uint64)


def test_the_ends_of_the_quantiles_agree() -> None:
    """The words about every entry of the table, the first and the last word, and halves."""
    cell = 2**64 // 4096
    words = [max(0, min(k * cell // 2 + d * 2048, 2**64 - 1)) for k in range(8193) for d in (-1, 0, 1)] + [0, 2**64 - 1]
    one, many = Given(words), Given(words)
    found = many.normals(len(words))
    assert found.tolist() == [one.normal() for _ in words]
    assert (np.diff(found[:-2]) >= 0).all()
    assert -found[0] == found[-1] == found.max() > 3.6
    one, many = Given(words), Given(words)
    assert many.uniforms(len(words)).tolist() == [one.uniform() for _ in words]


def test_normals_are_normal() -> None:
    values = Stream("normals").normals(40000)
    assert abs(values.mean()) < 4 / 200
    assert abs(values.std() - 1) < 4 / 200 / math.sqrt(2)
