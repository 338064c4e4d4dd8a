"""The same patches from a folder, an object store and a zip archive."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
moto = pytest.importorskip("moto.server")
s3fs = pytest.importorskip("s3fs")

from building import SMALL  # noqa: E402

from miso_gen.build import build  # noqa: E402
from miso_gen.data import ImageDataset, PatchDataset, PatchLoader  # noqa: E402
from miso_gen.recipe import load_recipe  # noqa: E402
from miso_gen.store import open_dataset  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("elsewhere") / "out"
    recipe = {
        **SMALL,
        "splits": ["train"],
        "scenarios": [scenario for scenario in SMALL["scenarios"] if scenario["type"] in ("evp", "evsp")],
    }
    build(load_recipe(recipe), path, workers=1)
    return path


@pytest.fixture(scope="module")
def places(folder: Path) -> Iterator[dict[str, Any]]:
    """Return data sets of the same store by place."""
    found: dict[str, Any] = {}
    for name, compression in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(folder.parent / f"{name}.zip", "w", compression) as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
        found[name] = open_dataset(folder.parent / f"{name}.zip")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"endpoint_url": f"http://{host}:{port}", "key": "a", "secret": "b", "client_kwargs": {"region_name": "eu-west-1"}}
    files = s3fs.S3FileSystem(**options)
    files.mkdir("patches")
    files.put(f"{folder}/", "patches/out/", recursive=True)
    found["s3"] = open_dataset("s3://patches/out", options=options)
    yield found
    server.stop()


@pytest.mark.parametrize("place", ["stored", "deflated", "s3"])
class TestPlaces:
    def test_patches_are_equal(self, place: str, places: dict[str, Any], folder: Path) -> None:
        options: dict[str, Any] = {
            "size": 48,
            "scenario": "evsp",
            "truth": True,
            "instances": True,
            "background": "keep",
            "stored": True,
        }
        near, far = PatchDataset(folder, **options), PatchDataset(places[place], **options)
        assert near.table.frame().equals(far.table.frame())
        rows = np.arange(0, len(near), 7)
        first, second = near.batch(rows), far.batch(rows)
        assert first["image_id"] == second["image_id"]
        for key in ("image", "truth", "instances", "label", "row", "col"):
            assert torch.equal(first[key], second[key]), key

    @pytest.mark.parametrize("workers", [0, 2])
    def test_epochs_are_equal(self, place: str, workers: int, places: dict[str, Any], folder: Path) -> None:
        near = PatchDataset(folder, size=96, scenario="evp")
        far = PatchDataset(places[place], size=96, scenario="evp")
        start = "spawn" if workers else None  # network libraries have threads
        batches = list(PatchLoader(far, batch=16, seed=3, workers=workers, start=start, timeout=120 if workers else 0))
        expected = list(PatchLoader(near, batch=16, seed=3))
        assert len(batches) == len(expected)
        for one, other in zip(batches, expected, strict=True):
            assert one["image_id"] == other["image_id"]
            assert torch.equal(one["image"], other["image"])

    def test_whole_images_are_equal(self, place: str, places: dict[str, Any], folder: Path) -> None:
        near, far = ImageDataset(folder, scenario="evp", truth=True), ImageDataset(places[place], scenario="evp", truth=True)
        assert torch.equal(near[0]["image"], far[0]["image"])
        assert torch.equal(near[0]["truth"], far[0]["truth"])
