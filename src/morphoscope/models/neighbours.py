"""Models that know good images by their features (version `neighbours-1`): how far each cell of an image lies from them.

The distance is taken inside the model file; here images are fed to it and its cells are gathered to patches, as are those of
other networks that answer cell by cell.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.models.patches import PatchImage
from morphoscope.models.tiling import tiles

NEIGHBOURS = "neighbours-1"
TILE, MARGIN = 736, 112  # px of the resized image; the margin is more than the features see to one side
ALIGN = 16  # px: the largest stride of the features, of which tiles begin at a multiple

Array = NDArray[np.float32]


def over_tiles(
    image: PatchImage, answer: Callable[[Array], Array], *, cell: int, tile: int = TILE, margin: int = MARGIN, align: int = ALIGN
) -> Array:
    """What a network with padding answers for all cells (k, rows, columns) of an image, whatever the tile.

    Args:
        image: the resized image; beyond its edges it is mirrored up to a multiple of `align`.
        answer: the network, (1, channels, h, w) to (k, h / cell, w / cell), h and w multiples of `align`.
        cell: px of the resized image per cell.
        tile: larger images are cut into tiles of this many px, a multiple of `align`.
        margin: px that tiles overlap to each side, a multiple of `align`.
        align: px of the step of the network's coarsest map.
    """
    height, width = image.shape
    tall, wide = height + -height % align, width + -width % align
    out: Array | None = None
    for one in tiles(tall, wide, size=tile, margin=margin, align=align):
        x0, y0, x1, y1 = one.outer
        part = image.read(y0, x0, y1 - y0, x1 - x0)
        missing = ((0, 0), (0, y1 - y0 - part.shape[1]), (0, x1 - x0 - part.shape[2]))
        found = answer(np.pad(part, missing, mode="symmetric")[None])
        if out is None:
            out = np.empty((len(found), tall // cell, wide // cell), np.float32)
        left, top, right, bottom = (max(edge, 0) for edge in one.inner)
        inside = found[:, (top - y0) // cell : (bottom - y0) // cell, (left - x0) // cell : (right - x0) // cell]
        out[:, top // cell : bottom // cell, left // cell : right // cell] = inside
    assert out is not None
    return out[:, : -(-height // cell), : -(-width // cell)]


def gathered(cells: Array, *, side: int, stride: int) -> tuple[Array, int, int]:
    """Means of cells (k, rows, columns) over patches of `side` x `side` of them, `stride` apart, as many as fit.

    Returns:
        the means (k, rows', columns') and the first cell (y, x) of the first patch; what is left over is shared by two sides.

    Raises:
        InputError: there are fewer rows or columns of cells than a patch has.
    """
    rows, columns = cells.shape[1:]
    if min(rows, columns) < side:
        raise InputError(f"wanted at least as many cells as a patch has, {side} x {side}, got {columns} x {rows}")
    y, x = (rows - side) % stride // 2, (columns - side) % stride // 2
    windows = np.lib.stride_tricks.sliding_window_view(cells, (side, side), axis=(1, 2))[:, y::stride, x::stride]
    return np.asarray(windows.mean(axis=(3, 4)), np.float32), y, x
