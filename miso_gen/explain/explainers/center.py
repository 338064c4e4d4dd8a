"""Center: a map that bets on the middle of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, Subject
from miso_gen.recipe.parameters import PositiveFloat

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("center")
class Center(Explainer):
    """Gaussian around the middle of the image: exp(-((y / h)^2 + (x / w)^2) / (2 sigma^2)), y and x from the middle.

    ::

        {type: center, sigma: 0.25}

    Source: Judd et al., A benchmark of computational models of saliency, 2012 (centre bias).
    """

    family: ClassVar[Family] = "null"
    source: ClassVar[str] = "Judd et al. 2012"
    class_sensitive: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    sigma: PositiveFloat = 0.25
    """Standard deviation, as a share of the height and of the width."""

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""

        def bell(size: int) -> Tensor:
            place = (torch.arange(size, device=subject.images.device, dtype=torch.float32) + 0.5) / size - 0.5
            return torch.exp(-(place**2) / (2 * self.sigma**2))

        rows, cols = subject.images.shape[-2:]
        return (bell(rows)[:, None] * bell(cols)).repeat(len(subject.images), 1, 1)
