"""What a network says of the patches of an image, as maps: the patch prediction map (PPM) and the patch confidence map (PCM).

Here a cell of the PCM is the mean probability of class 1 over the patches that cover it, and the PPM is 1 where that is at least
0.5: two patches that agree decide, of two that don't the surer one does. Cells without a patch are nan.

The maps of the released code of MISO are :func:`legacy_prediction_maps`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from miso_gen.data.legacy import legacy_overlay
from miso_gen.data.stitching import stitch
from miso_gen.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from miso_gen.data.patches import PatchTable


class PredictionMaps(NamedTuple):
    """Maps of the patches of images, each (..., rows, cols) float64.

    Attributes:
        ppm: Patch prediction map: 0, 1, nan without a patch. Legacy: -0.5 to 0.5.
        pcm: Patch confidence map: probability of class 1, nan without a patch. Legacy: signed, -1 to 1, 0 without a patch.
    """

    ppm: Tensor
    pcm: Tensor


def prediction_maps(table: PatchTable, probability: ArrayLike, image: str) -> PredictionMaps:
    """Return the maps of an image on cells of half a patch, see :func:`miso_gen.data.stitching.stitch`.

    Args:
        table: The patches, those that were kept.
        probability: (n,) probability of class 1 of each patch of the whole table, in [0, 1].
        image: Id of the image.

    Raises:
        UnknownNameError: The table has no such image.
        InputError: Probabilities are none, or their number is another than that of patches; the size of patches is odd.
    """
    pcm = torch.from_numpy(stitch(table, _checked(probability), image))
    ppm = (pcm >= 0.5).to(torch.float64).where(~pcm.isnan(), torch.nan)
    return PredictionMaps(ppm, pcm)


def evidence(maps: PredictionMaps, label: int) -> tuple[Tensor, Tensor]:
    """Return mask (..., rows, cols) bool and map (..., rows, cols) float64 of what speaks for a class, for scores.

    Args:
        maps: Of :func:`prediction_maps`.
        label: 0 or 1.

    Returns:
        The PPM where it is the class; the PCM as the probability of the class. Cells without a patch are False and 0.

    Raises:
        InputError: The label is another one.
    """
    _check_label(label)
    toward = maps.pcm if label == 1 else 1.0 - maps.pcm
    return maps.ppm == label, toward.where(~maps.pcm.isnan(), 0.0)


def legacy_prediction_maps(table: PatchTable, probability: ArrayLike, image: str) -> PredictionMaps:
    """Return the maps of an image as the released code of MISO makes them.

    With t the more probable class (0 where both are equal) and p = P(1) of patches of class 1, -P(0) of those of class 0: the
    overlays of t, p and of a count of 1 a patch (see :func:`miso_gen.data.legacy.legacy_overlay`) are T, from -1, p' and c; the
    PPM is T c, the PCM is p' c. So a cell that one patch covers has a quarter of the patch's confidence, and where only one of
    two patches was kept, class 1 leaves -0.25.

    Args:
        table: The patches, those that were kept.
        probability: (n,) probability of class 1 of each patch of the whole table, in [0, 1].
        image: Id of the image.

    Returns:
        Each (2 (R + 1) + 1, 2 (C + 1) + 1) for R x C patches.

    Raises:
        UnknownNameError: The table has no such image.
        InputError: Probabilities are none, or their number is another than that of patches.

    Source: MISO, released code.
    """
    one = _checked(probability)
    predicted = one > 0.5
    signed = np.where(predicted, one, one - 1.0)
    votes = legacy_overlay(table, predicted.astype(np.float64), image, dropped=-1.0, start=-1.0)
    confidence = legacy_overlay(table, signed, image, dropped=0.0)
    count = legacy_overlay(table, np.ones(len(one)), image, dropped=0.0)
    return PredictionMaps(torch.from_numpy(votes * count), torch.from_numpy(confidence * count))


def legacy_evidence(maps: PredictionMaps, label: int) -> tuple[Tensor, Tensor]:
    """Return mask and map of what speaks for a class as the released code of MISO scores them, see :func:`evidence`.

    Args:
        maps: Of :func:`legacy_prediction_maps`.
        label: 0 or 1.

    Returns:
        Where the PPM is above 0 (label 1) or below (label 0), strictly; the PCM (label 1) or -PCM (label 0), from 0.

    Raises:
        InputError: The label is another one.

    Source: MISO, released code.
    """
    _check_label(label)
    sign = 1.0 if label == 1 else -1.0
    return sign * maps.ppm > 0, (sign * maps.pcm).clamp(min=0.0)


def _checked(probability: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(probability, np.float64)
    if not bool(((values >= 0.0) & (values <= 1.0)).all()):
        raise InputError(
            f"probability must be in [0, 1], got {values.min():.6g} to {values.max():.6g}. Give softmax, not logits."
        )
    return values


def _check_label(label: int) -> None:
    if label not in (0, 1):
        raise InputError(f"label must be 0 or 1, got {label!r}. Maps of more classes are made one class against the rest.")
