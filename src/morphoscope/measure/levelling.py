"""Levelling of height maps: tilt, bow and jumps between scan lines taken out, whatever stands on the ground left alone.

Slopes are first taken from differences between neighbouring pixels, the middle half of them, which particles hardly change, and
the levels of lines from the step that most pixels of two lines share (`line_levels`); then the ground is what lies near the
surface found so far, and the surface is fitted to it by least squares, until the ground stays the same. Line correction by
medians and by medians of differences is what Gwyddion offers as well (Necas & Klapetek, Cent. Eur. J. Phys. 10 (2012) 181);
there particles are masked by hand.

Limits: ground must show in a sixth of each scan line and in 40 % of the map, and more of it than of any other height (flat tops
of one height that cover more are taken for the ground); beyond, `ground_seen` tells (`python -m benchmarks.height_maps`).
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from morphoscope.errors import InputError, UsageError
from morphoscope.measure.line_levels import PART_WIDTH, ROUNDING, densest, line_levels

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Level = Literal["none", "plane", "quadratic", "rows", "plane+rows", "quadratic+rows"]
ROUNDS = 12
NEAR = 3.0  # standard deviations of the noise that the ground may lie off the surface
GROWN_PX = 5  # side of the square by which what stands out is enlarged, so that its foot is left out too
FEWEST = 0.05  # share of a line, and of the map, that must be ground
SHORTEST_SCAR = 8  # px


def level(heights: NDArray[Any], how: Level = "plane+rows", *, scars: bool = False) -> NDArray[np.float32]:
    """A height map with its ground at 0.

    Args:
        heights: (h, w), scan lines along x, in any unit.
        how: `plane` or `quadratic` (with bow and twist) take out a surface, `rows` the level of each scan line, and a sum of
            both both; `rows` leaves the slope along the lines. `none` changes nothing.
        scars: first replace stretches of a single scan line that stand out from both neighbours.

    Returns:
        (h, w) float32, in the same unit.

    Raises:
        InputError: not (h, w) of at least 3 x 3, values that are not finite, or no ground left to fit a surface to.
        UsageError: another `how`.
    """
    if how not in get_args(Level):
        raise UsageError(f"levelling is one of {', '.join(get_args(Level))}; got {how!r}")
    z = np.asarray(heights, dtype=np.float64)
    if z.ndim != 2 or min(z.shape) < 3:
        raise InputError(f"wanted a height map (h, w) of at least 3 x 3 px, got {z.shape}")
    if not np.isfinite(z).all():
        raise InputError("wanted finite heights, the map holds nan or infinity; fill them in the program that measured it")
    if scars:
        z = without_scars(z)
    if how == "none":
        return z.astype(np.float32)
    order = 2 if "quadratic" in how else 1
    surface = _Surface(z.shape, order, rows="rows" in how)
    # sums of differences run off where all is texture; a fit to everything is pulled along by particles, each line by its own
    starts = (surface.guess(z), surface.fit(z, np.ones(z.shape, bool), np.zeros(z.shape)))
    fits = (fit for fit in (_fit(surface, z, start) for start in starts) if fit is not None)
    found = list(islice(fits, 1 if "rows" in how else 2))
    if not found:
        raise InputError("no ground is left to level to: less than 5 % of the map lies near one surface")
    fitted, ground = min(found, key=lambda fit: densest(z - fit[0])[1])
    if how == "rows":
        fitted = fitted - surface.along(z, ground)
    return (z - fitted).astype(np.float32)


class _Surface:
    """What may lie under particles: a polynomial; with `rows` a level of each line instead of what depends on y alone."""

    def __init__(self, shape: tuple[int, ...], order: int, *, rows: bool) -> None:
        self._y, self._x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
        self._order, self._rows = order, rows
        x, y = self._x, self._y
        terms = [x, y] if order == 1 else [x, y, x * x, x * y, y * y]
        self._terms = np.stack([t for t in terms if not (rows and t is not x and np.ptp(t, axis=1).max() == 0)])

    def guess(self, z: Array) -> Array:
        """The surface by middle means of differences between neighbouring pixels."""
        dx, dy = np.diff(z, axis=1), np.diff(z, axis=0)
        along = _summed(_middle(dx, 0), self._order)[None, :] * np.ones((z.shape[0], 1))
        if self._order == 2:
            twist = np.polyfit(np.arange(z.shape[0]), _middle(dx, 1), 1)[0]
            y, x = np.indices(z.shape, dtype=float)
            along = along + twist * (y - y.mean()) * (x - x.mean())
        jumps = dy - np.diff(along, axis=0)
        if self._rows:
            return np.asarray(along + line_levels(z - along, jumps)[:, None])
        down = _summed(_middle(jumps, 1), self._order)
        return np.asarray(along + down[:, None])

    def fit(self, z: Array, ground: Flags, before: Array) -> Array:
        """Least squares over the ground; lines without ground keep their height over their neighbours as it was `before`."""
        weight = ground.astype(float)
        if not self._rows:
            basis = np.concatenate([np.ones((1, *z.shape)), self._terms])
            solved = _solve(basis[:, ground], z[ground])
            return np.asarray(np.tensordot(solved, basis, 1))
        slope = self._slopes(z, ground)
        offset, seen = _line_means(z - slope, weight)
        old = _line_means(before - slope, np.ones_like(weight))[0]
        line = np.arange(len(offset))
        offset = old + np.interp(line, line[seen], (offset - old)[seen])
        return np.asarray(slope + offset[:, None])

    def along(self, z: Array, ground: Flags) -> Array:
        """The part of the surface that changes along the lines, 0 in the middle of each."""
        return self._slopes(z, ground)

    def _slopes(self, z: Array, ground: Flags) -> Array:
        """The terms that change along the lines, fitted to differences from the mean of each line."""
        weight = ground.astype(float)
        centred = np.stack([t - _line_means(t, weight)[0][:, None] for t in self._terms])
        level = z - _line_means(z, weight)[0][:, None]
        return np.asarray(np.tensordot(_solve(centred[:, ground], level[ground]), self._terms, 1))


def _solve(basis: Array, values: Array) -> Array:
    if len(values) < 3 * len(basis):
        raise InputError(f"too little ground is seen: {len(values)} px for a surface of {len(basis)} terms")
    return np.asarray(np.linalg.lstsq(basis.T, values, rcond=None)[0])


def _line_means(z: Array, weight: Array) -> tuple[Array, Flags]:
    """Mean of each line over its ground, and which lines have enough of it."""
    total = weight.sum(axis=1)
    return (z * weight).sum(axis=1) / np.maximum(total, 1), total >= max(FEWEST * z.shape[1], 1)


def _middle(values: Array, axis: int) -> Array:
    """Mean of the middle half: as deaf to particles as the median, and sums of it do not run off where heights come in steps."""
    return np.asarray(trim_mean(values, 0.25, axis=axis), dtype=np.float64)


def _summed(steps: Array, order: int) -> Array:
    """Heights from the steps between neighbours, which are taken to be constant (order 1) or linear (order 2)."""
    known: Array = np.full(len(steps), float(trim_mean(steps, 0.25)))
    if order == 2:
        at = np.arange(len(steps), dtype=np.float64)
        known = np.asarray(np.polyval(np.polyfit(at, steps, 1), at), dtype=np.float64)
    return np.asarray(np.r_[0.0, np.cumsum(known)], dtype=np.float64)


def _fit(surface: _Surface, z: Array, start: Array) -> tuple[Array, Flags] | None:
    """The surface fitted to the ground, and the ground; None where there is none left."""
    fitted, ground = start, np.ones(z.shape, bool)
    for _ in range(ROUNDS):
        new = _ground(z - fitted, ground)
        if new.mean() < FEWEST:
            return None
        fitted = surface.fit(z, new, fitted)
        if (new == ground).all():
            break
        ground = new
    return fitted, ground


def _ground(rest: Array, before: Flags) -> Flags:
    """Which pixels lie near 0 once the height of the ground is taken out; the noise is that below it, where no particle is."""
    middle, width = densest(rest[before])
    below = middle - rest[rest < middle]
    smooth = cv2.medianBlur(rest.astype(np.float32), 3).astype(np.float64)
    spread = 1.4826 * float(np.median(below)) if len(below) else 0.0
    noise = max(min(spread, width / PART_WIDTH), ROUNDING * float(np.ptp(rest)))
    out = (np.abs(smooth - middle) > NEAR * noise).astype(np.uint8)
    return np.asarray(cv2.dilate(out, np.ones((GROWN_PX, GROWN_PX), np.uint8)) == 0)


def without_scars(heights: NDArray[Any]) -> Array:
    """A height map (h, w) whose scars are replaced by the mean of the lines above and below.

    A scar is a stretch of at least `SHORTEST_SCAR` px of one line that lies above both neighbouring lines, or below both, by more
    than 3 standard deviations of the difference of lines; jumps of whole lines are left to line correction.
    """
    z = np.asarray(heights, dtype=np.float64)
    jumps = np.median(np.diff(z, axis=0), axis=1)
    flat = z - np.r_[0.0, np.cumsum(jumps)][:, None]
    above, below = flat[1:-1] - flat[:-2], flat[1:-1] - flat[2:]
    least = 3 * 1.4826 * float(np.median(np.abs(np.diff(flat, axis=0))))
    found = np.zeros(z.shape, bool)
    for sign in (1, -1):
        out = (np.minimum(sign * above, sign * below) > least).astype(np.uint8)
        opened = cv2.morphologyEx(out, cv2.MORPH_OPEN, np.ones((1, SHORTEST_SCAR), np.uint8))
        found[1:-1] |= opened > 0
    filled = flat.copy()
    filled[1:-1] = np.where(found[1:-1], (flat[:-2] + flat[2:]) / 2, flat[1:-1])
    return np.asarray(filled + np.r_[0.0, np.cumsum(jumps)][:, None])
