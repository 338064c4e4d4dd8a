"""How a data set is cited: CITATION.cff, BibTeX, and a line for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from miso_gen.release.creators import Creator, creators
from miso_gen.release.licences import known_licence
from miso_gen.release.markup import one_line, web_url, yaml_text
from miso_gen.release.summary import description, keywords, title_text

if TYPE_CHECKING:
    from miso_gen.release.facts import ReleaseFacts

CITATION: Final = "CITATION.cff"
CFF_VERSION: Final = "1.2.0"  #: of the Citation File Format
_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def citation(facts: ReleaseFacts) -> str:
    """Return the text of ``CITATION.cff``.

    Keys without a value are left out. ``license`` is written for licences known here only, as the format takes no other
    names. Source: Citation File Format 1.2.0.
    """
    licence = known_licence(facts.recipe.license)
    artifact = next((url for publication in facts.publications if (url := web_url(publication.files))), None)
    document = {
        "cff-version": CFF_VERSION,
        "type": "dataset",
        "message": "If you use this data set, please cite it as below, with its version.",
        "title": title_text(facts),
        "abstract": description(facts),
        "authors": [_author(creator) for creator in creators(facts)],
        "version": facts.version,
        "date-released": facts.date,
        "doi": facts.doi,
        "url": home(facts),
        "repository-artifact": artifact,
        "license": licence.spdx if licence else None,
        "keywords": list(keywords(facts)),
        "identifiers": _identifiers(facts),
    }
    return yaml_text({key: value for key, value in document.items() if value})


def home(facts: ReleaseFacts) -> str | None:
    """Return the page of a release: where it was published first, else the home page of the recipe; None for neither."""
    pages = [publication.url for publication in facts.publications]
    return next((url for page in (*pages, facts.recipe.url) if (url := web_url(page))), None)


def doi_url(doi: str) -> str:
    """Return the address that a DOI leads to."""
    return str(web_url(f"https://doi.org/{one_line(doi)}"))


def bibtex(facts: ReleaseFacts) -> str:
    """Return the BibTeX entry of a release; ``@misc``, which every style knows."""
    names = [latex(creator.name) if creator.given else f"{{{latex(creator.name)}}}" for creator in creators(facts)]
    fields = {
        "author": " and ".join(names),
        "title": f"{{{latex(title_text(facts))}}}",
        "year": facts.date[:4],
        "version": facts.version,
        "note": f"Data set, version {facts.version}",
        "doi": facts.doi or "",
        "url": doi_url(facts.doi) if facts.doi else home(facts) or "",
    }
    key = re.sub(r"[^a-z0-9]+", "-", f"{facts.name}-{facts.version}".lower())
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def cite_text(facts: ReleaseFacts) -> str:
    """Return the citation of a release as one line of plain text."""
    names = "; ".join(creator.name for creator in creators(facts))
    year = f" ({facts.date[:4]})" if facts.date else ""
    address = doi_url(facts.doi) if facts.doi else home(facts) or ""
    return f"{names}{year}. {title_text(facts)}, version {facts.version} [Data set]. {address}".strip()


def latex(text: str) -> str:
    """Return a text with everything escaped that LaTeX reads as markup."""
    return "".join(_LATEX.get(char, char) for char in text)


def _author(creator: Creator) -> dict[str, str]:
    names = (
        {"family-names": creator.family, "given-names": creator.given, "affiliation": creator.affiliation}
        if creator.person
        else {"name": creator.name}
    )
    return {key: value for key, value in {**names, "orcid": creator.orcid_url}.items() if value}


def _identifiers(facts: ReleaseFacts) -> list[dict[str, str]]:
    found = [
        {"type": "other", "value": f"blake3:{facts.root_digest}", "description": "Root digest over all images"},
        {"type": "other", "value": f"sha256:{facts.recipe_digest}", "description": "Digest of the recipe"},
    ]
    dois = dict.fromkeys(publication.doi for publication in facts.publications if publication.doi)
    found += [{"type": "doi", "value": doi, "description": f"DOI of version {facts.version}"} for doi in dois]
    pages = {url: publication.target for publication in facts.publications if (url := web_url(publication.url))}
    found += [{"type": "url", "value": url, "description": f"Version {facts.version} on {pages[url]}"} for url in pages]
    return found
