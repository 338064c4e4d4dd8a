"""Hue, saturation and value of colour images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def hsv(images: Tensor) -> Tensor:
    """Return hue (in turns, [0, 1)), saturation and value of images (B, 3, H, W) in [0, 1], same shape; hue 0 for greys."""
    most, least = images.amax(1), images.amin(1)
    span = most - least
    red, green, blue = images.unbind(1)
    scale = span.where(span > 0, 1.0)
    hue = torch.where(
        most == red,
        (green - blue) / scale,
        torch.where(most == green, 2.0 + (blue - red) / scale, 4.0 + (red - green) / scale),
    )
    return torch.stack([(hue / 6.0) % 1.0, span / most.where(most > 0, 1.0), most], 1)


def rgb(images: Tensor) -> Tensor:
    """Return red, green and blue of images (B, 3, H, W) of hue, saturation and value, same shape; hues are taken modulo 1."""
    hue, saturation, value = images.unbind(1)
    found = []
    for offset in (5.0, 3.0, 1.0):
        place = (offset + 6.0 * hue) % 6.0
        found.append(value - value * saturation * torch.minimum(place, 4.0 - place).clamp(0.0, 1.0))
    return torch.stack(found, 1)
