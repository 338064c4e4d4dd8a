"""The record of an archive: names and values of InvenioRDM, and HTML in which nothing of a recipe is markup."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from releasing_facts import BUCKET, HUB, ZENODO, shuffled, small_facts, texts_of_a_recipe

from miso_gen.release.deposit import deposit
from miso_gen.release.facts import Publication
from miso_gen.release.markup import one_line


def _named(key: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [key],
        "properties": {key: {"type": "string", "minLength": 1}},
        "additionalProperties": False,
    }


_ORCID = {
    "type": "object",
    "required": ["scheme", "identifier"],
    "properties": {"scheme": {"const": "orcid"}, "identifier": {"pattern": r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$"}},
}
_TEXT = {"type": "string", "minLength": 1}
#: What InvenioRDM takes, as far as we use it.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["resource_type", "title", "creators", "publication_date"],
    "additionalProperties": False,
    "properties": {
        "resource_type": {"const": {"id": "dataset"}},
        "title": {"type": "string", "minLength": 3},
        "creators": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["person_or_org"],
                "additionalProperties": False,
                "properties": {
                    "affiliations": {"type": "array", "items": _named("name")},
                    "person_or_org": {
                        "oneOf": [
                            {
                                "required": ["type", "family_name"],
                                "additionalProperties": False,
                                "properties": {
                                    "type": {"const": "personal"},
                                    "family_name": _TEXT,
                                    "given_name": _TEXT,
                                    "identifiers": {"type": "array", "items": _ORCID},
                                },
                            },
                            {
                                "required": ["type", "name"],
                                "additionalProperties": False,
                                "properties": {"type": {"const": "organizational"}, "name": _TEXT},
                            },
                        ]
                    },
                },
            },
        },
        "publication_date": {"pattern": r"^\d{4}-\d{2}-\d{2}$"},
        "version": _TEXT,
        "publisher": _TEXT,
        "description": _TEXT,
        "rights": {
            "type": "array",
            "items": {
                "oneOf": [{"required": ["id"], "properties": {"id": {"pattern": "^[a-z0-9.-]+$"}}}, {"required": ["title"]}]
            },
        },
        "subjects": {"type": "array", "items": _named("subject"), "uniqueItems": True},
        "related_identifiers": {
            "type": "array",
            "uniqueItems": True,
            "items": {
                "required": ["identifier", "scheme", "relation_type"],
                "additionalProperties": False,
                "properties": {
                    "identifier": _TEXT,
                    "scheme": {"enum": ["url", "doi"]},
                    "relation_type": {"enum": [{"id": "isidenticalto"}, {"id": "isdocumentedby"}]},
                    "resource_type": {"enum": [{"id": "dataset"}, {"id": "other"}]},
                },
            },
        },
    },
}


class Reader(HTMLParser):
    """Tags and text of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert attrs == []
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(metadata: dict[str, Any]) -> dict[str, Any]:
    jsonschema.Draft202012Validator(SCHEMA).validate(metadata)
    json.dumps(metadata, allow_nan=False)
    return metadata


def test_the_record() -> None:
    facts = small_facts(publications=(ZENODO, HUB))
    metadata = checked(deposit(facts))
    assert (metadata["title"], metadata["version"], metadata["publication_date"]) == ("Small shapes", "1.2.0", "2026-11-21")
    assert metadata["publisher"] == "Zenodo"
    assert metadata["creators"] == [
        {
            "person_or_org": {
                "type": "personal",
                "family_name": "Lovelace",
                "given_name": "Ada",
                "identifiers": [{"scheme": "orcid", "identifier": "0000-0002-1825-0097"}],
            },
            "affiliations": [{"name": "Analytical Engines"}],
        },
        {"person_or_org": {"type": "organizational", "name": "The Shapes Group"}},
    ]
    assert metadata["rights"] == [{"id": "cc-by-4.0"}]
    assert [subject["subject"] for subject in metadata["subjects"]][:2] == ["shapes", "Saliency"]
    html = Reader(metadata["description"])
    for part in (
        "Two families of images.",
        facts.recipe_digest,
        facts.root_digest,
        "evp: One silhouette on noise",
        "(16 images)",
    ):
        assert part in html.text


def test_relations() -> None:
    elsewhere = Publication("hf", HUB.url, HUB.files, "10.57967/hf/1")
    found = [
        [
            (relation["identifier"], relation["relation_type"]["id"])
            for relation in deposit(small_facts(**more))["related_identifiers"]
        ]
        for more in ({}, {"publications": (ZENODO,)}, {"publications": (HUB, BUCKET)}, {"publications": (elsewhere,)})
    ]
    home = ("https://example.org/small", "isdocumentedby")
    assert found == [[home], [home], [(HUB.url, "isidenticalto"), home], [("10.57967/hf/1", "isidenticalto"), home]]


def test_home_page_that_is_a_publication_is_named_once() -> None:
    found = deposit(small_facts({"url": HUB.url}, publications=(HUB, HUB)))["related_identifiers"]
    assert [relation["relation_type"]["id"] for relation in found] == ["isidenticalto"]


@pytest.mark.parametrize(("licence", "rights"), [("MIT", [{"id": "mit"}]), ("House", [{"title": {"en": "House"}}]), ("", None)])
def test_rights(licence: str, rights: Any) -> None:
    assert checked(deposit(small_facts({"license": licence}))).get("rights") == rights


def test_without_anything() -> None:
    facts = small_facts({"authors": [], "license": "", "title": "", "description": "", "keywords": [], "url": ""})
    metadata = checked(deposit(facts))
    assert metadata["creators"] == [{"person_or_org": {"type": "organizational", "name": "The small authors"}}]
    assert not metadata.keys() & {"related_identifiers", "rights"}
    assert "publication_date" not in deposit(small_facts(date=""))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(changes=texts_of_a_recipe())
def test_no_text_is_markup(changes: dict[str, Any]) -> None:
    facts = small_facts(changes | {"title": "Title" + changes["title"]})
    metadata = checked(deposit(facts))
    html = Reader(metadata["description"])
    said = one_line(changes["description"])
    assert html.tags == [*(["p"] if said else []), "p", "ul", "li", "strong", "li", "strong", "p", "code", "code", "code", "p"]
    assert html.text.startswith(said)


def test_same_facts_same_record() -> None:
    facts = small_facts(publications=(ZENODO, HUB))
    assert json.dumps(deposit(shuffled(facts))) == json.dumps(deposit(facts))
