"""How sizes are distributed, by number and by area, when particles at the edge were left out and small ones were not seen.

Weights are those of `measure.shape.edge_weights`: large particles touch the edge more often, so those seen whole stand for
more. A null weight (a particle on the edge) leaves the particle out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm, t

from morphoscope.errors import InputError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
STEPS = 100
LEAST_PLACES = 2
SAME = 1e-12  # a spread of ln size below this is rounding


class LogNormal(NamedTuple):
    """A log-normal distribution of sizes by number, in the unit of the sizes, with intervals; nan where there is none.

    median, geometric_sd (exp of the standard deviation of ln size), mean (exp(mu + sigma^2 / 2)), area_median (half of the
    area is in larger ones, median * exp(2 sigma^2); Hatch & Choate 1929), n particles, and how it was found.
    """

    median: float
    median_low: float
    median_high: float
    geometric_sd: float
    geometric_sd_low: float
    geometric_sd_high: float
    mean: float
    area_median: float
    n: int
    method: str


def size_distribution(size: ArrayLike, *, weight: ArrayLike | None = None, bins: ArrayLike | int | None = None) -> pd.DataFrame:
    """Number- and area-weighted histogram of diameters.

    Args:
        size: (n,) diameters, in any unit.
        weight: (n,) of each particle, null to leave it out; none: all count alike.
        bins: edges (rising), or a number of bins of equal ratio; none: of the Freedman-Diaconis width of ln size.

    Returns:
        A row per bin: `size_low`, `size_high`, `n` (particles, without weights), `number_share`, `area_share`, `number_density`,
        `area_density` (share per unit of size), `number_below`, `area_below` (shares below `size_high`). Shares are of all
        sizes given, also those outside the edges.

    Raises:
        InputError: sizes that are not positive numbers, or weights that are not.
    """
    x, w = checked(size, weight)
    edges = _edges(x, bins)
    columns: dict[str, NDArray[np.float64] | Ints] = {"size_low": edges[:-1], "size_high": edges[1:]}
    columns["n"] = np.histogram(x, edges)[0].astype(np.int64)
    for name, each in (("number", w), ("area", w * x**2)):
        total = each.sum() if len(x) else math.nan
        columns[f"{name}_share"] = np.histogram(x, edges, weights=each)[0] / total
        columns[f"{name}_density"] = columns[f"{name}_share"] / np.diff(edges)
        columns[f"{name}_below"] = each[x < edges[0]].sum() / total + np.cumsum(columns[f"{name}_share"])
    order = ["size_low", "size_high", "n", "number_share", "area_share", "number_density", "area_density"]
    return pd.DataFrame(columns)[[*order, "number_below", "area_below"]]


def weighted_quantile(size: ArrayLike, q: ArrayLike, weight: ArrayLike | None = None) -> Array:
    """Sizes below which the shares `q` (any shape) of the weight lie; with equal weights the mean of the middle two for 0.5.

    The share below each size counts half of its own weight, and lies on straight lines between sizes. nan for no sizes.
    """
    x = np.asarray(size, dtype=float)
    w = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=float)
    use = np.isfinite(x) & (w > 0)
    order = np.lexsort((w[use], x[use]))  # whatever the order of equal sizes was
    x, w = x[use][order], w[use][order]
    if len(x) == 0:
        return np.full(np.shape(q), np.nan)
    return np.asarray(np.interp(np.asarray(q, dtype=float), (np.cumsum(w) - w / 2) / w.sum(), x))


def fit_lognormal(
    size: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    smallest: float = 0.0,
    place: ArrayLike | None = None,
    confidence: float = 0.95,
) -> LogNormal:
    """Log-normal distribution by maximum likelihood.

    Without weights, smallest size and places the intervals are exact (t and chi-squared of ln size); else from the robust
    variance (Huber 1967), with t of the particles (or places) that the weights leave.

    Args:
        size: (n,) diameters, in any unit.
        weight: (n,) of each particle, null to leave it out.
        smallest: sizes below it were not seen and are taken out; the fit knows the distribution goes on below (truncation).
        place: (n,) field of view of each; particles of one place may be alike, so intervals come from differences of places.
        confidence: of the intervals.

    Returns:
        nan where fewer than 3 sizes remain, all are equal, or nothing but the tail of a distribution is seen; intervals nan
        for one place.
    """
    x, w, groups = _usable(size, weight, place, smallest)
    y = np.log(x)
    mu, sigma = _start(y, w)
    plain = weight is None and place is None and smallest <= 0
    if not sigma > SAME * max(1.0, abs(mu)):
        return _none(len(y), "too few sizes, or all equal")
    if plain:
        return _exact(y, confidence)
    w = w / w.mean()
    solved = _solve(y, w, mu, sigma, math.log(smallest) if smallest > 0 else -math.inf)
    if solved is None:
        return _none(len(y), "no maximum: too little is seen of the distribution")
    mu, eta, score, bread = solved
    count = len(np.unique(groups)) if groups is not None else w.sum() ** 2 / (w**2).sum()
    if groups is not None:
        score = np.array([np.bincount(groups, weights=w * s) for s in score])
    else:
        score = w * score
    spread = np.full(2, np.nan)
    if count >= LEAST_PLACES:
        variance = bread @ (score @ score.T) @ bread * count / (count - 1)
        spread = float(t.ppf(0.5 + confidence / 2, count - 1)) * np.sqrt(np.diag(variance))
    method = "maximum likelihood, " + ("places differ" if groups is not None else "robust variance")
    return _named(
        mu, math.exp(eta), (mu - spread[0], mu + spread[0]), np.exp(eta + spread[1] * np.array([-1, 1])), len(y), method
    )


def checked(size: ArrayLike, weight: ArrayLike | None) -> tuple[Array, Array]:
    """Sizes and weights of particles that count.

    Raises:
        InputError: of different lengths, or not positive and finite where the weight is not null.
    """
    x = np.asarray(size, dtype=float)
    w = np.ones(x.shape) if weight is None else np.asarray(weight, dtype=float)
    if x.ndim != 1 or x.shape != w.shape:
        raise InputError(f"wanted a weight per size, got {w.shape} for {x.shape}")
    use = ~np.isnan(w)
    x, w = x[use], w[use]
    if not ((x > 0) & np.isfinite(x) & (w > 0) & np.isfinite(w)).all():
        raise InputError("sizes and weights must be positive numbers; a null weight leaves a particle out")
    return x, w


def _usable(
    size: ArrayLike, weight: ArrayLike | None, place: ArrayLike | None, smallest: float
) -> tuple[Array, Array, Ints | None]:
    x, w = checked(size, weight)
    counted = np.ones(len(np.asarray(size)), bool) if weight is None else ~np.isnan(np.asarray(weight, dtype=float))
    groups = None if place is None else pd.factorize(np.asarray(place)[counted])[0][x >= smallest]
    return x[x >= smallest], w[x >= smallest], None if groups is None else groups.astype(np.int64)


def _start(y: Array, w: Array) -> tuple[float, float]:
    if len(y) < 3:
        return math.nan, math.nan
    mu = float(np.average(y, weights=w))
    return mu, math.sqrt(float(np.average((y - mu) ** 2, weights=w)))


def _exact(y: Array, confidence: float) -> LogNormal:
    n, mu, sigma = len(y), float(y.mean()), float(y.std(ddof=1))
    half = float(t.ppf(0.5 + confidence / 2, n - 1)) * sigma / math.sqrt(n)
    ends = sigma * np.sqrt((n - 1) / chi2.ppf([0.5 + confidence / 2, 0.5 - confidence / 2], n - 1))
    return _named(mu, sigma, (mu - half, mu + half), ends, n, "t and chi-squared of ln size")


def _none(n: int, method: str) -> LogNormal:
    nan = math.nan
    return LogNormal(nan, nan, nan, nan, nan, nan, nan, nan, n, method)


def _named(mu: float, sigma: float, ends: tuple[float, float], sigmas: Array, n: int, method: str) -> LogNormal:
    low, high, narrow, wide, middle, broad = (float(v) for v in np.exp([*ends, *sigmas, mu, sigma]))
    return LogNormal(middle, low, high, broad, narrow, wide, math.exp(mu + sigma**2 / 2), math.exp(mu + 2 * sigma**2), n, method)


def _solve(y: Array, w: Array, mu: float, sigma: float, cut: float) -> tuple[float, float, Array, Array] | None:
    """Newton's method for mu and ln sigma of a normal distribution seen above `cut`: them, scores (2, n), inverse information."""
    at = np.array([mu, math.log(sigma)])
    value, slope, bend, score = _likelihood(y, w, at, cut)
    for _ in range(STEPS):
        size, turn = np.linalg.eigh(-bend)
        step = turn @ ((turn.T @ slope) / np.maximum(np.abs(size), 1e-9 * w.sum()))
        step *= min(1.0, 1.0 / max(np.abs(step / [math.exp(at[1]), 1]).max(), 1e-300))
        while True:
            new = _likelihood(y, w, at + step, cut)
            if new[0] >= value - 1e-9 * abs(value) or np.abs(step).max() < 1e-12:
                break
            step /= 2
        at, (value, slope, bend, score) = at + step, new
        if np.abs(step).max() < 1e-9:
            break
    known = np.linalg.eigvalsh(-bend)[0] > 1e-6 * w.sum() and abs(at[1]) < 20 and np.abs(step).max() < 1e-6
    return (float(at[0]), float(at[1]), score, np.asarray(np.linalg.inv(-bend), dtype=float)) if known else None


def _likelihood(y: Array, w: Array, at: Array, cut: float) -> tuple[float, Array, Array, Array]:
    """Log-likelihood, its slope, its second derivatives, and the slope of each size (2, n)."""
    mu, sigma = at[0], math.exp(at[1])
    z = (y - mu) / sigma
    edge, rate, bend = 0.0, 0.0, 0.0
    hidden = 0.0
    if np.isfinite(cut):
        edge = (cut - mu) / sigma
        hidden = float(norm.logsf(edge))
        rate = math.exp(float(norm.logpdf(edge)) - hidden)
        bend = rate * (rate - edge)
    value = float((w * (-at[1] - z**2 / 2 - hidden)).sum())
    score = np.array([(z - rate) / sigma, z**2 - 1 - rate * edge])
    mixed = float((w * (-2 * z + rate + bend * edge)).sum()) / sigma
    last = float((w * (-2 * z**2 + edge * (bend * edge + rate))).sum())
    return value, score @ w, np.array([[w.sum() * (bend - 1) / sigma**2, mixed], [mixed, last]]), score


def _edges(x: Array, bins: ArrayLike | int | None) -> Array:
    if bins is not None and np.ndim(bins) == 1:
        edges = np.asarray(bins, dtype=float)
        if len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise InputError("bins must be rising edges, at least two, or a number of bins")
        return edges
    if len(x) == 0:
        return np.array([1.0, 2.0])
    y = np.log(x)
    low, high = float(y.min()), float(y.max())
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    count = int(np.asarray(bins)) if bins is not None else 0
    if count < 1:
        width = 2 * float(np.subtract(*np.percentile(y, [75, 25]))) / len(y) ** (1 / 3)
        count = min(max(math.ceil((high - low) / width), 5), 100) if width > 0 else 5
    edges = np.exp(np.linspace(low, high, count + 1))
    edges[0], edges[-1] = min(edges[0], x.min()), max(edges[-1], x.max())
    return edges
