"""The Croissant document of a release: what it is, its files, and the tables that can be read from them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from miso_gen.release.citation import bibtex, doi_url, home
from miso_gen.release.creators import Creator, creators
from miso_gen.release.licences import licence_url
from miso_gen.release.markup import one_line, web_url
from miso_gen.release.responsible import responsible
from miso_gen.release.summary import description, keywords, splits, title_text
from miso_gen.store.index import INDEX

if TYPE_CHECKING:
    import pandas as pd

    from miso_gen.release.facts import ReleaseFacts
    from miso_gen.store.manifest import FileEntry

CROISSANT: Final = "croissant.json"
CONFORMS_TO: Final = "http://mlcommons.org/croissant/1.1"
#: Terms of the vocabulary that documents use under their own names.
_OWN: Final = (
    "annotation",
    "arrayShape",
    "citeAs",
    "column",
    "conformsTo",
    "containedIn",
    "equivalentProperty",
    "excludes",
    "extract",
    "field",
    "fileObject",
    "fileProperty",
    "fileSet",
    "format",
    "includes",
    "isArray",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "readLines",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "sdVersion",
    "separator",
    "source",
    "subField",
    "transform",
    "unArchive",
    "value",
)
CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    **{term: f"cr:{term}" for term in _OWN},
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
}
_FORMATS: Final = {
    "npz": "application/zip",
    "ozx": "application/zip",
    "parquet": "application/x-parquet",
    "png": "image/png",
    "yaml": "application/yaml",
}
_COLUMNS: Final = {
    "image_id": "Name of the image, such as gsp/test/0007.",
    "path": "Folder of the image in a store.",
    "scenario": "Family of images, named in the recipe.",
    "split": "Split of the image.",
    "label": "Class of the image, a whole number.",
    "class_name": "Name of the class.",
    "pair": "Images of equal pair differ in what makes the label only; null for none.",
    "morphology": "Silhouette or sample that is shown; null for none.",
    "height": "Rows of pixels.",
    "width": "Columns of pixels.",
    "truth_1_share": "Share of pixels with truth >= 1, that belong to an object; in [0, 1].",
    "truth_2_share": "Share of pixels with truth == 2, that make the label true; in [0, 1].",
    "truth_2_known": "Whether somebody knows which objects make the label.",
    "image_digest": "Digest of the pixels.",
    "truth_digest": "Digest of the truth.",
    "instances_digest": "Digest of the object ids; null where there are none.",
    "checksum": "BLAKE3 of the metadata of the image, which has the checksums of its files.",
}
_SPLIT_KINDS: Final = {
    "train": "https://mlcommons.org/definitions/training_split",
    "training": "https://mlcommons.org/definitions/training_split",
    "val": "https://mlcommons.org/definitions/validation_split",
    "valid": "https://mlcommons.org/definitions/validation_split",
    "validation": "https://mlcommons.org/definitions/validation_split",
    "test": "https://mlcommons.org/definitions/testing_split",
}


def croissant(facts: ReleaseFacts) -> bytes:
    """Return the text of ``croissant.json``, Croissant 1.1.

    Before a release is published its files are named relative to the document, then by where they were published. What the facts
    do not say (licence, url, date) is left out; :func:`~miso_gen.release.requirements.missing_fields` tells. The record sets are
    ``images``, the index without its histogram, where the release has it, and ``splits``.
    """
    document = {key: value for key, value in _document(facts).items() if value not in (None, "", [])}
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _document(facts: ReleaseFacts) -> dict[str, Any]:
    spdx = one_line(facts.recipe.license)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": title_text(facts),
        "alternateName": facts.name,
        "description": description(facts),
        "url": home(facts),
        "sameAs": _same_as(facts),
        "identifier": doi_url(facts.doi) if facts.doi else None,
        "version": facts.version,
        "datePublished": facts.date,
        "license": licence_url(spdx) or spdx,
        "creator": [_creator(creator) for creator in creators(facts)],
        "citeAs": bibtex(facts),
        "keywords": list(keywords(facts)),
        "isLiveDataset": False,
        **responsible(facts),
        "distribution": [_file(path, entry, facts) for path, entry in sorted(facts.files.items())],
        "recordSet": [*_images(facts), *_splits(facts)],
    }


def _same_as(facts: ReleaseFacts) -> list[str]:
    pages = [web_url(publication.url) for publication in facts.publications]
    dois = [doi_url(publication.doi) for publication in facts.publications if publication.doi]
    known = dict.fromkeys((*dois, *pages, web_url(facts.recipe.url)))
    return [url for url in known if url and url != home(facts)]


def _creator(creator: Creator) -> dict[str, str]:
    if not creator.person:
        return {"@type": "sc:Organization", "name": creator.name}
    person = {"@type": "sc:Person", "name": creator.spoken, "givenName": creator.given, "familyName": creator.family}
    return {key: value for key, value in {**person, "url": creator.orcid_url}.items() if value}


def _file(path: str, entry: FileEntry, facts: ReleaseFacts) -> dict[str, Any]:
    pack = facts.images_in.get(path)
    words = f"{pack:,} image{'s' * (pack != 1)} as zipped OME-Zarr, each a group at its image_id." if pack is not None else ""
    file = {
        "@type": "cr:FileObject",
        "@id": _id(path),
        "name": path,
        "description": words,
        "contentUrl": _address(path, facts),
        "contentSize": f"{entry.size} B",
        "encodingFormat": _FORMATS.get(path.rpartition(".")[2], "application/octet-stream"),
        "sha256": entry.sha256,
    }
    return {key: value for key, value in file.items() if value}


def _id(text: str) -> str:
    return quote(text, safe="/")


def _address(path: str, facts: ReleaseFacts) -> str:
    """Return where a file lies: on the web where that is known, else wherever it was put, else beside the document."""
    places = facts.publications
    place = next((place for place in places if web_url(place.files)), places[0] if places else None)
    return path if place is None else place.address(path)


def _images(facts: ReleaseFacts) -> list[dict[str, Any]]:
    if INDEX not in facts.files or facts.table.empty:
        return []
    columns = [str(name) for name in facts.table.columns if name != "histogram"]
    return [
        {
            "@type": "cr:RecordSet",
            "@id": "images",
            "name": "images",
            "description": "Every image of the data set, one record each; the pixels are in the packs.",
            "key": {"@id": "images/image_id"},
            "field": [_column(name, facts.table[name]) for name in columns],
        }
    ]


def _column(name: str, values: pd.Series[Any]) -> dict[str, Any]:
    parameter = name.removeprefix("params.")
    return {
        "@type": "cr:Field",
        "@id": f"images/{_id(name)}",
        "name": name,
        "description": _COLUMNS.get(name, f"The parameter {parameter}; null for an image without it."),
        "dataType": _data_type(values),
        "source": {"fileObject": {"@id": _id(INDEX)}, "extract": {"column": name}},
    }


def _data_type(values: pd.Series[Any]) -> str:
    from pandas.api import types

    if types.is_bool_dtype(values):
        return "sc:Boolean"
    if types.is_integer_dtype(values):
        return "sc:Integer"
    return "sc:Float" if types.is_float_dtype(values) else "sc:Text"


def _splits(facts: ReleaseFacts) -> list[dict[str, Any]]:
    names = splits(facts)
    if not names:
        return []
    counts = facts.table["split"].value_counts()
    kinds = all(name in _SPLIT_KINDS for name in names)
    fields = {
        "name": ("Name of the split.", "sc:Text"),
        "images": ("Number of images.", "sc:Integer"),
        **({"url": ("What the split is for.", "sc:URL")} if kinds else {}),
    }
    rows = [{"name": name, "images": int(counts[name]), **({"url": _SPLIT_KINDS[name]} if kinds else {})} for name in names]
    return [
        {
            "@type": "cr:RecordSet",
            "@id": "splits",
            "name": "splits",
            "description": "The splits of the data set.",
            "dataType": "cr:Split",
            "key": {"@id": "splits/name"},
            "field": [
                {"@type": "cr:Field", "@id": f"splits/{name}", "name": name, "description": words, "dataType": kind}
                for name, (words, kind) in fields.items()
            ],
            "data": [{f"splits/{name}": value for name, value in row.items()} for row in rows],
        }
    ]
