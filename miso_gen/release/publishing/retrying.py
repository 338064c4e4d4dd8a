"""Trying again: what to do when a service is busy or a connection breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from miso_gen.errors import WorkError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

TRIES: Final = 6  #: of one call, before giving up
LONGEST_S: Final = 900.0  #: a service may ask to wait, but not for longer
_FIRST_S = 1.0


class Interrupted(Exception):  # noqa: N818 - no error yet: it is tried again
    """A call did not come through, and may the next time.

    Args:
        reason: What came instead; without secrets.
        wait_s: What the service asks to wait, in seconds; None for nothing.
        status: The status of its answer, None where there was none.
    """

    def __init__(self, reason: str, wait_s: float | None = None, status: int | None = None) -> None:
        super().__init__(reason)
        self.wait_s, self.status = wait_s, status


def persist(action: Callable[[int], T], sleep: Callable[[float], object], what: str) -> T:
    """Return what an action returns, trying again up to 6 times while it is interrupted.

    Between tries it waits as long as the service asked, at most 15 minutes; else 1 s, 2 s, 4 s, ...

    Args:
        action: Gets the number of the try, from 0; raises :class:`Interrupted`.
        sleep: Waits for seconds.
        what: What is tried, for the message.

    Raises:
        WorkError: It never came through.
    """
    reason = ""
    for number in range(TRIES):
        try:
            return action(number)
        except Interrupted as interruption:
            reason = str(interruption)
            wait_s = interruption.wait_s
        if number < TRIES - 1:
            sleep(min(LONGEST_S, _FIRST_S * 2**number if wait_s is None else wait_s))
    raise WorkError(f"{what} must come through, got {reason}, {TRIES} times. Publish again later: what was sent is kept.")


def retry_after(text: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header; None for none, and for a date, which needs a clock that both agree on."""
    text = (text or "").strip()
    return float(text) if text.isascii() and text.isdigit() else None
