"""Maps: against a bare input-gradient pass and captum called image by image; whole images by tiles, and their peak memory.

A bare pass is a forward pass, and a backward pass to the images alone, of the same batch, without hooks. Ours and the bare pass
take turns: ours, bare, ours, bare. CPU time on one thread, least of the repeats; ``cuda``: wall time. Peak memory is that of a
process of its own, from the kernel (VmHWM); the image comes from a function, the map goes to a file.

    python -m benchmarks.explain                         everything but the GPU, some ten minutes
    python -m benchmarks.explain --only cuda             on a machine with a GPU
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.measure import Report, Table, json_value, machine, met, publish, scratch
from benchmarks.memory import resident
from miso_gen.explain import explain
from miso_gen.explain.tiling import MapTiles
from miso_gen.models import create_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

BATCH, SIDE = 16, 96
SIDES = (1024, 2048, 4096, 8192)
TILE = 256
PARTS = ("speed", "memory", "cuda")
SALIENCY_BAR, GRADCAM_BAR, MEMORY_BAR = 1.1, 0.7, 1.2
RESULTS = Path(__file__).parent / "results"
NETWORKS = {"resnet50": "layer4", "vgg16": "features.29", "cam": "encoder.deepest"}


def network(name: str, side: int) -> nn.Module:
    """Return a network with drawn weights, in evaluation mode, its parameters without gradients."""
    torch.manual_seed(0)
    spec = {"type": name, **({"encoder": "resnet10t"} if name == "cam" else {})}
    side = side if name != "vgg16" else 224
    return create_model(spec, in_channels=3, num_classes=2, image_size=side).eval().requires_grad_(False)


def bare(model: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """Return the gradient of the logits of targets with respect to images, and nothing else."""
    at = images.detach().requires_grad_()
    (found,) = torch.autograd.grad(model(at).gather(1, target[:, None]).sum(), at)
    return found


def one_by_one(method: str, model: nn.Module, layer: str) -> Callable[[Tensor, Tensor], Any]:
    """Return a call of captum for each image of a batch."""
    import captum.attr

    if method == "saliency":
        saliency = captum.attr.Saliency(model)
        return lambda images, target: [saliency.attribute(one[None], int(goal)) for one, goal in zip(images, target, strict=True)]
    cam = captum.attr.LayerGradCam(model, dict(model.named_modules())[layer])
    return lambda images, target: [cam.attribute(one[None], int(goal)) for one, goal in zip(images, target, strict=True)]


def turns(functions: Sequence[Callable[[], Any]], repeats: int, cuda: bool) -> list[float]:
    """Return the least seconds of each function, called in turn; a first turn warms up."""
    found: list[list[float]] = [[] for _ in functions]
    clock = perf_counter if cuda else process_time
    for _ in range(repeats + 1):
        for place, function in enumerate(functions):
            begin = clock()
            function()
            if cuda:
                torch.cuda.synchronize()
            found[place].append(clock() - begin)
    return [min(one[1:]) for one in found]


def measure_speed(repeats: int, batch: int, side: int, device: str = "cpu") -> Table:
    """Return the table of ours against a bare pass, and against captum."""
    table = Table(
        f"Maps of {batch} images of {side} px, {device}",
        ["network", "map", "maps/s", "bare pass, maps/s", "time of a bare pass", "bar", "captum one by one, maps/s", "ratio"],
        note=f"{'Wall' if device == 'cuda' else 'CPU'} time, least of {repeats} turns. vgg16 reads 224 px.",
    )
    warnings.filterwarnings("ignore", message=".*[Ss]etting.*(forward|backward|gradients).*")
    for name, layer in NETWORKS.items():
        model = network(name, side).to(device)
        wide = 224 if name == "vgg16" else side
        images = torch.rand(batch, 3, wide, wide, generator=torch.Generator().manual_seed(1)).to(device)
        target = torch.arange(batch, device=device) % 2
        for method, bar in (("saliency", SALIENCY_BAR), ("gradcam", GRADCAM_BAR)):
            options = {} if method == "saliency" else {"layer": layer}
            captum = one_by_one(method, model, layer)
            ours, least, theirs = turns(
                [
                    lambda: explain(model, images, method, target=target, **options),  # noqa: B023 - called at once
                    lambda: bare(model, images, target),  # noqa: B023
                    lambda: captum(images, target),  # noqa: B023
                ],
                repeats,
                device == "cuda",
            )
            speeds = [f"{batch / one:,.1f}" for one in (ours, least)]
            share = ours / least
            row = [name, method, *speeds, f"{share:.2f}x", met(share, bar, least=False)]
            table.rows.append([*row, f"{batch / theirs:,.1f}", f"{theirs / ours:.1f}x"])
            print(table.rows[-1], flush=True)
    return table


class Plain:
    """An image that is a function of the place: reading it keeps nothing in memory."""

    def __init__(self, side: int) -> None:
        self.shape = (3, side, side)

    def __getitem__(self, key: Any) -> Any:
        rows, cols = (np.arange(one.start, one.stop, dtype=np.uint32) for one in key[1:])
        mixed = (rows[:, None] * np.uint32(2654435761)) ^ (cols * np.uint32(40503))
        return np.stack([((mixed * np.uint32(one)) >> np.uint32(24)).astype(np.uint8) for one in (3, 5, 7)])


def peak(side: int, explainer: str) -> dict[str, Any]:
    """Return the peak of this process when it explains an image by tiles, in MiB, and how long that took."""
    torch.set_num_threads(1)
    model = network("resnet10", side)
    base = resident("VmRSS")
    with scratch(None) as folder:
        begin, wall = process_time(), perf_counter()
        tiles = MapTiles(model, Plain(side), {"type": explainer}, target=1, tile=TILE)
        with (folder / "map").open("wb") as file:
            for top, left, values in tiles:
                for row, line in enumerate(values):
                    file.seek(4 * ((top + row) * side + left))
                    file.write(line.tobytes())
        return {
            "side": side,
            "explainer": explainer,
            "exact": tiles.exact,
            "overlap": tiles.overlap,
            "base_mib": base,
            "peak_mib": resident("VmHWM"),
            "cpu_s": process_time() - begin,
            "wall_s": perf_counter() - wall,
        }
