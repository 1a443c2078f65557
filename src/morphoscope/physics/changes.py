"""Where growth changes: a continuous line of straight segments, their number, slopes and change points with intervals."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import median_filter
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from morphoscope.errors import InputError
from morphoscope.physics.correlated import NOISES
from morphoscope.physics.growth import theil_sen

Array = NDArray[np.float64]
MIN_POINTS = 20
MOST_POINTS = 120
PLAIN = (  # share and decay of the correlated part, where nothing is known of it
    *((1.0, decay) for decay in (0.0, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.88, 0.94)),
    *((0.5, decay) for decay in (0.6, 0.8, 0.9, 0.95)),
    *((0.25, decay) for decay in (0.8, 0.9, 0.95)),
)
LEAST_WEIGHT = 0.01  # noises learnt that weigh less are left out
PER_CHANGE = 2.0  # log n are paid for a change point: its place and the new slope
PASSES = 2
APART = 5  # points between change points, at least
SPIKE = 4.0  # points this many robust standard deviations from a running median are pulled in


class _Noise(NamedTuple):
    """A correlation matrix: the root of its inverse (n, n), its log determinant, and -2 log of its weight."""

    root: Array
    logdet: float
    cost: float


class _Fit(NamedTuple):
    """Least squares with correlated errors: change points, noise, -2 log of the restricted likelihood."""

    knots: tuple[float, ...]
    noise: _Noise
    cost: float


def segments(x: ArrayLike, y: ArrayLike, *, confidence: float = 0.95, most: int = 3, noise: Array | None = None) -> pd.DataFrame:
    """A continuous line of straight segments through y(x); one segment where nothing speaks for more.

    The errors are taken for white noise plus a first-order autoregressive part, both found by restricted likelihood together
    with the change points, anew for each number of them; that number is the one of least BIC. Errors that last long look like a
    change and the other way round; `noise` tells them apart as far as many tracks can.

    Args:
        x: (n,), such as time.
        y: (n,), such as size; pairs with a nan are left out, outliers are pulled to the running median.
        confidence: of the intervals. That of a change point holds the places where the squared residuals do not rise beyond an
            F test, the other change points held.
        most: change points looked for.
        noise: what is known of the scatter, from `growth.shared_noise`.

    Returns:
        A row per segment: `segment` from 0, `start`, `start_low`, `start_high` (the change point it begins with; the interval is
        null for the first), `end`, `slope`, `low`, `high`. With one segment the slope is that of `theil_sen`. Empty for fewer
        than 6 points.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(f"wanted x and y of one length, got {a.shape} and {b.shape}")
    good = np.isfinite(a) & np.isfinite(b)
    order = np.argsort(a[good], kind="stable")
    a, b = a[good][order], b[good][order]
    whole = theil_sen(a, b, confidence=confidence, noise=noise)
    if math.isnan(whole.value):
        return _table([])
    row = {"start": a[0], "end": a[-1], "slope": whole.value, "low": whole.low, "high": whole.high}
    if len(a) < MIN_POINTS or not np.ptp(b - whole.value * a) > 1e-9 * np.ptp(b):
        return _table([row])
    block = -(-len(a) // MOST_POINTS)
    a, b = _thin(a, _despiked(b), block)
    noises = _noises(len(a), noise, block)
    best = _best(a, b / float(np.std(b - whole.value * a)), noises, most)
    return _table(_rows(a, b, best, noises, confidence) if best.knots else [row])


def _table(rows: list[dict[str, float]]) -> pd.DataFrame:
    columns = ("start", "start_low", "start_high", "end", "slope", "low", "high")
    table = pd.DataFrame({name: np.array([row.get(name, math.nan) for row in rows], dtype=float) for name in columns})
    table.insert(0, "segment", np.arange(len(rows)))
    return table


def _despiked(y: Array) -> Array:
    middle = median_filter(y, size=9, mode="mirror")
    off = y - middle
    reach = SPIKE * 1.4826 * float(np.median(np.abs(off)))
    return np.asarray(np.where(np.abs(off) > reach, middle, y)) if reach > 0 else y


def _thin(a: Array, b: Array, block: int) -> tuple[Array, Array]:
    first = np.arange(0, len(a), block)
    count = np.diff(np.append(first, len(a)))
    return np.add.reduceat(a, first) / count, np.add.reduceat(b, first) / count


def _places(x: Array) -> Array:
    """Where change points are looked for: at the points, away from the ends."""
    edge = max(4, len(x) // 15)
    inner = np.unique(x[edge:-edge])
    return np.asarray(inner[(inner > x[0]) & (inner < x[-1])])


def _best(x: Array, y: Array, noises: list[_Noise], most: int) -> _Fit:
    """The number of change points of least cost; none is better than two only after both were tried."""
    n, places = len(x), _places(x)
    found = [_Fit((), noise, _cost(x, y, (), noise)) for noise in noises]
    best = min(found, key=lambda fit: fit.cost)
    price = PER_CHANGE * math.log(n)
    for count in range(1, min(most, (n - 2) // 6, len(places)) + 1):
        found = [_one_more(x, y, places, fit) for fit in found]
        winner = min(found, key=lambda fit: fit.cost)
        if winner.cost + price * count < best.cost + price * len(best.knots):
            best = winner
        elif count - len(best.knots) >= 2:
            break
    return best


def _one_more(x: Array, y: Array, places: Array, fit: _Fit) -> _Fit:
    """The best change point beside those of the fit, then each moved to its best place in turn."""
    hinges = _whitened(np.maximum(x[:, None] - places, 0.0), fit.noise)
    base, target = _whitened(np.stack([np.ones(len(x)), x], axis=1), fit.noise), _whitened(y[:, None], fit.noise)[:, 0]
    knots = list(fit.knots)
    knots.append(float(places[_scan(base, hinges, places, knots, target).argmin()]))
    for _ in range(PASSES if len(knots) > 1 else 0):
        for i in range(len(knots)):
            others = knots[:i] + knots[i + 1 :]
            knots[i] = float(places[_scan(base, hinges, places, others, target).argmin()])
    kept = tuple(sorted(knots))
    return _Fit(kept, fit.noise, _cost(x, y, kept, fit.noise))


def _scan(base: Array, hinges: Array, places: Array, knots: list[float], target: Array) -> Array:
    """Sum of squared residuals (c,) with a further change point at each place; inf too near to another."""
    known = np.concatenate([base, hinges[:, np.searchsorted(places, knots)]], axis=1)
    q = np.linalg.qr(known)[0]
    rest = target - q @ (q.T @ target)
    free = hinges - q @ (q.T @ hinges)
    power = (free**2).sum(axis=0)
    gain = np.divide((free.T @ rest) ** 2, power, out=np.zeros_like(power), where=power > 1e-9 * (hinges**2).sum(axis=0))
    rank = np.searchsorted(places, knots)
    near = (np.abs(np.arange(len(places))[:, None] - rank) < max(APART, len(places) // 15)).any(axis=1)
    return np.where(near, np.inf, float(rest @ rest) - gain)


def _noises(n: int, weights: Array | None, block: int) -> list[_Noise]:
    """The noises to reckon with for n means of `block` points each."""
    if weights is None:
        return [_Noise(*_whitener(n, *pair), 0.0) for pair in PLAIN]
    known = [(w, pair) for w, pair in zip(weights, NOISES, strict=True) if w > LEAST_WEIGHT]
    means = [(w, share / (share + (1 - share) / block), decay**block) for w, (share, decay) in known]
    return [_Noise(*_whitener(n, share, decay), -2 * math.log(w)) for w, share, decay in means]


@lru_cache(maxsize=128)
def _whitener(n: int, share: float, decay: float) -> tuple[Array, float]:
    """Root of the inverse correlation matrix (n, n), and the log determinant of that matrix."""
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    root = np.linalg.cholesky(share * decay**apart + (1 - share) * np.eye(n))
    return np.linalg.inv(root), 2 * float(np.log(np.diagonal(root)).sum())


def _whitened(columns: Array, noise: _Noise) -> Array:
    """Columns (n, c) with that noise made white."""
    return np.asarray(noise.root @ columns)


def _cost(x: Array, y: Array, knots: tuple[float, ...], noise: _Noise) -> float:
    """-2 log restricted likelihood, comparable between numbers of change points for y of about unit scatter."""
    plain = _design(x, knots)
    design, target = _whitened(plain, noise), _whitened(y[:, None], noise)[:, 0]
    beta = np.linalg.lstsq(design, target, rcond=None)[0]
    rest = target - design @ beta
    freedom = len(x) - 2 - 2 * len(knots)
    steps = _steps(x, knots)
    white, usual = np.concatenate([design, _whitened(steps, noise)], axis=1), np.concatenate([plain, steps], axis=1)
    (sign, spread), (_, unit) = np.linalg.slogdet(white.T @ white), np.linalg.slogdet(usual.T @ usual)
    if freedom < 1 or sign <= 0 or not math.isfinite(unit):
        return math.inf
    squares = max(float(rest @ rest), 1e-300)
    return freedom * math.log(squares / freedom) + noise.logdet + float(spread - unit) + noise.cost


def _steps(x: Array, knots: tuple[float, ...]) -> Array:
    """What a change of each change point's place adds to the line, for a bend of -1."""
    return (x[:, None] > np.array(knots)).astype(float).reshape(len(x), len(knots))


def _design(x: Array, knots: tuple[float, ...]) -> Array:
    return np.stack([np.ones(len(x)), x, *(np.maximum(x - knot, 0.0) for knot in knots)], axis=1)


def _rows(x: Array, y: Array, fit: _Fit, noises: list[_Noise], confidence: float) -> list[dict[str, float]]:
    """A row per segment with intervals; the change points' own uncertainty is in that of the slopes."""
    knots, count = fit.knots, len(fit.knots)
    beta, covariance = _solved(x, y, knots, fit.noise)
    weight = np.array([_cost(x, y, knots, noise) for noise in noises])
    weight = np.exp((weight.min() - weight) / 2)
    shared = sum(w * _solved(x, y, knots, noise)[1] for noise, w in zip(noises, weight, strict=True)) / weight.sum()
    widen = np.sqrt(np.maximum(np.diag(shared) / np.maximum(np.diag(covariance), 1e-300), 1.0))
    reach = float(t_distribution.ppf(0.5 + confidence / 2, max(len(x) - 2 - 2 * count, 1)))
    ends = [x[0], *knots, x[-1]]
    rows = []
    for i in range(count + 1):
        pick = np.zeros(len(shared))
        pick[1 : 2 + i] = 1.0
        slope, error = float(pick[: len(beta)] @ beta), math.sqrt(max(float(pick @ shared @ pick), 0.0))
        row = {"start": ends[i], "end": ends[i + 1], "slope": slope, "low": slope - reach * error, "high": slope + reach * error}
        if i:
            low, high = _place_interval(x, y, fit, i - 1, confidence)
            w = float(widen[1 + count + i])
            row["start_low"] = max(ends[i] - w * (ends[i] - low), ends[i - 1])
            row["start_high"] = min(ends[i] + w * (high - ends[i]), ends[i + 1])
        rows.append(row)
    return rows


def _solved(x: Array, y: Array, knots: tuple[float, ...], noise: _Noise) -> tuple[Array, Array]:
    """Coefficients, and the covariance of them and of the change points."""
    design, target = _whitened(_design(x, knots), noise), _whitened(y[:, None], noise)[:, 0]
    beta = np.asarray(np.linalg.lstsq(design, target, rcond=None)[0], dtype=float)
    rest = target - design @ beta
    whole = np.concatenate([design, _whitened(_steps(x, knots) * -beta[2:], noise)], axis=1)
    variance = float(rest @ rest) / max(len(x) - 2 - 2 * len(knots), 1)
    return beta, np.asarray(np.linalg.pinv(whole.T @ whole) * variance)


def _place_interval(x: Array, y: Array, fit: _Fit, i: int, confidence: float) -> tuple[float, float]:
    """Between the neighbours of a change point, where the squared residuals stay below the limit of an F test."""
    others = fit.knots[:i] + fit.knots[i + 1 :]
    before, after = [x[0], *fit.knots][i], [*fit.knots, x[-1]][i + 1]
    places = np.append(np.linspace(before, after, 203)[1:-1], fit.knots[i])
    places = np.unique(np.concatenate([places, others]))
    base, target = _whitened(np.stack([np.ones(len(x)), x], axis=1), fit.noise), _whitened(y[:, None], fit.noise)[:, 0]
    hinges = _whitened(np.maximum(x[:, None] - places, 0.0), fit.noise)
    known = np.concatenate([base, hinges[:, np.searchsorted(places, others)]], axis=1)
    q = np.linalg.qr(known)[0]
    rest, free = target - q @ (q.T @ target), hinges - q @ (q.T @ hinges)
    power = (free**2).sum(axis=0)
    gain = np.divide((free.T @ rest) ** 2, power, out=np.zeros_like(power), where=power > 1e-12 * power.max())
    squares = float(rest @ rest) - gain
    inside = (places > before) & (places < after)
    freedom = max(len(x) - 2 - 2 * len(fit.knots), 1)
    limit = squares[inside].min() * (1 + float(f_distribution.ppf(confidence, 1, freedom)) / freedom)
    good = places[inside][squares[inside] <= limit]
    return float(good[0]), float(good[-1])
