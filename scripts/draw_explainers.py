"""Draw a plate of explainers: images, their truth, and the map of every explainer that fits the network.

    python scripts/draw_explainers.py --run runs/evp-cam-0-1a2b3c4d --label 1 --crop 256 --pool mean --out plate.png

Rows are test images, one of each class asked for, from every run; columns are explainers by family. Maps explain the label. They
are shrunk by means, and each has its own range: from its least to its greatest value, or, of maps with signs, from minus to plus
its greatest size. Maps with one value are hatched. Explainers that a network has nothing for are left out, and named.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from miso_gen import create_model
from miso_gen.errors import InputError
from miso_gen.explain import explained
from miso_gen.explain.interfaces import EXPLAINERS
from miso_gen.geometry import Box
from miso_gen.models.heatmaps import HeatmapClassifier
from miso_gen.render.pictures import shrink
from miso_gen.report.pictures import map_range, ramp, shrunk_values
from miso_gen.store import open_dataset
from miso_gen.train import TrainedModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from miso_gen.store import Dataset, ImageView

FAMILIES = ("gradient", "cam", "relevance", "perturbation", "network", "joint", "null")  #: in this order
#: Explainers that ask the network often are drawn with fewer samples than they take by default; others as they are. LIME and RISE
#: look at logits: where a network is sure, hiding a part changes no probability. By coverage, few masks make less noise.
CHEAP: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"n_steps": 20},
    "smoothgrad": {"samples": 15},
    "lime": {"samples": 200, "output": "logit"},
    "rise": {"masks": 300, "output": "logit", "normalize": "coverage"},
    "scorecam": {"layer": "last"},
    "ablationcam": {"layer": "last"},
}
WINDOWS = 8  #: windows of occlusion each way, side by side; more would be finer, and dearer
BATCH = 2  #: images given to the network at a time
STEP = 32  #: crops begin at multiples of this, px
LEVELS = 16  #: colours of a map: few, so that the file is small

SEQUENTIAL = ((0, 32, 76), (58, 77, 108), (124, 123, 120), (187, 173, 109), (255, 233, 70))
DIVERGING = ((84, 39, 136), (153, 142, 195), (247, 247, 247), (241, 163, 64), (179, 88, 6))
PAPER, INK, FAINT = (255, 255, 255), (24, 24, 27), (113, 113, 122)
GAP, TEXT, MARGIN, COLOURS = 4, 11, 104, 96


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture (h, w, 3) uint8 under its name; None: a map of one value, which the note tells."""

    name: str
    picture: NDArray[np.uint8] | None
    note: str = ""


@dataclass(frozen=True, eq=False)
class Row:
    """Tiles of an image, and the lines of text at their left."""

    lines: tuple[str, ...]
    tiles: list[Tile]


def explainers() -> list[str]:
    """Return the names of all explainers, by family."""
    return sorted(EXPLAINERS.names(), key=lambda name: (FAMILIES.index(EXPLAINERS.get(name).family), name))


def parameters(name: str, side: int) -> dict[str, Any]:
    """Return the parameters that an explainer is drawn with, on images whose longer side is this many pixels."""
    if name == "occlusion":
        window = max(1, side // WINDOWS)
        return {"window_px": window, "stride_px": window}
    return CHEAP.get(name, {})


def crop_of(view: ImageView, side: int | None) -> Box:
    """Return the part of an image to explain: its middle, or what surrounds its evidence if that holds twice as much."""
    _, height, width = view.shape
    if side is None:
        return Box(0, 0, height, width)
    if side > min(height, width):
        raise SystemExit(f"--crop must be at most the side of the images, {min(height, width)}, got {side}.")

    def around(row: float, col: float) -> Box:
        top, left = (
            int(min(max(0, round((at - side / 2) / STEP) * STEP), size - side)) for at, size in ((row, height), (col, width))
        )
        return Box(top, left, top + side, left + side)

    evidence = view.truth.all() == 2
    middle = around(height / 2, width / 2)
    if not evidence.any():
        return middle
    other = around(*(float(places.mean()) for places in np.nonzero(evidence)))
    return other if evidence[other.slices].sum() > 2 * evidence[middle.slices].sum() else middle


def network_of(run: TrainedModel, size: tuple[int, int], pool: str) -> torch.nn.Module:
    """Return the network of a run, built for another size of images; its heat map is pooled by its mean where that is asked.

    Where a heat map has one value on a patch, its mean and its maximum are the same there: only larger images tell them apart.
    """
    record = run.record
    spec, there = {**record["model"], "weights": "none"}, run.load().state_dict()
    model = create_model(spec, in_channels=record["in_channels"], num_classes=record["num_classes"], image_size=size)
    model.load_state_dict(there)
    if pool == "mean":
        if not isinstance(model, HeatmapClassifier):
            raise SystemExit(f"--pool must be own for a {spec['type']}, got mean. It has no heat map to pool.")
        model.pool = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    return model.eval().to(memory_format=torch.channels_last)


def found_map(
    model: torch.nn.Module, image: torch.Tensor, truth: NDArray[np.uint8], label: int, name: str, file: Path | None
) -> tuple[NDArray[np.float32], bool]:
    """Return the map (H, W) of an explainer and whether it has signs; from a file, where it was made before."""
    options = parameters(name, max(image.shape[-2:]))
    signed = EXPLAINERS.get(name).from_spec({"type": name, **options}).is_signed
    if file is not None and file.is_file():
        kept: NDArray[np.float32] = np.load(file)
        return kept, signed
    values = explained(model, image, name, target=label, truth=truth[None], batch=BATCH, **options).maps[0].numpy()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, values)
    return values, signed


def map_tile(name: str, values: NDArray[np.float32], signed: bool, side: int) -> Tile:
    """Return the picture of a map; one that is 0 everywhere says ``blank``, one of another single value ``one value``."""
    if values.min() == values.max():
        return Tile(name, None, "one value" if values.any() else "blank")
    small = shrunk_values(values, side)
    low, high = map_range(small, signed=signed)
    share = (small - low) / (high - low) if high > low else np.zeros_like(small)
    count = LEVELS + 1 if signed else LEVELS  # odd: one is for 0
    every = np.array(ramp(DIVERGING if signed else SEQUENTIAL), np.uint8)
    colours = every[np.linspace(0, len(every) - 1, count).round().astype(int)]
    return Tile(name, colours[np.rint(share * (count - 1)).astype(int)])


def rows_of(folder: str, args: argparse.Namespace, left_out: dict[str, str]) -> Iterator[Row]:
    """Yield the rows of a run, one for each class."""
    run = TrainedModel.of(folder)
    record = run.record
    dataset: Dataset = open_dataset(args.data or record["experiment"]["dataset"])
    table = dataset.table
    table = table[(table["scenario"] == record["scenario"]) & (table["split"] == record["experiment"]["splits"]["test"])]
    for number, label in enumerate(args.label or range(record["num_classes"])):
        ids = table["image_id"][table["label"] == label].tolist()
        if not ids:
            raise SystemExit(f"--label must be a class with test images in {record['scenario']}, got {label}.")
        yield row_of(run, dataset[ids[(7 * number + args.number) % len(ids)]], int(label), args, left_out)


def row_of(run: TrainedModel, view: ImageView, label: int, args: argparse.Namespace, left_out: dict[str, str]) -> Row:
    """Return the row of an image."""
    box = crop_of(view, args.crop)
    pixels, truth = view.read(box)
    scale = float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1.0
    image = torch.from_numpy(pixels.astype(np.float32) / np.float32(scale))[None].contiguous(memory_format=torch.channels_last)
    model = network_of(run, box.shape, args.pool)
    with torch.no_grad():
        shares = model(image).softmax(1)[0]
    drawn = shrink(view.read, box, args.side)
    tiles = [Tile("image", drawn.picture), Tile("truth", drawn.truth_picture)]
    for name in args.explainer or explainers():
        kept = {"box": [box.top, box.left, *box.shape], "label": label, "pool": args.pool, **parameters(name, max(box.shape))}
        key = f"{name} {json.dumps(kept, sort_keys=True)}".translate(str.maketrans(" /", "__", '"{}[]:,'))
        file = args.maps and Path(args.maps) / run.folder.name / view.id.replace("/", "-") / f"{key}.npy"
        try:
            values, signed = found_map(model, image, truth, label, name, file)
        except InputError as error:
            left_out.setdefault(name, str(error))
            continue
        tiles.append(map_tile(name, values, signed, args.side))
    print(f"{view.id}: {len(tiles) - 2} maps of class {label}", flush=True)
    said = f"says {int(shares.argmax())}, p({label}) {float(shares[label]):.2f}"
    name = str(view.attributes["class_name"])
    return Row((str(run.record["scenario"]), f"class {label}", name, said, view.id), tiles)


def page_of(rows: Sequence[Row], side: int, columns: int, foot: str) -> Image.Image:
    """Return the page: each row broken after so many tiles, names over tiles."""
    font, strong = ImageFont.load_default(10), ImageFont.load_default(13)
    smaller = [ImageFont.load_default(size) for size in (10, 9, 8)]
    high, line = side, side + 2 * TEXT + GAP
    counts = [-(-len(row.tiles) // columns) for row in rows]
    page = Image.new("RGB", (MARGIN + columns * (side + GAP), sum(counts) * line + (len(rows) + 2) * GAP + 2 * TEXT), PAPER)
    draw = ImageDraw.Draw(page)
    top = GAP
    for row, count in zip(rows, counts, strict=True):
        draw.line((0, top - GAP, page.width, top - GAP), FAINT)
        for number, text in enumerate(row.lines):
            place = GAP, top + 2 * TEXT + (number and 4) + number * (TEXT + 3)
            draw.text(place, text, FAINT if number else INK, font if number else strong)
        for number, tile in enumerate(row.tiles):
            place = MARGIN + number % columns * (side + GAP), top + number // columns * line + 2 * TEXT
            for back, text in enumerate(reversed(lines_of(tile.name, side, font))):
                fitting = next((one for one in smaller if one.getlength(text) <= side + GAP / 2), smaller[-1])
                draw.text((place[0], place[1] - (back + 1) * TEXT - 1), text, INK, fitting)
            if tile.picture is None:
                hatch(draw, (place[0], place[1], place[0] + side - 1, place[1] + high - 1), tile.note, font)
            else:
                page.paste(Image.fromarray(tile.picture), place)
        top += count * line + GAP
    draw.text((GAP, top), foot, FAINT, font)
    return page


def lines_of(name: str, width: int, font: Any) -> list[str]:
    """Return a name as one line, or broken after a hyphen near its middle where it is too wide."""
    cuts = [place + 1 for place, sign in enumerate(name) if sign == "-"]
    if font.getlength(name) <= width or not cuts:
        return [name]
    cut = min(cuts, key=lambda place: abs(place - len(name) / 2))
    return [name[:cut], name[cut:]]


def hatch(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], note: str, font: Any) -> None:
    """Hatch a square, with a note in its middle."""
    left, top, right, bottom = box
    side = bottom - top
    for shift in range(-side, side, 8):
        start, end = max(0, shift), min(side, side + shift)
        draw.line((left + start, top + start - shift, left + end, top + end - shift), (210, 210, 216))
    draw.rectangle(box, outline=FAINT)
    width = font.getlength(note)
    middle = (left + right - width) / 2, (top + bottom) / 2 - 6
    draw.rectangle((middle[0] - 3, middle[1] - 1, middle[0] + width + 3, middle[1] + 13), fill=PAPER)
    draw.text(middle, note, INK, font)


def main() -> None:
    """Explain, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", nargs="+", required=True, help="folders of finished runs")
    parser.add_argument("--out", required=True, help="the plate, a PNG file")
    parser.add_argument("--data", help="store with their images; left out: that of the run")
    parser.add_argument("--label", type=int, action="append", help="class to show; may be repeated; left out: every class")
    parser.add_argument("--number", type=int, default=0, help="which of the test images of a class")
    parser.add_argument("--crop", type=int, help="side of the part that is explained, px; left out: the whole image")
    parser.add_argument("--pool", choices=("own", "mean"), default="own", help="how a heat map becomes a logit")
    parser.add_argument("--explainer", action="append", help="explainer to show; may be repeated; left out: all")
    parser.add_argument("--side", type=int, default=96, help="longest side of a tile, px")
    parser.add_argument("--columns", type=int, default=18, help="tiles in a line")
    parser.add_argument("--maps", help="folder where maps are kept, and taken from when the plate is drawn again")
    args = parser.parse_args()
    left_out: dict[str, str] = {}
    rows = [row for folder in args.run for row in rows_of(folder, args, left_out)]
    side = max(tile.picture.shape[1] for row in rows for tile in row.tiles if tile.picture is not None)
    foot = f"Left out, as the network has nothing for them: {', '.join(sorted(left_out)) or 'none'}."
    page = page_of(rows, side, args.columns, foot).quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    page.save(args.out, "PNG", optimize=True)
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    print(f"{args.out}: {page.width} x {page.height} px, {Path(args.out).stat().st_size} bytes")


if __name__ == "__main__":
    main()
