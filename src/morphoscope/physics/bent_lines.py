"""Continuous lines of straight segments with correlated errors: likelihood, slopes and where they bend."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphoscope.physics.correlated import NOISES

Array = NDArray[np.float64]
PLAIN = (  # share and decay of the correlated part, where nothing is known of it
    *((1.0, decay) for decay in (0.0, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.88, 0.94)),
    *((0.5, decay) for decay in (0.6, 0.8, 0.9, 0.95)),
    *((0.25, decay) for decay in (0.8, 0.9, 0.95)),
)
LEAST_WEIGHT = 0.01  # noises learnt that weigh less are left out
PASSES = 2


class Curve(NamedTuple):
    """Points (n,) with x rising from 0 to 1 and y of about unit scatter; `rounding`: the variance y has from being rounded."""

    x: Array
    y: Array
    rounding: float


class Noise(NamedTuple):
    """A correlation matrix: the root of its inverse (n, n), its log determinant, and -2 log of its weight."""

    root: Array
    logdet: float
    cost: float


class Fit(NamedTuple):
    """Least squares with correlated errors: change points, noise, -2 log of the restricted likelihood."""

    knots: tuple[float, ...]
    noise: Noise
    cost: float


def noises(n: int, weights: Array | None, block: int) -> list[Noise]:
    """The noises to reckon with for n means of `block` points each."""
    if weights is None:
        return [Noise(*_whitener(n, *pair), 0.0) for pair in PLAIN]
    known = [(w, pair) for w, pair in zip(weights, NOISES, strict=True) if w > LEAST_WEIGHT]
    means = [(w, share / (share + (1 - share) / block), decay**block) for w, (share, decay) in known]
    return [Noise(*_whitener(n, share, decay), -2 * math.log(w)) for w, share, decay in means]


@lru_cache(maxsize=128)
def _whitener(n: int, share: float, decay: float) -> tuple[Array, float]:
    """Root of the inverse correlation matrix (n, n), and the log determinant of that matrix."""
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    root = np.linalg.cholesky(share * decay**apart + (1 - share) * np.eye(n))
    return np.linalg.inv(root), 2 * float(np.log(np.diagonal(root)).sum())


def whitened(columns: Array, noise: Noise) -> Array:
    """Columns (n, c) with that noise made white."""
    return np.asarray(noise.root @ columns)


def hinges(x: Array, knots: Array) -> Array:
    """What a bend of 1 at each knot adds to the line: (n, k)."""
    return np.asarray(np.maximum(x[:, None] - knots, 0.0))


def design(x: Array, knots: tuple[float, ...]) -> Array:
    """Columns of the line: 1, x and the hinges."""
    return np.concatenate([np.ones((len(x), 1)), x[:, None], hinges(x, np.array(knots))], axis=1)


def _steps(x: Array, knots: tuple[float, ...]) -> Array:
    """What a change of each change point's place adds to the line, for a bend of -1."""
    return (x[:, None] > np.array(knots)).astype(float).reshape(len(x), len(knots))


def _least(columns: Array, target: Array) -> tuple[Array, Array]:
    """Coefficients of least squares, and the residuals."""
    beta = np.asarray(np.linalg.lstsq(columns, target, rcond=None)[0], dtype=float)
    return beta, target - columns @ beta


def freedom(curve: Curve, count: int) -> int:
    """Degrees of freedom left by a line with that many change points."""
    return len(curve.x) - 2 - 2 * count


def fitted(curve: Curve, knots: tuple[float, ...], noise: Noise) -> Fit:
    """With -2 log restricted likelihood, comparable between numbers of change points for y of about unit scatter."""
    plain, steps, left = design(curve.x, knots), _steps(curve.x, knots), freedom(curve, len(knots))
    columns = whitened(plain, noise)
    _, rest = _least(columns, whitened(curve.y[:, None], noise)[:, 0])
    white, usual = np.concatenate([columns, whitened(steps, noise)], axis=1), np.concatenate([plain, steps], axis=1)
    (sign, spread), (_, unit) = np.linalg.slogdet(white.T @ white), np.linalg.slogdet(usual.T @ usual)
    if left < 1 or sign <= 0 or not math.isfinite(unit):
        return Fit(knots, noise, math.inf)
    variance = max(float(rest @ rest), 1e-300) / left + curve.rounding
    return Fit(knots, noise, left * math.log(variance) + noise.logdet + float(spread - unit) + noise.cost)


def solved(curve: Curve, knots: tuple[float, ...], noise: Noise) -> tuple[Array, Array]:
    """Coefficients, and the covariance of them and of the change points."""
    columns = whitened(design(curve.x, knots), noise)
    beta, rest = _least(columns, whitened(curve.y[:, None], noise)[:, 0])
    whole = np.concatenate([columns, whitened(_steps(curve.x, knots) * -beta[2:], noise)], axis=1)
    variance = float(rest @ rest) / max(freedom(curve, len(knots)), 1) + curve.rounding
    return beta, np.asarray(np.linalg.pinv(whole.T @ whole) * variance)


def polished(curve: Curve, fit: Fit) -> Fit:
    """Each change point, found at a point, moved to where the squared residuals are least between the neighbouring points.

    Between two points a change of place is a step, so that place follows from least squares with one column more (Hudson 1966,
    doi 10.1080/01621459.1966.10482198).
    """
    knots = list(fit.knots)
    for _ in range(PASSES if len(knots) > 1 else 1):
        for i in range(len(knots)):
            knots[i] = _moved(curve, tuple(knots), i, fit.noise)
    return fitted(curve, tuple(knots), fit.noise)


def _moved(curve: Curve, knots: tuple[float, ...], i: int, noise: Noise) -> float:
    points, target = np.unique(curve.x), whitened(curve.y[:, None], noise)[:, 0]
    base = whitened(design(curve.x, knots[:i] + knots[i + 1 :]), noise)

    def squares(column: Array) -> tuple[float, Array]:
        beta, rest = _least(np.concatenate([base, whitened(column, noise)], axis=1), target)
        return float(rest @ rest), beta

    here, at = knots[i], int(np.searchsorted(points, knots[i]))
    least, best = squares(hinges(curve.x, np.array([here])))[0], here
    for a, b in pairwise(points[max(at - 1, 0) : at + 2]):
        beyond = (curve.x >= b).astype(float)
        found, beta = squares(np.stack([beyond * curve.x, beyond], axis=1))
        place = -float(beta[-1]) / float(beta[-2]) if beta[-2] else math.nan
        if found < least and a < place < b:
            least, best = found, place
    return best
