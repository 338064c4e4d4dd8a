"""Images -> parts, such as training and validation: what belongs together stays together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.rng import Stream
from miso_gen.scene.splitting import deal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from miso_gen.store import Dataset


def split_ids(
    dataset: Dataset,
    *,
    by: str = "pair",
    shares: Mapping[str, float],
    ids: Iterable[str] | None = None,
    seed: int = 0,
) -> dict[str, tuple[str, ...]]:
    """Return images in parts; groups stay whole, and each label of each scenario has its share in every part.

    With groups of one image, or of one image of each label, shares are met to within one image of a label; larger groups come
    as near as they can.

    Args:
        dataset: The store.
        by: Column of its table; images with an equal value are a group, those without one are a group each. ``pair``,
            ``morphology`` (one silhouette in one part only), ``params.group`` (a patient, where tissue has such a column) ...
        shares: Share of each part, by name, above 0; only their ratios count.
        ids: The images; None: all.
        seed: Decides which go where.

    Returns:
        Ids of each part, in the order of ``ids``.

    Raises:
        UnknownNameError: The table has no such column, the store no such image.
        InputError: Shares can't be, or a part would be empty.
    """
    if not shares or not all(np.isfinite(share) and share > 0 for share in shares.values()):
        raise InputError(f"shares must be numbers above 0 by name, got {dict(shares)!r}.")
    table = dataset.table.set_index("image_id")
    if by not in table:
        raise UnknownNameError("by", by, [str(name) for name in table])
    names = list(dataset.ids if ids is None else ids)
    for name in names:
        if name not in dataset:
            raise UnknownNameError("image", name, dataset.ids)
    rows = table.loc[names]
    # A group and an image may have equal names; the first letter keeps them apart.
    groups = [f"={value}" if known else f"-{name}" for name, value, known in zip(names, rows[by], rows[by].notna(), strict=True)]
    kinds = [f"{scenario}/{label}" for scenario, label in zip(rows["scenario"], rows["label"], strict=True)]
    items = {name: (group, kind) for name, group, kind in zip(names, groups, kinds, strict=True)}
    place = deal(items, shares, Stream(seed, "split", by))
    parts = {part: tuple(name for name in names if place[name] == part) for part in shares}
    for part, held in parts.items():
        if names and not held:
            raise InputError(
                f"part {part!r} must have an image, got none of {len(set(groups))} groups by {by!r}. "
                "Give it a larger share, or split more images."
            )
    return parts
