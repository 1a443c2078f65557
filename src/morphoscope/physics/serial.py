"""How much less a series of measurements tells of a trend because successive ones share their errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata

Array = NDArray[np.float64]
FEWEST = 7  # values from which a correlation is estimated
HIGHEST = 0.95  # correlation of neighbours
DIGITS = 9  # of the scatter; what differs less is a tie


def inflation(x: Array, y: Array, *, rising: bool) -> float:
    """Factor (at least 1) by which serial correlation enlarges the variance of Kendall's S.

    That of Hamed and Rao (J. Hydrol. 204 (1998) 182, doi:10.1016/S0022-1694(97)00125-X, eq. 15), with the correlation of ranks
    at lag i taken for r^i, r that of neighbours: in short series the correlations at single lags are lost in their scatter. It is
    the correlation of the scatter about the monotone curve that fits best, so a trend need not be straight.

    Args:
        x: (n,), rising; values at equal x count as neighbours in their order.
        y: (n,), finite.
        rising: whether the curve rises or falls.

    Returns:
        1 for fewer than 7 values, and where all lie on such a curve.
    """
    n = len(y)
    if n < FEWEST:
        return 1.0
    r = neighbour_correlation(_scatter(x, y, rising), len(np.unique(x)))
    lags = np.arange(1, n - 2)
    return 1 + 2 * float(((n - lags) * (n - lags - 1) * (n - lags - 2) * r**lags).sum()) / (n * (n - 1) * (n - 2))


def neighbour_correlation(scatter: Array, places: int) -> float:
    """Correlation (0 to 0.95) of the ranks of neighbours, made up for what a monotone curve through so many places takes away.

    About the mean of n values the correlation is too small by (1 + 4 r) / n (Kendall, Biometrika 41 (1954) 403), about a fit with
    m degrees of freedom by (m + (m + 3) r) / n. A monotone curve through scatter at k places has as many as it has steps,
    1 + 1/2 + ... + 1/k on average (Meyer and Woodroofe, Ann. Stat. 28 (2000) 1083).
    """
    n, ranks = len(scatter), rankdata(scatter)
    ranks = ranks - ranks.mean()
    if not ranks.any():
        return 0.0
    freedom = float((1 / np.arange(1, places + 1)).sum())
    found = float(ranks[1:] @ ranks[:-1]) / float(ranks @ ranks)
    return float(np.clip((n * found + freedom) / (n - freedom - 3), 0.0, HIGHEST))


def _scatter(x: Array, y: Array, rising: bool) -> Array:
    """Distance from the monotone curve of least squares, one value at each x; without the last digits."""
    _, at, count = np.unique(x, return_inverse=True, return_counts=True)
    mean = np.bincount(at, y) / count
    off = y - isotonic_regression(mean, weights=count, increasing=rising).x[at]
    return np.asarray(np.round(off / np.ptp(y), DIGITS))
