"""Growth: robust slopes with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from morphoscope.physics.correlated import learnt, widening

Array = NDArray[np.float64]
MIN_POINTS = 6
MOST_POINTS = 200
MOST_ASKED = 2000  # curves the noise is learnt from


class Slope(NamedTuple):
    """A slope with its interval; nan for too few points."""

    value: float
    low: float
    high: float


class Line(NamedTuple):
    """A slope with the interval it has for independent scatter, and the scatter (n,) about it."""

    slope: Slope
    residual: Array


def theil_sen(x: ArrayLike, y: ArrayLike, *, confidence: float = 0.95, noise: Array | None = None) -> Slope:
    """Median of the slopes of all pairs (Theil 1950, Sen 1968), with Sen's interval widened for correlated scatter.

    Of more than 200 points, neighbours are averaged first. Sen's interval, exact for independent scatter, is widened as
    `correlated.widening` says, because measurements of one object in successive frames share their errors. Without `noise` an
    error that lasts longer than about a tenth of the track cannot be told from growth and makes the interval too narrow.

    Args:
        x: (n,), such as time.
        y: (n,), such as size; pairs with a nan are left out.
        confidence: of the interval.
        noise: what is known of the scatter, from `shared_noise`.

    Returns:
        nan for fewer than 6 points.
    """
    return widened(line(x, y, confidence), confidence, noise=noise)


def widened(found: Line | None, confidence: float = 0.95, *, noise: Array | None = None) -> Slope:
    """The slope of a `line` with the interval that `theil_sen` gives it; nan for None."""
    if found is None:
        return Slope(math.nan, math.nan, math.nan)
    (middle, low, high), residual = found
    widen = widening(residual, confidence, noise=noise)
    return Slope(middle, middle - widen * (middle - low), middle + widen * (high - middle))


def shared_noise(curves: Iterable[tuple[ArrayLike, ArrayLike]]) -> Array:
    """What the scatter of many curves, such as the sizes of all tracks of a video, says of the noise of each.

    Args:
        curves: x and y of each, as for `theil_sen`, which takes the result.
    """
    return noise_of(line(x, y) for x, y in curves)


def noise_of(lines: Iterable[Line | None]) -> Array:
    """As `shared_noise`, from what `line` found of each curve; of more than 2000, 2000 evenly spread among them are asked."""
    known = [found.residual for found in lines if found is not None]
    return learnt(known[i] for i in np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST_ASKED)).astype(int)))


def line(x: ArrayLike, y: ArrayLike, confidence: float = 0.95) -> Line | None:
    """The slope with Sen's interval, not yet widened, and the scatter about it; None for too few points."""
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    good = np.isfinite(a) & np.isfinite(b)
    a, b = a[good], b[good]
    if len(a) < MIN_POINTS or a.min() == a.max():
        return None
    order = np.argsort(a, kind="stable")
    a, b = thin(a[order], b[order], MOST_POINTS)
    n = len(a)
    first, second = np.triu_indices(n, 1)
    run = a[second] - a[first]
    slopes = np.sort((b[second] - b[first])[run > 0] / run[run > 0])
    middle = float(np.median(slopes))
    z = float(norm.ppf(0.5 + confidence / 2))
    reach = z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = slopes[max(round((len(slopes) - reach) / 2), 0)]
    high = slopes[min(round((len(slopes) + reach) / 2), len(slopes) - 1)]
    return Line(Slope(middle, float(low), float(high)), b - middle * a)


def thin(a: Array, b: Array, most: int) -> tuple[Array, Array]:
    """Neighbours averaged where there are more than `most` points."""
    if len(a) <= most:
        return a, b
    first = np.arange(0, len(a), -(-len(a) // most))
    count = np.diff(np.append(first, len(a)))
    return np.add.reduceat(a, first) / count, np.add.reduceat(b, first) / count
