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
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from benchmarks.measure import Report, Table, json_value, machine, met, publish, scratch
from benchmarks.memory import resident
from miso_gen.explain import explain
from miso_gen.explain.layers import chosen_layers
from miso_gen.explain.tiling import MapTiles
from miso_gen.models import create_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

BATCH, SIDE = 16, 96
SIDES = (1024, 2048, 4096, 8192)
TILE = 256
EXPLAINERS: dict[str, dict[str, Any]] = {"saliency": {"type": "saliency"}, "gradcam": {"type": "gradcam", "layer": "8"}}
PARTS = ("speed", "memory", "cuda")
SALIENCY_BAR, GRADCAM_BAR, MEMORY_BAR = 1.1, 0.7, 1.2
RESULTS = Path(__file__).parent / "results"
NETWORKS: dict[str, Any] = {
    "resnet34": {"type": "resnet34"},
    "resnet50": {"type": "resnet50"},
    "cam of resnet10t": {"type": "cam", "encoder": "resnet10t"},
}


def network(name: str, side: int) -> nn.Module:
    """Return a network with drawn weights, in evaluation mode, its parameters without gradients."""
    torch.manual_seed(0)
    model = create_model(NETWORKS[name], in_channels=3, num_classes=2, image_size=side)
    return model.eval().requires_grad_(False)


def narrow() -> nn.Module:
    """Return a network that sees 16 px around a pixel and averages: every tile is back-propagated."""
    torch.manual_seed(0)
    steps: list[nn.Module] = []
    for read, gives, stride in ((3, 16, 1), (16, 32, 2), (32, 64, 2), (64, 64, 2)):
        steps += [nn.Conv2d(read, gives, 3, stride, 1), nn.BatchNorm2d(gives), nn.ReLU(inplace=True)]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2))
    return nn.Sequential(*steps, *head).eval().requires_grad_(False)


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
        note=f"{'Wall' if device == 'cuda' else 'CPU'} time, least of {repeats} turns.",
    )
    warnings.filterwarnings("ignore", message=".*did not already require gradients.*")
    for name in NETWORKS:
        model = network(name, side).to(device)
        (layer,) = chosen_layers(model, "last")
        images = torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(1)).to(device)
        target = torch.arange(batch, device=device) % 2
        for method, bar in (("saliency", SALIENCY_BAR), ("gradcam", GRADCAM_BAR)):
            options: dict[str, Any] = {} if method == "saliency" else {"layer": layer}
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
    model = narrow()
    base = resident("VmRSS")
    with scratch(None) as folder:
        begin, wall = process_time(), perf_counter()
        tiles = MapTiles(model, Plain(side), EXPLAINERS[explainer], target=1, tile=TILE)
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


def measure_memory(sides: Sequence[int]) -> Table:
    """Return the table of peak memory over the side of the image."""
    table = Table(
        f"Whole images by tiles of {TILE} px",
        ["map", "side, px", "exact", "peak, MiB", "above the start, MiB", "by that of the least", "bar", "CPU, s", "Mpx/s"],
        note="A network of 4 convolutions that averages; each figure is of a process of its own, on one thread.",
    )
    for explainer in EXPLAINERS:
        first: dict[str, Any] | None = None
        for side in sides:
            command = [sys.executable, "-m", "benchmarks.explain", "--peak", str(side), "--explainer", explainer]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            first = first or found
            more, ratio = found["peak_mib"] - found["base_mib"], found["peak_mib"] / first["peak_mib"]
            row = [explainer, f"{side:,}", "yes" if found["exact"] else "no", f"{found['peak_mib']:,.0f}", f"{more:,.0f}"]
            row += [f"{ratio:.2f}", met(ratio, MEMORY_BAR, least=False), f"{found['cpu_s']:,.1f}"]
            table.rows.append([*row, f"{side * side / 1e6 / found['cpu_s']:.2f}"])
            print(table.rows[-1], flush=True)
    return table


def measure_cuda(repeats: int) -> Table:
    """Return the table on CUDA; one row that says so where there is none."""
    if torch.cuda.is_available():
        return measure_speed(repeats, 256, 224, "cuda")
    row = ["not measured: no CUDA here", *["-"] * 7]
    heads = ["network", "map", "maps/s", "bare pass, maps/s", "time of a bare pass", "bar", "captum one by one, maps/s", "ratio"]
    return Table("Maps of 256 images of 224 px, cuda", heads, [row], note="`python -m benchmarks.explain --only cuda`.")


def page(report: Report) -> str:
    """Return the results as a Markdown page."""
    here = report.data["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in report.data["libraries"].items())
    head = [
        "# Explaining",
        "",
        f"`{report.data['command']}`, {report.data['date']}; what is compared stands in `benchmarks/explain.py`.",
        "",
        f"- Machine: {here['cpu']}, {here['cores']} cores, {here['memory_gib']} GiB, {here['os']}",
        f"- Libraries: {libraries}",
        f"- Load average before the start (1, 5, 15 minutes): {', '.join(f'{load:.2f}' for load in here['load_average'])}",
        "",
    ]
    return "\n".join(head) + "\n" + "\n".join(table.markdown() for table in report.tables)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--quick", action="store_true", help="a try-out: few small images, one repeat")
    options.add_argument("--peak", type=int, metavar="SIDE", help="explain one image in this process, and print its peak memory")
    options.add_argument("--explainer", choices=list(EXPLAINERS), default="saliency", help="for --peak")
    options.add_argument("--json", type=Path, help="also write the results to this file")
    options.add_argument("--write", action="store_true", help="write benchmarks/results/explain.json and explain.md")
    args = options.parse_args(arguments)
    if args.peak:
        print(json.dumps(peak(args.peak, args.explainer)))
        return
    repeats, batch, sides = (1, 4, SIDES[:1]) if args.quick else (args.repeats, BATCH, SIDES)
    report = Report("explain")
    report.data["machine"], report.data["date"] = machine(), datetime.now(UTC).strftime("%Y-%m-%d")
    report.data["libraries"] = {name: version(name) for name in ("torch", "numpy", "captum", "timm")}
    report.data["command"] = "python -m benchmarks.explain"
    torch.set_num_threads(1)
    if "speed" in args.only:
        report.tables.append(measure_speed(repeats, batch, SIDE))
    if "memory" in args.only:
        report.tables.append(measure_memory(sides))
    if "cuda" in args.only:
        report.tables.append(measure_cuda(repeats))
    publish(report, args.json)
    if args.write:
        (RESULTS / "explain.json").write_text(json.dumps(report, default=json_value, indent=1) + "\n", "utf-8")
        (RESULTS / "explain.md").write_text(page(report), "utf-8")


if __name__ == "__main__":
    main()
