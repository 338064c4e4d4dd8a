"""FACTS A3 and A4 and DESIGN section 4, pixel by pixel: every image, truth and instance label built again in float64."""

# ruff: noqa: N802, N803, N806  the capital letters are those of FACTS A3

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import Any

import literal
import numpy as np
import pytest

from miso_gen.geometry import Box
from miso_gen.recipe import DEFORMATIONS, POINTS, ImagePlan
from miso_gen.scene import make_scene

Expected = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # values in [0, 1], truth, instances


class Fields:
    """The random fields of one image: N, K, S, U of FACTS A3."""

    def __init__(self, plan: ImagePlan) -> None:
        self.plan, self.spec = plan, plan.spec
        self.height, self.width = plan.canvas.shape
        self.shared = plan.spec["pair_noise"] == "shared"
        self.fuzz = Fraction(str(plan.spec["fuzz"]))
        self.none, self.all = np.zeros(plan.canvas.shape), np.ones(plan.canvas.shape)

    def bernoulli(self, thing: str, p: Fraction) -> np.ndarray:
        return literal.bernoulli(literal.address(self.plan, thing, shared=self.shared), p, self.height, self.width).astype(float)

    @property
    def N(self) -> np.ndarray:
        return self.bernoulli("background", Fraction(1, 2))

    @property
    def K(self) -> np.ndarray:
        return self.bernoulli("pepper", 1 - self.fuzz) if self.fuzz else self.all

    @property
    def S(self) -> np.ndarray:
        return self.bernoulli("salt", self.fuzz) if self.fuzz else self.none

    @property
    def U(self) -> np.ndarray:
        words = literal.words16(literal.address(self.plan, "grey", shared=self.shared), self.height, self.width)
        return literal.greys(words, *self.spec["hot"], self.plan.canvas.dtype)

    @property
    def M(self) -> np.ndarray:
        return literal.picture(str(self.plan.morphology), self.height, self.width).astype(float)


def evp(plan: ImagePlan) -> Expected:
    f = Fields(plan)
    M, N = f.M, f.N
    if plan.label == 1:
        return M * f.K * f.spec["hot"] + (1 - M) * N, 2 * M, None
    return M * np.maximum(f.S, f.spec["cold"]) + (1 - M) * N, 2 * M, None


def dsp(plan: ImagePlan) -> Expected:
    f = Fields(plan)
    M, N, U = f.M, f.N, f.U
    if plan.label == 1:
        return M * U * f.K + (1 - M) * N, 2 * M, None
    return M * np.minimum(1, (1 - U) + 2 * f.S) + (1 - M) * N, 2 * M, None


def md(plan: ImagePlan) -> Expected:
    f = Fields(plan)
    M = f.M
    if "deformation" in plan.settings:
        spec = plan.spec["deformations"][plan.settings["deformation"]]
        rings = [np.array(ring) for ring in literal.outline("canary", f.height, f.width)]
        shape = DEFORMATIONS.get(spec["type"]).from_spec(spec).deform(rings, f.height, f.width)  # type: ignore[attr-defined]
        M = shape.mask(Box(0, 0, f.height, f.width)).unpack().astype(float)  # tests/scene judges it
    truth = 2 * M
    if plan.spec["truth"] == "contour":
        reach = range(-plan.spec["contour_px"], plan.spec["contour_px"] + 1)
        padded = np.pad(M, plan.spec["contour_px"], constant_values=1)  # the image border is no outline
        rim = np.zeros_like(M, bool)
        for dy in reach:
            for dx in reach:
                if dy * dy + dx * dx <= plan.spec["contour_px"] ** 2:
                    y, x = dy + plan.spec["contour_px"], dx + plan.spec["contour_px"]
                    rim |= padded[y : y + f.height, x : x + f.width] == 0
        truth = M + (M == 1) * rim
    return M * f.K + (1 - M) * f.N, truth, None


def evsp(plan: ImagePlan) -> Expected:
    f = Fields(plan)
    points = POINTS.get(plan.spec["points"]["type"]).from_spec(plan.spec["points"])
    radius = plan.spec["radius_px"]
    place = literal.address(plan, "points", shared=True)
    centres = points.scatter(f.height, f.width, 2 * radius, *place)  # type: ignore[attr-defined]
    ids, count = np.zeros((f.height, f.width), int), 0
    y, x = np.indices(ids.shape)
    for row, column in sorted(map(tuple, centres.tolist())):
        disc = ((y - row) ** 2 + (x - column) ** 2 < radius**2) & (f.M == 1)
        assert not (disc & (ids > 0)).any()
        if disc.any():
            count += 1
            ids[disc] = count
    D = (ids > 0).astype(float)
    inside = f.K * f.spec["hot"] if plan.label == 1 else np.maximum(f.S, f.spec["cold"])
    return D * inside + (1 - D) * f.N, 2 * D, ids


def gsp_place(plan: ImagePlan) -> tuple[int, int]:
    """Repeat y in [.25 H, .75 H), x in [.25 W, .75 W) until the mean of the window (rows y - w/2 .. y + w/2 - 1) is enough."""
    f = Fields(plan)
    words = iter(literal.raw_words(literal.address(plan, "disc", shared=False), 4000))
    side, half = plan.spec["window_px"], plan.spec["window_px"] // 2
    ends = [[int(size * share) for share in plan.spec["centre"]] for size in (f.height, f.width)]
    for word in words:
        y, x = literal.integer(word, *ends[0]), literal.integer(next(words), *ends[1])
        if f.M[y - half : y - half + side, x - half : x - half + side].mean() > plan.spec["window_share"]:
            return y, x
    raise AssertionError("no place")


def gsp(plan: ImagePlan) -> Expected:
    f = Fields(plan)
    M = f.M
    values = M * f.K * f.spec["value"] + (1 - M) * f.N
    if plan.label == 0:
        return values, M, None
    row, column = gsp_place(plan)
    y, x = np.indices(M.shape)
    disc = (y - row) ** 2 + (x - column) ** 2 < plan.spec["radius_px"] ** 2
    return np.where(disc, 0, values), np.where(disc, 2, M), np.where(disc, 2, M)


def fm_tile(plan: ImagePlan, M: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Return the tile stretched to 255, and where the image starts in it."""
    (H, W), spec = M.shape, plan.spec
    h, w = H // spec["shrink"], W // spec["shrink"]
    if literal.busy(M, spec["corner_px"]):
        box, oy, ox = (0, 0, H, W), 0, 0
    else:
        box = literal.crop(M, spec["line_px"], spec["pad_px"])
        oy, ox = (spec["tiles"] * h - H) // 2, (spec["tiles"] * w - W) // 2
    tile = literal.area_tile(M.astype(int), box, h, w)
    return tile * 255 // tile.max(), oy, ox


def fm(plan: ImagePlan) -> Expected:
    f = Fields(plan)
    M = f.M
    if plan.label == 0:
        return M * f.K * f.spec["value"] + (1 - M) * f.N, 2 * M, None
    tile, oy, ox = fm_tile(plan, M)
    (h, w), (y, x) = tile.shape, np.indices(M.shape)
    levels = tile[(y + oy) % h, (x + ox) % w] * M
    shown = levels if f.spec["value"] == 1 else np.floor(levels * f.spec["value"] + 0.5)
    values = np.where(levels > 0, shown / 255 * f.K, f.N)
    oy, ox = oy % h, ox % w
    across = (f.width - 1 + ox) // w + 1
    return values, 2 * M, ((y + oy) // h * across + (x + ox) // w + 1) * M


RULES = {"evp": evp, "dsp": dsp, "md": md, "evsp": evsp, "gsp": gsp, "fm": fm}


def judged(plan: ImagePlan) -> None:
    """Compare a rendered image with its definition."""
    values, truth, instances = RULES[plan.type](plan)
    found = literal.whole(plan)
    dtype = plan.canvas.dtype
    assert found.image.shape == (plan.canvas.channels, *plan.canvas.shape)
    assert found.image.dtype == np.dtype(dtype)
    wanted = literal.stored(values, dtype)
    for channel in found.image:
        if dtype == "float32":
            assert np.abs(channel - wanted).max() < 1e-7
        else:
            assert np.array_equal(channel, wanted)
    assert found.truth.dtype == np.uint8
    assert np.array_equal(found.truth, truth)
    assert (found.instances is None) == (instances is None)
    if instances is not None:
        assert found.instances is not None
        assert found.instances.dtype in (np.uint16, np.uint32)
        assert np.array_equal(found.instances, instances)


def each_plan(name: str, shape: tuple[int, int] = (150, 130), **fields: Any) -> list[ImagePlan]:
    head = {key: fields.pop(key) for key in ("channels", "dtype", "seed", "splits") if key in fields}
    return list(literal.plans_of(literal.small(name, shape, **fields), shape, **head).values())


@pytest.mark.parametrize("shape", [(150, 130), (96, 141)])
@pytest.mark.parametrize("name", sorted(RULES))
def test_every_image(name: str, shape: tuple[int, int]) -> None:
    """Both labels, simple and fuzzy, two silhouettes."""
    plans = each_plan(name, shape)
    if name == "md":
        plans = plans[:2] + [plan for plan in plans if plan.label == 1]
    assert {plan.label for plan in plans} == {0, 1}
    assert {plan.spec["fuzz"] for plan in plans} == {0.0, 0.1}
    for plan in plans:
        judged(plan)


@pytest.mark.parametrize(("dtype", "channels"), [("uint16", 1), ("float32", 1), ("uint8", 3), ("float32", 3)])
@pytest.mark.parametrize("name", sorted(RULES))
def test_every_type_and_channels(name: str, dtype: str, channels: int) -> None:
    plans = each_plan(name, (100, 90), only=("canary", "window"), dtype=dtype, channels=channels)
    for plan in plans[:4] + plans[-4:]:
        judged(plan)


@pytest.mark.parametrize("name", sorted(RULES))
def test_noise_of_several_blocks(name: str) -> None:
    plans = each_plan(name, (96, 560), only=("teapot", "canary") if name == "md" else ("teapot",))
    for plan in plans[-2:]:
        judged(plan)


@pytest.mark.parametrize("name", sorted(set(RULES) - {"md"}))
def test_shared_noise(name: str) -> None:
    for plan in each_plan(name, (100, 90), pair_noise="shared"):
        judged(plan)


@pytest.mark.parametrize("rim", [1, 5, 11])
def test_contour_is_a_band(rim: int) -> None:
    plans = each_plan("md", (110, 110), truth="contour", contour_px=rim)
    levels = set()
    for plan in [plans[0], plans[len(plans) // 2], plans[-1], plans[-4]]:
        judged(plan)
        levels |= set(np.unique(literal.whole(plan).truth).tolist())
    assert levels == {0, 1, 2}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("evp", {"hot": 0.8, "cold": 0.3}),
        ("dsp", {"hot": [0.7, 0.9]}),
        ("evsp", {"hot": 0.9, "cold": 0.2}),
        ("gsp", {"value": 0.6}),
        ("fm", {"value": 0.6}),
    ],
)
def test_other_values(name: str, fields: dict[str, Any]) -> None:
    for plan in each_plan(name, (100, 90), **fields):
        judged(plan)


@pytest.mark.parametrize("fuzz", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("name", ["evp", "dsp"])
def test_any_fuzz(name: str, fuzz: float) -> None:
    for plan in each_plan(name, (80, 70), fuzz=fuzz, only=("canary",)):
        judged(plan)


# --- backgrounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_constant_background(dtype: str) -> None:
    for plan in each_plan("evp", (80, 80), background={"type": "constant", "value": 0.25}, dtype=dtype, only=("canary",)):
        found = literal.whole(plan)
        outside = found.image[0][found.truth == 0]
        assert (outside == literal.stored(np.array(0.25), dtype)).all()


def test_background_of_another_share() -> None:
    (plan,) = each_plan(
        "evp", background={"type": "salt-and-pepper", "probability": 0.25}, only=("canary",), fuzz=0.0, labels=[0]
    )
    f = Fields(plan)
    assert np.array_equal(literal.whole(plan).image[0], 255 * f.bernoulli("background", Fraction(1, 4)) * (1 - f.M))


# --- EVSP -------------------------------------------------------------------------------------------------------------


def test_evsp_discs_are_the_same_in_a_pair_and_others_in_the_next() -> None:
    for split in ("train", "test"):
        plans = [plan for plan in each_plan("evsp", splits=["train", "test"]) if plan.split == split]
        discs = [literal.whole(plan).instances for plan in plans]
        for first in range(0, len(plans), 2):
            assert np.array_equal(discs[first], discs[first + 1])
        for first in range(0, len(plans) - 2, 2):
            assert not np.array_equal(discs[first], discs[first + 2])


def test_evsp_object_table_agrees_with_the_labels() -> None:
    for plan in each_plan("evsp", only=("key",)):
        scene = make_scene(plan)
        (table,) = scene.objects
        ids = literal.whole(plan).instances
        assert ids is not None
        assert table.kind == "disc"
        assert table.ids.tolist() == list(range(1, int(ids.max()) + 1)) == sorted(set(ids[ids > 0].tolist()))
        assert scene.drawn == {"discs": len(table.ids)}
        centres = np.stack([table.params["row"], table.params["column"]], axis=1)
        assert centres.tolist() == sorted(centres.tolist())
        apart = ((centres[:, None] - centres[None]) ** 2).sum(axis=2) + np.eye(len(centres)) * 1e9
        assert apart.min() >= (2 * plan.spec["radius_px"]) ** 2
        for number, (top, left, bottom, right) in zip(table.ids, table.boxes.tolist(), strict=True):
            y, x = np.nonzero(ids == number)
            assert top <= y.min()
            assert left <= x.min()
            assert y.max() < bottom
            assert x.max() < right
            assert max(bottom - top, right - left) <= 2 * plan.spec["radius_px"] - 1


# --- GSP --------------------------------------------------------------------------------------------------------------


def test_gsp_disc_is_where_its_table_says() -> None:
    for plan in each_plan("gsp", (150, 180), only=("canary", "window", "elephant")):
        scene = make_scene(plan)
        if plan.label == 0:
            assert [table.kind for table in scene.objects] == ["silhouette"]
            assert scene.drawn == {}
            assert scene.instances is None
            continue
        row, column = gsp_place(plan)
        assert scene.drawn == {"disc_row": row, "disc_column": column}
        assert 150 / 4 <= row < 150 * 3 / 4
        assert 180 / 4 <= column < 180 * 3 / 4
        disc = scene.objects[1]
        assert (disc.kind, disc.ids.tolist()) == ("disc", [2])
        assert {key: value.tolist() for key, value in disc.params.items()} == {
            "row": [row], "column": [column], "radius_px": [plan.params["radius_px"]],
        }  # fmt: skip
        y, x = np.nonzero(literal.whole(plan).instances == 2)
        assert disc.boxes.tolist() == [[y.min(), x.min(), y.max() + 1, x.max() + 1]]


def test_gsp_disc_is_clipped_by_the_image_only() -> None:
    reached_border = reached_background = 0
    for plan in each_plan("gsp", (128, 128), only=("castle", "viaduct", "window"), radius_px={"uniform": [40, 44]}, labels=[1]):
        found, (row, column) = literal.whole(plan), gsp_place(plan)
        y, x = np.indices((128, 128))
        disc = (y - row) ** 2 + (x - column) ** 2 < plan.params["radius_px"] ** 2
        assert np.array_equal(found.truth == 2, disc)
        assert not found.image[0][disc].any()
        reached_border += disc[0].any() or disc[-1].any() or disc[:, 0].any() or disc[:, -1].any()
        reached_background += (disc & (literal.picture(str(plan.morphology), 128, 128) == 0)).any()
    assert reached_border
    assert reached_background


# --- FM ---------------------------------------------------------------------------------------------------------------


def test_fm_has_both_branches_and_shows_the_background_in_its_gaps() -> None:
    branches = set()
    for plan in each_plan("fm", (150, 130), only=("canary", "window"), fuzz=0.0, labels=[1]):
        scene, found, f = make_scene(plan), literal.whole(plan), Fields(plan)
        branches.add(scene.drawn["tiling"])
        tile, oy, ox = fm_tile(plan, f.M)
        assert (scene.drawn["tile_height"], scene.drawn["tile_width"]) == tile.shape == (30, 26)
        assert tile.max() == 255
        assert ((tile > 0) & (tile < 255)).any()  # grey rims stay
        y, x = np.indices(f.M.shape)
        gaps = (f.M == 1) & (tile[(y + oy) % 30, (x + ox) % 26] == 0)
        assert gaps.any()
        assert np.array_equal(found.image[0][gaps], 255 * f.N[gaps])
        assert (found.truth[gaps] == 2).all()
        assert found.instances is not None
        assert (found.instances[gaps] > 0).all()
    assert branches == {"busy", "cropped"}


def test_fm_fills_the_last_lines_that_the_paper_loses() -> None:
    """A canvas that is no multiple of the tile: the published busy image is up to 9 px smaller."""
    (plan,) = each_plan("fm", (119, 117), only=("window",), fuzz=0.0, labels=[1], shrink=10)
    assert make_scene(plan).drawn["tiling"] == "busy"
    judged(plan)
    values, _, _ = fm(plan)
    tile, _, _ = fm_tile(plan, Fields(plan).M)
    assert tile.shape == (11, 11)
    assert np.array_equal(literal.whole(plan).image[0][110:], literal.stored(values[110:], "uint8"))


def test_fm_object_table_lists_the_tiles_that_show() -> None:
    for plan in each_plan("fm", only=("canary", "window"), fuzz=0.0, labels=[1]):
        (table,) = make_scene(plan).objects
        ids = literal.whole(plan).instances
        assert ids is not None
        assert table.kind == "tile"
        assert sorted(table.ids.tolist()) == sorted(set(ids[ids > 0].tolist()))
        for number, (top, left, bottom, right) in zip(table.ids, table.boxes.tolist(), strict=True):
            y, x = np.nonzero(ids == number)
            assert top <= y.min()
            assert left <= x.min()
            assert y.max() < bottom
            assert x.max() < right
            assert bottom - top <= 30
            assert right - left <= 26


# --- one object -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["evp", "dsp", "md", "gsp", "fm"])
def test_a_lone_object_is_the_truth_and_its_box_is_tight(name: str) -> None:
    for plan in each_plan(name, only=("canary", "scissors"))[-1::-5]:
        scene, found = make_scene(plan), literal.whole(plan)
        if scene.instances is not None:
            continue
        y, x = np.nonzero(found.truth)
        (table,) = scene.objects
        assert table.ids.tolist() == [1]
        assert table.boxes.tolist() == [[y.min(), x.min(), y.max() + 1, x.max() + 1]]


# --- golden -----------------------------------------------------------------------------------------------------------


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", sorted(RULES))
def test_golden_pixels(name: str, golden: Any) -> None:
    """The bytes of whole images, sha256 of the array in C order, little endian (16 digits)."""
    found: dict[str, list[str]] = {}
    plans = each_plan(name, (200, 200))
    for plan in plans[:4] + plans[-6:]:
        image = literal.whole(plan)
        parts = [part for part in (image.image, image.truth, image.instances) if part is not None]
        found[plan.id] = [digest(part) for part in parts]
    golden("render", found)
