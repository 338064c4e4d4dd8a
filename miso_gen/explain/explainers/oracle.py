"""Oracle: the truth as a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Literal

import torch

from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, Need, Subject

if TYPE_CHECKING:
    from torch import Tensor

LEVELS: Final = (0.0, 0.4, 0.9)  #: of truth 0, 1 and 2


@EXPLAINERS.register("oracle")
class Oracle(Explainer):
    """Truth levels 0, 1 and 2 as 0, 0.4 and 0.9; or 1 where the truth is at least a level.

    It is no explainer: its scores are those of a perfect map.

    ::

        {type: oracle}

    Source: Tjoa & Guan (heat map of the truth).
    """

    family: ClassVar[Family] = "null"
    source: ClassVar[str] = "Tjoa & Guan"
    class_sensitive: ClassVar[bool] = False
    signed: ClassVar[bool] = False
    needs: ClassVar[frozenset[Need]] = frozenset({"truth"})

    positive: Literal[1, 2] | None = None
    """Level from which a pixel is 1, and others 0; null: 0, 0.4 and 0.9 by level."""

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        assert subject.truth is not None  # checked before
        if self.positive is not None:
            return (subject.truth >= self.positive).to(torch.float32)
        return torch.tensor(LEVELS, device=subject.truth.device)[subject.truth.to(torch.int64)]
