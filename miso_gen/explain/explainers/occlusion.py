"""Occlusion: what the score loses as a window hides a part of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import torch
from pydantic import model_validator
from pydantic_core import PydanticCustomError

from miso_gen.explain.asking import Output, asked
from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, Subject
from miso_gen.metrics.filling import BASELINES, Baseline
from miso_gen.recipe.parameters import OneOf, PositiveInt, chosen

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("occlusion")
class Occlusion(Explainer):
    """What the score of the class loses as a window hides a part of the image: the mean over all windows that hide the pixel.

    The first window is in the corner; one that reaches beyond the border is cut there. The model is asked once for each window.

    ::

        {type: occlusion, window_px: 16, stride_px: 8, baseline: mean}

    Source: Zeiler & Fergus, Visualizing and understanding convolutional networks, 2014.
    """

    family: ClassVar[Family] = "perturbation"
    source: ClassVar[str] = "Zeiler & Fergus 2014"
    signed: ClassVar[bool] = True

    window_px: PositiveInt = 16
    """Side of the window."""

    stride_px: PositiveInt = 8
    """Pixels from one window to the next, the window's side at most."""

    baseline: Annotated[Baseline, OneOf(BASELINES)] = chosen("mean")
    """What stands where the image is hidden."""

    output: Output = "logit"
    """What of the logits is the score: the ``logit`` itself, or the probability that ``softmax`` or ``sigmoid`` makes of it."""

    @model_validator(mode="after")
    def _every_pixel_is_hidden(self) -> Self:
        if self.stride_px > self.window_px:
            raise PydanticCustomError("expected", "such that stride_px <= window_px, or some pixels are never hidden")
        return self

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        images, fill = subject.images, self.baseline.fill(subject.images)
        down, across = (self._windows(length).to(images.device) for length in images.shape[-2:])
        count, windows = len(images), len(down) * len(across)
        owner = torch.arange(count, device=images.device).repeat_interleave(windows)
        place = torch.arange(windows, device=images.device).repeat(count)

        def made(some: slice) -> Tensor:
            row, col = place[some] // len(across), place[some] % len(across)
            hidden = down[row][:, None, :, None] & across[col][:, None, None, :]
            return fill[owner[some]].where(hidden, images[owner[some]])

        every = torch.arange(count, device=images.device)
        whole = asked(subject, every, lambda some: images[some], self.output)
        lost = whole[:, None] - asked(subject, owner, made, self.output).reshape(count, windows)
        rows, cols = down.to(torch.float64), across.to(torch.float64)
        spread = rows.T @ lost.reshape(count, len(down), len(across)) @ cols
        return spread / (rows.sum(0)[:, None] * cols.sum(0))

    def _windows(self, length: int) -> Tensor:
        """Return which pixels of a row each window hides, (windows, length) bool."""
        last = max(0, length - self.window_px)
        starts = torch.arange(0, last + self.stride_px, self.stride_px)[:, None]  # up to the first that reaches the border
        pixels = torch.arange(length)
        return (pixels >= starts) & (pixels < starts + self.window_px)
