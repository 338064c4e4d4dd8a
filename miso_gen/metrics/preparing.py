"""What is done to a map before it is scored: signs, normalisation, and pixels without a value. All of it on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import torch

from miso_gen.errors import InputError, listing
from miso_gen.metrics.planes import extremes

if TYPE_CHECKING:
    from torch import Tensor

Sign: TypeAlias = Literal["keep", "absolute", "positive", "negative"]  #: see :func:`signed`
Normalize: TypeAlias = Literal["none", "min-max", "max-abs"]  #: see :func:`normalized`


def tensor_of(value: Any, name: str) -> Tensor:
    """Return an array, or what can be one, as a tensor of the same memory, if possible; a tensor without its gradients.

    Raises:
        InputError: It is none, of no numbers, or its rows differ in length.
    """
    if isinstance(value, torch.Tensor):
        return value.detach()
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{name} must be an array or a tensor, got rows of different lengths. Pad or crop them.") from None
    if value is None or array.dtype.kind not in "bfiu":
        got = "None" if value is None else f"values of {array.dtype}"
        raise InputError(f"{name} must be an array or a tensor of numbers, got {got}. Give one of shape (..., H, W).")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def signed(map: Tensor, sign: Sign) -> Tensor:
    """Return a map (..., H, W) with its signs dealt with.

    ``keep``: as it is. ``absolute``: its absolute values. ``positive``: negative values are 0. ``negative``: positive values are
    0, and negative ones lose their sign.
    """
    check_choice("sign", sign, get_args(Sign))
    if sign == "absolute":
        return map.abs()
    if sign == "keep":
        return map
    return (map if sign == "positive" else -map).clamp(min=0)


def normalized(map: Tensor, normalize: Normalize) -> Tensor:
    """Return each map (..., H, W) normalised by itself.

    ``none``: as it is. ``min-max``: its least value becomes 0 and its greatest 1; a constant map becomes 0. ``max-abs``: divided
    by its greatest absolute value, which keeps signs; a map of zeros stays.
    """
    check_choice("normalize", normalize, get_args(Normalize))
    if normalize == "none":
        return map
    least, most = (edge[..., None, None] for edge in extremes(map))
    if normalize == "max-abs":
        scale = torch.maximum(least.abs(), most.abs())
        return map / scale.where(scale > 0, 1.0)
    return (map - least) / (most - least).where(most > least, 1.0)


def filled(map: Tensor, missing: float | Literal["raise"]) -> Tensor:
    """Return a map with a value in place of those that are not finite.

    Raises:
        InputError: ``missing`` is ``raise`` and there are such, or it is no number.
    """
    least, most = extremes(map)
    if bool((torch.isfinite(least) & torch.isfinite(most)).all()):
        return map
    if missing == "raise":
        number = int((~torch.isfinite(map)).sum())
        raise InputError(f"map must be finite, got {number} pixels that are not. Say what they count as: missing=0, for example.")
    return map.where(torch.isfinite(map), missing)


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise :class:`InputError` unless a value is one of some choices."""
    if value not in choices:
        raise InputError(f"{name} must be one of {listing(map(repr, choices))}, got {value!r}.")
