"""What the tests of exports share: small stores of every kind, and ways to read each format back by other programs."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.geometry import Box
from miso_gen.store import ImageLayout, ImageWriter, ObjectTable, ShardedImage, StoreRoot, create_root, finish_root, open_dataset
from miso_gen.store.target import open_target

if TYPE_CHECKING:
    from pathlib import Path

    from miso_gen.store import Dataset

Planes = dict[str, np.ndarray]

#: two scenarios whose classes have other names, two splits, one of them with a dash
IDS = ("gsp/hold-out/0001", "gsp/train/0001", "gsp/train/0002", "md/hold-out/0001", "md/train/0001")
NAMES = {"gsp": ("intact", "holed"), "md": ("plain", "bent")}
RECIPE = {"schema": 1, "title": "Toys & <others>", "license": "CC-BY-4.0", "authors": [{"name": "Doe, Jo"}], "date": "2026-01-02"}


def pixels(shape: tuple[int, int, int], dtype: str = "uint8", seed: int = 0) -> Planes:
    """Return noise beside a slope, truth of three levels, and instances of two objects; every border is cut somewhere."""
    rng = np.random.default_rng([seed, *shape])
    channels, height, width = shape
    rows, cols = np.mgrid[:height, :width]
    slope = (rows + 2 * cols) / (height + 2 * width)
    image = np.where(cols < width // 2, rng.random((channels, height, width)), slope)
    top = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    truth = np.zeros((height, width), np.uint8)
    truth[(rows - height * 0.6) ** 2 + (cols - width * 0.5) ** 2 < (0.4 * min(height, width)) ** 2] = 1
    truth[height // 3 :, : width // 4] = 2
    if seed % 3 == 1:
        truth[truth == 2] = 1
    instances = np.where(truth > 0, np.where(cols < width // 3, 1, 3), 0).astype(np.uint16)
    return {"image": (image * top).astype(dtype), "truth": truth, "instances": instances}


def objects() -> ObjectTable:
    """Return a table of the two objects of ``pixels``."""
    values = np.array([[1, 0, 0, 5, 5, 2.5], [3, 1, 1, 9, 9, 4.0]])
    return ObjectTable(("id", "top", "left", "bottom", "right", "radius_px"), values, ("disc", "tile"), np.array([0, 1]))


def write_store(
    folder: Path,
    images: dict[str, Planes],
    stored: tuple[str, ...] = (),
    recipe: dict[str, Any] = RECIPE,
    names: dict[str, tuple[str, ...]] = NAMES,
) -> Dataset:
    """Write a store of given pixels; those named in ``stored`` with their instances and a table of objects."""
    target = open_target(folder)
    root = create_root(target, StoreRoot("toy", "1.2.0", recipe, "ab" * 32, {"miso-gen": "0"}), images)
    records = []
    for place, (image_id, planes) in enumerate(images.items()):
        scenario, split, _ = image_id.split("/")
        given = {
            "id": image_id,
            "scenario": scenario,
            "split": split,
            "label": place % 2,
            "class_name": names[scenario][place % 2],
            "pair": None if place % 2 else "p0003",
            "morphology": "star",
            "parameters": {"radius_px": 12.5, "counts": [1, 2]},
        }
        channels, height, width = planes["image"].shape
        kind = planes["instances"].dtype.name if image_id in stored else None
        layout = ImageLayout(height, width, channels, planes["image"].dtype.name, kind)
        table = objects() if image_id in stored else None
        whole = Box(0, 0, height, width)
        if layout.single:
            writer = ImageWriter(target, f"images.zarr/{image_id}", layout)
            writer.write(whole, *(planes[name] for name in layout.names))
            records.append(writer.finish(given, table))
            continue
        image = ShardedImage(target, f"images.zarr/{image_id}", layout)
        for shard, box in image.shards(0).items():
            piece = image.writer(shard)
            piece.write(box, *(planes[name][..., box.top : box.bottom, box.left : box.right] for name in layout.names))
            piece.finish()
        for level in range(1, image.levels):
            for shard in image.shards(level):
                image.downsample(level, shard)
        records.append(image.assemble(given, table))
    finish_root(target, root, records)
    return open_dataset(folder)


def toy(
    folder: Path, dtype: str = "uint8", channels: int = 1, shape: tuple[int, int] = (75, 131)
) -> tuple[Dataset, dict[str, Planes]]:
    """Return a store of five images of two scenarios, and what is in them; ``gsp`` has instances."""
    images = {image_id: pixels((channels, *shape), dtype, seed) for seed, image_id in enumerate(IDS)}
    return write_store(folder, images, tuple(name for name in IDS if name.startswith("gsp"))), images


def last(image: np.ndarray) -> np.ndarray:
    """Return (h, w, 3) of (3, h, w), and (h, w) of (1, h, w)."""
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)


def sixteen(image: np.ndarray) -> np.ndarray:
    """Return floats in [0, 1] as 16 bit, by the definition; whole numbers as they are."""
    return image if image.dtype.kind != "f" else np.floor(image.astype(np.float64) * 65535 + 0.5).astype(np.uint16)


def tree(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder, by its path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# --- readers ----------------------------------------------------------------------------------------------------------


def read_png(data: bytes) -> np.ndarray:
    """Return the raw values of a PNG, colour as RGB: OpenCV for what is deeper than 8 bit, Pillow for palettes."""
    import cv2
    from PIL import Image

    picture = Image.open(io.BytesIO(data))
    if picture.mode in ("P", "L"):
        return np.asarray(picture)
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return found if found.ndim == 2 else found[..., ::-1]


def by_png(folder: Path) -> dict[str, Planes]:
    """Read an export of PNG files."""
    import pandas as pd

    table = pd.read_csv(folder / "index.csv")
    found = {}
    for row in table.to_dict("records"):
        names = {"image": "file", "truth": "truth_file", "instances": "instances_file"}
        paths = {name: row.get(column) for name, column in names.items()}
        found[row["image_id"]] = {n: read_png((folder / p).read_bytes()) for n, p in paths.items() if isinstance(p, str)}
    return found


def by_tiff(folder: Path) -> dict[str, Planes]:
    """Read an export of OME-TIFF files, level 0."""
    import pandas as pd
    import tifffile

    table = pd.read_csv(folder / "index.csv")
    found: dict[str, Planes] = {}
    for row in table.to_dict("records"):
        names = {"image": "file", "truth": "truth_file", "instances": "instances_file"}
        paths = {name: row.get(column) for name, column in names.items()}
        found[row["image_id"]] = {n: tifffile.imread(folder / p) for n, p in paths.items() if isinstance(p, str)}
        image = found[row["image_id"]]["image"]
        if image.ndim == 3 and image.shape[0] == 3 and image.shape[2] != 3:
            found[row["image_id"]]["image"] = np.moveaxis(image, 0, -1)
    return found


def decoded(coco: Any, annotation: dict[str, Any]) -> np.ndarray:
    """Return the mask of an annotation as pycocotools reads it, (h, w) bool."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools makes arrays in a way that numpy 2 warns of
        return coco.annToMask(annotation) == 1


def by_coco(folder: Path) -> dict[str, Planes]:
    """Read an export in COCO's format by its own API; the truth is put together from objects and evidence."""
    import contextlib

    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(folder / "annotations.json")
    found = {}
    evidence = next(iter(coco.getCatIds(catNms=["discriminative"])))
    for image_id, image in coco.imgs.items():
        planes = {"image": read_png((folder / "images" / image["file_name"]).read_bytes())}
        if "truth_digest" in image:
            truth = np.zeros((image["height"], image["width"]), np.uint8)
            instances = np.zeros(truth.shape, np.uint16)
            for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[image_id])):
                mask = decoded(coco, annotation)
                truth[mask] = np.maximum(truth[mask], 2 if annotation["category_id"] == evidence else 1)
                if annotation["category_id"] != evidence:
                    assert not instances[mask].any()
                    instances[mask] = annotation["instance"]
            planes |= {"truth": truth, **({"instances": instances} if image["instances_digest"] else {})}
        found[image["name"]] = planes
    return found


def by_webdataset(folder: Path) -> dict[str, Planes]:
    """Read an export of tars by Python's own tarfile."""
    found: dict[str, Planes] = {}
    for path in sorted(folder.glob("*.tar")):
        members: dict[str, dict[str, bytes]] = {}
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, kind = member.name.partition(".")
                members.setdefault(key, {})[kind] = tar.extractfile(member).read()
        for parts in members.values():
            kinds = {"image": "png", "truth": "truth.png", "instances": "instances.png"}
            planes = {name: read_png(parts[kind]) for name, kind in kinds.items() if kind in parts}
            found[json.loads(parts["json"])["image_id"]] = planes
    return found


def by_parquet(folder: Path) -> dict[str, Planes]:
    """Read an export of Parquet files by pyarrow alone."""
    import pyarrow.parquet as pq

    found: dict[str, Planes] = {}
    for path in sorted(folder.glob("data/*/*.parquet")):
        for row in pq.read_table(path).to_pylist():
            names = [name for name in ("image", "truth", "instances") if row.get(name)]
            found[row["image_id"]] = {name: read_png(row[name]["bytes"]) for name in names}
    return found


READERS = {"png": by_png, "ome-tiff": by_tiff, "coco": by_coco, "webdataset": by_webdataset, "hf": by_parquet}
