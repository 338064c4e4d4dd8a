"""Maps made tile by tile are those of the whole image, and memory doesn't grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.explain import explain
from miso_gen.explain.receptive import field_of
from miso_gen.explain.tiling import BY_TILES, MapTiles, explain_tiled, tiles_of_map
from miso_gen.models import create_model
from miso_gen.store.map_group import MapGroup
from miso_gen.store.maps import MapStore
from tests.explaining import Net

LAYERED = ("cam", "gradcam", "gradcam++", "xgradcam", "hirescam", "layercam")


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, read: int, gives: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(read, gives, 3, stride, 1), nn.BatchNorm2d(gives), nn.ReLU(inplace=True), nn.Conv2d(gives, gives, 3, 1, 1)
        )
        self.side = nn.Conv2d(read, gives, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        out = self.main(images)
        out += self.side(images)
        return self.relu(out)


class Residual(nn.Module):
    """A stem and three blocks as of ResNet-18, then the mean or the maximum of each map, and a linear layer."""

    def __init__(self, pool: str = "mean") -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 7, 2, 3), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        self.layer1, self.layer2 = Block(6, 6, 1), Block(6, 8, 2)
        self.pool = pool
        self.fc = nn.Linear(16 if pool == "both" else 8, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.layer2(self.layer1(self.stem(images)))
        if self.pool == "both":
            return self.fc(torch.cat([maps.mean((2, 3)), maps.amax((-2, -1))], 1))
        return self.fc(maps.mean([2, 3]) if self.pool == "mean" else maps.amax((2, 3)))


class Hourglass(nn.Module):
    """Down, up by nearest neighbours and by a transposed convolution, a shortcut, mirrored borders; the greatest value."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(3, 5, 3), nn.ReLU())
        self.down = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(5, 6, 3, padding="same", dilation=2), nn.GELU(), nn.MaxPool2d(2))
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), nn.ConvTranspose2d(6, 5, 4, 2, 1))
        self.head = nn.Conv2d(10, 3, 1)

    def heatmap(self, images: Tensor) -> Tensor:
        fine = self.first(images)
        return self.head(torch.cat([fine, self.up(self.down(fine))], 1))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_max_pool2d(self.heatmap(images), 1).flatten(1)


class Last(nn.Module):
    """Channels last inside, as ConvNeXt: layer normalisation and a linear layer of each place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.mix = nn.Conv2d(3, 6, 4, 4), nn.LayerNorm(6), nn.Linear(6, 6)
        self.deep, self.fc = nn.Conv2d(6, 6, 7, padding=3, groups=6), nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stem(images).permute(0, 2, 3, 1)
        maps = nn.functional.gelu(self.mix(self.norm(maps))).permute(0, 3, 1, 2)
        return self.fc(torch.relu(self.deep(maps)).mean((2, 3)))


class Gated(Residual):
    """A gate that squeezes and excites, within the network."""

    def forward(self, images: Tensor) -> Tensor:
        maps = self.layer1(self.stem(images))
        maps = maps * torch.sigmoid(4 * maps.mean((2, 3), keepdim=True))
        return self.fc(self.layer2(maps).mean((2, 3)))


def drawn(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network weights under which all its parts matter."""
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in model.parameters():
            wide = 1.7 / max(1, one[0].numel()) ** 0.5 if one.ndim > 1 else 0.2
            one.copy_(torch.randn(one.shape, generator=numbers) * wide)
    return model.eval()


def image(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def put(tiles: MapTiles) -> np.ndarray:
    """Return the map of tiles, which must cover it once."""
    out, count = np.full(tiles.shape, np.nan, np.float32), np.zeros(tiles.shape, int)
    for top, left, values in tiles:
        assert values.dtype == np.float32
        out[top : top + values.shape[0], left : left + values.shape[1]] = values
        count[top : top + values.shape[0], left : left + values.shape[1]] += 1
    assert (count == 1).all()
    return out


def apart(model: nn.Module, pixels: Tensor, explainer: str, tile: int, **given: Any) -> tuple[float, MapTiles]:
    """Return the greatest distance of the tiled map from the untiled one, by the greatest value, and the tiles."""
    options = {key: given.pop(key) for key in ("overlap",) if key in given}
    whole = explain(model, pixels[None], explainer, target=1, **given)[0].numpy()
    tiles = tiles_of_map(model, pixels, explainer, target=1, tile=tile, **options, **given)
    with torch.no_grad():
        logits = model(pixels[None])[0].numpy()
    if tiles.exact:
        np.testing.assert_allclose(tiles.logits, logits, rtol=1e-5, atol=1e-6)
    size = np.abs(whole).max()
    assert size > 0
    return float(np.abs(put(tiles) - whole).max() / size), tiles


@pytest.mark.parametrize("tile", [128, 192, 256])
@pytest.mark.parametrize("build", [Residual, lambda: Residual("max"), lambda: Residual("both"), Hourglass, Last])
def test_saliency_of_512_px_by_tiles_is_that_of_the_whole(build: Any, tile: int) -> None:
    far, tiles = apart(drawn(build()), image(512, 512), "saliency", tile)
    assert tiles.exact
    assert tiles.why == ""
    assert tiles.overlap < tile  # so that tiles don't read all
    assert far < 1e-5


@pytest.mark.parametrize("explainer", ["saliency", "gradcam", "heatmap"])
def test_cam_by_tiles_is_that_of_the_whole(explainer: str) -> None:
    torch.manual_seed(0)
    model = create_model({"type": "cam", "encoder": "resnet10t"}, in_channels=3, num_classes=2, image_size=256).eval()
    signs = {"relu": False} if explainer == "gradcam" else {}
    far, tiles = apart(model, image(256, 640), explainer, 128, **signs)
    assert tiles.exact
    assert far < 1e-5


@pytest.mark.parametrize("explainer", sorted(BY_TILES))
@pytest.mark.parametrize("size", [(101, 77), (64, 50)])
def test_every_explainer_by_tiles_is_that_of_the_whole(explainer: str, size: tuple[int, int]) -> None:
    layer = {"layer": "features.3" if explainer == "cam" else "features.1"} if explainer in LAYERED else {}
    for signs in ({}, {"relu": False}) if layer else ({},):
        far, tiles = apart(Net(), image(*size), explainer, 16, **layer, **signs)
        assert tiles.exact
        assert far < 1e-5


@pytest.mark.parametrize("explainer", LAYERED[1:])
@pytest.mark.parametrize("layer", ["stem.2", "layer1", "layer2"])
def test_layers_that_are_overwritten_and_coarse(explainer: str, layer: str) -> None:
    far, tiles = apart(drawn(Residual(), 3), image(203, 150), explainer, 48, layer=layer, relu=False)
    assert tiles.exact
    assert far < 1e-5


@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(70, 150),
    width=st.integers(70, 150),
    tile=st.integers(1, 160),
    pool=st.sampled_from(["mean", "max", "both"]),
    explainer=st.sampled_from(["saliency", "input-x-gradient", "gradcam"]),
)
def test_any_size_and_any_tile(height: int, width: int, tile: int, pool: str, explainer: str) -> None:
    layer = {"layer": "layer1"} if explainer == "gradcam" else {}
    far, tiles = apart(drawn(Residual(pool), 1), image(height, width), explainer, max(tile, 24), **layer)
    assert tiles.exact
    assert far < 1e-5


def reach_of(model: nn.Module, side: int) -> int:
    """Return how far the pixels that a value before the pooling depends on lie apart, in the middle of an image: by gradients."""
    pixels = torch.zeros(1, 3, side, side, dtype=torch.float64).requires_grad_()
    maps = model.double().maps(pixels)
    (found,) = torch.autograd.grad(maps[0, :, maps.shape[2] // 2, maps.shape[3] // 2].sum(), pixels)
    rows = found[0].abs().sum((0, 2)).nonzero()
    return int(rows.max() - rows.min())


class Steps(nn.Module):
    """Steps without rectifiers, one after the other."""

    def __init__(self, *steps: nn.Module) -> None:
        super().__init__()
        self.maps = nn.Sequential(*steps)

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images).mean((2, 3))


@pytest.mark.parametrize(
    "steps",
    [
        [nn.Conv2d(3, 4, 7, 2, 3), nn.AvgPool2d(3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)],
        [nn.Conv2d(3, 4, 5), nn.Conv2d(4, 4, 3, 1, dilation=4), nn.AvgPool2d(2)],
        [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 3, 2, padding=1)],
    ],
)
def test_receptive_field_is_that_of_gradients(steps: list[nn.Module]) -> None:
    model = Steps(*steps)
    with torch.no_grad():
        for one in model.parameters():
            one.abs_().add_(0.01)  # nothing cancels
    found = field_of(model.eval(), image(96, 96)[None])
    assert found.why == ""
    assert found.reach == reach_of(model, 96)


def test_less_overlap_is_not_enough_and_blended() -> None:
    model, pixels = drawn(Residual()), image(256, 256)
    _, tiles = apart(model, pixels, "saliency", 64)
    least = tiles.overlap
    far, blended = apart(model, pixels, "saliency", 64, overlap=8)
    assert least > 8
    assert not blended.exact
    assert f"{least} px" in blended.why
    assert 1e-5 < far < 0.5
    assert apart(model, pixels, "saliency", 64, overlap=least + 8)[0] < 1e-5
    with pytest.raises(InputError, match="overlap must be enough"):
        explain_tiled(model, pixels, tile=64, overlap=8, blend=False)


def test_one_tile_is_the_whole_for_any_network() -> None:
    far, tiles = apart(drawn(Gated()), image(60, 90), "saliency", 96)
    assert tiles.exact
    assert far < 1e-6


def test_pooling_within_the_network_is_blended() -> None:
    far, tiles = apart(drawn(Gated()), image(300, 420), "input-x-gradient", 128)
    assert not tiles.exact
    assert tiles.why == "it pools over all places within itself"
    assert tiles.overlap == 32
    assert far < 0.1


def test_pylon_is_blended() -> None:
    torch.manual_seed(0)
    network = {"type": "pylon", "encoder": "resnet10t", "pyramid": False, "width": 16}
    model = create_model(network, in_channels=3, num_classes=2, image_size=256).eval()
    far, tiles = apart(model, image(256, 768), "heatmap", 256)
    assert not tiles.exact
    assert tiles.why == "it resizes maps by their corners"
    assert far < 0.2
    assert apart(model, image(256, 768), "heatmap", 512, overlap=256)[0] < far  # the more is read, the nearer


def test_blended_weights_sum_up_to_one() -> None:
    class Ones(nn.Module):
        """A network whose gradients are 1 everywhere, but whose receptive field nobody knows."""

        def forward(self, images: Tensor) -> Tensor:
            maps = torch.fft.ifft2(torch.fft.fft2(images)).real
            return maps.sum((2, 3))[:, :1]

    tiles = tiles_of_map(Ones(), torch.rand(1, 75, 130).double(), "saliency", tile=40, overlap=12)
    assert not tiles.exact
    assert "fft2" in tiles.why
    np.testing.assert_allclose(put(tiles), 1, atol=1e-6)


class Lazy:
    """An image that is made when it is read, and remembers what was read at once."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.shape, self.most = pixels, pixels.shape, 0

    def __getitem__(self, key: Any) -> np.ndarray:
        found = self.pixels[key]
        self.most = max(self.most, found.shape[-2])
        return found


def test_lazy_images_of_bytes_and_given_arrays() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1200, 90), np.uint8)
    model, lazy = drawn(Residual()), Lazy(pixels)
    out = np.empty((1200, 90), np.float32)
    assert explain_tiled(model, lazy, "saliency", tile=64, out=out) is None
    assert lazy.most < 600
    whole = explain(model, torch.from_numpy(pixels).float().div(255)[None])[0].numpy()
    np.testing.assert_allclose(out, whole, atol=1e-5 * whole.max())
    again = explain_tiled(model, torch.from_numpy(pixels), {"type": "saliency"}, tile=64)
    np.testing.assert_array_equal(again, out)


def test_tiles_go_into_a_store_of_maps(tmp_path: Any) -> None:
    store = MapStore.create(tmp_path / "maps.zarr", dataset={"name": "a", "version": "1", "root_digest": "0"})
    model = drawn(Residual())
    tiles = tiles_of_map(model, image(150, 110), "gradcam", layer="layer2", tile=64)
    store.add_group(MapGroup("m", "gradcam", {}, "pixel", "pixel", signed=tiles.signed))
    store.write_tiles("m", "gradcam", "one", tiles.shape, tiles, target=tiles.target)
    np.testing.assert_array_equal(store.read("m", "gradcam", "one").values, put(tiles))


def test_the_model_is_left_as_it_was() -> None:
    model = drawn(Residual()).train()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    first = next(iter(tiles_of_map(model, image(150, 110), "gradcam", layer="layer1", tile=64)))
    assert first[:2] == (0, 0)
    assert model.training
    assert all(one.requires_grad and one.grad is None for one in model.parameters())
    assert all(not each._forward_hooks and not each._forward_pre_hooks for each in model.modules())
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())


def test_target_is_the_class_that_the_whole_image_is_predicted_as() -> None:
    model, pixels = drawn(Residual("max")), image(200, 170)
    with torch.no_grad():
        assert tiles_of_map(model, pixels, tile=64).target == int(model(pixels[None]).argmax())


@pytest.mark.parametrize(
    ("explainer", "options", "said"),
    [
        ("integrated-gradients", {}, "explainer must be one that works by tiles"),
        ("saliency", {"scale": "max"}, "scale must be 'none'"),
        ("saliency", {"clamp": 0.5}, "clamp_of must be 'value'"),
        ("gradcam", {"layer": ("layer1", "layer2")}, "layer must be one"),
        ("saliency", {"target": 3}, "target must be from 0 to 2"),
        ("saliency", {"target": 1.5}, "target must be a whole number"),
        ("saliency", {"tile": 0}, "tile must be positive"),
    ],
)
def test_what_can_not_be_made_by_tiles_is_refused(explainer: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        tiles_of_map(drawn(Residual()), image(64, 64), explainer, **options)


def test_what_has_no_pooling_at_its_end_is_refused() -> None:
    flat = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 14 * 14, 2))
    with pytest.raises(InputError, match="model must pool over all places"):
        tiles_of_map(flat, image(16, 16))
    with pytest.raises(InputError, match="model must take images of any size"):
        tiles_of_map(flat, image(32, 32))
    with pytest.raises(InputError, match="model must be a"):
        tiles_of_map(lambda images: images.mean((2, 3)), image(16, 16))  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError):
        tiles_of_map(drawn(Residual()), image(64, 64), "gradcam", layer="layer9")
    with pytest.raises(InputError, match="image must be"):
        tiles_of_map(drawn(Residual()), image(64, 64)[0])
    with pytest.raises(InputError, match="out must have the size"):
        explain_tiled(drawn(Residual()), image(64, 64), out=np.empty((3, 3)))


@pytest.mark.full
def test_memory_does_not_grow_with_the_image() -> None:
    peaks = []
    for side in (1024, 8192):
        command = [sys.executable, "-m", "benchmarks.explain", "--peak", str(side)]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(json.loads(found.stdout.splitlines()[-1]))
    assert peaks[0]["exact"]
    assert peaks[1]["exact"]
    assert peaks[1]["peak_mib"] <= 1.2 * peaks[0]["peak_mib"]
