"""Joint maps: ranks as scipy gives them, and what goes into them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from explaining import Net, random
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from torch import Tensor

from miso_gen.errors import InputError, RecipeError, UnknownNameError
from miso_gen.explain.calling import explain, explained, explainer_of
from miso_gen.explain.explainers.joint import quantiles
from miso_gen.explain.pooling import resized

ROWS, COLS = 12, 10


def images(count: int = 3) -> Tensor:
    return random(count, 3, ROWS, COLS, seed=3)


def ranked(map: Tensor) -> np.ndarray:
    """Return the rank quantiles of one map, from 0 to 1."""
    return (rankdata(map.flatten().double().numpy(), "average") - 1).reshape(map.shape) / (map.numel() - 1)


def spread(map: np.ndarray) -> np.ndarray:
    least, most = map.min(), map.max()
    return (map - least) / (most - least) if most > least else map - least


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=2, max_size=24))
def test_quantiles_are_ranks_with_ties_averaged(values: list[int]) -> None:
    map = torch.tensor([values], dtype=torch.float32)
    np.testing.assert_allclose(quantiles(map[None])[0], ranked(map), rtol=0, atol=1e-12)
    np.testing.assert_allclose(quantiles(0.37 * map[None])[0], ranked(map), rtol=0, atol=1e-12)


def test_quantiles_of_each_map_are_its_own() -> None:
    maps = torch.tensor([[[0.0, 0.0], [0.0, 4.0]], [[3.0, -1.0], [2.0, 2.0]], [[7.0, 7.0], [7.0, 7.0]]])
    third = 1 / 3
    wanted = [[[third, third], [third, 1.0]], [[1.0, 0.0], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]]]
    torch.testing.assert_close(quantiles(maps), torch.tensor(wanted, dtype=torch.float64))
    assert quantiles(torch.ones(1, 1, 1)).item() == 0
    nearly = torch.tensor([[[0.3, 0.3 + 1e-14, 0.5]]], dtype=torch.float64)  # rounding is no order
    torch.testing.assert_close(quantiles(nearly)[0, 0], torch.tensor([0.25, 0.25, 1.0], dtype=torch.float64))


MEMBERS: list[dict[str, Any]] = [
    {"type": "saliency"},
    {"type": "gradcam", "relu": False},
    {"type": "occlusion", "window_px": 5, "stride_px": 5},
]


@pytest.mark.parametrize("align", ["rank", "none"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_joint_is_its_definition(align: str, count: int) -> None:
    model, shown, target = Net(), images(), torch.tensor([0, 1, 2])
    found = explain(model, shown, "joint", target=target, of=MEMBERS[:count], align=align)
    assert found.shape == (3, ROWS, COLS)
    parts = [explain(model, shown, one, target=target, size="own") for one in MEMBERS[:count]]
    for k in range(3):
        every = [resized(part[k : k + 1].double(), (ROWS, COLS))[0] for part in parts]
        if align == "rank":
            mean = np.mean([ranked((one * 2**30).round()) for one in every], axis=0)
        else:
            mean = np.mean([one.numpy() for one in every], axis=0)
        np.testing.assert_allclose(found[k], spread(mean), rtol=1e-5, atol=2e-3 if align == "rank" else 1e-6)
        if align == "rank":
            assert np.mean(np.abs(found[k].numpy() - spread(mean)) > 1e-5) < 0.05  # ties that rounding breaks


def test_the_scale_of_a_member_does_not_matter_to_ranks() -> None:
    model, shown = Net(), images()
    plain = explain(model, shown, "joint", target=1, of=MEMBERS[:2])
    scaled = explain(model, shown, "joint", target=1, of=[{**MEMBERS[0], "scale": "max"}, MEMBERS[1]])
    torch.testing.assert_close(plain, scaled, rtol=0, atol=1e-5)
    values = explain(model, shown, "joint", target=1, of=[{**MEMBERS[0], "scale": "max"}, MEMBERS[1]], align="none")
    assert not torch.allclose(values, explain(model, shown, "joint", target=1, of=MEMBERS[:2], align="none"), atol=1e-3)


def test_constant_maps_add_nothing() -> None:
    found = explained(Net(zero="head"), images(), "joint", target=1)
    assert found.constant.all()
    assert found.blank.all()
    assert not found.signed
    flat = {"type": "occlusion", "window_px": 99, "stride_px": 99}
    alone = explain(Net(), images(), "joint", target=1, of=MEMBERS[:1])
    torch.testing.assert_close(explain(Net(), images(), "joint", target=1, of=[MEMBERS[0], flat]), alone, rtol=0, atol=1e-6)


def test_parameters() -> None:
    default = explainer_of("joint")
    assert [one.type_name for one in default.of] == ["saliency", "gradcam"]
    nested = explainer_of({"type": "joint", "of": [{"type": "joint", "of": ["saliency"]}, "gradcam"]})
    assert explainer_of(nested.to_spec()) == nested
    with pytest.raises(UnknownNameError, match="Did you mean 'saliency'"):
        explainer_of("joint", {"of": ["salience"]})
    for wrong in ([], [{"type": "saliency", "name": "mine"}], [{"type": "saliency", "explains": 1}]):
        with pytest.raises(RecipeError):
            explainer_of("joint", {"of": wrong})
    with pytest.raises(RecipeError, match="not scaled by a data set"):
        explainer_of("joint", {"of": [{"type": "saliency", "scale": "dataset-max"}]})
    with pytest.raises(InputError, match="Module for gradcam"):
        explain(lambda shown: shown.mean((2, 3)), images(), "joint", target=0)
