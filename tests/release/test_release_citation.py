"""Citation and licence: CITATION.cff against the rules of the format, written out."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from releasing_facts import BUCKET, HUB, ZENODO, shuffled, small_facts, texts, texts_of_a_recipe

from miso_gen.release.citation import bibtex, citation, cite_text, doi_url, home, latex
from miso_gen.release.creators import Creator, creators
from miso_gen.release.licences import hub_licence, known_licence, licence_text, licence_url

#: Keys of the Citation File Format 1.2.0 that we may write.
KEYS = {
    "abstract",
    "authors",
    "cff-version",
    "date-released",
    "doi",
    "identifiers",
    "keywords",
    "license",
    "message",
    "repository-artifact",
    "title",
    "type",
    "url",
    "version",
}
URL = r"(https|http|ftp|sftp)://[!-~]+"
DOI = r"10\.\d{4,9}(\.\d+)?/[A-Za-z0-9:/_;\-\.\(\)\[\]\\]+"
ORCID = r"https://orcid\.org/[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X]"
#: SPDX names, from the list that the format has.
SPDX = {"CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-4.0", "CC0-1.0"}
SPDX |= {"ODbL-1.0", "ODC-By-1.0", "PDDL-1.0", "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause"}


def text(value: Any) -> bool:
    return isinstance(value, str) and len(value) > 0


def unique(values: Any) -> bool:
    return isinstance(values, list) and len(values) > 0 and all(values.count(value) == 1 for value in values)


def check(written: str) -> dict[str, Any]:
    """Check a text against the rules of the format, and return its content."""
    document: dict[str, Any] = yaml.safe_load(written)
    assert {"authors", "cff-version", "message", "title"} <= document.keys() <= KEYS
    assert document["cff-version"] == "1.2.0"
    assert document["type"] == "dataset"
    assert all(text(document[key]) for key in ("message", "title", "version", "abstract"))
    if "date-released" in document:
        assert re.fullmatch(r"[0-9]{4}-(0[1-9]|1[012])-(0[1-9]|[12][0-9]|3[01])", document["date-released"])
        date.fromisoformat(document["date-released"])
    if "doi" in document:
        assert re.fullmatch(DOI, document["doi"])
    for key in ("url", "repository-artifact"):
        assert key not in document or re.fullmatch(URL, document[key])
    if "license" in document:
        assert document["license"] in SPDX
    assert unique(document["keywords"])
    assert all(text(word) for word in document["keywords"])
    assert unique(document["authors"])
    for author in document["authors"]:
        person, entity = {"family-names", "given-names", "affiliation", "orcid"}, {"name"}
        assert author.keys() <= person or author.keys() == entity
        assert all(text(value) for value in author.values())
        assert "orcid" not in author or re.fullmatch(ORCID, author["orcid"])
    assert unique(document["identifiers"])
    for identifier in document["identifiers"]:
        assert identifier.keys() == {"type", "value", "description"}
        assert all(text(value) for value in identifier.values())
        rule = {"doi": DOI, "url": URL, "other": r".+"}[identifier["type"]]
        assert re.fullmatch(rule, identifier["value"])
    return document


def test_what_is_cited() -> None:
    facts = small_facts(publications=(HUB, ZENODO))
    document = check(citation(facts))
    assert document["authors"] == [
        {
            "family-names": "Lovelace",
            "given-names": "Ada",
            "affiliation": "Analytical Engines",
            "orcid": "https://orcid.org/0000-0002-1825-0097",
        },
        {"name": "The Shapes Group"},
    ]
    assert (document["title"], document["version"], document["date-released"]) == ("Small shapes", "1.2.0", "2026-11-21")
    assert (document["doi"], document["license"]) == ("10.5281/zenodo.7", "CC-BY-4.0")
    assert (document["url"], document["repository-artifact"]) == (HUB.url, HUB.files)
    assert document["abstract"] == "Two families of images. Their labels are true for a known reason."
    values = [identifier["value"] for identifier in document["identifiers"]]
    assert values == [f"blake3:{facts.root_digest}", f"sha256:{facts.recipe_digest}", "10.5281/zenodo.7", HUB.url, ZENODO.url]


def test_before_publishing() -> None:
    document = check(citation(small_facts()))
    assert not document.keys() & {"doi", "repository-artifact"}
    assert document["url"] == "https://example.org/small"


def test_a_bucket_is_no_address_of_the_format() -> None:
    document = check(citation(small_facts({"url": ""}, publications=(BUCKET,))))
    assert not document.keys() & {"url", "repository-artifact"}


def test_without_authors_licence_and_date() -> None:
    facts = small_facts({"authors": [], "license": "", "title": "", "description": "", "keywords": [], "url": ""}, date="")
    document = check(citation(facts))
    assert document["authors"] == [{"name": "The small authors"}]
    assert not document.keys() & {"license", "date-released", "url"}
    assert document["title"] == "small"
    assert cite_text(facts) == "The small authors. small, version 1.2.0 [Data set]."


def test_a_licence_that_the_format_does_not_know_is_left_out() -> None:
    assert "license" not in check(citation(small_facts({"license": "House-Rules"})))
    assert check(citation(small_facts({"license": "cc0-1.0"})))["license"] == "CC0-1.0"


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(changes=texts_of_a_recipe())
def test_any_text_survives(changes: dict[str, Any]) -> None:
    facts = small_facts(changes)
    document = check(citation(facts))
    assert document["title"] == (" ".join(creator_free(changes["title"]).split()) or "small")
    assert len(document["authors"]) == len(creators(facts))
    licence_text(facts).encode()
    assert bibtex(facts).count("\n@") == 0


def creator_free(value: str) -> str:
    """Return a text without control characters."""
    return "".join(char for char in value if char.isspace() or not (ord(char) < 32 or 0x7F <= ord(char) <= 0x9F))


@pytest.mark.parametrize(
    ("author", "creator"),
    [
        ({"name": "Hopper, Grace"}, Creator("Hopper, Grace", "Hopper", "Grace")),
        ({"name": " Hopper ,\n Grace "}, Creator("Hopper, Grace", "Hopper", "Grace")),
        ({"name": "King, Martin, Jr."}, Creator("King, Martin, Jr.", "King", "Martin, Jr.")),
        ({"name": "Group,"}, Creator("Group,")),
        ({"name": ", x"}, Creator(", x")),
        ({"name": "A Group", "affiliation": "U"}, Creator("A Group", affiliation="U")),
        (
            {"name": "Plato", "orcid": "0000-0002-1825-0097"},
            Creator("Plato", "Plato", orcid="0000-0002-1825-0097"),
        ),
    ],
)
def test_persons_and_groups(author: dict[str, str], creator: Creator) -> None:
    assert creators(small_facts({"authors": [author]})) == (creator,)


def test_nobody_is_cited_twice() -> None:
    assert len(creators(small_facts({"authors": [{"name": "A, B"}, {"name": "A,  B"}, {"name": "C"}]}))) == 2
    assert creators(small_facts({"authors": [{"name": "\x00"}]})) == (Creator("The small authors"),)


def test_bibtex() -> None:
    facts = small_facts({"title": "50% of {x} & y_1"}, publications=(ZENODO,))
    assert bibtex(facts) == (
        "@misc{small-1-2-0,\n"
        "  author = {Lovelace, Ada and {The Shapes Group}},\n"
        "  title = {{50\\% of \\{x\\} \\& y\\_1}},\n"
        "  year = {2026},\n"
        "  version = {1.2.0},\n"
        "  note = {Data set, version 1.2.0},\n"
        "  doi = {10.5281/zenodo.7},\n"
        "  url = {https://doi.org/10.5281/zenodo.7},\n"
        "}"
    )
    assert "year" not in bibtex(replace(facts, date=""))


@given(value=texts())
def test_braces_of_latex_balance(value: str) -> None:
    depth = 0
    for mark in re.findall(r"\\[{}]|[{}]", latex(value)):
        depth += {"{": 1, "}": -1}.get(mark, 0)
        assert depth >= 0
    assert depth == 0


def test_cited_in_a_line() -> None:
    line = "Lovelace, Ada; The Shapes Group (2026). Small shapes, version 1.2.0 [Data set]. https://doi.org/10.5281/zenodo.7"
    assert cite_text(small_facts(publications=(HUB, ZENODO))) == line


def test_addresses() -> None:
    assert doi_url("10.1/a b") == "https://doi.org/10.1/a%20b"
    assert home(small_facts(publications=(BUCKET, ZENODO))) == ZENODO.url
    assert home(small_facts(publications=(BUCKET,))) == "https://example.org/small"
    assert home(small_facts({"url": "not an address"})) is None


def test_same_facts_same_text() -> None:
    facts = small_facts(publications=(ZENODO, HUB))
    assert citation(shuffled(facts)) == citation(facts)
    assert licence_text(shuffled(facts)) == licence_text(facts)


@pytest.mark.parametrize(
    ("spdx", "url", "hub"),
    [
        ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/", "cc-by-4.0"),
        ("cc-by-sa-4.0", "https://creativecommons.org/licenses/by-sa/4.0/", "cc-by-sa-4.0"),
        ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("MIT", "https://spdx.org/licenses/MIT.html", "mit"),
        (" Apache-2.0 ", "https://www.apache.org/licenses/LICENSE-2.0", "apache-2.0"),
        ("ODC-By-1.0", "https://opendatacommons.org/licenses/by/1-0/", "odc-by"),
        ("House-Rules", None, "other"),
        ("", None, "unknown"),
        ("  ", None, "unknown"),
    ],
)
def test_names_of_licences(spdx: str, url: str | None, hub: str) -> None:
    assert licence_url(spdx) == url
    assert hub_licence(spdx) == hub


@pytest.mark.parametrize("spdx", sorted(SPDX))
def test_notices(spdx: str) -> None:
    licence = known_licence(spdx)
    assert licence is not None
    assert licence.spdx == spdx
    notice = licence_text(small_facts({"license": spdx}))
    assert f"SPDX-License-Identifier: {spdx}\n" in notice
    assert f"The legal text decides: {licence.legal}\n" in notice
    assert "2026 Lovelace, Ada; The Shapes Group" in notice
    assert "Data set small, version 1.2.0" in notice
    assert ("give up their rights" in notice) == (spdx in ("CC0-1.0", "PDDL-1.0"))


def test_notice_of_a_licence_of_the_house() -> None:
    notice = licence_text(small_facts({"license": "House-Rules"}))
    assert "SPDX-License-Identifier: House-Rules\n" in notice
    assert "under the licence House-Rules.\n" in notice


def test_notice_without_a_licence() -> None:
    notice = licence_text(small_facts({"license": ""}))
    assert "No licence was granted" in notice
    assert "SPDX" not in notice
