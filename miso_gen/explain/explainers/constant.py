"""Constant: a map that says nothing of where."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, Subject

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("constant")
class Constant(Explainer):
    """0.5 everywhere. It is flagged as constant: what a score gives for it is the score of an empty statement.

    ::

        {type: constant}

    Source: this project; a baseline of every report.
    """

    family: ClassVar[Family] = "null"
    source: ClassVar[str] = "this project"
    class_sensitive: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        return torch.full((len(subject.images), *subject.images.shape[-2:]), 0.5, device=subject.images.device)
