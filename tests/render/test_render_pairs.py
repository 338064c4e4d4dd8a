"""Where the two images of a pair differ: with shared noise exactly in their evidence."""

from __future__ import annotations

from typing import Any

import literal
import numpy as np
import pytest

from miso_gen.recipe import ImagePlan
from miso_gen.render import Rendered

PAIRED = ["evp", "dsp", "evsp", "gsp", "fm"]


def pairs(name: str, **fields: Any) -> list[tuple[ImagePlan, Rendered, ImagePlan, Rendered]]:
    """Return (plan, image) of class 1 and of its partner of class 0."""
    shape = (160, 150)
    plans = list(literal.plans_of(literal.small(name, shape, only=("canary", "window"), **fields), shape).values())
    by_pair: dict[str | None, dict[int, ImagePlan]] = {}
    for plan in plans:
        by_pair.setdefault(plan.pair, {})[plan.label] = plan
    assert len(by_pair) == 4
    return [(pair[1], literal.whole(pair[1]), pair[0], literal.whole(pair[0])) for pair in by_pair.values()]


def differ(one: Rendered, two: Rendered) -> np.ndarray:
    return (one.image != two.image).any(axis=0)


@pytest.mark.parametrize("name", PAIRED)
def test_shared_noise_differs_in_the_evidence_only(name: str) -> None:
    for _, one, _, zero in pairs(name, pair_noise="shared"):
        where = differ(one, zero)
        assert where.any()
        assert (one.truth[where] == 2).all()


@pytest.mark.parametrize("name", ["evp", "evsp"])
def test_shared_noise_of_hot_and_cold_differs_in_the_whole_evidence(name: str) -> None:
    for plan, one, _, zero in pairs(name, pair_noise="shared"):
        where = differ(one, zero)
        assert np.array_equal(one.truth, zero.truth)
        if plan.spec["fuzz"] == 0:
            assert np.array_equal(where, one.truth == 2)
        else:  # pepper on the one meets salt on the other in .1 * .9 + .9 * .1 of the pixels at most
            assert 0.7 < where[one.truth == 2].mean() < 1


def test_shared_noise_of_dsp_is_mirrored() -> None:
    for plan, one, _, zero in pairs("dsp", pair_noise="shared"):
        inside = one.truth == 2
        if plan.spec["fuzz"] == 0:
            assert (one.image[0][inside].astype(int) + zero.image[0][inside] == 255).all()


def test_shared_noise_of_gsp_differs_exactly_in_the_disc_where_it_was_not_black() -> None:
    for _, one, _, zero in pairs("gsp", pair_noise="shared"):
        disc = one.truth == 2
        assert np.array_equal(differ(one, zero), disc & (zero.image[0] > 0))
        assert np.array_equal(np.where(disc, 0, one.truth), np.where(disc, 0, zero.truth))
        assert not (zero.truth == 2).any()


def test_shared_noise_of_fm_differs_where_the_tiles_are_not_full() -> None:
    for _, one, _, zero in pairs("fm", pair_noise="shared"):
        assert np.array_equal(one.truth, zero.truth)
        full = (one.truth == 2) & (one.image[0] == 255) & (zero.image[0] == 255)
        assert not differ(one, zero)[full].any()


@pytest.mark.parametrize("name", PAIRED)
def test_independent_noise_differs_everywhere(name: str) -> None:
    for _, one, _, zero in pairs(name):
        outside = (one.truth == 0) & (zero.truth == 0)
        assert 0.45 < differ(one, zero)[outside].mean() < 0.55


@pytest.mark.parametrize("name", PAIRED)
def test_pairs_share_their_geometry_whatever_their_noise(name: str) -> None:
    for shared in ("independent", "shared"):
        for plan, one, partner, zero in pairs(name, pair_noise=shared):
            assert plan.morphology == partner.morphology
            assert plan.params == partner.params
            assert np.array_equal(one.truth > 0, zero.truth > 0) or name == "gsp"


@pytest.mark.parametrize("name", PAIRED)
def test_shared_noise_changes_no_geometry(name: str) -> None:
    for (_, one, _, zero), (_, other, _, nought) in zip(pairs(name), pairs(name, pair_noise="shared"), strict=True):
        assert np.array_equal(one.truth, other.truth)
        assert np.array_equal(zero.truth, nought.truth)


def test_images_without_a_pair_have_their_own_noise_in_any_case() -> None:
    shape = (100, 100)
    entry = literal.small("md", shape)
    one, two = (literal.plans_of({**entry, "pair_noise": noise}, shape) for noise in ("independent", "shared"))
    for identity in list(one)[:4]:
        assert np.array_equal(literal.whole(one[identity]).image, literal.whole(two[identity]).image)
    assert not np.array_equal(literal.whole(one["md/test/0001"]).image, literal.whole(one["md/test/0003"]).image)
