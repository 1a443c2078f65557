"""How much wider the interval of a slope must be because measurements of one object in successive frames share their errors.

The scatter about the line is taken for white noise plus an autoregressive part: correlation A phi^k of points k apart. Each A and
phi of a grid is weighed by its restricted likelihood, and the interval is that of all of them together, because few points
cannot tell them apart: a single estimate of the correlation is too small in short tracks, and so are intervals built on it. What
each noise weighs before the data are seen is general, or learnt from all tracks of a video.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit
from scipy.stats import rankdata

Array = NDArray[np.float64]
DECAYS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
SHARES = (0.15, 0.3, 0.5, 0.7, 0.85, 1.0)
WHITE = 0.65  # weight of no correlation before the data are seen
DECAY_WEIGHTS = (2.0, 2.5, 2.0, 1.2, 1.0, 0.8, 0.5)
SHARE_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 10.0)
BISECTIONS = 30
ROUNDS = 200
DIGITS = 9  # of the scatter; what differs less is a tie
GENERAL = 3.0  # tracks that the general weights count for among those learnt from
NOISES = (*((share, decay) for share in SHARES for decay in DECAYS), (0.0, 0.0))  # share and decay of the correlated part


class _Models(NamedTuple):
    """For n points, s shares and p decays.

    `turn` (p, n - 2, n) leads to where each decay is diagonal, free of any straight line; `power` (s, p, n - 2) is what each
    model has there; `logdet` (s, p); `slope` (s, p) the variance of a slope over that with white noise.
    """

    turn: NDArray[np.float32]
    power: Array
    logdet: Array
    slope: Array


class _Evidence(NamedTuple):
    """What one scatter says of each noise of `NOISES` (m,): log restricted likelihood, error of a slope over that of white
    noise; and the degrees of freedom."""

    likelihood: Array
    spread: Array
    freedom: int


def widening(residual: Array, confidence: float = 0.95, *, noise: Array | None = None) -> float:
    """Factor (at least 1) by which an interval made for white noise must be widened.

    Args:
        residual: (n,) scatter about the line, in the order of x; its ranks alone count, so outliers have little say.
        confidence: of the interval.
        noise: (m,) weights of `NOISES` before these data are seen, such as `learnt` from many; none: general ones.
    """
    found = _evidence(residual)
    if found is None:
        return 1.0
    weight = (_prior() if noise is None else noise) * np.exp(found.likelihood - found.likelihood.max())
    return _quantile(weight / weight.sum(), found.spread, found.freedom, 0.5 + confidence / 2)


def learnt(residuals: Iterable[Array]) -> Array:
    """Weights (m,) of `NOISES` from the scatter of many objects measured alike: the mixture of most likelihood.

    One short track cannot tell slow errors from growth; all tracks of a video together can.
    """
    found = [e.likelihood for e in map(_evidence, residuals) if e is not None]
    general = _prior()
    if not found:
        return general
    likelihood = np.exp(np.array(found) - np.max(found, axis=1, keepdims=True))
    weight = general
    for _ in range(ROUNDS):
        share = likelihood * weight
        share /= share.sum(axis=1, keepdims=True)
        weight = (share.sum(axis=0) + GENERAL * general) / (len(found) + GENERAL)
    return np.asarray(weight)


def _evidence(residual: Array) -> _Evidence | None:
    """None where the scatter is too short or does not scatter."""
    n = _near(len(residual))
    scatter = residual[(len(residual) - n) // 2 :][:n]
    if n < 4 or not np.ptp(scatter) > 0:
        return None
    scores = ndtri((rankdata(_without_rounding(scatter)) - 0.5) / n)
    models, freedom = _models(n), n - 2
    squares = (models.turn @ scores.astype(np.float32)).astype(float) ** 2
    white = float(squares[0].sum())
    square = (squares / models.power).sum(axis=-1)
    likelihood = np.append(-models.logdet / 2 - freedom / 2 * np.log(square), -freedom / 2 * np.log(white))
    return _Evidence(likelihood, np.sqrt(np.append(square / white * models.slope, 1.0)), freedom)


def _without_rounding(scatter: Array) -> Array:
    """Values in units of their typical spread, without their last digits: the two points on a median line are a tie."""
    off = scatter - np.median(scatter)
    return np.asarray(np.round(off / (float(np.median(np.abs(off))) or float(np.abs(off).max())), DIGITS))


def _quantile(weight: Array, spread: Array, freedom: int, q: float) -> float:
    """Quantile of a mixture of t distributions over that of the one with spread 1."""
    alone = float(stdtrit(freedom, q))
    low, high = 1.0, max(float(spread.max()), 1.0)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if float((weight * stdtr(freedom, middle * alone / spread)).sum()) < q:
            low = middle
        else:
            high = middle
    return low


@lru_cache(maxsize=1)
def _prior() -> Array:
    shares, decays = np.array(SHARE_WEIGHTS), np.array(DECAY_WEIGHTS)
    both = np.outer(shares / shares.sum(), decays / decays.sum()).ravel()
    return np.append((1 - WHITE) * both, WHITE)


def _near(n: int) -> int:
    """The largest number of points not above n for which models are kept: all to 40, then in steps of 5 %."""
    if n <= 40:
        return n
    return int(40 * 1.05 ** int(np.log(n / 40 + 1e-9) / np.log(1.05)))


@lru_cache(maxsize=128)
def _models(n: int) -> _Models:
    x = np.arange(n) - (n - 1) / 2
    line = np.stack([np.ones(n), x], axis=1)
    free = np.linalg.qr(np.concatenate([line, np.eye(n)[:, : n - 2]], axis=1))[0][:, 2:]
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    turn, power, slope = [], [], []
    for decay in DECAYS:
        correlation = float(decay) ** apart
        values, vectors = np.linalg.eigh(free.T @ correlation @ free)
        turn.append((free @ vectors).T.astype(np.float32))
        power.append(values)
        slope.append(x @ correlation @ x / (x @ x))
    share = np.array(SHARES)[:, None]
    mixed = share[..., None] * np.array(power) + 1 - share[..., None]
    return _Models(np.array(turn), mixed, np.log(mixed).sum(axis=-1), share * np.array(slope) + 1 - share)
