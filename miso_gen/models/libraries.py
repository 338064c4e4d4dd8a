"""The libraries that hold networks, imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from miso_gen.errors import MissingExtraError


def library(name: str, purpose: str) -> Any:
    """Return a package of the extra ``eval``, such as timm.

    Args:
        name: Its dotted name.
        purpose: What needs it, for the message.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingExtraError(package, "eval", purpose) from None
