"""Black-and-white pictures -> whole-number polygons along their pixel edges.

An outline follows the cracks between pixels, not the centres of pixels: it holds every pixel of the picture and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.contents import Content
from miso_gen.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND = "outline"  #: of contents that hold an outline


@dataclass(frozen=True, eq=False)
class Outline:
    """The outline of a silhouette, in canonical order.

    Every vertex is a corner. The object lies to the right of every edge (x to the right, y down): rings around pieces run
    clockwise, rings around holes the other way. Pixels that touch at a corner belong to one piece, and not to one hole. A ring
    starts at its smallest vertex by (y, x); rings are in the order of these.

    Attributes:
        height: Rows of the picture.
        width: Columns of the picture.
        vertices: (n, 2) int32 (x, y), corners of pixels: 0 <= x <= width, 0 <= y <= height.
        starts: (k,) int64, the first vertex of each ring.
    """

    height: int
    width: int
    vertices: NDArray[np.int32]
    starts: NDArray[np.int64]

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_]) -> Outline:
        """Return the outline of a picture, (h, w) bool; without rings where nothing is inside."""
        height, width = mask.shape
        padded = np.zeros((height + 2, width + 2), np.uint8)
        padded[1:-1, 1:-1] = mask
        nw, ne, sw, se = (part.reshape(-1) for part in _around_corners(padded))
        odd = nw ^ ne ^ sw ^ se
        saddle = (nw ^ ne) & (nw ^ sw) & ~odd
        at = np.flatnonzero(odd | saddle)
        at = np.repeat(at, 1 + saddle[at].astype(np.int64))  # a saddle is the end of four edges: two vertices
        y, x = np.divmod(at, width + 1)
        # By (y, x) vertices pair into horizontal edges: numbers 2 i and 2 i + 1. The first of a saddle's two ends the edge from
        # the left. By (x, y) they pair into vertical edges; the first ends the edge from above. Exchanging the two there joins
        # north-west and south-east pixels where these are inside.
        number = np.arange(len(at))
        second = np.zeros(len(at), np.bool_)
        second[1:] = at[1:] == at[:-1]
        down = np.lexsort((second ^ (nw[at] == 1), y, x))
        across = number ^ 1
        vertical = np.empty(len(at), np.int64)
        vertical[down[0::2]], vertical[down[1::2]] = down[1::2], down[0::2]
        leaves_across = np.where(number & 1 == 0, se[at] == 1, sw[at] == 0)
        order, starts = _cycles(np.where(leaves_across, across, vertical))
        return cls(height, width, np.stack([x, y], axis=1)[order].astype(np.int32), starts)

    @classmethod
    def of_content(cls, content: Content) -> Outline:
        """Return the outline that a content holds.

        Raises:
            InputError: It holds something else.
        """
        if content.kind != KIND:
            raise InputError(
                f"content {content.digest[:12]} must be an outline, got {content.kind}. Import the pictures of the recipe again."
            )
        facts, arrays = content.facts, content.arrays
        return cls(
            int(facts["height"]), int(facts["width"]), arrays["vertices"].astype(np.int32), arrays["rings"].astype(np.int64)
        )

    @property
    def content(self) -> Content:
        """The outline as a content."""
        arrays: dict[str, NDArray[Any]] = {"vertices": self.vertices, "rings": self.starts}
        return Content(KIND, {"height": self.height, "width": self.width}, arrays)

    @property
    def rings(self) -> list[NDArray[np.int32]]:
        """Closed rings, each (n, 2) int32 (x, y); the last vertex joins the first."""
        return np.split(self.vertices, self.starts[1:]) if len(self.starts) else []

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """(k,) int64: pixels within each ring; those of holes are negative."""
        doubled = []
        for ring in self.rings:
            x, y = ring.astype(np.int64).T
            doubled.append(int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()))
        return np.array(doubled, np.int64) // 2

    @property
    def pieces(self) -> int:
        """Number of pieces; pixels that touch at a corner belong together."""
        return int((self.areas > 0).sum())

    @property
    def holes(self) -> int:
        """Number of holes; pixels that touch at a corner are of two."""
        return int((self.areas < 0).sum())

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of the object; zeros where nothing is inside."""
        if not len(self.vertices):
            return 0, 0, 0, 0
        left, top = self.vertices.min(axis=0).tolist()
        right, bottom = self.vertices.max(axis=0).tolist()
        return left, top, right, bottom


def _around_corners(padded: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return the pixels north-west, north-east, south-west and south-east of every corner."""
    return [padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]]


def _cycles(following: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers 0 to n - 1 cycle by cycle, each from its least on, and where cycles start."""
    steps, seen = following.tolist(), bytearray(len(following))
    order: list[int] = []
    starts: list[int] = []
    for first in range(len(steps)):
        if not seen[first]:
            starts.append(len(order))
            here = first
            while not seen[here]:
                seen[here] = 1
                order.append(here)
                here = steps[here]
    return np.array(order, np.int64), np.array(starts, np.int64)
