"""The effective diffusion coefficient of single tracks."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from morphoscope.errors import UsageError

Array = NDArray[np.float64]
MIN_STEPS = 3
MAX_LAG_CHECKED = 20


class DEff(NamedTuple):
    """D_eff with its interval, in (unit of position)^2 per (unit of time), and the number of steps; nan for too few."""

    value: float
    low: float
    high: float
    n: int


def d_eff(positions: ArrayLike, frames: ArrayLike, *, frame_interval_s: float, lag: int = 1, confidence: float = 0.95) -> DEff:
    """Mean of D_eff(tau) = |r(t + tau) - r(t)|^2 / (4 tau) of one track (doi 10.1016/j.commatsci.2021.110560).

    This is the raw coefficient: localisation noise adds its variance / tau to it. The interval is that of the mean of n
    exponentially distributed steps (exact for free diffusion at lag 1), with n reduced for overlapping and correlated
    steps and for step lengths that spread wider than diffusion allows.

    Args:
        positions: (n, 2) registered positions, in nm for nm2/s; steps from or to one that is nan are not used.
        frames: (n,) rising frame numbers; steps that do not span exactly `lag` frames are not used.
        frame_interval_s: time between frame numbers in s.
        lag: in frame numbers.
        confidence: of the interval.

    Returns:
        nan everywhere for fewer than three steps or without a scale or interval.
    """
    if lag < 1:
        raise UsageError(f"lag must be at least 1 frame, got {lag}")
    place, number = np.asarray(positions, dtype=float).reshape(-1, 2), np.asarray(frames, dtype=np.int64)
    partner = np.searchsorted(number, number + lag)
    start = np.flatnonzero((partner < len(number)) & (number[np.minimum(partner, len(number) - 1)] == number + lag))
    steps = place[partner[start]] - place[start]
    known = np.isfinite(steps).all(axis=1)
    start, steps = start[known], steps[known]
    n = len(steps)
    if n < MIN_STEPS or not (math.isfinite(frame_interval_s) and frame_interval_s > 0):
        return DEff(math.nan, math.nan, math.nan, n)
    values = (steps**2).sum(axis=1) / (4 * lag * frame_interval_s)
    mean = float(values.mean())
    if mean == 0:
        return DEff(0.0, 0.0, 0.0, n)
    freedom = 2 * _independent(steps, values, number[start], lag)
    tail = (1 - confidence) / 2
    low, high = chi2.ppf([1 - tail, tail], freedom)
    return DEff(mean, mean * freedom / float(low), mean * freedom / float(high), n)


def _independent(steps: Array, values: Array, number: NDArray[np.int64], lag: int) -> float:
    """How many independent exponential steps carry as much information as these."""
    n = len(steps)
    power = float((steps**2).sum()) / n
    excess = 0.0
    for k in range(1, min(lag + 1, n, MAX_LAG_CHECKED + lag)):
        partner = np.searchsorted(number, number + k)
        i = np.flatnonzero((partner < n) & (number[np.minimum(partner, n - 1)] == number + k))
        pairs = len(i)
        rho = float((steps[i] * steps[partner[i]]).sum()) / pairs / power if pairs else 0.0
        overlap = max(1 - k / lag, 0.0)
        excess += 2 * pairs / n * min(max(rho**2 - 0.5 / max(pairs, 1), overlap**2), 1.0)
    spread = float(values.var(ddof=1)) / float(values.mean()) ** 2
    return max(n / (1 + excess) / max(spread, 1.0), 0.5)
