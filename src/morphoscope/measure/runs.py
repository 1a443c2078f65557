"""Label images as runs along rows, and how often scan lines in four directions enter each label.

All labels at once: an image of thousands of particles costs a few passes over its pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError

Ints = NDArray[np.int64]
BLOCK_PX = 1 << 20  # of rows that are compared with their neighbours in one go


class Runs(NamedTuple):
    """Runs of pixels of one label, ordered by label, row and column; and the labels themselves.

    labels: (n,) the values of the label image that occur, ascending. entries: (4, n) how many scan lines enter each label, as
    often as they do, along a row, a column, the diagonal down and to the right, and the one down and to the left.
    whose: (m,) which label a run is of, as a place in `labels`. row, first, last: (m,) its row, first and last column.
    start: (n,) where the runs of each label begin.
    """

    labels: Ints
    entries: Ints
    whose: Ints
    row: Ints
    first: Ints
    last: Ints
    start: Ints


def label_runs(labels: NDArray[Any]) -> Runs:
    """Runs and entries of a label image (h, w) of integers, 0 for the background; a label may be in several pieces.

    Raises:
        InputError: not two axes, not integers, or values below 0.
    """
    image = np.asarray(labels)
    if image.ndim != 2 or image.dtype.kind not in "iu":
        raise InputError(f"wanted a label image (h, w) of integers, got {image.shape} of {image.dtype}; label its parts first")
    if image.size and int(image.min()) < 0:
        raise InputError(f"labels are 0 for the background or above it, got {int(image.min())}")
    height, width = image.shape
    step = max(1, BLOCK_PX // max(width, 1))
    blocks = [_block(image, top, min(top + step, height)) for top in range(0, max(height, 1), step)]
    first, last, *others = (np.concatenate(part) for part in zip(*blocks, strict=True))
    values = image.ravel()[first].astype(np.int64)
    known, index = np.unique(values, return_inverse=True)
    count = [_count(known, image.ravel()[places].astype(np.int64)) for places in (first, *others)]
    order = np.argsort(index, kind="stable")
    index, first, last = index[order], first[order], last[order]
    row = first // max(width, 1)
    start = np.searchsorted(index, np.arange(len(known)))
    return Runs(known, np.array(count).reshape(4, -1), index, row, first - row * width, last - row * width, start)


def _block(image: NDArray[Any], top: int, bottom: int) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Flat places in the image of first and last pixels of runs, and of those whose upper, upper left and upper right
    neighbour is of another label."""
    part = image[top:bottom]
    inside = part > 0
    above = image[top - 1 : bottom - 1] if top else np.concatenate([np.zeros_like(image[:1]), image[: bottom - 1]])
    entered = [inside.copy() for _ in range(5)]
    across = part[:, 1:] != part[:, :-1]
    entered[0][:, 1:] &= across
    entered[1][:, :-1] &= across
    entered[2] &= part != above
    entered[3][:, 1:] &= part[:, 1:] != above[:, :-1]
    entered[4][:, :-1] &= part[:, :-1] != above[:, 1:]
    first, last, down, right, left = (np.flatnonzero(where) + top * image.shape[1] for where in entered)
    return first, last, down, right, left


def _count(known: Ints, values: Ints) -> Ints:
    """How often each of the ascending `known` is among the values, all of which are known."""
    if len(known) and known[-1] - known[0] + 1 == len(known):
        return np.bincount(values - known[0], minlength=len(known)).astype(np.int64)
    return np.bincount(np.searchsorted(known, values), minlength=len(known)).astype(np.int64)
