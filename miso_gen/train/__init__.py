"""Experiments: train networks on data sets, and predict. Names are imported on first use, and need torch and Lightning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miso_gen.lazy import lazy_names

if TYPE_CHECKING:
    from miso_gen.train.experiment import Experiment, smoke
    from miso_gen.train.experiment_file import load_experiment
    from miso_gen.train.predicting import Predictions, predict
    from miso_gen.train.training import TrainedModel, train

_HOMES = {
    "experiment": ("Experiment", "smoke"),
    "experiment_file": ("load_experiment",),
    "predicting": ("Predictions", "predict"),
    "training": ("TrainedModel", "train"),
}

__all__ = ["Experiment", "Predictions", "TrainedModel", "load_experiment", "predict", "smoke", "train"]

__getattr__, __dir__ = lazy_names(__name__, _HOMES, extra="eval", packages=("torch", "lightning", "torchmetrics"))
