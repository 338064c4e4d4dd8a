"""Facts of small releases, and the release folders that they speak of."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from hypothesis import strategies as st
from PIL import Image

from miso_gen.recipe import load_recipe, plan_images
from miso_gen.release.facts import Publication, ReleaseFacts
from miso_gen.store.index import index_table, to_parquet
from miso_gen.store.manifest import FileEntry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RECIPE: dict[str, Any] = {
    "schema": 1,
    "name": "small",
    "version": "1.2.0",
    "title": "Small shapes",
    "description": "Two families of images.\nTheir labels are true for a known reason.",
    "license": "CC-BY-4.0",
    "authors": [
        {"name": "Lovelace, Ada", "orcid": "0000-0002-1825-0097", "affiliation": "Analytical Engines"},
        {"name": "The Shapes Group"},
    ],
    "url": "https://example.org/small",
    "keywords": ["shapes", "Saliency"],
    "canvas": {"shape": [300, 280]},
    "splits": ["train", "test"],
    "defaults": {"morphologies": {"type": "builtin", "only": ["canary", "teapot"]}, "fuzz": {"each": [0.0, 0.1]}},
    "scenarios": [{"type": "evp"}, {"type": "gsp", "radius_px": {"uniform": [10, 30]}, "window_px": 4}],
}
HUB = Publication("hf", "https://huggingface.co/datasets/me/small", "https://huggingface.co/datasets/me/small/resolve/1.2.0")
ZENODO = Publication("zenodo", "https://zenodo.org/records/7", "https://zenodo.org/api/records/7/files", "10.5281/zenodo.7")
BUCKET = Publication("s3", "s3://bucket/small/1.2.0", "s3://bucket/small/1.2.0")


def index_rows(recipe: Any) -> list[dict[str, Any]]:
    """Return the index of a recipe as rows; shares and digests are made up from the id."""
    rows = []
    for plan in plan_images(recipe):
        digest = hashlib.sha256(plan.id.encode()).hexdigest()
        blank = plan.scenario == "gsp" and plan.label == 0
        row = {
            "image_id": plan.id,
            "path": f"images.zarr/{plan.id}",
            "scenario": plan.scenario,
            "split": plan.split,
            "label": plan.label,
            "class_name": plan.class_name,
            "pair": plan.pair,
            "morphology": plan.morphology,
            "height": recipe.canvas.height,
            "width": recipe.canvas.width,
            "truth_1_share": 0.25,
            "truth_2_share": 0.0 if blank else 0.125,
            "truth_2_known": True,
            "histogram": [0] * 256,
            "image_digest": digest,
            "truth_digest": digest[::-1],
            "instances_digest": digest if plan.scenario == "gsp" else None,
            "checksum": digest,
        }
        drawn = {f"params.{name}": value for name, value in plan.params.items()}
        rows.append(row | drawn)
    return rows


def contents(recipe: Any, imports: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """Return the data files of a release by path: real tables and picture, packs that are none."""
    table = index_table(index_rows(recipe))
    picture = io.BytesIO()
    Image.new("L", (8, 6), 128).save(picture, "png")
    frame = table.to_pandas().drop(columns="histogram")
    files = {"index.parquet": to_parquet(table), "preview.png": picture.getvalue(), "recipe.yaml": b"schema: 1\n"}
    for split in frame["split"].unique():
        rows = frame[frame["split"] == split].assign(pack=f"{split}-001.ozx")
        buffer = io.BytesIO()
        rows.to_parquet(buffer, index=False)
        files[f"{split}.parquet"] = buffer.getvalue()
        files[f"{split}-001.ozx"] = f"no zip of {split}".encode()
    return files | {f"imports/{name}.npz": data for name, data in (imports or {}).items()}


def facts_of(recipe: Any, files: Mapping[str, bytes], **changes: Any) -> ReleaseFacts:
    """Return the facts of data files."""
    table = pq.read_table(io.BytesIO(files["index.parquet"])).to_pandas().drop(columns="histogram")
    packs = {path: path.split("-001.")[0] for path in files if path.endswith(".ozx")}
    facts = ReleaseFacts(
        recipe=recipe,
        version=recipe.version,
        date="2026-11-21",
        previous="1.1.0",
        recipe_digest=recipe.digest,
        root_digest="b3" * 32,
        table=table,
        objects=40,
        files={path: FileEntry(len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items()},
        images_in={path: int((table["split"] == split).sum()) for path, split in packs.items()},
        versions={"numpy": "2.1.0", "miso-gen": "0.5.0"},
    )
    return replace(facts, **changes)


def small_facts(changes: Mapping[str, Any] | None = None, **more: Any) -> ReleaseFacts:
    """Return the facts of the small release: ``changes`` of the texts of the recipe, then of the facts."""
    return replace(_small(), recipe=load_recipe({**RECIPE, **(changes or {})}), **more)


@cache
def _small() -> ReleaseFacts:
    recipe = load_recipe(RECIPE)
    return facts_of(recipe, contents(recipe))


def write_release(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write data files below a folder."""
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def shuffled(facts: ReleaseFacts) -> ReleaseFacts:
    """Return equal facts with every mapping in the other order."""
    turned = {name: dict(reversed(getattr(facts, name).items())) for name in ("files", "images_in", "versions")}
    return replace(facts, **turned)


def texts(min_size: int = 0) -> st.SearchStrategy[str]:
    """Return texts of any kind, most of them with the metacharacters of YAML, Markdown, HTML, TeX and tables."""
    marks = ["|", "`", "```", "---", "\n", "\n---\n", "# ", "<b>", "&amp;", "]( x )", "- ", ": ", "${x}", "\\", "'", '"', "~"]
    words = ["yes", "1e5", "0o17", "2026-11-21", "é漢🙂", "\u2028", "\x85", "Family, Given", "https://example.org/a b"]
    piece = st.one_of(st.sampled_from(marks), st.sampled_from(words), st.text(max_size=6))
    return st.lists(piece, max_size=6).map("".join).filter(lambda text: len(text) >= min_size)


def texts_of_a_recipe() -> st.SearchStrategy[dict[str, Any]]:
    """Return every field of a recipe that is free text."""
    author = st.fixed_dictionaries(
        {"name": texts(min_size=1), "orcid": st.sampled_from(["", "0000-0002-1825-009X"]), "affiliation": texts()}
    )
    return st.fixed_dictionaries(
        {
            "title": texts(),
            "description": texts(),
            "license": st.one_of(texts(), st.sampled_from(["MIT", "cc0-1.0", "CC-BY-SA-4.0"])),
            "authors": st.lists(author, max_size=3),
            "url": texts(),
            "keywords": st.lists(texts(min_size=1), max_size=3),
        }
    )
