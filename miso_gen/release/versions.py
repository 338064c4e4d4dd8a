"""The version of a release, decided by what changed: nobody has to judge, and nobody can err.

PATCH: the same images, other texts. MINOR: images were added, the old ones are as they were. MAJOR: pixels, truth, a label
or the split of an old image changed, or one is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from miso_gen.errors import InputError
from miso_gen.store import precedence

if TYPE_CHECKING:
    from miso_gen.release.differences import Difference

Step = Literal["first", "patch", "minor", "major"]


@dataclass(frozen=True)
class Decision:
    """A version, and why.

    Attributes:
        version: The version.
        step: What kind of step it is from the release before.
        reason: What changed, in words.
    """

    version: str
    step: Step
    reason: str


def decide_version(difference: Difference | None, written: str, asked: str | None = None) -> Decision:
    """Return the version that a data set must get.

    Args:
        difference: What changed since the last release; None: there is none.
        written: The version in the recipe. Where it is that of the last release, or older, nobody has thought of it.
        asked: The version that the caller wants; pre-releases of the right version (``2.0.0-rc.1``) may be asked for.

    Raises:
        InputError: The version asked for, or the one written by somebody who thought of it, is another one.
    """
    wanted = asked if asked is not None else written
    if asked is not None:
        _require_semantic(asked)
    if difference is None:
        return Decision(wanted, "first", "the first release")
    last = difference.old.version
    step, reason = _step(difference)
    numbers = _numbers(last)
    if "-" in last.partition("+")[0]:  # what comes after a pre-release is that release, or a later one
        right = ".".join(map(str, numbers))
        fits = precedence(wanted) > precedence(last)
    else:
        place = ("major", "minor", "patch").index(step)
        right = ".".join(map(str, [*numbers[:place], numbers[place] + 1, 0, 0][:3]))
        fits = ".".join(map(str, _numbers(wanted))) == right
    if asked is None and precedence(written) <= precedence(last):
        return Decision(right, step, reason)
    if fits:
        return Decision(wanted, step, reason)
    whose = "version asked for" if asked is not None else "version in the recipe"
    raise InputError(
        f"{whose} must be {right} ({step} after {last}: {reason}), got {wanted}. "
        f"Ask for {right}, or leave it to the machine: no --version, and version: {last} in the recipe."
    )


def _step(difference: Difference) -> tuple[Step, str]:
    counts = ", ".join(f"{count} {kind}" for kind, count in difference.counts().items())
    if difference.breaks:
        return "major", counts
    if difference.added:
        return "minor", counts
    return "patch", "the same images"


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = version.partition("+")[0].partition("-")[0].split(".")
    return int(major), int(minor), int(patch)


def _require_semantic(version: str) -> None:
    try:
        precedence(version)
    except ValueError:
        raise InputError(f"version must be a semantic version, MAJOR.MINOR.PATCH, such as 1.2.0, got {version!r}.") from None
