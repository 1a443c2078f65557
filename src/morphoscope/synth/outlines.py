"""Outlines of particles as radii around a point in 360 directions, with all that follows from them in closed form."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
DIRECTIONS = 360
ANGLES: Array = np.arange(DIRECTIONS, dtype=np.float64) * (2 * math.pi / DIRECTIONS)
SHAPES = ("disc", "ellipse", "facet", "rod", "cube")


def outline(kind: str, rng: np.random.Generator) -> Array:
    """The outline (360,) of a particle of a kind, turned at random, of the area of a disc of diameter 1.

    `disc` and `ellipse` are slightly uneven, `facet` is a polygon of 5 to 8 unequal sides, `rod` has round ends, `cube` is
    nearly a square; corners are rounded.
    """
    angle = ANGLES - rng.uniform(0, 2 * math.pi)
    if kind == "disc":
        radii = np.ones(DIRECTIONS)
    elif kind == "ellipse":
        radii = 1 / np.hypot(np.cos(angle), np.sin(angle) * rng.uniform(1.25, 1.8))
    elif kind == "facet":
        radii = _polygon(angle, int(rng.integers(5, 9)), rng, uneven=0.12, sharp=22)
    elif kind == "cube":
        radii = _polygon(angle, 4, rng, uneven=0.03, sharp=14)
    elif kind == "rod":
        radii = _stadium(angle, rng.uniform(1.0, 2.2))
    else:
        raise ValueError(f"wanted one of {', '.join(SHAPES)}, got {kind!r}")
    if kind in ("disc", "ellipse"):
        for k in (2, 3, 4, 5):
            radii = radii * (1 + rng.normal(0, 0.03 / k) * np.cos(k * ANGLES + rng.uniform(0, 2 * math.pi)))
    return np.asarray(radii / (2 * np.sqrt((radii**2).mean())))


def _polygon(angle: Array, sides: int, rng: np.random.Generator, *, uneven: float, sharp: float) -> Array:
    """A convex polygon with rounded corners: the unit ball of the p-norm of the distances to its sides, p = `sharp`."""
    normal = np.arange(sides) * 2 * math.pi / sides + (rng.normal(0, 0.06, sides) if sides > 4 else 0)
    distance = 1 + rng.uniform(-uneven, uneven, sides)
    across = np.maximum(np.cos(angle[:, None] - normal), 0) / distance
    return np.asarray((across**sharp).sum(axis=1) ** (-1 / sharp))


def _stadium(angle: Array, half: float) -> Array:
    """A rectangle of half length `half` and half width 1 with half discs on both ends."""
    cos, sin = np.abs(np.cos(angle)), np.maximum(np.abs(np.sin(angle)), 1e-12)
    side = 1 / sin
    end = half * cos + np.sqrt(np.maximum(1 - half**2 * sin**2, 0))
    return np.where(side * cos <= half, side, end)


def touching_pair(first: float, second: float, direction: float) -> Array:
    """Outline (360,) around their point of contact of two discs of these radii; the second one lies in `direction` (rad)."""
    cos = np.cos(ANGLES - direction)
    return np.asarray(np.where(cos < 0, -2 * first * cos, 2 * second * cos))


def offset_disc(radius: float, offset: tuple[float, float]) -> Array:
    """Outline (360,) of a disc around a point inside it; the disc's centre lies `offset` (x, y) from that point."""
    along = offset[0] * np.cos(ANGLES) + offset[1] * np.sin(ANGLES)
    return np.asarray(along + np.sqrt(np.maximum(radius**2 - (offset[0] ** 2 + offset[1] ** 2) + along**2, 0)))


def describe(x: Array, y: Array, radii: Array) -> pd.DataFrame:
    """What the package's tables say of outlines, from integrals over them instead of pixels; px, pixel centres at integers.

    Args:
        x: (n,) the points the radii are taken from.
        y: (n,) the same, downwards.
        radii: (n, 360) px; direction 90 degrees points down.

    Returns:
        Columns of `schema.OBJECTS` and `schema.SHAPES` in px: upright box, ellipse of the same second moments, area, equivalent
        diameter, perimeter, Feret diameters (to 0.1 %), circularity, aspect ratio.
    """
    cos, sin = np.cos(ANGLES), np.sin(ANGLES)
    px, py = radii * cos, radii * sin
    area = math.pi * (radii**2).mean(axis=1)
    # integrals of x, y, x^2, y^2, xy over a sector are r^3/3, r^4/4 times cosines; means over directions times 2 pi
    cube, fourth = radii**3 * (2 * math.pi / 3), radii**4 * (2 * math.pi / 4)
    mx, my = (cube * cos).mean(axis=1) / area, (cube * sin).mean(axis=1) / area
    xx = (fourth * cos**2).mean(axis=1) / area - mx**2
    yy = (fourth * sin**2).mean(axis=1) / area - my**2
    xy = (fourth * cos * sin).mean(axis=1) / area - mx * my
    half, mean = np.hypot((xx - yy) / 2, xy), (xx + yy) / 2
    step = np.hypot(px - np.roll(px, 1, axis=1), py - np.roll(py, 1, axis=1)).sum(axis=1)
    some = slice(None, None, 3)
    support = np.stack([(px[:, some] * np.cos(a) + py[:, some] * np.sin(a)).max(axis=1) for a in ANGLES[::2]], axis=1)
    wide = support[:, : DIRECTIONS // 4] + support[:, DIRECTIONS // 4 :]
    left, right, top, bottom = px.min(axis=1), px.max(axis=1), py.min(axis=1), py.max(axis=1)
    major, minor = 4 * np.sqrt(mean + half), 4 * np.sqrt(np.maximum(mean - half, 1e-12))
    return pd.DataFrame(
        {
            "x_px": x + (left + right) / 2,
            "y_px": y + (top + bottom) / 2,
            "width_px": right - left,
            "height_px": bottom - top,
            "ellipse_x_px": x + mx,
            "ellipse_y_px": y + my,
            "major_px": major,
            "minor_px": minor,
            "angle_deg": np.degrees(-0.5 * np.arctan2(2 * xy, xx - yy)) % 180,
            "area_px": area,
            "equivalent_diameter_px": 2 * np.sqrt(area / math.pi),
            "perimeter_px": step,
            "feret_max_px": wide.max(axis=1),
            "feret_min_px": wide.min(axis=1),
            "circularity": 4 * math.pi * area / step**2,
            "aspect_ratio": major / minor,
        }
    )


def touch(radii: Array, other: Array, direction: float) -> float:
    """How far apart along `direction` (rad, from the first to the second) two outlines (360,) just touch, by bisection."""
    x, y = radii * np.cos(ANGLES), radii * np.sin(ANGLES)
    far = float(radii.max() + other.max())
    low, high = 0.0, far
    for _ in range(14):
        middle = (low + high) / 2
        if overlap(x, y, other, (middle * math.cos(direction), middle * math.sin(direction))):
            low = middle
        else:
            high = middle
    return high


def overlap(x: Array, y: Array, other: Array, at: tuple[float, float]) -> bool:
    """Whether a corner (n,) of one outline lies in the outline `other` (360,) around `at`, or the other way round."""
    dx, dy = x - at[0], y - at[1]
    if (np.hypot(dx, dy) < radius_towards(other, dx, dy)).any():
        return True
    ox, oy = at[0] + other * np.cos(ANGLES), at[1] + other * np.sin(ANGLES)
    return bool((np.hypot(ox, oy) < radius_towards(np.hypot(x, y), ox, oy)).any())


def radius_towards(radii: Array, dx: Array, dy: Array) -> Array:
    """Radius of an outline (360,) in the directions of vectors (any shape), linear between the stored ones."""
    turn = np.arctan2(dy, dx) * (DIRECTIONS / (2 * math.pi))
    low = np.floor(turn)
    share = turn - low
    at = low.astype(np.int64) % DIRECTIONS
    return np.asarray(radii[at] * (1 - share) + radii[(at + 1) % DIRECTIONS] * share)
