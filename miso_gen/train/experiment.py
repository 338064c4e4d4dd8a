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
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, PlainValidator, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from miso_gen.data import PixelMean
from miso_gen.models import MODELS, Network
from miso_gen.recipe.parameters import (
    NonNegativeFloat,
    NonNegativeInt,
    OneOf,
    Parameters,
    PositiveFloat,
    PositiveInt,
    UnitInterval,
    plain,
)

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


def _class_weights(value: Any) -> Any:
    if value in ("none", "balanced"):
        return value
    numbers = value if isinstance(value, list | tuple) else ()
    if len(numbers) > 1 and all(type(number) in (int, float) and 0 < number < float("inf") for number in numbers):
        return tuple(float(number) for number in numbers)
    raise PydanticCustomError("expected", "none, balanced, or a list of positive numbers, one for each class")


def _named(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


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
    """Column of the index whose images stay together when the share is taken."""


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


class Steady(Parameters):
    """One learning rate for the whole training."""

    type: Literal["none"] = "none"


class Plateau(Parameters):
    """The learning rate falls where the validation loss does not; training ends where it is low enough.

    A loss is better where it is below the best one by the share ``threshold``. After more than ``patience`` epochs in a row
    without a better one, the rate is multiplied by ``factor``.

    Source: PYLON, whose values are the defaults.
    """

    type: Literal["plateau"] = "plateau"

    factor: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """What the learning rate is multiplied by."""

    patience: NonNegativeInt = 1
    """Epochs without a better loss that are borne."""

    threshold: UnitInterval = 1e-4
    """Share of the best loss that a better one is below it."""

    least_lr: NonNegativeFloat = 1e-6
    """Training ends as soon as the rate is not above this."""


class Patience(Parameters):
    """Training ends after so many epochs in a row without a lower validation loss.

    Source: You, whose value is the default.
    """

    type: Literal["patience"] = "patience"

    epochs: PositiveInt = 10
    """Epochs."""


class EvaluationMode(Parameters):
    """Training ends by what random parts of the validation items say, looked at every few steps.

    A part that is decided right more often than ``accuracy`` ends training. A part better than all before gives patience back:
    the count of looks becomes the whole part of ``refund`` times it. Else it grows by 1, and at ``patience`` training ends.

    Source: Tjoa & Guan (evaluation mode): every 4 steps, 0.96, 24 and 0.4 for ResNet, 48 and 0.3 for AlexNet and VGG.
    """

    type: Literal["evaluation"] = "evaluation"

    every: PositiveInt = 4
    """Steps of the optimiser from one look to the next."""

    items: PositiveInt = 200
    """Validation items of a part, in a row."""

    accuracy: UnitInterval = 0.96
    """Share of right decisions above which training ends."""

    patience: PositiveInt = 24
    """Looks without a better part."""

    refund: UnitInterval = 0.4
    """What a better part multiplies the count by."""


class Subset(Parameters):
    """A part of what is trained on, drawn once, the same for all networks and seeds; all, where there is less."""

    patches: PositiveInt | None = None
    """Patches to train on, of networks that read patches; null: all."""

    images: PositiveInt | None = None
    """Images to train on, of networks that read images or bags; null: all."""

    validation: PositiveInt | None = None
    """Patches or images to validate on; null: all."""


class TwoPhase(Parameters):
    """First only what lies behind the encoder is trained, then everything, from the best weights of the first phase.

    The encoder is the module of that name; of a network without one, everything but what depends on the number of classes.

    Source: PYLON.
    """

    epochs: PositiveInt
    """Epochs of the first phase, at most."""

    still_norm: bool = False
    """Whether running statistics of the encoder stay as they are in the first phase. The released code lets them move."""


Schedule: TypeAlias = Annotated[Steady | Plateau, BeforeValidator(_named), Field(discriminator="type")]
_Stops: TypeAlias = Annotated[Patience | EvaluationMode, Field(discriminator="type")]
Stop: TypeAlias = Annotated[_Stops | None, BeforeValidator(_named)]


class Train(Parameters):
    """How networks are trained. Defaults are those of MISO where it says."""

    reads: Literal["auto", "patch", "image", "bag"] = "auto"
    """What networks are given; ``auto``: what each is given first by its source."""

    optimizer: Literal["adam", "adamax", "sgd"] = "adam"
    """Rule of steps."""

    lr: PositiveFloat = 5e-4
    """Learning rate."""

    momentum: UnitInterval | None = None
    """Of ``sgd`` alone; null: 0."""

    weight_decay: NonNegativeFloat = 0.0
    """Weight decay."""

    batch: PositiveInt = 36
    """Items of a batch, in each process."""

    accumulate: PositiveInt = 1
    """Batches of a step."""

    epochs: PositiveInt = 10
    """Epochs, at most."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of the arithmetic; ``auto``: bf16 where a GPU knows it, else fp32."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; ``auto``: on a GPU where there is one."""

    devices: PositiveInt = 1
    """Processes that train together, one a GPU."""

    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)
    """One network for each: it decides weights, order, dropout and augmentation."""

    schedule: Schedule = Steady()
    """What becomes of the learning rate."""

    stop: Stop = None
    """What ends training early."""

    keep: Literal["last", "best"] = "last"
    """Whose weights the network has: of the last epoch, or of that with the lowest validation loss."""

    loss: Literal["auto", "cross-entropy", "binary-cross-entropy"] = "auto"
    """``auto``: cross-entropy of one label, binary cross-entropy of several."""

    class_weights: Annotated[Any, PlainValidator(_class_weights)] = "none"
    """What the loss of each class is multiplied by: ``none``, ``balanced``, or numbers."""

    augmentation: Literal["none", "flips", "dihedral"] = "none"
    """``flips`` from left to right; ``dihedral``: any of the eight symmetries of a square."""

    compile: bool = False
    """Whether ``torch.compile`` is used."""

    two_phase: TwoPhase | None = None
    """Whether the encoder is frozen first."""

    subset: Subset | None = None
    """Train on a part of the patches."""

    pool: PositiveInt = 8
    """Images whose patches are mixed at a time."""

    workers: NonNegativeInt = 0
    """Processes that load."""

    checkpoint_steps: PositiveInt = 500
    """Steps from one checkpoint to the next within an epoch; the end of each epoch is one anyway."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.momentum is not None and self.optimizer != "sgd":
            raise PydanticCustomError("expected", "without momentum unless optimizer is sgd")
        return self


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
    """Explainers, for the stage that explains."""

    score: Any = "all"
    """Scores, for the stage that scores."""

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
    return experiment.model_copy(update={"train": train.model_copy(update=small)})


SCHEMA = 1  #: version of experiment files

#: Blocks by their place in the file, where it does not depend on a type.
BLOCKS: Mapping[tuple[str, ...], type[Parameters]] = {
    (): Experiment,
    ("splits",): Splits,
    ("patches",): Patches,
    ("train",): Train,
    ("train", "two_phase"): TwoPhase,
    ("train", "subset"): Subset,
}
#: Blocks that have a type, by their place and type.
TYPED: Mapping[tuple[str, ...], Mapping[str, type[Parameters]]] = {
    ("train", "schedule"): {"none": Steady, "plateau": Plateau},
    ("train", "stop"): {"patience": Patience, "evaluation": EvaluationMode},
}
