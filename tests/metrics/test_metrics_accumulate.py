"""Accumulating scores over batches and processes: against all the maps at once."""

from __future__ import annotations

import pickle
from copy import deepcopy

import pytest
import torch

from miso_gen.errors import InputError
from miso_gen.metrics import MAP_BINARIZERS, METRICS, MapScore

GENERATOR = torch.Generator().manual_seed(0)
MAPS = torch.rand(7, 10, 12, generator=GENERATOR)
TRUTH = torch.rand(7, 10, 12, generator=GENERATOR) < 0.3
TRUTH[2] = False


def expected(name: str) -> torch.Tensor:
    metric = METRICS.get(name)()
    return metric.score(MAP_BINARIZERS.get("two-mean")().binarize(MAPS) if metric.takes == "binary" else MAPS, TRUTH)


@pytest.mark.parametrize("name", ["dice", "mae", "auroc", "max-f-beta", "difference", "dice-legacy"])
def test_batches_are_the_whole(name: str) -> None:
    one = MapScore(name)
    for start in (0, 3, 6):
        one.update(MAPS[start : start + 3], TRUTH[start : start + 3])
    found, values = one.compute(), expected(name)
    assert torch.allclose(found["values"], values, equal_nan=True)
    assert int(found["n"]) == int((~values.isnan()).sum())
    assert int(found["undefined"]) == int(values.isnan().sum())
    assert float(found["mean"]) == pytest.approx(float(values.nanmean()))
    one.reset()
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        nothing = one.compute()
    assert int(nothing["n"]) == 0
    assert nothing["mean"].isnan()


def test_leading_shapes_and_forward() -> None:
    one = MapScore("mae")
    batch = one(MAPS[:6].reshape(2, 3, 10, 12), TRUTH[:6].reshape(2, 3, 10, 12))
    assert batch["values"].shape == (6,)
    one.update(MAPS[6], TRUTH[6])
    assert torch.allclose(one.compute()["values"], expected("mae"))


def test_pooled_counts() -> None:
    """The score of all pixels together: not the mean of ratios."""
    one = MapScore("jaccard", average="pooled")
    for map, truth in zip(MAPS, TRUTH, strict=True):
        one.update(map, truth)
    masks = MAP_BINARIZERS.get("two-mean")().binarize(MAPS)
    pooled = float((masks & TRUTH).sum()) / float((masks | TRUTH).sum())
    assert float(one.compute()["mean"]) == pytest.approx(pooled)
    assert float(one.compute()["mean"]) != pytest.approx(float(expected("jaccard").nanmean()), abs=1e-6)
    assert int(one.compute()["undefined"]) == 1


def test_merging_states() -> None:
    parts = [MapScore("dice"), MapScore("dice")]
    for part, where in zip(parts, (slice(0, 3), slice(3, 7)), strict=True):
        part.update(MAPS[where], TRUTH[where])
    parts[1].merge_state(parts[0])
    assert torch.allclose(parts[1].compute()["values"], expected("dice"), equal_nan=True)


def test_pickles_and_copies() -> None:
    one = MapScore({"type": "f-beta", "beta_squared": 0.5}, binarize={"type": "mean-std", "k": 2})
    one.update(MAPS, TRUTH)
    for other in (pickle.loads(pickle.dumps(one)), deepcopy(one)):
        assert torch.equal(other.compute()["values"].nan_to_num(-1), one.compute()["values"].nan_to_num(-1))
        assert other.metric == one.metric
        assert other.binarizer == one.binarizer


def test_masks_need_no_binariser() -> None:
    one = MapScore("dice", binarize=None)
    one.update(MAPS > 0.5, TRUTH)
    assert torch.equal(one.compute()["values"].nan_to_num(-1), METRICS.get("dice")().score(MAPS > 0.5, TRUTH).nan_to_num(-1))


@pytest.mark.parametrize("name", ["dice", "auroc"])
def test_arrays_and_batches_of_none(name: str) -> None:
    one = MapScore(name)
    one.update(MAPS[:0], TRUTH[:0])
    one.update(MAPS.numpy(), TRUTH.numpy())
    one.update(MAPS.numpy()[:0], TRUTH.numpy()[:0])
    assert torch.allclose(one.compute()["values"], expected(name), equal_nan=True)


def test_direction() -> None:
    assert MapScore("dice").higher_is_better is True
    assert MapScore("mae").higher_is_better is False


def test_errors() -> None:
    with pytest.raises(InputError, match="average='pooled' must have a metric of counts, got auroc"):
        MapScore("auroc", average="pooled")
    with pytest.raises(InputError, match="map must be an array or a tensor of numbers, got None"):
        MapScore("dice").update(None, TRUTH)
    with pytest.raises(InputError, match="truth must have the shape of the map"):
        MapScore("dice").update(MAPS[:0], TRUTH)
    with pytest.raises(InputError, match="average must be 'image' or 'pooled', got 'micro'"):
        MapScore("dice", average="micro")  # type: ignore[arg-type]
