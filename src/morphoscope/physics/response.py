"""A response surface over two conditions: Gaussian-process regression whose interval knows what the data leave open.

Scores at conditions x are m + f(x) + noise: m unknown, f a Gaussian process with the Matern kernel of order 5/2 and a length of
its own for each condition (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 4.17), noise independent.
Mean and variance are integrated out (eq. 2.42 and Student's t, O'Hagan, J. R. Stat. Soc. B 40 (1978) 1); lengths and noise are
not set to the values of highest likelihood but averaged over a grid, each weighed by its marginal likelihood: from a few dozen
scores a single choice makes intervals too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from scipy.stats import t as student

from morphoscope.errors import InputError

Array = NDArray[np.float64]
FEWEST = 6  # conditions
MOST = 500  # conditions: the work grows with their third power
LENGTHS = np.geomspace(0.1, 5, 10)  # of the range of a condition
LONGEST_FLOOR = 0.3  # least length of the grid is the distance of conditions on a square lattice, this at most
NOISES = np.geomspace(1e-5, 10, 25)  # variance of the noise over that of the surface
STATED_SD = float(np.log(4))  # how far the variance of the noise is from that which intervals state (log, one standard deviation)
UNEVEN = (0.25, 4.0)  # least and greatest variance of a score over the median one
LEAST_WEIGHT = 2e-3  # of a node over the greatest
MOST_NODES, MOST_SUGGESTING = 150, 20  # of greatest weight, that have a say in the surface, and in what to measure next
NORMAL_95 = 1.959964
TINY = 1e-30  # variance
LEAST_OWN = 0.01  # share of a score's variance that is not shared


class Prediction(NamedTuple):
    """The surface (n,) at some conditions with its standard deviation and 95 % interval."""

    mean: Array
    sd: Array
    low: Array
    high: Array


class Suggestion(NamedTuple):
    """Conditions worth measuring: (k, 2), and the root of the mean variance of the surface before and after each (k + 1,)."""

    points: Array
    sd: Array


class _Data(NamedTuple):
    """Distinct conditions in units of their ranges (n, 2), mean scores (n,), variance of each over that of one score (n,);
    scatter of scores at equal conditions: sum of squares over that variance, and degrees of freedom."""

    at: Array
    mean: Array
    spread: Array
    within: float
    freedom: int


class _Node(NamedTuple):
    """Lengths and noise of one point of the grid, and what follows: factor of K, its products, variance of the surface."""

    weight: float
    lengths: Array
    noise: float
    inverse: Array
    ones: Array
    centre: float
    alpha: Array
    variance: float


@dataclass(frozen=True)
class Surface:
    """A fitted response surface.

    `lengths` (2,) over which it changes, in units of the conditions, `noise` the standard deviation of a single score,
    `conditions` and `scores` how many there are, `degrees` of freedom of the interval.
    """

    lengths: tuple[float, float]
    noise: float
    conditions: int
    scores: int
    degrees: int
    _nodes: tuple[_Node, ...]
    _at: Array
    _origin: Array
    _range: Array
    _bounds: tuple[float, float] | None
    _shared: float = 0.0

    def predict(self, points: ArrayLike) -> Prediction:
        """The surface, without the noise of a score, at conditions (m, 2); `sd` and the interval know the shared error."""
        at = self._scaled(points)
        means, variances = zip(*(self._of_node(node, at) for node in self._nodes), strict=True)
        weights = np.array([node.weight for node in self._nodes])[:, None]
        mean = (weights * np.array(means)).sum(0)
        variance = (weights * (np.array(variances) * self._inflation + np.square(np.array(means) - mean))).sum(0)
        sd = np.sqrt(np.maximum(variance, 0))
        reach = np.hypot(sd * float(student.ppf(0.975, self.degrees)) / np.sqrt(self._inflation), self._shared)
        sd = np.hypot(sd, self._shared / NORMAL_95)
        low, high = mean - reach, mean + reach
        if self._bounds is not None:
            mean, low, high = (np.clip(values, *self._bounds) for values in (mean, low, high))
        return Prediction(mean, sd, low, high)

    def suggest(self, candidates: ArrayLike, count: int = 1) -> Suggestion:
        """The conditions among candidates (m, 2) to measure next, one after the other.

        Each is that whose measurement lowers the variance of the surface most, in the mean over all candidates (Cohn, Neural
        Networks 9 (1996) 1071); what will be measured there need not be known. A condition may come again.
        """
        return suggest_jointly([self], candidates, count)

    def covariance(self, points: ArrayLike) -> Array:
        """What is not known of the surface at conditions (m, 2), without the shared error: the covariance (m, m)."""
        at = self._scaled(points)
        nodes = self._nodes[:MOST_SUGGESTING]
        total = sum(node.weight for node in nodes)
        return np.array(sum(node.weight / total * self._covariance(node, at) for node in nodes), float)

    @property
    def _inflation(self) -> float:
        """The variance of Student's t."""
        return self.degrees / (self.degrees - 2)

    def _scaled(self, points: ArrayLike) -> Array:
        return np.asarray((np.asarray(points, float) - self._origin) / self._range)

    def _of_node(self, node: _Node, at: Array) -> tuple[Array, Array]:
        cross = matern(at, self._at, node.lengths)
        slack = 1 - cross @ node.ones
        mean = node.centre + cross @ node.alpha
        explained = np.einsum("ij,jk,ik->i", cross, node.inverse, cross)
        return mean, np.maximum(node.variance * (1 - explained + slack**2 / node.ones.sum()), 0)

    def _covariance(self, node: _Node, at: Array) -> Array:
        cross = matern(at, self._at, node.lengths)
        slack = 1 - cross @ node.ones
        explained = cross @ node.inverse @ cross.T
        left = matern(at, at, node.lengths) - explained + np.outer(slack, slack) / node.ones.sum()
        return np.asarray(node.variance * left)


def fit_surface(
    points: ArrayLike,
    values: ArrayLike,
    half_width: ArrayLike | None = None,
    *,
    bounds: tuple[float, float] | None = None,
    shared: float = 0.0,
) -> Surface:
    """A response surface through scores at two conditions.

    The noise is learnt from the scatter about the surface and from scores at equal conditions. Where scores have intervals, these
    say how it compares from score to score, and about how large it is; scatter that says otherwise is believed. What all scores
    near each other get wrong alike is in no scatter: it has to be said (`shared`), and is added in quadrature.

    Args:
        points: (n, 2) conditions; rows may come again.
        values: (n,) scores; rows with a nan are left out.
        half_width: (n,) of the scores' own 95 % intervals; nan for unknown.
        bounds: what scores cannot go beyond; mean and interval end there.
        shared: half the width of the 95 % interval of the error that scores have in common; part of `half_width`, where both
            are known.

    Raises:
        InputError: fewer than 6 distinct conditions or more than 500, or one of the two does not vary.
    """
    at, y = np.asarray(points, float), np.asarray(values, float)
    widths = np.full(len(y), np.nan) if half_width is None else np.asarray(half_width, float)
    good = np.isfinite(at).all(1) & np.isfinite(y)
    at, y, widths = at[good], y[good], np.sqrt(np.maximum(widths[good] ** 2 - shared**2, LEAST_OWN * widths[good] ** 2))
    distinct = len(np.unique(at, axis=0))
    if not FEWEST <= distinct <= MOST or (np.ptp(at, axis=0) == 0).any():
        raise InputError(
            f"a response surface wants {FEWEST} to {MOST} distinct conditions and both of them varied, got {distinct} "
            f"in {len(y)} scores"
        )
    origin, span = at.min(0), np.ptp(at, axis=0)
    variance = _stated(widths)
    data = _pooled((at - origin) / span, y, variance)
    stated = float(np.nanmedian((widths / NORMAL_95) ** 2)) if np.isfinite(widths).any() else None
    nodes = _nodes(data, len(y), stated if stated else None)
    weights = np.array([node.weight for node in nodes])
    log_lengths = weights @ np.log([node.lengths for node in nodes])
    noise = float(np.exp(weights @ np.log([node.noise * node.variance for node in nodes]) / 2))
    first, second = (np.exp(log_lengths) * span).tolist()
    return Surface((first, second), noise, distinct, len(y), len(y) - 1, nodes, data.at, origin, span, bounds, shared)


def suggest_jointly(surfaces: Sequence[Surface], candidates: ArrayLike, count: int = 1) -> Suggestion:
    """As `Surface.suggest`, for several scores that one measurement tells together.

    Each surface counts by the share of its own variance that a measurement takes away; `sd` is the root of the mean over all.

    Args:
        surfaces: one or more, over the same two conditions.
        candidates: (m, 2).
        count: how many conditions.
    """
    matrices = [surface.covariance(candidates) for surface in surfaces]
    noises = [surface.noise**2 for surface in surfaces]
    whole = [max(float(np.trace(matrix)), TINY) for matrix in matrices]
    chosen, left = [], [_root_mean(matrices)]
    for _ in range(count):
        gains = [
            np.square(matrix).sum(0) / (np.diag(matrix) + noise + TINY) / total
            for matrix, noise, total in zip(matrices, noises, whole, strict=True)
        ]
        best = int(np.sum(gains, axis=0).argmax())
        for matrix, noise in zip(matrices, noises, strict=True):
            column = matrix[:, best].copy()
            matrix -= np.outer(column, column) / (column[best] + noise + TINY)
        chosen.append(best)
        left.append(_root_mean(matrices))
    return Suggestion(np.asarray(candidates, float)[chosen], np.array(left))


def _root_mean(matrices: Sequence[Array]) -> float:
    return float(np.sqrt(np.mean([max(np.trace(matrix), 0) / len(matrix) for matrix in matrices])))


def matern(one: Array, other: Array, lengths: Array) -> Array:
    """The Matern kernel of order 5/2 between points (m, d) and (n, d), (m, n), with a length for each of the d conditions."""
    r = np.sqrt(5) * cdist(one / lengths, other / lengths)
    return np.asarray((1 + r + r**2 / 3) * np.exp(-r))


def _stated(widths: Array) -> Array:
    """The variance (n,) of each score over the median one, as its interval has it; 1 where it has none."""
    known = np.isfinite(widths) & (widths > 0)
    if not known.any():
        return np.ones(len(widths))
    middle = float(np.median(widths[known]))
    return np.where(np.isfinite(widths), np.clip(np.square(widths / middle), *UNEVEN), 1.0)


def _pooled(at: Array, y: Array, variance: Array) -> _Data:
    """Scores at equal conditions averaged, each weighed by its variance, and how they scatter."""
    places, which = np.unique(at, axis=0, return_inverse=True)
    which = which.ravel()
    precision = np.bincount(which, 1 / variance)
    mean = np.bincount(which, y / variance) / precision
    within = float((np.square(y - mean[which]) / variance).sum())
    return _Data(places, mean, 1 / precision, within, len(y) - len(places))


def _nodes(data: _Data, n: int, stated: float | None) -> tuple[_Node, ...]:
    """The points of the grid of lengths and noise that have a say, with their weights."""
    found: list[tuple[float, Array, float, float]] = []  # log weight, lengths, noise, variance of the surface
    root = np.sqrt(data.spread)
    floor = 1e-12 * max(float(np.var(data.mean)), 1e-12)
    likely = LENGTHS[LENGTHS >= min(1 / np.sqrt(len(data.at)), LONGEST_FLOOR)]  # what conditions further apart cannot tell
    for lengths in np.stack(np.meshgrid(likely, likely), -1).reshape(-1, 2):
        power, turn = np.linalg.eigh(matern(data.at, data.at, lengths) / np.outer(root, root))
        y, one = turn.T @ (data.mean / root), turn.T @ (1 / root)
        for noise in NOISES:
            whole = np.maximum(power, 0) + noise
            ones = float((one**2 / whole).sum())
            centre = float((one * y / whole).sum()) / ones
            squares = float((np.square(y - centre * one) / whole).sum()) + data.within / noise + floor
            log = -(np.log(whole).sum() + np.log(ones) + data.freedom * np.log(noise) + (n - 1) * np.log(squares)) / 2
            variance = squares / (n - 1)
            if stated is not None:
                log -= (np.log(noise * variance / stated) / STATED_SD) ** 2 / 2
            found.append((float(log), lengths, float(noise), variance))
    best = max(log for log, *_ in found)
    weights = np.exp([log - best for log, *_ in found])
    kept = [int(k) for k in np.argsort(-weights, kind="stable")[:MOST_NODES] if weights[k] >= LEAST_WEIGHT]
    total = float(weights[kept].sum())
    return tuple(_solved(data, float(weights[k]) / total, *found[k][1:]) for k in kept)


def _solved(data: _Data, weight: float, lengths: Array, noise: float, variance: float) -> _Node:
    matrix = matern(data.at, data.at, lengths) + noise * np.diag(data.spread)
    inverse = np.asarray(np.linalg.inv(matrix), float)
    ones = inverse.sum(1)
    centre = float(ones @ data.mean / ones.sum())
    return _Node(weight, lengths, noise, inverse, ones, centre, inverse @ (data.mean - centre), variance)
