"""The one call: preparation, kinds of input, and that what is shared between metrics changes nothing."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest
import torch

from miso_gen.errors import InputError, MisoGenWarning, RecipeError, UnknownNameError
from miso_gen.metrics import MAP_BINARIZERS, METRICS, score, scoring
from miso_gen.metrics.binarizers.quantile import Quantile
from miso_gen.metrics.scores.pointing_game import PointingGame

CORE = [
    *("dice", "f-beta", "jaccard", "overlap", "sensitivity", "specificity", "difference", "mae", "auroc", "average-precision"),
    *(f"{kind}-{measure}" for kind in ("adaptive", "mean", "max") for measure in ("dice", "f-beta", "jaccard")),
    *("relevance-mass", "relevance-rank", "top-k-intersection", "pointing-game"),
]
SHAPE = (2, 3, 20, 31)


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray]:
    """Return bytes and truth levels of six maps."""
    rng = np.random.default_rng(0)
    truth = np.zeros(SHAPE, np.uint8)
    truth[..., 3:12, 15:30], truth[..., 5:9, 18:27] = 1, 2
    map = rng.integers(0, 200, SHAPE, np.uint8) + 55 * (truth == 2).astype(np.uint8)
    return map, truth


def alone(name: str, map: torch.Tensor, evidence: torch.Tensor, binarize: str) -> torch.Tensor:
    metric = METRICS.get(name)()
    return metric.score(MAP_BINARIZERS.get(binarize)().binarize(map) if metric.takes == "binary" else map, evidence)


@pytest.mark.parametrize("binarize", MAP_BINARIZERS.names())
def test_sharing_changes_nothing(case: tuple[np.ndarray, np.ndarray], binarize: str) -> None:
    bytes_, truth = case
    for map in (bytes_, bytes_ / 255, (bytes_ / 255).astype(np.float32)):
        wide = torch.from_numpy(map / 255 if map.dtype == np.uint8 else map)
        for positive in (1, 2):
            found = score(map, truth, CORE, positive=positive, binarize=binarize)
            assert list(found) == CORE
            for name, values in found.items():
                assert isinstance(values, np.ndarray)
                assert values.dtype == np.float64
                expected = alone(name, wide, torch.from_numpy(truth >= positive), binarize).numpy()
                assert np.allclose(values, expected, rtol=0, atol=1e-9, equal_nan=True), name


@pytest.mark.parametrize("kind", ["bytes", "float32", "float64"])
def test_sharing_changes_nothing_on_large_maps(kind: str) -> None:
    """Every metric, of maps that are worked on one by one: in one call as alone."""
    rng = np.random.default_rng(4)
    row, col = np.mgrid[:150, :170]
    instances = np.zeros((2, 150, 170), np.uint16)
    for number in range(1, 7):
        (top, left), radius = rng.integers(15, 135, 2), rng.integers(4, 15)
        instances[:, (row - top) ** 2 + (col - left) ** 2 <= radius**2] = number
    instances[1] = np.roll(instances[1], 30, 1)
    truth = (instances > 0).astype(np.uint8) + (instances > 2)
    bytes_ = np.rint(rng.random((2, 150, 170)) * (180 + 75 * (truth >= 2))).astype(np.uint8)
    map = bytes_ if kind == "bytes" else (bytes_ / 255).astype(kind)
    wide = torch.from_numpy(bytes_ / 255 if kind == "bytes" else map)
    metrics: dict[str, Any] = {name: METRICS.get(name)() for name in METRICS.names()}
    metrics["froc, apart"] = METRICS.get("froc").from_spec({"distance": 3})
    metrics["mean-f-beta, 1"] = METRICS.get("mean-f-beta").from_spec({"beta_squared": 1.0})
    metrics["five-band-recall, mean"] = METRICS.get("five-band-recall").from_spec({"over": "mean", "scale": "none"})
    found = score(map, truth, metrics, instances=instances)
    mask = MAP_BINARIZERS.get("two-mean")().binarize(wide)
    marks = {"mask": truth >= 2, "levels": truth.astype(np.int64), "instances": instances.astype(np.int64)}
    for name, metric in metrics.items():
        expected = metric.score(mask if metric.takes == "binary" else wide, torch.from_numpy(marks[metric.truth]))
        assert np.allclose(found[name], expected.numpy(), rtol=0, atol=1e-6 if kind == "bytes" else 1e-9, equal_nan=True), name


def test_levels_round(case: tuple[np.ndarray, np.ndarray]) -> None:
    bytes_, truth = case
    exact = score(bytes_, truth, CORE)
    same = score(bytes_ / 255, truth, CORE, levels=256)
    for name in CORE:
        assert np.allclose(same[name], exact[name], rtol=0, atol=1e-9), name
    coarse = score(bytes_ / 255, truth, ["mae", "auroc", "max-dice", "dice"], levels=16)
    assert np.abs(coarse["mae"] - exact["mae"]).max() <= 0.5 / 15
    assert not np.array_equal(coarse["mae"], exact["mae"])
    assert np.allclose(coarse["max-dice"], exact["max-dice"], rtol=0, atol=1e-12)  # its levels are its own


def test_blocks_are_the_whole(case: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    bytes_, truth = case
    whole = score(bytes_ / 255, truth, CORE)
    monkeypatch.setattr(scoring, "_BLOCK", 2 * 20 * 31)
    for name, values in score(bytes_ / 255, truth, CORE).items():
        assert np.allclose(values, whole[name], rtol=0, atol=1e-12), name


def test_what_comes_back(case: tuple[np.ndarray, np.ndarray]) -> None:
    bytes_, truth = case
    one = score(bytes_[0, 0] / 255, truth[0, 0], ["dice", "auroc"])
    assert all(type(value) is float for value in one.values())
    tensors = score(torch.from_numpy(bytes_ / 255), torch.from_numpy(truth), ["dice"])
    assert isinstance(tensors["dice"], torch.Tensor)
    assert tensors["dice"].shape == SHAPE[:2]
    mixed = score(torch.from_numpy(bytes_ / 255), truth, ["dice"])
    assert torch.equal(mixed["dice"], tensors["dice"])
    assert score(np.zeros((0, 4, 5)), np.zeros((0, 4, 5), bool), ["mae", "dice"])["dice"].shape == (0,)


def test_other_memory(case: tuple[np.ndarray, np.ndarray]) -> None:
    """Views, byte orders, read-only arrays and lists score alike."""
    bytes_, truth = case
    map, marks = (bytes_ / 255)[0, 0], truth[0, 0]
    expected = score(map, marks, ["dice", "auroc"])
    frozen = map.copy()
    frozen.flags.writeable = False
    for other in (map[::-1][::-1], np.asfortranarray(map), map.astype(">f8"), frozen, map.tolist()):
        assert score(other, marks, ["dice", "auroc"]) == expected
    for levels in (marks.astype(np.uint16), marks.astype(np.int32), marks.astype(">i4"), marks.tolist(), marks >= 2):
        assert score(map, levels, ["dice", "auroc"]) == expected


def test_masks_are_taken_as_they_are(case: tuple[np.ndarray, np.ndarray]) -> None:
    _, truth = case
    mask = truth[0, 0] >= 1
    assert mask.mean() < 0.5
    found = score(mask, truth[0, 0], ["dice", "mae", "sensitivity"], binarize={"type": "fixed", "value": 5.0})
    assert found["sensitivity"] == 1.0
    assert found["mae"] == pytest.approx((truth[0, 0] == 1).mean())


def test_default_metrics(case: tuple[np.ndarray, np.ndarray]) -> None:
    bytes_, truth = case
    map = (bytes_ / 255)[0, 0]
    every = score(map, truth[0, 0])
    assert set(CORE) <= set(every)
    assert not any(METRICS.get(name).legacy for name in every)
    assert {METRICS.get(name).truth for name in every} <= {"mask", "levels"}
    assert {METRICS.get(name).truth for name in score(map, truth[0, 0] >= 2)} == {"mask"}
    with_instances = score(map, truth[0, 0], instances=(truth[0, 0] > 0).astype(int))
    assert set(every) <= set(with_instances)


def test_own_names_and_parameters(case: tuple[np.ndarray, np.ndarray]) -> None:
    bytes_, truth = case
    chosen: dict[str, Any] = {"hit": PointingGame(tolerance_px=3), "f1": {"type": "f-beta", "beta_squared": 1}, "dice": "dice"}
    found = score(bytes_ / 255, truth, chosen, binarize=Quantile(q=0.8))
    assert list(found) == ["hit", "f1", "dice"]
    assert np.allclose(found["f1"], found["dice"])


def test_signs_and_normalisation(case: tuple[np.ndarray, np.ndarray]) -> None:
    bytes_, truth = case
    map, marks = bytes_[0, 0] / 20.0 - 5.0, truth[0, 0]

    def mass(values: np.ndarray) -> float:
        return float(values[marks >= 2].sum() / values.sum())

    for sign, values in (("absolute", abs(map)), ("positive", map.clip(0)), ("negative", (-map).clip(0))):
        assert score(map, marks, ["relevance-mass"], sign=sign)["relevance-mass"] == pytest.approx(mass(values))
    scaled = (map - map.min()) / (map.max() - map.min())
    assert score(map, marks, ["mae"], normalize="min-max")["mae"] == pytest.approx(abs(scaled - (marks >= 2)).mean())
    scaled = map / abs(map).max()
    assert score(map, marks, ["mae"], normalize="max-abs")["mae"] == pytest.approx(abs(scaled - (marks >= 2)).mean())
    for normalize in ("min-max", "max-abs"):
        blank = score(np.zeros_like(map), marks, ["mae", "dice"], normalize=normalize)
        assert blank["mae"] == pytest.approx((marks >= 2).mean())
        assert blank["dice"] == 0.0
    assert score(np.full_like(map, 3.0), marks, ["mae"], normalize="min-max")["mae"] == pytest.approx((marks >= 2).mean())
    assert score(bytes_, truth, ["mae"], sign="negative")["mae"] == pytest.approx((truth >= 2).mean((-2, -1)))
    whole = score(bytes_, truth, ["mae"], normalize="min-max")
    assert np.allclose(whole["mae"], score(bytes_ / 255, truth, ["mae"], normalize="min-max")["mae"], atol=1e-6)


def test_missing_values() -> None:
    map, truth = np.full((4, 6), 0.25), np.zeros((4, 6), np.uint8)
    truth[:2, :3], map[0, 0], map[3, 5] = 2, np.nan, np.inf
    with pytest.raises(InputError, match=r"map must be finite, got 2 pixels that are not\. Say what they count as"):
        score(map, truth, ["mae"])
    filled = np.where(np.isfinite(map), map, 0.0)
    assert score(map, truth, ["mae", "auroc"], missing=0.0) == score(filled, truth, ["mae", "auroc"])


def test_maps_of_cells_at_pixels() -> None:
    cells = np.arange(6.0).reshape(2, 3) / 10
    truth = np.zeros((11, 14), np.uint8)
    truth[4:8, 8:12] = 2
    wide = np.zeros((11, 14))
    wide[:8, :12] = cells.repeat(4, 0).repeat(4, 1)
    found = score(cells, truth, ["mae", "auroc", "pointing-game"], cell_px=4, missing=0)
    assert found == score(wide, truth, ["mae", "auroc", "pointing-game"])
    assert found["pointing-game"] == 1.0
    assert score(cells, truth[:8, :12], ["mae"], cell_px=4) == score(wide[:8, :12], truth[:8, :12], ["mae"])
    with pytest.raises(InputError, match="map must be finite, got 58 pixels"):
        score(cells, truth, ["mae"], cell_px=4)
    with pytest.raises(InputError, match="map must have 5 x 7 cells of 2 px, got 2 x 3"):
        score(cells, truth, ["mae"], cell_px=2)
    on_grid = score(cells, np.array([[0, 0, 0], [0, 0, 1]], bool), ["dice", "auroc"], at="grid")
    assert on_grid == {"dice": 0.0, "auroc": 1.0}  # 2 x mean is 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"map": np.zeros((3, 4))}, r"map and truth must have one shape, got \(3, 4\) and \(20, 31\)\. Resize the map"),
        ({"map": np.zeros((20, 31), np.int32)}, "map must be floating, uint8 or bool, got torch.int32"),
        ({"map": np.zeros(5)}, r"map must have shape \(\.\.\., H, W\)"),
        ({"map": np.array([["a", "b"]])}, "map must be an array or a tensor of numbers, got values of <U1"),
        ({"map": None}, "map must be an array or a tensor of numbers, got None"),
        ({"truth": [[1, 2], [3]]}, "truth must be an array or a tensor, got rows of different lengths"),
        ({"truth": np.full((20, 31), 255)}, r"truth must be of levels 0, 1 and 2, got values from 255 to 255\. Give a mask"),
        ({"truth": np.zeros((20, 31))}, "truth must be of levels 0, 1 and 2, or bool, got torch.float64"),
        ({"positive": 3}, "positive must be 1 or 2, got 3"),
        ({"positive": True}, "positive must be 1 or 2, got True"),
        ({"at": "cells"}, "at must be one of 'pixel', 'grid', got 'cells'"),
        ({"sign": "none"}, "sign must be one of 'keep', 'absolute', 'positive', 'negative', got 'none'"),
        ({"normalize": "rank"}, "normalize must be one of 'none', 'min-max', 'max-abs', got 'rank'"),
        ({"missing": "zero"}, "missing must be 'raise' or a finite number, got 'zero'"),
        ({"levels": 1}, "levels must be a whole number from 2, or None, got 1"),
        ({"cell_px": 0}, "cell_px must be a whole number of pixels from 1, got 0"),
        ({"cell_px": 2, "at": "grid"}, "cell_px must be None with at='grid', got 2"),
        ({"metrics": "dice"}, r"metrics must be a list of metrics, got 'dice'\. Write \['dice'\]"),
        ({"metrics": ["dice", {"type": "dice"}]}, r"metrics must be different, got dice more than once\. Give a dict"),
        ({"metrics": [3]}, "metric must be a name or {'type': name, ...}, got 3"),
        ({"map": np.full((20, 31), -0.5), "metrics": ["relevance-mass"]}, "map must have no negative values for relevance-mass"),
        ({"map": np.full((20, 31), 1.5), "metrics": ["max-dice"]}, r"map must be in \[0, 1\] for max-dice, got 1\.5"),
        ({"map": np.full((20, 31), 1.5), "levels": 256}, r"map must be in \[0, 1\] for levels=256"),
        ({"instances": np.zeros((3, 4), int)}, r"instances must have the shape of map and truth, \(20, 31\), got \(3, 4\)"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    arguments = {"map": np.full((20, 31), 0.5), "truth": np.zeros((20, 31), np.uint8), "metrics": ["dice"], **change}
    with pytest.raises(InputError, match=message):
        score(arguments.pop("map"), arguments.pop("truth"), **arguments)


@pytest.mark.parametrize("leading", [(0,), (2, 0)])
def test_no_maps_have_no_scores(leading: tuple[int, ...]) -> None:
    for map in (np.zeros((*leading, 4, 5), kind) for kind in (np.uint8, np.float32, bool)):
        for name, values in score(map, np.zeros((*leading, 4, 5), np.uint8)).items():
            assert isinstance(values, np.ndarray), name
            assert (values.shape, values.dtype) == (leading, np.float64)
    assert score(torch.zeros(*leading, 4, 5), torch.zeros(*leading, 4, 5, dtype=torch.bool), ["dice"])["dice"].shape == leading


def test_a_mask_of_0_and_1_is_told() -> None:
    """Who says no level, and has none of evidence, may have meant another; who says it, knows."""
    map, mask = np.eye(6), np.eye(6, dtype=np.uint8)
    with pytest.warns(MisoGenWarning, match=r"levels up to 1, and evidence is level 2: there is none\. Give positive=1"):
        assert np.isnan(score(map, mask, ["auroc"])["auroc"])
    assert np.isnan(score(map, mask, ["auroc"], positive=2)["auroc"])
    assert np.isnan(score(map, 0 * mask, ["auroc"])["auroc"])  # a control without any object
    assert score(map, mask, ["auroc"], positive=1) == score(map, 2 * mask, ["auroc"]) == {"auroc": 1.0}


def test_unknown_names() -> None:
    map, truth = np.full((4, 5), 0.5), np.zeros((4, 5), np.uint8)
    with pytest.raises(UnknownNameError, match=r"metric must be one of .*got 'dise'\. Did you mean 'dice'"):
        score(map, truth, ["dise"])
    with pytest.raises(UnknownNameError, match="map binarizer must be one of"):
        score(map, truth, ["dice"], binarize="twice")
    with pytest.raises(RecipeError):
        score(map, truth, [{"type": "f-beta", "beta": 2}])


def test_without_torch() -> None:
    code = """
        import sys
        sys.modules["torch"] = None
        from miso_gen.errors import MissingExtraError
        import miso_gen.metrics
        assert "score" in dir(miso_gen.metrics)
        try:
            miso_gen.metrics.score
        except MissingExtraError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert "miso_gen.metrics.score needs the package 'torch'" in done.stdout
    assert "miso-gen[eval]" in done.stdout


def test_unknown_attribute() -> None:
    import miso_gen.metrics

    with pytest.raises(AttributeError, match=r"module 'miso_gen\.metrics' has no attribute 'scores_of'"):
        _ = miso_gen.metrics.scores_of
    assert all(getattr(miso_gen.metrics, name) is not None for name in miso_gen.metrics.__all__)
