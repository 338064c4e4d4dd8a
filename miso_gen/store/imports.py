"""What a store holds besides images: its recipe, and what the recipe imported, so that it can be built again anywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from miso_gen.contents import Content, content_path, look_in, recall
from miso_gen.errors import CorruptStoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from miso_gen.store.target import Target

RECIPE = "recipe.yaml"


def write_recipe(target: Target, recipe: Mapping[str, Any]) -> None:
    """Write the recipe as YAML; nothing is done where it is there."""
    text = recipe_text(recipe)
    if target.size(RECIPE) != len(text) or target.read(RECIPE) != text:
        target.write(RECIPE, text)


def recipe_text(recipe: Mapping[str, Any]) -> bytes:
    """Return the text of ``recipe.yaml``."""
    import yaml

    plain = json.loads(json.dumps(recipe))  # YAML takes no subclasses of dict
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120).encode()


def write_contents(target: Target, digests: Iterable[str]) -> None:
    """Write imported contents; those that are there and sound stay.

    Raises:
        InputError: One is nowhere.
    """
    for digest in digests:
        if not is_sound(target, digest):
            target.write(content_path(digest), recall(digest).to_bytes())


def is_sound(target: Target, digest: str) -> bool:
    """Return whether a store has a content, and its bytes are what its digest says."""
    try:
        Content.from_bytes(target.read(content_path(digest)), digest)
    except (FileNotFoundError, CorruptStoreError):
        return False
    return True


def offer_contents(target: Target) -> None:
    """Let recipes find what a store imported."""
    look_in(target.describe(""), target)
