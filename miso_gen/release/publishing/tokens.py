"""Tokens: from the environment or the system's keyring, and shown nowhere."""

from __future__ import annotations

import os
from typing import Final, NoReturn

from miso_gen.errors import InputError

SERVICE: Final = "miso-gen"  #: under which the keyring holds tokens
_HIDDEN = "***"


class Token:
    """A token that does not show itself: not when printed, not in a traceback, not in a pickle.

    Args:
        value: The token.
        variable: The environment variable that it is known by.
    """

    __slots__ = ("_value", "variable")

    def __init__(self, value: str, variable: str) -> None:
        self._value, self.variable = value, variable

    def __repr__(self) -> str:
        return f"Token({self.variable})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token must stay in its process, got pickled")

    def reveal(self) -> str:
        """Return the token itself, for the header of a request and nothing else."""
        return self._value

    def redact(self, text: str) -> str:
        """Return a text, such as the answer of a server, without the token."""
        return text.replace(self._value, _HIDDEN)


def find_token(variable: str, service: str) -> Token:
    """Return a token from the environment, else from the keyring.

    Args:
        variable: Such as ``ZENODO_TOKEN``; also its name in the keyring, under the service ``miso-gen``.
        service: Whose token it is, for messages.

    Raises:
        InputError: There is none, or it can be no token. The message does not show it.
    """
    value = os.environ.get(variable, "").strip() or _from_keyring(variable)
    if not value:
        raise InputError(
            f"{variable} must be set to a token of {service}, got nothing. "
            f"Run: export {variable}=..., or keep it in the keyring: keyring set {SERVICE} {variable}"
        )
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise InputError(
            f"{variable} must be a token of {service}, got a text with blanks or special characters. Copy the token again."
        )
    return Token(value, variable)


def _from_keyring(variable: str) -> str:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return ""
    try:
        return (keyring.get_password(SERVICE, variable) or "").strip()
    except KeyringError:  # no keyring on this machine, or a locked one
        return ""
