"""Maps of changed images: max-sensitivity, infidelity, and robustness to augmentations."""

from __future__ import annotations

import colorsys
from dataclasses import replace
from math import isnan
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import Weighted, explained, gradient_times_input, random
from torch import Tensor

from miso_gen.errors import InputError, RecipeError
from miso_gen.metrics.augmenting import AUGMENTATIONS, Augmentation, Course, robustness
from miso_gen.metrics.faithfulness.equivariant_robustness import EquivariantRobustness
from miso_gen.metrics.faithfulness.infidelity import Infidelity
from miso_gen.metrics.faithfulness.invariant_robustness import InvariantRobustness
from miso_gen.metrics.faithfulness.max_sensitivity import MaxSensitivity
from miso_gen.metrics.interfaces import Explained
from miso_gen.rng import Stream


def augmentation(name: str, **spec: Any) -> Augmentation:
    return AUGMENTATIONS.get(name).from_spec(spec)


# --- small changes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relative_to", ["map", "image", "nothing"])
def test_max_sensitivity_literally(relative_to: Any) -> None:
    found = explained(3, 5, 6, seed=11, batch=4)
    score = MaxSensitivity(samples=7, radius=0.3, relative_to=relative_to).score(found)
    for k in range(3):
        image, target = found.images[k : k + 1], found.target[k : k + 1]
        most = 0.0
        for sample in range(7):
            words = Stream(11, "metrics", "max-sensitivity").at(sample).uniforms(3 * 5 * 6)
            change = torch.from_numpy(0.3 * (2 * words - 1)).reshape(1, 3, 5, 6)
            apart = gradient_times_input(found.model, image + change, target)[0] - found.maps[k]
            most = max(most, sum(float(value) ** 2 for value in apart.flatten()) ** 0.5)
        norm = {"map": found.maps[k].norm(), "image": image.norm(), "nothing": 1.0}[relative_to]
        assert score[k].item() == pytest.approx(most / float(norm))


def test_max_sensitivity_of_maps_that_stay() -> None:
    found = explained(3)
    still = replace(found, explain=lambda model, images, target: found.maps[:1].expand(len(images), -1, -1))
    still = replace(still, maps=found.maps[:1].expand(3, -1, -1))
    assert MaxSensitivity(samples=3).score(still).tolist() == [0.0, 0.0, 0.0]


def test_max_sensitivity_of_a_map_that_breaks_is_undefined() -> None:
    found = explained(2)
    broken = replace(found, explain=lambda model, images, target: gradient_times_input(model, images, target) / 0.0)
    assert MaxSensitivity(samples=3).score(broken).isnan().all()


def test_infidelity_literally() -> None:
    found = explained(3, 5, 6, seed=11, batch=4)
    score = Infidelity(samples=7, std=0.2).score(found)
    for k in range(3):
        target, total = int(found.target[k]), 0.0
        with torch.no_grad():
            whole = found.model(found.images[k : k + 1]).softmax(1)[0, target].item()
            for sample in range(7):
                drawn = Stream(11, "metrics", "infidelity").at(sample).normals(30)
                change = torch.from_numpy(0.2 * drawn).reshape(5, 6)
                lost = whole - found.model(found.images[k : k + 1] - change).softmax(1)[0, target].item()
                total += ((change * found.maps[k]).sum().item() - lost) ** 2
        assert score[k].item() == pytest.approx(total / 7)


def test_infidelity_of_the_weights_of_a_linear_model_is_zero() -> None:
    weights, images = random(2, 4, 5) - 0.5, random(3, 2, 4, 5, seed=1)
    found = Explained(Weighted(weights), images, weights.sum(0).expand(3, 4, 5), torch.ones(3, dtype=torch.int64))
    assert Infidelity(samples=5, output="logit").score(found).tolist() == pytest.approx([0.0] * 3, abs=1e-20)
    twice = replace(found, maps=2 * found.maps)
    assert (Infidelity(samples=5, output="logit").score(twice) > 1e-4).all()  # its scale counts


# --- augmentations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_every_augmentation(name: str) -> None:
    plugin = augmentation(name)
    images, maps = random(2, 3, 9, 14), random(2, 9, 14, seed=1)
    assert plugin.reach > 0
    assert torch.equal(plugin.images(images, 0.0), images)
    for degree in (-1.0, 0.37, 1.0):
        kept = images.clone()
        changed = plugin.images(images, degree)
        assert torch.equal(images, kept)
        assert changed.shape == images.shape
        assert changed.dtype == images.dtype
        assert not torch.allclose(changed, images)
        moved, inside = plugin.maps(maps, degree)
        assert inside.shape == (9, 14)
        if plugin.moves:
            assert torch.allclose(plugin.images(maps[:, None], degree)[:, 0], moved)
            assert not moved[:, ~inside].any()
        else:
            assert torch.equal(moved, maps)
            assert inside.all()
            assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
        assert plugin.images(images.float(), degree).dtype == torch.float32


@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), min_size=3, max_size=3), st.sampled_from([-1.0, -0.4, 0.4, 1.0]))
def test_hue_and_saturation_are_those_of_colorsys(colour: list[float], degree: float) -> None:
    image = torch.tensor(colour, dtype=torch.float64).reshape(1, 3, 1, 1)
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    turned = colorsys.hsv_to_rgb((hue + degree * 0.3) % 1.0, saturation, value)
    assert augmentation("hue", turns=0.3).images(image, degree).flatten().tolist() == pytest.approx(turned, abs=1e-9)
    stronger = colorsys.hsv_to_rgb(hue, min(max(saturation + degree * 0.3, 0.0), 1.0), value)
    assert augmentation("saturation", by=0.3).images(image, degree).flatten().tolist() == pytest.approx(stronger, abs=1e-9)


def test_brightness() -> None:
    image = torch.tensor([0.0, 0.3, 0.9], dtype=torch.float64).reshape(1, 1, 1, 3)
    assert augmentation("brightness").reach == 100 / 255
    assert augmentation("brightness", by=0.2).images(image, 1.0).flatten().tolist() == pytest.approx([0.2, 0.5, 1.0])
    assert augmentation("brightness", by=0.2).images(image, -0.5).flatten().tolist() == pytest.approx([0.0, 0.2, 0.8])


def test_colours_need_images_that_have_them() -> None:
    for name in ("hue", "saturation"):
        with pytest.raises(InputError, match="must have 3 channels"):
            augmentation(name).images(random(2, 1, 4, 5), 0.5)
    for images in (random(2, 3, 4, 5) + 0.5, random(2, 3, 4, 5) - 0.5):
        with pytest.raises(InputError, match=r"must be in \[0, 1\]"):
            augmentation("brightness").images(images, 0.5)


def test_a_quarter_turn_is_exact() -> None:
    image = random(1, 2, 7, 7)
    for degree, quarters in ((1.0, 1), (-1.0, -1)):
        turned = augmentation("rotation", degrees=90.0).images(image, degree)
        assert torch.allclose(turned, image.rot90(quarters, (2, 3)), atol=1e-9)
    wide = augmentation("rotation", degrees=180.0).images(random(1, 2, 5, 8), 1.0)
    assert torch.allclose(wide, random(1, 2, 5, 8).flip(2, 3), atol=1e-9)


def test_whole_shifts_are_exact() -> None:
    image = random(1, 2, 6, 10) + 1
    right = augmentation("translation", share=0.3).images(image, 1.0)
    assert torch.allclose(right[..., 3:], image[..., :-3])
    assert not right[..., :3].any()
    up = augmentation("translation", share=0.5, axis="y").images(image, -1.0)
    assert torch.allclose(up[:, :, :3], image[:, :, 3:])
    assert not up[:, :, 3:].any()


@pytest.mark.parametrize("name", ["rotation", "translation", "scaling"])
def test_movements_literally(name: str) -> None:
    """Every pixel is the bilinear value of the point it comes from."""
    plugin, image = augmentation(name), random(1, 1, 8, 11) + 1
    for degree in (-0.8, 0.5):
        found = plugin.images(image, degree)[0, 0].numpy()
        for row in range(8):
            for col in range(11):
                x, y = col + 0.5 - 5.5, row + 0.5 - 4.0
                if name == "rotation":
                    angle = np.deg2rad(40 * degree)
                    x, y = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
                elif name == "translation":
                    x -= 0.4 * degree * 11
                else:
                    x, y = x / (1 + 0.2 * degree), y / (1 + 0.2 * degree)
                if abs(x) > 5.5 or abs(y) > 4.0:
                    assert found[row, col] == 0
                    continue
                i, j = min(max(y + 3.5, 0), 7), min(max(x + 5, 0), 10)
                top, left = min(int(i), 6), min(int(j), 9)
                part = image[0, 0, top : top + 2, left : left + 2].numpy()
                wanted = np.array([1 - (i - top), i - top]) @ part @ np.array([1 - (j - left), j - left])
                assert found[row, col] == pytest.approx(wanted)


# --- robustness -------------------------------------------------------------------------------------------------------


def area_ratio(x: list[float], similarity: list[float], probability: list[float], fall: float) -> float:
    """Return the score of one image, step by step."""
    middle = len(x) // 2
    first = last = middle
    while first > 0 and probability[first - 1] >= (1 - fall) * probability[middle]:
        first -= 1
    while last < len(x) - 1 and probability[last + 1] >= (1 - fall) * probability[middle]:
        last += 1
    if first == last:
        return float("nan")
    areas = []
    for values in (similarity, probability):
        highest = max(values)
        areas.append(sum((x[k + 1] - x[k]) * (values[k] + values[k + 1]) / 2 / highest for k in range(first, last)))
    return areas[0] / areas[1]


@given(
    st.lists(st.sampled_from([0.1, 0.5, 0.85, 0.9, 0.95, 1.0]), min_size=7, max_size=7),
    st.lists(st.sampled_from([-0.5, 0.0, 0.4, 0.9]), min_size=6, max_size=6),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_robustness_literally(probability: list[float], similarity: list[float], fall: float) -> None:
    similarity = [*similarity[:3], 1.0, *similarity[3:]]
    x = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
    tensors = [torch.tensor(values, dtype=torch.float64) for values in (x, similarity, probability)]
    wanted = area_ratio(x, similarity, probability, fall)
    assert robustness(Course(*tensors), fall).item() == pytest.approx(wanted, nan_ok=True)


def test_robustness_and_undefined_similarities() -> None:
    x = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0], dtype=torch.float64)
    probability = torch.tensor([[0.1, 0.8, 0.8, 0.8, 0.1]] * 2, dtype=torch.float64)
    similarity = torch.tensor([[torch.nan, 1.0, 1.0, 1.0, 0.3], [1.0, 1.0, 1.0, torch.nan, 1.0]], dtype=torch.float64)
    found = robustness(Course(x, similarity, probability), 0.1)
    assert found[0].item() == 1.0  # what is undefined does not count
    assert isnan(found[1])


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize(
    ("metric", "spec"),
    [
        (InvariantRobustness, {"augmentation": "hue"}),
        (InvariantRobustness, {"similarity": "cosine"}),
        (EquivariantRobustness, {"similarity": "spearman"}),
        (EquivariantRobustness, {"augmentation": {"type": "translation", "axis": "y"}, "similarity": {"type": "top-k", "k": 20}}),
        (EquivariantRobustness, {"augmentation": "scaling", "similarity": "ssim"}),
    ],
)
def test_robustness_of_a_network(metric: Any, spec: dict[str, Any], batch: int) -> None:
    found = explained(3, batch=batch)
    plugin = metric.from_spec({"levels": 6, "fall": 0.8, **spec})
    curve, score = plugin.curve(found), plugin.score(found)
    reach = plugin.augmentation.reach
    assert curve.x.tolist() == pytest.approx([reach * step / 3 for step in range(-3, 4)])
    assert curve.y[:, 3].tolist() == pytest.approx([1.0] * 3)
    for k in range(3):
        similarity, probability = [], []
        for degree in (-1, -2 / 3, -1 / 3, 0, 1 / 3, 2 / 3, 1):
            image = plugin.augmentation.images(found.images[k : k + 1], degree)
            with torch.no_grad():
                probability.append(found.model(image).softmax(1)[0, int(found.target[k])].item())
            expected, inside = plugin.augmentation.maps(found.maps[k : k + 1], degree)
            map = gradient_times_input(found.model, image, found.target[k : k + 1])
            similarity.append(plugin.similarity.compare(expected, map, inside[None]).item())
        assert curve.y[k].tolist() == pytest.approx(similarity)
        assert score[k].item() == pytest.approx(area_ratio(curve.x.tolist(), similarity, probability, 0.8), nan_ok=True)


def test_the_score_of_a_data_set_is_that_of_mean_curves() -> None:
    found = explained(4)
    maps = found.maps.clone()
    maps[3, 0, 0] = torch.nan
    x, similarity, probability = InvariantRobustness(levels=6, fall=0.3).courses(replace(found, maps=maps))
    assert similarity[3].isnan().all()
    assert probability.isfinite().all()
    mean = Course(x, similarity.nanmean(0), probability.mean(0))
    wanted = area_ratio(x.tolist(), similarity[:3].mean(0).tolist(), probability.mean(0).tolist(), 0.3)
    assert robustness(mean, 0.3).item() == pytest.approx(wanted)


def test_maps_that_follow_score_one() -> None:
    """The explainer shows the image: it follows every movement, and a model that minds nothing stays as sure."""
    images = random(3, 1, 12, 15)
    found = Explained(
        Weighted(torch.zeros(1, 12, 15, dtype=torch.float64), 1.0),
        images,
        images[:, 0],
        torch.ones(3, dtype=torch.int64),
        explain=lambda model, images, target: images[:, 0],
    )
    for name in ("rotation", "translation", "scaling"):
        score = EquivariantRobustness(augmentation=name, levels=4).score(found)
        assert score.tolist() == pytest.approx([1.0] * 3)
    still = replace(found, explain=lambda model, images, target: found.maps[: len(images)], batch=3)
    assert InvariantRobustness(levels=4).score(still).tolist() == pytest.approx([1.0] * 3)
    assert (EquivariantRobustness(levels=4).score(still) < 0.7).all()


def test_maps_of_another_size_than_the_image() -> None:
    def coarse(model: Any, images: Tensor, target: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(gradient_times_input(model, images, target)[:, None], 3)[:, 0]

    found = explained(2, 12, 18)
    found = replace(found, maps=coarse(found.model, found.images, found.target), explain=coarse)
    curve = EquivariantRobustness(levels=2).curve(found)
    assert curve is not None
    assert curve.y[:, 1].tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(
    ("metric", "spec", "message"),
    [
        (InvariantRobustness, {"augmentation": "rotation"}, "augmentation of colours"),
        (EquivariantRobustness, {"augmentation": "hue"}, "augmentation that moves pixels"),
        (EquivariantRobustness, {"levels": 5}, "levels"),
        (MaxSensitivity, {"relative_to": "norm"}, "relative_to"),
        (MaxSensitivity, {"radius": 0.0}, "radius"),
    ],
)
def test_parameters_that_cannot_be(metric: Any, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        metric.from_spec(spec)
