"""What every ``zarr.json`` of a store says: OME-NGFF 0.5 for viewers under ``ome``, our own facts under ``miso``.

The text is canonical (sorted keys, indent 2, final newline), so that equal stores are equal files.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from miso_gen.store.layout import CELL, OME_VERSION, SUMMARY_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.store.layout import ArrayLayout, ArrayName, ImageLayout
    from miso_gen.store.objects import ObjectTable

#: Value, name, heat and RGBA of the levels of a truth.
TRUTH_LEVELS = (
    (0, "irrelevant", 0.0, (0, 0, 0, 0)),
    (1, "localisation", 0.4, (255, 176, 0, 255)),
    (2, "discriminative", 0.9, (220, 38, 127, 255)),
)
PROPERTIES_LIMIT = 64  #: objects described in the instance label; the object table has all
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_CHANNEL_COLORS = {1: ("FFFFFF",), 3: ("FF0000", "00FF00", "0000FF")}
_CHANNEL_LABELS = {1: ("intensity",), 3: ("red", "green", "blue")}


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the canonical text of a JSON document.

    Raises:
        ValueError: It holds nan or infinity, which JSON can't say.
    """
    return (_text(document, "\n") + "\n").encode()


def _text(value: Any, line: str) -> str:
    """Return what ``json.dumps(value, sort_keys=True, indent=2)`` does; it is written out because that one is slow.

    Args:
        value: What to write.
        line: What starts a line at this depth: a newline and its spaces.
    """
    inner = line + "  "
    if isinstance(value, dict) and value:
        items = (f"{_encode(str(key))}: {_text(value[key], inner)}" for key in sorted(value))
        return "{" + inner + f",{inner}".join(items) + line + "}"
    if isinstance(value, list | tuple) and value:
        whole = all(type(item) is int for item in value)
        parts = map(str, value) if whole else (_text(item, inner) for item in value)
        return "[" + inner + f",{inner}".join(parts) + line + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    return str(value) if type(value) is int else _encode(value)  # an encoder takes ten times as long for a number


def group(attributes: Mapping[str, Any] | None = None) -> bytes:
    """Return the ``zarr.json`` of a group."""
    return canonical({"zarr_format": 3, "node_type": "group", "attributes": dict(attributes or {})})


@lru_cache(maxsize=256)
def array(layout: ArrayLayout) -> bytes:
    """Return the ``zarr.json`` of an array without attributes; thousands of images share the same."""
    return canonical(layout.metadata())


@lru_cache(maxsize=64)
def summary_array(layout: ImageLayout) -> bytes:
    """Return the ``zarr.json`` of the summary."""
    return canonical(layout.summary.metadata({"miso": {"quantities": list(SUMMARY_NAMES), "cell_px": CELL}}))


def image_group(layout: ImageLayout, name: str, miso: Mapping[str, Any]) -> bytes:
    """Return the ``zarr.json`` of an image: ``ome`` and the given ``miso`` attributes."""
    ome = {
        "version": OME_VERSION,
        "multiscales": [_multiscale(layout, "image", name)],
        "omero": {"channels": _channels(layout), "rdefs": {"model": "greyscale" if layout.channels == 1 else "color"}},
    }
    return group({"ome": ome, "miso": dict(miso)})


def labels_group(layout: ImageLayout) -> bytes:
    """Return the ``zarr.json`` of ``labels/``, which lists the label images."""
    return group({"ome": {"version": OME_VERSION, "labels": [name for name in layout.names if name != "image"]}})


@lru_cache(maxsize=64)
def truth_group(layout: ImageLayout) -> bytes:
    """Return the ``zarr.json`` of ``labels/truth/``."""
    label = {
        "version": OME_VERSION,
        "colors": [{"label-value": value, "rgba": list(rgba)} for value, _, _, rgba in TRUTH_LEVELS],
        "properties": [{"label-value": value, "level": name, "heat": heat} for value, name, heat, _ in TRUTH_LEVELS],
        "source": {"image": "../../"},
    }
    ome = {"version": OME_VERSION, "multiscales": [_multiscale(layout, "truth", "truth")], "image-label": label}
    return group({"ome": ome})


def instances_group(layout: ImageLayout, objects: ObjectTable | None) -> bytes:
    """Return the ``zarr.json`` of ``labels/instances/``, with the properties of the first ``PROPERTIES_LIMIT`` objects."""
    rows = list(objects.rows(PROPERTIES_LIMIT)) if objects is not None else []
    label: dict[str, Any] = {"version": OME_VERSION, "source": {"image": "../../"}}
    if rows:
        label["colors"] = [{"label-value": int(row["id"]), "rgba": _instance_color(int(row["id"]))} for row in rows]
        label["properties"] = [
            {"label-value": int(row["id"]), **{key: value for key, value in row.items() if key != "id"}} for row in rows
        ]
    ome = {"version": OME_VERSION, "multiscales": [_multiscale(layout, "instances", "instances")], "image-label": label}
    return group({"ome": ome})


def _multiscale(layout: ImageLayout, array: ArrayName, name: str) -> dict[str, Any]:
    # A unit is left out on purpose: synthetic pixels have no size, "pixel" is not among the units of the format, and a
    # made-up micrometer would end in somebody's scale bar. Both validators accept axes without a unit.
    space = [{"name": axis, "type": "space"} for axis in "yx"]
    axes = [{"name": "c", "type": "channel"}, *space] if array == "image" else space
    lead = [1.0] * (len(axes) - 2)
    datasets = []
    for level in range(len(layout.levels)):
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": [*lead, float(2**level), float(2**level)]}]
        if level and array == "image":
            # The mean of 2^l pixels lies at the centre of them; labels take the upper left pixel and stay in place.
            shift = (2**level - 1) / 2
            transforms.append({"type": "translation", "translation": [*(0.0 for _ in lead), shift, shift]})
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    how = ("mean", "mean of 2 x 2 pixels, rounded half up") if array == "image" else ("nearest", "upper left of 2 x 2 pixels")
    return {"name": name, "type": how[0], "metadata": {"description": how[1]}, "axes": axes, "datasets": datasets}


def _channels(layout: ImageLayout) -> list[dict[str, Any]]:
    count = layout.channels
    colors = _CHANNEL_COLORS.get(count, ("FFFFFF",) * count)
    labels = _CHANNEL_LABELS.get(count, tuple(f"channel {i}" for i in range(count)))
    top = {"uint8": 255, "uint16": 65535, "float32": 1}[layout.dtype]
    window = {"min": 0, "max": top, "start": 0, "end": top}
    return [
        {"active": True, "color": color, "label": label, "window": window} for color, label in zip(colors, labels, strict=True)
    ]


def _instance_color(instance: int) -> list[int]:
    # Multiplying by a large odd number spreads neighbouring ids over the colours; the id keeps them distinct.
    mixed = instance * 2654435761 & 0xFFFFFF
    return [mixed >> 16, mixed >> 8 & 255, mixed & 255, 255]
