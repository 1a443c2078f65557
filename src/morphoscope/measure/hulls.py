"""Convex hulls of all labels of an image at once: their pixels, and the largest and smallest caliper (Feret) diameter.

A pixel stands for the middles of its four edges, as in scikit-image: the hull of a digitised disc or ellipse is then less too
large than that of pixel corners (benchmarks.shapes prints both). Corners are twice the coordinates, so they are whole numbers
and nothing about the hull is rounded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphoscope.measure.runs import Ints, Runs

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Hulls(NamedTuple):
    """Corners of the hulls in twice the pixel coordinates: down the left side, then up the right side of each label.

    whose: (k,) which label a corner is of, ascending. x, y: (k,). area_px: (n,) pixels whose centre is in the hull.
    """

    whose: Ints
    x: Ints
    y: Ints
    area_px: Ints


class _Chain(NamedTuple):
    """The left side of hulls, corners from top to bottom."""

    whose: Ints
    x: Ints
    y: Ints


def convex_hulls(runs: Runs) -> Hulls:
    """The hull of each label of `runs`."""
    if len(runs.labels) == 0:
        return Hulls(runs.whose, runs.first, runs.row, runs.labels)
    new = np.flatnonzero(np.diff(runs.whose, prepend=-1) | np.diff(runs.row, prepend=-1))
    end = np.append(new[1:], len(runs.whose)) - 1
    index, row = runs.whose[new], runs.row[new]
    left = _left_chain(index, row, runs.first[new])
    right = _left_chain(index, row, -runs.last[end])
    joined = _Chain(*(np.concatenate(pair) for pair in zip(left, _Chain(*(part[::-1] for part in right)), strict=True)))
    joined.x[len(left.x) :] *= -1
    order = np.argsort(joined.whose, kind="stable")
    around = _Chain(*(part[order] for part in joined))
    after = _next(around.whose)
    apart = (around.x != around.x[after]) | (around.y != around.y[after])
    return Hulls(around.whose[apart], around.x[apart], around.y[apart], _pixels(runs, left, right))


def feret_diameters(hulls: Hulls, count: int, pixel_size: tuple[float, float] = (1.0, 1.0)) -> tuple[Array, Array]:
    """Largest and smallest distance between two parallel lines that hold each hull between them.

    Rotating calipers: each edge and the corner farthest from it (Shamos 1978). Both are found among edges and their farthest
    corners, whose place follows from the directions of the edges.

    Args:
        hulls: of `convex_hulls`.
        count: how many labels there are.
        pixel_size: (y, x), in the unit wanted; corners are scaled before anything is measured.

    Returns:
        (count,) each: largest, smallest.
    """
    if count == 0:
        return np.empty(0), np.empty(0)
    x, y = hulls.x * (pixel_size[1] / 2), hulls.y * (pixel_size[0] / 2)
    after = _next(hulls.whose)
    dx, dy = x[after] - x, y[after] - y
    angle = np.arctan2(0.0 - dy, dx)  # rises from above -pi to pi along each hull (of -0.0 it would be -pi)
    opposite = np.where(angle <= 0, angle + np.pi, angle - np.pi)
    span = 2 * np.pi + 1
    start = np.searchsorted(hulls.whose, np.arange(count + 1))
    begin, size = start[hulls.whose], np.diff(start)[hulls.whose]
    place = np.searchsorted(hulls.whose * span + angle, hulls.whose * span + opposite) - begin
    far, across = np.zeros(len(x)), np.zeros(len(x))
    for beside in (-1, 0, 1):  # of parallel edges either end may have come out
        other = begin + (place + beside) % size
        for own in (np.arange(len(x)), after):
            far = np.maximum(far, np.hypot(x[other] - x[own], y[other] - y[own]))
        across = np.maximum(across, np.abs((x[other] - x) * dy - (y[other] - y) * dx))
    across /= np.hypot(dx, dy)
    return np.maximum.reduceat(far, start[:-1]), np.minimum.reduceat(across, start[:-1])


def _left_chain(index: Ints, row: Ints, first: Ints) -> _Chain:
    """Left sides of the hulls of rows that begin at `first`."""
    follows = (index[1:] == index[:-1]) & (row[1:] == row[:-1] + 1)
    above, below = np.ones(len(row), bool), np.ones(len(row), bool)  # the points between two rows: the left one of the two
    below[:-1] &= ~(follows & (first[:-1] > first[1:]))
    above[1:] &= ~(follows & (first[:-1] <= first[1:]))
    points = np.stack([above, np.ones(len(row), bool), below], axis=1).ravel()
    y = (2 * row[:, None] + np.array([-1, 0, 1])).ravel()[points]
    x = (2 * first[:, None] + np.array([0, -1, 0])).ravel()[points]
    whose = np.repeat(index, 3)[points]
    corners = _corners(whose, x, y)
    return _Chain(whose[corners], x[corners], y[corners])


def _corners(index: Ints, x: Ints, y: Ints) -> Ints:
    """Which points, from top to bottom for each index, are corners of the left side of its hull.

    A point on or right of the line between its two neighbours is no corner, so all of them go at once, until none is left.
    Labels where nothing went are finished.
    """
    alive, done = np.arange(len(index)), []
    while len(alive):
        drop = _not_corners(index[alive], x[alive], y[alive])
        moving = np.zeros(len(alive), bool)
        if drop.any():
            group = np.cumsum(np.diff(index[alive], prepend=index[alive[0]]) != 0)
            moving = (np.bincount(group, weights=drop) > 0)[group]
        done.append(alive[~moving])
        alive = alive[moving & ~drop]
    return np.sort(np.concatenate(done)) if done else alive


def _not_corners(index: Ints, x: Ints, y: Ints) -> Bools:
    """Points with both neighbours of their own index that are not left of the line between them."""
    drop = np.zeros(len(index), bool)
    if len(index) > 2:
        to_right = (x[1:-1] - x[:-2]) * (y[2:] - y[:-2]) >= (x[2:] - x[:-2]) * (y[1:-1] - y[:-2])
        drop[1:-1] = to_right & (index[:-2] == index[2:])
    return drop


def _pixels(runs: Runs, left: _Chain, right: _Chain) -> Ints:
    """How many pixels have their centre in or on each hull."""
    top, bottom = np.minimum.reduceat(runs.row, runs.start), np.maximum.reduceat(runs.row, runs.start)
    heights = bottom - top + 1
    index = np.repeat(np.arange(len(heights)), heights)
    row = np.arange(len(index)) - np.repeat(np.cumsum(heights) - heights - top, heights)
    wide = -_first_inside(right, index, row) - _first_inside(left, index, row) + 1
    return np.bincount(index, weights=wide, minlength=len(heights)).astype(np.int64)


def _first_inside(chain: _Chain, index: Ints, row: Ints) -> Ints:
    """The first column on or right of the chain in each row."""
    span = int(chain.y.max()) + 3
    here = np.searchsorted(chain.whose * span + chain.y, index * span + 2 * row, side="right") - 1
    dx, dy = chain.x[here + 1] - chain.x[here], chain.y[here + 1] - chain.y[here]
    return np.asarray(-(-(chain.x[here] * dy + (2 * row - chain.y[here]) * dx) // (2 * dy)))


def _next(index: Ints) -> Ints:
    """Place of the next corner around the same hull."""
    after = np.arange(1, len(index) + 1)
    last = np.flatnonzero(np.diff(index, append=-1))
    after[last] = np.concatenate(([0], last[:-1] + 1))[: len(last)]
    return after
