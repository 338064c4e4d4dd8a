"""Image sizes that a network takes, and the nearest one where it doesn't take one."""

from __future__ import annotations

from dataclasses import dataclass

from miso_gen.errors import InputError


@dataclass(frozen=True)
class Sizes:
    """Heights and widths that a network takes: multiples of a number, from a least one.

    Attributes:
        least: Least height and width, in pixels; a multiple of ``multiple``.
        multiple: What height and width are multiples of.
    """

    least: int
    multiple: int = 1

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.least < 1 or self.least % self.multiple:
            raise ValueError(f"least must be a positive multiple of {self.multiple}, got {self.least}.")

    def __str__(self) -> str:
        step = f"a multiple of {self.multiple}, and " if self.multiple > 1 else ""
        return f"{step}at least {self.least}"

    def __contains__(self, side: object) -> bool:
        return isinstance(side, int) and side >= self.least and side % self.multiple == 0

    def nearest(self, side: int) -> int:
        """Return the nearest height or width that is taken; of two, the lower one."""
        below = side // self.multiple * self.multiple
        return max(self.least, below if side - below <= self.multiple - (side - below) else below + self.multiple)

    def check(self, size: tuple[int, int], network: str) -> None:
        """Refuse a size (height, width) in pixels that is not taken.

        Raises:
            InputError: It says the nearest one.
        """
        if all(side in self for side in size):
            return
        near = tuple(self.nearest(side) for side in size)
        raise InputError(f"image_size must be {self}, for {network}, got {shown(size)}. Nearest: {shown(near)}.")


def shown(size: tuple[int, ...]) -> str:
    """Return a size as people write it: one number for a square."""
    return str(size[0]) if len(set(size)) == 1 else str(size)
