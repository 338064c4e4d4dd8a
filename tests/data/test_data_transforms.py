"""Transforms: image and truth stay together, exactly."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from miso_gen.data.transforms import Chain, Dihedral, Together, symmetry  # noqa: E402
from miso_gen.errors import InputError  # noqa: E402


def item(side: int = 6, *, batch: int | None = None, width: int | None = None) -> dict[str, Any]:
    """Return pictures whose three kinds hold the same numbers: the place of each pixel."""
    places = torch.arange(side * (width or side)).reshape(side, width or side)
    image = torch.stack([places.float(), places.float() + 1000])
    one = {"image": image, "truth": places.to(torch.uint8), "instances": places.clone(), "label": 1, "image_id": "evp/test/0001"}
    if batch is None:
        return one
    stacked = {key: value.expand(batch, *value.shape).clone() for key, value in one.items() if isinstance(value, torch.Tensor)}
    return {**one, **stacked, "label": torch.ones(batch)}


def literal(picture: torch.Tensor, turns: int, flip: bool) -> torch.Tensor:
    """Turn a square to the left, pixel by pixel; then exchange left and right."""
    side = picture.shape[-1]
    for _ in range(turns):
        out = picture.clone()
        for row in range(side):
            for column in range(side):
                out[..., side - 1 - column, row] = picture[..., row, column]
        picture = out
    if flip:
        out = picture.clone()
        for column in range(side):
            out[..., side - 1 - column] = picture[..., column]
        picture = out
    return picture


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_the_eight_symmetries(turns: int, flip: bool) -> None:
    given = item()
    found = symmetry(given, turns, flip)
    for key in ("image", "truth", "instances"):
        assert torch.equal(found[key], literal(given[key], turns, flip)), key
        assert found[key].is_contiguous()
    assert (found["label"], found["image_id"]) == (1, "evp/test/0001")


def test_every_symmetry_is_drawn_and_pictures_stay_together() -> None:
    transform = Dihedral(generator=torch.Generator().manual_seed(3))
    seen = set()
    for _ in range(200):
        found = transform(item())
        assert torch.equal(found["image"][0].long(), found["instances"])
        assert torch.equal(found["truth"].long(), found["instances"])
        seen.add(tuple(found["instances"].flatten().tolist()))
    assert len(seen) == 8


def test_batches_are_turned_patch_by_patch() -> None:
    found = Dihedral(generator=torch.Generator().manual_seed(3))(item(batch=64))
    assert found["image"].shape == (64, 2, 6, 6)
    assert torch.equal(found["image"][:, 0].long(), found["instances"])
    assert torch.equal(found["truth"].long(), found["instances"])
    assert len({tuple(one.flatten().tolist()) for one in found["instances"]}) == 8
    assert found["label"].shape == (64,)


def test_what_is_no_square_is_flipped_only() -> None:
    with pytest.raises(InputError, match=r"must be squares to be turned, got 6 x 8 px. Use Dihedral\(turns=False\)"):
        Dihedral()(item(width=8))
    found = [Dihedral(turns=False)(item(width=8))["truth"] for _ in range(50)]
    assert {tuple(one.shape) for one in found} == {(6, 8)}
    assert len({tuple(one.flatten().tolist()) for one in found}) == 2
    same = Dihedral(turns=False, flips=False)(item(width=8))
    assert torch.equal(same["truth"], item(width=8)["truth"])


def test_images_without_truth_pass() -> None:
    given = {"image": torch.zeros(1, 4, 4), "label": 0}
    assert set(Dihedral()(given)) == {"image", "label"}


def test_transforms_of_torchvision_move_all_alike() -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2")
    transform = Together(v2.Compose([v2.RandomHorizontalFlip(0.5), v2.RandomResizedCrop(8, scale=(0.3, 1.0), antialias=False)]))
    for _ in range(20):
        given = item(32)
        given["image"] = (given["image"] > 400).float()
        given["truth"] = (given["instances"] > 400).to(torch.uint8)
        found = transform(given)
        assert {type(found[key]) for key in ("image", "truth", "instances")} == {torch.Tensor}
        assert found["image"].shape == (2, 8, 8)
        assert set(found["truth"].unique().tolist()) <= {0, 1}
        assert set(found["instances"].unique().tolist()) <= set(given["instances"].unique().tolist())
        assert torch.equal(found["truth"].bool(), found["instances"] > 400)
        assert ((found["image"][0] > 0.5) == found["truth"].bool()).float().mean() > 0.85  # image is interpolated
        assert found["image_id"] == given["image_id"]


def test_colours_leave_the_truth_alone() -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2")
    given = item(16)
    given["image"] = torch.rand(3, 16, 16)
    found = Chain(Together(v2.ColorJitter(brightness=0.5)), Dihedral(turns=False, flips=False))(given)
    assert not torch.equal(found["image"], given["image"])
    assert torch.equal(found["truth"], given["truth"])
