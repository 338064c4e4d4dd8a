"""Export: PNG images and one COCO file of objects and evidence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Final

from miso_gen.errors import InputError
from miso_gen.release.coco_rle import label_runs
from miso_gen.release.export_format import ExportFormat
from miso_gen.release.exports import EXPORTS
from miso_gen.release.image_files import write_plane
from miso_gen.release.licences import licence_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from miso_gen.release.coco_rle import ColumnRuns
    from miso_gen.release.export_folder import ExportFolder, ImageFiles
    from miso_gen.release.export_format import ExportImage, ExportSource

ANNOTATIONS: Final = "annotations.json"
EVIDENCE: Final = "discriminative"
OBJECT: Final = "object"
_FOLDER: Final = "images"
_GREATEST: Final = 2**32 - 1  # pixels of a mask, in pycocotools
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True).encode


@EXPORTS.register("coco")
class CocoExport(ExportFormat):
    """``images/gsp/test/0007.png`` and ``annotations.json`` with masks as compressed run lengths.

    Categories: 1 ``discriminative`` (truth == 2, one annotation an image), 2 ``object``, then the kinds of objects of the whole
    store, so that a part of it has the same ids. An annotation for each object that shows a pixel: of the instances, or truth
    >= 1 where none are stored; ``instance`` is its id there. Images have our id as ``name``, and split, label and the rest.
    """

    cannot_hold: ClassVar[tuple[str, ...]] = (
        "The truth is a mask for each object and one for the evidence: pixels of level 1 that belong to no object are not there.",
        "No resolution levels: a PNG is read whole.",
        "Pixels of float32 become 16 bit; images of more than 4,294,967,295 pixels are refused.",
        "What was drawn, of images and of objects, summaries and histograms stay in the store.",
    )

    def check(self, source: ExportSource) -> None:
        """See :class:`ExportFormat`."""
        for row in source.rows:
            if row["height"] * row["width"] > _GREATEST:
                raise InputError(
                    f"pixels of {row['image_id']} must be at most {_GREATEST} for COCO, got {row['height'] * row['width']}. "
                    "Export to ome-tiff, or leave the image out."
                )

    def write(self, source: ExportSource, image: ExportImage, files: ImageFiles) -> None:
        """See :class:`ExportFormat`."""
        with files.open(f"{_FOLDER}/{_file(image.id)}") as file:
            files.notes |= write_plane(file, image, "image")
        with files.piece(_piece(image.number)) as file:
            for annotation in _annotations(source, image) if image.truth else ():
                file.write(_encode(annotation).encode() + b"\n")

    def finish(self, source: ExportSource, folder: ExportFolder) -> None:
        """See :class:`ExportFormat`."""
        if folder.has(ANNOTATIONS):
            return
        with folder.open(ANNOTATIONS) as file:
            head = {"info": _info(source), "licenses": _licences(source), "categories": _categories(source)}
            file.write(("{\n" + ",\n".join(f"{_encode(name)}: {_encode(value)}" for name, value in head.items())).encode())
            for name, lines in (("images", _images(source)), ("annotations", _numbered(source, folder))):
                file.write(f",\n{_encode(name)}: [".encode())
                for number, line in enumerate(lines):
                    file.write((",\n" if number else "\n").encode() + _encode(line).encode())
                file.write(b"\n]")
            file.write(b"\n}\n")


def _file(image_id: str) -> str:
    return f"{image_id}.png"


def _piece(number: int) -> str:
    return f"{number}.jsonl"


def _annotations(source: ExportSource, image: ExportImage) -> Iterator[dict[str, Any]]:
    height, width = image.plane("truth").shape
    codes = {category["name"]: category["id"] for category in _categories(source)}
    kinds: Mapping[int, str] = {}
    objects = image.view.objects
    if objects is not None:
        kinds = {int(row["id"]): str(row["kind"]) for row in objects.rows()}
    stored = "instances" in image.planes
    labels = image.strips("instances") if stored else (strip >= 1 for strip in image.strips("truth"))
    for instance, runs in label_runs(labels, height, width):
        code = codes.get(kinds.get(instance, OBJECT), codes[OBJECT])
        yield {"category_id": code, "image_id": image.number + 1, "instance": instance, **_segment(runs)}
    for _, runs in label_runs((strip == 2 for strip in image.strips("truth")), height, width):
        yield {"category_id": codes[EVIDENCE], "image_id": image.number + 1, **_segment(runs)}


def _segment(runs: ColumnRuns) -> dict[str, Any]:
    segmentation = {"size": [runs.height, runs.width], "counts": runs.compressed()}
    return {"segmentation": segmentation, "bbox": list(runs.box), "area": runs.area, "iscrowd": 0}


def _numbered(source: ExportSource, folder: ExportFolder) -> Iterator[dict[str, Any]]:
    number = 0
    for place in range(len(source.rows)):
        with folder.piece(_piece(place)).open("rb") as lines:
            for line in lines:
                number += 1
                yield {"id": number, **json.loads(line)}


def _images(source: ExportSource) -> Iterator[dict[str, Any]]:
    licence = {"license": 1} if _licences(source) else {}
    for number, row in enumerate(source.rows):
        about = source.about(row)
        name = str(about.pop("image_id"))
        yield {"id": number + 1, "file_name": _file(name), "name": name, **licence, **about}


def _categories(source: ExportSource) -> list[dict[str, Any]]:
    """Return the categories; of the whole store, whatever was chosen."""
    found = set(source.kinds) - {EVIDENCE, OBJECT}
    names = [(EVIDENCE, "evidence"), (OBJECT, "object"), *((name, "object") for name in sorted(found))]
    return [{"id": number + 1, "name": name, "supercategory": above} for number, (name, above) in enumerate(names)]


def _info(source: ExportSource) -> dict[str, Any]:
    return {
        "description": source.title,
        "version": source.dataset.version,
        "url": source.text("url"),
        "contributor": "; ".join(source.authors),
        "date_created": source.text("date"),
        "recipe_digest": source.dataset.recipe_digest,
    }


def _licences(source: ExportSource) -> list[dict[str, Any]]:
    name = source.text("license")
    return [{"id": 1, "name": name, "url": licence_url(name) or ""}] if name else []
