"""RISE: the mean score of the image under random masks that show a pixel."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch.nn import functional as F  # noqa: N812  # torch's own habit

from miso_gen.explain.asking import Output, asked, chunks
from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, Subject
from miso_gen.recipe.parameters import PositiveInt
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("rise")
class Rise(Explainer):
    """Mean of random masks M_i, weighted by the score under them: sum_i S(x M_i) M_i / (p N).

    A mask is a grid of cells, each shown with probability p, resized bilinearly to a cell more than the image each way, and cut
    at a random place. Each image has masks of its own.

    ::

        {type: rise, masks: 4000, probability: 0.5, cells: 7}

    Source: Petsiuk et al., RISE, 2018, 3.2 and 3.3.
    """

    family: ClassVar[Family] = "perturbation"
    source: ClassVar[str] = "Petsiuk et al. 2018"
    signed: ClassVar[bool] = True

    masks: PositiveInt = 4000
    """Masks, N; the paper took 4000 for VGG-16 and 8000 for ResNet-50."""

    probability: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Probability that a cell is shown, p."""

    cells: PositiveInt = 7
    """Cells each way."""

    normalize: Literal["expectation", "coverage"] = "expectation"
    """What the sum is divided by: p N as in the paper; or the ``coverage``, sum_i M_i at the pixel, which has less noise."""

    output: Output = "softmax"
    """What of the logits is the score: the probability that ``softmax`` or ``sigmoid`` makes of it, or the ``logit`` itself."""

    @property
    def is_signed(self) -> bool:
        """See :attr:`Explainer.is_signed`: shares of classes are never negative, logits may be."""
        return super().is_signed and self.output == "logit"

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        return torch.stack([self._map(subject, number) for number in range(len(subject.images))])

    def _map(self, subject: Subject, number: int) -> Tensor:
        image = subject.images[number]
        draw = _Masks(self, subject.seeds[number], image)
        owner = torch.full((self.masks,), number, device=image.device)
        total, cover = (torch.zeros(image.shape[-2:], dtype=torch.float64, device=image.device) for _ in range(2))

        def made(some: slice) -> Tensor:
            return image * draw.made(some)[:, None]

        scores = asked(subject, owner, made, self.output)
        for some in chunks(self.masks, subject.batch):
            masks = draw.made(some).to(torch.float64)
            total += torch.einsum("n,nhw->hw", scores[some], masks)
            cover += masks.sum(0)
        if self.normalize == "expectation":
            return total / (self.probability * self.masks)
        return total / cover.where(cover > 0, 1.0)


class _Masks:
    """The masks of one image, drawn at once as cells and places, and made a few at a time."""

    def __init__(self, rise: Rise, seed: int, image: Tensor) -> None:
        stream, count, side = Stream(seed, "explain", "rise"), rise.masks, rise.cells
        shown = stream.uniforms(count * side * side) < rise.probability
        self.cells = torch.from_numpy(shown).reshape(count, side, side).to(image.device, image.dtype)
        self.weights, self.starts = [], []
        for length in image.shape[-2:]:
            cell = ceil(length / side)
            one = torch.eye(side, dtype=image.dtype, device=image.device)[None]
            wide = F.interpolate(one, size=(side + 1) * cell, mode="linear", align_corners=False)[0].T  # (length, cells)
            start = torch.from_numpy(stream.integers(0, cell, count)).to(image.device)
            self.starts.append(start[:, None] + torch.arange(length, device=image.device))
            self.weights.append(wide)

    def made(self, some: slice) -> Tensor:
        """Return masks (n, H, W): bilinear resizing is a product with a matrix for each axis, of which a part is cut out."""
        down, across = (weights[start[some]] for weights, start in zip(self.weights, self.starts, strict=True))
        return down @ self.cells[some] @ across.mT
