"""What the tests of build engine and command line share: small recipes, runs of the command, and ways to compare stores."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import blake3
from click.testing import CliRunner

from miso_gen.cli import main
from miso_gen.errors import StoreError
from miso_gen.recipe import Recipe, load_recipe
from miso_gen.store import open_dataset

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

COMMAND = str(Path(sys.executable).with_name("miso-gen"))

#: all six scenarios on a canvas of four digest blocks, so that a shard of 256 px makes four shards
SMALL: dict[str, Any] = {
    "schema": 1,
    "name": "small",
    "version": "1.0.0",
    "seed": 2022,
    "canvas": {"shape": [300, 280]},
    "splits": ["train", "test"],
    "defaults": {"morphologies": {"type": "builtin", "only": ["canary", "teapot"]}, "fuzz": {"each": [0.0, 0.1]}},
    "scenarios": [
        {"type": "evp"},
        {"type": "dsp"},
        {
            "type": "md",
            "contour_px": 5,
            "deformations": [
                {"type": "sine", "cycles": 1, "axis": "x", "function": "cos"},
                {"type": "affine", "rotation_rad": 1.3, "shear_rad": 0.7, "translation_px": [292, 78]},
            ],
        },
        {"type": "evsp", "radius_px": 4, "points": {"type": "matern", "candidates_per_mpx": 9000}},
        {"type": "gsp", "radius_px": {"uniform": [10, 30]}, "window_px": 4},
        {"type": "fm", "line_px": 19, "pad_px": 5, "corner_px": 5, "shrink": 6},
    ],
}
SCENARIOS = ("evp", "dsp", "md", "evsp", "gsp", "fm")
IMAGES = 96

#: one megapixel image after the other, so that a build can be stopped in the middle
SLOW: dict[str, Any] = {
    "schema": 1,
    "name": "slow",
    "seed": 5,
    "canvas": {"shape": [1024, 1024]},
    "splits": ["test"],
    "scenarios": [{"type": "evp", "morphologies": "builtin", "fuzz": {"each": [0.0, 0.1, 0.2, 0.3, 0.4]}}],
}
SLOW_IMAGES = 240

#: four images of 81 shards of 256 px
SHARDED: dict[str, Any] = {
    "schema": 1,
    "name": "sharded",
    "seed": 6,
    "canvas": {"shape": [2200, 2100]},
    "splits": ["test"],
    "scenarios": [
        {"type": "gsp", "morphologies": {"type": "builtin", "only": ["canary", "key"]}, "radius_px": 60, "window_px": 12}
    ],
}


def small(**changes: Any) -> Recipe:
    """Return the small recipe; ``scenarios`` may name those to keep, other keys replace."""
    data = copy.deepcopy(SMALL) | changes
    data["scenarios"] = [
        entry if isinstance(entry, dict) else next(known for known in SMALL["scenarios"] if known["type"] == entry)
        for entry in data["scenarios"]
    ]
    return load_recipe(data)


def recipe_file(path: Path, data: dict[str, Any]) -> str:
    """Write a recipe as a file (JSON is YAML) and return its name."""
    path.write_text(json.dumps(data), "utf-8")
    return str(path)


# --- stores -----------------------------------------------------------------------------------------------------------


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, its bytes by its path; empty folders by a path that ends with a slash."""
    found: dict[str, bytes] = {}
    for place, folders, files in os.walk(folder):
        inner = Path(place).relative_to(folder)
        if not folders and not files:
            found[f"{inner}/"] = b""
        found.update((str(inner / name), (Path(place) / name).read_bytes()) for name in files)
    return found


def assert_equal_trees(one: Path, other: Path) -> None:
    """Compare two folders, file by file and byte by byte."""
    left, right = tree(one), tree(other)
    assert left.keys() == right.keys()
    assert [path for path in left if left[path] != right[path]] == []


def images(folder: Path) -> dict[str, Path]:
    """Return the folders of the images that are there by image id, whatever the root says."""
    root = folder / "images.zarr"
    found = {path.parent for path in root.glob("*/*/*/zarr.json") if not path.parent.name.startswith(".")}
    return {str(path.relative_to(root)): path for path in sorted(found)}


def marks(folder: Path) -> dict[str, tuple[int, int]]:
    """Return what changes when a file is written again: inode and time, of every file below a folder."""
    stats = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {str(path.relative_to(folder)): (stat.st_ino, stat.st_mtime_ns) for path, stat in stats.items()}


def leftovers(folder: Path) -> list[str]:
    """Return what a finished build must not leave: temporary files and folders, and locks."""
    names = [path for path in folder.rglob("*") if path.name.startswith(".") or ".tmp-" in path.name or "lock" in path.name]
    return [str(path.relative_to(folder)) for path in names]


def looks_whole(folder: Path | str) -> bool:
    """Whether a place passes for a complete store."""
    try:
        open_dataset(folder)
    except StoreError:
        return False
    return True


def literal_root_digest(rows: list[dict[str, Any]]) -> str:
    """Return the root digest by its definition: BLAKE3 over the sorted lines of what names and decides an image."""
    fields = ("image_id", "scenario", "split", "label", "pair", "image_digest", "truth_digest", "instances_digest")
    values = [[None if row[field] != row[field] else row[field] for field in fields] for row in rows]  # pandas has nan for None
    lines = sorted(json.dumps(line, separators=(",", ":")) + "\n" for line in values)
    return blake3.blake3("".join(lines).encode()).hexdigest()


# --- processes --------------------------------------------------------------------------------------------------------


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """Return what a condition says as soon as that is true; fail after a deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError(f"{what} did not happen within {seconds} s")


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """Start ``miso-gen`` as a process of its own group."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [COMMAND, *map(str, arguments)], stdout=pipe, stderr=pipe, text=True, start_new_session=True, **options
    )


def cli(*arguments: str | Path) -> Result:
    """Run a command in this process; an exception that the command line lets through fails the test."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "Traceback" not in result.output
    return result
