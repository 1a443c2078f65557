"""The ellipse of an outline or mask that is known already: the one with the same area-weighted second moments.

Outlines are integrated exactly along their corners (Green's theorem; Steger, "On the calculation of arbitrary moments of
polygons", TU Munich FGBV-96-05, 1996); of masks each pixel counts as a unit square.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class EllipseFit(NamedTuple):
    """Centre, full axes (px), direction of the major axis (degrees, counter-clockwise as seen, 0 to 180) and the area (px)."""

    x: float
    y: float
    major: float
    minor: float
    angle_deg: float
    area: float


def ellipse_of_rings(rings: Sequence[NDArray[Any]], signs: Sequence[int]) -> EllipseFit | None:
    """The ellipse of closed rings of corners.

    Args:
        rings: (n, 2) corners x, y each, the first not repeated, in any sense of rotation.
        signs: 1 for a ring that adds area, -1 for a hole.

    Returns:
        The ellipse, in the coordinates of the corners; None where the area is not above zero.
    """
    total = np.zeros(6)
    origin = np.asarray(rings[0], dtype=float).mean(axis=0)
    for ring, sign in zip(rings, signs, strict=True):
        part = _ring_moments(np.asarray(ring, dtype=float) - origin)
        total += sign * (part if part[0] >= 0 else -part)
    area = total[0]
    if not area > 1e-12:
        return None
    x, y = total[1] / area, total[2] / area
    xx, yy, xy = total[3] / area - x * x, total[4] / area - y * y, total[5] / area - x * y
    return _from_moments(x + origin[0], y + origin[1], xx, yy, xy, area)


def ellipse_of_mask(mask: NDArray[Any], x0: float = 0.0, y0: float = 0.0) -> EllipseFit | None:
    """The ellipse of a mask (height, width) whose first pixel's centre lies at (x0, y0); None where nothing is inside."""
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        return None
    x, y = columns.mean(), rows.mean()
    xx, yy = columns.var() + 1 / 12, rows.var() + 1 / 12
    xy = float(((columns - x) * (rows - y)).mean())
    return _from_moments(x + x0, y + y0, xx, yy, xy, float(rows.size))


def _ring_moments(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area, first (x, y) and second (xx, yy, xy) moments of a ring about the origin, signed by its sense of rotation."""
    x, y = ring[:, 0], ring[:, 1]
    u, v = np.roll(x, -1), np.roll(y, -1)
    cross = x * v - u * y
    return np.array(
        [
            cross.sum() / 2,
            ((x + u) * cross).sum() / 6,
            ((y + v) * cross).sum() / 6,
            ((x * x + x * u + u * u) * cross).sum() / 12,
            ((y * y + y * v + v * v) * cross).sum() / 12,
            ((x * v + 2 * x * y + 2 * u * v + u * y) * cross).sum() / 24,
        ]
    )


def _from_moments(x: float, y: float, xx: float, yy: float, xy: float, area: float) -> EllipseFit:
    half, mean = math.hypot((xx - yy) / 2, xy), (xx + yy) / 2
    angle = math.degrees(-0.5 * math.atan2(2 * xy, xx - yy)) % 180
    major, minor = 4 * math.sqrt(max(mean + half, 0)), 4 * math.sqrt(max(mean - half, 0))
    return EllipseFit(float(x), float(y), major, minor, angle, float(area))
