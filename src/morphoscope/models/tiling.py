"""Large images in overlapping tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Tile(NamedTuple):
    """A part of an image: `outer` is what a network sees, `inner` what it answers for (x0, y0, x1, y1 in px)."""

    outer: tuple[int, int, int, int]
    inner: tuple[int, int, int, int]

    def owns(self, x: float, y: float) -> bool:
        """Whether a point belongs to this tile and to no other."""
        x0, y0, x1, y1 = self.inner
        return x0 <= x < x1 and y0 <= y < y1


def tiles(height: int, width: int, *, size: int, margin: int, align: int = 16) -> Iterator[Tile]:
    """Tiles whose inner parts cover an image once; an image up to `size` px is one tile.

    All are of one size (the last of a row or column up to `align` larger). With `size` and `margin` multiples of `align` tiles
    and their inner parts begin at multiples of it, so a tile's cells lie where the whole image's do.
    The outermost inner parts reach beyond the image by `margin`, so objects whose centre overhangs an edge have an owner.
    """
    for y0, y1, top, bottom in _spans(height, size, margin, align):
        for x0, x1, left, right in _spans(width, size, margin, align):
            inner = (
                x0 - margin if x0 == 0 else x0,
                y0 - margin if y0 == 0 else y0,
                x1 + margin if x1 == width else x1,
                y1 + margin if y1 == height else y1,
            )
            yield Tile((left, top, right, bottom), inner)


def _spans(length: int, size: int, margin: int, align: int) -> list[tuple[int, int, int, int]]:
    """First and end of the inner part of each tile along one side, then of the outer one, which all have one length."""
    if length <= size:
        return [(0, length, 0, length)]
    count = -(-(length - 2 * margin) // (size - 2 * margin))
    outer = -(-(length + 2 * margin * (count - 1)) // (count * align)) * align
    count = -(-(length - 2 * margin) // (outer - 2 * margin))
    edges = [0, *(outer - margin + i * (outer - 2 * margin) for i in range(count - 1)), length]
    starts = [min(i * (outer - 2 * margin), (length - outer) // align * align) for i in range(count)]
    ends = [start + outer for start in starts[:-1]] + [length]
    return list(zip(edges[:-1], edges[1:], starts, ends, strict=True))
