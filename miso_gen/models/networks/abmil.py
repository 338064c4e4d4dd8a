"""Attention-based multiple-instance learning: an image is a bag of patches, and attention says which of them count."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from miso_gen.errors import InputError
from miso_gen.models.encoders import Encoder, check_levels, encoder_weights
from miso_gen.models.interfaces import MODELS, Network, Reads
from miso_gen.models.parts import hookable
from miso_gen.models.sizes import Sizes
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.models.weights import Pretrained

LENET = "lenet"


class Attention(nn.Module):
    """Weights over the patches of a bag.

        a = softmax(w tanh(V h)),    gated: a = softmax(w (tanh(V h) * sigmoid(U h)))

    Args:
        features: Length of the vector h of a patch.
        width: Length of V h.
        gated: Whether there is U.
    """

    def __init__(self, features: int, width: int, gated: bool) -> None:
        super().__init__()
        self.value = nn.Linear(features, width)
        self.gate = nn.Linear(features, width) if gated else None
        self.weigh = nn.Linear(width, 1)

    def forward(self, vectors: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return weights (B, K) of vectors (B, K, features); they add up to 1, or are all 0 where the mask (B, K) has no True."""
        values = self.value(vectors).tanh()
        if self.gate is not None:
            values = values * self.gate(vectors).sigmoid()
        scores = self.weigh(values).squeeze(-1)
        if mask is None:
            return scores.softmax(-1)
        return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1) * mask


class AttentionMIL(nn.Module):
    """Each patch to a vector, the vectors to their weighted mean, the mean to logits.

    Padded patches are never looked at: they change neither logits nor the statistics of batch normalisation.

    Args:
        encoder: Patches (n, C, h, w) -> (n, length).
        embed: (n, length) -> vectors (n, features).
        attend: Vectors (B, K, features), mask -> weights (B, K).
        classifier: (B, features) -> logits.
    """

    def __init__(self, encoder: nn.Module, embed: nn.Module, attend: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.embed = embed
        self.attend = attend
        self.classifier = classifier

    def vectors(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the vector of each patch, (B, K, features), of bags (B, K, C, h, w); 0 where the mask (B, K) is False.

        Raises:
            InputError: Bag or mask have another shape.
        """
        if images.ndim != 5:
            raise InputError(
                f"images must be bags (B, K, channels, height, width), got {tuple(images.shape)}. One image: images[None, None]."
            )
        if mask is None:
            return self.embed(self.encoder(images.flatten(0, 1))).unflatten(0, images.shape[:2])
        if mask.dtype != torch.bool or mask.shape != images.shape[:2]:
            raise InputError(
                f"mask must be bool of shape {tuple(images.shape[:2])}, got {mask.dtype} of {tuple(mask.shape)}. "
                "True is for patches that are there."
            )
        found = self.embed(self.encoder(images[mask]))
        return found.new_zeros(*mask.shape, found.shape[-1]).masked_scatter(mask[..., None], found)

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return logits (B, classes) of bags (B, K, C, h, w); the mask (B, K) is True for patches that are there, None: all are.

        A bag without any patch gets the classifier's bias.
        """
        vectors = self.vectors(images, mask)
        weights = self.attend(vectors, mask)
        return self.classifier((weights[:, None].to(vectors.dtype) @ vectors).squeeze(1))

    def attention(self, images: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``patches``: the weight of each patch, (B, K), at least 0; those of a bag add up to 1."""
        return {"patches": self.attend(self.vectors(images, mask), mask)}


class Lenet(nn.Sequential):
    """The convolutions of LeNet as Ilse et al. widened them: 5 x 5 to 20, maximum, 5 x 5 to 50, maximum."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, 20, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )


class Averaged(Encoder):
    """The deepest features of a network of timm, averaged over the patch."""

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]  # a vector, not a list of maps
        """Return (n, channels) of patches (n, C, h, w)."""
        return super().forward(images)[-1].mean((-2, -1))


@MODELS.register("abmil")
class Abmil(Network):
    """Attention-based multiple-instance learning: reads the bag of the patches of an image, which has one label.

    Its attention, ``patches``, is its explanation: (B, K), one weight for each patch, where other networks have maps. The source
    learns patches of 28 px with ``encoder: lenet``; on larger patches a network of timm is used today. Bags of unlike sizes are
    padded, and a mask says which patches are there.

    ::

        {type: abmil, encoder: resnet18, gated: true}

    Source: Ilse, Tomczak and Welling, Attention-based deep multiple instance learning, 2018.
    """

    reads: ClassVar[tuple[Reads, ...]] = ("bag",)
    source: ClassVar[str] = "Ilse et al. 2018"
    attention: ClassVar[tuple[str, ...]] = ("patches",)

    encoder: str = "resnet18"
    """``lenet``, or any network of timm with feature maps, whose deepest ones are averaged over the patch."""

    features: PositiveInt = 500
    """Length of the vector of a patch."""

    width: PositiveInt = 128
    """Length of the hidden layer of attention."""

    gated: bool = True
    """Whether attention is gated."""

    @property
    def sizes(self) -> Sizes:
        """Sizes of a patch: from 16 px for ``lenet``, else multiples of the stride of the encoder."""
        if self.encoder == LENET:
            return Sizes(least=16)
        stride = check_levels(self.encoder, 1, "abmil").strides[-1]
        return Sizes(least=stride, multiple=stride)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The deepest maps of the encoder, those of all patches of all bags: (B K, channels, h, w)."""
        return ("encoder.1", "encoder.4") if self.encoder == LENET else check_levels(self.encoder, 1, "abmil").named(1)

    @property
    def head(self) -> tuple[str, ...]:
        """See :attr:`Network.head`."""
        return ("classifier",)

    @property
    def pretrained(self) -> Pretrained | None:
        """ImageNet weights of the encoder."""
        return None if self.encoder == LENET else encoder_weights(self.encoder, fresh=("embed", "attend", "classifier"))

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        encoder: nn.Module
        if self.encoder == LENET:
            encoder = Lenet(in_channels)
            height, width = (((side - 4) // 2 - 4) // 2 for side in image_size)
            length = 50 * height * width
        else:
            encoder = Averaged(self.encoder, in_channels, image_size)
            length = encoder.channels[-1]
        embed = nn.Sequential(nn.Linear(length, self.features), nn.ReLU())
        attend = Attention(self.features, self.width, self.gated)
        return hookable(AttentionMIL(encoder, embed, attend, nn.Linear(self.features, num_classes)))
