"""What an attempt has to remember until it is done: ``publishing.json`` in the release folder. No token is in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from miso_gen.errors import OutputError

if TYPE_CHECKING:
    from miso_gen.store.target import Target

STATE: Final = "publishing.json"
FORMAT: Final = 1


def write_state(folder: Target, target: str, url: str, record: str) -> None:
    """Remember the draft of an attempt.

    Args:
        folder: The release.
        target: Such as ``zenodo``.
        url: Address of the service.
        record: Number of the draft there.
    """
    state = {"format": FORMAT, "target": target, "url": url, "record": record}
    folder.write(STATE, (json.dumps(state, indent=1) + "\n").encode())


def read_state(folder: Target, target: str, url: str) -> str | None:
    """Return the number of the draft that an earlier attempt made, None where there was none.

    Raises:
        OutputError: The attempt was made elsewhere, or the file can't be read.
    """
    try:
        data = folder.read(STATE)
    except FileNotFoundError:
        return None
    name = folder.describe(STATE)
    try:
        state = json.loads(data)
        form, record, place = state["format"], state["record"], (state["target"], state["url"])
    except (ValueError, KeyError, TypeError):
        form = None
    if form != FORMAT or not isinstance(record, str) or not record.isascii() or not record.replace("-", "").isalnum():
        raise OutputError(f"{name} must be what an attempt to publish left, got another text. Remove it: a new draft is made.")
    if place != (target, url):
        raise OutputError(
            f"{name} must be of {url}, got an attempt at {place[1]}. "
            "Finish that one first, or remove the file: its draft stays there."
        )
    return record


def remove_state(folder: Target) -> None:
    """Forget the attempt."""
    folder.remove(STATE)
