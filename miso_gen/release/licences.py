"""Licences of data: their names elsewhere, and the notice that a release carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from miso_gen.release.creators import creators
from miso_gen.release.markup import one_line
from miso_gen.release.summary import title_text

if TYPE_CHECKING:
    from miso_gen.release.facts import ReleaseFacts

LICENSE: Final = "LICENSE"


class Licence(NamedTuple):
    """A licence.

    Attributes:
        spdx: Its SPDX name.
        title: Its full name.
        url: Its page.
        legal: Its legal text.
        hub: Its name on the Hugging Face Hub.
        waiver: Whether it gives up rights instead of granting them.
    """

    spdx: str
    title: str
    url: str
    legal: str
    hub: str
    waiver: bool = False


def _commons(code: str, words: str) -> Licence:
    url = f"https://creativecommons.org/licenses/{code}/4.0/"
    spdx = f"CC-{code.upper()}-4.0"
    return Licence(spdx, f"Creative Commons {words} 4.0 International", url, f"{url}legalcode", spdx.lower())


def _elsewhere(spdx: str, title: str, url: str, hub: str, *, waiver: bool = False) -> Licence:
    return Licence(spdx, title, url, url, hub, waiver)


_ZERO: Final = "https://creativecommons.org/publicdomain/zero/1.0/"
_KNOWN: Final = (
    _commons("by", "Attribution"),
    _commons("by-sa", "Attribution-ShareAlike"),
    _commons("by-nc", "Attribution-NonCommercial"),
    _commons("by-nc-sa", "Attribution-NonCommercial-ShareAlike"),
    _commons("by-nd", "Attribution-NoDerivatives"),
    _commons("by-nc-nd", "Attribution-NonCommercial-NoDerivatives"),
    Licence("CC0-1.0", "Creative Commons Zero 1.0 Universal", _ZERO, f"{_ZERO}legalcode", "cc0-1.0", waiver=True),
    _elsewhere("ODbL-1.0", "Open Database License 1.0", "https://opendatacommons.org/licenses/odbl/1-0/", "odbl"),
    _elsewhere(
        "ODC-By-1.0", "Open Data Commons Attribution License 1.0", "https://opendatacommons.org/licenses/by/1-0/", "odc-by"
    ),
    _elsewhere(
        "PDDL-1.0",
        "Open Data Commons Public Domain Dedication and License 1.0",
        "https://opendatacommons.org/licenses/pddl/1-0/",
        "pddl",
        waiver=True,
    ),
    _elsewhere("Apache-2.0", "Apache License 2.0", "https://www.apache.org/licenses/LICENSE-2.0", "apache-2.0"),
    _elsewhere("MIT", "MIT License", "https://spdx.org/licenses/MIT.html", "mit"),
    _elsewhere("BSD-2-Clause", "BSD 2-Clause License", "https://spdx.org/licenses/BSD-2-Clause.html", "bsd-2-clause"),
    _elsewhere("BSD-3-Clause", "BSD 3-Clause License", "https://spdx.org/licenses/BSD-3-Clause.html", "bsd-3-clause"),
)
_BY_NAME: Final = {licence.spdx.lower(): licence for licence in _KNOWN}


def known_licence(spdx: str) -> Licence | None:
    """Return what is known of a licence, in capitals or not; None for one that is not known here."""
    return _BY_NAME.get(spdx.strip().lower())


def licence_url(spdx: str) -> str | None:
    """Return the page of a licence; None for one that is not known here."""
    licence = known_licence(spdx)
    return licence.url if licence else None


def hub_licence(spdx: str) -> str:
    """Return what the Hugging Face Hub calls a licence: ``other`` for one not known here, ``unknown`` where none was given."""
    licence = known_licence(spdx)
    if licence:
        return licence.hub
    return "other" if spdx.strip() else "unknown"


def licence_text(facts: ReleaseFacts) -> str:
    """Return the text of ``LICENSE``: who grants what, and where the legal text is; it is not copied here.

    Without a licence the text says that none was granted.
    """
    holders = "; ".join(one_line(creator.name) for creator in creators(facts))
    head = f"{title_text(facts)}\nData set {facts.name}, version {facts.version}\n"
    year = f" {facts.date[:4]}" if facts.date else ""
    spdx = one_line(facts.recipe.license)
    licence = known_licence(spdx)
    if not spdx:
        body = (
            f"Rights:{year} {holders}\n\n"
            "No licence was granted. The law alone says what may be done with this data set; ask the holders of the rights\n"
            "before you copy, change or pass it on.\n"
        )
    elif licence is None:
        body = (
            f"Rights:{year} {holders}\nSPDX-License-Identifier: {spdx}\n\n"
            f"The holders of the rights grant the use of this data set under the licence {spdx}.\n"
            "Ask them for its text where it is not known by this name.\n"
        )
    elif licence.waiver:
        body = (
            f"Made by:{year} {holders}\nSPDX-License-Identifier: {licence.spdx}\n\n"
            f"Those who made this data set give up their rights in it, as far as the law allows, by\n{licence.title}.\n"
            f"The legal text decides: {licence.legal}\n"
        )
    else:
        body = (
            f"Rights:{year} {holders}\nSPDX-License-Identifier: {licence.spdx}\n\n"
            f"The holders of the rights grant the use of this data set under the licence\n{licence.title}.\n"
            f"The legal text decides: {licence.legal}\n"
        )
    return f"{head}\n{body}"
