"""Free text in YAML, Markdown and URLs: whatever a recipe says arrives as text, never as markup."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: What YAML 1.1 and 1.2 both read as text where it stands unquoted, but for these words.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "inf", "nan"})
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~&$!])")
_OPENING: Final = re.compile(r"^(?:[-+=:]|\d+[.)])")  # what makes the start of a line a list, a heading or a table
_URL_SAFE: Final = "!#$%&'()*+,/:;=?@[]~-._"


def yaml_text(data: dict[str, Any]) -> str:
    """Return plain data as YAML in the order given; every reader of YAML 1.1 or 1.2 has the same texts and numbers of it."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**31))


class _Dumper(yaml.SafeDumper):
    """Texts in double quotes, lists indented, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def one_line(text: str) -> str:
    """Return a text without line breaks, runs of spaces, control characters, and halves of characters, which no file can hold."""
    return " ".join("".join(char for char in text if char.isspace() or unicodedata.category(char) not in ("Cc", "Cs")).split())


def escaped(text: str) -> str:
    """Return a text on one line so that Markdown, in a paragraph, a heading or a table, shows it as it is."""
    line = _SPECIAL.sub(r"\\\1", one_line(text))
    opening = _OPENING.match(line)
    if opening is None:
        return line
    place = opening.end() - 1
    return f"{line[:place]}\\{line[place:]}"


def code(text: str) -> str:
    """Return a text as a code span of Markdown; in a table, too."""
    line = one_line(text).replace("|", "\\|") or " "
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    space = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{ticks}{space}{line}{space}{ticks}"


def fence(text: str, language: str) -> str:
    """Return a text as a block of code."""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text}\n{ticks}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """Return a table of Markdown; cells are Markdown, the last ``numbers`` columns are set to the right."""
    rule = ["---"] * (len(head) - numbers) + ["--:"] * numbers
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def web_url(text: str) -> str | None:
    """Return a web address with everything escaped that a URL can't hold; None for what is no http(s) address."""
    url = one_line(text)
    return quote(url, safe=_URL_SAFE) if re.match(r"https?://[^/\s]", url) else None


def link(text: str) -> str:
    """Return an address as a link of Markdown where it is one of the web, else as code."""
    url = web_url(text)
    return f"<{url}>" if url else code(text)
