"""A name in a recipe -> a class in a file.

A family of plug-ins is one :class:`Registry`. It finds its members by importing every module of one package, named by a
dotted string, and the entry points of the same group, so that the room that owns the registry never imports the room
that fills it, and a new plug-in is one new file.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Generic, TypeVar

from miso_gen.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


class Registry(Generic[T]):
    """The plug-ins of one family, by name.

    Args:
        family: Singular noun for messages, e.g. ``"scenario"``.
        package: Dotted name of the package whose modules register themselves.
        group: Entry-point group of third parties; default ``miso_gen.<last part of package>``.
    """

    def __init__(self, family: str, package: str, group: str | None = None) -> None:
        self.family = family
        self.package = package
        self.group = group or f"miso_gen.{package.rpartition('.')[2]}"
        self._members: dict[str, type[T]] = {}
        self._aliases: dict[str, str] = {}
        self._discovered = False

    def register(self, name: str, alias: str | None = None) -> Callable[[type[T]], type[T]]:
        """Return a decorator that registers a class under ``name``, and writes the name to its ``type_name``.

        Args:
            name: What recipes and stores call it.
            alias: Another name that :meth:`get` understands, e.g. the number that a paper gives it.
        """

        def add(cls: type[T]) -> type[T]:
            known = self._members.get(name)
            if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ValueError(f"{self.family} {name!r} is registered twice: by {known.__module__} and by {cls.__module__}.")
            cls.type_name = name  # type: ignore[attr-defined]  # families declare it as a ClassVar
            self._members[name] = cls
            if alias is not None and self._aliases.setdefault(alias, name) != name:
                raise ValueError(f"{self.family} {alias!r} stands for two: {self._aliases[alias]!r} and {name!r}.")
            return cls

        return add

    def get(self, name: str | int) -> type[T]:
        """Return the class of that name; a number stands for the alias that it spells.

        Raises:
            UnknownNameError: No plug-in has the name; the message lists those there are and guesses the typo.
        """
        self._discover()
        try:
            return self._members[self._aliases.get(self._key(name), self._key(name))]
        except KeyError:
            raise UnknownNameError(self.family, str(name), self.names()) from None

    def names(self) -> tuple[str, ...]:
        """Return every registered name, sorted."""
        self._discover()
        return tuple(sorted(self._members))

    @property
    def aliases(self) -> dict[str, str]:
        """The other names that :meth:`get` understands, and what they stand for."""
        self._discover()
        return dict(self._aliases)

    def __iter__(self) -> Iterator[tuple[str, type[T]]]:
        self._discover()
        return iter(sorted(self._members.items()))

    def __contains__(self, name: object) -> bool:
        self._discover()
        key = self._key(name)
        return key in self._members or key in self._aliases

    @staticmethod
    def _key(name: object) -> str:
        if isinstance(name, str):
            return name
        return str(name) if type(name) is int else ""  # True is no 1

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True  # a plug-in may ask for another one while it is imported
        try:
            package = importlib.import_module(self.package)
            for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
                importlib.import_module(f"{self.package}.{module}")
            for point in sorted(entry_points(group=self.group), key=lambda p: p.name):
                point.load()
        except BaseException:
            self._discovered = False  # so that the next call says what is wrong again
            raise


def plugin_packages() -> list[str]:
    """Return the names of the installed packages that bring plug-ins through entry points, sorted."""
    points = (point for group in entry_points().groups if group.startswith("miso_gen.") for point in entry_points(group=group))
    return sorted({point.dist.name for point in points if point.dist is not None and point.dist.name})
