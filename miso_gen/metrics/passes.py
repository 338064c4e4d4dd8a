"""Scores of a block of maps, with what several metrics need made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from miso_gen.metrics.band_metrics import FiveBand, five_band_scores
from miso_gen.metrics.counts import Counts, at_threshold, count
from miso_gen.metrics.curves import AdaptiveMetric, WholeCurveMetric, adaptive_scores
from miso_gen.metrics.interfaces import CountMetric, MapBinarizer, Metric
from miso_gen.metrics.joint import Joint, joint_histogram
from miso_gen.metrics.object_metrics import ObjectMetric, object_scores
from miso_gen.metrics.planes import floating, from_level
from miso_gen.metrics.ranks import RankMetric, rank_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class Block(NamedTuple):
    """Some maps with their truth, each (n, H, W).

    Attributes:
        map: Floating and finite, or uint8, or bool.
        evidence: bool.
        truth: Levels, or bool.
        instances: Objects, or None.
    """

    map: Tensor
    evidence: Tensor
    truth: Tensor
    instances: Tensor | None

    def part(self, first: int, end: int) -> Block:
        """Return some of the maps."""
        objects = None if self.instances is None else self.instances[first:end]
        return Block(self.map[first:end], self.evidence[first:end], self.truth[first:end], objects)


def scores_of(block: Block, metrics: Mapping[str, Metric], binarizer: MapBinarizer, levels: int | None) -> dict[str, Tensor]:
    """Return the scores, (n,) float64 each, by name.

    Args:
        block: The maps.
        metrics: The metrics by name.
        binarizer: Makes masks of maps that are none.
        levels: Levels that a map in [0, 1] is rounded to; None: none.
    """
    steps = 256 if block.map.dtype == torch.uint8 else None if block.map.dtype == torch.bool else levels
    joints = _Joints(block, steps, metrics)
    masks = _Masks(block, binarizer, joints)
    is_exact = steps is None
    found = _together(block, metrics, masks, is_exact)
    for name, metric in metrics.items():
        if name in found:
            continue
        if isinstance(metric, CountMetric):
            found[name] = metric.from_counts(masks.counts)
        elif metric.takes == "binary":
            found[name] = metric.score(masks.mask, _truth(block, metric))
        elif (
            metric.joint and metric.truth == "mask" and (metric.levels or steps) and (is_exact or metric.levels in (None, steps))
        ):
            found[name] = joints.score(name, metric, metric.levels or steps)
        else:
            found[name] = metric.score(masks.plain, _truth(block, metric))
    return found


class _Joints:
    """Joint histograms of a block, each made once."""

    def __init__(self, block: Block, steps: int | None, metrics: Mapping[str, Metric]) -> None:
        self.block, self.steps = block, steps
        self._made: list[tuple[int | None, Tensor | None, Joint]] = []
        self._curves: dict[str, Tensor] = {}
        self._splits = {name: metric.split(block.evidence) for name, metric in metrics.items()} if steps else {}
        self._split = next((split for split in self._splits.values() if split is not None), None)

    def score(self, name: str, metric: Metric, steps: int | None) -> Tensor:
        """Return the score of a metric; curves are made once for their mean and their greatest value."""
        joint = self.of(name, steps)
        if not isinstance(metric, WholeCurveMetric):
            return metric.from_joint(joint)
        key = repr(metric.counted())
        if key not in self._curves:
            self._curves[key] = metric.curve_of(joint)
        return metric.of_curve(self._curves[key])

    def of(self, name: str | None, steps: int | None) -> Joint:
        """Return one of so many levels that a metric can use; by quadrants from the start, if one metric needs them."""
        split = self._splits.get(name) if name else None
        for known, cuts, joint in self._made:
            if known == steps and (split is None or (cuts is not None and torch.equal(cuts, split))):
                return joint
        map = self.block.map if self.block.map.dtype == torch.uint8 else floating(self.block.map)
        split = self._split if split is None else split
        made = joint_histogram(map, self.block.evidence, levels=steps, split=split)
        self._made.append((steps, split, made))
        return made


class _Masks:
    """Masks of a block, their counts, and its maps in floating numbers; each made once, if at all."""

    def __init__(self, block: Block, binarizer: MapBinarizer, joints: _Joints) -> None:
        self.block, self.binarizer, self.joints = block, binarizer, joints
        self._mask: Tensor | None = None
        self._counts: Counts | None = None
        self._plain: Tensor | None = None

    @property
    def plain(self) -> Tensor:
        if self._plain is None:
            self._plain = floating(self.block.map)
        return self._plain

    @property
    def counts(self) -> Counts:
        if self._counts is None:
            if self.joints.steps is None:
                self._counts = count(self.mask, self.block.evidence)
            else:
                joint = self.joints.of(None, self.joints.steps)
                self._counts = at_threshold(joint, self.binarizer.from_joint(joint))
        return self._counts

    @property
    def mask(self) -> Tensor:
        if self._mask is None:
            map = self.block.map
            if map.dtype == torch.bool:
                self._mask = map
            elif map.dtype == torch.uint8:
                joint = self.joints.of(None, 256)
                self._mask = from_level(map, (joint.values <= self.binarizer.from_joint(joint)[:, None]).sum(-1))
            else:
                self._mask = self.binarizer.binarize(map)
        return self._mask


def _together(block: Block, metrics: Mapping[str, Metric], masks: _Masks, is_exact: bool) -> dict[str, Tensor]:
    """Return the scores of the metrics that share what takes long: ranks, bands, objects, and masks that adapt to the map."""
    found: dict[str, Tensor] = {}
    ranked = {name: metric for name, metric in metrics.items() if isinstance(metric, RankMetric)}
    if is_exact and any(metric.sorts for metric in ranked.values()):  # else each has a shorter way
        found.update(zip(ranked, rank_scores(tuple(ranked.values()), masks.plain, block.evidence), strict=True))
    adaptive = {name: metric for name, metric in metrics.items() if isinstance(metric, AdaptiveMetric)}
    if is_exact and adaptive:
        found.update(zip(adaptive, adaptive_scores(tuple(adaptive.values()), masks.plain, block.evidence), strict=True))
    banded = {name: metric for name, metric in metrics.items() if isinstance(metric, FiveBand)}
    if banded:
        found.update(zip(banded, five_band_scores(tuple(banded.values()), masks.plain, block.truth), strict=True))
    on_objects = {name: metric for name, metric in metrics.items() if isinstance(metric, ObjectMetric)}
    if on_objects:
        instances = block.instances
        assert instances is not None  # checked before
        mask = masks.mask if any(metric.takes == "binary" for metric in on_objects.values()) else None
        found.update(zip(on_objects, object_scores(tuple(on_objects.values()), masks.plain, mask, instances), strict=True))
    return found


def _truth(block: Block, metric: Metric) -> Tensor:
    if metric.truth == "mask":
        return block.evidence
    found = block.truth if metric.truth == "levels" else block.instances
    assert found is not None  # checked before
    return found
