"""Scores of many images together that are more than the mean of a score: FROC and ROC curves, means by class.

Scores of counts pool by ``MapScore(..., average="pooled")``. Each accumulator here is a ``torchmetrics.Metric``: ``update`` with
batches, ``merge_state`` with that of another worker, ``compute``.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torchmetrics
from torchmetrics.utilities import dim_zero_cat

from miso_gen.errors import InputError
from miso_gen.metrics.band_metrics import FiveBand
from miso_gen.metrics.bands import BandScores
from miso_gen.metrics.scores.froc import RATES, FrocCurve, detections, froc_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class PooledFroc(torchmetrics.Metric):
    """FROC of pooled images: mean sensitivity at rates of false positives of an image; see ``miso_gen/metrics/scores/froc.py``.

    Images without objects count for their false positives. Images whose map is not finite are left out, and counted by
    ``undefined``.

    Args:
        distance: Marks are farther than this from one another, in rows or in columns, px.
        rates: False positives of an image at which the sensitivity is read off.
    """

    full_state_update = False
    hits: list[Tensor]
    misses: list[Tensor]
    objects: Tensor
    images: Tensor
    undefined: Tensor

    def __init__(self, distance: int = 8, rates: Sequence[float] = RATES, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.distance, self.rates = distance, tuple(rates)
        for name in ("hits", "misses"):
            self.add_state(name, [], dist_reduce_fx="cat")
        for name in ("objects", "images", "undefined"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, map: Tensor, instances: Tensor) -> None:
        """Add images.

        Args:
            map: (..., H, W) floating.
            instances: (..., H, W) whole numbers, 0 for none.

        Raises:
            InputError: Shapes or types are other ones.
        """
        found = detections(map, instances, self.distance)
        known = found.defined
        self.hits.append(found.hits.to(self.objects.device))
        self.misses.append(found.misses.to(self.objects.device))
        self.objects = self.objects + found.objects[known].sum()
        self.images = self.images + known.sum()
        self.undefined = self.undefined + (~known).sum()

    def curve(self) -> FrocCurve:
        """Return the curve of all images so far, on the CPU."""
        parts = (self.hits, self.misses)
        hits, misses = (dim_zero_cat(part).cpu() if len(part) else torch.zeros(0, dtype=torch.float64) for part in parts)
        return froc_curve(hits, misses, int(self.objects), int(self.images))

    def compute(self) -> Tensor:
        """Return the mean sensitivity at the rates, () float64; nan without objects."""
        return self.curve().at(self.rates).mean().to(self.objects.device)


class BandRoc(torchmetrics.Metric):
    """ROC over the thresholds of a five-band score: mean false positive rate (x) and mean recall (y) over images.

    The curve need not run from (0, 0) to (1, 1). Images without truth have no recall: they count for the false positive rate
    alone. The plots that were released show recall as x: their curves lie below the diagonal where these lie above.

    Args:
        metric: A five-band score, whose thresholds, sign and scale are taken.

    Source: Tjoa & Guan, ROC.
    """

    full_state_update = False
    totals: Tensor
    numbers: Tensor

    def __init__(self, metric: FiveBand, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.metric = metric
        size = (4, len(metric.thresholds))
        self.add_state("totals", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("numbers", torch.zeros(4, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, map: Tensor, truth: Tensor) -> None:
        """Add images.

        Args:
            map: (..., H, W) floating.
            truth: (..., H, W) of levels 0, 1, 2.

        Raises:
            InputError: Shapes or types are other ones.
        """
        parts = [part.reshape(-1, part.shape[-1]) for part in self.values(map, truth)]
        self.totals = self.totals + torch.stack([part.nansum(0) for part in parts])
        self.numbers = self.numbers + torch.stack([(~part.isnan().any(-1)).sum() for part in parts])

    def values(self, map: Tensor, truth: Tensor) -> BandScores:
        """Return the scores of each image at all K thresholds, (..., K) each; nan: the image does not count."""
        return self.metric.curves(map, truth)

    def compute(self) -> BandScores:
        """Return the mean over images of all scores at all thresholds, (K,) float64 each; nan where no image counts.

        The ROC is ``recall`` over ``false_positive_rate``.
        """
        return BandScores(*(self.totals / self.numbers[:, None]))


class BandRocLegacy(BandRoc):
    """ROC over the thresholds of a five-band score as in the paper: the recall and precision of an image without truth are 0.

    Source: Tjoa & Guan, ROC.
    """

    def values(self, map: Tensor, truth: Tensor) -> BandScores:
        """See :meth:`BandRoc.values`."""
        scores = super().values(map, truth)
        known = ~scores.accuracy.isnan()
        return BandScores(*(part.nan_to_num(nan=0.0).where(known, nan) for part in scores))


class ClassMeans(NamedTuple):
    """Means of a score by class.

    Attributes:
        by_class: (C,) float64; nan for a class without a score.
        number: (C,) int64, scores that are not nan.
        macro: () float64, mean over the classes that have a score.
        weighted: () float64, mean weighted by the number of scores.
    """

    by_class: Tensor
    number: Tensor
    macro: Tensor
    weighted: Tensor


def class_means(values: Tensor, classes: Tensor) -> ClassMeans:
    """Return the means of scores (N,) by their class (N,), whole numbers from 0; scores that are nan do not count.

    Raises:
        InputError: Shapes differ.

    Source: PYLON, macro and weighted point localisation accuracy.
    """
    if values.ndim != 1 or values.shape != classes.shape:
        raise InputError(f"classes must have the shape (N,) of values, {tuple(values.shape)}, got {tuple(classes.shape)}.")
    size = int(classes.max()) + 1 if len(classes) else 0
    known = ~values.isnan()
    number = torch.bincount(classes[known], minlength=size)
    means = torch.bincount(classes[known], values[known].to(torch.float64), size) / number
    return ClassMeans(means, number, means.nanmean(), values[known].to(torch.float64).mean())
