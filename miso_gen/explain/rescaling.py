"""Maps in a store that are scaled when all of them are there: by a number of all of them, or by one that their own pixels say.

Maps are read and written by the rows of their chunks, never whole.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from miso_gen.explain.spread import extent, greatest, percentile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from miso_gen.explain.scaling import Scale
    from miso_gen.explain.spread import Values
    from miso_gen.store.map_group import MapGroup
    from miso_gen.store.maps import MapStore


def finish_scaled(store: MapStore, raw: MapGroup, group: MapGroup, ids: Sequence[str], scale: Scale) -> None:
    """Scale the maps of a group to another one, and remove those that are not scaled.

    Killed at any time, it goes on. Nothing happens where no maps wait.

    Args:
        store: Where they are.
        raw: Maps that are not scaled, one for each image that ``group`` lacks.
        group: Those that are; it is added, with ``scale_value`` among its facts where one number scales all.
        ids: The images.
        scale: How; see :data:`~miso_gen.explain.scaling.Scale`.
    """
    if raw.explainer not in store.explainers(raw.model):
        return
    if group.explainer not in store.explainers(group.model):
        facts = dict(group.facts)
        if scale.startswith("dataset-"):
            facts["scale_value"] = _size(scale, partial(_values, store, raw, ids))
        store.add_group(replace(group, facts=facts))
    value = store.group(group.model, group.explainer).facts.get("scale_value")
    for image in ids:
        if not store.has(group.model, group.explainer, image):
            _write_scaled(store, raw, group, image, scale, value)
    store.remove(raw.model, raw.explainer)


def _write_scaled(store: MapStore, raw: MapGroup, group: MapGroup, image: str, scale: Scale, value: float | None) -> None:
    own = partial(_values, store, raw, [image])
    size = _size(scale, own) if value is None else value
    least = extent(own)[0] if scale == "min-max" else 0.0
    tiles = ((top, 0, _scaled(values, scale, size, least)) for top, values in _strips(store, raw, image))
    said = store.about(raw.model, raw.explainer, image)
    shape = store.open_values(raw.model, raw.explainer, image).shape
    store.write_tiles(group.model, group.explainer, image, shape, tiles, target=said["target"], facts=said["facts"])


def _size(scale: Scale, values: Values) -> float:
    """Return what maps are divided by; 0.0 where they are 0, or constant and ``min-max`` is wanted."""
    if scale == "min-max":
        least, most = extent(values)
        return most - least
    return percentile(values) if scale.endswith("p99") else greatest(values)


def _scaled(values: NDArray[np.float32], scale: Scale, size: float, least: float) -> NDArray[np.float32]:
    found = (values - np.float32(least)) / np.float32(size if size > 0 else 1.0)
    return np.clip(found, -1, 1) if scale.endswith("p99") else found


def _values(store: MapStore, group: MapGroup, ids: Iterable[str]) -> Iterator[NDArray[np.float32]]:
    """Yield all values of some maps."""
    return (values for image in ids for _, values in _strips(store, group, image))


def _strips(store: MapStore, group: MapGroup, image: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the rows of a map, as many as a chunk has, with the number of the first."""
    array = store.open_values(group.model, group.explainer, image)
    height, step = array.shape[0], array.layout.chunk[-2]
    for top in range(0, height, step):
        yield top, np.asarray(array[top : min(top + step, height)], np.float32)
