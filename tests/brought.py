"""Files that a user would bring, and what recipes say of them: one for every plug-in that imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def shapes(folder: Path) -> dict[str, Any]:
    """Write three pictures of one shape each; return the morphologies of a recipe beside them."""
    from PIL import Image

    (folder / "shapes").mkdir(exist_ok=True)
    rows, columns = np.mgrid[:120, :120] - 60
    ring = (rows**2 + columns**2 < 55**2) & (rows**2 + columns**2 > 20**2)
    for name, mask in (
        ("disc", rows**2 + columns**2 < 50**2),
        ("ring", ring),
        ("square", np.maximum(abs(rows), abs(columns)) < 45),
    ):
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "shapes" / f"{name}.png")
    return {"type": "bitmaps", "path": "shapes/*.png"}


def coordinates(folder: Path) -> dict[str, Any]:
    """Write two sets of 900 coordinates; return the points of a recipe beside them."""
    rng = np.random.default_rng(3)
    for number in range(2):
        places = rng.integers(0, 4000, (900, 2))
        lines = ["x,y", *(f"{x / 4},{y / 4}" for x, y in places)]
        (folder / f"cells-{number}.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return {"type": "csv", "path": "cells-*.csv", "columns": {"x": "x", "y": "y"}}


def labels(shape: tuple[int, int] = (300, 320), seed: int = 0, cells: int = 120) -> np.ndarray:
    """Return a mask of round cells with numbers from 1; some lie on others, and may be gone."""
    rng = np.random.default_rng(seed)
    out = np.zeros(shape, np.int32)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    for number in range(1, cells + 1):
        row, column, radius = rng.integers(shape[0]), rng.integers(shape[1]), rng.integers(3, 8)
        out[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = number
    return out


def masks(folder: Path, count: int = 10) -> dict[str, Any]:
    """Write masks of two classes and their table; return the tissue of a recipe beside them."""
    (folder / "masks").mkdir(exist_ok=True)
    lines = ["mask,class,patient"]
    for number in range(count):
        np.save(folder / f"masks/{number:02d}.npy", labels(seed=number))
        lines.append(f"masks/{number:02d}.npy,{'ab'[number % 2]},p{number // 2}")
    (folder / "samples.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return {"type": "masks", "table": "samples.csv"}


BROUGHT = {("morphologies", "bitmaps"): shapes, ("points", "csv"): coordinates, ("tissue", "masks"): masks}
