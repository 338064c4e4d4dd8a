"""Croissant: an outside reader loads and streams what we wrote, and our own check finds what that reader lets pass."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from releasing_facts import (
    BUCKET,
    HUB,
    RECIPE,
    ZENODO,
    contents,
    facts_of,
    shuffled,
    small_facts,
    texts_of_a_recipe,
    write_release,
)

from miso_gen.recipe import load_recipe
from miso_gen.release.croissant import croissant
from miso_gen.release.requirements import CORE, RESPONSIBLE, missing_fields

if TYPE_CHECKING:
    from pathlib import Path

    from miso_gen.release.facts import ReleaseFacts

pytestmark = pytest.mark.filterwarnings("ignore")  # of mlcroissant and what it imports

#: What the venues list, letter by letter.
ASKED = (
    "rai:dataLimitations",
    "rai:dataBiases",
    "rai:personalSensitiveInformation",
    "rai:dataUseCases",
    "rai:dataSocialImpact",
    "rai:hasSyntheticData",
    "prov:wasDerivedFrom",
    "prov:wasGeneratedBy",
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReleaseFacts]:
    folder = tmp_path_factory.mktemp("release")
    recipe = load_recipe(RECIPE)
    files = contents(recipe)
    facts = facts_of(recipe, files)
    write_release(folder, {**files, "croissant.json": croissant(facts)})
    return folder, facts


def opened(place: Path | dict[str, Any]) -> Any:
    import mlcroissant

    return mlcroissant.Dataset(jsonld=place if isinstance(place, dict) else str(place))


def document_of(facts: ReleaseFacts) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(croissant(facts))
    return document


def same(value: Any, expected: Any) -> bool:
    if expected is None or (isinstance(expected, float) and math.isnan(expected)):
        return value is None
    return bool(value == (expected.encode() if isinstance(expected, str) else expected))


def test_an_outside_reader_finds_nothing_wrong(release: tuple[Path, ReleaseFacts]) -> None:
    dataset = opened(release[0] / "croissant.json")
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings


def test_the_command_of_an_outside_reader_agrees(release: tuple[Path, ReleaseFacts]) -> None:
    """With every proxy and every web address dead: nothing may be fetched."""
    code = (
        "import socket, sys\n"
        "def dead(*args, **kwargs): raise OSError('no network')\n"
        "socket.socket.connect = dead; socket.getaddrinfo = dead\n"
        "from absl import app\n"
        "from mlcroissant.scripts import validate\n"
        "app.run(validate.main)\n"
    )
    command = [sys.executable, "-c", code, "--jsonld", str(release[0] / "croissant.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Done." in done.stderr
    assert "WARNING" not in done.stderr


def test_every_record_streams_and_equals_the_table(release: tuple[Path, ReleaseFacts]) -> None:
    folder, facts = release
    dataset = opened(folder / "croissant.json")
    assert [records.uuid for records in dataset.metadata.record_sets] == ["images", "splits"]
    found = list(dataset.records("images"))
    assert len(found) == len(facts.table)
    for record, row in zip(found, facts.table.to_dict("records"), strict=True):
        assert record.keys() == {f"images/{name}" for name in row}
        assert [name for name, value in row.items() if not same(record[f"images/{name}"], value)] == []
    rows = list(dataset.records("splits"))
    assert [(row["splits/name"], row["splits/images"]) for row in rows] == [("train", 16), ("test", 16)]


def test_types_of_columns(release: tuple[Path, ReleaseFacts]) -> None:
    kinds = {field["name"]: field["dataType"] for field in document_of(release[1])["recordSet"][0]["field"]}
    assert {kinds[name] for name in ("image_id", "split", "scenario", "class_name", "pair", "image_digest")} == {"sc:Text"}
    assert {kinds[name] for name in ("label", "height", "width")} == {"sc:Integer"}
    assert {kinds[name] for name in ("truth_1_share", "params.fuzz", "params.radius_px")} == {"sc:Float"}
    assert kinds["truth_2_known"] == "sc:Boolean"


def test_odd_names_of_parameters_stream(tmp_path: Path) -> None:
    recipe = load_recipe(RECIPE)
    files = contents(recipe)
    facts = facts_of(recipe, files)
    table = facts.table.rename(columns={"params.fuzz": "params.cells[0].x y#?"})
    table.to_parquet(tmp_path / "index.parquet", index=False)
    data = (tmp_path / "index.parquet").read_bytes()
    facts = replace(facts_of(recipe, files), table=table)
    facts = replace(facts, files={**facts.files, "index.parquet": facts.files["index.parquet"]._replace(sha256=sha256(data))})
    write_release(tmp_path, {"croissant.json": croissant(facts)})
    first = next(iter(opened(tmp_path / "croissant.json").records("images")))
    assert first["images/params.cells%5B0%5D.x%20y%23%3F"] == 0.0 or first["images/params.cells%5B0%5D.x%20y%23%3F"] == 0.1


def sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def test_a_wrong_checksum_is_found_when_reading(release: tuple[Path, ReleaseFacts], tmp_path: Path) -> None:
    folder, facts = release
    wrong = {**facts.files, "index.parquet": facts.files["index.parquet"]._replace(sha256="0" * 64)}
    files = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    write_release(tmp_path, {**files, "croissant.json": croissant(replace(facts, files=wrong))})
    dataset = opened(tmp_path / "croissant.json")
    with pytest.raises(Exception, match=r"Download\(index.parquet\)") as caught:
        next(iter(dataset.records("images")))
    assert "hash" in str(caught.value.__cause__).lower()


def test_every_file_is_named_with_its_checksum(release: tuple[Path, ReleaseFacts]) -> None:
    folder, facts = release
    files = document_of(facts)["distribution"]
    assert [file["contentUrl"] for file in files] == sorted(facts.files)
    for file in files:
        data = (folder / file["contentUrl"]).read_bytes()
        assert file["sha256"] == sha256(data)
        assert file["contentSize"] == f"{len(data)} B"


@pytest.mark.parametrize(
    ("publications", "prefix"),
    [
        ((), ""),
        ((ZENODO,), "https://zenodo.org/api/records/7/files/"),
        ((BUCKET, HUB), "https://huggingface.co/datasets/me/small/resolve/1.2.0/"),
        ((BUCKET,), "s3://bucket/small/1.2.0/"),
    ],
)
def test_where_files_lie(publications: Any, prefix: str) -> None:
    document = document_of(small_facts(publications=publications))
    names = {file["name"] for file in document["distribution"]}
    if publications == (ZENODO,):  # it has no folders
        names = {name.replace("/", "--") + "/content" for name in names}
    assert {file["contentUrl"] for file in document["distribution"]} == {prefix + name for name in names}
    opened(document)


def test_after_publishing_the_doi_is_named() -> None:
    document = document_of(small_facts(publications=(HUB, ZENODO)))
    assert document["identifier"] == "https://doi.org/10.5281/zenodo.7"
    assert document["url"] == HUB.url
    assert document["identifier"] in document["sameAs"]
    assert "doi = {10.5281/zenodo.7}" in document["citeAs"]


def test_core_values() -> None:
    facts = small_facts()
    document = document_of(facts)
    assert document["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert document["license"] == "https://creativecommons.org/licenses/by/4.0/"
    assert (document["version"], document["datePublished"], document["url"]) == (
        "1.2.0",
        "2026-11-21",
        "https://example.org/small",
    )
    assert [creator["name"] for creator in document["creator"]] == ["Ada Lovelace", "The Shapes Group"]
    assert document["rai:hasSyntheticData"] is True
    assert "gsp: the class can also be told from mean intensity" in " ".join(document["rai:dataBiases"])
    assert facts.recipe_digest in document["prov:wasGeneratedBy"]["prov:label"]
    assert "numpy 2.1.0" in document["prov:wasGeneratedBy"]["prov:label"]


def test_responsible_fields_are_spelled_as_asked() -> None:
    assert RESPONSIBLE == ASKED
    assert set(ASKED) <= document_of(small_facts()).keys()


def test_responsible_fields_survive_an_outside_reader() -> None:
    """The reader knows RAI; what it does not know, PROV, must still be valid JSON-LD."""
    document = document_of(small_facts())
    written = opened(document).metadata.to_json()
    for field in ASKED[:5]:
        assert written[field] == document[field]
    import rdflib

    graph = rdflib.Graph().parse(data=json.dumps(document), format="json-ld", base="https://example.org/")
    prov, rai = "http://www.w3.org/ns/prov#", "http://mlcommons.org/croissant/RAI/"
    predicates = {str(predicate) for predicate in graph.predicates()}
    assert predicates >= {field.replace("prov:", prov).replace("rai:", rai) for field in ASKED}


def test_what_was_imported_is_said(tmp_path: Path) -> None:
    recipe = load_recipe(RECIPE)
    files = contents(recipe, {"ab" * 32: b"content"})
    document = document_of(facts_of(recipe, files))
    assert document["prov:wasDerivedFrom"] == [{"@id": f"imports/{'ab' * 32}.npz"}]
    assert "for the authors of the data set to say" in document["rai:personalSensitiveInformation"]
    write_release(tmp_path, {**files, "croissant.json": json.dumps(document).encode()})
    assert next(iter(opened(tmp_path / "croissant.json").records("images")))["images/split"] in (b"train", b"test")


def test_unequal_classes_and_unknown_evidence_are_said() -> None:
    facts = small_facts()
    table = facts.table.assign(truth_2_known=facts.table["scenario"] == "evp")
    table = table[~((table["scenario"] == "gsp") & (table["label"] == 1) & (table["split"] == "test"))]
    document = document_of(replace(facts, table=table))
    assert "The classes of gsp are not of equal size: 8 of intact, 4 of guilty." in document["rai:dataBiases"]
    assert any(text.startswith("Of 12 of 12 images of gsp nobody knows") for text in document["rai:dataLimitations"])


def test_nothing_is_missing() -> None:
    assert missing_fields(document_of(small_facts())) == []


@pytest.mark.parametrize("field", [*CORE, *ASKED])
@pytest.mark.parametrize("empty", ["gone", None, "", "  ", [], {}])
def test_each_missing_field_is_found(field: str, empty: Any) -> None:
    document = document_of(small_facts())
    if empty == "gone":
        del document[field]
    else:
        document[field] = empty
    assert missing_fields(document) == [field]


def test_missing_fields_of_files_and_creators_are_found() -> None:
    document = document_of(small_facts())
    for field in ("contentUrl", "sha256", "encodingFormat", "name", "contentSize", "@type"):
        broken = copy.deepcopy(document)
        del broken["distribution"][1][field]
        assert missing_fields(broken) == [f"distribution/preview.png/{field}"]
    document["creator"][1]["name"] = ""
    assert missing_fields(document) == ["creator/1/name"]


def test_synthetic_false_is_an_answer() -> None:
    assert missing_fields(document_of(small_facts()) | {"rai:hasSyntheticData": False}) == []


def test_what_facts_lack_is_reported() -> None:
    facts = small_facts({"license": "", "url": "", "authors": [], "keywords": [], "description": "", "title": ""}, date="")
    document = document_of(facts)
    assert missing_fields(document) == ["license", "url", "datePublished"]
    assert document["creator"] == [{"@type": "sc:Organization", "name": "The small authors"}]
    assert document["description"].startswith("32 synthetic images of 300 x 280 px")
    opened(document)


def test_a_licence_that_nobody_knows_keeps_its_name() -> None:
    assert document_of(small_facts({"license": "House-Rules-1"}))["license"] == "House-Rules-1"


def test_no_images_no_index() -> None:
    facts = small_facts()
    files = {path: entry for path, entry in facts.files.items() if path != "index.parquet"}
    assert [records["@id"] for records in document_of(replace(facts, files=files))["recordSet"]] == ["splits"]


def test_splits_of_other_names_have_no_kind(tmp_path: Path) -> None:
    recipe = load_recipe({**RECIPE, "splits": ["train", "far-off"]})
    files = contents(recipe)
    write_release(tmp_path, {**files, "croissant.json": croissant(facts_of(recipe, files))})
    rows = list(opened(tmp_path / "croissant.json").records("splits"))
    assert [set(row) for row in rows] == [{"splits/name", "splits/images"}] * 2


def test_same_facts_same_bytes() -> None:
    facts = small_facts(publications=(ZENODO,))
    text = croissant(facts)
    assert croissant(shuffled(facts)) == text
    assert text == (json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n").encode()


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(changes=texts_of_a_recipe())
def test_any_text_survives(changes: dict[str, Any]) -> None:
    document = document_of(small_facts(changes))
    assert set(missing_fields(document)) <= {"license", "url"}
    metadata = opened(document).metadata
    assert metadata.name == document["name"]
    assert metadata.description == document["description"]
