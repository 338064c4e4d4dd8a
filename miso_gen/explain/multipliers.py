"""DeepLift's multipliers: how the change from a baseline to an image goes through a network, by the rescale rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from miso_gen.errors import InputError, listing
from miso_gen.explain.rewiring import Rules, operation_name, operations, rewired
from miso_gen.models.heatmaps import GlobalMax

if TYPE_CHECKING:
    from torch import Tensor


LEAST = 1e-10  #: a change smaller than this is none: the gradient stands for the ratio


def rescaled(module: nn.Module, given: Tensor, found: Tensor, gradient: Tensor) -> Tensor:
    """Elementwise activation: the ratio of the change of what came out to that of what went in."""
    change = _change(given)
    known = change.abs() >= LEAST
    return torch.where(known, gradient * _change(found) / change.where(known, 1.0), _pulled(module, given, gradient))


def greatest(module: nn.Module, given: Tensor, found: Tensor, gradient: Tensor) -> Tensor:
    """Maximum over places: its change goes to the place that had the greatest value, of the image and of the baseline.

    Places that windows share get the sum of what these say, so that nothing is lost.
    """
    image, baseline = found.chunk(2)
    both = torch.maximum(image, baseline)
    parts = _pulled(module, given, gradient * torch.cat([both - baseline, image - both]))
    of_image, of_baseline = parts.chunk(2)
    whole = torch.cat(2 * [of_image + of_baseline])
    change = _change(given)
    known = change.abs() >= LEAST
    return torch.where(known, whole / change.where(known, 1.0), _pulled(module, given, gradient))


def _change(values: Tensor) -> Tensor:
    """Return the values of the images less those of the baselines, twice."""
    image, baseline = values.chunk(2)
    return torch.cat(2 * [image - baseline])


def _pulled(module: nn.Module, given: Tensor, gradient: Tensor) -> Tensor:
    """Return the module's own gradient with respect to what went in."""
    with torch.enable_grad():
        at = given.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(module.forward(at.clone()), at, gradient)
    return found


RESCALE: Rules = {
    **dict.fromkeys(
        (
            nn.ReLU,
            nn.ReLU6,
            nn.LeakyReLU,
            nn.ELU,
            nn.SELU,
            nn.CELU,
            nn.GELU,
            nn.SiLU,
            nn.Mish,
            nn.Sigmoid,
            nn.LogSigmoid,
            nn.Tanh,
            nn.Softplus,
            nn.Hardtanh,
            nn.Hardsigmoid,
            nn.Hardswish,
        ),
        rescaled,
    ),
    **dict.fromkeys((nn.MaxPool2d, nn.AdaptiveMaxPool2d, GlobalMax), greatest),
}

#: Operations that are linear in what depends on the image; ``Mul``, ``Mm`` and ``Bmm`` are where one factor does.
# fmt: off
LINEAR = frozenset(
    {
        "AccumulateGrad", "_Ruled", "Convolution", "MkldnnConvolution", "CudnnConvolution", "SlowConv2D", "ConvDepthwise2D",
        "Linear", "MkldnnLinear", "Addmm", "Mv", "Addmv", "T", "Transpose", "Permute", "View", "UnsafeView", "ReshapeAlias",
        "Alias", "AsStrided", "Clone", "ToCopy", "Expand", "Repeat", "Squeeze", "Unsqueeze", "Select", "Slice", "Index",
        "Gather", "Split", "SplitWithSizes", "Unbind", "Cat", "Stack", "Flip", "Roll", "ConstantPadNd", "ReflectionPad2D",
        "ReplicationPad2D", "Add", "Sub", "Rsub", "Neg", "Sum", "Mean", "AvgPool2D", "AdaptiveAvgPool2D",
        "MkldnnAdaptiveAvgPool2D", "UpsampleBilinear2D", "UpsampleNearest2D", "UpsampleBicubic2D", "PixelShuffle",
        "NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm",
    }
)
# fmt: on
PRODUCTS = frozenset({"Mul", "Mm", "Bmm", "Baddbmm", "Dot"})
BATCH = nn.modules.batchnorm._BatchNorm  #: without running statistics it divides by those of the batch, which is not linear


def multipliers(model: nn.Module, images: Tensor, baselines: Tensor, target: Tensor, name: str) -> Tensor:
    """Return DeepLift's multipliers by the rescale rule, (B, C, H, W): times (images - baselines), they add up to the change.

    Args:
        model: The network, its parameters without gradients.
        images: (B, C, H, W).
        baselines: Same shape.
        target: (B,) int64.
        name: Of the explainer, for the message.

    Raises:
        InputError: The network does something on the way to its logits that is neither linear nor a module with a rule.
    """
    at = images.detach().requires_grad_()
    with torch.enable_grad(), rewired(model, RESCALE):
        logits = model(torch.cat([at, baselines.detach()]))
        strange = sorted({operation_name(one) for one in operations(logits) if not _is_linear(one)})
        strange += sorted({type(one).__name__ for one in model.modules() if isinstance(one, BATCH) and one.running_mean is None})
        if strange:
            raise InputError(
                f"model must be of linear operations, and of activations and maxima that are modules, for {name}, "
                f"got {listing(strange)}. Put modules such as torch.nn.ReLU() in place of functions, or choose another explainer."
            )
        (found,) = torch.autograd.grad(logits.gather(1, target.repeat(2)[:, None]).sum(), at)
    return found


def _is_linear(operation: torch.autograd.graph.Node) -> bool:
    name, inputs = operation_name(operation), [one for one, _ in operation.next_functions]
    if name == "Div":
        return inputs[-1] is None or len(inputs) == 1
    return name in LINEAR or (name in PRODUCTS and sum(one is not None for one in inputs) < 2)


def deeplift(model: nn.Module, images: Tensor, baselines: Tensor, target: Tensor, batch: int, name: str) -> Tensor:
    """Return multipliers times (images - baselines), (B, C, H, W); at most ``batch`` images and baselines at a time, at least 2.

    Args:
        model: As in :func:`multipliers`.
        images: As there.
        baselines: As there.
        target: As there.
        batch: Images and baselines that are given to the model at a time.
        name: As there.
    """
    size = max(1, batch // 2)
    found = [
        multipliers(model, one, base, goals, name) * (one - base)
        for one, base, goals in zip(*(torch.split(part, size) for part in (images, baselines, target)), strict=True)
    ]
    return torch.cat(found)
