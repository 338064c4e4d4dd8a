"""ViT-S: against timm's own forward, and attention against what timm multiplies values with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from miso_gen.errors import InputError, RecipeError
from miso_gen.models import blank_images, count_parameters, create_model, feature_sizes, network_of, offer_of


def on_meta(channels: int = 3, classes: int = 1000, size: Any = 224, **fields: Any) -> Any:
    with torch.device("meta"):
        return create_model({"type": "vit-small", **fields}, in_channels=channels, num_classes=classes, image_size=size)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    built: Any = create_model("vit-small", in_channels=2, num_classes=3, image_size=(64, 96)).eval()
    with torch.no_grad():
        for one in built.parameters():  # attention that looks somewhere, positions and class token that count
            one.add_(torch.randn(one.shape), alpha=0.08)
    return built


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 2, 64, 96, generator=torch.Generator().manual_seed(1))


def outside(model: Any, **options: Any) -> Any:
    """Return timm's network with the weights of ours."""
    whole = timm.create_model("vit_small_patch16_224", in_chans=2, num_classes=3, dynamic_img_size=True, **options).eval()
    whole.load_state_dict({key.removeprefix("vit."): one for key, one in model.state_dict().items()})
    return whole


def test_parameters() -> None:
    """ViT-S/16 at 224 px with 1000 classes, counted by hand; 22.05 million, as published."""
    wide = 384
    block = 2 * 2 * wide + (wide + 1) * 3 * wide + (wide + 1) * wide + (wide + 1) * 4 * wide + (4 * wide + 1) * wide
    total = (3 * 256 + 1) * wide + wide + 197 * wide + 12 * block + 2 * wide + 1001 * wide - wide + 1000
    assert total == 22_050_664
    assert count_parameters(on_meta()) == total


@pytest.mark.parametrize(("patch", "size"), [(16, 224), (8, 96), (32, 64)])
def test_feature_sizes(patch: int, size: int) -> None:
    sizes = feature_sizes(on_meta(1, 2, size, patch=patch))
    assert sizes == {f"maps.{number}": (384, size // patch, size // patch) for number in range(11)}


def test_the_grid_of_positions() -> None:
    assert on_meta().vit.pos_embed.shape == (1, 1 + 14 * 14, 384)
    assert on_meta(patch=8, size=96).vit.pos_embed.shape == (1, 1 + 28 * 28, 384)
    assert on_meta(grid=5, size=96).vit.pos_embed.shape == (1, 1 + 5 * 5, 384)


def test_against_timm(model: Any, images: Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(model(images), outside(model)(images), rtol=1e-4, atol=1e-4)
        square = torch.rand(1, 2, 224, 224, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(model(square), outside(model)(square), rtol=1e-4, atol=1e-4)


def test_attention_is_what_timm_multiplies_values_with(model: Any, images: Tensor) -> None:
    whole = outside(model)
    kept: list[Tensor] = []
    for block in whole.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda *parts: kept.append(parts[-1]))
    with torch.no_grad():
        whole(images)
        maps = model.attention(images)
    assert len(kept) == 12
    assert tuple(maps) == offer_of(model).attention == (*(f"block-{number}" for number in range(1, 13)), "rollout")
    for number, weights in enumerate(kept, 1):
        found = maps[f"block-{number}"]
        assert found.shape == (2, 4, 6)
        for image in range(2):
            for row in range(4):
                for column in range(6):
                    looked = weights[image, :, 0, 1 + row * 6 + column].mean()
                    assert float(found[image, row, column]) == pytest.approx(float(looked), rel=1e-3, abs=1e-6)
        torch.testing.assert_close(found.sum((1, 2)), 1 - weights[:, :, 0, 0].mean(1), rtol=1e-4, atol=1e-5)
    for image in range(2):
        rolled = torch.eye(25)
        for weights in kept:
            rolled = (0.5 * weights[image].mean(0) + 0.5 * torch.eye(25)) @ rolled
        torch.testing.assert_close(maps["rollout"][image], rolled[0, 1:].reshape(4, 6), rtol=1e-3, atol=1e-6)
    assert float(maps["block-12"].std()) > 1e-3


def test_attention_leaves_the_model_as_it_is(model: Any, images: Tensor) -> None:
    with torch.no_grad():
        before = model(images)
        model.attention(images)
        assert torch.equal(model(images), before)
    assert not model.training


def test_maps_carry_the_tokens(model: Any, images: Tensor) -> None:
    """A map is the block's patch tokens at their places, and what is written to it reaches the logits."""
    tokens: list[Tensor] = []
    maps: list[Tensor] = []
    hooks = [
        model.vit.blocks[4].register_forward_hook(lambda *parts: tokens.append(parts[-1])),
        model.get_submodule("maps.4").register_forward_hook(lambda *parts: maps.append(parts[-1])),
    ]
    with torch.no_grad():
        logits = model(images)
    for hook in hooks:
        hook.remove()
    for row in range(4):
        for column in range(6):
            assert torch.equal(maps[0][:, :, row, column], tokens[0][:, 1 + row * 6 + column])
    hook = model.get_submodule("maps.10").register_forward_hook(lambda *parts: torch.zeros_like(parts[-1]))
    with torch.no_grad():
        assert not torch.allclose(model(images), logits)
    hook.remove()


@pytest.mark.parametrize("size", [16, 100, (224, 230)])
def test_sizes_that_are_refused(size: Any) -> None:
    with pytest.raises(InputError, match="image_size must be a multiple of 16, and at least 32, for vit-small"):
        on_meta(size=size)


def test_other_sizes_after_building() -> None:
    """Positions are resampled to whatever comes."""
    model = on_meta(1, 2, 64)
    assert model(torch.empty(1, 1, 128, 32, device="meta")).shape == (1, 2)
    assert model(blank_images(model)).shape == (2, 2)


@pytest.mark.parametrize("fields", [{"patch": 7}, {"grid": 0}])
def test_parameters_that_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        network_of({"type": "vit-small", **fields})


@pytest.mark.parametrize("channels", [1, 3])
def test_published_weights_from_a_file(tmp_path: Path, channels: int) -> None:
    torch.manual_seed(3)
    published = timm.create_model("vit_small_patch16_224").state_dict()
    save_file(published, tmp_path / "vit.safetensors")
    model: Any = create_model(
        "vit-small",
        in_channels=channels,
        num_classes=2,
        image_size=96,
        weights={"file": str(tmp_path / "vit.safetensors"), "holds": "pretrained"},
    )
    own = model.vit.state_dict()
    assert own.keys() == published.keys()
    for key, one in published.items():
        if key.startswith("head."):
            continue
        expected = one.sum(1, keepdim=True) if key == "patch_embed.proj.weight" and channels == 1 else one
        assert torch.equal(own[key], expected), key
    assert own["head.weight"].shape == (2, 384)


@pytest.mark.parametrize("patch", [8, 16, 32])
def test_published_weights_exist_and_fit(patch: int) -> None:
    """timm lists them, for this patch, this grid and these shapes."""
    published = network_of({"type": "vit-small", "patch": patch}).pretrained
    assert published is not None
    assert published.name in timm.list_models(pretrained=True)
    with torch.device("meta"):
        state = timm.create_model(published.name).state_dict()
    own = on_meta(patch=patch, size=224).state_dict()
    renamed = published.renamed(state)
    assert {key for key in own if not key.startswith("vit.head.")} == {key for key in renamed if not key.startswith("vit.head.")}
    assert all(own[key].shape == one.shape for key, one in renamed.items() if not key.startswith("vit.head."))
