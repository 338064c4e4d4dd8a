"""Vision transformer, small, that says which patches its class token looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import nn

from miso_gen.models.interfaces import MODELS, Network, Reads
from miso_gen.models.libraries import library
from miso_gen.models.parts import hookable
from miso_gen.models.sizes import Sizes
from miso_gen.models.weights import Pretrained
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

BLOCKS = 12


class VisionTransformer(nn.Module):
    """timm's vision transformer, whose tokens pass through a map (B, channels, h, w) after each block but the last.

    These maps are there to be hooked. The last block has none: nothing but the class token leaves it for the logits.

    Args:
        vit: Of timm: one class token, learned positions on a grid, logits of the class token.
    """

    def __init__(self, vit: Any) -> None:
        super().__init__()
        self.vit = vit
        self.maps = nn.ModuleList(nn.Identity() for _ in vit.blocks[:-1])

    def tokens(self, images: Tensor) -> tuple[Tensor, int, int]:
        """Return what enters the first block, (B, 1 + h w, channels), and h and w."""
        patches = self.vit.patch_embed.proj(images)
        height, width = patches.shape[-2:]
        resample = library("timm.layers", "model vit-small").resample_abs_pos_embed
        positions = resample(self.vit.pos_embed, (height, width), num_prefix_tokens=1)
        tokens = torch.cat([self.vit.cls_token.expand(len(images), -1, -1), patches.flatten(2).mT], 1)
        return self.vit.norm_pre(self.vit.patch_drop(self.vit.pos_drop(tokens + positions))), height, width

    def blocks(self, images: Tensor) -> Iterator[tuple[Any, Tensor, Tensor, int, int]]:
        """Yield each block, what enters and leaves it, and the h and w of its patches."""
        tokens, height, width = self.tokens(images)
        for number, block in enumerate(self.vit.blocks):
            left = block(tokens)
            if number < len(self.maps):
                places = self.maps[number](left[:, 1:].mT.unflatten(2, (height, width)))
                left = torch.cat([left[:, :1], places.flatten(2).mT], 1)
            yield block, tokens, left, height, width
            tokens = left

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) of images (B, C, H, W)."""
        for *_, left, _, _ in self.blocks(images):  # noqa: B007  # the last one counts
            pass
        return self.vit.forward_head(self.vit.norm(left))

    def attention(self, images: Tensor) -> dict[str, Tensor]:
        """Return what the class token of each block looks at, averaged over heads, and the roll-out of all, (B, h, w) each.

        A map of a block adds up to 1 less what the class token gives to itself. The roll-out follows attention, halved with the
        residual connection, from the logits back to the patches: the class token's row of the product of (A + I) / 2.
        """
        maps: dict[str, Tensor] = {}
        rolled: Tensor | None = None
        for number, (block, tokens, _, height, width) in enumerate(self.blocks(images), 1):
            heads = attention_of(block.attn, block.norm1(tokens)).mean(1)
            maps[f"block-{number}"] = heads[:, 0, 1:].reshape(-1, height, width)
            step = (heads + torch.eye(heads.shape[-1], dtype=heads.dtype, device=heads.device)) / 2
            rolled = step if rolled is None else step @ rolled
            whole = rolled[:, 0, 1:].reshape(-1, height, width)
        return {**maps, "rollout": whole}


def attention_of(attention: Any, tokens: Tensor) -> Tensor:
    """Return the weights of timm's attention, (B, heads, tokens, tokens): rows look, and add up to 1."""
    queries, keys, _ = attention.qkv(tokens).unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    scores = attention.q_norm(queries) * attention.scale @ attention.k_norm(keys).mT
    return scores.softmax(-1)


@MODELS.register("vit-small")
class VitSmall(Network):
    """ViT-S: 12 blocks of 6 heads and 384 channels over patches of 16 x 16 px; logits come from a class token.

    Positions are learned on the grid that the patches of 224 px make, 14 x 14 of 16 px, and resampled to those of the image: any
    multiple of the patch goes, with or without pretrained weights. Attention: ``block-1`` to ``block-12``, what the class token
    looks at, averaged over heads, and ``rollout``.

    ::

        {type: vit-small, patch: 16}

    Source: Dosovitskiy et al., An image is worth 16 x 16 words, 2021; Touvron et al., Training data-efficient image transformers,
    2021 (the small form); Abnar and Zuidema, Quantifying attention flow in transformers, 2020 (the roll-out).
    """

    reads: ClassVar[tuple[Reads, ...]] = ("image", "patch")
    source: ClassVar[str] = "Dosovitskiy et al. 2021; Touvron et al. 2021; Abnar and Zuidema 2020"
    attention: ClassVar[tuple[str, ...]] = (*(f"block-{number}" for number in range(1, BLOCKS + 1)), "rollout")

    patch: Literal[8, 16, 32] = 16
    """Side of the network's own patches, px."""

    grid: PositiveInt | None = None
    """Side of the grid of learned positions, in patches; null: that of images of 224 px."""

    @property
    def sizes(self) -> Sizes:
        """Multiples of the patch, from two: attention to a single patch says nothing."""
        return Sizes(least=2 * self.patch, multiple=self.patch)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The patch tokens after each block but the last, which has no path from them to the logits."""
        return tuple(f"maps.{number}" for number in range(BLOCKS - 1))

    @property
    def head(self) -> tuple[str, ...]:
        """See :attr:`Network.head`."""
        return ("vit.head",)

    @property
    def pretrained(self) -> Pretrained:
        """Weights of timm; they need the grid of 224 px."""
        training = "dino" if self.patch == 8 else "augreg_in21k_ft_in1k"  # nobody published labelled ones of 8 px
        name = f"vit_small_patch{self.patch}_224.{training}"
        return Pretrained("timm", name, fresh=self.head, prefix="vit.")

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """See :meth:`Network.build`."""
        grid = 224 // self.patch if self.grid is None else self.grid
        vit = library("timm", "model vit-small").create_model(
            "vit_small_patch16_224",
            patch_size=self.patch,
            img_size=grid * self.patch,
            in_chans=in_channels,
            num_classes=num_classes,
        )
        return hookable(VisionTransformer(vit))
