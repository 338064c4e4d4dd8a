"""Input: the image as its own map."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, Subject

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("input")
class Input(Explainer):
    """Mean over the channels of the image: bright pixels count.

    ::

        {type: input}

    Source: this project; a baseline of every report.
    """

    family: ClassVar[Family] = "null"
    source: ClassVar[str] = "this project"
    class_sensitive: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        return subject.images.mean(1)
