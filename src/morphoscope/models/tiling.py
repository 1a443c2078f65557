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

    Inner parts begin at multiples of `align`, so a tile's cells lie where the whole image's do.
    The outermost inner parts reach beyond the image by `margin`, so objects whose centre overhangs an edge have an owner.
    """
    for y0, y1 in _spans(height, size, margin, align):
        for x0, x1 in _spans(width, size, margin, align):
            outer = (max(x0 - margin, 0), max(y0 - margin, 0), min(x1 + margin, width), min(y1 + margin, height))
            inner = (
                x0 - margin if x0 == 0 else x0,
                y0 - margin if y0 == 0 else y0,
                x1 + margin if x1 == width else x1,
                y1 + margin if y1 == height else y1,
            )
            yield Tile(outer, inner)


def _spans(length: int, size: int, margin: int, align: int) -> list[tuple[int, int]]:
    if length <= size:
        return [(0, length)]
    core = size - 2 * margin
    count = -(-length // core)
    edges = [min(round(i * length / count / align) * align, length) for i in range(count)] + [length]
    return list(zip(edges[:-1], edges[1:], strict=True))
