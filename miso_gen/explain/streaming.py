"""What a network and an explainer pool over all places of an image, found tile by tile.

The logits of the networks here are made of what they pool over all places. A pass over the tiles finds that for the whole image.
When a tile is explained, each such pooling gives the value of the whole image, which moves with the features of the tile as it
would with them as a part of the whole: the logits are those of the image, and gradients with respect to the pixels of the tile
are exact. An explainer that pools, such as Grad-CAM its gradients, is answered in the same way, one more pass for each pooling.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812  # torch's own habit
from torch.overrides import TorchFunctionMode

from miso_gen.explain.receptive_steps import pooling, step_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from miso_gen.explain.receptive import Field
    from miso_gen.explain.receptive_steps import Kind
    from miso_gen.explain.windows import Window


class LacksError(Exception):
    """An explainer asked for a pooling that isn't known yet; what the tile adds to it was taken."""


class Total:
    """A pooling over all places of an image (1, K, h, w), of one tile after the other.

    Args:
        kind: Of pooling.
        strides: Pixels to a value, in height and width.
    """

    def __init__(self, kind: Kind, strides: tuple[int, int]) -> None:
        self.kind, self.strides = kind, strides
        self.shape = (0, 0)  #: height and width of what is pooled, of the whole image
        self._value: Tensor | None = None
        self._place: Tensor | None = None  # (2, K), row and column of the greatest value

    def add(self, values: Tensor, window: Window) -> None:
        """Take the values of a tile, (1, K, h, w) with what is around it."""
        size = (values.shape[-2], values.shape[-1])
        down, across = window.offset(self.strides)
        self.shape = max(self.shape[0], down + size[0]), max(self.shape[1], across + size[1])
        rows, cols = window.inside(size, self.strides)
        part = values.detach()[0, :, rows, cols]
        if 0 in part.shape[-2:]:
            return
        if self.kind != "max":
            found = part.sum((1, 2), dtype=torch.float64)
            self._value = found if self._value is None else self._value + found
            return
        most, at = F.adaptive_max_pool2d(part, 1, return_indices=True)
        at = at.flatten()
        place = torch.stack([at // part.shape[-1] + rows.start + down, at % part.shape[-1] + cols.start + across])
        most = most.flatten()
        if self._value is None or self._place is None:
            self._value, self._place = most, place
            return
        # Of equal values the first one of the whole image counts, as it does where the image is not cut.
        earlier = (place[0] < self._place[0]) | ((place[0] == self._place[0]) & (place[1] < self._place[1]))
        better = (most > self._value) | ((most == self._value) & earlier)
        self._value, self._place = most.where(better, self._value), place.where(better, self._place)

    def matters(self, window: Window, size: tuple[int, int]) -> bool:
        """Whether anything that is read for a tile moves the value; ``size``: of its values."""
        if self._place is None:
            return True
        down, across = window.offset(self.strides)
        rows, cols = self._place[0] - down, self._place[1] - across
        return bool(((rows >= 0) & (rows < size[0]) & (cols >= 0) & (cols < size[1])).any())

    def answer(self, values: Tensor, like: Tensor, window: Window | None) -> Tensor:
        """Return the value for the whole image, which moves with the values of a tile.

        Args:
            values: (1, K, h, w), of what is read for the tile.
            like: What the tile alone would give: its shape and type are those of the answer.
            window: The tile; None: it moves with nothing.
        """
        assert self._value is not None
        count = self.shape[0] * self.shape[1] if self.kind == "mean" else 1
        whole = (self._value / count if self.kind == "mean" else self._value).to(like.dtype).reshape(like.shape)
        if window is None or not values.requires_grad:
            return whole
        if self._place is None:
            moves = values.sum((2, 3)) / count
        else:
            down, across = window.offset(self.strides)
            rows, cols = self._place[0] - down, self._place[1] - across
            height, width = values.shape[-2:]
            here = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
            at = (rows * width + cols).where(here, 0)
            moves = values.flatten(2).gather(2, at[None, :, None])[:, :, 0] * here
        moves = moves.reshape(like.shape)
        return whole + (moves - moves.detach())


class Streaming(TorchFunctionMode):
    """Answers poolings over all places with those of the whole image, once they are known; before, it finds them out.

    Args:
        field: How far the network sees.
        strides: Of the layer that is explained, if one is.
    """

    def __init__(self, field: Field, strides: tuple[int, int] | None) -> None:
        super().__init__()
        self.field, self.strides = field, strides
        self.heads: dict[int, Total] = {}
        self.others: list[Total] = []  #: of the explainer, in its order
        self.finding: Total | None = None  #: the next one of the explainer
        self.learns = True  #: whether heads are being found out
        self._window: Window | None = None
        self._inside = False
        self._poolings = self._asked = 0

    @contextmanager
    def tile(self, model: nn.Module, window: Window | None) -> Iterator[None]:
        """Answer for a tile; None: for any image in place of one, which moves nothing."""

        def begin(*_: object) -> None:
            self._inside, self._poolings = True, 0

        def end(*_: object) -> None:
            self._inside = False

        self._window, self._inside, self._asked = window, False, 0
        handles = [model.register_forward_pre_hook(begin), model.register_forward_hook(end)]
        try:
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute a step, or answer it."""
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        kind = pooling(step_name(func), args, kwargs)
        if kind is None:
            return found
        values = args[0] if args else kwargs["input"]
        return self._head(kind, values, found) if self._inside else self._other(kind, values, found)

    def _head(self, kind: Kind, values: Tensor, found: Tensor) -> Tensor:
        number, self._poolings = self._poolings, self._poolings + 1
        if number not in self.field.heads:
            return found
        if not self.learns:
            return self.heads[number].answer(values, found, self._window)
        assert self._window is not None
        self.heads.setdefault(number, Total(kind, self.field.heads[number])).add(values, self._window)
        return found

    def _other(self, kind: Kind, values: Tensor, found: Tensor) -> Tensor:
        number, self._asked = self._asked, self._asked + 1
        if self.strides is None or self._window is None:
            return found
        if number < len(self.others):
            return self.others[number].answer(values.detach(), found, None)
        self.finding = self.finding or Total(kind, self.strides)
        self.finding.add(values, self._window)
        raise LacksError

    def found_one(self) -> None:
        """Take the pooling that the explainer asked for as known; every tile was there."""
        assert self.finding is not None
        self.others.append(self.finding)
        self.finding = None
