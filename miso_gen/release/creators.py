"""Who made a data set: persons and groups, as citations name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from miso_gen.release.markup import one_line

if TYPE_CHECKING:
    from miso_gen.release.facts import ReleaseFacts


class Creator(NamedTuple):
    """A person or a group.

    Attributes:
        name: ``Family, Given`` of a person, else the name as it was given.
        family: Family name of a person; the whole name where there is no other; empty for a group.
        given: Given name of a person, where there is one.
        orcid: ORCID iD, such as ``0000-0002-1825-0097``; empty for none.
        affiliation: Where they work; empty for unknown.
    """

    name: str
    family: str = ""
    given: str = ""
    orcid: str = ""
    affiliation: str = ""

    @property
    def person(self) -> bool:
        """Whether this is a person, not a group."""
        return bool(self.family)

    @property
    def spoken(self) -> str:
        """The name as one says it: ``Given Family``."""
        return f"{self.given} {self.family}" if self.given else self.name

    @property
    def orcid_url(self) -> str:
        """Address of the ORCID iD; empty for none."""
        return f"https://orcid.org/{self.orcid}" if self.orcid else ""


def creators(facts: ReleaseFacts) -> tuple[Creator, ...]:
    """Return who made a data set, in the order of the recipe, nobody twice.

    ``Family, Given`` is a person, and so is who has an ORCID iD; everybody else is a group. A recipe that names nobody
    was made by the group "The <name> authors", so that every citation names somebody.
    """
    found: dict[tuple[str, ...], Creator] = {}
    for author in facts.recipe.authors:
        name, affiliation = one_line(author.name), one_line(author.affiliation)
        family, _, given = (part.strip() for part in name.partition(","))
        if family and given:
            creator = Creator(f"{family}, {given}", family, given, author.orcid, affiliation)
        elif name:
            creator = Creator(name, name if author.orcid else "", "", author.orcid, affiliation)
        else:
            continue
        found.setdefault(creator if creator.person else (creator.name,), creator)  # namesakes may be two persons, not two groups
    return tuple(found.values()) or (Creator(f"The {facts.name} authors"),)
