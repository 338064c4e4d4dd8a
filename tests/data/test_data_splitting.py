"""Parts of a data set: groups whole, labels in their shares."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from building import small

from miso_gen.build import build
from miso_gen.data.splitting import split_ids
from miso_gen.errors import InputError, UnknownNameError
from miso_gen.store import Dataset, open_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = ["canary", "teapot", "key", "hand", "crab"]
SHARES = {"train": 0.8, "validation": 0.2}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Build scenarios with pairs and without, five silhouettes each."""
    folder = tmp_path_factory.mktemp("splitting") / "out"
    defaults = {"morphologies": {"type": "builtin", "only": NAMES, "split": "shared"}, "fuzz": {"each": [0.0, 0.1]}}
    scenarios: list[Any] = [{"type": "evp"}, {"type": "md", "deformations": []}]
    build(small(canvas={"shape": [64, 64]}, splits=["train", "test"], defaults=defaults, scenarios=scenarios), folder, workers=1)
    return open_dataset(folder)


def column(dataset: Dataset, name: str) -> Mapping[str, Any]:
    return dict(zip(dataset.table["image_id"], dataset.table[name], strict=True))


def whole(dataset: Dataset, parts: Mapping[str, tuple[str, ...]], ids: list[str]) -> None:
    """Every image is in one part, in the order that was given."""
    assert sorted(name for held in parts.values() for name in held) == sorted(ids)
    for held in parts.values():
        assert list(held) == [name for name in ids if name in set(held)]


def test_pairs_stay_together(dataset: Dataset) -> None:
    ids = [name for name in dataset.ids if name.startswith("evp/train")]
    parts = split_ids(dataset, shares=SHARES, ids=ids)
    whole(dataset, parts, ids)
    pairs = column(dataset, "pair")
    assert not {pairs[name] for name in parts["train"]} & {pairs[name] for name in parts["validation"]}
    labels = column(dataset, "label")
    assert Counter(labels[name] for name in parts["train"]) == {0: 8, 1: 8}
    assert Counter(labels[name] for name in parts["validation"]) == {0: 2, 1: 2}


def test_images_without_a_group_are_dealt_one_by_one(dataset: Dataset) -> None:
    ids = [name for name in dataset.ids if name.startswith("md")]
    parts = split_ids(dataset, shares={"a": 3, "b": 1}, ids=ids)
    whole(dataset, parts, ids)
    labels = column(dataset, "label")
    for label, count in Counter(labels[name] for name in ids).items():
        assert abs(sum(labels[name] == label for name in parts["b"]) - count / 4) < 1


def test_a_silhouette_is_in_one_part(dataset: Dataset) -> None:
    parts = split_ids(dataset, by="morphology", shares={"a": 0.6, "b": 0.4})
    whole(dataset, parts, dataset.ids)
    shapes = column(dataset, "morphology")
    of_parts = [{shapes[name] for name in held} for held in parts.values()]
    assert not of_parts[0] & of_parts[1]
    assert of_parts[0] | of_parts[1] == set(shapes.values())


def test_parameters_make_groups_too(dataset: Dataset) -> None:
    parts = split_ids(dataset, by="params.fuzz", shares={"a": 1, "b": 1})
    fuzz = column(dataset, "params.fuzz")
    assert sorted(len({fuzz[name] for name in held}) for held in parts.values()) == [1, 1]


def test_seeds_decide(dataset: Dataset) -> None:
    parts = [split_ids(dataset, shares=SHARES, seed=seed)["validation"] for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]
    assert split_ids(dataset, shares=SHARES)["validation"] == parts[0]


def test_the_order_of_ids_decides_nothing(dataset: Dataset) -> None:
    parts = split_ids(dataset, shares=SHARES)
    other = split_ids(dataset, shares=SHARES, ids=reversed(dataset.ids))
    whole(dataset, other, dataset.ids[::-1])
    assert {part: set(held) for part, held in other.items()} == {part: set(held) for part, held in parts.items()}


def test_no_images(dataset: Dataset) -> None:
    assert split_ids(dataset, shares=SHARES, ids=[]) == {"train": (), "validation": ()}


@pytest.mark.parametrize("shares", [{}, {"a": 0.0, "b": 1.0}, {"a": -1.0}, {"a": float("nan")}, {"a": float("inf")}])
def test_shares_that_cannot_be(dataset: Dataset, shares: dict[str, float]) -> None:
    with pytest.raises(InputError, match="shares must be numbers above 0 by name, got"):
        split_ids(dataset, shares=shares)


def test_parts_must_have_images(dataset: Dataset) -> None:
    ids = [name for name in dataset.ids if name.startswith("evp/train")][:4]
    with pytest.raises(
        InputError, match=r"part 'validation' must have an image, got none of 2 groups by 'pair'\. Give it a larger"
    ):
        split_ids(dataset, shares=SHARES, ids=ids)


def test_unknown_names(dataset: Dataset) -> None:
    with pytest.raises(UnknownNameError, match=r"by must be one of .*, got 'pairs'\. Did you mean 'pair'\?"):
        split_ids(dataset, by="pairs", shares=SHARES)
    with pytest.raises(UnknownNameError, match="image must be one of"):
        split_ids(dataset, shares=SHARES, ids=["evp/train/9999"])
