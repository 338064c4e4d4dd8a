"""CAM: activation maps, weighted by what the last linear layer makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import nn

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.explain.interfaces import EXPLAINERS, Explainer, Family, LayerName, Need, Subject
from miso_gen.explain.layers import chosen_layers, hooked

if TYPE_CHECKING:
    from torch import Tensor


@EXPLAINERS.register("cam")
class CAM(Explainer):
    """Activation maps A_k of a layer with the weights of the class in the last linear layer: sum_k w_k A_k.

    The network must end in one of two ways, and is refused if it does not: the mean or maximum of each map of the layer, then a
    linear layer; or a 1 x 1 convolution over the layer, then the mean or maximum of each of its maps. Ours that do are ``cam``,
    and ``resnet34`` and the other residual ones. :class:`GradCAM` works on any.

    ::

        {type: cam, layer: last, head: null}

    Source: Zhou et al., Learning deep features for discriminative localization, 2016; You, CAM family; PYLON, baseline.
    """

    family: ClassVar[Family] = "cam"
    source: ClassVar[str] = "Zhou et al. 2016; You; PYLON"
    needs: ClassVar[frozenset[Need]] = frozenset({"module"})
    signed: ClassVar[bool] = True

    layer: LayerName = "last"
    """Layer whose maps the head reads: a dotted name; a number among the feature layers; or ``last``."""

    head: str | None = None
    """Linear layer or 1 x 1 convolution that makes the logits, by its dotted name; null: the last one that is computed."""

    relu: bool = True
    """Whether negative values become 0."""

    @property
    def is_signed(self) -> bool:
        """See :attr:`Explainer.is_signed`."""
        return super().is_signed and not self.relu

    def maps(self, subject: Subject) -> Tensor:
        """See :meth:`Explainer.maps`."""
        layers = chosen_layers(subject.module, self.layer)
        if len(layers) > 1:
            raise InputError(f"layer must be one for cam, got {self.layer!r}, {len(layers)} of them. Choose 'last'.")
        found = self.channel_maps(subject, layers[0]).sum(1)
        return found.clamp(min=0) if self.relu else found

    def channel_maps(self, subject: Subject, layer: str) -> Tensor:
        """See :meth:`~miso_gen.explain.channels.ChannelExplainer.channel_maps`.

        Raises:
            UnknownNameError: There is no such head.
            InputError: The head is neither of the two, or it doesn't read the layer.
        """
        activation, logits, head = _seen(subject, layer, self.head)
        if not _reads(head, activation, logits):
            raise InputError(
                f"model must pool {layer!r} by its mean or maximum, and make logits by one linear layer or 1 x 1 convolution, "
                f"for cam, got {head.name!r} that does not do so. Name another layer or head, or choose gradcam."
            )
        return head.weight[subject.target][:, :, None, None] * activation


class _Head(NamedTuple):
    name: str
    weight: Tensor  # (classes, K)
    read: Tensor  # (B, K), or (B, K, h, w)
    gave: Tensor  # (B, classes), or (B, classes, h, w)


@torch.no_grad()
def _seen(subject: Subject, layer: str, name: str | None) -> tuple[Tensor, Tensor, _Head]:
    """Return what comes out of a layer, the logits, and the head with what it read and gave."""
    modules = dict(subject.module.named_modules())
    if name is not None and name not in modules:
        raise UnknownNameError("head", name, tuple(key for key, one in modules.items() if _is_head(one)))
    heads = {key: one for key, one in modules.items() if _is_head(one) and name in (None, key)}
    if not heads:
        what = "none" if name is None else f"{name!r}, a {type(modules[name]).__name__}"
        raise InputError(f"head must be a linear layer or a 1 x 1 convolution for cam, got {what}. Choose gradcam.")
    seen: list[_Head] = []
    kept: list[Tensor] = []

    def note(key: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: object, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            weight = module.weight
            assert isinstance(weight, torch.Tensor)
            seen[:] = [_Head(key, weight.flatten(1), inputs[0].clone(), output.clone())]

        return module.register_forward_hook(hook)

    handles = [note(key, one) for key, one in heads.items()]
    try:
        with hooked(subject.module, [layer], lambda _name, output: kept.append(output.clone())):
            logits = subject.model(subject.images)
    finally:
        for handle in handles:
            handle.remove()
    if not kept or not seen:
        missing = repr(layer) if not kept else f"{name or 'the head'!r}"
        raise InputError(f"layer and head must be computed on the way to the logits, got {missing}, which is not.")
    return kept[-1], logits, seen[0]


def _is_head(module: nn.Module) -> bool:
    if isinstance(module, nn.Linear):
        return True
    if not isinstance(module, nn.Conv2d):
        return False
    return module.kernel_size == (1, 1) and module.stride == (1, 1) and module.groups == 1 and module.padding == (0, 0)


def _reads(head: _Head, activation: Tensor, logits: Tensor) -> bool:
    """Return whether logits are made of a layer (B, K, h, w) by a head that reads it, and pooling before or after it."""
    if _same(head.read, activation):
        return head.gave.ndim == 4 and any(_same(one, logits) for one in _pools(head.gave))
    read, gave = (one.flatten(1) if one.shape[2:] == (1, 1) else one for one in (head.read, head.gave))
    return _same(gave, logits) and any(_same(read, one) for one in _pools(activation))


def _pools(maps: Tensor) -> tuple[Tensor, Tensor]:
    return maps.mean((2, 3)), maps.amax((2, 3))


def _same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are equal but for rounding: pooling is not always done in one way."""
    if one.shape != other.shape:
        return False
    close = 1e-2 if one.dtype in (torch.float16, torch.bfloat16) else 1e-4
    one, other = one.to(torch.float64), other.to(torch.float64)
    return bool(((one - other).abs() <= close * other.abs().max()).all()) if one.numel() else True
