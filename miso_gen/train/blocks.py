"""How networks are trained: the block ``train`` of an experiment, and the blocks within it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from miso_gen.recipe.parameters import (
    NonNegativeFloat,
    NonNegativeInt,
    Parameters,
    PositiveFloat,
    PositiveInt,
    UnitInterval,
)

BETAS = (0.9, 0.999)  #: of Adam and Adamax, where nobody says otherwise


def _class_weights(value: Any) -> Any:
    if value in ("none", "balanced"):
        return value
    numbers = value if isinstance(value, list | tuple) else ()
    if len(numbers) > 1 and all(type(number) in (int, float) and 0 < number < float("inf") for number in numbers):
        return tuple(float(number) for number in numbers)
    raise PydanticCustomError("expected", "none, balanced, or a list of positive numbers, one for each class")


def _named(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


def _betas(value: Any) -> Any:
    numbers = value if isinstance(value, list | tuple) else ()
    if len(numbers) == 2 and all(type(number) in (int, float) and 0 <= number < 1 for number in numbers):
        return tuple(float(number) for number in numbers)
    raise PydanticCustomError("expected", "two numbers, each from 0 to less than 1")


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


class Base(Parameters):
    """First one network is trained to the end, without an early one; each seed is a branch that goes on from its weights.

    The base is a run of its own, with everything else as in the experiment, trained once for all branches.

    Source: Tjoa & Guan, who evaluate five branches.
    """

    epochs: PositiveInt
    """Epochs of the base."""

    seed: NonNegativeInt = 0
    """Decides weights, order, dropout and augmentation of the base; the seeds of branches decide the rest."""


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

    betas: Annotated[tuple[float, float], PlainValidator(_betas)] = BETAS
    """Of ``adam`` and ``adamax``: what is kept of the running means of gradients, and of their squares, in each step."""

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

    pixel_loss: NonNegativeFloat = 0.0
    """What the loss of pixels is multiplied by, of networks that label pixels; 0: it is left out. ``spa-mab`` had 5."""

    class_weights: Annotated[Any, PlainValidator(_class_weights)] = "none"
    """What the loss of each class is multiplied by: ``none``, ``balanced``, or numbers."""

    augmentation: Literal["none", "flips", "dihedral"] = "none"
    """``flips`` from left to right; ``dihedral``: any of the eight symmetries of a square."""

    compile: bool = False
    """Whether ``torch.compile`` is used."""

    two_phase: TwoPhase | None = None
    """Whether the encoder is frozen first."""

    base: Base | None = None
    """Whether all seeds go on from one network that was trained first."""

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
        if self.betas != BETAS and self.optimizer == "sgd":
            raise PydanticCustomError("expected", "without betas if optimizer is sgd")
        if self.base is not None and self.two_phase is not None:
            raise PydanticCustomError("expected", "without two_phase if it has a base")
        return self
