"""Where the content of each frame lies, from many measured shifts between frames.

The sum of shifts from frame to frame wanders off like a random walk. So each frame is registered against the key frame of
its batch as well, and key frames against several earlier ones; a frame that is not like the one before, as after a blank
one, is tried against a few more. All these links are reconciled by robust weighted least squares. Wrong links are found by
graduated non-convexity (Yang, Antonante, Tzoumas and Carlone 2020, doi 10.1109/LRA.2020.2965893): a cost function that lets
all links have their say is bent step by step into one that does not listen to outliers. Which frames are key frames
depends on their number alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
BATCH = 32  # frames that share a key frame, the first of them
BACK = (1, 2, 4, 8)  # batches between a key frame and the earlier key frames it is registered against
DETOURS = 3  # further frames before, at most, tried where the one before is not recognised
JUMP_PX = 8.0
TIE = 1e-8  # weight, against the weakest link, of the guess that content stays where it was
LIMIT, TUKEY = 3.0, 6.0  # in standard deviations
SHARPER = 1.2  # factor from one to the next of the cost functions that lead to the robust one
SAME = 1e-3  # change of the weights from which on they are taken for settled
ROUNDS = 20


class Links(NamedTuple):
    """Measured shifts: the content of row `second` lies (dx, dy) px from where it lay in row `first`.

    All of one length: `first`, `second` row numbers, first < second; `variance` px^2 of one axis; `quality` 0 to 1.
    """

    first: Ints
    second: Ints
    dx: Array
    dy: Array
    variance: Array
    quality: Array

    @classmethod
    def of(cls, rows: list[tuple[int, int, float, float, float, float]]) -> Self:
        """From a list with the six values of each link."""
        table = np.array(rows, dtype=float).reshape(-1, 6)
        return cls(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), *(table[:, k] for k in range(2, 6)))


def partners(index: int, *, batch: int = BATCH, back: tuple[int, ...] = BACK) -> tuple[int, ...]:
    """The earlier frames, counted from 0, that a frame is registered against: the one before, its key, a key's earlier keys."""
    if index <= 0:
        return ()
    key = (index - 1) // batch * batch
    keys = {index - k * batch for k in back if index % batch == 0} | {key}
    return index - 1, *sorted((k for k in keys if 0 <= k < index - 1), reverse=True)


def detours(index: int) -> tuple[int, ...]:
    """The earlier frames that are no partners, in the order in which to try them where the one before is not recognised."""
    key = (index - 1) // BATCH * BATCH
    others = [*range(index - 2, index - 2 - DETOURS, -1), *(key - k * BATCH for k in BACK)]
    return tuple(j for j in dict.fromkeys(others) if j >= 0 and j not in partners(index))


def displacement(links: Links, n: int, *, jump_px: float = JUMP_PX) -> pd.DataFrame:
    """`shift_x_px`, `shift_y_px`, `jump`, `shift_quality` of n frames, a row each; the first lies at (0, 0).

    Where no link leads across, content is taken to stay where it was (or to move evenly, past frames without any link)
    and `shift_quality` is 0; else it is the best quality among the links to earlier frames that fit with the others.

    Args:
        links: in any order; those with no finite variance are not used.
        n: number of frames.
        jump_px: a longer step from one frame to the next is a jump.
    """
    use = np.isfinite(links.variance) & (links.variance > 0) & np.isfinite(links.dx) & np.isfinite(links.dy)
    links = Links(*(column[use] for column in links))  # type: ignore[arg-type]
    if n == 0:
        return pd.DataFrame({"shift_x_px": [], "shift_y_px": [], "jump": np.empty(0, bool), "shift_quality": []})
    place, trust = _reconcile(links, n)
    quality = np.zeros(n)
    np.maximum.at(quality, links.second, links.quality * trust)
    quality[:1] = 1.0
    step = np.hypot(*np.diff(place, axis=0, prepend=place[:1]).T)
    columns = {"shift_x_px": place[:, 0], "shift_y_px": place[:, 1], "jump": step > jump_px, "shift_quality": quality}
    return pd.DataFrame(columns)


def _reconcile(links: Links, n: int) -> tuple[Array, Array]:
    """Places (n, 2), and how far each link is believed, 0 to 1."""
    count = len(links.first)
    if n < 2 or not count:
        return np.zeros((n, 2)), np.ones(count)
    first = np.concatenate([links.first, np.arange(n - 1)])
    second = np.concatenate([links.second, np.arange(1, n)])
    shift = np.concatenate([np.stack([links.dx, links.dy], 1), np.zeros((n - 1, 2))])
    weight = 1 / links.variance
    tie = np.full(n - 1, TIE * float(weight.min()))
    excess = max(1.0, count / max(count - n + 1, 1))  # residuals are shorter than errors by the share of redundant links

    def errors(trust: Array) -> tuple[Array, Array]:
        place = _least_squares(first, second, shift, np.concatenate([weight * trust, tie]), n)
        left = shift[:count] - place[links.second] + place[links.first]
        error = np.hypot(left[:, 0], left[:, 1]) * np.sqrt(weight)
        return place, error / max(1.0, math.sqrt(excess) * float(np.median(error)) / 1.18)

    trust = np.ones(count)
    place, error = errors(trust)
    leniency = max(1.0, 2 * float(error.max() / LIMIT) ** 2)
    while leniency > 1:
        leniency = max(leniency / SHARPER, 1.0)
        trust = (leniency * LIMIT**2 / (error**2 + leniency * LIMIT**2)) ** 2
        place, error = errors(trust)
    for _ in range(ROUNDS):
        before, trust = trust, np.maximum(1 - (error / TUKEY) ** 2, 0) ** 2
        place, error = errors(trust)
        if np.abs(trust - before).max() < SAME:
            break
    return place, trust


def _least_squares(first: Ints, second: Ints, shift: Array, weight: Array, n: int) -> Array:
    """Places (n, 2) of least weighted squares, the first at 0."""
    ends = np.concatenate([first, second])
    force = np.stack([np.bincount(ends, np.concatenate([-weight * s, weight * s]), minlength=n) for s in shift.T], axis=1)
    rows, columns = np.concatenate([ends, first, second]), np.concatenate([ends, second, first])
    values = np.concatenate([weight, weight, -weight, -weight])
    inner = (rows > 0) & (columns > 0)
    matrix = coo_matrix((values[inner], (rows[inner] - 1, columns[inner] - 1)), shape=(n - 1, n - 1)).tocsc()
    solved = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(force[1:])
    return np.concatenate([np.zeros((1, 2)), solved])
