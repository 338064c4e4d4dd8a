"""Random: a map that knows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, Subject
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("random")
class Random(Explainer):
    """Uniform noise in [0, 1), drawn for each pixel: what a score gives for nothing.

    ::

        {type: random}

    Source: this project; a baseline of every report.
    """

    family: ClassVar[Family] = "null"
    source: ClassVar[str] = "this project"
    class_sensitive: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        rows, cols = subject.images.shape[-2:]
        found = [Stream(seed, "explain", "random").uniforms(rows * cols) for seed in subject.seeds]
        return torch.from_numpy(np.array(found).reshape(-1, rows, cols)).to(subject.images.device, torch.float32)
