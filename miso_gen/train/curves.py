"""Learning curves as a picture: losses beside scores, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

_INK, _FAINT, _LINE = (24, 24, 27), (113, 113, 122), (228, 228, 231)
_COLOURS: Final = ((64, 132, 204), (230, 120, 20), (40, 150, 90), (150, 80, 170))
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 560, 360, 64, 20, 64, 44
_TICKS: Final = 5

#: Panels: title, and the columns of the log that each shows.
PANELS: Final = (
    ("loss", {"train_loss": "training", "val_loss": "validation"}),
    ("validation", {"val_auroc": "AUROC", "val_image_auroc": "AUROC of images", "val_accuracy": "accuracy"}),
)


def learning_curves(rows: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """Return the rows of a log as a PNG; columns without a number are left out."""
    sheet = Image.new("RGB", (_WIDTH * len(PANELS), _HEIGHT + 28), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    draw.text((16, 10), title, fill=_INK, font=_font(16))
    for place, (name, columns) in enumerate(PANELS):
        lines = {
            label: [(number, float(row[key])) for number, row in enumerate(rows, 1) if _is_number(row.get(key))]
            for key, label in columns.items()
        }
        _panel(draw, place * _WIDTH, name, {label: points for label, points in lines.items() if points}, len(rows))
    data = BytesIO()
    sheet.save(data, "PNG", optimize=True)
    return data.getvalue()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _panel(
    draw: ImageDraw.ImageDraw, left: int, title: str, lines: Mapping[str, Sequence[tuple[int, float]]], epochs: int
) -> None:
    """Draw one panel: axes, ticks, a line for each column, and their names."""
    x0, x1, y0, y1 = left + _LEFT, left + _WIDTH - _RIGHT, _TOP + 28, _HEIGHT + 28 - _BOTTOM
    values = [value for points in lines.values() for _, value in points]
    if not values:
        draw.text((x0, y0), f"{title}: nothing was measured", fill=_FAINT, font=_font(13))
        return
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or max(abs(high), 1.0) * 0.05
    low, high = low - margin, high + margin

    def at(epoch: float, value: float) -> tuple[float, float]:
        share = (epoch - 1) / (epochs - 1) if epochs > 1 else 0.5
        return x0 + share * (x1 - x0), y1 - (value - low) / (high - low) * (y1 - y0)

    for tick in range(_TICKS):
        value = low + (high - low) * tick / (_TICKS - 1)
        y = at(1, value)[1]
        draw.line([(x0, y), (x1, y)], fill=_LINE)
        draw.text((x0 - 6, y), f"{value:.3g}", fill=_FAINT, font=_font(12), anchor="rm")
    step = max(1, -(-epochs // 10))
    for epoch in range(1, epochs + 1, step):
        draw.text((at(epoch, low)[0], y1 + 6), str(epoch), fill=_FAINT, font=_font(12), anchor="mt")
    draw.text(((x0 + x1) / 2, y1 + 24), "epoch", fill=_FAINT, font=_font(12), anchor="mt")
    draw.text((x0, _TOP - 24), title, fill=_INK, font=_font(14))
    x: float = x0
    for (label, points), colour in zip(lines.items(), _COLOURS, strict=False):
        places = [at(epoch, value) for epoch, value in points]
        draw.line(places, fill=colour, width=2)
        for px, py in places:
            draw.ellipse([(px - 2.5, py - 2.5), (px + 2.5, py + 2.5)], fill=colour)
        draw.text((x, _TOP), label, fill=colour, font=_font(13))
        x += draw.textlength(label, font=_font(13)) + 18
