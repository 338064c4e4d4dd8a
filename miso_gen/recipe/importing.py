"""Plug-ins of what users bring: a recipe names files, the plug-in holds digests of what was found in them.

Reading a recipe imports its files: in place of ``path: shapes/*.png`` and whatever else says how, the plug-in gets fields with
digests of canonical contents (see ``contents``). From then on no path matters, and the digest of the recipe knows none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from miso_gen.errors import InputError, RefusedFilesError
from miso_gen.recipe.parameters import Parameters
from miso_gen.recipe.plugins import Plugin
from miso_gen.recipe.problems import Problem, unknown_key
from miso_gen.recipe.source import Item, item_of

if TYPE_CHECKING:
    from miso_gen.recipe.template import Block

_DIGITS = 64


def _digest(value: str) -> str:
    if len(value) != _DIGITS or not set(value) <= set("0123456789abcdef"):
        raise PydanticCustomError("expected", "the digest of an imported content, 64 hexadecimal digits")
    return value


#: Names a content; written by the import, not by people.
ContentDigest = Annotated[str, AfterValidator(_digest), WithJsonSchema({"type": "string", "pattern": f"^[0-9a-f]{{{_DIGITS}}}$"})]


class FileSource(Parameters, ABC):
    """What a recipe says of files to import, in place of the fields that hold what was found."""

    @abstractmethod
    def load(self, folder: Path) -> Mapping[str, Any]:
        """Import the files.

        Args:
            folder: What relative paths are relative to: the folder of the recipe.

        Returns:
            The fields of the plug-in that hold what was found, as plain values.

        Raises:
            RefusedFilesError: Files can't be used; each is named with the reason.
            InputError: Anything else is wrong.
        """


class Importing(Plugin, ABC):
    """A plug-in of what users bring."""

    source: ClassVar[type[FileSource]]  #: what a recipe may write
    found: ClassVar[tuple[str, ...]]  #: the fields that stand in its place afterwards

    @abstractmethod
    def contents(self) -> tuple[str, ...]:
        """Return the digests of the contents that the plug-in shows."""


def imported(model: type[Importing], item: Item, problems: list[Problem]) -> Item | None:
    """Return the mapping of a plug-in with its files imported; None where something is wrong.

    A mapping that holds what was found already stays as it is.
    """
    item = _without_unknown(model, item, problems)
    given = {key: value for key, value in item.value.items() if key in model.source.model_fields}
    before = [key for key in model.found if key in item.value]
    if not given:
        if not before:
            problems.append(Problem((*item.path, next(iter(model.source.model_fields))), "given", place=item.place))
            return None
        return item
    if before:
        advice = f"It holds what was imported. Leave it out, or leave out {', '.join(given)}."
        problems.append(Problem((*item.path, before[0]), "left out", item.value[before[0]].plain(), advice, item.place))
        return None
    source = _source(model.source, Item(given, item.path, item.place), problems)
    if source is None:
        return None
    place = next(iter(given.values())).place
    try:
        fields = source.load(_folder(place))
    except RefusedFilesError as error:
        problems.extend(Problem(item.path, "", place=place, said=f"{name} {reason}") for name, reason in error.refused)
        return None
    except InputError as error:
        problems.append(Problem(item.path, "", place=place, said=str(error)))
        return None
    rest = {key: value for key, value in item.value.items() if key not in given}
    return Item(
        {**rest, **{key: item_of(value, (*item.path, key), place) for key, value in fields.items()}}, item.path, item.place
    )


def _without_unknown(model: type[Importing], item: Item, problems: list[Problem]) -> Item:
    """Return the mapping without the keys that nothing reads; each is a problem, which names the keys that people write."""
    own = [key for key in model.model_fields if key not in model.found]
    known = ("type", *model.source.model_fields, *own)
    unknown = [value for key, value in item.value.items() if key not in known and key not in model.found]
    problems.extend(unknown_key(value.path, value.plain(), known, value.place) for value in unknown)
    return Item({key: value for key, value in item.value.items() if value not in unknown}, item.path, item.place)


def contents_of(block: Block) -> tuple[str, ...]:
    """Return the digests that a block and the plug-ins in it name, sorted."""
    from miso_gen.recipe.template import Block as BlockType
    from miso_gen.recipe.template import EachOwnBlock, Listed, example

    found: set[str] = set()
    waiting: list[Any] = [block]
    while waiting:
        node = waiting.pop()
        if isinstance(node, EachOwnBlock):
            node = node.block
        if isinstance(node, Listed):
            waiting += node.items
        if isinstance(node, BlockType):
            waiting += node.fields.values()
            if issubclass(node.model, Importing):
                found.update(node.model.from_spec(example(node)).contents())
    return tuple(sorted(found))


def _source(model: type[FileSource], item: Item, problems: list[Problem]) -> FileSource | None:
    from miso_gen.recipe.template import compile_block

    block = compile_block(model, item, problems)
    if block is None:
        return None
    draws = list(block.draws())
    for key, drawn in draws:
        advice = "What is imported must be known before anything is drawn."
        problems.append(Problem((*item.path, key), "a plain value", drawn.plain(), advice, item.place))
    return None if draws else model.from_spec(block.filled({}))


def _folder(place: str) -> Path:
    """Return the folder of the file that a place such as ``recipes/mine.yaml:12`` names; else the current one."""
    file = Path(place.rpartition(":")[0])
    return file.parent if file.is_file() else Path()
