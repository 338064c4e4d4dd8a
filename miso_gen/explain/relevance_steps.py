"""Steps that networks are made of, by the names of torch's functions, and how each is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

LAYERS = {
    *("conv1d", "conv2d", "conv3d", "linear"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
}
#: What gives shares or openings; the features that are multiplied by them have all relevance.
GATES = {"sigmoid", "softmax", "hardsigmoid"}
#: Of each value by itself: activations, dropout. Relevance passes as it is.
UNCHANGED = {
    *GATES,
    *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "hardtanh"),
    *("softplus", "tanh", "tanhshrink", "threshold", "clamp", "clamp_min", "clamp_max", "clip", "logsigmoid", "softsign"),
    *("hardshrink", "softshrink", "neg", "negative", "__neg__"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"),
}
#: What gives values it was given, or (resizing) means of some with weights that sum up to 1: gradients are relevance. The
#: greatest of several values has all of it.
COPIED = {
    *("view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "permute", "transpose", "swapaxes", "swapdims"),
    *("movedim", "moveaxis", "t", "unsqueeze", "squeeze", "expand", "expand_as", "repeat", "repeat_interleave", "tile"),
    *("broadcast_to", "cat", "concat", "concatenate", "stack", "hstack", "vstack", "split", "tensor_split", "chunk", "unbind"),
    *("__getitem__", "__iter__", "narrow", "select", "index_select", "contiguous", "clone", "to", "type", "type_as", "float"),
    *("double", "half", "bfloat16", "cpu", "cuda", "channel_shuffle", "pixel_shuffle", "pixel_unshuffle", "roll", "flip", "pad"),
    *("native_channel_shuffle", "positive", "__pos__", "__get__"),  # the last one of attributes: shape, T, mT
    *("max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"),
    *("max_pool2d_with_indices", "max", "amax", "maximum", "interpolate", "upsample"),
}
#: Of two operands.
ADDITIONS = {"add", "__add__", "__radd__", "sub", "subtract", "__sub__", "__rsub__", "rsub"}
AVERAGES = {
    *("mean", "avg_pool1d", "avg_pool2d", "avg_pool3d"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
}
SUMS = {"sum", *ADDITIONS, *AVERAGES}
QUOTIENTS = {"div", "divide", "true_divide", "__truediv__", "__rtruediv__"}
PRODUCTS = {"mul", "multiply", "__mul__", "__rmul__", *QUOTIENTS}
#: What only asks, or tells torch something.
READS = {"size", "dim", "numel", "requires_grad_", "retain_grad", "register_hook", "__hash__", "__len__", "__repr__"}
NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")  #: arguments of ``batch_norm``


def plain_name(name: str) -> tuple[str, bool]:
    """Return the name of the step that overwrites nothing, and whether the given one overwrites: ``add_`` is ``add``."""
    if name.startswith("__i") and name.endswith("__") and hasattr(torch.Tensor, f"__{name[3:]}"):
        return f"__{name[3:]}", True
    if name.endswith("_") and not name.endswith("__") and hasattr(torch.Tensor, name[:-1]) and name not in READS:
        return name[:-1], True
    return name, False


def tensors(given: Iterable[Any]) -> list[Tensor]:
    """Return the tensors among arguments, and in lists among them, each once."""
    found: dict[int, Tensor] = {}
    for one in given:
        for each in one if isinstance(one, list | tuple) else (one,):
            if isinstance(each, torch.Tensor):
                found[id(each)] = each
    return list(found.values())


def operands(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the two operands of a step, tensors or numbers."""
    one, other = [*args, *(kwargs[key] for key in ("input", "self", "other") if key in kwargs)][:2]
    return one, other


def by_name(names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return some arguments by their names, None where one is not given, and what is given by another name."""
    found = {**dict.fromkeys(names), **dict(zip(names, args, strict=False))}
    found.update({key: one for key, one in kwargs.items() if key in names})
    return found, {key: one for key, one in kwargs.items() if key not in names}


def put(given: Any, others: Mapping[int, Tensor]) -> Any:
    """Return arguments with other tensors in place of some, also in lists and dictionaries.

    Args:
        given: A tensor, a list, a dictionary, or anything else, which is returned as it is.
        others: By ``id`` of the tensor that each stands for.
    """
    if isinstance(given, torch.Tensor):
        return others.get(id(given), given)
    if type(given) in (list, tuple):
        return type(given)(put(one, others) for one in given)
    if type(given) is dict:
        return {key: put(one, others) for key, one in given.items()}
    return given
