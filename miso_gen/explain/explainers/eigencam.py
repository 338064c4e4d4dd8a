"""Eigen-CAM: the first principal component of activation maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.explain.interfaces import EXPLAINERS, Family, LayerExplainer, Need, Subject
from miso_gen.explain.layers import activations

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("eigencam")
class EigenCAM(LayerExplainer):
    """First principal component of the activation maps of a layer, whatever the class: A v, where v is its direction.

    A principal component has no sign of its own. Ours is the one in which the map rises with the sum of the channels, sum v > 0;
    where that sum is 0, the one in which the greatest of abs(v) is positive.

    ::

        {type: eigencam, layer: last}

    Source: Muhammad & Yeasin, Eigen-CAM, 2020; You, CAM family.
    """

    family: ClassVar[Family] = "cam"
    source: ClassVar[str] = "Muhammad & Yeasin 2020; You"
    needs: ClassVar[frozenset[Need]] = frozenset({"module"})
    class_sensitive: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    centered: bool = True
    """Whether the mean of each channel is taken off first, as a principal component has it; the paper doesn't."""

    def layer_maps(self, subject: Subject, layers: tuple[str, ...]) -> list[Tensor]:
        """See :meth:`LayerExplainer.layer_maps`."""
        found = activations(subject.module, subject.images, layers)
        return [torch.stack([_component(one, self.centered) for one in every]) for every in found.values()]


def _component(activation: Tensor, centered: bool) -> Tensor:
    """Return the first component of (K, h, w), (h, w) float64, from the smaller one of the two products of A with itself."""
    places = activation.detach().to(torch.float64).flatten(1).T  # (h w, K)
    if centered:
        places = places - places.mean(0)
    if places.shape[0] <= places.shape[1]:
        values, vectors = torch.linalg.eigh(places @ places.T)
        direction = places.T @ vectors[:, -1]  # v times the singular value
        map = vectors[:, -1] * values[-1].clamp(min=0).sqrt()
    else:
        direction = torch.linalg.eigh(places.T @ places).eigenvectors[:, -1]
        map = places @ direction
    total = direction.sum()
    size = direction.abs().sum()
    if abs(float(total)) <= 1e-9 * float(size):
        total = direction[direction.abs().argmax()]
    return (map if float(total) >= 0 else -map).reshape(activation.shape[1:])
