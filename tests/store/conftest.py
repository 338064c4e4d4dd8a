"""Images to store, and one way to store them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from miso_gen.geometry import Box
from miso_gen.store import ImageLayout, ImageWriter, ObjectTable, ShardedImage, StoreRoot, create_root, finish_root, open_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def given(image_id: str = "gsp/test/0007", **changes: Any) -> dict[str, Any]:
    scenario, split, _ = image_id.split("/")
    values = {
        "id": image_id,
        "scenario": scenario,
        "split": split,
        "label": 1,
        "class_name": "hot",
        "pair": "0003",
        "morphology": "star",
        "parameters": {"radius_px": 12.5, "counts": [1, 2]},
    }
    return {**values, **changes}


def sample(shape: tuple[int, int, int], dtype: str = "uint8", kind: str = "noise", seed: int = 0) -> dict[str, Any]:
    """Pixels, truth and instances with empty, full and mixed blocks."""
    rng = np.random.default_rng([seed, *shape])
    height, width = shape[1:]
    top: Any = 1 if dtype == "float32" else np.iinfo(dtype).max
    if kind == "binary":
        image = (rng.random(shape) < 0.4).astype(dtype) * np.dtype(dtype).type(top)
        image[:, : height // 2, : width // 2] = 0
        image[:, height // 2 :, width // 2 :] = top
    elif kind == "zero":
        image = np.zeros(shape, dtype)
    elif dtype == "float32":
        image = rng.random(shape, np.float32)
    else:
        image = rng.integers(0, top, shape, dtype, endpoint=True)
    rows, cols = np.mgrid[:height, :width]
    truth = np.zeros((height, width), np.uint8)
    truth[(rows - height * 0.6) ** 2 + (cols - width * 0.5) ** 2 < (0.4 * min(height, width)) ** 2] = 1
    truth[height // 3 :, : width // 3] = 2
    if kind == "zero":
        truth[:] = 0
    instances = np.where(truth > 0, rng.integers(1, 5, truth.shape), 0).astype(np.uint16)
    return {"image": image, "truth": truth, "instances": instances}


def table(count: int = 3) -> ObjectTable:
    values = np.arange(count * 6, dtype=np.float64).reshape(count, 6) / 2
    values[:, 0] = range(1, count + 1)
    return ObjectTable(("id", "top", "left", "bottom", "right", "radius_px"), values, ("disc", "tile"), np.arange(count) % 2)


def tiles(height: int, width: int, tile_height: int, tile_width: int) -> Iterator[Box]:
    for top in range(0, height, tile_height):
        for left in range(0, width, tile_width):
            yield Box(top, left, min(height, top + tile_height), min(width, left + tile_width))


def write(target: Any, path: str, planes: dict[str, Any], layout: ImageLayout, tile: Any = None, **attributes: Any) -> Any:
    """Write one image by tiles, through whichever writer its layout asks for."""
    objects = attributes.pop("objects", None)
    attributes = given(**attributes)
    step = (tile, tile) if isinstance(tile, int) else tile or (layout.height, layout.width)

    def send(writer: Any, area: Box) -> None:
        for box in tiles(area.height, area.width, *step):
            place = Box(box.top + area.top, box.left + area.left, box.bottom + area.top, box.right + area.left)
            rows, cols = slice(place.top, place.bottom), slice(place.left, place.right)
            writer.write(place, *(planes[name][..., rows, cols] for name in layout.names))

    if layout.single:
        writer = ImageWriter(target, path, layout)
        send(writer, Box(0, 0, layout.height, layout.width))
        return writer.finish(attributes, objects)
    image = ShardedImage(target, path, layout)
    for shard, area in image.shards(0).items():
        piece = image.writer(shard)
        send(piece, area)
        piece.finish()
    for level in range(1, image.levels):
        for shard in image.shards(level):
            image.downsample(level, shard)
    return image.assemble(attributes, objects)


def layout_of(planes: dict[str, Any], instances: bool = False, **options: Any) -> ImageLayout:
    channels, height, width = planes["image"].shape
    dtype = planes["image"].dtype.name
    return ImageLayout(height, width, channels, dtype, "uint16" if instances else None, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Kit:
    """The functions above, so that tests need not import a conftest."""

    given = staticmethod(given)
    sample = staticmethod(sample)
    table = staticmethod(table)
    tiles = staticmethod(tiles)
    write = staticmethod(write)
    layout_of = staticmethod(layout_of)
    contents = staticmethod(contents)


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    return Kit


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return lambda: tmp_path_factory.mktemp("store")


ROOT = StoreRoot("toy", "1.0.0", {"schema": 1}, "ab" * 32, {"miso-gen": "0"})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A complete store of three images, two with objects."""
    target = open_target(tmp_path / "toy")
    ids = ["gsp/test/0000", "gsp/test/0001", "md/train/0000"]
    root = create_root(target, ROOT, ids)
    records = []
    for seed, image_id in enumerate(ids):
        planes = sample((1, 100, 130), kind="binary", seed=seed)
        objects = table() if image_id.startswith("gsp") else None
        layout = layout_of(planes, instances=objects is not None)
        changes: dict[str, Any] = {} if objects else {"pair": None, "parameters": {"radius_px": 3, "share": 0.5}}
        record = write(target, f"images.zarr/{image_id}", planes, layout, image_id=image_id, objects=objects, **changes)
        records.append(record)
    finish_root(target, root, records)
    return tmp_path / "toy"
