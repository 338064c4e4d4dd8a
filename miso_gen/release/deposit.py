"""The record of a release in an archive that runs InvenioRDM, such as Zenodo."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from miso_gen.release.citation import cite_text
from miso_gen.release.creators import Creator, creators
from miso_gen.release.licences import known_licence
from miso_gen.release.markup import one_line, web_url
from miso_gen.release.summary import description, images_text, keywords, scenario_summaries, title_text

if TYPE_CHECKING:
    from miso_gen.release.facts import ReleaseFacts

_ARCHIVE: Final = "zenodo"
_PUBLISHER: Final = "Zenodo"


def deposit(facts: ReleaseFacts) -> dict[str, Any]:
    """Return the ``metadata`` of the record, as plain data.

    Names are those of InvenioRDM. Keys without a value are left out; ``publication_date``, too, where the facts have no date.
    ``description`` is HTML in which every text of the recipe is escaped. Publications in other places are identical to the
    record; the home page documents it.
    """
    metadata = {
        "resource_type": {"id": "dataset"},
        "title": title_text(facts),
        "creators": [_creator(creator) for creator in creators(facts)],
        "publication_date": facts.date,
        "version": facts.version,
        "publisher": _PUBLISHER,
        "description": _description(facts),
        "rights": _rights(facts),
        "subjects": [{"subject": word} for word in keywords(facts)],
        "related_identifiers": _related(facts),
    }
    return {key: value for key, value in metadata.items() if value}


def _creator(creator: Creator) -> dict[str, Any]:
    if creator.person:
        party: dict[str, Any] = {"type": "personal", "family_name": creator.family}
        party |= {"given_name": creator.given} if creator.given else {}
        party |= {"identifiers": [{"scheme": "orcid", "identifier": creator.orcid}]} if creator.orcid else {}
    else:
        party = {"type": "organizational", "name": creator.name}
    affiliations = {"affiliations": [{"name": creator.affiliation}]} if creator.affiliation else {}
    return {"person_or_org": party, **affiliations}


def _description(facts: ReleaseFacts) -> str:
    scenarios = "".join(
        f"<li><strong>{escape(scenario.name)}</strong>: {escape(scenario.shows or 'one family of images')} "
        f"({scenario.images:,} image{'s' * (scenario.images != 1)})</li>"
        for scenario in scenario_summaries(facts)
    )
    said = f"<p>{escape(description(facts))}</p>" if one_line(facts.recipe.description) else ""
    return (
        f"{said}<p>{escape(images_text(facts))}.</p><ul>{scenarios}</ul>"
        f"<p>Recipe digest <code>{escape(facts.recipe_digest)}</code>, root digest <code>{escape(facts.root_digest)}</code>. "
        f"<code>README.md</code> says how to load and verify the data set.</p>"
        f"<p>{escape(cite_text(facts))}</p>"
    )


def _rights(facts: ReleaseFacts) -> list[dict[str, Any]]:
    licence = known_licence(facts.recipe.license)
    if licence:
        return [{"id": licence.spdx.lower()}]
    name = one_line(facts.recipe.license)
    return [{"title": {"en": name}}] if name else []


def _related(facts: ReleaseFacts) -> list[dict[str, Any]]:
    found = []
    for publication in facts.publications:
        if publication.target == _ARCHIVE:
            continue
        url = web_url(publication.url)
        if publication.doi:
            found.append(_relation(publication.doi, "doi", "isidenticalto", "dataset"))
        elif url:
            found.append(_relation(url, "url", "isidenticalto", "dataset"))
    home = web_url(facts.recipe.url)
    if home and all(home != relation["identifier"] for relation in found):
        found.append(_relation(home, "url", "isdocumentedby", "other"))
    return list({relation["identifier"]: relation for relation in found}.values())


def _relation(identifier: str, scheme: str, relation: str, kind: str) -> dict[str, Any]:
    return {
        "identifier": identifier,
        "scheme": scheme,
        "relation_type": {"id": relation},
        "resource_type": {"id": kind},
    }
