"""Scores of many maps, batch by batch: a thin ``torchmetrics.Metric`` over any metric of a map against truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import torch
import torchmetrics

from miso_gen.errors import InputError
from miso_gen.metrics.counts import Counts, count
from miso_gen.metrics.interfaces import MAP_BINARIZERS, METRICS, CountMetric, MapBinarizer, Metric
from miso_gen.metrics.plugins import plugin_of
from miso_gen.metrics.preparing import tensor_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class MapScore(torchmetrics.Metric):
    """Accumulates scores of maps over batches and processes.

    ``compute`` returns a dict of

    - ``mean``: mean over the maps whose score is defined, nan where there is none; with ``average="pooled"`` the score of the
      counts of all maps together, as if they were one map;
    - ``n``: maps whose score is defined (int64);
    - ``undefined``: maps whose score is not (int64);
    - ``values``: score of every map, in order, (maps,) float64.

    Args:
        metric: A metric, its name, or ``{"type": name, ...}``.
        binarize: What makes masks of maps, for a metric that takes ``binary``; None: maps are masks already.
        average: ``image`` or ``pooled``; the latter for metrics of counts alone.
        kwargs: Of ``torchmetrics.Metric``.

    Raises:
        InputError: A metric that takes no masks is given a binariser, or one of no counts is to be pooled.
    """

    is_differentiable = False
    full_state_update = False
    values: list[Tensor]
    counts: Tensor

    def __init__(
        self,
        metric: str | Mapping[str, Any] | Metric,
        *,
        binarize: str | Mapping[str, Any] | MapBinarizer | None = "two-mean",
        average: Literal["image", "pooled"] = "image",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.metric = plugin_of(metric, METRICS)
        if average not in ("image", "pooled"):
            raise InputError(f"average must be 'image' or 'pooled', got {average!r}.")
        if average == "pooled" and not isinstance(self.metric, CountMetric):
            raise InputError(f"average='pooled' must have a metric of counts, got {self.metric.type_name}. Use average='image'.")
        self.average = average
        is_binary = self.metric.takes == "binary"
        self.binarizer = None if binarize is None or not is_binary else plugin_of(binarize, MAP_BINARIZERS)
        self.add_state("values", [], dist_reduce_fx="cat")
        self.add_state("counts", torch.zeros(4, dtype=torch.int64), dist_reduce_fx="sum")

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]  # a constant there
        """Whether higher scores are better; None: neither."""
        return {"higher": True, "lower": False, "none": None}[self.metric.direction]

    def update(self, map: Any, truth: Any) -> None:
        """Add maps; none are added where a leading axis is empty.

        Args:
            map: (..., H, W), tensor or array, what the metric takes; floating, where there is a binariser.
            truth: (..., H, W), tensor or array, what the metric takes, bool for most.

        Raises:
            InputError: Shapes or types are other ones.
        """
        map, truth = tensor_of(map, "map").to(self.device), tensor_of(truth, "truth").to(self.device)
        if not map.shape[:-2].numel() and map.shape == truth.shape:
            return
        shown = map if self.binarizer is None else self.binarizer.binarize(map)
        if isinstance(self.metric, CountMetric):
            counts = count(shown, truth)
            found = self.metric.from_counts(counts)
            if self.average == "pooled":
                self.counts += torch.stack([part.sum() for part in counts])
        else:
            found = self.metric.score(shown, truth)
        self.values.append(found.reshape(-1))

    def compute(self) -> dict[str, Tensor]:
        """Return mean, n, undefined and values."""
        parts = cast("list[Tensor] | Tensor", self.values)  # torchmetrics joins them over processes
        values = parts if isinstance(parts, torch.Tensor) else torch.cat(parts or [_nothing(self.device)])
        undefined = values.isnan().sum()
        pooled = isinstance(self.metric, CountMetric) and self.average == "pooled"
        mean = cast("CountMetric", self.metric).from_counts(Counts(*self.counts)) if pooled else values.nanmean()
        return {"mean": mean, "n": len(values) - undefined, "undefined": undefined, "values": values}


def _nothing(device: torch.device) -> Tensor:
    return torch.zeros(0, dtype=torch.float64, device=device)
