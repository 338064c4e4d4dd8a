"""Attention: where the network itself looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.errors import InputError, UnknownNameError, listing
from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, LayerName, Need, Subject
from miso_gen.models.interfaces import Attends

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@EXPLAINERS.register("attention")
class Attention(Explainer):
    """Attention map of a network that has such maps, as it makes them: VGG-Att's are logits, before their softmax.

    MISO scores the second of VGG-Att's three, by the mean of its absolute values over a patch.

    ::

        {type: attention, module: attention2}

    Source: MISO; Jetley et al., Learn to pay attention, 2018.
    """

    family: ClassVar[Family] = "network"
    source: ClassVar[str] = "MISO; Jetley et al. 2018"
    needs: ClassVar[frozenset[Need]] = frozenset({"attention"})
    class_sensitive: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    module: LayerName | None = None
    """Name of the map, or its number, -1 for the last; null: ``attention2`` where there is one, else the last."""

    softmax: bool = False
    """Whether the softmax over all pixels is taken."""

    absolute: bool = False
    """Whether signs are dropped."""

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        assert isinstance(subject.model, Attends)  # checked before
        with torch.no_grad():
            found = self._chosen(subject.model.attention(subject.images))
        if found.ndim != 3 or len(found) != len(subject.images):
            raise InputError(
                f"attention must be maps ({len(subject.images)}, h, w), got {tuple(found.shape)}. Choose another module."
            )
        if self.softmax:
            found = found.flatten(1).softmax(1).reshape(found.shape)
        return found.abs() if self.absolute else found

    def _chosen(self, every: Mapping[str, Tensor]) -> Tensor:
        names = tuple(every)
        if not names:
            raise InputError("attention must be at least one map, got none. Choose another explainer.")
        if self.module is None:
            return every.get("attention2", every[names[-1]])
        if isinstance(self.module, int):
            if not -len(names) <= self.module < len(names):
                raise InputError(
                    f"module must be from {-len(names)} to {len(names) - 1}, got {self.module}. Maps: {listing(names)}."
                )
            return every[names[self.module]]
        if self.module not in every:
            raise UnknownNameError("attention map", self.module, names)
        return every[self.module]
