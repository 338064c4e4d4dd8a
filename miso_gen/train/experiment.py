"""What an experiment says: data, networks, how they are trained, and what is asked of them afterwards.

::

    schema: 1
    dataset: datasets/miso1/1.0.0
    scenarios: [evp, dsp]                     # one network for each; left out: all
    patches: {size: 96, shift: half, background: drop, labels: inherit}
    models: [{type: vgg19}, {type: vgg-att}]
    train: {optimizer: adam, lr: 5.0e-4, batch: 36, epochs: 10, seeds: [0]}
    explain: [{type: saliency}, {type: random}]
    score: all

Blocks are frozen; :func:`~miso_gen.train.experiment_file.load_experiment` reads them from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from miso_gen.data import PixelMean
from miso_gen.models import MODELS, Network
from miso_gen.recipe.parameters import OneOf, Parameters, PositiveInt, UnitInterval, plain
from miso_gen.train.blocks import Base, EvaluationMode, Patience, Plateau, Steady, Subset, Train, TwoPhase

Share = Annotated[float, Field(ge=0, lt=1)]  #: of images, never all of them


class MeanBackground(Parameters):
    """Background is a patch whose mean is nearer than ``margin`` to ``value``."""

    value: UnitInterval = 0.5
    """Mean of the background; MISO-1 0.5, MISO-2 0.0."""

    margin: UnitInterval = 0.05
    """Least distance of the mean of a patch that is kept."""


def _background(value: Any) -> Any:
    if value in ("drop", "keep") or isinstance(value, MeanBackground):
        return value
    try:
        return MeanBackground.model_validate(value)
    except ValidationError:
        raise PydanticCustomError("expected", "drop, keep, or {value: 0.5, margin: 0.05}") from None


class Splits(Parameters):
    """Which images a network learns, is watched and tested on."""

    train: str = "train"
    """Split to train on."""

    test: str = "test"
    """Split to predict."""

    validation: str | None = None
    """Split to validate on; null: a share of the training images."""

    share: Share = 0.1
    """That share; 0: no validation, as in MISO."""

    group: str = "pair"
    """Column of the index whose images stay together when a share, or some, are taken."""

    most: PositiveInt | None = None
    """Images to test on, at most: whole groups, drawn once, the same for all networks; null: all."""


class Smoke(Parameters):
    """The small data set of ``--smoke``."""

    recipe: str | None = None
    """Recipe, a file or the name of a shipped one; null: that of the data set."""

    set: tuple[str, ...] = ()
    """Values of the recipe to override, ``key.path=value``."""

    patch_px: PositiveInt | None = None
    """Side of a patch, px; null: that of the experiment."""


class Patches(Parameters):
    """How images are cut; see :func:`miso_gen.data.patch_table`."""

    size: PositiveInt = 96
    """Side of a patch, px."""

    shift: Literal["half", "none", "legacy"] = "half"
    """What the second grid is."""

    background: Annotated[Literal["drop", "keep"] | MeanBackground, PlainValidator(_background)] = "drop"
    """Which patches are left out: ``drop``, ``keep`` (none), or ``{value, margin}`` by their mean."""

    min_share: UnitInterval = 0.1
    """Share of object, or of evidence, that is too little."""

    labels: Literal["inherit", "truth"] = "inherit"
    """Labels of images, or of what a patch shows."""

    positive: Literal[1, 2] = 2
    """Level of the truth from which on pixels are evidence."""

    most: PositiveInt | None = None
    """Patches of a bag at most, drawn anew in each epoch; null: all."""

    def table_options(self) -> dict[str, Any]:
        """Return the arguments of a table of patches."""
        background = self.background
        mean = PixelMean(background.value, background.margin) if isinstance(background, MeanBackground) else background
        return {"size": self.size, "shift": self.shift, "background": mean, "min_share": self.min_share}


class Experiment(Parameters):
    """Data, networks, training, and what is asked of the networks afterwards."""

    dataset: str
    """A store or a release: its folder, URL, or name@version."""

    scenarios: tuple[str, ...] | None = None
    """Scenarios, one network for each; null: all of the store."""

    splits: Splits = Splits()
    """Which images are for what."""

    patches: Patches = Patches()
    """How images are cut, for networks that read patches or bags."""

    models: Annotated[tuple[Annotated[Network, OneOf(MODELS)], ...], Field(min_length=1)]
    """Networks."""

    train: Train = Train()
    """How they are trained."""

    explain: tuple[Any, ...] = ()
    """Explainers: plain data, which the stage that explains reads and checks."""

    score: Any = "all"
    """Scores: plain data, which the stage that scores reads and checks."""

    smoke: Smoke = Smoke()
    """What ``--smoke`` is tried on."""

    def to_spec(self) -> dict[str, Any]:
        """Return the experiment as plain JSON-able data, from which ``load_experiment`` makes an equal one."""
        return {"schema": SCHEMA, **{name: plain(getattr(self, name)) for name in type(self).model_fields}}


def smoke(experiment: Experiment) -> Experiment:
    """Return the same experiment so small that it takes seconds: one seed, an epoch, two batches; to see that all is there."""
    train = experiment.train
    few = 2 * train.batch * train.accumulate * train.devices
    small: dict[str, Any] = {"seeds": train.seeds[:1], "epochs": 1, "subset": Subset(patches=few, images=few, validation=few)}
    if train.two_phase is not None:
        small["two_phase"] = TwoPhase(epochs=1, still_norm=train.two_phase.still_norm)
    if train.base is not None:
        small["base"] = Base(epochs=1, seed=train.base.seed)
    return experiment.model_copy(update={"train": train.model_copy(update=small)})


SCHEMA = 1  #: version of experiment files

#: Blocks by their place in the file, where it does not depend on a type.
BLOCKS: Mapping[tuple[str, ...], type[Parameters]] = {
    (): Experiment,
    ("splits",): Splits,
    ("smoke",): Smoke,
    ("patches",): Patches,
    ("train",): Train,
    ("train", "two_phase"): TwoPhase,
    ("train", "base"): Base,
    ("train", "subset"): Subset,
}
#: Blocks that have a type, by their place and type.
TYPED: Mapping[tuple[str, ...], Mapping[str, type[Parameters]]] = {
    ("train", "schedule"): {"none": Steady, "plateau": Plateau},
    ("train", "stop"): {"patience": Patience, "evaluation": EvaluationMode},
}
