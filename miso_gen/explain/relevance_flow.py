"""The flow of relevance: every step of a network is computed as ever, and remembers how it divides relevance.

Steps are seen as calls of torch's functions, not as modules: the residual addition inside a block, the sum over the branches of a
selective kernel or the mean that a network takes by itself are steps like any other, in any network. Nothing of the network is
changed, and back-propagating through what it gives passes relevance in place of gradients.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from miso_gen.errors import InputError
from miso_gen.explain.relevance_rules import Layer, merged, shares
from miso_gen.explain.relevance_steps import (
    ADDITIONS,
    AVERAGES,
    COPIED,
    GATES,
    LAYERS,
    NORM,
    PRODUCTS,
    QUOTIENTS,
    READS,
    SUMS,
    UNCHANGED,
    by_name,
    operands,
    plain_name,
    put,
    tensors,
)

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.explain.relevance_rules import Rules


class _Made(NamedTuple):
    """The layer that gave a tensor, what it read, and whether that was the image itself."""

    layer: Layer
    values: Tensor
    first: bool
    convolution: bool


@dataclass(frozen=True, eq=False)
class _Mark:
    """What is known of a tensor that depends on the image.

    Attributes:
        raw: Whether no convolution or linear layer was before it.
        gate: Whether it is a share or an opening, or was made of such alone.
        made: The layer that gave it, if one did.
        now: What a step that overwrote it gave.
        carries: Whether relevance flowed to it when it was marked; if it has gradients and not this, it came about unseen.
    """

    raw: bool = False
    gate: bool = False
    made: _Made | None = None
    now: Tensor | None = None
    carries: bool = False


@dataclass(frozen=True, eq=False)
class _Call:
    """A step: its name, its function, what it is given, and which tensors of that depend on the image.

    Attributes:
        name: Of the step that overwrites nothing.
        function: That overwrites nothing.
        args: Of the function.
        kwargs: Of the function.
        followed: Tensors that depend on the image.
        carriers: Those of them that relevance is passed on to.
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    followed: list[Tensor]
    carriers: list[Tensor]

    def computed(self) -> Any:
        """Return what it gives, without gradients."""
        with torch.no_grad():
            return self.function(*self.args, **self.kwargs)


class _Step(torch.autograd.Function):
    """A step whose gradient is relevance."""

    @staticmethod
    def forward(ctx: Any, output: tuple[Tensor], divide: Callable[..., tuple[Tensor, ...]], *inputs: Tensor) -> Tensor:
        """Return what the step gave; ``divide(relevance, *inputs)`` will give the relevance of each input."""
        ctx.divide = divide
        ctx.save_for_backward(*inputs)
        return output[0]

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> Any:
        """Return the relevance of each input."""
        return (None, None, *ctx.divide(relevance[0], *ctx.saved_tensors))


def _step(output: Tensor, divide: Callable[..., tuple[Tensor, ...]], *inputs: Tensor) -> Tensor:
    found: Tensor = _Step.apply((output,), divide, *inputs)
    return found


def _same(relevance: Tensor, values: Tensor) -> tuple[Tensor]:
    """Return the relevance as it is; of a constant that was broadcast to, summed up."""
    return (relevance.sum_to_size(values.shape),)


class Flow(TorchFunctionMode):
    """While it is entered, a network is computed so that the gradients of its logits are relevance.

    It looks at what depends on the images alone, see :meth:`follow`. Where relevance comes to a step it has no rule for, it
    refuses the network. Gates (a sigmoid, a softmax, or the factor that is broadcast) are constants.

    Args:
        rules: How layers divide relevance.
        model: The network, for messages.
    """

    def __init__(self, rules: Rules, model: object) -> None:
        super().__init__()
        self.rules = rules
        self.names = {id(one): name for name, one in model.named_modules()} if isinstance(model, nn.Module) else {}
        self.marks: Any = WeakIdKeyDictionary()

    def follow(self, values: Tensor, raw: bool = False) -> Tensor:
        """Return a tensor, which is followed from now on.

        Args:
            values: The images, or what relevance is asked of.
            raw: Whether it is the images.
        """
        self.marks[values] = _Mark(raw=raw, carries=values.requires_grad)
        return values

    def carries(self, values: Tensor) -> bool:
        """Return whether relevance of a tensor is passed on to what it is asked of.

        Raises:
            InputError: It came out of steps that nobody sees, such as those of TorchScript.
        """
        if not values.requires_grad:
            return False
        if values in self.marks and self.marks[values].carries:
            return True
        if values.is_leaf:
            return False
        step = f"{values.grad_fn.name()}, which can't be seen," if values.grad_fn else "one that can't be seen"
        raise self.refusal(step)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute a step, and remember how it divides relevance."""
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        given = tensors((*args, *kwargs.values()))
        if name in READS or not any(one in self.marks or one.requires_grad for one in given):
            return func(*args, **kwargs)
        newer = {id(one): self._newest(one) for one in given}
        first = args[0] if args else None
        args, kwargs, given = put(args, newer), put(kwargs, newer), list(newer.values())
        carriers = [one for one in given if self.carries(one)]
        followed = [one for one in given if one in self.marks]
        name, changes = plain_name(name)
        if not carriers:
            found = func(*args, **kwargs)
            return self._marked(_Call(name, func, args, kwargs, followed, carriers), found)
        changes |= bool(kwargs.get("inplace"))
        if kwargs.get("inplace"):
            kwargs["inplace"] = False
        elif changes:
            func = getattr(torch.Tensor, name)
        call = _Call(name, func, args, kwargs, followed, carriers)
        found = self._marked(call, self._flowing(call))
        if changes and isinstance(first, torch.Tensor):  # nothing is overwritten, but who looks there sees what came out
            self.marks[first] = replace(self.marks.get(first, _Mark()), now=found)
        return found

    def _newest(self, values: Tensor) -> Tensor:
        """Return what a tensor is by now, where steps have overwritten it."""
        mark = self.marks.get(values)
        while mark is not None and mark.now is not None:
            values = mark.now
            mark = self.marks.get(values)
        return values

    def _flowing(self, call: _Call) -> Any:
        """Return what a step gives, so that relevance flows through it."""
        if call.name in LAYERS:
            made = self._made(call)
            if any(one is not made.values for one in call.carriers) or made.layer.weight is made.values:
                raise self.refusal(f"{call.name} with weights that depend on the image")
            return _step(call.computed(), self._divide(made, lambda: made.layer), made.values)
        if call.name == "batch_norm":
            return self._batch_norm(call)
        if call.name in UNCHANGED:
            return _step(call.computed(), _same, call.carriers[0])
        if call.name in COPIED:
            return call.function(*call.args, **call.kwargs)
        if call.name in SUMS:
            return self._sum(call)
        if call.name in PRODUCTS:
            return self._product(call)
        found = None if call.name == "__setitem__" else call.function(*call.args, **call.kwargs)
        if call.name == "__setitem__" or any(one.requires_grad for one in tensors((found,))):
            raise self.refusal(call.name or repr(call.function))
        return found

    def _made(self, call: _Call) -> _Made:
        """Return a convolution or a linear layer."""
        named, rest = by_name(("input", "weight", "bias"), call.args, call.kwargs)

        def again(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            return call.function(values, weight, bias, *call.args[3:], **rest)

        values = named["input"]
        first = self.marks.get(values, _Mark()).raw
        return _Made(Layer(named["weight"], named["bias"], again), values, first, call.name != "linear")

    def _divide(self, made: _Made, layer: Callable[[], Layer]) -> Callable[..., tuple[Tensor, ...]]:
        """Return how a layer divides relevance; it is asked for only when relevance comes."""
        rules = self.rules
        usual = rules.convolution if made.convolution else rules.linear
        rule = (rules.first_convolution if made.convolution else rules.first_linear) if made.first else usual
        return lambda relevance, values: (rule(layer(), values, relevance),)

    def _batch_norm(self, call: _Call) -> Tensor:
        """Compute a batch normalisation: of relevance, a part of the layer before it, or nothing."""
        made = self.marks[call.carriers[0]].made
        norm, _ = by_name(NORM, call.args, call.kwargs)
        if made is None or norm["training"] or norm["running_var"] is None:
            return _step(call.computed(), _same, call.carriers[0])
        return _step(call.computed(), self._divide(made, lambda: merged(made.layer, norm)), made.values)

    def _sum(self, call: _Call) -> Tensor:
        """Compute a sum or an average: each summand has its part of relevance, constants that are added have none."""
        if call.name in ADDITIONS and len(call.followed) == 1:
            return _step(call.computed(), _same, call.carriers[0])
        positive, stabilizer = call.name in AVERAGES and self.rules.positive_averages, self.rules.stabilizer
        others = [one for one in call.followed if not one.requires_grad]
        ids = [id(one) for one in (*call.carriers, *others)]

        def again(*values: Tensor) -> Tensor:
            others = dict(zip(ids, values, strict=True))
            return call.function(*put(call.args, others), **put(call.kwargs, others))

        def divide(relevance: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
            known = tuple(one.clamp(min=0) if positive else one for one in (*values, *others))
            return tuple(shares(again, known, relevance, stabilizer)[: len(values)])

        return _step(call.computed(), divide, *call.carriers)

    def _product(self, call: _Call) -> Tensor:
        """Compute a product or a quotient: the features have the relevance, what they are multiplied by is a constant."""
        one, other = operands(call.args, call.kwargs)
        if call.name in QUOTIENTS:
            feature, factor = (other, one) if call.name == "__rtruediv__" else (one, other)
            if not isinstance(feature, torch.Tensor) or feature not in self.marks:
                raise self.refusal("a constant divided by what depends on the image")
        else:
            feature, factor = self._gated(one, other)
        if not self.carries(feature):
            return call.computed()
        closed = torch.as_tensor(factor, device=feature.device).detach() == 0

        def divide(relevance: Tensor, values: Tensor) -> tuple[Tensor, ...]:
            return _same(torch.where(closed, 0.0, relevance), values)

        return _step(call.computed(), divide, feature)

    def _gated(self, one: Any, other: Any) -> tuple[Tensor, Any]:
        """Return which of two factors the features are, and the other."""
        known = [isinstance(each, torch.Tensor) and each in self.marks for each in (one, other)]
        if not all(known):
            return (one, other) if known[0] else (other, one)
        if self.marks[one].gate != self.marks[other].gate:
            return (other, one) if self.marks[one].gate else (one, other)
        whole = torch.broadcast_shapes(one.shape, other.shape)  # type: ignore[no-untyped-call]
        for feature, gate in ((one, other), (other, one)):
            if feature.shape == whole and gate.numel() < feature.numel():
                return feature, gate
        raise self.refusal("a product of two tensors, neither of which is a gate")

    def _marked(self, call: _Call, found: Any) -> Any:
        """Mark what a step gave, and return it."""
        marks = [self.marks[one] for one in call.followed]
        if not marks:
            return found
        if call.name.endswith("_as") and call.args[0] in self.marks:  # the other tensor is there for its shape alone
            marks = [self.marks[call.args[0]]]
        layer = call.name in LAYERS
        mergeable = layer and self.rules.merge and not call.name.startswith("conv_transpose") and call.carriers
        mark = _Mark(
            raw=not layer and all(one.raw for one in marks),
            gate=call.name in GATES or (not layer and call.name != "batch_norm" and all(one.gate for one in marks)),
            made=self._made(call) if mergeable else None,
        )
        for one in tensors((found,)):
            if one.is_floating_point():
                self.marks[one] = replace(mark, carries=one.requires_grad)
        return found

    def refusal(self, step: str) -> InputError:
        """Return the error that names a step, and the module that it is in."""
        frame, place = sys._getframe(1).f_back, ""
        while frame is not None and not place:
            module = frame.f_locals.get("self")
            if isinstance(module, nn.Module):
                name = self.names.get(id(module))
                place = f" in {name} ({type(module).__name__})" if name else f" in {type(module).__name__}"
            frame = frame.f_back
        return InputError(
            f"model must have steps that relevance has a rule for, got {step}{place}. Choose another explainer, or a later layer."
        )
