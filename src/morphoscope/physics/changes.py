"""Where growth changes: a continuous line of straight segments, their number, slopes and change points with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from morphoscope.errors import InputError
from morphoscope.physics.bent_lines import Curve, Fit, Noise, fitted, freedom, hinges, noises, polished, solved, whitened
from morphoscope.physics.growth import theil_sen, thin

Array = NDArray[np.float64]
MIN_POINTS = 20
MOST_POINTS = 120
PER_CHANGE = 2.0  # log n are paid for a change point: its place and the new slope
PASSES = 2
APART = 5  # points between change points, at least
NEIGHBOURS = 4  # on each side, by which outliers are told
SPIKE = 4.0  # points this many robust standard deviations from their neighbours are pulled in...
AT_END = 1.4  # times that for the first and the last point, which others foretell less well
ALONE = 1 / 3  # ... where no neighbour is off by this share of it: at a sharp bend neighbours are off, too
CLOSE = 10.0  # fits whose cost is that much above the least are looked at between the points, too
FINER, TIMES = 17, 3  # how the ends of the interval of a change point are narrowed


def segments(x: ArrayLike, y: ArrayLike, *, confidence: float = 0.95, most: int = 3, noise: Array | None = None) -> pd.DataFrame:
    """A continuous line of straight segments through y(x); one segment where nothing speaks for more.

    The errors are taken for white noise plus a first-order autoregressive part, both found by restricted likelihood together
    with the change points, anew for each number of them; that number is the one of least BIC. Errors that last long look like a
    change and the other way round; `noise` tells them apart as far as many tracks can.

    Args:
        x: (n,), such as time.
        y: (n,), such as size; pairs with a nan are left out, lone outliers are pulled to their neighbours.
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
    block, rounding = -(-len(a) // MOST_POINTS), _rounding(b) ** 2 / 12
    u, v = thin(a, _despiked(b), MOST_POINTS)
    scale = float(np.std(v - whole.value * u))
    begin, span, middle = float(u[0]), float(u[-1] - u[0]), float(v.mean())
    curve = Curve((u - begin) / span, (v - middle) / scale, rounding / scale**2)
    known = noises(len(u), noise, block)
    best = _best(curve, known, most)
    if not best.knots:
        return _table([row])
    return _table([_in_units(found, begin, span, scale) for found in _rows(curve, best, known, confidence)])


def _in_units(row: dict[str, float], begin: float, span: float, scale: float) -> dict[str, float]:
    rates = ("slope", "low", "high")
    return {name: value * scale / span if name in rates else begin + span * value for name, value in row.items()}


def _rounding(y: Array) -> float:
    """The step y is rounded to; 0 where no such step shows, because most values differ or are no multiples of one."""
    apart = np.diff(np.unique(y))
    if not len(apart) or len(apart) >= len(y) / 2:
        return 0.0
    multiples = apart / apart.min()
    return float(apart.min()) if (np.abs(multiples - np.round(multiples)) < 1e-6 * multiples.max()).all() else 0.0


def _table(rows: list[dict[str, float]]) -> pd.DataFrame:
    columns = ("start", "start_low", "start_high", "end", "slope", "low", "high")
    table = pd.DataFrame({name: np.array([row.get(name, math.nan) for row in rows], dtype=float) for name in columns})
    table.insert(0, "segment", np.arange(len(rows)))
    return table


def _despiked(y: Array) -> Array:
    """With lone outliers pulled to the median of what pairs of neighbours say by a straight line."""
    at, n = np.arange(len(y)), len(y)
    said = []
    for k in range(1, NEIGHBOURS + 1):
        inward = np.where(at < n / 2, k, -k)
        beyond = y[at + inward] - y[at + 2 * inward]
        inner = (at >= k) & (at < n - k)
        said.append(y[at + inward] + np.where(inner, (y[at - np.where(inner, inward, 0)] - y[at + inward]) / 2, beyond))
    middle = np.median(said, axis=0)
    off = y - middle
    reach = SPIKE * 1.4826 * float(np.median(np.abs(off)))
    reaches = np.where((at == 0) | (at == n - 1), AT_END * reach, reach)
    beside = np.pad(off, 1)
    alone = (np.maximum(off * beside[:-2], off * beside[2:]) < ALONE * off**2) & (np.abs(off) > reaches)
    return np.asarray(np.where(alone, middle, y)) if reach > 0 else y


def _places(x: Array) -> Array:
    """Where change points are looked for: at the points, away from the ends."""
    edge = max(4, len(x) // 15)
    inner = np.unique(x[edge:-edge])
    return np.asarray(inner[(inner > x[0]) & (inner < x[-1])])


def _best(curve: Curve, known: list[Noise], most: int) -> Fit:
    """The number of change points of least cost; none is better than two only after both were tried."""
    n, places = len(curve.x), _places(curve.x)
    found = [fitted(curve, (), noise) for noise in known]
    best = min(found, key=lambda fit: fit.cost)
    price = PER_CHANGE * math.log(n)
    for count in range(1, min(most, (n - 2) // 6, len(places)) + 1):
        found = [_one_more(curve, places, fit) for fit in found]
        least = min(fit.cost for fit in found)
        winner = min((polished(curve, fit) for fit in found if fit.cost <= least + CLOSE), key=lambda fit: fit.cost)
        if winner.cost + price * count < best.cost + price * len(best.knots):
            best = winner
        elif count - len(best.knots) >= 2:
            break
    return best


def _one_more(curve: Curve, places: Array, fit: Fit) -> Fit:
    """The best change point beside those of the fit, then each moved to its best place in turn; all at points."""
    x, bends = curve.x, whitened(hinges(curve.x, places), fit.noise)
    base, target = whitened(np.stack([np.ones(len(x)), x], axis=1), fit.noise), whitened(curve.y[:, None], fit.noise)[:, 0]
    knots = list(fit.knots)
    knots.append(float(places[_scan(base, bends, places, knots, target).argmin()]))
    for _ in range(PASSES if len(knots) > 1 else 0):
        for i in range(len(knots)):
            others = knots[:i] + knots[i + 1 :]
            knots[i] = float(places[_scan(base, bends, places, others, target).argmin()])
    return fitted(curve, tuple(sorted(knots)), fit.noise)


def _scan(base: Array, bends: Array, places: Array, knots: list[float], target: Array) -> Array:
    """Sum of squared residuals (c,) with a further change point at each place; inf too near to another."""
    rank = np.searchsorted(places, knots)
    near = (np.abs(np.arange(len(places))[:, None] - rank) < max(APART, len(places) // 15)).any(axis=1)
    return np.where(near, np.inf, _squares(np.concatenate([base, bends[:, rank]], axis=1), bends, target))


def _squares(known: Array, further: Array, target: Array) -> Array:
    """Sum of squared residuals (c,) of least squares by some columns and each further one (n, c)."""
    q = np.linalg.qr(known)[0]
    rest, free = target - q @ (q.T @ target), further - q @ (q.T @ further)
    power = (free**2).sum(axis=0)
    gain = np.divide((free.T @ rest) ** 2, power, out=np.zeros_like(power), where=power > 1e-9 * (further**2).sum(axis=0))
    return np.asarray(float(rest @ rest) - gain)


def _rows(curve: Curve, fit: Fit, known: list[Noise], confidence: float) -> list[dict[str, float]]:
    """A row per segment with intervals; the change points' own uncertainty is in that of the slopes."""
    knots, count = fit.knots, len(fit.knots)
    beta, covariance = solved(curve, knots, fit.noise)
    weight = np.array([fitted(curve, knots, noise).cost for noise in known])
    weight = np.exp((weight.min() - weight) / 2)
    shared = sum(w * solved(curve, knots, noise)[1] for noise, w in zip(known, weight, strict=True)) / weight.sum()
    widen = np.sqrt(np.maximum(np.diag(shared) / np.maximum(np.diag(covariance), 1e-300), 1.0))
    reach = float(t_distribution.ppf(0.5 + confidence / 2, max(freedom(curve, count), 1)))
    ends = [curve.x[0], *knots, curve.x[-1]]
    rows = []
    for i in range(count + 1):
        pick = np.zeros(len(shared))
        pick[1 : 2 + i] = 1.0
        slope, error = float(pick[: len(beta)] @ beta), math.sqrt(max(float(pick @ shared @ pick), 0.0))
        row = {"start": ends[i], "end": ends[i + 1], "slope": slope, "low": slope - reach * error, "high": slope + reach * error}
        if i:
            low, high = _place_interval(curve, fit, i - 1, confidence)
            w = float(widen[1 + count + i])
            row["start_low"] = max(ends[i] - w * (ends[i] - low), ends[i - 1])
            row["start_high"] = min(ends[i] + w * (high - ends[i]), ends[i + 1])
        rows.append(row)
    return rows


def _place_interval(curve: Curve, fit: Fit, i: int, confidence: float) -> tuple[float, float]:
    """Between the neighbours of a change point, where the squared residuals stay below the limit of an F test."""
    x, value, others = curve.x, fit.knots[i], np.array(fit.knots[:i] + fit.knots[i + 1 :])
    base, target = whitened(np.stack([np.ones(len(x)), x], axis=1), fit.noise), whitened(curve.y[:, None], fit.noise)[:, 0]
    known = np.concatenate([base, whitened(hinges(x, others), fit.noise)], axis=1)

    def squares(places: Array) -> Array:
        return _squares(known, whitened(hinges(x, places), fit.noise), target)

    before, after = [float(x[0]), *fit.knots][i], [*fit.knots, float(x[-1])][i + 1]
    places = np.unique(np.append(np.linspace(before, after, 203)[1:-1], value))
    found, left = squares(places), max(freedom(curve, len(fit.knots)), 1)
    least = float(found.min())
    limit = least + (least / left + curve.rounding) * float(f_distribution.ppf(confidence, 1, left))
    good = np.append(places[found <= limit], value)
    low, high, step = float(good.min()), float(good.max()), (after - before) / 202
    return _edge(squares, limit, low, max(low - step, before)), _edge(squares, limit, high, min(high + step, after))


def _edge(squares: Callable[[Array], Array], limit: float, inside: float, outside: float) -> float:
    """The last place from `inside` towards `outside` with squares below the limit."""
    for _ in range(TIMES):
        places = np.linspace(inside, outside, FINER)
        beyond = np.flatnonzero(squares(places[1:]) > limit)
        if not len(beyond):
            return outside
        inside, outside = float(places[beyond[0]]), float(places[beyond[0] + 1])
    return inside
