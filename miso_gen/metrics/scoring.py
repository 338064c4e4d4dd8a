"""Scores of maps in one call: prepared as asked, and with one pass over the pixels for all that can share it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np
import torch

from miso_gen.errors import InputError, MisoGenWarning, listing
from miso_gen.metrics.interfaces import MAP_BINARIZERS, METRICS, MapBinarizer, Metric, Resolution
from miso_gen.metrics.passes import Block, scores_of
from miso_gen.metrics.planes import extremes, floating
from miso_gen.metrics.plugins import plugin_of
from miso_gen.metrics.preparing import Normalize, Sign, check_choice, filled, normalized, signed, tensor_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Chosen: TypeAlias = str | Mapping[str, Any] | Metric  #: a metric: its name, ``{"type": name, ...}``, or itself
Values: TypeAlias = "float | NDArray[np.float64] | Tensor"  #: scores; see :func:`score`

_BLOCK: Final = 1 << 20  #: pixels that are scored at a time on the CPU, where counts of many small maps stay in the cache
_BLOCK_ON_DEVICE: Final = 1 << 24  #: the same on other devices


def score(
    map: Any,
    truth: Any,
    metrics: Sequence[Chosen] | Mapping[str, Chosen] | None = None,
    *,
    positive: int | None = None,
    binarize: str | Mapping[str, Any] | MapBinarizer = "two-mean",
    at: Resolution = "pixel",
    cell_px: int | None = None,
    sign: Sign = "keep",
    normalize: Normalize = "none",
    missing: float | Literal["raise"] = "raise",
    levels: int | None = None,
    instances: Any = None,
) -> dict[str, Values]:
    """Return the scores of maps against truth, by metric.

    In this order: missing values, signs, normalisation; then masks, for the metrics that take them. A metric that can't take
    what comes out is refused, with what to do.

    Args:
        map: (..., H, W), array or tensor: floating; uint8, which stands for k / 255; or bool, which is a mask already, and 0 and
            1 for metrics that take no masks.
        truth: (..., H, W), of levels 0, 1 (object) and 2 (evidence); or bool, which is evidence as it is.
        metrics: Names, ``{"type": name, ...}`` or plug-ins; or a dict of these by a name of your own. None: all that the truth
            given here is enough for, but ``legacy`` ones.
        positive: Level of truth from which on a pixel is evidence, 1 or 2. None: 2, with a warning where the truth goes up to 1
            only, as a mask of 0 and 1 does. Of no account for truth of bool.
        binarize: What makes masks.
        at: What a pixel of map and truth is: a ``pixel`` of the image, or a cell of a ``grid`` of patches.
        cell_px: Side of the map's cells in pixels of the truth, to score a map of cells at pixels (nearest); beyond the last
            cell, values are missing. None: map and truth have one size.
        sign: See :func:`~miso_gen.metrics.preparing.signed`.
        normalize: See :func:`~miso_gen.metrics.preparing.normalized`.
        missing: What values that are not finite count as; ``raise``: there must be none.
        levels: None: scores are exact. A number from 2: a map in [0, 1] is rounded to so many levels for the metrics that follow
            from its histogram, which is faster, with an error of half a level in each pixel. A map of uint8 needs no rounding.
        instances: (..., H, W), object of each pixel, 0 for none, for metrics that need it.

    Returns:
        Name -> score, nan where it is undefined: a float for one map, else float64 of the leading shape, an array or a tensor as
        the map was. No maps have no scores: an empty leading shape stays.

    Raises:
        UnknownNameError: There is no such metric or binariser.
        RecipeError: A parameter of one is wrong.
        InputError: Anything else is not as it must be.
    """
    chosen = _chosen(metrics, at, truth, instances)
    binarizer = plugin_of(binarize, MAP_BINARIZERS)
    shown, marks = tensor_of(map, "map"), tensor_of(truth, "truth")
    shown = _prepared(_at_pixels(shown, marks, at, cell_px), sign, normalize, missing)
    marks = marks.to(shown.device)
    objects = None if instances is None else tensor_of(instances, "instances").to(shown.device)
    _check_shapes(shown, marks, objects)
    evidence = _evidence(marks, positive)
    _check_values(shown, chosen, levels)
    leading, plane = shown.shape[:-2], shown.shape[-2:]
    if not leading.numel():
        return {name: _given_back(torch.zeros(leading, dtype=torch.float64), map) for name in chosen}
    shown, evidence, marks = (part.reshape(-1, *plane) for part in (shown, evidence, marks))
    whole = Block(shown, evidence, marks, None if objects is None else objects.reshape(-1, *plane))
    step = max(1, (_BLOCK if shown.device.type == "cpu" else _BLOCK_ON_DEVICE) // plane.numel())
    blocks = [scores_of(whole.part(start, start + step), chosen, binarizer, levels) for start in range(0, len(whole.map), step)]
    found = {name: torch.cat([block[name] for block in blocks]).reshape(leading) for name in chosen}
    return {name: _given_back(values, map) for name, values in found.items()}


def _chosen(
    metrics: Sequence[Chosen] | Mapping[str, Chosen] | None, at: Resolution, truth: Any, instances: Any
) -> dict[str, Metric]:
    """Return the metrics by the name of their scores."""
    check_choice("at", at, get_args(Resolution))
    kinds = {"mask", *(() if _is_bool(truth) else ("levels",)), *(() if instances is None else ("instances",))}
    if metrics is None:
        every = {name: cls() for name, cls in METRICS}
        return {name: one for name, one in every.items() if not one.legacy and at in one.at and one.truth in kinds}
    if isinstance(metrics, str):
        raise InputError(f"metrics must be a list of metrics, got {metrics!r}. Write [{metrics!r}].")
    if isinstance(metrics, Mapping):
        chosen = {name: plugin_of(value, METRICS) for name, value in metrics.items()}
    else:
        made = [plugin_of(value, METRICS) for value in metrics]
        chosen = {metric.type_name: metric for metric in made}
        if len(chosen) < len(made):
            names = [metric.type_name for metric in made]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise InputError(
                f"metrics must be different, got {listing(twice)} more than once. Give a dict with names of your own."
            )
    for metric in chosen.values():
        if at not in metric.at:
            raise InputError(f"at must be {metric.at[0]!r} for {metric.type_name}, got {at!r}. Leave the metric out.")
        if metric.truth not in kinds:
            raise InputError(
                f"{metric.type_name} must have truth of {metric.truth}, got none. "
                + ("Give instances=." if metric.truth == "instances" else "Give truth of levels 0, 1 and 2.")
            )
    return chosen


def _is_bool(value: Any) -> bool:
    return getattr(value, "dtype", None) in (torch.bool, np.dtype(bool))


def _at_pixels(map: Tensor, truth: Tensor, at: Resolution, cell_px: int | None) -> Tensor:
    """Return the map at the pixels of the truth."""
    if cell_px is None:
        return map
    if at != "pixel":
        raise InputError(f"cell_px must be None with at={at!r}, got {cell_px!r}. Give truth of cells.")
    if isinstance(cell_px, bool) or not isinstance(cell_px, int) or cell_px < 1:
        raise InputError(f"cell_px must be a whole number of pixels from 1, got {cell_px!r}.")
    if map.ndim < 2 or truth.ndim < 2:
        raise InputError(f"map and truth must have shape (..., H, W), got {tuple(map.shape)} and {tuple(truth.shape)}.")
    rows, cols = (truth.shape[axis] - map.shape[axis] * cell_px for axis in (-2, -1))
    if not (0 <= rows < cell_px and 0 <= cols < cell_px):
        raise InputError(
            f"map must have {truth.shape[-2] // cell_px} x {truth.shape[-1] // cell_px} cells of {cell_px} px, "
            f"got {map.shape[-2]} x {map.shape[-1]}."
        )
    wide = map.repeat_interleave(cell_px, -2).repeat_interleave(cell_px, -1)
    if not rows and not cols:
        return wide
    return torch.nn.functional.pad(floating(wide), (0, cols, 0, rows), value=torch.nan)


def _prepared(map: Tensor, sign: Sign, normalize: Normalize, missing: float | Literal["raise"]) -> Tensor:
    """Return the map as it is scored: floating and finite, or uint8, or bool."""
    if map.ndim < 2 or not map.shape[-1] * map.shape[-2]:
        raise InputError(f"map must have shape (..., H, W) with a pixel at least, got {tuple(map.shape)}.")
    if not (map.is_floating_point() or map.dtype in (torch.uint8, torch.bool)):
        raise InputError(f"map must be floating, uint8 or bool, got {map.dtype}. Convert it first.")
    if missing != "raise" and (isinstance(missing, bool) or not isinstance(missing, int | float) or not np.isfinite(missing)):
        raise InputError(f"missing must be 'raise' or a finite number, got {missing!r}.")
    check_choice("sign", sign, get_args(Sign))
    check_choice("normalize", normalize, get_args(Normalize))
    if map.dtype == torch.bool or (map.dtype == torch.uint8 and sign != "negative" and normalize == "none"):
        return map  # nothing to change: finite, and from 0
    return normalized(signed(filled(floating(map), missing), sign), normalize)


def _check_shapes(map: Tensor, truth: Tensor, instances: Tensor | None) -> None:
    """Raise :class:`InputError` unless all have one shape."""
    if truth.shape != map.shape:
        raise InputError(
            f"map and truth must have one shape, got {tuple(map.shape)} and {tuple(truth.shape)}. "
            "Resize the map, or give cell_px where its values are of cells."
        )
    if instances is not None and instances.shape != map.shape:
        raise InputError(f"instances must have the shape of map and truth, {tuple(map.shape)}, got {tuple(instances.shape)}.")


def _evidence(truth: Tensor, positive: int | None) -> Tensor:
    """Return where there is evidence, bool."""
    if (positive is not None and positive not in (1, 2)) or isinstance(positive, bool):
        raise InputError(f"positive must be 1 or 2, got {positive!r}.")
    if truth.dtype == torch.bool:
        return truth
    if truth.is_floating_point():
        raise InputError(f"truth must be of levels 0, 1 and 2, or bool, got {truth.dtype}. Convert it first.")
    least, most = (int(edge) for edge in truth.aminmax()) if truth.numel() else (0, 0)
    if least < 0 or most > 2:
        raise InputError(
            f"truth must be of levels 0, 1 and 2, got values from {least} to {most}. Give a mask of 0 and 255 as bool."
        )
    if positive is None and most == 1:
        text = "truth has levels up to 1, and evidence is level 2: there is none. Give positive=1 if 1 is what maps must find."
        warnings.warn(text, MisoGenWarning, stacklevel=3)
    positive = positive or 2
    if truth.device.type == "cpu":  # numpy compares bytes many times faster
        return torch.from_numpy(np.asarray(truth.numpy() >= positive))
    return truth >= positive


def _check_values(map: Tensor, chosen: Mapping[str, Metric], levels: int | None) -> None:
    """Raise :class:`InputError` unless every metric can take the map."""
    if levels is not None and (isinstance(levels, bool) or not isinstance(levels, int) or levels < 2):
        raise InputError(f"levels must be a whole number from 2, or None, got {levels!r}.")
    if not map.is_floating_point() or not map.numel():
        return
    edges = extremes(map)
    least, most = float(edges[0].min()), float(edges[1].max())
    for metric in chosen.values():
        if least < 0 and metric.takes in ("positive", "unit"):
            raise InputError(
                f"map must have no negative values for {metric.type_name}, got {least:g}. "
                "Say what they mean: sign='absolute' or sign='positive'."
            )
        if most > 1 and metric.takes == "unit":
            raise InputError(f"map must be in [0, 1] for {metric.type_name}, got {most:g}. Say normalize='min-max' or 'max-abs'.")
    if levels is not None and (least < 0 or most > 1):
        raise InputError(
            f"map must be in [0, 1] for levels={levels}, got {least:g} to {most:g}. Normalise it, or leave levels out."
        )


def _given_back(values: Tensor, map: Any) -> Values:
    if values.ndim == 0:
        return float(values)
    return values if isinstance(map, torch.Tensor) else values.cpu().numpy()
