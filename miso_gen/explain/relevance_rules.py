"""Rules of relevance: how what a layer with weights was given is divided among what it was computed from.

The rules of zennit do the work where it has them; alpha 1 - beta 0 as the thesis has it is ours. They are given weights and a
function, not modules, so that batch normalisation is merged without touching a network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import torch
from torch import nn

from miso_gen.models.libraries import library

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

LEAST = 1e-9  #: denominators nearer to 0 count as this, where no stabilizer is added to them

#: ``both``: the bias is added to the positive and to the negative partial sum, and keeps its relevance. ``none``: it is left out,
#: and a layer passes on all relevance it gets.
Bias: TypeAlias = Literal["both", "none"]

#: Names of the rules of a whole network, after those of layers with weights.
Composite: TypeAlias = Literal[
    "epsilon-plus-flat", "epsilon-gamma-box", "epsilon-alpha2-beta1-flat", "epsilon-plus", "epsilon-alpha2-beta1", "alpha1-beta0"
]


class Layer(NamedTuple):
    """A convolution or linear layer as it was computed.

    Attributes:
        weight: Its weights.
        bias: Its bias, or None.
        call: (input, weight, bias) -> output.
    """

    weight: Tensor
    bias: Tensor | None
    call: Callable[[Tensor, Tensor, Tensor | None], Tensor]


Rule: TypeAlias = Callable[[Layer, "Tensor", "Tensor"], "Tensor"]  #: layer, its input, relevance of its output -> of its input


@dataclass(frozen=True)
class Rules:
    """Rules of a whole network.

    Attributes:
        convolution: Of convolutions.
        linear: Of linear layers.
        first_convolution: Of convolutions that read the image itself.
        first_linear: Of linear layers that read the image itself.
        stabilizer: Added to the denominators of sums and averages with their sign; 0: they are as they are, and 0 gives 0.
        positive_averages: Whether averages divide among positive values only.
        merge: Whether batch normalisation is merged into the convolution or linear layer before it; else it passes relevance on.
    """

    convolution: Rule
    linear: Rule
    first_convolution: Rule
    first_linear: Rule
    stabilizer: float
    positive_averages: bool
    merge: bool


def divided(relevance: Tensor, total: Tensor, stabilizer: float = 0.0) -> Tensor:
    """Return relevance over totals, of the same shape.

    Args:
        relevance: Of what was summed up.
        total: The sums.
        stabilizer: Added to each with its sign, to 0 as if it were positive; 0: a total of 0 gives 0, and one that is nearer to 0
            than 1e-9 counts as 1e-9.
    """
    if stabilizer:
        return relevance / (total + torch.where(total < 0, -stabilizer, stabilizer))
    safe = torch.where(total < 0, total.clamp(max=-LEAST), total.clamp(min=LEAST))
    return torch.where(total == 0, 0.0, relevance / safe)


def shares(function: Callable[..., Tensor], inputs: tuple[Tensor, ...], relevance: Tensor, stabilizer: float) -> list[Tensor]:
    """Return the relevance of each input of a linear function in proportion to what it adds: x_i J_i^T (R / sum_i J_i x_i).

    Args:
        function: Of the inputs, linear in them together.
        inputs: What it was computed from.
        relevance: Of what it gave.
        stabilizer: See :func:`divided`.
    """
    with torch.enable_grad():
        given = [one.detach().requires_grad_() for one in inputs]
        total = function(*given)
    found = torch.autograd.grad(total, given, divided(relevance, total.detach(), stabilizer))
    return [one.detach() * gradient for one, gradient in zip(given, found, strict=True)]


def alpha1_beta0(bias: Bias = "both") -> Rule:
    """Return the rule R_i = x_i+ sum_j w_ij+ s_j + x_i- sum_j w_ij- s_j with s = R / Z, Z = x+ w+ + x- w-; a Z of 0 gives 0.

    Args:
        bias: ``both``: it is added to each of the two partial sums of Z, as in the released code; ``none``: to neither.

    Source: You, LRP rules.
    """

    def rule(layer: Layer, values: Tensor, relevance: Tensor) -> Tensor:
        extra = layer.bias if bias == "both" else None
        with torch.enable_grad():
            above = values.detach().clamp(min=0).requires_grad_()
            parts, totals = [above], [layer.call(above, layer.weight.clamp(min=0), extra)]
            if bool((values < 0).any()):
                below = values.detach().clamp(max=0).requires_grad_()
                parts.append(below)
                totals.append(layer.call(below, layer.weight.clamp(max=0), extra))
        total = sum(one.detach() for one in totals)
        if len(totals) == 1 and extra is not None:  # the other partial sum is the bias alone
            total = total + extra.reshape(-1, *(1,) * (layer.weight.ndim - 2))
        share = divided(relevance, torch.as_tensor(total))
        found = torch.autograd.grad(totals, parts, [share] * len(totals))
        return sum((one.detach() * gradient for one, gradient in zip(parts, found, strict=True)), torch.zeros_like(values))

    return rule


def merged(layer: Layer, norm: Mapping[str, Any]) -> Layer:
    """Return a layer and the batch normalisation after it as one layer.

    Args:
        layer: A convolution or linear layer whose weights have the channels that come out first.
        norm: ``running_mean``, ``running_var``, ``weight``, ``bias`` and ``eps``, the last three None where they are not given.
    """
    scale = (norm["running_var"] + (1e-5 if norm["eps"] is None else norm["eps"])).rsqrt()
    if norm["weight"] is not None:
        scale = scale * norm["weight"]
    bias = (0 if layer.bias is None else layer.bias) - norm["running_mean"]
    bias = bias * scale if norm["bias"] is None else bias * scale + norm["bias"]
    return Layer(layer.weight * scale.reshape(-1, *(1,) * (layer.weight.ndim - 1)), bias, layer.call)


class _Module(nn.Module):
    """A layer as zennit takes it: a module with parameters."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.call = layer.call
        self.weight = nn.Parameter(layer.weight, requires_grad=False)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias, requires_grad=False)

    def forward(self, values: Tensor) -> Tensor:
        """Return the output of the layer."""
        return self.call(values, self.weight, self.bias)


def of_zennit(name: str, **parameters: Any) -> Rule:
    """Return a rule of zennit.

    Args:
        name: Of its class in ``zennit.rules``, such as ``ZPlus``.
        parameters: Of it.

    Raises:
        MissingExtraError: zennit is not installed.
    """
    hook = getattr(library("zennit.rules", "rules of relevance"), name)(**parameters)

    def rule(layer: Layer, values: Tensor, relevance: Tensor) -> Tensor:
        hook.stored_tensors["input"] = (values.detach(),)
        try:
            return hook.backward(_Module(layer), (values,), (relevance,))[0].detach()
        finally:
            hook.stored_tensors.clear()

    return rule


def box(low: float | None, high: float | None, stabilizer: float) -> Rule:
    """Return the box rule, for what reads the image itself.

    Args:
        low: Least value that pixels may have; None: the least of each image.
        high: Greatest one, likewise.
        stabilizer: See :class:`Rules`.

    Source: Montavon et al., Explaining nonlinear classification decisions with deep Taylor decomposition, 2017.
    """

    def rule(layer: Layer, values: Tensor, relevance: Tensor) -> Tensor:
        shape = (-1, *(1,) * (values.ndim - 1))
        least = values.flatten(1).amin(1).reshape(shape) if low is None else torch.tensor(low)
        most = values.flatten(1).amax(1).reshape(shape) if high is None else torch.tensor(high)
        return of_zennit("ZBox", low=least, high=most, stabilizer=stabilizer)(layer, values, relevance)

    return rule


def rules_of(
    composite: Composite,
    *,
    epsilon: float = 1e-6,
    gamma: float = 0.25,
    low: float | None = 0.0,
    high: float | None = 1.0,
    stabilizer: float = 1e-6,
    bias: Bias = "both",
    merge: bool = True,
) -> Rules:
    """Return the rules that a composite stands for.

    =========================  =============  =======  ============
    composite                  convolution    linear   first layer
    =========================  =============  =======  ============
    epsilon-plus-flat          z+             epsilon  flat
    epsilon-gamma-box          gamma          epsilon  box
    epsilon-alpha2-beta1-flat  alpha 2 beta 1 epsilon  flat
    epsilon-plus               z+             epsilon  as others
    epsilon-alpha2-beta1       alpha 2 beta 1 epsilon  as others
    alpha1-beta0               alpha 1 beta 0 as conv  box
    =========================  =============  =======  ============

    The box is for first convolutions: a linear layer that reads the image has the rule of the others.

    Args:
        composite: Its name.
        epsilon: Of the epsilon rule.
        gamma: Of the gamma rule.
        low: See :func:`box`.
        high: See :func:`box`.
        stabilizer: See :class:`Rules`; ``alpha1-beta0`` has none beyond its box.
        bias: Of ``alpha1-beta0``.
        merge: See :class:`Rules`.

    Source: Tetkova et al.; You, LRP rules.
    """
    if composite == "alpha1-beta0":
        own = alpha1_beta0(bias)
        return Rules(own, own, box(low, high, stabilizer), own, 0.0, True, merge)
    linear = of_zennit("Epsilon", epsilon=epsilon)
    if composite == "epsilon-gamma-box":
        convolution = of_zennit("Gamma", gamma=gamma, stabilizer=stabilizer)
        return Rules(convolution, linear, box(low, high, stabilizer), linear, stabilizer, False, merge)
    if composite in ("epsilon-plus-flat", "epsilon-plus"):
        convolution = of_zennit("ZPlus", stabilizer=stabilizer)
    else:
        convolution = of_zennit("AlphaBeta", alpha=2.0, beta=1.0, stabilizer=stabilizer)
    if composite.endswith("-flat"):
        flat = of_zennit("Flat", stabilizer=stabilizer)
        return Rules(convolution, linear, flat, flat, stabilizer, False, merge)
    return Rules(convolution, linear, convolution, linear, stabilizer, False, merge)
