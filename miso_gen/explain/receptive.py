"""How far a network sees: which pixels decide a value before its last pooling, and how coarse its steps are.

The steps of a network are followed as calls of torch's functions, from the image to where it pools over all places; a step that
is not known to be local makes the receptive field unbounded, and is named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from miso_gen.errors import InputError
from miso_gen.explain.layers import hooked
from miso_gen.explain.receptive_steps import Axis, Mark, after_step, both, pooling, step_name, tensors_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn


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
    outputs: dict[str, tuple[Mark, tuple[int, int]]] = {}

    def keep(name: str, output: Tensor) -> None:
        outputs[name] = follower.marks.get(output, Mark(None)), (output.shape[-2], output.shape[-1])

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
        self.marks[images] = Mark((Axis(), Axis()))
        self.pooled: list[tuple[Mark, tuple[int, int] | None]] = []
        self.strides: set[int] = {1}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute a step, and note what is known of what it gives."""
        kwargs = kwargs or {}
        given = [one for one in tensors_in((*args, *kwargs.values())) if one in self.marks]
        marks = [self.marks[one] for one in given]
        name, kind = step_name(func), pooling(step_name(func), args, kwargs)
        sizes = [tuple(one.shape) for one in given]
        found = func(*args, **kwargs)
        if kind is not None and not marks:
            self.pooled.append((Mark(None), None))
        elif marks:
            if kind is not None:
                mark = marks[0] if marks[0].at is None else replace(marks[0], axes=None, why=f"{name} pools turned maps")
                self.pooled.append((mark, (int(sizes[0][-2]), int(sizes[0][-1]))))
            mark = self._pooled(marks) if kind is not None else self._after(name, args, kwargs, marks, sizes, found)
            self.strides |= {axis.stride for axis in mark.axes or ()}
            for one in tensors_in(found if isinstance(found, tuple | list) else (found,)):
                self.marks[one] = mark
        return found

    def _pooled(self, marks: list[Mark]) -> Mark:
        return Mark(None, marks[0].pools | {len(self.pooled) - 1}, marks[0].why)

    def _after(self, name: str, args: Any, kwargs: Any, marks: list[Mark], sizes: list[tuple[int, ...]], found: Any) -> Mark:
        """Return what is known of what a step gives."""
        pools = frozenset[int]().union(*(mark.pools for mark in marks))
        why = next((mark.why for mark in marks if mark.why), "")
        sizes = [size for size, mark in zip(sizes, marks, strict=True) if mark.axes is not None]
        spatial = [mark.axes for mark in marks if mark.axes is not None]
        at = {mark.at for mark in marks if mark.axes is not None}
        if not spatial:
            return Mark(None, pools, why)
        if pools:
            why = why or "it pools over all places within itself"
        axes: tuple[Axis, Axis] | None = spatial[0]
        for other in spatial[1:]:
            axes = None if axes is None else both(axes[0].joined(other[0]), axes[1].joined(other[1]))
        if axes is None or len(at) > 1:
            return Mark(None, pools, why or f"{name} joins maps of different strides")
        made = tensors_in(found if isinstance(found, tuple | list) else (found,))
        read = Mark(axes, at=next(iter(at)))
        after = after_step(name, args, kwargs, read, sizes[0], tuple(made[0].shape)) if made else read
        return replace(after, pools=pools, why=why or after.why)


def _strides(mark: Mark, shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the strides of maps: as they were followed, or powers of 2, guessed from their size."""
    if mark.axes is not None:
        return mark.axes[0].stride, mark.axes[1].stride
    rows, cols = (2 ** max(0, round(math.log2(whole / one))) for whole, one in zip(size, shape, strict=True))
    return rows, cols
