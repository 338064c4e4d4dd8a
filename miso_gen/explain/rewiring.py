"""Other gradients than the true ones: modules of a network that hand back what a rule says.

Captum does this with hooks on tensors, which see the gradients of everything else that reads the same tensor, and with
attributes of modules, which allow one call of each. Here every call of a module is a step of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import nn
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from torch import Tensor

#: Module, what went in, what came out, gradient of the score by what came out -> gradient by what went in.
Rule: TypeAlias = Callable[[nn.Module, "Tensor", "Tensor", "Tensor"], "Tensor"]
Rules: TypeAlias = Mapping[type[nn.Module], Rule]


class _Ruled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor, found: Tensor, module: nn.Module, rule: Rule) -> Tensor:
        ctx.save_for_backward(given, found)
        ctx.module, ctx.rule = module, rule
        return found.clone()  # what comes next may overwrite it

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        given, found = ctx.saved_tensors
        return ctx.rule(ctx.module, given, found, gradient), None, None, None


@contextmanager
def rewired(model: nn.Module, rules: Rules) -> Iterator[None]:
    """Let every module of some types hand back the gradient that its rule says; the logits stay the same.

    Args:
        model: The network.
        rules: By type of module; subclasses count, the first that fits is taken.
    """
    given: list[Tensor] = []

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        given.append(inputs[0])
        alone = inputs[0].detach()
        return (alone.clone() if getattr(module, "inplace", False) else alone, *inputs[1:])

    def after(rule: Rule) -> Callable[..., Tensor]:
        def call(module: nn.Module, inputs: object, found: Tensor) -> Tensor:
            return _Ruled.apply(given.pop(), found, module, rule)

        return call

    handles = []
    try:
        for module in model.modules():
            rule = next((rule for kind, rule in rules.items() if isinstance(module, kind)), None)
            if rule is not None:
                handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after(rule))]
        yield
    finally:
        for handle in handles:
            handle.remove()


def operations(found: Tensor) -> Iterator[torch.autograd.graph.Node]:
    """Yield the operations that a tensor was computed by, each once; those of rewired modules appear as their rules."""
    waiting = [] if found.grad_fn is None else [found.grad_fn]
    seen = set(waiting)
    while waiting:
        one = waiting.pop()
        yield one
        for before, _ in one.next_functions:
            if before is not None and before not in seen:
                seen.add(before)
                waiting.append(before)


def operation_name(operation: torch.autograd.graph.Node) -> str:
    """Return the name of an operation as PyTorch's graph has it, without its end: ``Relu``, ``Convolution``."""
    return operation.name().rpartition("::")[2].partition("Backward")[0]
