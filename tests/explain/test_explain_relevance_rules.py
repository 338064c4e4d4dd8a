"""Rules and starts of relevance, and every kind of step it flows through, against definitions written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from explaining import random
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import _get_current_function_mode_stack

from miso_gen.errors import InputError
from miso_gen.explain.calling import resting
from miso_gen.explain.relevance import relevance_of_layers, relevance_of_pixels
from miso_gen.explain.relevance_rules import Layer, alpha1_beta0, box, divided, rules_of, shares
from miso_gen.explain.relevance_starts import start_of


def signed(*shape: int, seed: int = 0) -> Tensor:
    return random(*shape, seed=seed, dtype=torch.float64) - 0.5


def of_logits(given: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a start of given relevance, whatever the logits."""
    return lambda logits: given.expand_as(logits)


def pixels(model: Any, images: Tensor, start: Tensor, composite: str = "alpha1-beta0", **options: Any) -> Tensor:
    with resting(model):
        return relevance_of_pixels(model, images, of_logits(start), rules_of(composite, **options))  # type: ignore[arg-type]


def layers(
    model: nn.Module, images: Tensor, names: tuple[str, ...], start: Tensor, composite: str = "alpha1-beta0", **options: Any
):
    with resting(model):
        return relevance_of_layers(model, images, names, of_logits(start), rules_of(composite, **options))  # type: ignore[arg-type]


class Step(nn.Module):
    """A step, then its values as logits."""

    def __init__(self, step: Callable[..., Tensor]) -> None:
        super().__init__()
        self.step = step

    def forward(self, images: Tensor) -> Tensor:
        return self.step(images).flatten(1)


def through(step: Callable[..., Tensor], images: Tensor, composite: str = "alpha1-beta0") -> tuple[Tensor, Tensor]:
    """Return relevance of images (B, C, H, W) under a step that relevance reaches, and what it was given."""
    given = signed(*step(images.clone()).flatten(1).shape, seed=77)
    return pixels(Step(step), images, given, composite), given


# --- starts -----------------------------------------------------------------------------------------------------------


def start(logits: list[float], target: int, *rest: Any) -> list[float]:
    return start_of(torch.tensor([logits]), torch.tensor([target]), *rest)[0].tolist()


def test_contrastive_starts_of_two_classes() -> None:
    assert start([3.0, 1.0], 0, "contrastive", "n-1", True) == [3.0, -3.0]
    assert start([3.0, 1.0], 0, "contrastive", "n", True) == [3.0, -1.5]
    assert start([3.0, 1.0], 1, "contrastive", "n", False) == [-0.5, 1.0]


def test_contrastive_start_of_many_classes_sums_up_as_the_thesis_says() -> None:
    logits = [0.5, 2.0, -1.0, 7.0]
    assert sum(start(logits, 3, "contrastive", "n-1", True)) == pytest.approx(0, abs=1e-6)
    assert sum(start(logits, 3, "contrastive", "n", True)) == pytest.approx(7 / 4)


def test_negative_logit_turns_a_scaled_start_over() -> None:
    assert start([-2.0, 1.0], 0, "onehot", "n", True) == [-2.0, 0.0]
    assert start([-2.0, 1.0], 0, "onehot", "n", False) == [1.0, 0.0]
    assert start([-2.0, 1.0], 0, "contrastive", "n", True) == [-2.0, 1.0]


def test_one_class_has_no_others() -> None:
    assert start([4.0], 0, "contrastive", "n-1", False) == [1.0]
    assert start([4.0], 0, "softmax-gradient", "n", False) == [0.0]


def test_softmax_gradient_is_the_gradient_of_the_softmax() -> None:
    logits = signed(4, 5).requires_grad_()
    target = torch.tensor([0, 4, 2, 2])
    (expected,) = torch.autograd.grad(logits.softmax(1).gather(1, target[:, None]).sum(), logits)
    torch.testing.assert_close(start_of(logits.detach(), target, "softmax-gradient", "n", False), expected)


# --- rules of layers --------------------------------------------------------------------------------------------------


def linear(weight: Tensor, bias: Tensor | None = None) -> Layer:
    return Layer(weight, bias, F.linear)


def literal_alpha_beta(weight: Tensor, bias: Tensor | None, values: Tensor, relevance: Tensor) -> Tensor:
    """Loop over outputs and inputs; weight (outputs, inputs), a bias is counted in both partial sums."""
    found = torch.zeros_like(values)
    for j in range(len(weight)):
        parts = [
            max(float(x), 0) * max(float(w), 0) + min(float(x), 0) * min(float(w), 0)
            for x, w in zip(values, weight[j], strict=True)
        ]
        total = sum(parts) + (0 if bias is None else 2 * float(bias[j]))
        if total:
            for i, part in enumerate(parts):
                found[i] += part / total * float(relevance[j])
    return found


def matrix(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> Tensor:
    """Return a linear function as a matrix (outputs, inputs)."""
    units = torch.eye(int(torch.tensor(shape).prod()), dtype=torch.float64).reshape(-1, *shape)
    return function(units).flatten(1).T


def test_alpha_beta_vector() -> None:
    found = alpha1_beta0()(linear(torch.tensor([[3.0, -1.0]])), torch.tensor([[1.0, 2.0]]), torch.tensor([[6.0]]))
    assert found.tolist() == [[6.0, 0.0]]


@pytest.mark.parametrize("bias", ["both", "none"])
@pytest.mark.parametrize("shift", [0.0, 0.5])  # 0.5: no input is negative
def test_alpha_beta_of_a_linear_layer_is_the_definition(bias: Any, shift: float) -> None:
    weight, extra, values, relevance = signed(4, 6, seed=1), signed(4, seed=2), signed(3, 6, seed=3) + shift, signed(3, 4, seed=4)
    found = alpha1_beta0(bias)(linear(weight, extra), values, relevance)
    for one in range(3):
        expected = literal_alpha_beta(weight, extra if bias == "both" else None, values[one], relevance[one])
        torch.testing.assert_close(found[one], expected)


@pytest.mark.parametrize("bias", ["both", "none"])
@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize(("groups", "stride", "dilation"), [(1, 1, 1), (2, 2, 1), (4, 1, 2)])
def test_alpha_beta_of_a_grouped_convolution_is_that_of_its_matrix(
    groups: int, stride: int, dilation: int, bias: Any, shift: float
) -> None:
    weight, extra = signed(4, 4 // groups, 3, 3, seed=5), signed(4, seed=6)

    def call(values: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(values, weights, bias, stride, dilation, dilation, groups)

    values = signed(2, 4, 5, 4, seed=7) + shift
    relevance = signed(*call(values, weight, None).shape, seed=8)
    found = alpha1_beta0(bias)(Layer(weight, extra, call), values, relevance)
    dense = matrix(lambda one: call(one, weight, None), (4, 5, 4))
    whole = extra[:, None, None].expand(relevance.shape[1:]).flatten() if bias == "both" else None
    for one in range(2):
        expected = literal_alpha_beta(dense, whole, values[one].flatten(), relevance[one].flatten())
        torch.testing.assert_close(found[one].flatten(), expected)


def test_nothing_to_divide_gives_nothing() -> None:
    weight, values = -random(3, 4, dtype=torch.float64) - 0.1, random(2, 4, seed=1, dtype=torch.float64)
    assert alpha1_beta0()(linear(weight), values, signed(2, 3)).abs().sum() == 0
    assert divided(torch.tensor([1.0, -2.0, 3.0]), torch.tensor([0.0, -0.0, 2.0])).tolist() == [0.0, 0.0, 1.5]
    assert divided(torch.tensor([1.0, 1.0]), torch.tensor([1e-38, -1e-38])).abs().tolist() == pytest.approx([1e9, 1e9])


def test_stabilizer_has_the_sign_of_the_total() -> None:
    found = divided(torch.ones(3), torch.tensor([1.0, -1.0, 0.0]), 0.25)
    assert found.tolist() == pytest.approx([0.8, -0.8, 4.0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 6))
def test_alpha_beta_without_bias_keeps_all_relevance(seed: int, inputs: int, outputs: int) -> None:
    weight, values, relevance = (
        signed(outputs, inputs, seed=seed),
        signed(1, inputs, seed=seed + 1),
        signed(1, outputs, seed=seed + 2),
    )
    found = alpha1_beta0("none")(linear(weight, signed(outputs, seed=seed + 3)), values, relevance)
    total = values.clamp(min=0) @ weight.clamp(min=0).T + values.clamp(max=0) @ weight.clamp(max=0).T
    torch.testing.assert_close(found.sum(), relevance[total > 1e-9].sum(), atol=1e-9, rtol=1e-9)


def test_box_of_each_image_is_its_own_least_and_greatest() -> None:
    weight, values, relevance = signed(3, 5, seed=1), signed(4, 5, seed=2), signed(4, 3, seed=3)
    found = box(None, None, 1e-9)(linear(weight), values, relevance)
    for one in range(4):
        low, high = values[one].min(), values[one].max()
        parts = values[one] * weight - low * weight.clamp(min=0) - high * weight.clamp(max=0)
        expected = (parts / parts.sum(1, keepdim=True) * relevance[one][:, None]).sum(0)
        torch.testing.assert_close(found[one], expected, rtol=1e-6, atol=1e-8)


def test_residual_split_vector() -> None:
    found = shares(torch.add, (torch.tensor([1.0]), torch.tensor([3.0])), torch.tensor([8.0]), 0.0)
    assert [one.item() for one in found] == [2.0, 6.0]
    assert [one.item() for one in shares(torch.add, (torch.tensor([2.0]), torch.tensor([-2.0])), torch.tensor([8.0]), 0.0)] == [
        0,
        0,
    ]


# --- sums -------------------------------------------------------------------------------------------------------------


class Residual(nn.Module):
    """Logits = first(x) + second(x), added in one of many ways; both are 1 x 1 convolutions of one channel."""

    def __init__(self, add: Callable[[Tensor, Tensor], Tensor], first: float = 1.0, second: float = 3.0) -> None:
        super().__init__()
        self.first, self.second, self.add = nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 1, bias=False), add
        nn.init.constant_(self.first.weight, first)
        nn.init.constant_(self.second.weight, second)

    def forward(self, images: Tensor) -> Tensor:
        return self.add(self.first(images), self.second(images)).flatten(1)


def in_place(one: Tensor, other: Tensor) -> Tensor:
    one += other
    return one


def dropped(one: Tensor, other: Tensor) -> Tensor:
    one.add_(other)
    return one


WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "operator": lambda one, other: one + other,
    "function": lambda one, other: torch.add(input=one, other=other),
    "in place": in_place,
    "in place, result dropped": dropped,
    "python's sum": lambda one, other: sum([one, other]),  # type: ignore[arg-type, return-value]
    "sum of a stack": lambda one, other: torch.stack([one, other]).sum(0),
    "minus minus": lambda one, other: one - (-other),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("composite", ["alpha1-beta0", "epsilon-plus"])
def test_residual_additions_split_in_proportion(way: str, composite: str) -> None:
    images = torch.ones(2, 1, 1, 1)
    found = layers(Residual(WAYS[way]), images, ("first", "second"), torch.tensor([[8.0]]), composite)
    expected = {"first": 2.0, "second": 6.0}
    for name, one in found.items():
        assert one.relevance.flatten().tolist() == pytest.approx([expected[name]] * 2, rel=1e-5)


def test_a_shortcut_from_before_the_layer_keeps_its_share() -> None:
    """``second`` is not asked for and nothing is passed through it, but it has 6 of 8 all the same."""
    found = layers(Residual(in_place), torch.ones(1, 1, 1, 1), ("first",), torch.tensor([[8.0]]))
    assert found["first"].relevance.item() == pytest.approx(2.0)
    assert found["first"].activation.item() == 1.0  # not 4: the addition overwrote nothing


def test_weighted_addition_counts_the_weight() -> None:
    found = layers(
        Residual(lambda one, other: torch.add(one, other, alpha=2)),
        torch.ones(1, 1, 1, 1),
        ("first", "second"),
        torch.tensor([[7.0]]),
    )
    assert [one.relevance.item() for one in found.values()] == pytest.approx([1.0, 6.0])


def test_constants_that_are_added_or_multiplied_have_no_share() -> None:
    images = signed(2, 3, 2, 2)
    for step in (
        lambda x: (x - torch.tensor([0.4, 0.5, 0.6])[:, None, None]) / 0.2,
        lambda x: 3 - x,
        lambda x: 2 * x + 1,
        lambda x: x.mul(torch.full((3, 1, 1), -2.0)).div(other=4),
        lambda x: -x,
    ):
        found, given = through(step, images)
        torch.testing.assert_close(found, given.reshape(images.shape))


def test_a_constant_that_is_broadcast_over_is_added_up() -> None:
    found, given = through(lambda x: x + torch.zeros(2, 3, 4, 2, dtype=torch.float64), signed(2, 3, 1, 2))
    torch.testing.assert_close(found, given.reshape(2, 3, 4, 2).sum(2, keepdim=True))


def test_what_is_multiplied_by_nothing_has_no_relevance() -> None:
    found, _ = through(lambda x: x * 0 + 5, signed(2, 3, 2, 2))
    assert found.abs().sum() == 0


def literal_proportion(dense: Tensor, values: Tensor, given: Tensor, stabilizer: float) -> Tensor:
    """Loop over outputs and inputs; dense (outputs, inputs)."""
    found = torch.zeros_like(values)
    for row, relevance in zip(dense, given, strict=True):
        total = float((row * values).sum())
        total += stabilizer if total >= 0 else -stabilizer
        if total:
            found += row * values / total * relevance
    return found


AVERAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "average pool": lambda x: F.avg_pool2d(x, 2),
    "overlapping": nn.AvgPool2d(3, stride=2, padding=1),
    "adaptive": nn.AdaptiveAvgPool2d((2, 3)),
    "global": lambda x: x.mean((2, 3)),
    "global, of torch": lambda x: torch.mean(input=x, dim=(-1, -2), keepdim=True),
}


@pytest.mark.parametrize("name", AVERAGES)
@pytest.mark.parametrize("composite", ["alpha1-beta0", "epsilon-plus"])
def test_averages_divide_in_proportion(name: str, composite: str) -> None:
    """To the positive values alone where the rules are those of the thesis."""
    images, step = signed(2, 2, 4, 6), AVERAGES[name]
    found, given = through(step, images, composite)
    dense = matrix(step, (2, 4, 6))
    own = composite == "alpha1-beta0"
    for one in range(2):
        values = images[one].flatten().clamp(min=0) if own else images[one].flatten()
        expected = literal_proportion(dense, values, given[one], 0.0 if own else 1e-6)
        torch.testing.assert_close(found[one].flatten(), expected)


# --- steps that copy --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.AdaptiveMaxPool2d(1), lambda x: x.amax((2, 3))])
def test_the_greatest_value_has_all_relevance(step: Callable[[Tensor], Tensor]) -> None:
    images = signed(2, 2, 4, 6)
    found, given = through(step, images)
    expected = torch.zeros_like(images)
    values = step(images).flatten(1)
    for one in range(2):
        for number, value in enumerate(values[one]):
            expected[one][images[one] == value] += given[one, number]  # no two values are the same
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("corners", [False, True])
def test_resizing_passes_on_all_relevance(corners: bool) -> None:
    def step(values: Tensor) -> Tensor:
        return F.interpolate(values, size=(7, 9), mode="bilinear", align_corners=corners)

    images = signed(2, 2, 4, 6)
    found, given = through(step, images)
    dense = matrix(step, (2, 4, 6))
    torch.testing.assert_close(found.flatten(1), given @ dense)
    torch.testing.assert_close(found.sum((1, 2, 3)), given.sum(1))


def test_joined_and_cut_and_turned_tensors_pass_it_to_where_each_value_came_from() -> None:
    images = signed(2, 3, 4, 6)

    def step(x: Tensor) -> Tensor:
        first, second = x.split([1, 2], dim=1)
        joined = torch.cat([second, F.pad(first, (0, 0, 0, 0))], 1).permute(0, 2, 3, 1).contiguous().flatten(2).mT
        return joined[:, 3:].to(torch.float64).unsqueeze(1)

    found, given = through(step, images)
    places = torch.arange(72, dtype=torch.float64).reshape(1, 3, 4, 6)
    expected = torch.zeros(2, 72, dtype=torch.float64)
    for number, place in enumerate(step(places).flatten().long()):
        expected[:, place] += given[:, number]
    torch.testing.assert_close(found.flatten(1), expected)


@pytest.mark.parametrize(
    "step",
    [nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(), nn.ELU(inplace=True), nn.SiLU(), nn.Tanh(), nn.Dropout(0.5), torch.relu_,
     lambda x: F.dropout(x, 0.5, True), nn.Hardswish(), nn.ReLU6()],
)  # fmt: skip
def test_activations_and_dropout_pass_relevance_on(step: Callable[[Tensor], Tensor]) -> None:
    if isinstance(step, nn.Module):
        step.eval()
    images = signed(2, 3, 2, 2)
    found, given = through(step, images)
    torch.testing.assert_close(found.flatten(1), given)


def test_a_tensor_that_was_overwritten_is_what_it_became() -> None:
    """A shortcut that is kept before an activation in place is that activation."""

    class Overwriting(nn.Module):
        def __init__(self, inplace: bool) -> None:
            super().__init__()
            self.inplace, self.conv, self.last = inplace, nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1)
            for number, one in enumerate(self.parameters()):
                one.data.copy_(signed(*one.shape, seed=number))

        def forward(self, images: Tensor) -> Tensor:
            shortcut = values = self.conv(images)
            F.relu(values, inplace=self.inplace)
            return (self.last(shortcut if self.inplace else F.relu(values)) + F.relu(shortcut)).flatten(1)

    images = signed(1, 1, 3, 3, seed=9).float()
    start = signed(1, 18, seed=4).float()
    assert torch.equal(Overwriting(True)(images), Overwriting(False)(images))
    torch.testing.assert_close(pixels(Overwriting(True), images, start), pixels(Overwriting(False), images, start))


# --- gates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gate",
    [lambda x: x.sigmoid(), lambda x: x.flatten(2).softmax(2).view_as(x), lambda x: 1 - F.hardsigmoid(x),
     lambda x: x.mean((2, 3), keepdim=True), lambda x: x.sum(1, keepdim=True)],
)  # fmt: skip
def test_gates_are_constants(gate: Callable[[Tensor], Tensor]) -> None:
    images = signed(2, 3, 4, 4)
    for step in (lambda x: x * gate(x), lambda x: torch.mul(gate(x), x)):
        found, given = through(step, images)
        torch.testing.assert_close(found.flatten(1), given)


@pytest.mark.parametrize("step", [lambda x: x * x.roll(1, 3), lambda x: x * x, lambda x: 1 / x])
def test_products_of_features_are_refused(step: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(InputError, match="relevance has a rule for"):
        through(step, random(1, 2, 3, 3, dtype=torch.float64))


def selective(seed: int = 0) -> nn.Module:
    layers = pytest.importorskip("timm.layers")
    unit = layers.SelectiveKernel(4, 4, split_input=False, groups=2, rd_channels=3).double().eval()
    with torch.no_grad():
        for number, (name, one) in enumerate(unit.state_dict().items()):
            if one.is_floating_point():
                one.copy_(random(*one.shape, seed=seed + number, dtype=torch.float64) + (0.5 if "var" in name else -0.4))
    return unit


def test_selective_kernel_gives_relevance_to_its_branches_alone() -> None:
    unit, images = selective(), signed(2, 4, 5, 5)
    start = signed(2, 100, seed=5)
    with torch.no_grad():
        branches = torch.stack([path(images) for path in unit.paths], 1)
        weights = unit.attn(branches)
    torch.testing.assert_close(weights.sum(1), torch.ones_like(weights[:, 0]))
    names = ("paths.0", "paths.1", "attn.fc_reduce", "attn.fc_select")
    found = layers(Step(unit), images, tuple(f"step.{name}" for name in names), start)
    opened = branches * weights
    total = opened.sum(1, keepdim=True)
    expected = torch.where(total == 0, 0.0, opened / torch.where(total == 0, 1.0, total)) * start.reshape(2, 1, 4, 5, 5)
    for number in range(2):
        torch.testing.assert_close(found[f"step.paths.{number}"].relevance, expected[:, number])
    assert found["step.attn.fc_reduce"].relevance.abs().sum() == found["step.attn.fc_select"].relevance.abs().sum() == 0


def test_selective_kernel_with_equal_logits_is_the_mean_of_its_branches() -> None:
    unit, images = selective(), signed(2, 4, 5, 5)
    nn.init.zeros_(unit.attn.fc_select.weight)
    with torch.no_grad():
        torch.testing.assert_close(unit(images), (unit.paths[0](images) + unit.paths[1](images)) / 2)


# --- batch normalisation ----------------------------------------------------------------------------------------------


class Normed(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.conv, self.norm, self.last = nn.Conv2d(2, 3, 3, bias=bias), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1)
        for number, one in enumerate(self.state_dict().values()):
            if one.is_floating_point():
                one.copy_(random(*one.shape, seed=30 + number) - 0.4)
        self.norm.running_var.add_(1.0)
        self.double().eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.last(F.relu(self.norm(self.conv(images)))).flatten(1)


def merged(model: Normed) -> nn.Module:
    conv, norm = model.conv, model.norm
    plain = nn.Conv2d(2, 3, 3).double()
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    plain.weight.data = conv.weight.data * scale[:, None, None, None]
    plain.bias.data = ((0 if conv.bias is None else conv.bias) - norm.running_mean) * scale + norm.bias
    return nn.Sequential(plain, nn.ReLU(), model.last, nn.Flatten())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("composite", ["alpha1-beta0", "epsilon-plus-flat", "epsilon-gamma-box", "epsilon-alpha2-beta1"])
def test_merged_batch_norm_is_part_of_the_convolution(composite: str, bias: bool) -> None:
    model, images, start = Normed(bias), random(2, 2, 5, 5, dtype=torch.float64), signed(2, 18)
    found = pixels(model, images, start, composite, merge=True)
    torch.testing.assert_close(found, pixels(merged(model), images, start, composite))


def test_batch_norm_passes_relevance_on_where_it_is_not_merged() -> None:
    model, images, start = Normed(), signed(2, 2, 5, 5), signed(2, 18)
    found = layers(model, images, ("conv", "norm"), start, merge=False)
    assert found["conv"].relevance.abs().sum() > 0
    torch.testing.assert_close(found["conv"].relevance, found["norm"].relevance)


def test_a_layer_before_batch_norm_has_its_relevance_though_that_is_merged() -> None:
    model, images, start = Normed(), signed(2, 2, 5, 5), signed(2, 18)
    found = layers(model, images, ("conv", "norm"), start, merge=True)
    torch.testing.assert_close(found["conv"].relevance, found["norm"].relevance)


# --- what it refuses, and leaves behind -------------------------------------------------------------------------------


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return 2 * values

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> Tensor:
        return 2 * given


def written(x: Tensor) -> Tensor:
    found = torch.zeros_like(x)
    found[:, 0] = x[:, 1]
    return found


@pytest.mark.parametrize(
    ("step", "named"),
    [(nn.LayerNorm(3), r"layer_norm in inner.1 \(LayerNorm\)"), (lambda x: x @ x.mT, "matmul in inner.1"),
     (Doubled.apply, "DoubledBackward"), (written, "__setitem__"), (lambda x: x.square(), "square in inner.1"),
     (lambda x: F.conv2d(x, x), "conv2d with weights that depend on the image"), (lambda x: x.exp_(), "exp")],
)  # fmt: skip
def test_other_steps_are_refused_by_name(step: Callable[[Tensor], Tensor], named: str) -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Conv2d(3, 3, 1), step if isinstance(step, nn.Module) else Step(step), nn.Flatten())

        def forward(self, images: Tensor) -> Tensor:
            return self.inner(images)

    with pytest.raises(InputError, match=named):
        pixels(Whole(), random(1, 3, 3, 3), torch.tensor(1.0))
    assert not _get_current_function_mode_stack()


def test_steps_before_the_layer_need_no_rule() -> None:
    model = nn.Sequential(nn.LayerNorm(3), nn.Conv2d(3, 2, 1), nn.Flatten()).eval()
    found = layers(model, random(2, 3, 3, 3), ("1",), torch.tensor(1.0))["1"]
    assert torch.equal(found.relevance, torch.ones(2, 2, 3, 3))
    with pytest.raises(InputError, match="layer_norm in 0"):
        pixels(model, random(2, 3, 3, 3), torch.tensor(1.0))


def test_logits_that_no_pixel_changes_have_no_relevance() -> None:
    def constant(images: Tensor) -> Tensor:
        return torch.tensor([1.0, 2.0]).expand(len(images), 2)

    assert pixels(constant, random(2, 3, 4, 4), torch.tensor([[1.0, 0.0]])).abs().sum() == 0


def test_a_layer_that_is_not_computed_is_refused() -> None:
    model = Residual(in_place)
    model.unused = nn.Conv2d(1, 1, 1)
    with pytest.raises(InputError, match="'unused', which is not"):
        layers(model, torch.ones(1, 1, 1, 1), ("first", "unused"), torch.tensor([[1.0]]))


def test_the_first_layer_is_whatever_reads_the_image() -> None:
    """Two branches that read it are first ones both; an average before it changes nothing."""

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.last = nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3), nn.Conv2d(6, 2, 1)

        def forward(self, images: Tensor) -> Tensor:
            images = F.avg_pool2d(images, 2)
            return self.last(torch.cat([self.one(images), self.two(images)], 1).relu()).flatten(1)

    model, images = Branches().double(), random(1, 2, 8, 8, dtype=torch.float64)
    start = signed(1, 8)
    found = pixels(model, images, start, "epsilon-plus-flat")
    small = F.avg_pool2d(images, 2)
    reached = layers(model, images, ("one", "two"), start, "epsilon-plus-flat")
    share = sum(one.relevance.sum(1, keepdim=True) for one in reached.values())
    flat = F.conv_transpose2d(share, torch.ones(1, 2, 3, 3, dtype=torch.float64) / 18)
    expected = F.interpolate(flat / small / 4, scale_factor=2.0) * images
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
