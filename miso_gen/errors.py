"""Every error that miso-gen raises on purpose.

::

    MisoGenError                  base; `except MisoGenError` catches all of them
    |-- InputError                the caller asked for something that can't be           exit 2
    |   |-- RecipeError           a recipe, an override or a parameter is wrong
    |   |-- RefusedFilesError     files that can't be imported, each with its reason
    |   |-- UnknownNameError      a name that no plug-in, shape, image or recipe has
    |   |-- OutputError           the place to write to can't be used
    |   `-- StoreError            what should be a store is none, or can't be read
    |       |-- IncompleteStoreError   a build that never finished
    |       `-- CorruptStoreError      its bytes are not what its digests say
    |-- MissingExtraError         an optional package is not installed                   exit 2
    `-- WorkError                 input was right, the work failed                       exit 1
        |-- BuildError            images could not be built
        |-- SpaceError            the disk is full
        `-- ClusterError          the Dask cluster can't be reached or used

A message has the form ``<what> must be <expected>, got <value>. <what to do>.``
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class MisoGenError(Exception):
    """Base of every error that miso-gen raises on purpose."""

    exit_code = 1  #: what the command line exits with


class InputError(MisoGenError):
    """What the caller gave is wrong; nothing was done."""

    exit_code = 2


class RecipeError(InputError):
    """A recipe, an override or a parameter is wrong."""


class UnknownNameError(InputError):
    """A name that nothing has."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        super().__init__(f"{kind} must be one of {listing(self.known)}, got {name!r}.{suggestion(name, self.known)}")

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, tuple[str, ...]]]:
        return type(self), (self.kind, self.name, self.known)


class RefusedFilesError(InputError):
    """Files that can't be imported.

    Attributes:
        refused: (name, rest of the sentence) of each: ``("a.png", "must be a picture, got nothing. Save it again.")``.
    """

    def __init__(self, refused: Iterable[tuple[str, str]]) -> None:
        self.refused = tuple(refused)
        super().__init__("\n".join(f"{name} {reason}" for name, reason in self.refused))

    def __reduce__(self) -> tuple[type[RefusedFilesError], tuple[tuple[tuple[str, str], ...]]]:
        return type(self), (self.refused,)


class OutputError(InputError):
    """The place to write to exists already, can't be written, or is in use."""


class StoreError(InputError):
    """What should be a store is none, or can't be read."""


class IncompleteStoreError(StoreError):
    """The build of this store never finished."""


class CorruptStoreError(StoreError):
    """The bytes of a store are not what its digests say."""


class MissingExtraError(MisoGenError):
    """An optional package is not installed."""

    exit_code = 2

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra, self.purpose = package, extra, purpose
        super().__init__(f"{purpose} needs the package {package!r}, which is not installed. Run: pip install 'miso-gen[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        return type(self), (self.package, self.extra, self.purpose)


class WorkError(MisoGenError):
    """The input was right, the work failed."""


class BuildError(WorkError):
    """Images could not be built."""


class SpaceError(WorkError):
    """The disk is full."""


class ClusterError(WorkError):
    """The Dask cluster can't be reached, or its workers can't be used."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or nothing."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def listing(names: Iterable[str], limit: int = 30) -> str:
    """Return names joined by commas, cut after ``limit``."""
    known = list(names)
    text = ", ".join(known[:limit]) or "(none)"
    return text + (f", ... ({len(known)} in all)" if len(known) > limit else "")


class MisoGenWarning(UserWarning):
    """Something that will work, and that its author would want to know."""
