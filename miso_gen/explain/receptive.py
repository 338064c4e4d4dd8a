"""How far a network sees: which pixels decide a value before its last pooling, and how coarse its steps are.

The steps of a network are followed as calls of torch's functions, from the image to where it pools over all places; a step that
is not known to be local makes the receptive field unbounded, and is named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from miso_gen.errors import InputError
from miso_gen.explain.layers import hooked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

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
class _Mark:
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


@dataclass(frozen=True)
class Field:
    """How far a network sees.

    Attributes:
        heads: Strides of what each pooling that decides the logits pools, by the number of the pooling.
        step: Tiles must begin at multiples of it, px.
        reach: How far a pixel may be from another one that decides with it on one value, px: a receptive field less 1.
        ahead: How far from its place a pixel may be that decides on a value, px.
        layers: Strides of layers that were asked for.
        why: Why that is not the whole truth: what makes the receptive field unbounded; empty: it is the whole truth.
    """

    heads: Mapping[int, tuple[int, int]]
    step: int
    reach: int
    ahead: int
    layers: Mapping[str, tuple[int, int]]
    why: str


def field_of(model: nn.Module, images: Tensor, layers: Sequence[str] = ()) -> Field:
    """Return how far a network sees that is at rest.

    Args:
        model: The network.
        images: (1, C, H, W), any that it takes, large enough that strides show.
        layers: Modules whose strides are wanted.

    Raises:
        InputError: The network doesn't take such images, or doesn't pool over all places before its logits.
    """
    follower = _Follower(images)
    outputs: dict[str, tuple[_Mark, tuple[int, int]]] = {}

    def keep(name: str, output: Tensor) -> None:
        outputs[name] = follower.marks.get(output, _Mark(None)), (output.shape[-2], output.shape[-1])

    try:
        with torch.no_grad(), hooked(model, layers, keep), follower:
            model(images)
    except (RuntimeError, ValueError, AssertionError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"model must take images of any size to be explained by tiles, got one that refuses {tuple(images.shape)} "
            f"({reason}). Explain images of its own size whole."
        ) from error
    size = (images.shape[-2], images.shape[-1])
    inner = frozenset[int]().union(*(mark.pools for mark, _ in follower.pooled)) if follower.pooled else frozenset()
    last = {
        number: (mark, shape) for number, (mark, shape) in enumerate(follower.pooled) if number not in inner and shape is not None
    }
    if not last:
        raise InputError(
            f"model must pool over all places by a mean, sum or maximum to be explained by tiles, got {type(model).__name__}, "
            "which does not. Explain its images whole."
        )
    marks = [mark for mark, _ in last.values()]
    axes = [axis for mark in marks for axis in mark.axes or ()]
    strides = {number: _strides(mark, shape, size) for number, (mark, shape) in last.items()}
    of_layers = {name: _strides(*outputs[name], size) for name in layers if name in outputs}
    steps = follower.strides | {stride for pair in (*strides.values(), *of_layers.values()) for stride in pair}
    why = next((mark.why for mark in marks if mark.why), "")
    return Field(
        heads=strides,
        step=math.lcm(*steps),
        reach=max((axis.high - axis.low for axis in axes), default=0),
        ahead=max((side for axis in axes for side in (-axis.low, axis.high)), default=0),
        layers=of_layers,
        why=why,
    )


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


class _Follower(TorchFunctionMode):
    """Follows what depends on an image.

    Attributes:
        marks: What is known of tensors.
        pooled: What each pooling over all places was given: its mark, and height and width; no size of what the image does not
            decide.
        strides: All that were met.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.marks: Any = WeakIdKeyDictionary()
        self.marks[images] = _Mark((Axis(), Axis()))
        self.pooled: list[tuple[_Mark, tuple[int, int] | None]] = []
        self.strides: set[int] = {1}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute a step, and note what is known of what it gives."""
        kwargs = kwargs or {}
        given = [one for one in _tensors((*args, *kwargs.values())) if one in self.marks]
        marks = [self.marks[one] for one in given]
        name, kind = step_name(func), pooling(step_name(func), args, kwargs)
        sizes = [tuple(one.shape) for one in given]
        found = func(*args, **kwargs)
        if kind is not None and not marks:
            self.pooled.append((_Mark(None), None))
        elif marks:
            if kind is not None:
                mark = marks[0] if marks[0].at is None else replace(marks[0], axes=None, why=f"{name} pools turned maps")
                self.pooled.append((mark, (int(sizes[0][-2]), int(sizes[0][-1]))))
            mark = self._pooled(marks) if kind is not None else self._after(name, args, kwargs, marks, sizes, found)
            self.strides |= {axis.stride for axis in mark.axes or ()}
            for one in _tensors(found if isinstance(found, tuple | list) else (found,)):
                self.marks[one] = mark
        return found

    def _pooled(self, marks: list[_Mark]) -> _Mark:
        return _Mark(None, marks[0].pools | {len(self.pooled) - 1}, marks[0].why)

    def _after(self, name: str, args: Any, kwargs: Any, marks: list[_Mark], sizes: list[tuple[int, ...]], found: Any) -> _Mark:
        """Return what is known of what a step gives."""
        pools = frozenset[int]().union(*(mark.pools for mark in marks))
        why = next((mark.why for mark in marks if mark.why), "")
        sizes = [size for size, mark in zip(sizes, marks, strict=True) if mark.axes is not None]
        spatial = [mark.axes for mark in marks if mark.axes is not None]
        at = {mark.at for mark in marks if mark.axes is not None}
        if not spatial:
            return _Mark(None, pools, why)
        if pools:
            why = why or "it pools over all places within itself"
        axes: tuple[Axis, Axis] | None = spatial[0]
        for other in spatial[1:]:
            axes = None if axes is None else _both(axes[0].joined(other[0]), axes[1].joined(other[1]))
        if axes is None or len(at) > 1:
            return _Mark(None, pools, why or f"{name} joins maps of different strides")
        made = _tensors(found if isinstance(found, tuple | list) else (found,))
        read = _Mark(axes, at=next(iter(at)))
        after = _step(name, args, kwargs, read, sizes[0], tuple(made[0].shape)) if made else read
        return replace(after, pools=pools, why=why or after.why)


def _step(name: str, args: Any, kwargs: Any, read: _Mark, before: tuple[int, ...], shape: tuple[int, ...]) -> _Mark:
    """Return what is known of what a step gives that reads maps, of one shape before and another one after it."""
    axes, at = read.axes, read.at
    assert axes is not None
    if name == "permute" or at is not None:
        return _turned(name, args, axes, before, shape, at)
    if name in _WINDOWS:
        return _Mark(_windowed(name, args, kwargs, axes))
    if name == "conv_transpose2d":
        made = _transposed(args, kwargs, axes)
        return _Mark(made, why="" if made else "it computes finer maps than pixels")
    if name == "pad":
        return _Mark(_padded(args, kwargs, axes))
    if name in ("interpolate", "upsample"):
        return _resized(args, kwargs, axes, before, shape)
    same = shape[-2:] == before[-2:] and len(shape) >= 2
    if name in _POINTWISE and same:
        return _Mark(axes)
    if name in _ALONG and same and _along(name, args, kwargs, len(before)) not in (len(before) - 2, len(before) - 1, None):
        return _Mark(axes)
    if name in _LAID and same and _keeps(name, args, len(before)):
        return _Mark(axes)
    return _Mark(None, why=f"{name} may read more than what is near")


def _turned(
    name: str, args: Any, axes: tuple[Axis, Axis], before: tuple[int, ...], shape: tuple[int, ...], at: tuple[int, int] | None
) -> _Mark:
    """Return what is known of what a step gives that turns dimensions, or reads turned ones, such as (B, h, w, channels)."""
    rows, cols = at or (len(before) - 2, len(before) - 1)
    if name == "permute":
        order = [one % len(before) for one in (args[1] if isinstance(args[1], tuple | list) else args[1:])]
        now = order.index(rows), order.index(cols)
        return _Mark(axes, at=None if now == (len(shape) - 2, len(shape) - 1) else now)
    same = len(shape) == len(before) and (shape[rows], shape[cols]) == (before[rows], before[cols])
    of_last = name == "linear" or (name == "layer_norm" and len(args[1]) == 1)
    if same and (name in _POINTWISE or (of_last and len(before) - 1 not in (rows, cols))):
        return _Mark(axes, at=at)
    return _Mark(None, why=f"{name} may read more than what is near")


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


def _resized(args: Any, kwargs: Any, axes: tuple[Axis, Axis], before: tuple[int, ...], shape: tuple[int, ...]) -> _Mark:
    mode = _given(args, kwargs, 3, "mode") or "nearest"
    factors = [after / size for after, size in zip(shape[-2:], before[-2:], strict=True)]
    reach = {"nearest": 0, "nearest-exact": 0, "bilinear": 2, "bicubic": 3}.get(mode)
    whole = [round(one) for one in factors]
    made = [axis.finer(max(factor, 1), reach or 0) for axis, factor in zip(axes, whole, strict=True)]
    axes_after = _both(*made) if all(one >= 1 and one == factor for one, factor in zip(whole, factors, strict=True)) else None
    if axes_after is None:
        return _Mark(None, why=f"it resizes maps from {before[-2:]} to {shape[-2:]}")
    if _given(args, kwargs, 4, "align_corners") and max(whole) > 1:
        return _Mark(axes_after, why="it resizes maps by their corners")
    if reach is None:
        return _Mark(axes_after, why=f"it resizes maps by {mode}")
    return _Mark(axes_after)


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


def _strides(mark: _Mark, shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the strides of maps: as they were followed, or powers of 2, guessed from their size."""
    if mark.axes is not None:
        return mark.axes[0].stride, mark.axes[1].stride
    rows, cols = (2 ** max(0, round(math.log2(whole / one))) for whole, one in zip(size, shape, strict=True))
    return rows, cols


def _both(rows: Axis | None, cols: Axis | None) -> tuple[Axis, Axis] | None:
    return None if rows is None or cols is None else (rows, cols)


def _pair(value: Any) -> tuple[int, int]:
    values = tuple(value) if isinstance(value, tuple | list | torch.Size) else (value,)
    return int(values[0]), int(values[-1])


def _given(args: Any, kwargs: Any, place: int | None, key: str) -> Any:
    return kwargs[key] if key in kwargs else (args[place] if place is not None and len(args) > place else None)


def _tensors(given: Any) -> list[Tensor]:
    """Return the tensors among some values, and in lists among them."""
    every = [one for each in given for one in (each if isinstance(each, tuple | list) else (each,))]
    return [one for one in every if isinstance(one, torch.Tensor)]
