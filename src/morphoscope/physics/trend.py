"""Whether a quantity rises or falls with time: the test of Mann (1945) and Kendall (1970), with ties."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from morphoscope.physics.serial import inflation

Array = NDArray[np.float64]
FEWEST = 3
MOST_EXACT = 50  # values without ties, up to which the distribution of S is counted out


class Trend(NamedTuple):
    """A test of monotonicity; nan for too few values.

    `s` counts pairs that rise less those that fall, `tau` (tau-b, -1 to 1) is that over the pairs without ties, `p` the two-sided
    probability of an `s` as far from 0 without a trend, `n` the number of values, `n_eff` how many independent ones tell as much.
    """

    s: float
    tau: float
    p: float
    n: int
    n_eff: float

    @property
    def direction(self) -> str:
        """`rises` or `falls` where p < 0.05, else `no trend`; `too few` where there is no p."""
        if math.isnan(self.p):
            return "too few"
        return "no trend" if self.p >= 0.05 else "rises" if self.s > 0 else "falls"


def mann_kendall(x: ArrayLike, y: ArrayLike, *, serial: bool = False) -> Trend:
    """Mann and Kendall's test of whether y rises or falls with x, whatever the shape of the curve.

    Pairs with equal x (replicates) or equal y count as neither. Without any, p is exact up to 50 values; else it is that of the
    normal distribution with the variance of S for ties in both (Kendall, Rank Correlation Methods, 4th ed. 1970, ch. 5) and
    a continuity correction. Values are taken for independent: errors shared by successive ones make p too small, unless `serial`
    corrects it.

    Args:
        x: (n,), such as time.
        y: (n,); pairs with a nan are left out.
        serial: enlarge the variance of S by the serial correlation of 7 values or more, as `serial.inflation` says. Then noise is
            called a trend about as rarely as p says where errors last for a fortieth of the series, two or three times as often
            where they last for a tenth.

    Returns:
        nan for fewer than 3 values, or where all x or all y are equal.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    good = np.isfinite(a) & np.isfinite(b)
    a, b = a[good], b[good]
    n = len(a)
    if n < FEWEST or a.min() == a.max() or b.min() == b.max():
        return Trend(math.nan, math.nan, math.nan, n, math.nan)
    s = sum(float(np.sign(a[k + 1 :] - a[k]) @ np.sign(b[k + 1 :] - b[k])) for k in range(n - 1))
    ties_x, ties_y = _ties(a), _ties(b)
    pairs = n * (n - 1) / 2
    tau = s / math.sqrt((pairs - _pairs(ties_x)) * (pairs - _pairs(ties_y)))
    order = np.argsort(a, kind="stable")
    factor = inflation(a[order], b[order], rising=s >= 0) if serial else 1.0
    if factor == 1 and n <= MOST_EXACT and not len(ties_x) and not len(ties_y):
        return Trend(s, tau, _exact(n, s), n, n)
    beyond = max(abs(s) - 1, 0) / math.sqrt(factor * variance(n, ties_x, ties_y))
    return Trend(s, tau, min(1.0, 2 * float(norm.sf(beyond))), n, n / factor)


def variance(n: int, ties_x: Array, ties_y: Array) -> float:
    """The variance of S of n values (at least 3) in random order, with groups of so many equal x and y."""
    t, u = ties_x, ties_y
    plain = n * (n - 1) * (2 * n + 5) - float((t * (t - 1) * (2 * t + 5)).sum()) - float((u * (u - 1) * (2 * u + 5)).sum())
    twos = float((t * (t - 1)).sum()) * float((u * (u - 1)).sum()) / (2 * n * (n - 1))
    threes = float((t * (t - 1) * (t - 2)).sum()) * float((u * (u - 1) * (u - 2)).sum()) / (9 * n * (n - 1) * (n - 2))
    return plain / 18 + twos + threes


def _ties(values: Array) -> Array:
    """How many values each group of equal ones has, groups of one left out."""
    counts = np.unique(values, return_counts=True)[1].astype(float)
    return counts[counts > 1]


def _pairs(ties: Array) -> float:
    return float((ties * (ties - 1)).sum()) / 2


def _exact(n: int, s: float) -> float:
    """The share of the n! orders whose S is at least as far from 0."""
    pairs = n * (n - 1) // 2
    share = np.ones(1)  # of orders by their number of falling pairs
    for k in range(2, n + 1):
        share = np.convolve(share, np.full(k, 1 / k))
    far = np.abs(pairs - 2 * np.arange(pairs + 1)) >= abs(s) - 0.5
    return float(min(1.0, share[far].sum()))
