"""Likelihood of Brownian motion with localisation noise as curves over phi = sigma^2 / D, and what is read off them.

For a given phi the scale D has a closed form, so one tridiagonal recursion for all tracks and all phi at once says all.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from morphoscope.errors import UsageError
from morphoscope.physics.parabola import vertex
from morphoscope.physics.paths import Paths

Array = NDArray[np.float64]
OFFSET = 0.1  # the curve over phi is smooth in log(phi + OFFSET)
SPACING = 0.28
FINE = 0.4  # interpolated points between those of the recursion, times the root of the number of values
CHUNK = 4096  # tracks x phi at a time: what stays in the processor's cache
BISECTIONS = 44


class Curves(NamedTuple):
    """Log-likelihood of k tracks over p ratios phi: -N/2 log D - `logdet` - `square` / (2 D), N = 2 x displacements.

    `phi` (p,), `logdet`, `square` (k, p) and `n` (k,) the number of values N.
    """

    phi: Array
    logdet: Array
    square: Array
    n: Array


def ratios(made: Paths) -> Array:
    """The phi looked at: 0 to where no motion can be told from noise any more."""
    longest = float(made.span.max(initial=1)) + 1
    stop = math.log(30 * longest**2)
    count = math.ceil((stop - math.log(OFFSET)) / SPACING)
    return np.asarray(np.exp(np.linspace(math.log(OFFSET), stop, count)) - OFFSET)


def curves(made: Paths, place: Array, phi: Array, blur: float, tracks: NDArray[np.int64]) -> Curves:
    """Likelihood of some tracks at ratios `phi` (p,) from positions `place` (n, 2) of any unit."""
    if not 0 <= blur <= 0.25:
        raise UsageError(f"blur must lie between 0 (short exposure) and 0.25, got {blur}")
    order = tracks[np.argsort(-made.n_points[tracks], kind="stable")]
    logdet, square = np.empty((len(tracks), len(phi))), np.empty((len(tracks), len(phi)))
    size = max(CHUNK // len(phi), 1)
    for part in range(0, len(order), size):
        chosen = order[part : part + size]
        where = np.searchsorted(tracks, chosen)
        logdet[where], square[where] = _recursion(made, place, phi - 2 * blur, chosen)
    return Curves(phi, logdet, square, 2 * (made.n_points[tracks] - 1).astype(float))


def _recursion(made: Paths, place: Array, phi: Array, chosen: NDArray[np.int64]) -> tuple[Array, Array]:
    """log determinant and quadratic form (c, p) of tracks sorted by falling number of points, tridiagonal LDL^T."""
    begin, n = made.first[chosen], made.n_points[chosen] - 1
    shape = (len(chosen), len(phi))
    logdet, square, product = np.zeros(shape), np.zeros(shape), np.ones(shape)
    pivot, rest_x, rest_y = np.full(shape, np.inf), np.zeros(shape), np.zeros(shape)
    for i in range(int(n[0])):
        c = int(np.searchsorted(-n, -i))  # tracks with a displacement number i
        at = begin[:c] + i
        gap = 2.0 * (made.frame[at + 1] - made.frame[at])
        step = place[at + 1] - place[at]
        ratio = phi / pivot[:c]
        rest_x[:c] = step[:, :1] + ratio * rest_x[:c]
        rest_y[:c] = step[:, 1:] + ratio * rest_y[:c]
        new = gap[:, None] + (2 - ratio) * phi
        square[:c] += (rest_x[:c] ** 2 + rest_y[:c] ** 2) / new
        pivot[:c] = new
        product[:c] *= new
        if i % 16 == 15:
            logdet += np.log(product)
            product[:] = 1.0
    return logdet + np.log(product), square


def fine_curves(coarse: Curves) -> Curves:
    """Interpolated between the ratios of the recursion."""
    u = np.log(coarse.phi + OFFSET)
    between = max(math.ceil(FINE * math.sqrt(float(coarse.n.max()))), 8)
    fine = np.linspace(u[0], u[-1], (len(u) - 1) * between + 1)
    phi = np.maximum(np.exp(fine) - OFFSET, 0.0)
    square = np.exp(CubicSpline(u, np.log(np.maximum(coarse.square, 1e-300)), axis=1)(fine))
    return Curves(phi, CubicSpline(u, coarse.logdet, axis=1)(fine), square, coarse.n)


def profile(c: Curves, drop: float) -> Array:
    """(4, k): D, its profile-likelihood interval, and sigma."""
    rows = np.arange(len(c.n))
    half = c.n[:, None] / 2
    scale = c.square / c.n[:, None]
    likelihood = -half * np.log(scale) - c.logdet - half
    best = likelihood.argmax(axis=1)
    top = likelihood[rows, best]
    pinned = best == len(c.phi) - 1
    phi, at_top = _top(c.phi, likelihood, np.log(scale), best)
    value = np.where(pinned, 0.0, at_top)
    sigma = np.sqrt(phi * at_top)

    def above(log_d: Array) -> NDArray[np.bool_]:
        height = (-c.logdet - c.square / (2 * np.exp(log_d))[:, None]).max(axis=1) - c.n / 2 * log_d
        return np.asarray(height > top - drop)

    start = np.log(scale[rows, best])
    high = _crossing(above, start, start + 2.0, 1.0)
    bottom = np.log(scale[:, -1])  # the least D looked at: as good as none
    low = np.exp(_crossing(above, start, bottom, 0.0))
    open_end = pinned | above(bottom)
    return np.stack([value, np.where(open_end, 0.0, low), np.exp(high), sigma])


def _top(phi: Array, likelihood: Array, log_scale: Array, best: NDArray[np.int64]) -> tuple[Array, Array]:
    """phi and scale (k,) at the top of a parabola through the best ratio and its neighbours; at an end, that end."""
    middle, shift = vertex(likelihood, best)
    u = np.log(phi + OFFSET)
    a, b, c = (log_scale[np.arange(len(best)), middle + k] for k in (-1, 0, 1))
    found = np.exp(u[middle] + shift * (u[1] - u[0])) - OFFSET
    return np.where(found > 1e-9, found, 0.0), np.exp(b + (c - a) / 2 * shift + (a - 2 * b + c) / 2 * shift**2)


def _crossing(above: Any, inside: Array, outside: Array, stride: float) -> Array:
    """Where the profile falls below its limit between two values; `outside` goes on by `stride` until it is outside."""
    while stride and above(outside).any():
        outside = np.where(above(outside), outside + stride, outside)
        stride *= 2
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        good = above(middle)
        inside, outside = np.where(good, middle, inside), np.where(good, outside, middle)
    return (inside + outside) / 2
