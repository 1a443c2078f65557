"""The extremum between the points of a grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def vertex(values: Array, best: Ints) -> tuple[Ints, Array]:
    """Where a parabola through the best point of each row and its neighbours has its extremum.

    Args:
        values: (k, g) with g >= 3.
        best: (k,) column of the least or greatest value of each row.

    Returns:
        The column (k,) in the middle of the three, and how far from it the extremum lies in columns, at most half a column; where
        the best point is the first or the last one, that point: a whole column.
    """
    rows, middle = np.arange(len(best)), np.clip(best, 1, values.shape[1] - 2)
    a, b, c = (values[rows, middle + k] for k in (-1, 0, 1))
    bend = a - 2 * b + c
    shift = np.divide(a - c, 2 * bend, out=np.zeros_like(bend), where=bend != 0)
    return middle, np.where(best == middle, np.clip(shift, -0.5, 0.5), best - middle)
