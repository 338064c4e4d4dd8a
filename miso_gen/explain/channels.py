"""Maps of a layer, channel by channel: what each channel adds to the map."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from miso_gen.explain.interfaces import LayerExplainer, Subject
from miso_gen.explain.layers import Tapped, tapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


@runtime_checkable
class ChannelExplainer(Protocol):
    """An explainer whose map of a layer is a sum over its channels, w_k A_k each; the axiom scores take these."""

    def channel_maps(self, subject: Subject, layer: str) -> Tensor:
        """Return w_k A_k of each channel, (B, K, h, w) with signs, at the size of the layer: before any sum, ReLU or scaling.

        Args:
            subject: What is explained.
            layer: Dotted name of one module, as :func:`~miso_gen.explain.layers.chosen_layers` gives it.
        """


class ChannelLayerExplainer(LayerExplainer):
    """A :class:`ChannelExplainer` of layers; their maps are sums over channels. A plug-in writes :meth:`channels_of`."""

    @abstractmethod
    def channels_of(self, subject: Subject, layers: tuple[str, ...]) -> Iterator[Tensor]:
        """Yield w_k A_k of each layer in the order given, (B, K, h, w) each.

        Args:
            subject: What is explained.
            layers: Names of modules, at least one, all there, and different.
        """

    def channel_maps(self, subject: Subject, layer: str) -> Tensor:
        """See :meth:`ChannelExplainer.channel_maps`."""
        return next(iter(self.channels_of(subject, (layer,))))

    def layer_maps(self, subject: Subject, layers: tuple[str, ...]) -> list[Tensor]:
        """See :meth:`LayerExplainer.layer_maps`."""
        return [one.sum(1) for one in self.channels_of(subject, layers)]


class GradientCAM(ChannelLayerExplainer):
    """A CAM of activations and their gradients alone: one pass for all layers. A plug-in writes :meth:`weighted`."""

    @abstractmethod
    def weighted(self, found: Tapped) -> Tensor:
        """Return w_k A_k of a layer from its activations and gradients, (B, K, h, w)."""

    def channels_of(self, subject: Subject, layers: tuple[str, ...]) -> Iterator[Tensor]:
        """See :meth:`ChannelLayerExplainer.channels_of`."""
        found = tapped(subject.module, subject.images, layers, lambda logits: logits.gather(1, subject.target[:, None])[:, 0])
        return (self.weighted(one) for one in found.values())
