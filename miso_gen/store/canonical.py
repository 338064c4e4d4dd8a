"""JSON texts that vouch for themselves: one spelling for one content, and in the last line the checksum of all before it.

A release has two of them, ``manifest.json`` and ``publication.json``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import blake3

from miso_gen.errors import CorruptStoreError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def spelled(value: Any) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def block(lines: Sequence[str]) -> str:
    """Return members, each on a line of its own; nothing where there are none."""
    return "\n  " + ",\n  ".join(lines) + "\n" if lines else ""


def closed(lines: Sequence[str]) -> bytes:
    """Return the text of an object, given its members, with their BLAKE3 as the last one."""
    checksum = blake3.blake3("\n".join(lines).encode()).hexdigest()
    return ("{\n" + ",\n".join([*lines, f'"checksum": {spelled(checksum)}']) + "\n}\n").encode()


def parsed(data: bytes, newest: int, name: str, edited: Callable[[str, str], CorruptStoreError]) -> dict[str, Any]:
    """Return what such a text says; whether it is the one that was written is not looked at.

    Args:
        data: The text.
        newest: The newest format that can be read.
        name: What to call it in messages.
        edited: Makes the error of a text that is none, of its name and of what was got.

    Raises:
        StoreError: It is of a newer format.
        CorruptStoreError: It is no JSON object with a format.
    """
    try:
        document: dict[str, Any] = json.loads(data)
        form = document["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise edited(name, f"no such text ({type(error).__name__})") from None
    if isinstance(form, int) and form > newest:
        raise StoreError(f"format of {name} must be at most {newest}, got {form}. Upgrade: pip install --upgrade miso-gen")
    return document
