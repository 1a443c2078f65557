"""Where the ground of a height map lies, scan line by scan line, however much of a line is covered by particles."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PART = 0.3  # of the pixels that the height of the ground is taken from
PART_WIDTH = 0.77  # of the shortest interval with that part of a normal distribution, in standard deviations
ROUNDING = 1e-9  # of the range of heights: a map without noise has no ground otherwise
WIDTHS = 2.5  # of the densest part of the steps between lines: farther steps are those of particles
MOST_BINS = 2000
JUMP = 20.0  # what a jump of the ground's path costs, in lines all of whose pixels are ground
FEWEST, MOST_BELOW = 0.1, 0.05  # share of a line, share of the map
NEAR, BELOW = 2.0, 4.0  # of the densest part's width: what still is ground, and what lies clearly below it


class GroundSeen(NamedTuple):
    """How much ground a levelled map shows: the share of each scan line (h,), and the share of the map clearly below it."""

    of_line: Array
    below: float

    def doubts(self) -> tuple[str, ...]:
        """What speaks against the levelling, in words."""
        said: tuple[str, ...] = ()
        few = int((self.of_line < FEWEST).sum())
        if few:
            said += (
                f"{few} of {len(self.of_line)} scan lines show less than {FEWEST:.0%} of ground, so their level is not sure",
            )
        if self.below > MOST_BELOW:
            said += (f"{self.below:.0%} of the map lie clearly below what was taken for the ground",)
        return said


def ground_seen(levelled: NDArray[Any]) -> GroundSeen:
    """Whether a levelled map (h, w) can be trusted: each line wants ground, and little may lie below it."""
    z = np.asarray(levelled, np.float64)
    middle, width = densest(z)
    width = max(width, ROUNDING * float(np.ptp(z)))
    near = np.abs(z - middle) <= NEAR * width
    return GroundSeen(near.mean(axis=1), float((z < middle - BELOW * width).mean()))


def densest(values: NDArray[Any]) -> tuple[float, float]:
    """Middle and width of the shortest interval that holds a part of the values: there most ground is, if less than half too."""
    ordered = np.sort(values, axis=None)
    count = max(int(PART * len(ordered)), 1)
    first = int(np.argmin(ordered[count:] - ordered[:-count])) if len(ordered) > count else 0
    part = ordered[first : first + count + 1]
    return float(np.median(part)), float(part[-1] - part[0])


def line_levels(z: Array, jumps: Array) -> Array:
    """The level of the ground in each line.

    Steps between lines are seen on particles and beside them alike, so the step that most pixels share is that of the lines; but
    sums of steps stray slowly. With them taken out, the ground is a path through the lines that changes by one bin of height from
    line to line and meets as many pixels as can be (dynamic programming); a larger change costs as much as many empty lines.

    Args:
        z: (h, w) heights without slope along the lines.
        jumps: (h - 1, w) their differences from line to line.

    Returns:
        (h,), to about the noise of a pixel.
    """
    summed = np.r_[0.0, np.cumsum(_usual(jumps))]
    rest = z - summed[:, None]
    low, high = float(rest.min()), float(rest.max())
    width = max(densest(np.diff(rest, axis=1))[1], (high - low) / MOST_BINS)
    if width == 0:
        return np.asarray(summed + low)
    bins = ((rest - low) / width).astype(np.int64)
    count = int(bins.max()) + 1
    crowd = np.stack([np.bincount(line, minlength=count) for line in bins]) / z.shape[1]
    crowd[:, 1:-1] = crowd[:, :-2] + crowd[:, 1:-1] + crowd[:, 2:]  # the ground may lie across bins
    return np.asarray(summed + low + (_path(crowd) + 0.5) * width)


def _path(crowd: Array) -> NDArray[np.int64]:
    """The column (h,) in each row of `crowd` (h, n) whose sum is largest, less `JUMP` for each change by more than 1."""
    columns = np.arange(crowd.shape[1])
    best, came = crowd[0], []
    for line in crowd[1:]:
        beside = np.stack([np.r_[-np.inf, best[:-1]], best, np.r_[best[1:], -np.inf]])
        value, jumped = beside.max(axis=0), best.max() - JUMP
        came.append(np.where(value < jumped, best.argmax(), columns + beside.argmax(axis=0) - 1))
        best = np.maximum(value, jumped) + line
    path = [int(best.argmax())]
    for source in reversed(came):
        path.append(int(source[path[-1]]))
    return np.array(path[::-1], np.int64)


def _usual(steps: Array) -> Array:
    """The step (n,) that most pixels of a pair of lines (n, w) share: the mean of those near the densest part."""
    count = min(max(int(PART * steps.shape[1]), 1), steps.shape[1] - 1)
    ordered = np.sort(steps, axis=1)
    width = ordered[:, count:] - ordered[:, :-count]
    middle = np.take_along_axis(ordered, (width.argmin(axis=1) + count // 2)[:, None], axis=1)
    near = np.abs(steps - middle) <= WIDTHS * np.median(width.min(axis=1)) + ROUNDING * np.ptp(steps)
    return np.asarray(np.where(near, steps, 0).sum(axis=1) / np.maximum(near.sum(axis=1), 1))
