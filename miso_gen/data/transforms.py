"""Transforms that keep image and truth together.

Each takes a dict of a data set and returns a new one: ``image`` (..., C, H, W), and ``truth`` and ``instances`` (..., H, W) where
they are there. Other keys stay: ``row`` and ``col`` are those of the patch before it was turned. A batch, with one more axis in
front, is turned patch by patch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from miso_gen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PICTURES = ("image", "truth", "instances")  #: keys whose values are pictures


class Dihedral:
    """One of the eight symmetries of a square, at random: flips and quarter turns, exact.

    Args:
        turns: Whether to turn; only squares may be turned.
        flips: Whether to flip.
        generator: Where the draws come from; None: torch's own.
    """

    def __init__(self, *, turns: bool = True, flips: bool = True, generator: torch.Generator | None = None) -> None:
        self.turns, self.flips, self.generator = turns, flips, generator

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return the item, turned and flipped.

        Raises:
            InputError: The picture is no square, and shall be turned.
        """
        image = item["image"]
        if self.turns and image.shape[-1] != image.shape[-2]:
            raise InputError(
                f"pictures must be squares to be turned, got {image.shape[-2]} x {image.shape[-1]} px. Use Dihedral(turns=False)."
            )
        if image.ndim == 3:
            return symmetry(item, *self._draw(1)[0])
        parts = [
            symmetry({key: item[key][place] for key in PICTURES if key in item}, *draw)
            for place, draw in enumerate(self._draw(len(image)))
        ]
        return {**item, **{key: torch.stack([part[key] for part in parts]) for key in PICTURES if key in item}}

    def _draw(self, count: int) -> list[tuple[int, bool]]:
        numbers = torch.randint(8, (count,), generator=self.generator).tolist()
        return [(number % 4 if self.turns else 0, self.flips and number >= 4) for number in numbers]


def symmetry(item: Mapping[str, Any], turns: int, flip: bool) -> dict[str, Any]:
    """Return the item turned to the left by so many quarter turns, then flipped from left to right."""

    def moved(picture: torch.Tensor) -> torch.Tensor:
        picture = torch.rot90(picture, turns, (-2, -1))
        return (picture.flip(-1) if flip else picture).contiguous()

    return {**item, **{key: moved(item[key]) for key in PICTURES if key in item}}


class Together:
    """A transform of ``torchvision.transforms.v2``, with the same draws for image and truth.

    Truth and instances are masks to it: they are moved without mixing values, and colours don't touch them.

    ::

        Together(v2.RandomAffine(degrees=10, scale=(0.9, 1.1)))

    Args:
        transform: What takes a dict of ``tv_tensors``.
    """

    def __init__(self, transform: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.transform = transform

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return the item, transformed."""
        from torchvision import tv_tensors

        kinds = {"image": tv_tensors.Image, "truth": tv_tensors.Mask, "instances": tv_tensors.Mask}
        given = {key: kinds[key](item[key]) for key in PICTURES if key in item}
        found = self.transform(given)
        return {**item, **{key: found[key].as_subclass(torch.Tensor) for key in given}}


class Chain:
    """Transforms, one after the other.

    Args:
        transforms: They.
    """

    def __init__(self, *transforms: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.transforms = transforms

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return the item, transformed."""
        out = dict(item)
        for transform in self.transforms:
            out = transform(out)
        return out
