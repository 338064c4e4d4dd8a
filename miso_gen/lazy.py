"""Packages whose names are imported on first use, so that who needs one of them does not pay for all.

::

    __getattr__, __dir__ = lazy_names(__name__, {"grid": ("Patches", "Shift")}, extra="eval", packages=("torch",))
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from miso_gen.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def lazy_names(
    package: str, homes: Mapping[str, Sequence[str]], *, extra: str = "", packages: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: Its dotted name.
        homes: The names of each of its modules.
        extra: The extra that brings what it needs.
        packages: What it needs: if one of them is missing, the error says which extra to install.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value = getattr(import_module(f"{package}.{home[name]}"), name)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in packages:
                raise
            raise MissingExtraError(missing, extra, f"{package}.{name}") from None
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted(home)

    return get, names
