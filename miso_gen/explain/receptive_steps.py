"""Steps of a network, by the names of torch's functions, and what each does to the place of values over the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

Kind: TypeAlias = Literal["mean", "sum", "max"]  #: of a pooling over all places

#: Of each value by itself, or of the values of one place.
_POINTWISE = {
    *(
        "add",
        "radd",
        "iadd",
        "sub",
        "subtract",
        "rsub",
        "isub",
        "mul",
        "multiply",
        "rmul",
        "imul",
        "div",
        "divide",
        "true_divide",
    ),
    *("truediv", "rtruediv", "itruediv", "maximum", "minimum", "where", "pow", "square", "sqrt", "rsqrt", "exp", "log", "abs"),
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "hardtanh"),
    *("hardsigmoid", "softplus", "tanh", "sigmoid", "threshold", "clamp", "clamp_min", "clamp_max", "clip", "logsigmoid", "neg"),
    *("dropout", "dropout2d", "alpha_dropout", "feature_alpha_dropout", "batch_norm", "local_response_norm"),
    *("clone", "contiguous", "detach", "requires_grad", "to", "type", "type_as", "float", "double", "half", "bfloat16", "copy"),
}
_ALONG = {"cat", "concat", "concatenate", "softmax", "chunk", "split", "mean", "sum", "amax", "max"}  #: a dimension
_LAID = {"view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "expand", "transpose", "swapaxes", "getitem"}
_POOLS: dict[str, Kind] = {
    "mean": "mean",
    "sum": "sum",
    "amax": "max",
    "adaptive_avg_pool2d": "mean",
    "adaptive_max_pool2d": "max",
}


class Axis(NamedTuple):
    """What value i of an axis depends on: pixels i * stride + low to i * stride + high, in px."""

    stride: int = 1
    low: int = 0
    high: int = 0

    def window(self, size: int, step: int, pad: int, dilation: int) -> Axis:
        """Return the axis after a convolution or pooling of windows."""
        reach = (size - 1) * dilation - pad
        return Axis(self.stride * step, self.low - pad * self.stride, self.high + reach * self.stride)

    def finer(self, factor: int, reach: int) -> Axis | None:
        """Return the axis with ``factor`` values for each one, of up to ``reach`` values on both sides; None: there is none."""
        if self.stride % factor:
            return None
        back = self.stride - self.stride // factor + reach * self.stride
        return Axis(self.stride // factor, self.low - back, self.high + reach * self.stride)

    def joined(self, other: Axis) -> Axis | None:
        """Return what depends on two values of one place; None: their strides differ."""
        if self.stride != other.stride:
            return None
        return Axis(self.stride, min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True)
class Mark:
    """What is known of a tensor that depends on the image.

    Attributes:
        axes: Of the two dimensions that lie over the image; None: there are none, or nobody knows how.
        pools: Numbers of the poolings over all places that it depends on.
        why: What makes it depend on more than its axes say; empty: nothing does.
        at: The dimensions of the axes, where they are not the last two.
    """

    axes: tuple[Axis, Axis] | None
    pools: frozenset[int] = frozenset()
    why: str = ""
    at: tuple[int, int] | None = None


def pooling(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Kind | None:
    """Return which pooling over all places of (B, channels, h, w) a call is; None: it is none.

    Args:
        name: Of the function, see :func:`step_name`.
        args: Of the call.
        kwargs: Of the call.
    """
    kind, given = _POOLS.get(name), args[0] if args else kwargs.get("input")
    if kind is None or not isinstance(given, torch.Tensor) or given.ndim != 4:
        return None
    rest = args[1:]
    if name.startswith("adaptive"):
        wanted = rest[0] if rest else kwargs.get("output_size")
        whole = wanted == 1 or (isinstance(wanted, tuple | list | torch.Size) and tuple(wanted) == (1, 1))
        return kind if whole and not kwargs.get("return_indices") else None
    dims = rest[0] if rest else kwargs.get("dim")
    if not isinstance(dims, tuple | list):
        return None
    return kind if {one % 4 for one in dims} == {2, 3} else None


def step_name(function: Any) -> str:
    """Return the name of a function of torch, without what says that it overwrites its input."""
    return str(getattr(function, "__name__", function)).strip("_")


def after_step(name: str, args: Any, kwargs: Any, read: Mark, before: tuple[int, ...], shape: tuple[int, ...]) -> Mark:
    """Return what is known of what a step gives that reads maps, of one shape before and another one after it."""
    axes, at = read.axes, read.at
    assert axes is not None
    if name == "permute" or at is not None:
        return _turned(name, args, axes, before, shape, at)
    if name in _WINDOWS:
        return Mark(_windowed(name, args, kwargs, axes))
    if name == "conv_transpose2d":
        made = _transposed(args, kwargs, axes)
        return Mark(made, why="" if made else "it computes finer maps than pixels")
    if name == "pad":
        return Mark(_padded(args, kwargs, axes))
    if name in ("interpolate", "upsample"):
        return _resized(args, kwargs, axes, before, shape)
    same = shape[-2:] == before[-2:] and len(shape) >= 2
    if name in _POINTWISE and same:
        return Mark(axes)
    if name in _ALONG and same and _along(name, args, kwargs, len(before)) not in (len(before) - 2, len(before) - 1, None):
        return Mark(axes)
    if name in _LAID and same and _keeps(name, args, len(before)):
        return Mark(axes)
    return Mark(None, why=f"{name} may read more than what is near")


def _turned(
    name: str, args: Any, axes: tuple[Axis, Axis], before: tuple[int, ...], shape: tuple[int, ...], at: tuple[int, int] | None
) -> Mark:
    """Return what is known of what a step gives that turns dimensions, or reads turned ones, such as (B, h, w, channels)."""
    rows, cols = at or (len(before) - 2, len(before) - 1)
    if name == "permute":
        order = [one % len(before) for one in (args[1] if isinstance(args[1], tuple | list) else args[1:])]
        now = order.index(rows), order.index(cols)
        return Mark(axes, at=None if now == (len(shape) - 2, len(shape) - 1) else now)
    same = len(shape) == len(before) and (shape[rows], shape[cols]) == (before[rows], before[cols])
    of_last = name == "linear" or (name == "layer_norm" and len(args[1]) == 1)
    if same and (name in _POINTWISE or (of_last and len(before) - 1 not in (rows, cols))):
        return Mark(axes, at=at)
    return Mark(None, why=f"{name} may read more than what is near")


#: Positions of kernel, stride, padding and dilation among the arguments.
_WINDOWS: dict[str, tuple[int | None, int, int, int | None]] = {
    "conv2d": (None, 3, 4, 5),
    "max_pool2d": (1, 2, 3, 4),
    "avg_pool2d": (1, 2, 3, None),
}
_KEYS = ("kernel_size", "stride", "padding", "dilation")


def _windowed(name: str, args: Any, kwargs: Any, axes: tuple[Axis, Axis]) -> tuple[Axis, Axis]:
    places = _WINDOWS[name]
    kernel, stride, padding, dilation = (_given(args, kwargs, place, key) for place, key in zip(places, _KEYS, strict=True))
    if name == "conv2d":
        kernel = tuple(_given(args, kwargs, 1, "weight").shape[-2:])
    sizes, spread = _pair(kernel), _pair(dilation if dilation is not None else 1)
    steps = _pair(stride if stride not in (None, []) else (1 if name == "conv2d" else kernel))
    if padding == "same":
        pads = tuple((size - 1) * wide // 2 for size, wide in zip(sizes, spread, strict=True))
    else:
        pads = _pair(0 if padding in (None, "valid") else padding)
    rows, cols = (axis.window(*one) for axis, *one in zip(axes, sizes, steps, pads, spread, strict=True))
    return rows, cols


def _transposed(args: Any, kwargs: Any, axes: tuple[Axis, Axis]) -> tuple[Axis, Axis] | None:
    sizes = tuple(_given(args, kwargs, 1, "weight").shape[-2:])
    steps, pads, spread = (
        _pair(default if (one := _given(args, kwargs, place, key)) is None else one)
        for place, key, default in ((3, "stride", 1), (4, "padding", 0), (7, "dilation", 1))
    )
    made = []
    for axis, size, step, pad, wide in zip(axes, sizes, steps, pads, spread, strict=True):
        if axis.stride % step:
            return None
        fine = axis.stride // step
        made.append(Axis(fine, axis.low + (pad - (size - 1) * wide) * fine, axis.high + pad * fine))
    return made[0], made[1]


def _padded(args: Any, kwargs: Any, axes: tuple[Axis, Axis]) -> tuple[Axis, Axis]:
    pads = [*_given(args, kwargs, 1, "pad"), 0, 0, 0, 0][:4]
    mirrored = _given(args, kwargs, 2, "mode") not in (None, "constant")
    left, right, top, bottom = pads
    made = []
    for axis, first, last in zip(axes, (top, left), (bottom, right), strict=True):
        low, high = axis.low - first * axis.stride, axis.high - first * axis.stride
        if mirrored:  # a border repeats what is as far on the other side of it
            low, high = low - 2 * last * axis.stride, high + 2 * first * axis.stride
        made.append(Axis(axis.stride, low, high))
    return made[0], made[1]


def _resized(args: Any, kwargs: Any, axes: tuple[Axis, Axis], before: tuple[int, ...], shape: tuple[int, ...]) -> Mark:
    mode = _given(args, kwargs, 3, "mode") or "nearest"
    factors = [after / size for after, size in zip(shape[-2:], before[-2:], strict=True)]
    reach = {"nearest": 0, "nearest-exact": 0, "bilinear": 2, "bicubic": 3}.get(mode)
    whole = [round(one) for one in factors]
    made = [axis.finer(max(factor, 1), reach or 0) for axis, factor in zip(axes, whole, strict=True)]
    axes_after = both(*made) if all(one >= 1 and one == factor for one, factor in zip(whole, factors, strict=True)) else None
    if axes_after is None:
        return Mark(None, why=f"it resizes maps from {before[-2:]} to {shape[-2:]}")
    if _given(args, kwargs, 4, "align_corners") and max(whole) > 1:
        return Mark(axes_after, why="it resizes maps by their corners")
    if reach is None:
        return Mark(axes_after, why=f"it resizes maps by {mode}")
    return Mark(axes_after)


def _keeps(name: str, args: Any, ndim: int) -> bool:
    """Return whether a step that lays dimensions anew leaves the last two where they are; their sizes are the same."""
    last = {ndim - 2, ndim - 1}
    if name in ("transpose", "swapaxes"):
        return not {one % ndim for one in args[1:3]} & last
    if name == "getitem":
        keys = args[1] if isinstance(args[1], tuple) else (args[1],)
        return len(keys) <= ndim - 2 and all(isinstance(key, int | slice) for key in keys)
    return True


def _along(name: str, args: Any, kwargs: Any, ndim: int) -> int | None:
    """Return the dimension that a step goes along; None: several, or all."""
    place, default = (2, 0) if name in ("chunk", "split") else (1, 0 if name.startswith("c") else None)
    dim = kwargs.get("dim", args[place] if len(args) > place else default)
    if isinstance(dim, tuple | list) and len(dim) == 1:
        dim = dim[0]
    return dim % ndim if isinstance(dim, int) else None


def both(rows: Axis | None, cols: Axis | None) -> tuple[Axis, Axis] | None:
    """Return two axes together; None: one of them is missing."""
    return None if rows is None or cols is None else (rows, cols)


def _pair(value: Any) -> tuple[int, int]:
    values = tuple(value) if isinstance(value, tuple | list | torch.Size) else (value,)
    return int(values[0]), int(values[-1])


def _given(args: Any, kwargs: Any, place: int | None, key: str) -> Any:
    return kwargs[key] if key in kwargs else (args[place] if place is not None and len(args) > place else None)


def tensors_in(given: Any) -> list[Tensor]:
    """Return the tensors among some values, and in lists among them."""
    every = [one for each in given for one in (each if isinstance(each, tuple | list) else (each,))]
    return [one for one in every if isinstance(one, torch.Tensor)]
