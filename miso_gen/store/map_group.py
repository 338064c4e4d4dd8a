"""What maps are: of which model and explainer, where their values lie, what one map says. Pure data, no bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from miso_gen.errors import CorruptStoreError, InputError, listing
from miso_gen.store.untrusted import path_fault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: What a map is: ``pixel`` of pixels or of a layer; ``ssm`` and ``sam`` stitched of the scores of patches, by saliency (or any
#: other relevance) and by attention; ``ppm`` and ``pcm`` of predictions of patches; ``heatmap`` of the network itself, a map for
#: each class; ``patch`` any other of patches.
MapKind: TypeAlias = Literal["pixel", "ssm", "sam", "ppm", "pcm", "heatmap", "patch"]

MapPlace: TypeAlias = Literal["pixel", "grid"]  #: a value for each pixel, or for each cell

_METADATA: Final = "zarr.json"


@dataclass(frozen=True)
class MapGroup:
    """What the maps of one model and one explainer have in common.

    Mappings become plain JSON: tuples are lists afterwards, so that a group equals the one that is read back.

    Attributes:
        model: Name of what was explained, scenario, network and seed: ``evp-vgg-att-0``; empty: unknown.
        explainer: Name of the maps: ``saliency``, ``gradcam-layer3``, ``ppm``.
        spec: The explainer, ``{"type": name, parameters...}``; empty: unknown.
        kind: What a map is.
        at: Where values lie: one for each pixel, or one for each cell of a grid (of half a patch, or of a layer).
        cell_px: Side of a cell, px; None at pixels, or where it is no whole number.
        signed: Whether negative values speak against the class.
        facts: Anything else, as JSON: versions, digest of inputs, seed of the training, scale over the data set.

    Raises:
        InputError: A name can't be one of a folder, there is no such kind or place, the side of a cell is below 1 or given at
            pixels, or ``spec`` or ``facts`` are no JSON.
    """

    model: str
    explainer: str
    spec: Mapping[str, Any]
    kind: MapKind
    at: MapPlace
    cell_px: int | None = None
    signed: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.model:
            check_name("model", self.model)
        check_name("explainer", self.explainer)
        for what, value, known in (("kind", self.kind, get_args(MapKind)), ("at", self.at, get_args(MapPlace))):
            if value not in known:
                raise InputError(f"{what} of maps must be one of {listing(known)}, got {value!r}. Use one of these.")
        if self.cell_px is not None and (self.at == "pixel" or self.cell_px < 1):
            raise InputError(f"cell_px must be at least 1 on a grid and None at pixels, got {self.cell_px} at {self.at!r}.")
        object.__setattr__(self, "spec", plain(self.spec, "spec"))
        object.__setattr__(self, "facts", plain(self.facts, "facts"))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def of_json(cls, document: Mapping[str, Any], name: str) -> MapGroup:
        """Return the group that ``to_json`` wrote; ``name`` is what to call its file.

        Raises:
            CorruptStoreError: It says something else.
        """
        try:
            return cls(**document)
        except (TypeError, InputError) as error:
            raise CorruptStoreError(f"{name} must say what its maps are, got {error} Make the maps again.") from error


@dataclass(frozen=True, eq=False)  # arrays don't compare to one truth
class StoredMap:
    """The map of one image.

    Attributes:
        image_id: The image.
        values: (H, W) float32; (maps, H, W) where there are two or more, for example one a class. nan only on a grid, where
            there is no value.
        target: The class that was explained; None: none, or one map for each.
        blank: Whether no value but 0 is there (nan does not count).
        constant: Whether no two values differ (nan does not count); blank maps are constant, too.
        digest: Digest of the values, see :func:`miso_gen.store.array_digest`, hexadecimal; empty: it was not computed.
        facts: Anything else that was said of it.
        group: What it has in common with the others.
    """

    image_id: str
    values: NDArray[np.float32]
    target: int | None
    blank: bool
    constant: bool
    digest: str
    facts: Mapping[str, Any]
    group: MapGroup


def check_name(what: str, name: str) -> None:
    """Raise InputError unless a model or an explainer can have this name.

    Args:
        what: What to call it in the message.
        name: The name: no path, no leading ``.`` or ``_``, nothing that some file system refuses.
    """
    fault = "with a slash" if "/" in name else path_fault(name)
    if not fault and (name.startswith("_") or name == _METADATA):
        fault = "reserved"
    if fault:
        raise InputError(f"{what} must be a plain name of a folder, got {name!r}, {fault}. Use letters, digits, - and _.")


def check_image_id(image_id: str) -> None:
    """Raise InputError unless an image can have this id: names joined by ``/``, see :func:`check_name`."""
    fault = path_fault(image_id)
    if not fault and any(part.startswith("_") or part == _METADATA for part in image_id.split("/")):
        fault = "with a reserved name"
    if fault:
        raise InputError(f"image id must be plain names joined by '/', got {image_id!r}, {fault}. Use ids of the data set.")


def plain(facts: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return a mapping as it is after a way through JSON: keys are text, tuples are lists.

    Raises:
        InputError: It is no mapping, or JSON can't say it.
    """
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(facts), allow_nan=False))
    except (TypeError, ValueError) as error:
        said = str(error).rstrip(".")
        raise InputError(f"{what} must be a mapping of plain JSON, got none: {said}. Use str, int, float, bool.") from None
    return found
